"""SM105 to SM109: initialization, updates, and tensors that are flat or do not change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convergence_cli.rules._registry import finding, rule
from convergence_cli.rules.sagemaker import CONFIDENCE, MOST, PROFILE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convergence_cli.features.sagemaker.initialization import FirstSteps
    from convergence_cli.features.sagemaker.reading import Reading
    from convergence_cli.features.sagemaker.tensors import UpdateRatios
    from convergence_cli.model import Finding

VARIANCE_RATIO = 10.0
DISTRIBUTION_RANGE = 0.001
PATIENCE = 5
LARGE_THRESHOLD = 10.0
SMALL_THRESHOLD = 1e-8
ZEROS_THRESHOLD = 100.0
NUM_STEPS = 3


@rule("SM105", "sagemaker-poor-weight-initialization", severity="warning", since="0.1", profile=PROFILE)
def poor_weight_initialization(sagemaker_initialization: FirstSteps) -> Iterator[Finding]:
    """Weights are uneven, gradients narrow or the loss flat at first (SageMaker Debugger: PoorWeightInitialization).

    What it checks
        In the first 10 steps: the variances of the weight matrices, the width of the gradients, the loss.

    Why it matters
        A network that is born wrong learns late or never.

    How it decides
        Any of three: largest over smallest variance of the layers above threshold = 10.0; the distance of the
        5th and 95th percentile of a gradient below distribution_range = 0.001; no new minimum of the training
        loss for patience = 5 steps. Only the first steps = 10 count. How the three combine is not documented.

    Known false alarms
        All three are absolute. He and Glorot initialization give layers of different width variances that
        differ more than tenfold; gradients of a healthy large network are narrower than 0.001; a noisy loss
        waits 5 steps for a new minimum. Use IN101 to IN104, which compare with the fan of each layer.

    References
        Amazon SageMaker developer guide, Debugger built-in rules: PoorWeightInitialization.
    """
    first = sagemaker_initialization
    if first.variances is not None and first.variances.ratio > VARIANCE_RATIO:
        high, low = first.variances.highest, first.variances.lowest
        yield finding(
            f"The variance of {high.title} is {first.variances.ratio:.3g} times that of {low.title} "
            f"at step {high.step:g}, above {VARIANCE_RATIO:g}.",
            severity="warning",
            confidence=CONFIDENCE,
            evidence={
                "side": "variance",
                "ratio": first.variances.ratio,
                "highest": high.value,
                "lowest": low.value,
                "threshold": VARIANCE_RATIO,
            },
            series=high.title,
            layer=high.layer,
            first_step=high.step,
        )
    if first.spread is not None and first.spread.value < DISTRIBUTION_RANGE:
        one = first.spread
        yield finding(
            f"{one.title}: its 5th and 95th percentile are {one.value:.3g} apart at step {one.step:g}, "
            f"below {DISTRIBUTION_RANGE:g}.",
            severity="warning",
            confidence=CONFIDENCE,
            evidence={"side": "gradient", "range": one.value, "threshold_range": DISTRIBUTION_RANGE},
            series=one.title,
            layer=one.layer,
            first_step=one.step,
        )
    if first.waiting is not None and first.waiting >= PATIENCE:
        yield finding(
            f"The training loss has had no new minimum for {first.waiting} steps at step {first.waited_until:g}.",
            severity="warning",
            confidence=CONFIDENCE,
            evidence={"side": "loss", "steps": first.waiting, "threshold_patience": PATIENCE},
            series="train_loss",
            first_step=first.waited_until,
        )


@rule("SM106", "sagemaker-weight-update-ratio", severity="warning", since="0.1", profile=PROFILE)
def weight_update_ratio(sagemaker_updates: UpdateRatios) -> Iterator[Finding]:
    """Weights change by more than 10 times, or less than 1e-8 of, themselves (SageMaker Debugger: WeightUpdateRatio).

    What it checks
        The norm of the change of each weight since the dump before, over its norm then plus epsilon = 1e-9.

    Why it matters
        Too large an update forgets what was learned; too small a one learns nothing.

    How it decides
        Above large_threshold = 10.0 or below small_threshold = 1e-8, between any two dumps.

    Known false alarms
        The ratio is over the steps between two dumps, so that its size depends on how often the run dumps.
        Weights that start at zero (the last layer of a residual branch) are above the bound at once, frozen
        ones below it. The bounds lie so far out that a rate wrong by a factor of 1000 passes. Use
        update-ratio-too-small (WT101) and update-ratio-too-large (WT102), which judge one step.

    References
        Amazon SageMaker developer guide, Debugger built-in rules: WeightUpdateRatio.
    """
    large = [one for one in sagemaker_updates.largest if one.value > LARGE_THRESHOLD][:MOST]
    small = [one for one in sagemaker_updates.smallest if one.value < SMALL_THRESHOLD][:MOST]
    for one in (*large, *small):
        side, bound = ("large", LARGE_THRESHOLD) if one.value > LARGE_THRESHOLD else ("small", SMALL_THRESHOLD)
        yield finding(
            f"{one.title}: its change up to step {one.step:g} is {one.value:.3g} times its norm, "
            f"{'above' if side == 'large' else 'below'} {bound:g}.",
            severity="warning",
            confidence=CONFIDENCE,
            evidence={"side": side, "ratio": one.value, "threshold": bound},
            series=one.title,
            layer=one.layer,
            first_step=one.step,
        )


@rule("SM107", "sagemaker-tensor-variance", severity="note", since="0.1", profile=PROFILE)
def tensor_variance(sagemaker_variance: None) -> Iterator[Finding]:
    """The variance of a tensor is out of bounds that have no default (SageMaker Debugger: TensorVariance).

    What it checks
        Nothing: with its documented defaults it cannot fire, and it is always listed as skipped.

    Why it matters
        A variance that vanishes or grows from layer to layer ends learning.

    How it decides
        Variance above max_threshold (no default) or below min_threshold (no default). The example of the
        documentation has 10 and 0.00001, which it does not recommend.

    Known false alarms
        None, and none that are true. Use tensor-variance (TE105), which takes its bounds from the run itself.

    References
        Amazon SageMaker developer guide, Debugger built-in rules: TensorVariance.
    """
    yield from ()


@rule("SM108", "sagemaker-all-zero", severity="warning", since="0.1", profile=PROFILE)
def all_zero(sagemaker_zeros: tuple[Reading, ...]) -> Iterator[Finding]:
    """All values of a tensor are zero (SageMaker Debugger: AllZero).

    What it checks
        The share of zeros in every dumped tensor; SageMaker Debugger wants their names instead.

    Why it matters
        A gradient or activation that is zero throughout carries nothing.

    How it decides
        At least threshold = 100 % of the values are zero, at any dump.

    Known false alarms
        Biases start at zero, and so does the last layer of many residual branches: it fires on most runs.
        Use all-zero-tensor (TE103), which knows them.

    References
        Amazon SageMaker developer guide, Debugger built-in rules: AllZero.
    """
    for one in [one for one in sagemaker_zeros if one.value >= ZEROS_THRESHOLD][:MOST]:
        yield finding(
            f"{one.title}: {one.value:g} % of its values are zero at step {one.step:g}.",
            severity="warning",
            confidence=CONFIDENCE,
            evidence={"zero_percent": one.value, "threshold": ZEROS_THRESHOLD},
            series=one.title,
            layer=one.layer,
            first_step=one.step,
        )


@rule("SM109", "sagemaker-unchanged-tensor", severity="warning", since="0.1", profile=PROFILE)
def unchanged_tensor(sagemaker_unchanged: tuple[Reading, ...]) -> Iterator[Finding]:
    """A tensor is the same at three dumps in a row (SageMaker Debugger: UnchangedTensor).

    What it checks
        Every dumped tensor, value by value where the dump compares them, else by its statistics.

    Why it matters
        What does not change does not learn.

    How it decides
        No value differs by more than atol = 1e-8 + rtol = 1e-5 of it (NaN differs from NaN, equal_nan = False)
        over num_steps = 3 dumps, which need not follow each other.

    Known false alarms
        A batch that is dumped to compare steps, frozen layers, and a rate that has decayed to zero. Gradients
        whose values are all below atol count as unchanged, whatever they do. Use unchanged-tensor (TE104) and
        frozen-parameters (WT103).

    References
        Amazon SageMaker developer guide, Debugger built-in rules: UnchangedTensor.
    """
    for one in [one for one in sagemaker_unchanged if one.value >= NUM_STEPS][:MOST]:
        yield finding(
            f"{one.title}: the same at {one.value:.0f} dumps in a row; the third is step {one.step:g}.",
            severity="warning",
            confidence=CONFIDENCE,
            evidence={"dumps": int(one.value), "threshold_num_steps": NUM_STEPS},
            series=one.title,
            layer=one.layer,
            first_step=one.step,
        )
