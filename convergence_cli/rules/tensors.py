"""TE1xx: facts of tensors of any kind."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from convergence_cli.rules._registry import finding, rule
from convergence_cli.rules._standing import graded, is_failing, others, severity_in, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convergence_cli.features.tensors.facts import Growing, Lasting, NonFiniteTensor, Tensors
    from convergence_cli.features.tensors.weights import Weights
    from convergence_cli.model import Finding, Verdict

_KINDS = ("input", "weight", "activation", "output", "gradient", "update")
GROWTH = 1e3
LARGE_WEIGHT = 10.0
LARGE_VALUE = 100.0
SHARE_OF_LIMIT = 0.5
LASTING_DUMPS = 2
FIRST_STEPS = 10
LASTING_SHARE = 1 / 3
UNCHANGED_DUMPS = 3
UNCHANGED_SHARE = 0.5
FADED = 1e-4


@rule("TE101", "exploding-tensor", severity="error", since="0.1")
def exploding_tensor(tensors: Tensors, verdict: Verdict) -> Iterator[Finding]:
    """A tensor holds NaN or infinite values, or grows towards them.

    What it checks
        NaN and infinite values of every tensor, and the growth of its largest magnitude.

    Why it matters
        One NaN reaches every weight within a step. A tensor that grows without bound is the same failure
        seen earlier.

    How it decides
        Not finite to the last dump, or NaN in an input at any dump: error; the tensor where it began is
        named. Finite: the largest magnitude at least 1,000 times its early level, or above half of what its
        number format holds, and larger at each of the last three dumps, to at least 10 in weights and 100
        elsewhere (a note in a run that converges). Negative infinities alone are masks. Gradients that
        overflow for single steps belong to mixed precision.

    Known false alarms
        None known; a dump that is masked with NaN.

    References
        SageMaker Debugger, rule ExplodingTensor (non-finite values only); DeepLocalize (Wardat et al. 2021).
    """
    broken = [one for one in tensors.nonfinite if _counts(one, verdict)]
    if broken:
        yield _not_finite(broken, verdict)
        return
    grown = [one for one in tensors.growing if one.rising and one.series.kind not in {"gradient", "update"}]
    grown = [one for one in grown if one.end >= GROWTH * one.early or one.end >= SHARE_OF_LIMIT * one.limit]
    # What starts at nothing grows a thousandfold to get to work.
    grown = [one for one in grown if one.end >= (LARGE_WEIGHT if one.series.kind == "weight" else LARGE_VALUE)]
    grown.sort(key=lambda one: -one.end / one.early)
    for one, more in shown(grown, "tensor"):
        yield _growing(one, verdict, more)


def _counts(one: NonFiniteTensor, verdict: Verdict) -> bool:
    if one.masked:
        return False
    if one.series.kind == "input":
        return True
    return one.lasting


def _not_finite(broken: list[NonFiniteTensor], verdict: Verdict) -> Finding:
    first = broken[0]
    kinds = " and ".join(
        f"{int(count):,} {name} values" for name, count in (("NaN", first.nan), ("infinite", first.inf)) if count
    )
    where = f": it is the first of {len(broken)} tensors that are not finite" if len(broken) > 1 else ""
    return finding(
        f"{first.series.title} has {kinds} (of {int(first.count):,}) at step "
        f"{first.first_step:g}{', and to the end' if first.lasting else ''}{where}.",
        severity="error" if first.lasting else severity_in(verdict),
        confidence=0.97,
        evidence={
            "side": "input" if first.series.kind == "input" else "non-finite",
            "nan": first.nan,
            "inf": first.inf,
            "values": first.count,
            "threshold_values": 0,
            "dumps": first.dumps,
            "tensors": len(broken),
        },
        series=first.series.title,
        layer=first.series.layer,
        first_step=first.first_step,
    )


def _growing(one: Growing, verdict: Verdict, more: str) -> Finding:
    return finding(
        f"The largest magnitude in {one.series.title} has grown {one.end / one.early:.3g}-fold, from "
        f"{one.early:.3g} to {one.end:.3g} at step {one.series.step[-1]:g}{more}.",
        severity=graded(verdict, strong=False),
        confidence=0.8,
        evidence={
            "side": "growing",
            "early": one.early,
            "end": one.end,
            "growth": one.end / one.early,
            "threshold_growth": GROWTH,
            "largest_number": one.limit,
            "threshold_share_of_largest": SHARE_OF_LIMIT,
        },
        series=one.series.title,
        layer=one.series.layer,
        last_step=float(one.series.step[-1]),
    )


@rule("TE103", "all-zero-tensor", severity="error", since="0.1")
def all_zero_tensor(tensors: Tensors, verdict: Verdict) -> Iterator[Finding]:
    """Every value of a tensor is exactly zero.

    What it checks
        The share of zeros in weights, gradients, updates, activations, inputs and outputs.

    Why it matters
        A layer that puts out zero passes nothing on; one whose gradient is zero learns nothing.

    How it decides
        All values are zero in the last dumps: at least 2 of them (or the only one, past step 10) and a third
        of all. Biases may be zero, integer inputs too, and a frozen layer has no gradient. A note in a run
        that converges.

    Known false alarms
        Experts of a mixture that no token was sent to.

    References
        SageMaker Debugger, rule AllZero; DeepDiagnosis (Wardat et al. 2022).
    """
    found = [one for one in tensors.zero if _lasts(one)]
    # What comes in first makes the rest zero: of each kind the first is named.
    for kind in _KINDS:
        alike = [one for one in found if one.series.kind == kind]
        for one in alike[:1]:
            yield _lasting(
                one,
                f"All values of {one.series.title} are zero in the last {one.dumps} of {one.of} dumps, from step "
                f"{one.since:g} on{others(len(alike) - 1, 'tensor')}.",
                verdict,
                {"zero_share": 1.0, "threshold_zero_share": 1.0, "tensors": len(alike)},
            )


@rule("TE104", "unchanged-tensor", severity="error", since="0.1")
def unchanged_tensor(tensors: Tensors, verdict: Verdict, weights: Weights | None = None) -> Iterator[Finding]:
    """A tensor that should change is the same at every dump.

    What it checks
        Weights (by their values, or by their statistics to the last digit) from dump to dump; activations,
        outputs and gradients while the inputs change.

    Why it matters
        Weights that get a gradient and stay as they are sit outside the optimizer; an output that does not
        depend on the input, or a gradient that is the same for other data, comes from a broken graph.

    How it decides
        The same in the last 3 dumps at least, and in half of all. Weights without a gradient are frozen, which
        frozen-parameters reports, and where all stop together the schedule has ended. A note in a run that
        converges.

    Known false alarms
        Layers left out of the optimizer on purpose, whose gradient is computed all the same (a note, unless
        the run fails).

    References
        SageMaker Debugger, rule UnchangedTensor (3 steps); TrainCheck (Jiang et al. 2025).
    """
    known = weights is not None and weights.gradients_dumped
    faded = set() if weights is None else {one.series.name for one in weights.still if one.share < FADED}
    found = [
        one
        for one in tensors.unchanged
        if one.dumps >= UNCHANGED_DUMPS
        and not one.series.is_embedding
        and one.dumps >= UNCHANGED_SHARE * one.of
        and not (one.series.kind == "weight" and known and not one.gradient > 0)
        and one.series.name not in faded
    ]
    # A schedule that has come down to zero stops all weights at once.
    stopped = sum(one.series.kind == "weight" and one.dumps < one.of for one in found)
    if weights is not None and stopped == sum(one.is_matrix for one in weights.series):
        found = [one for one in found if one.series.kind != "weight"]
    for one, more in shown(found, "tensor"):
        yield _lasting(
            one,
            f"{one.series.title} is the same in the last {one.dumps} of {one.of} dumps, from step {one.since:g} to "
            f"{one.series.step[-1]:g}{more}.",
            verdict,
            {"gradient": one.gradient if isfinite(one.gradient) else None, "threshold_dumps": UNCHANGED_DUMPS},
        )


@rule("TE105", "tensor-variance", severity="error", since="0.1")
def tensor_variance(tensors: Tensors, verdict: Verdict) -> Iterator[Finding]:
    """A layer puts out the same for every sample.

    What it checks
        The share of a layer's units that have one value for all samples of a dumped batch (8 samples or more).

    Why it matters
        What does not vary with the input carries nothing of it: all layers behind see a constant.

    How it decides
        All units are constant, though not zero, in the last dumps: at least 2 and a third of all. An absolute
        band for the variance (SageMaker's min_threshold and max_threshold) has no default that fits two models.

    Known false alarms
        A batch that holds one sample many times.

    References
        SageMaker Debugger, rule TensorVariance; TheDeepChecker (Ben Braiek and Khomh 2023), constant outputs.
    """
    found = [one for one in tensors.constant if _lasts(one)]
    # Layers behind a constant one are constant, too.
    for one in found[:1]:
        yield _lasting(
            one,
            f"{one.series.title} is the same for all {one.series.number('samples')[-1]:g} samples in the last "
            f"{one.dumps} of {one.of} dumps, from step {one.since:g} on{others(len(found) - 1)}.",
            verdict,
            {"constant_share": round(one.share, 4), "threshold_constant_share": 0.999},
        )


def _lasts(one: Lasting) -> bool:
    if one.dumps < LASTING_DUMPS and not (one.of == 1 and one.since > FIRST_STEPS):
        return False
    return one.dumps >= LASTING_SHARE * one.of


def _lasting(one: Lasting, message: str, verdict: Verdict, evidence: dict[str, float | None]) -> Finding:
    return finding(
        message,
        severity=graded(verdict, strong=one.dumps >= UNCHANGED_DUMPS),
        confidence=(0.9 if is_failing(verdict) else 0.75) if one.of > 1 else 0.6,
        evidence={
            **evidence,
            "dumps": one.dumps,
            "of_dumps": one.of,
            "threshold_share_of_dumps": round(LASTING_SHARE, 3),
        },
        series=one.series.title,
        layer=one.series.layer,
        first_step=one.since,
        last_step=float(one.series.step[-1]),
    )
