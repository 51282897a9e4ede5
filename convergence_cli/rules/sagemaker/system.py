"""SM115, SM116, SM119 and SM120: workers, arrival times and boosted trees, by SageMaker Debugger's conditions.

SM121 is kept for CreateXgboostReport, which is a report and detects nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from convergence_cli.rules._registry import finding, rule
from convergence_cli.rules.sagemaker import CONFIDENCE, MOST, PROFILE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convergence_cli.features.sagemaker.trees import Depth, Importance
    from convergence_cli.features.tensors.replicas import Replicas
    from convergence_cli.features.tensors.writer import Writer
    from convergence_cli.model import Finding

DIFFERENCE = 0.0
STALL_SECONDS = 1800.0
DEPTH = 4
IMPORTANCE_THRESHOLD = 0.8


@rule("SM115", "sagemaker-similar-across-runs", severity="warning", since="0.1", profile=PROFILE)
def similar_across_runs(replicas: Replicas) -> Iterator[Finding]:
    """A weight differs between workers (SageMaker Debugger: SimilarAcrossRuns).

    What it checks
        The statistics of each weight at one step. The other trials that SageMaker Debugger must be given
        (other_trials, required) are here the other workers of the run: a report looks at one run.

    Why it matters
        Runs that should be the same and are not have other data, seeds or code.

    How it decides
        Any difference above 0, as the name of the rule does not say.

    Known false alarms
        Workers that hold shards of one model differ by design. Use replicas-differ (DI101).

    References
        Amazon SageMaker developer guide, Debugger built-in rules: SimilarAcrossRuns.
    """
    for one in replicas.apart[:MOST]:
        yield finding(
            f"weight/{one.name} differs between {one.workers[0]} and {one.workers[1]} from step {one.first_step:g} on, "
            f"by {one.difference:.3g} of its size.",
            severity="warning",
            confidence=CONFIDENCE,
            evidence={"difference": one.difference, "threshold": DIFFERENCE, "workers": replicas.workers},
            series=f"weight/{one.name}",
            layer=one.layer,
            first_step=one.first_step,
        )


@rule("SM116", "sagemaker-stalled-training-rule", severity="warning", since="0.1", profile=PROFILE)
def stalled_training_rule(writer: Writer) -> Iterator[Finding]:
    """No tensor arrived for half an hour (SageMaker Debugger: StalledTrainingRule).

    What it checks
        The longest wait between two dumps.

    Why it matters
        A job that hangs is paid for by the hour.

    How it decides
        More than threshold = 1800 seconds. The time since the last dump does not count, as a run that is
        finished writes no more. Nothing is stopped (stop_training_on_fire = False).

    Known false alarms
        A run that dumps once an hour. Use stalled-writer (LG101), which compares with the usual wait.

    References
        Amazon SageMaker developer guide, Debugger built-in rules: StalledTrainingRule.
    """
    if writer.pause > STALL_SECONDS:
        yield finding(
            f"After step {writer.pause_step:g} no tensor arrived for {writer.pause:.0f} seconds, "
            f"more than {STALL_SECONDS:g}.",
            severity="warning",
            confidence=CONFIDENCE,
            evidence={"seconds": writer.pause, "usual_seconds": writer.usual, "threshold": STALL_SECONDS},
            first_step=writer.pause_step,
        )


@rule("SM119", "sagemaker-tree-depth", severity="warning", since="0.1", profile=PROFILE)
def tree_depth(sagemaker_depth: Depth) -> Iterator[Finding]:
    """A tree of a boosted model is deeper than 4 (SageMaker Debugger: TreeDepth).

    What it checks
        The largest depth of the dumped trees.

    Why it matters
        Deep trees learn single samples.

    How it decides
        Above depth = 4. The documentation does not say which side of the bound fires.

    Known false alarms
        The default of XGBoost is a depth of 6: every run with it fires. Use deep-trees (TR101).

    References
        Amazon SageMaker developer guide, Debugger built-in rules: TreeDepth.
    """
    if sagemaker_depth.depth > DEPTH:
        yield finding(
            f"A tree is {sagemaker_depth.depth:g} deep at step {sagemaker_depth.step:g}, above {DEPTH}.",
            severity="warning",
            confidence=CONFIDENCE,
            evidence={"depth": sagemaker_depth.depth, "threshold": DEPTH},
            first_step=sagemaker_depth.step,
        )


@rule("SM120", "sagemaker-feature-importance-overweight", severity="warning", since="0.1", profile=PROFILE)
def feature_importance_overweight(sagemaker_importance: Importance) -> Iterator[Finding]:
    """Three features hold more than 80 % of the importance (SageMaker Debugger: FeatureImportanceOverweight).

    What it checks
        The importances of the features of a boosted model.

    Why it matters
        A model that rests on a few features may have found a leak of the target.

    How it decides
        The sum of the nfeatures = 3 largest over the sum of all, above threshold = 0.8, at any step.

    Known false alarms
        Every model of three features fires, and most of four. Use feature-importance-overweight (TR102).

    References
        Amazon SageMaker developer guide, Debugger built-in rules: FeatureImportanceOverweight.
    """
    found = sagemaker_importance
    if found.share > IMPORTANCE_THRESHOLD:
        yield finding(
            f"{len(found.features)} of {found.total_features} features hold {100 * found.share:.0f} % "
            f"of the importance at step {found.step:g}, above {100 * IMPORTANCE_THRESHOLD:g} %.",
            severity="warning",
            confidence=CONFIDENCE,
            evidence={
                "share": found.share,
                "features": ", ".join(found.features),
                "threshold": IMPORTANCE_THRESHOLD,
            },
            first_step=found.step,
        )
