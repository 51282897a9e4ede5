"""DA102 to DA104: the balance of classes, and which of them are lost or mixed up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convergence_cli.printable import printable
from convergence_cli.rules._registry import finding, rule
from convergence_cli.rules._standing import is_failing, shown, sure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convergence_cli.features.tensors.labels import (
        ClassRecall,
        ConfusedPair,
        Labels,
        LabelSet,
        Predictions,
        PredictionSet,
    )
    from convergence_cli.model import Finding, Severity, Verdict

IMBALANCE = 10.0
IMBALANCE_LOW = 7.0
IMBALANCE_SAMPLES = 100
MANY_LABELS = 200
MISSED = 0.3
CLASS_SAMPLES = 20
ACCURACY = 0.5
ELSEWHERE = 0.85
OVER_MAJORITY = 1.1
PROGRESS = 0.05
CLASS_PROGRESS = 0.05
SURPRISE = 1e-3
MINORITY = 0.5
CONFUSED = 0.3
CONFUSED_LOW = 0.2
CONFUSED_BOTH = 0.25
CONFUSED_BACK = 0.1
CONFUSED_EXCESS = 2.25
CONFUSED_CLASSES = 3


@rule("DA102", "class-imbalance", severity="error", since="0.1")
def class_imbalance(labels: Labels, verdict: Verdict, predictions: Predictions | None = None) -> Iterator[Finding]:
    """One class has many times the samples of another.

    What it checks
        How often each class occurs among the dumped labels, over all dumps together. Labels that are the same
        at every dump count once; labels of tokens and pixels are not looked at.

    Why it matters
        The loss is an average over samples: a model that ignores the rare class pays little for it, and the
        accuracy hides it.

    How it decides
        The most frequent class has more than 10 times the samples of the rarest, surely more than 7 times (by
        a bound over all pairs of classes; from 200 labels on by two standard errors), and there are at least
        100 labels. With predictions that miss the rarest class (less than 30 % right, of at
        least 20 samples): an error where the run is stuck or diverges, else a warning. With predictions that
        find it, and in a run that converges, a note; else a warning. Side: missed, found, unknown.

    Known false alarms
        None where the data are meant to be so: then it is a fact. Classes that occur in no dump are not seen.

    References
        Japkowicz and Stephen 2002; Haldane 1956 (the bound of the ratio); SageMaker Debugger, rule
        ClassImbalance (same ratio, without a bound).
    """
    for one in labels.sets:
        at_least = one.ratio_likely if one.samples >= MANY_LABELS else one.ratio_low
        if one.samples < IMBALANCE_SAMPLES or not (one.ratio > IMBALANCE and at_least > IMBALANCE_LOW):
            continue
        recall = _rarest_recall(one, predictions)
        side = "unknown" if recall is None else "missed" if recall.recall < MISSED else "found"
        rare, many = one.counts[one.rarest], one.counts[one.commonest]
        found = "" if recall is None else f"; {100 * recall.recall:.0f} % of the rarest are predicted right"
        yield finding(
            f"{printable(one.name)}: class {one.commonest:g} has {many} of {one.samples} dumped labels from step "
            f"{one.first_step:g} on, class {one.rarest:g} has {rare}: {one.ratio:.3g} times as many (threshold "
            f"{IMBALANCE:g}){found}.",
            severity=_severity_of_imbalance(side, verdict),
            confidence=0.9 if side == "missed" else 0.8,
            evidence={
                "ratio": round(one.ratio, 2),
                "threshold_ratio": IMBALANCE,
                "ratio_at_least": round(at_least, 2),
                "threshold_ratio_at_least": IMBALANCE_LOW,
                "rarest_class": one.rarest,
                "rarest_count": rare,
                "commonest_class": one.commonest,
                "commonest_count": many,
                "samples": one.samples,
                "classes": len(one.counts),
                "rarest_recall": None if recall is None else round(recall.recall, 4),
                "threshold_recall": MISSED,
                "side": side,
            },
            series=f"label/{printable(one.name)}",
            first_step=one.first_step,
        )


def _rarest_recall(labels: LabelSet, predictions: Predictions | None) -> ClassRecall | None:
    for one in predictions.sets if predictions is not None else ():
        recall = one.recall_of(labels.rarest)
        if recall is not None and recall.samples >= CLASS_SAMPLES:
            return recall
    return None


def _severity_of_imbalance(side: str, verdict: Verdict) -> Severity:
    if side == "missed":
        return "error" if is_failing(verdict) and verdict.state != "no-loss" else "warning"
    return "note" if side == "found" or verdict.label == "converging" else "warning"


@rule("DA103", "class-misprediction", severity="warning", since="0.1")
def class_misprediction(predictions: Predictions) -> Iterator[Finding]:
    """A class is lost: the model is right in general, but not on this one.

    What it checks
        For each class, the share of its samples that the dumped outputs predict right (its recall), over the
        last third of the dumps.

    Why it matters
        The average hides it: the loss falls and the accuracy is good while one class is never predicted.

    How it decides
        Of at least 20 samples, less than 30 % of what is usual are right, where usual is the accuracy of all
        samples and that is at least 50 %; and so few would be chance with a probability below 0.001 (binomial).
        Of the samples of the other classes at least 85 % are right. With 8 classes and more it must also be an
        outlier among the recalls. A class with half the samples of an average one or more does not count
        against a model that is hardly better than the share of the most frequent class. A warning, in a run
        that converges too; a note while the accuracy and the class improve. Predictions of tokens are not
        looked at. Side: minority (fewer than half the samples of an average class), other.

    Known false alarms
        A class that is learnt late, in a run that was stopped early.

    References
        Tukey 1977 (outliers); SageMaker Debugger, rule ClassImbalance, threshold_misprediction (0.7).
    """
    for one in predictions.sets:
        if not one.accuracy >= ACCURACY:
            continue
        lost = [recall for recall in one.recalls if _is_lost(recall, one)]
        lost.sort(key=lambda recall: (recall.recall, -recall.samples))
        for recall, more in shown(lost, "label"):
            side = "minority" if recall.share < MINORITY else "other"
            yield finding(
                f"{printable(one.name)}: of {recall.samples} samples of class {recall.label} only "
                f"{100 * recall.recall:.0f} % are predicted right (threshold {100 * MISSED * one.accuracy:.0f} %), of "
                f"all samples {100 * one.accuracy:.0f} %, from step {one.first_step:g} to {one.last_step:g}; most are "
                f"taken for class {recall.taken_for}{more}.",
                severity=_severity_of_classes(recall.gain, one),
                confidence=sure(0.85, one.dumps),
                evidence={
                    "class": recall.label,
                    "recall": round(recall.recall, 4),
                    "accuracy": round(one.accuracy, 4),
                    "threshold_recall_over_accuracy": MISSED,
                    "right_elsewhere": round(recall.elsewhere, 4),
                    "threshold_right_elsewhere": ELSEWHERE,
                    "samples": recall.samples,
                    "threshold_samples": CLASS_SAMPLES,
                    "p_value": recall.surprise,
                    "threshold_p_value": SURPRISE,
                    "taken_for": recall.taken_for,
                    "side": side,
                },
                series=f"output/{printable(one.name)}",
                layer=f"class {recall.label}",
                first_step=one.first_step,
                last_step=one.last_step,
            )


def _is_lost(recall: ClassRecall, of: PredictionSet) -> bool:
    few = recall.recall < MISSED * of.accuracy and recall.samples >= CLASS_SAMPLES
    learnt = recall.share < MINORITY or of.accuracy >= OVER_MAJORITY * of.majority
    return few and learnt and recall.elsewhere >= ELSEWHERE and recall.surprise < SURPRISE and recall.outlier


def _severity_of_classes(progress: float, of: PredictionSet) -> Severity:
    return "note" if progress > CLASS_PROGRESS and of.gain > PROGRESS else "warning"


def _is_confused(pair: ConfusedPair) -> bool:
    """By one direction alone, or by both together, which tells mixed-up labels sooner."""
    one_way = pair.share > CONFUSED and pair.share_low > max(CONFUSED_LOW, CONFUSED_EXCESS * pair.elsewhere)
    mutual = min(pair.share, pair.back) > CONFUSED_BOTH
    return one_way or (mutual and pair.both_low > max(CONFUSED_LOW, CONFUSED_EXCESS * pair.elsewhere))


@rule("DA104", "class-confusion", severity="warning", since="0.1")
def class_confusion(predictions: Predictions) -> Iterator[Finding]:
    """Two classes are mixed up far more than the others.

    What it checks
        For each class, the share of its samples that is taken for one certain other class, over the last third
        of the dumps, against the errors in all other classes.

    Why it matters
        Mixed-up labels, two names for one thing, or a feature that was lost look like this, and no training
        cures them.

    How it decides
        Of at least 20 samples more than 30 %, surely more than 20 % (Wilson bound over all pairs) and more than
        2.25 times the error rate of all other classes, at an accuracy of at least 50 % and three classes or
        more; or 25 % either way, bounded together. A class that is lost altogether is reported as
        class-misprediction. A warning where the other class is taken for this one as well (10 %), in a run
        that converges too; else, and while the accuracy and the pair improve, a note. Predictions of tokens
        are not looked at.

    Known false alarms
        Classes that truly overlap.

    References
        Wilson 1927; Northcutt, Jiang and Chuang 2021, "Confident Learning"; SageMaker Debugger, rule Confusion
        (off the diagonal 0.1 of all samples, without regard to the other classes).
    """
    for one in predictions.sets:
        if not one.accuracy >= ACCURACY or one.classes < CONFUSED_CLASSES:
            continue
        lost = {recall.label for recall in one.recalls if _is_lost(recall, one)}
        found = [
            pair
            for pair in one.pairs
            if pair.label not in lost and pair.samples >= CLASS_SAMPLES and _is_confused(pair)
        ]
        found.sort(key=lambda pair: -pair.share)
        for pair, more in shown(found, "label"):
            yield finding(
                f"{printable(one.name)}: {100 * pair.share:.0f} % of {pair.samples} samples of class {pair.label} are "
                f"taken for class {pair.other} from step {one.first_step:g} to {one.last_step:g} (threshold "
                f"{100 * CONFUSED:.0f} %); in the other classes {100 * pair.elsewhere:.0f} % are wrong"
                f"{more}.",
                severity="note" if pair.back < CONFUSED_BACK else _severity_of_classes(pair.fall, one),
                confidence=sure(0.75, one.dumps),
                evidence={
                    "class": pair.label,
                    "taken_for": pair.other,
                    "share": round(pair.share, 4),
                    "threshold_share": CONFUSED,
                    "share_at_least": round(pair.share_low, 4),
                    "threshold_share_at_least": CONFUSED_LOW,
                    "share_back": round(pair.back, 4),
                    "threshold_share_back": CONFUSED_BACK,
                    "error_elsewhere": round(pair.elsewhere, 4),
                    "threshold_at_least_over_elsewhere": CONFUSED_EXCESS,
                    "samples": pair.samples,
                    "accuracy": round(one.accuracy, 4),
                },
                series=f"output/{printable(one.name)}",
                layer=f"class {pair.label}",
                first_step=one.first_step,
                last_step=one.last_step,
            )
