"""SM101 to SM104: gradients, values that are not finite, and activations, by SageMaker Debugger's conditions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convergence_cli.rules._registry import finding, rule
from convergence_cli.rules.sagemaker import CONFIDENCE, MOST, PROFILE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convergence_cli.features.sagemaker.reading import Reading
    from convergence_cli.model import Finding

GRADIENT_THRESHOLD = 1e-7
NONFINITE_THRESHOLD = 0
THRESHOLD_LAYER = 50.0


@rule("SM101", "sagemaker-vanishing-gradient", severity="warning", since="0.1", profile=PROFILE)
def vanishing_gradient(sagemaker_gradients: tuple[Reading, ...]) -> Iterator[Finding]:
    """A gradient is below 1e-7 on average (SageMaker Debugger: VanishingGradient).

    What it checks
        The mean of the absolute values of each dumped gradient at each dump.

    Why it matters
        A layer without a gradient does not learn.

    How it decides
        mean(|gradient|) < threshold = 1e-7, at any dump.

    Known false alarms
        The bound is absolute: a loss that is divided by a large number, a solved task or a frozen layer is
        below it, and a deep network that no longer learns is above it. Use vanishing-gradient (GR101), which
        compares the layers of the run with each other.

    References
        Amazon SageMaker developer guide, Debugger built-in rules: VanishingGradient.
    """
    for one in [one for one in sagemaker_gradients if one.value < GRADIENT_THRESHOLD][:MOST]:
        yield finding(
            f"{one.title}: the mean of its absolute values is {one.value:.3g} at step {one.step:g}, "
            f"below {GRADIENT_THRESHOLD:g}.",
            severity="warning",
            confidence=CONFIDENCE,
            evidence={"abs_mean": one.value, "threshold": GRADIENT_THRESHOLD},
            series=one.title,
            layer=one.layer,
            first_step=one.step,
        )


@rule("SM102", "sagemaker-exploding-tensor", severity="error", since="0.1", profile=PROFILE)
def exploding_tensor(sagemaker_nonfinite: tuple[Reading, ...]) -> Iterator[Finding]:
    """A tensor holds a NaN or infinite value (SageMaker Debugger: ExplodingTensor).

    What it checks
        The number of NaN and infinite values of every dumped tensor.

    Why it matters
        A NaN reaches every weight within a step.

    How it decides
        More than 0 values that are NaN or infinite (only_nan = False), at any dump.

    Known false alarms
        Masked attention logits hold -inf by design. There is no bound on the size: values that grow to 1e30
        are silent until they overflow. Use exploding-tensor (TE101) and exploding-gradient (GR102), which see
        finite growth.

    References
        Amazon SageMaker developer guide, Debugger built-in rules: ExplodingTensor.
    """
    for one in [one for one in sagemaker_nonfinite if one.value > NONFINITE_THRESHOLD][:MOST]:
        yield finding(
            f"{one.title}: {one.value:.0f} of its values are NaN or infinite at step {one.step:g}.",
            severity="error",
            confidence=CONFIDENCE,
            evidence={"nonfinite": int(one.value), "threshold": NONFINITE_THRESHOLD},
            series=one.title,
            layer=one.layer,
            first_step=one.step,
        )


@rule("SM103", "sagemaker-dead-relu", severity="warning", since="0.1", profile=PROFILE)
def dead_relu(sagemaker_relu: tuple[Reading, ...]) -> Iterator[Finding]:
    """More than half of the units of a ReLU layer are dead (SageMaker Debugger: DeadRelu).

    What it checks
        The share of units of each ReLU that are active in less than 1 % of the samples of a dump.

    Why it matters
        A unit that is zero for every sample has no gradient and stays so.

    How it decides
        A unit is dead below threshold_inactivity = 1.0 % activity; the rule fires above threshold_layer =
        50.0 % dead units, at any dump.

    Known false alarms
        Sparse layers by design, and dumps of a few samples, in which most units of a good network are off.
        Use dead-relu (AC101), which asks that they stay dead.

    References
        Amazon SageMaker developer guide, Debugger built-in rules: DeadRelu.
    """
    for one in [one for one in sagemaker_relu if one.value > THRESHOLD_LAYER][:MOST]:
        yield finding(
            f"{one.title}: {one.value:.0f} % of its units are dead at step {one.step:g}, above {THRESHOLD_LAYER:g} %.",
            severity="warning",
            confidence=CONFIDENCE,
            evidence={"dead_percent": one.value, "threshold_layer": THRESHOLD_LAYER},
            series=one.title,
            layer=one.layer,
            first_step=one.step,
        )


@rule("SM104", "sagemaker-saturated-activation", severity="warning", since="0.1", profile=PROFILE)
def saturated_activation(sagemaker_saturation: tuple[Reading, ...]) -> Iterator[Finding]:
    """More than half of the units of a tanh or sigmoid layer are saturated (SageMaker Debugger: SaturatedActivation).

    What it checks
        The share of units of each tanh and sigmoid that are beyond its limits in at least 99 % of the samples.

    Why it matters
        The slope there is almost zero: so is the gradient that goes back through the layer.

    How it decides
        Above threshold_layer = 50.0 % saturated units, at any dump. The limits are ours, a slope below 2 % of
        the steepest: inputs beyond 2.64 of a tanh, and beyond 5.29 of a sigmoid. SageMaker's are -9.4999 to
        9.4999 of a tanh, and -23 to 16.99999 of a sigmoid, whose slope at the one end is 400 times that at the
        other: it fires later than this.

    Known false alarms
        Gates and outputs of a confident classifier saturate by design. Use saturated-activation (AC102), which
        leaves them out.

    References
        Amazon SageMaker developer guide, Debugger built-in rules: SaturatedActivation.
    """
    for one in [one for one in sagemaker_saturation if one.value > THRESHOLD_LAYER][:MOST]:
        yield finding(
            f"{one.title}: {one.value:.0f} % of its units are saturated at step {one.step:g}, "
            f"above {THRESHOLD_LAYER:g} %.",
            severity="warning",
            confidence=CONFIDENCE,
            evidence={"saturated_percent": one.value, "threshold_layer": THRESHOLD_LAYER},
            series=one.title,
            layer=one.layer,
            first_step=one.step,
        )
