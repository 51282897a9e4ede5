"""Which series plays which role: one table of words, applied to the names a run was logged under."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.errors import UsageError
from convergence_cli.printable import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from convergence_cli.model import Curve, Direction, Run

ROLES = (
    "train_loss",
    "val_loss",
    "train_accuracy",
    "val_accuracy",
    "train_metric",
    "val_metric",
    "learning_rate",
    "grad_norm",
    "loss_scale",
    "nan_steps",
    "skipped_steps",
    "reward",
    "adversarial_loss",
)

_TRAIN = frozenset({"train", "training", "tr", "trn", "learn"})
_VAL = frozenset({"val", "valid", "validation", "eval", "evaluation", "dev", "holdout", "heldout"})
_TEST = frozenset({"test", "testing"})
_LOSS = (
    frozenset({"loss", "losses"}),
    frozenset({"nll", "xent", "logloss", "mlogloss", "bce", "ce", "cost", "objective", "bpb", "bpc", "elbo"}),
    frozenset({"mse", "rmse", "mae", "mape", "l2", "l1", "ppl", "perplexity", "error", "merror"}),
)
_ACCURACY = frozenset({"acc", "accuracy", "top1", "acc1", "prec1"})
_HIGHER = frozenset(
    {
        "auc",
        "aucpr",
        "auprc",
        "auroc",
        "prauc",
        "f1",
        "map",
        "map50",
        "iou",
        "miou",
        "dice",
        "bleu",
        "rouge",
        "ssim",
        "psnr",
        "precision",
        "recall",
    }
    | {"r2", "score", "ndcg", "mcc", "kappa", "ap", "hit", "bertscore", "em"}
)
_REWARD = frozenset({"reward", "rewards", "rew", "return", "returns"})
_RATE = frozenset({"lr", "lr0", "learningrate"})
_NOT_A_LOSS = frozenset(
    {
        "scale",
        "scaler",
        "weight",
        "weights",
        "coef",
        "count",
        "num",
        "time",
        "ratio",
        "ppl",
        "perplexity",
        "std",
    }
    | {"var", "min", "max", "norm", "lr", "rate", "delta", "zloss", "aux", "threshold", "best"}
)
# Words that do not make a loss a component of another.
_NEUTRAL = frozenset(
    {
        "step",
        "epoch",
        "total",
        "avg",
        "mean",
        "average",
        "batch",
        "running",
        "iter",
        "iterations",
        "iteration",
    }
    | {
        "lm",
        "overall",
        "all",
        "sum",
        "vs",
        "global",
        "full",
        "model",
        "net",
        "value",
        "raw",
        "epochs",
        "ema",
        "main",
    }
    | {
        "metrics",
        "metric",
        "losses",
        "loss",
        "log",
        "history",
        "smoothed",
        "current",
        "per",
        "set",
        "token",
        "0",
    }
)
_ADVERSARIAL = frozenset(
    {
        "g",
        "d",
        "gen",
        "disc",
        "generator",
        "discriminator",
        "adv",
        "gan",
        "netg",
        "netd",
        "actor",
        "critic",
        "policy",
    }
)
# At a capital after a small letter, but not within mAP and mIoU.
_SPLIT = re.compile(r"[^0-9A-Za-z]+|(?<=[a-z])(?<!^m)(?<![^A-Za-z]m)(?=[A-Z])")
# A candidate must span this share of the longest one's steps: some runs log a detailed loss for the
# first 100 steps only, which alone looks stuck.
_MIN_COVERAGE = 0.6


@dataclass(frozen=True, slots=True)
class _Candidate:
    curve: Curve
    words: frozenset[str]
    part: str
    tier: int
    extra: frozenset[str]

    @property
    def span(self) -> float:
        return float(self.curve.step.max() - self.curve.step.min()) if len(self.curve.step) else 0.0


def words(name: str) -> tuple[str, ...]:
    """The lower-case words of a logged name: ``train/boxLoss`` gives ``train, box, loss``."""
    joined = re.sub(r"(?i)learning[ _-]?rate", "lr", name)
    joined = re.sub(r"(?i)cross[ _-]?entropy", "xent", joined)
    joined = joined.replace("IoU", "Iou")
    return tuple(word.lower() for word in _SPLIT.split(joined) if word)


def direction_of(name: str) -> Direction:
    """Whether higher or lower values of a series of that name are better."""
    found = set(words(name))
    return "higher" if found & (_ACCURACY | _HIGHER | _REWARD) and not found & _LOSS[0] else "lower"


def assign_roles(run: Run, overrides: Mapping[str, str] | None = None) -> Run:
    """``run`` with a role on every series that has one; a sum of component losses is added where needed.

    A role that the reader knows from the format itself stays.
    ``overrides`` maps a role to the logged name that shall play it, and no other; a name that is not there,
    or is given for two roles, is a ``UsageError`` that lists what there is.
    """
    overrides = overrides or {}
    _check(run, overrides)
    curves = [replace(curve, role=None, direction=direction_of(curve.name)) for curve in run.curves]
    chosen: dict[str, Curve] = {}
    notes: list[str] = []
    chosen.update(_losses(curves, notes))
    chosen.update(_others(curves))
    known = {curve.role: curve for curve in run.curves if curve.role is not None}
    if known:
        names = {curve.name for curve in known.values()}
        chosen = {role: curve for role, curve in chosen.items() if curve.name not in names} | known
    named = set(overrides.values())
    chosen = {role: curve for role, curve in chosen.items() if curve.name not in named}
    for role, name in overrides.items():
        chosen[role] = next(curve for curve in curves if curve.name == name)
    by_name = {curve.name: role for role, curve in chosen.items()}
    kept = [replace(curve, role=by_name.get(curve.name)) for curve in curves]
    made = [replace(curve, role=role) for role, curve in chosen.items() if curve.name not in {c.name for c in curves}]
    return replace(run, curves=(*kept, *made)).noting(*notes)


def _check(run: Run, overrides: Mapping[str, str]) -> None:
    names = [curve.name for curve in run.curves]
    for role, name in overrides.items():
        if role not in ROLES:
            raise UsageError(f"There is no role {printable(role)!r}.", f"Roles are: {', '.join(ROLES)}.")
        if name not in names:
            shown = ", ".join(printable(known, 40) for known in names[:12])
            raise UsageError(
                f"{printable(run.path)} has no series {printable(name)!r} to read as {role}.",
                f"It has: {shown}.",
            )
        others = [other for other, taken in overrides.items() if taken == name and other != role]
        if others:
            raise UsageError(
                f"{printable(name)!r} is to be read as {role} and as {others[0]}.", "Name one role for each series."
            )


def _candidates(curves: Sequence[Curve]) -> list[_Candidate]:
    found = []
    for curve in curves:
        parts = frozenset(words(curve.name))
        tier = next((rank for rank, group in enumerate(_LOSS) if parts & group), None)
        if tier is None or (parts & _NOT_A_LOSS and tier < 2) or parts & (_ACCURACY | _REWARD):
            continue
        part = "val" if parts & _VAL else "test" if parts & _TEST else "train"
        if part != "train" and parts & _TRAIN:
            part = "train"
        extra = parts - _TRAIN - _VAL - _TEST - _NEUTRAL - (_LOSS[tier] if tier == 0 else frozenset())
        found.append(_Candidate(curve, parts, part, tier, extra))
    return found


def _losses(curves: Sequence[Curve], notes: list[str]) -> dict[str, Curve]:
    candidates = _candidates(curves)
    adversarial = [c for c in candidates if c.tier == 0 and c.extra & _ADVERSARIAL]
    if adversarial and not any(c.tier == 0 and not c.extra & _ADVERSARIAL for c in candidates):
        longest = max(adversarial, key=lambda c: c.curve.points)
        notes.append("losses of two players (generator, critic, ...) do not show convergence on their own")
        return {"adversarial_loss": longest.curve}
    chosen: dict[str, Curve] = {}
    train = _best(candidates, "train", None, notes)
    if train is not None:
        chosen["train_loss"] = train.curve
    for part in ("val", "test"):
        val = _best(candidates, part, train, notes)
        if val is not None:
            chosen["val_loss"] = val.curve
            break
    return chosen


def _best(candidates: Sequence[_Candidate], part: str, like: _Candidate | None, notes: list[str]) -> _Candidate | None:
    of_part = [c for c in candidates if c.part == part and c.curve.points]
    if not of_part:
        return None
    if like is not None:
        same = [c for c in of_part if c.tier == like.tier and c.extra == like.extra]
        same = same or [c for c in of_part if c.tier == like.tier]
        if not same and like.tier == 0:
            # A validation error rate beside a training cross-entropy is another quantity.
            return None
        of_part = same or of_part
    tier = min(c.tier for c in of_part)
    of_part = [c for c in of_part if c.tier == tier]
    totals = [c for c in of_part if not c.extra]
    if not totals and tier == 0 and len(of_part) > 1:
        summed = _sum(of_part)
        if summed is not None:
            notes.append(f"no total {part} loss is logged: the sum of {len(of_part)} component losses is read")
            return summed
    pool = totals or of_part
    longest = max(c.span for c in pool)
    pool = [c for c in pool if c.span >= _MIN_COVERAGE * longest]
    # "ema" of the loss lags behind it; a plain name beats it.
    return max(pool, key=lambda c: ("ema" not in c.words, c.curve.points, -len(c.words)))


def _sum(parts: Sequence[_Candidate]) -> _Candidate | None:
    """The sum of component losses that were logged at the same steps."""
    longest = max(len(c.curve.step) for c in parts)
    parts = [c for c in parts if len(c.curve.step) == longest and c.curve.buckets is None]
    first = parts[0].curve if parts else None
    if first is None or any(not np.array_equal(c.curve.step, first.step) for c in parts):
        return None
    with np.errstate(invalid="ignore", over="ignore"):
        total = np.sum([c.curve.value for c in parts], axis=0)
    name = " + ".join(c.curve.name for c in parts)
    return replace(parts[0], curve=replace(first, name=name, value=total), extra=frozenset())


def _others(curves: Sequence[Curve]) -> dict[str, Curve]:
    chosen: dict[str, Curve] = {}
    ranks: dict[str, tuple[int, int]] = {}
    for curve in curves:
        role = _other_role(words(curve.name))
        if role is None or not curve.points:
            continue
        rank = (curve.points, -len(words(curve.name)))
        if role not in chosen or rank > ranks[role]:
            chosen[role], ranks[role] = curve, rank
    return chosen


def _other_role(parts: tuple[str, ...]) -> str | None:
    found = frozenset(parts)
    held_out = found & (_VAL | _TEST)
    role = None
    if found & _RATE and not found & {"scale", "mult", "ratio"} and not found & _LOSS[0]:
        role = "learning_rate"
    elif {"loss", "scale"} <= found or {"grad", "scale"} <= found:
        role = "loss_scale"
    elif "gnorm" in found or (found & {"grad", "gradient", "grads"} and found & {"norm", "l2", "2"}):
        role = (
            "grad_norm"
            if len(found - {"grad", "gradient", "grads", "norm", "l2", "2"} - _NEUTRAL - _TRAIN) < 2
            else None
        )
    elif {"nan", "iterations"} <= found:
        role = "nan_steps"
    elif {"skipped", "iterations"} <= found or {"skipped", "steps"} <= found:
        role = "skipped_steps"
    elif found & _REWARD or parts == ("r",):
        role = "reward"
    elif found & _ACCURACY:
        role = "val_accuracy" if held_out else "train_accuracy"
    elif found & _HIGHER:
        role = "val_metric" if held_out or "metrics" in found else "train_metric"
    return role
