"""Class labels, what was predicted for them, and the tokens of sequences, pooled over the dumps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from convergence_cli.features.robust import median
from convergence_cli.features.tensors.persistence import NAN, tail_length
from convergence_cli.features.tensors.series import series_of
from convergence_cli.model import Missing

if TYPE_CHECKING:
    import numpy.typing as npt

    from convergence_cli.features.evidence import Evidence
    from convergence_cli.tensor_stats import Confusion, FloatArray, LabelCounts, TensorStats, TokenCounts

Record = TypeVar("Record", "LabelCounts", "Confusion", "TokenCounts")

# One-sided error of the bounds, over all pairs of classes together.
ALPHA = 0.005
_TRAINING = ("", "train", "global")
# A single dump tells what a model predicts only if it comes after this step.
FIRST_STEPS = 10
# Standard errors of the lesser bound of a ratio.
LIKELY = 2.0
# Fewer classes have no spread of recalls to compare one with.
MIN_SPREAD = 8


@dataclass(frozen=True, slots=True)
class LabelSet:
    """One label tensor. ``counts`` (class -> samples) is pooled over ``dumps`` different batches.

    ``ratio`` is the most frequent class over the rarest; ``ratio_low`` its lower confidence bound over all pairs,
    ``ratio_likely`` that of two standard errors.
    ``repeated``: every dump holds the same labels, which then count once.
    """

    name: str
    counts: dict[float, int]
    samples: int
    dumps: int
    first_step: float
    ratio: float
    ratio_low: float
    ratio_likely: float
    rarest: float
    commonest: float
    repeated: bool


@dataclass(frozen=True, slots=True)
class Labels:
    """Every label tensor with one class a sample."""

    sets: tuple[LabelSet, ...]


@dataclass(frozen=True, slots=True)
class ClassRecall:
    """One class: its samples, the share of them that was predicted right, and what it was mostly taken for.

    ``gain`` is by how much that share lies above the one in the third of the dumps before; 0 where there is none.
    ``surprise`` is the probability that so few are right at the accuracy of all samples. ``outlier`` says whether it
    lies below the others' recalls by more than 1.5 times their interquartile range (Tukey 1977); True of few classes.
    ``share`` is that of its samples among all, times the number of classes; ``elsewhere`` the share of right ones among
    the samples of all other classes.
    """

    label: int
    samples: int
    recall: float
    gain: float
    surprise: float
    outlier: bool
    share: float
    elsewhere: float
    taken_for: int


@dataclass(frozen=True, slots=True)
class ConfusedPair:
    """Samples of class ``label`` that were taken for class ``other``.

    ``share`` is that of the class's samples, ``fall`` by how much it lies below that in the third of the dumps before
    (0 where there is none), ``share_low`` its lower confidence bound over all pairs. ``back`` is the share of
    ``other`` that was taken for ``label``, ``both_low`` the lower bound of both directions together; ``elsewhere``
    is the share of errors among the samples of all other classes but these two.
    """

    label: int
    other: int
    samples: int
    share: float
    fall: float
    share_low: float
    back: float
    both_low: float
    elsewhere: float


@dataclass(frozen=True, slots=True)
class PredictionSet:
    """One output against its labels, pooled over the last third of the dumps (``first_step`` to ``last_step``).

    ``majority`` is the share of the most frequent class: the accuracy of a model that knows nothing else.
    ``gain`` is by how much the accuracy lies above that of the third before; 0 where there is none.
    """

    name: str
    samples: int
    classes: int
    accuracy: float
    gain: float
    majority: float
    recalls: tuple[ClassRecall, ...]
    pairs: tuple[ConfusedPair, ...]
    dumps: int
    first_step: float
    last_step: float

    def recall_of(self, label: float) -> ClassRecall | None:
        """The class ``label``, or None where it has no sample."""
        return next((one for one in self.recalls if one.label == label), None)


@dataclass(frozen=True, slots=True)
class Predictions:
    """Every output that was dumped with its labels."""

    sets: tuple[PredictionSet, ...]


@dataclass(frozen=True, slots=True)
class TokenSet:
    """One input of tokens. ``padding_share`` and ``top_share`` (of ``top``, the most frequent token that is no
    padding) are the lowest over all dumps; ``positions`` counts all of them."""

    name: str
    positions: int
    vocabulary: int
    padding: int | None
    padding_share: float
    mean_padding_share: float
    top: int | None
    top_share: float
    dumps: int
    first_step: float


@dataclass(frozen=True, slots=True)
class Tokens:
    """Every input of tokens."""

    sets: tuple[TokenSet, ...]


def labels_of(stats: TensorStats, evidence: Evidence) -> Labels | None:
    """Class counts of each label tensor; None where no labels are classes."""
    sets = [_label_set(name, found) for name, found in _by_name(stats.labels).items() if not found[-1].sequence]
    return Labels(tuple(sets)) if sets else None


def predictions_of(stats: TensorStats, evidence: Evidence) -> Predictions | Missing | None:
    """Recalls and confused pairs of each output; None where no output was dumped with class labels.

    Tokens that are predicted from tokens are no classes: rare ones and padding are never predicted. An output that
    is the same for all samples predicts nothing, nor does that of the first steps alone.
    """
    found = tuple(one for one in stats.confusions if not (one.sequence and stats.tokens))
    if not found:
        return None
    same = {(one.name, step) for one in series_of(stats, "output") for step in one.step[one.number("constant") >= 1]}
    named = _by_name(tuple(one for one in found if (one.name, one.step) not in same))
    sets = [
        _prediction_set(name, confusions)
        for name, confusions in named.items()
        if len(confusions) > 1 or confusions[-1].step > FIRST_STEPS
    ]
    if not sets:
        return Missing("needs class labels and outputs that differ by sample, at two steps or after the first ones")
    return Predictions(tuple(sets))


def tokens_of(stats: TensorStats, evidence: Evidence) -> Tokens | None:
    """Padding and frequent tokens of each input of tokens; None where there is none."""
    sets = [_token_set(name, found) for name, found in _by_name(stats.tokens).items()]
    return Tokens(tuple(sets)) if sets else None


def _by_name(records: tuple[Record, ...]) -> dict[str, list[Record]]:
    """The records of each name by step, of training where there are any; of a step dumped twice the later."""
    training = [one for one in records if one.mode.lower() in _TRAINING]
    named: dict[str, dict[float, Record]] = {}
    for one in training or records:
        named.setdefault(one.name, {})[one.step] = one
    return {name: list(found.values()) for name, found in named.items()}


def _label_set(name: str, found: list[LabelCounts]) -> LabelSet:
    repeated = len(found) > 1 and all((one.values, one.counts) == (found[0].values, found[0].counts) for one in found)
    counts: dict[float, int] = {}
    for one in found[:1] if repeated else found:
        for value, count in zip(one.values, one.counts, strict=True):
            # What is below 0 beside other classes is a sign for "none".
            if value >= 0 or set(one.values) <= {-1.0, 1.0}:
                counts[value] = counts.get(value, 0) + count
    counts = {value: count for value, count in counts.items() if count}
    ratio = low = likely = rarest = commonest = NAN
    if len(counts) >= 2:
        rarest, commonest = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
        many, few = counts[commonest], counts[rarest]
        ratio = many / few
        low, likely = _ratio_low(many, few, _deviate(len(counts))), _ratio_low(many, few, LIKELY)
    return LabelSet(
        name=name,
        counts=dict(sorted(counts.items())),
        samples=sum(counts.values()),
        dumps=1 if repeated else len(found),
        first_step=found[0].step,
        ratio=ratio,
        ratio_low=low,
        ratio_likely=likely,
        rarest=rarest,
        commonest=commonest,
        repeated=repeated,
    )


def _ratio_low(many: int, few: int, deviate: float) -> float:
    """Lower bound of the ratio of two counts by the normal approximation of its logarithm with 1/2 added to each
    (Haldane 1956), ``deviate`` standard errors below it."""
    error = math.sqrt(1 / (many + 0.5) + 1 / (few + 0.5))
    return math.exp(math.log((many + 0.5) / (few + 0.5)) - deviate * error)


def _deviate(classes: int) -> float:
    """Of a bound at ``ALPHA`` over all ordered pairs of classes (Bonferroni)."""
    return NormalDist().inv_cdf(1 - ALPHA / max(classes * (classes - 1), 1))


def _prediction_set(name: str, found: list[Confusion]) -> PredictionSet:
    tail = tail_length(len(found))
    late = found[-tail:]
    first_step = late[0].step
    # The same batch at every dump says the same again.
    rows = [one.matrix.sum(axis=1) for one in late]
    if all(np.array_equal(row, rows[0]) for row in rows[1:]):
        late = late[-1:]
    size = max(len(one.matrix) for one in found)
    matrix, before = _pooled(late, size), _pooled(found[-2 * tail : -tail], size)
    total, right = float(matrix.sum()), float(np.trace(matrix))
    accuracy = right / total if total else NAN
    return PredictionSet(
        name=name,
        samples=int(total),
        classes=int((matrix.sum(axis=1) > 0).sum()),
        accuracy=accuracy,
        gain=accuracy - float(np.trace(before) / before.sum()) if before.any() else 0.0,
        majority=float(matrix.sum(axis=1).max()) / total if total else NAN,
        recalls=_recalls(matrix, before, accuracy),
        pairs=_pairs(matrix, before),
        dumps=tail,
        first_step=first_step,
        last_step=late[-1].step,
    )


def _pooled(found: list[Confusion], size: int) -> npt.NDArray[np.float64]:
    matrix = np.zeros((size, size), dtype=np.float64)
    for one in found:
        matrix[: len(one.matrix), : len(one.matrix)] += one.matrix
    return matrix


def _recalls(
    matrix: npt.NDArray[np.float64], before: npt.NDArray[np.float64], accuracy: float
) -> tuple[ClassRecall, ...]:
    samples = matrix.sum(axis=1)
    seen = np.flatnonzero(samples)
    recall = np.diag(matrix)[seen] / samples[seen]
    fence = -math.inf
    if len(seen) >= MIN_SPREAD:
        low, high = np.sort(recall)[[len(seen) // 4, (3 * len(seen)) // 4]]
        fence = float(low - 1.5 * (high - low))
    wrong = matrix - np.diag(np.diag(matrix))
    return tuple(
        ClassRecall(
            label=label,
            samples=int(samples[label]),
            recall=float(value),
            gain=float(value) - _share(before, label, label, float(value)),
            surprise=at_most(int(matrix[label, label]), int(samples[label]), accuracy),
            outlier=len(seen) < MIN_SPREAD or float(value) < fence,
            share=float(samples[label] / samples.sum() * len(seen)),
            elsewhere=_others(np.diag(matrix), label) / max(_others(samples, label), 1),
            taken_for=int(np.argmax(wrong[label])),
        )
        for label, value in zip(seen.tolist(), recall.tolist(), strict=True)
    )


def _share(matrix: npt.NDArray[np.float64], label: int, other: int, otherwise: float) -> float:
    """The share of the samples of ``label`` that were taken for ``other``; ``otherwise`` where there are none."""
    samples = float(matrix[label].sum())
    return float(matrix[label, other]) / samples if samples else otherwise


def _others(values: npt.NDArray[np.float64], label: int) -> float:
    return float(values.sum() - values[label])


def _pairs(matrix: npt.NDArray[np.float64], before: npt.NDArray[np.float64]) -> tuple[ConfusedPair, ...]:
    """For each class the one that it was most often taken for."""
    samples = matrix.sum(axis=1)
    seen = np.flatnonzero(samples)
    wrong = matrix - np.diag(np.diag(matrix))
    errors = wrong.sum(axis=1)
    deviate = _deviate(len(seen))
    pairs = []
    for label in seen.tolist():
        other = int(np.argmax(wrong[label]))
        rest = float(samples.sum() - samples[label] - samples[other])
        share = float(wrong[label, other] / samples[label])
        both = float(samples[label] + samples[other])
        mixed = float(wrong[label, other] + wrong[other, label]) / both
        pairs.append(
            ConfusedPair(
                label=label,
                other=other,
                samples=int(samples[label]),
                share=share,
                fall=_share(before, label, other, share) - share,
                share_low=_wilson_low(share, float(samples[label]), deviate),
                back=float(wrong[other, label]) / float(samples[other]) if samples[other] else 0.0,
                both_low=_wilson_low(mixed, both, deviate),
                elsewhere=float(errors.sum() - errors[label] - errors[other]) / rest if rest else NAN,
            )
        )
    return tuple(pairs)


def _wilson_low(share: float, count: float, deviate: float) -> float:
    """Lower bound of a proportion (Wilson 1927)."""
    spread = deviate**2 / count
    middle = share + spread / 2
    return (middle - math.sqrt(spread * (share * (1 - share) + spread / 4))) / (1 + spread)


def at_most(right: int, count: int, chance: float) -> float:
    """P(X <= ``right``) of a binomial with ``count`` trials of probability ``chance``."""
    if not 0 < chance < 1:
        return 1.0
    log_odds = math.log(chance) - math.log1p(-chance)
    term = count * math.log1p(-chance)
    terms = [term]
    for k in range(right):
        term += log_odds + math.log(count - k) - math.log(k + 1)
        terms.append(term)
    top = max(terms)
    return min(1.0, math.exp(top) * math.fsum(math.exp(value - top) for value in terms))


def _token_set(name: str, found: list[TokenCounts]) -> TokenSet:
    paddings = {one.padding for one in found}
    padding = next(iter(paddings)) if len(paddings) == 1 else None
    frequent = [token for token in found[-1].shares if token != padding]
    top = frequent[0] if frequent else None
    total = sum(one.positions for one in found)
    shares = np.array([one.padding_share for one in found])
    tops: FloatArray = np.array([0.0 if top is None else one.shares.get(top, 0.0) for one in found])
    return TokenSet(
        name=name,
        positions=total,
        vocabulary=int(median(np.array([float(one.vocabulary) for one in found]))),
        padding=padding,
        padding_share=float(shares.min()) if padding is not None else 0.0,
        mean_padding_share=sum(one.padding_share * one.positions for one in found) / max(total, 1),
        top=top,
        top_share=float(tops.min()),
        dumps=len(found),
        first_step=found[0].step,
    )
