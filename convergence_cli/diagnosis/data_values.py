"""The changes of remedies that concern data, targets and the loss."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from convergence_cli.features.tensors.series import series_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from convergence_cli.features.evidence import Evidence

    Value = tuple[dict[str, Any], str]


def normalize_targets(evidence: Evidence, facts: Mapping[str, float]) -> Value | None:
    """Standardisation of the targets by the figures of the training set."""
    stats = evidence.run.tensors
    real = [] if stats is None else [one for one in series_of(stats, "label") if math.isfinite(one.number("std")[0])]
    if real:
        mean, std = float(real[0].number("mean").mean()), float(real[0].number("std").mean())
        seen = f"The dumped targets have a mean of {mean:.4g} and a standard deviation of {std:.4g}"
    elif evidence.loss is not None:
        first = evidence.loss.shape.first
        seen = f"A first loss of {first:.3g} points to targets of about {math.sqrt(max(first, 0)):.2g} in size"
    else:
        return None
    why = f"{seen}: subtract the mean and divide by the deviation of the training set, and undo it for predictions."
    return {"target_normalization": "standard"}, why


def class_counts(evidence: Evidence) -> dict[float, int]:
    """How often each class was dumped."""
    stats = evidence.run.tensors
    counts: dict[float, int] = {}
    for one in stats.labels if stats is not None else ():
        if not one.sequence:
            for value, count in zip(one.values, one.counts, strict=True):
                counts[value] = counts.get(value, 0) + count
    return counts


def balance_classes(evidence: Evidence, facts: Mapping[str, float]) -> Value | None:
    """Weights inverse to the class counts: n / (k n_c), as scikit-learn's "balanced" has it."""
    counts = class_counts(evidence)
    if len(counts) < 2:
        return {"class_weight": "balanced"}, (
            "No labels are dumped to compute the weights from: weight each class by n / (k n_c) of the training set."
        )
    total = sum(counts.values())
    rare, common = min(counts, key=lambda c: counts[c]), max(counts, key=lambda c: counts[c])
    weight = {label: total / (len(counts) * counts[label]) for label in (rare, common)}
    why = (
        f"Weights n / (k n_c) from the {total} dumped labels: {weight[rare]:.3g} for class {rare:g} "
        f"({counts[rare]} labels), {weight[common]:.3g} for class {common:g} ({counts[common]})."
    )
    return {"class_weight": "balanced"}, why


def sample_evenly(evidence: Evidence, facts: Mapping[str, float]) -> Value | None:
    """Each class as often as the others, where weights would be extreme."""
    counts = class_counts(evidence)
    if len(counts) < 2:
        return None
    ratio = max(counts.values()) / max(min(counts.values()), 1)
    why = f"The commonest class has {ratio:.3g} times the samples of the rarest: draw each class as often in a batch."
    return {"sampling": "balanced"}, why


def repair_labels(evidence: Evidence, facts: Mapping[str, float]) -> Value | None:
    """Where the labels are looked at; how many, by the confusion of what was dumped."""
    right = facts.get("train_right")
    share = "" if right is None else f" At the end {right:.0%} of the dumped training samples are right."
    why = (
        "Check how labels are paired with inputs, then read the training samples whose loss stays highest and relabel "
        f"or drop those that are wrong.{share}"
    )
    return {"labels": "repair"}, why


def split_again(evidence: Evidence, facts: Mapping[str, float]) -> Value | None:
    why = "Split the data again by group (user, document, patient), drop duplicates, then compare the two losses."
    return {"split": "by-group"}, why


def repair_inputs(evidence: Evidence, facts: Mapping[str, float]) -> Value | None:
    """Inputs that are mostly zero or constant; None where what was dumped does not show it."""
    empty = max(facts.get("input_zero", 0.0), facts.get("input_constant", 0.0))
    if empty >= 0.3:
        return {"inputs": "repair"}, f"{empty:.0%} of the input is zero or constant: find where the features are lost."
    if facts.get("end_near_chance", 0.0) > 0.5:
        return {"inputs": "repair"}, "The loss rests where a model that ignores its input would: check what arrives."
    return None


def fitting_loss(evidence: Evidence, facts: Mapping[str, float]) -> Value | None:
    """The loss of the task: cross entropy for classes, squared error for numbers, to be minimised."""
    classes = evidence.config.get("num_classes") or evidence.config.get("vocab_size")
    counts = class_counts(evidence)
    name = "cross_entropy" if classes or counts or evidence.accuracy is not None else ""
    stats = evidence.run.tensors
    if not name and stats is not None:
        output = [one for one in series_of(stats, "output") if one.shape is not None]
        if output:
            wide = output[-1].shape is not None and output[-1].shape[-1] > 1
            name = "cross_entropy" if wide else "mse"
    if not name:
        name = "mse" if facts.get("targets_known") else "cross_entropy"
    rises = "It rises from the start: check its sign. " if facts.get("first_steps_rise") else ""
    kind = (
        "classes are told apart by the cross entropy of logits"
        if name == "cross_entropy"
        else ("numbers are fitted by squared error")
    )
    return {"loss": name}, f"{rises}Compare outputs with their own targets, and minimise: {kind}."


def bucket_lengths(evidence: Evidence, facts: Mapping[str, float]) -> Value | None:
    """Batches of sequences of like length."""
    stats = evidence.run.tensors
    shares = [one.padding_share for one in stats.tokens] if stats is not None else []
    if not shares:
        return None
    share = sum(shares) / len(shares)
    why = f"{100 * share:.0f} % of the positions are padding: batches of sequences of like length save most of that."
    return {"batching": "by-length"}, why
