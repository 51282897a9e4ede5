"""What a record counts beside the tensors: classes, confusions, tokens, and facts of trees."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from convergence_cli.readers._record_lines import number, step_of, whole
from convergence_cli.tensor_stats import Confusion, LabelCounts, TokenCounts, TreeFacts
from convergence_cli.tensors.classes import MAX_CLASSES
from convergence_cli.tensors.trees import MAX_FEATURES

MAX_SHARES = 1000
# A share is rounded.
_ALL = 1.0 + 1e-6


def labels_of(record: Mapping[str, Any]) -> LabelCounts | None:
    """The line ``labels``; None where a field is not what it must be, as with all functions here."""
    name, step, sequence = record.get("labels"), step_of(record.get("step")), record.get("sequence", False)
    values, counts = record.get("values"), record.get("counts")
    if not (isinstance(name, str) and isinstance(sequence, bool) and isinstance(values, list)) or step is None:
        return None
    if not isinstance(counts, list) or not len(values) == len(counts) <= MAX_CLASSES:
        return None
    classes = [value for one in values if (value := step_of(one)) is not None]
    known = [count for one in counts if (count := whole(one)) is not None]
    if len(classes) != len(values) or len(known) != len(counts) or classes != sorted(set(classes)):
        return None
    return LabelCounts(step, name, tuple(classes), tuple(known), sequence)


def confusion_of(record: Mapping[str, Any]) -> Confusion | None:
    """The line ``confusion``."""
    name, step, sequence = record.get("confusion"), step_of(record.get("step")), record.get("sequence", False)
    classes, cells = whole(record.get("classes")), record.get("cells")
    if not (isinstance(name, str) and isinstance(sequence, bool) and isinstance(cells, list)) or step is None:
        return None
    if classes is None or not 0 < classes <= MAX_CLASSES or len(cells) > classes * classes:
        return None
    matrix = np.zeros((classes, classes), dtype=np.int64)
    for cell in cells:
        if not isinstance(cell, list) or len(cell) != 3:
            return None
        label, predicted, count = (whole(one) for one in cell)
        if label is None or predicted is None or count is None or max(label, predicted) >= classes:
            return None
        matrix[label, predicted] = count
    return Confusion(step, name, matrix, sequence)


def tokens_of(record: Mapping[str, Any]) -> TokenCounts | None:
    """The line ``tokens``."""
    name, step, pairs = record.get("tokens"), step_of(record.get("step")), record.get("shares")
    positions, vocabulary = whole(record.get("positions")), whole(record.get("vocabulary"))
    padding, padding_share = whole(record.get("padding", 0)), number(record.get("padding_share"))
    if not (isinstance(name, str) and isinstance(pairs, list)) or len(pairs) > MAX_SHARES or step is None:
        return None
    if positions is None or vocabulary is None or padding is None or padding_share is None:
        return None
    shares: dict[int, float] = {}
    for pair in pairs:
        token, share = (whole(pair[0]), number(pair[1])) if isinstance(pair, list) and len(pair) == 2 else (None, None)
        if token is None or share is None or not 0 <= share <= _ALL:
            return None
        shares[token] = share
    if not 0 <= padding_share <= _ALL:
        return None
    return TokenCounts(
        step, name, positions, vocabulary, padding if "padding" in record else None, padding_share, shares
    )


def trees_of(record: Mapping[str, Any]) -> TreeFacts | None:
    """The line ``trees``."""
    step, depth, importance = step_of(record.get("trees")), number(record.get("depth")), record.get("importance")
    kind = record.get("type")
    if step is None or depth is None or not isinstance(importance, dict) or not isinstance(kind, str):
        return None
    found = {name: share for name, value in importance.items() if (share := step_of(value)) is not None}
    if len(found) != len(importance) or len(found) > MAX_FEATURES:
        return None
    return TreeFacts(step, depth if math.isfinite(depth) else math.nan, found, kind)
