"""TR101 and TR102: trees too deep for their samples, and a model that rests on few features."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from convergence_cli.printable import printable
from convergence_cli.rules._registry import finding, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convergence_cli.features.tensors.trees import Trees
    from convergence_cli.model import Finding, Verdict

DEEP = 12.0
OVERWEIGHT = 0.8
MIN_FEATURES = 10


@rule("TR101", "deep-trees", severity="warning", since="0.1")
def deep_trees(trees: Trees, verdict: Verdict) -> Iterator[Finding]:
    """The trees are deeper than the number of samples can fill.

    What it checks
        The largest depth of the dumped trees, against log2 of a tenth of the training samples: there each leaf
        of a balanced tree holds ten of them.

    Why it matters
        Leaves of a few samples store them instead of learning from them: the model overfits.

    How it decides
        A warning where the run overfits and the trees are deeper than that (than 12, where the number of
        samples is not known). In a run without a verdict a note, where they are deeper than log2 of the samples
        (than 12). Silent in a run that converges: depth that does no harm is no fault.

    Known false alarms
        Trees grown leaf by leaf (LightGBM) are deep and narrow; their leaves can still be full.

    References
        Hastie, Tibshirani and Friedman 2009, section 10.11; SageMaker Debugger, rule TreeDepth (depth 4).
    """
    overfits = verdict.label == "overfitting"
    known = trees.sensible_depth if overfits else trees.largest_depth
    limit = DEEP if math.isnan(known) else known
    if verdict.label not in ("overfitting", "undetermined") or not trees.depth > limit:
        return
    of = "" if math.isnan(trees.samples) else f", with {trees.samples:g} samples to fill them"
    yield finding(
        f"At step {trees.step:g} the trees are up to {trees.depth:g} deep{of} (threshold {limit:.3g}).",
        severity="warning" if overfits else "note",
        confidence=0.7 if overfits else 0.4,
        evidence={
            "depth": trees.depth,
            "threshold_depth": round(limit, 2),
            "samples": None if math.isnan(trees.samples) else trees.samples,
        },
        last_step=trees.step,
    )


@rule("TR102", "feature-importance-overweight", severity="warning", since="0.1")
def feature_importance_overweight(trees: Trees, verdict: Verdict) -> Iterator[Finding]:
    """Nearly all of the model rests on three features.

    What it checks
        The share of the three most important features in the sum of all importances, at every dump.

    Why it matters
        Three features out of many that decide alone may be the target in disguise (leakage) or identifiers.

    How it decides
        More than 80 % at every dump, of at least 10 features. A warning where the run overfits, else a note:
        in many honest data sets few features matter.

    Known false alarms
        Data with a few truly strong features, and importance by gain, which concentrates more than that by
        number of splits.

    References
        Kaufman et al. 2012, "Leakage in data mining"; SageMaker Debugger, rule FeatureImportanceOverweight (80 %,
        three features).
    """
    if trees.features < MIN_FEATURES or not trees.top_share > OVERWEIGHT:
        return
    names = ", ".join(f"{printable(name, 40)} ({100 * share:.0f} %)" for name, share in trees.top)
    yield finding(
        f"At step {trees.step:g} three of {trees.features} features hold {100 * trees.top_share:.0f} % of the "
        f"importance (threshold {100 * OVERWEIGHT:.0f} %): {names}.",
        severity="warning" if verdict.label == "overfitting" else "note",
        confidence=0.6,
        evidence={
            "top_share": round(trees.top_share, 4),
            "threshold_top_share": OVERWEIGHT,
            "features": trees.features,
            "threshold_features": MIN_FEATURES,
            "importance_type": trees.importance_type,
        },
        last_step=trees.step,
    )
