"""Boosted trees of scikit-learn, trained for the page of a rule: depth, importances and both losses by round.

No fixture has the trees of a boosted model, so these go into a run without a file between.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.datasets import make_classification
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.metrics import log_loss

from convergence_cli.readers.frame import run_of_frame
from convergence_cli.roles import assign_roles
from convergence_cli.tensor_stats import Collection, TreeFacts

if TYPE_CHECKING:
    from convergence_cli.model import Run

ROWS, TRAINED, ROUNDS = 1000, 600, 60


@dataclass(frozen=True, slots=True)
class Forest:
    """Trees at most ``depth`` deep, on 13 features of which ``informative`` tell the class; ``wrong`` labels are."""

    depth: int
    informative: int
    wrong: float = 0.1
    rate: float = 0.3


FORESTS = {
    "twenty-levels": Forest(20, 8),
    "two-levels": Forest(2, 8),
    "two-features-that-count": Forest(2, 2, wrong=0.0, rate=0.1),
    "three-features-that-count": Forest(2, 3, wrong=0.0, rate=0.1),
    "ten-features-that-count": Forest(2, 10, wrong=0.0, rate=0.1),
}


@cache
def forest(name: str) -> Run:
    """The run of ``FORESTS[name]``."""
    plan = FORESTS[name]
    x, y = make_classification(
        ROWS, 13, n_informative=plan.informative, n_redundant=0, flip_y=plan.wrong, random_state=0, shuffle=False
    )
    order = np.random.default_rng(0).permutation(ROWS)
    x, y = x[order], y[order]
    model = GradientBoostingClassifier(
        n_estimators=ROUNDS, max_depth=plan.depth, learning_rate=plan.rate, subsample=0.5, random_state=0
    )
    model.fit(x[:TRAINED], y[:TRAINED])
    losses = [
        [log_loss(y[part], p) for p in model.staged_predict_proba(x[part])]
        for part in (slice(TRAINED), slice(TRAINED, None))
    ]
    frame = pd.DataFrame({"step": range(ROUNDS), "train_loss": losses[0], "val_loss": losses[1]})
    found = Collection()
    for step in range(9, ROUNDS, 10):
        trees = [tree for row in model.estimators_[: step + 1] for tree in row]
        weight = np.mean([tree.feature_importances_ for tree in trees], axis=0)
        importance = {f"f{place}": float(share) for place, share in enumerate(weight)}
        found.trees.append(TreeFacts(step, float(max(tree.get_depth() for tree in trees)), importance, "gain"))
    run = assign_roles(run_of_frame(frame), {})
    return replace(run, name=name, tensors=found.stats(), config={**run.config, "num_samples": TRAINED})
