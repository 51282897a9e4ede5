"""SM113, SM114, SM117 and SM118: labels, predictions, images and tokens, by SageMaker Debugger's conditions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convergence_cli.rules._registry import finding, rule
from convergence_cli.rules.sagemaker import CONFIDENCE, MOST, PROFILE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convergence_cli.features.sagemaker.data import ClassCounts, Predictions
    from convergence_cli.features.sagemaker.reading import Reading
    from convergence_cli.model import Finding

THRESHOLD_IMBALANCE = 10.0
THRESHOLD_MISPREDICTION = 0.7
MIN_DIAG = 0.9
MAX_OFF_DIAG = 0.1
THRESHOLD_MEAN = 0.2
TOKEN_THRESHOLDS_PERCENT = 50.0


@rule("SM113", "sagemaker-class-imbalance", severity="warning", since="0.1", profile=PROFILE)
def class_imbalance(
    sagemaker_labels: tuple[ClassCounts, ...], sagemaker_predictions: Predictions | None = None
) -> Iterator[Finding]:
    """A class is ten times as frequent as another, or missed by 70 % (SageMaker Debugger: ClassImbalance).

    What it checks
        The counts of the classes among the labels seen so far, and per class the share of wrong predictions.

    Why it matters
        What is rare in the data is hardly learned.

    How it decides
        After samples = 500 labels: largest over smallest count above threshold_imbalance = 10, or a share of
        mispredictions of one class above threshold_misprediction = 0.7. The labels of sequences and pixels
        are left out.

    Known false alarms
        A class without any label has no count and does not fire, one with a single label does. Early in
        training every class is mispredicted. Use class-imbalance (DA102) and class-misprediction (DA103).

    References
        Amazon SageMaker developer guide, Debugger built-in rules: ClassImbalance.
    """
    uneven = [one for one in sagemaker_labels if one.ratio > THRESHOLD_IMBALANCE]
    if uneven:
        counts = uneven[0]
        yield finding(
            f"{counts.name}: after {counts.samples} labels the most frequent class has {counts.most}, the rarest "
            f"{counts.least}: {counts.ratio:.3g} times, above {THRESHOLD_IMBALANCE:g}.",
            severity="warning",
            confidence=CONFIDENCE,
            evidence={
                "side": "labels",
                "ratio": counts.ratio,
                "most": counts.most,
                "least": counts.least,
                "samples": counts.samples,
                "threshold": THRESHOLD_IMBALANCE,
            },
            series=counts.name,
            first_step=counts.step,
        )
    judged = () if sagemaker_predictions is None else sagemaker_predictions.total
    missed = [one for one in judged if 1 - one.right > THRESHOLD_MISPREDICTION]
    if missed:
        one = missed[0]
        yield finding(
            f"{one.name}: {100 * (1 - one.right):.0f} % of class {one.class_} are mispredicted after {one.samples} "
            f"labels, above {100 * THRESHOLD_MISPREDICTION:g} %.",
            severity="warning",
            confidence=CONFIDENCE,
            evidence={
                "side": "predictions",
                "class": one.class_,
                "mispredicted": 1 - one.right,
                "samples": one.samples,
                "threshold": THRESHOLD_MISPREDICTION,
            },
            series=one.name,
            layer=f"class {one.class_}",
            first_step=one.step,
        )


@rule("SM114", "sagemaker-confusion", severity="warning", since="0.1", profile=PROFILE)
def confusion(sagemaker_predictions: Predictions) -> Iterator[Finding]:
    """A class is recognised in less than 90 %, or taken for another in more than 10 % (SageMaker Debugger: Confusion).

    What it checks
        The confusion matrix of each dump that holds labels and outputs of one step.

    Why it matters
        Two classes that are taken for each other want other data or other features.

    How it decides
        An entry of the diagonal below min_diag = 0.9, or another above max_off_diag = 0.1, each over the
        samples of its class; at any dump. The documentation divides the diagonal by all samples, by which a
        perfect model of ten classes would fire; the number of classes is inferred (category_no = None).

    Known false alarms
        It fires on every run that dumps before it has learned, and at 90 % accuracy still. Use class-confusion
        (DA104), which judges the end of the run against chance.

    References
        Amazon SageMaker developer guide, Debugger built-in rules: Confusion.
    """
    low = [one for one in sagemaker_predictions.steps if one.right < MIN_DIAG]
    high = [one for one in sagemaker_predictions.steps if one.wrong > MAX_OFF_DIAG]
    if low:
        one = low[0]
        yield finding(
            f"{one.name}: {100 * one.right:.0f} % of class {one.class_} are recognised at step {one.step:g}, "
            f"below {100 * MIN_DIAG:g} %.",
            severity="warning",
            confidence=CONFIDENCE,
            evidence={"side": "diagonal", "class": one.class_, "ratio": one.right, "threshold": MIN_DIAG},
            series=one.name,
            layer=f"class {one.class_}",
            first_step=one.step,
            last_step=low[-1].step,
        )
    if high:
        one = high[0]
        yield finding(
            f"{one.name}: {100 * one.wrong:.0f} % of class {one.from_class} are taken for class {one.to_class} "
            f"at step {one.step:g}, above {100 * MAX_OFF_DIAG:g} %.",
            severity="warning",
            confidence=CONFIDENCE,
            evidence={
                "side": "off-diagonal",
                "class": one.from_class,
                "taken_for": one.to_class,
                "ratio": one.wrong,
                "threshold": MAX_OFF_DIAG,
            },
            series=one.name,
            layer=f"class {one.from_class}",
            first_step=one.step,
            last_step=high[-1].step,
        )


@rule("SM117", "sagemaker-check-input-images", severity="warning", since="0.1", profile=PROFILE)
def check_input_images(sagemaker_images: tuple[Reading, ...]) -> Iterator[Finding]:
    """The mean of the input images is more than 0.2 from zero (SageMaker Debugger: CheckInputImages).

    What it checks
        The mean over all values of each input of four dimensions.

    Why it matters
        Inputs far from zero slow down the first layer.

    How it decides
        |mean| > threshold_mean = 0.2 after threshold_samples = 500 images. SageMaker Debugger takes the mean of
        each channel (channel = 1); here it is that of all channels.

    Known false alarms
        Images scaled to 0 to 1 fire, which most networks with normalisation layers learn well; the spread is
        not looked at, so that values of ±1000 pass. Use unnormalized-input (DA101).

    References
        Amazon SageMaker developer guide, Debugger built-in rules: CheckInputImages.
    """
    for one in [one for one in sagemaker_images if abs(one.value) > THRESHOLD_MEAN][:MOST]:
        yield finding(
            f"{one.title}: the mean of the images is {one.value:.3g}, more than {THRESHOLD_MEAN:g} from 0.",
            severity="warning",
            confidence=CONFIDENCE,
            evidence={"mean": one.value, "threshold": THRESHOLD_MEAN},
            series=one.title,
            layer=one.layer,
            last_step=one.step,
        )


@rule("SM118", "sagemaker-nlp-sequence-ratio", severity="warning", since="0.1", profile=PROFILE)
def nlp_sequence_ratio(sagemaker_tokens: tuple[Reading, ...]) -> Iterator[Finding]:
    """More than half of the tokens of the input are token 0 (SageMaker Debugger: NLPSequenceRatio).

    What it checks
        The share of one token in each integer input of sequences.

    Why it matters
        Padding costs time and teaches nothing.

    How it decides
        The share of token_values = "0" above token_thresholds_percent = "50", at any dump.

    Known false alarms
        Token 0 is the padding of some tokenizers only; in others it is a letter or the end of a text. Use
        padded-sequences (DA105), which finds the token that fills the ends.

    References
        Amazon SageMaker developer guide, Debugger built-in rules: NLPSequenceRatio.
    """
    for one in [one for one in sagemaker_tokens if one.value > TOKEN_THRESHOLDS_PERCENT][:MOST]:
        yield finding(
            f"{one.title}: {one.value:.0f} % of its tokens are 0 at step {one.step:g}, "
            f"above {TOKEN_THRESHOLDS_PERCENT:g} %.",
            severity="warning",
            confidence=CONFIDENCE,
            evidence={"percent": one.value, "threshold": TOKEN_THRESHOLDS_PERCENT},
            series=one.title,
            layer=one.layer,
            first_step=one.step,
        )
