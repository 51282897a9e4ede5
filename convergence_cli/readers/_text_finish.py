"""What is left to do once a text log is read to its end: processes that were not told apart, names, known roles."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from convergence_cli.model import Curve

SEVERAL = "several processes print the same series: only the first one's is read"
# Fewer steps that repeat themselves could be anything.
_FEWEST_STEPS = 4
_MOST_PROCESSES = 4096
# What these programs print under a name that does not tell the quantity: name -> role.
_KNOWN = {
    "composer": (
        ("metrics/eval/languagecrossentropy", "val_loss"),
        ("metrics/eval/crossentropy", "val_loss"),
        ("metrics/eval/multiclassaccuracy", "val_accuracy"),
        ("metrics/train/multiclassaccuracy", "train_accuracy"),
    ),
    # Their tables score the validation set.
    "fastai": (("accuracy", "val_accuracy"),),
    "huggingface-console": (("accuracy", "val_accuracy"),),
}


def one_process(curve: Curve) -> Curve:
    """``curve`` with the first value at each step, where each step stands there as often as the others.

    So print the processes of a distributed run that say nothing of their rank. A step that is there again later is
    a restart and stays.
    """
    step = curve.step
    if curve.buckets is not None or curve.restarts or len(step) < 2 * _FEWEST_STEPS:
        return curve
    first = np.flatnonzero(np.concatenate(([True], step[1:] != step[:-1])))
    times = np.diff(np.append(first, len(step)))
    if len(first) < _FEWEST_STEPS or not 1 < times[0] <= _MOST_PROCESSES:
        return curve
    if (times[:-1] != times[0]).any() or times[-1] > times[0]:
        return curve
    return replace(
        curve,
        step=step[first],
        value=curve.value[first],
        epoch=None if curve.epoch is None else curve.epoch[first],
        line=None if curve.line is None else curve.line[first],
    )


def named(curves: tuple[Curve, ...], unnamed: set[str]) -> tuple[tuple[Curve, ...], str]:
    """``curves`` with those called losses for want of a name called scores where they rise within 0 to 1."""
    kinds = [curve for curve in curves if curve.name in unnamed]
    rises = [
        bool(((curve.value >= 0) & (curve.value <= 1)).all()) and float(curve.value[-1]) > float(curve.value[0])
        for curve in kinds
    ]
    if not all(rises):
        return curves, "the log does not name what it measures: it is read as a loss"
    renamed = tuple(
        replace(curve, name=curve.name.replace("_loss", "_score")) if curve.name in unnamed else curve
        for curve in curves
    )
    return renamed, "the log does not name what it measures: it rises within 0 to 1 and is read as a score"


def known_roles(form: str, curves: tuple[Curve, ...]) -> tuple[Curve, ...]:
    """``curves`` with the roles that only the program's documentation tells."""
    roles: dict[str, str] = {}
    names = {curve.name.lower(): curve.name for curve in curves}
    for name, role in _KNOWN.get(form, ()):
        if name in names and role not in roles.values():
            roles[names[name]] = role
    if not roles:
        return curves
    return tuple(replace(curve, role=roles.get(curve.name)) for curve in curves)


def with_entropy(form: str, curves: tuple[Curve, ...]) -> tuple[tuple[Curve, ...], str | None]:
    """``curves`` with the cross-entropy of validation where the log has only its exponential.

    OpenNMT prints both of training, and of validation the perplexity alone, which no gap can be measured to.
    """
    names = {curve.name: curve for curve in curves}
    printed = names.get("val_perplexity")
    if form != "opennmt" or printed is None or "xent" not in names or "val_xent" in names:
        return curves, None
    with np.errstate(invalid="ignore", divide="ignore"):
        made = replace(printed, name="val_xent", value=np.log(printed.value))
    return (*curves, made), "val_xent is the logarithm of val_perplexity, which stands in the log"


def notes_of(notes: Iterable[str | None]) -> tuple[str, ...]:
    """The notes that there are, each once."""
    return tuple(dict.fromkeys(note for note in notes if note))
