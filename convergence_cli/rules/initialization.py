"""IN1xx: weights as they were born, from dumps of the first steps."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from convergence_cli.rules._registry import finding, rule
from convergence_cli.rules._standing import graded, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convergence_cli.features.tensors.initialization import Born, Initialization
    from convergence_cli.model import Finding, Verdict

TWIN_SHARE = 0.9
ALIKE = 0.02
SMALL_GAIN = 0.03
SMALL_FAN = 12
LARGE_GAIN = 4.2


@rule("IN101", "symmetric-initialization", severity="error", since="0.1")
def symmetric_initialization(initialization: Initialization, verdict: Verdict) -> Iterator[Finding]:
    """The units of a layer start as copies of one another.

    What it checks
        At the first dump, the share of units (rows or columns of a weight, the first 256) whose weights equal
        those of another unit, and the variance between units over the weights' mean square.

    Why it matters
        Units with equal weights get equal gradients and stay equal: the layer is as wide as one unit.

    How it decides
        At least 90 % of the units are copies, or the variance between them is below 2 % of the mean square:
        copies after their first steps (healthy layers have 60 % and more). A last layer, or an adapter, of
        zeros is silent, since it learns from the second step on; zeros elsewhere count where the copies are
        still there at the last dump. A note in a run that converges.

    Known false alarms
        Weights tied on purpose, group by group.

    References
        Goodfellow, Bengio and Courville 2016, "Deep Learning", section 8.4 (breaking symmetry); TheDeepChecker
        (Ben Braiek and Khomh 2023), weight variance of zero; SageMaker Debugger, PoorWeightInitialization.
    """
    found = [one for one in initialization.layers if one.fan_in > 1]
    found = [one for one in found if one.twin >= TWIN_SHARE or one.variance < ALIKE]
    found = [one for one in found if not _is_meant(one, initialization)]
    found.sort(key=lambda one: one.variance_end if isfinite(one.variance_end) else 0.0)
    for one, more in shown(found):
        value = f"{100 * one.twin:.0f} % are copies of another"
        if one.std == 0:
            value = f"all are {one.rms:.3g}"
        elif one.twin < TWIN_SHARE:
            value = f"they differ by {one.variance:.2g} of their mean square"
        still = "; at the last dump they still are" if initialization.dumps and _stays(one) else ""
        yield finding(
            f"The units of {one.series.layer} start alike at step {one.step:g}: {value}{still}{more}.",
            severity=graded(verdict, strong=_stays(one)),
            confidence=0.9 if _stays(one) else 0.7,
            evidence={
                "side": "constant" if one.std == 0 else "copies",
                "share": _rounded(one.twin),
                "threshold_share": TWIN_SHARE,
                "share_at_the_end": _rounded(one.twin_end),
                "variance_between_units": _rounded(one.variance),
                "threshold_variance": ALIKE,
                "variance_at_the_end": _rounded(one.variance_end),
                "fan_in": one.fan_in,
                "fan_out": one.fan_out,
            },
            series=one.series.title,
            layer=one.series.layer,
            first_step=one.step,
        )


def _stays(one: Born) -> bool:
    return one.twin_end >= TWIN_SHARE or one.variance_end < ALIKE


def _rounded(share: float) -> float | None:
    return round(share, 5) if isfinite(share) else None


def _is_meant(one: Born, initialization: Initialization) -> bool:
    """Zeros that learn: a last layer, or one whose units have parted since."""
    if one.is_zero:
        return one.is_last or not _stays(one) or not initialization.dumps
    return one.pruned >= max(one.twin, TWIN_SHARE)


@rule("IN102", "initialization-too-small", severity="error", since="0.1")
def initialization_too_small(initialization: Initialization, verdict: Verdict) -> Iterator[Finding]:
    """A layer starts with weights far too small for its fan-in.

    What it checks
        Each weight's root mean square times the square root of its fan-in (the gain) at the first dump.

    Why it matters
        A gain below 1 shrinks signals and gradients layer by layer; a tiny one silences the network.

    How it decides
        A gain below 0.03; LeCun's is 1, He's 1.41, PyTorch's default 0.58, that of a transformer (0.02) 0.1 to
        0.7. The last layer, which is often meant to start small, zeros, adapters and layers of up to 12 inputs
        are left out. A note in a run that converges.

    Known false alarms
        Scaled-down branches of very deep residual networks (Fixup).

    References
        LeCun et al. 1998, "Efficient BackProp"; Glorot and Bengio 2010; He et al. 2015, equation 10;
        TheDeepChecker (Ben Braiek and Khomh 2023), F-test against these.
    """
    found = [one for one in initialization.layers if 0 < one.gain < SMALL_GAIN and not one.is_last]
    # Tables and adapters have few inputs.
    found = [one for one in found if one.fan_in > SMALL_FAN and "lora" not in one.series.name]
    yield from _of_wrong_scale(sorted(found, key=lambda one: one.gain), verdict, SMALL_GAIN, "small")


@rule("IN103", "initialization-too-large", severity="error", since="0.1")
def initialization_too_large(initialization: Initialization, verdict: Verdict) -> Iterator[Finding]:
    """A layer starts with weights far too large for its fan-in.

    What it checks
        Each weight's root mean square times the square root of its fan-in (the gain) at the first dump.

    Why it matters
        A gain far above 1 multiplies signals layer by layer: units saturate, first losses and gradients are
        huge.

    How it decides
        A gain above 4.2, three times He's. A note in a run that converges.

    Known false alarms
        Layers before a normalisation: their scale does not matter while the loss falls (a note then).

    References
        Glorot and Bengio 2010; He et al. 2015, equation 10; TheDeepChecker (Ben Braiek and Khomh 2023);
        SageMaker Debugger, PoorWeightInitialization.
    """
    # A table whose length is the width of no layer is an embedding by another name.
    found = [
        one
        for one in initialization.layers
        if one.gain > LARGE_GAIN and (one.feeds or one is initialization.layers[-1])
    ]
    yield from _of_wrong_scale(sorted(found, key=lambda one: -one.gain), verdict, LARGE_GAIN, "large")


def _of_wrong_scale(found: list[Born], verdict: Verdict, limit: float, side: str) -> Iterator[Finding]:
    for one, more in shown(found):
        he = (2 / one.fan_in) ** 0.5
        yield finding(
            f"The weights of {one.series.layer} start with a root mean square of {one.rms:.3g}, a gain of "
            f"{one.gain:.3g} for {one.fan_in} inputs (He: {he:.3g}){more}.",
            severity=graded(verdict, strong=False),
            confidence=0.85,
            evidence={
                "side": side,
                "rms": one.rms,
                "gain": one.gain,
                "threshold_gain": limit,
                "fan_in": one.fan_in,
                "fan_out": one.fan_out,
                "he_std": he,
                "glorot_std": (2 / (one.fan_in + one.fan_out)) ** 0.5,
            },
            series=one.series.title,
            layer=one.series.layer,
            first_step=one.step,
        )
