"""Scores of labels that were said beside the labels that are right, for every benchmark of verdicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from convergence_cli.model import LABELS

# (truth, said)
Pair = tuple[str, str]
SHOWN = (*LABELS, "undetermined")


def f1_of(pairs: Sequence[Pair]) -> dict[str, float]:
    """F1 of each label that is a truth or was said, by label."""
    truths, said = (Counter(pair[side] for pair in pairs) for side in (0, 1))
    hits = Counter(truth for truth, label in pairs if truth == label)
    return {label: 2 * hits[label] / (truths[label] + said[label]) for label in sorted(truths | said)}


def matrix_lines(pairs: Sequence[Pair]) -> list[str]:
    """The confusion matrix as lines of text: a line for each truth, a column for each label said."""
    counts = Counter(pairs)
    lines = ["truth \\ said".ljust(14) + "".join(label[:12].rjust(14) for label in SHOWN)]
    for truth in SHOWN:
        if any(counts[truth, label] for label in SHOWN):
            lines.append(truth.ljust(14) + "".join(str(counts[truth, label]).rjust(14) for label in SHOWN))
    return lines
