"""XGBoost: ``xgboost.train(..., callbacks=[XGBoostRecorder("run/")])``, and the same of ``xgboost.cv``."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from convergence_cli.recorder.callbacks import (
    RecorderCallback,
    check_arguments,
    framework,
    guarded,
    most_important,
    single,
)
from convergence_cli.recorder.journal import Journal

_NUMBERS = {
    "learning_rate": "learning_rate", "max_depth": "max_depth", "max_leaves": "max_leaves", "subsample": "subsample",
    "colsample_bytree": "colsample_bytree", "min_child_weight": "min_child_weight", "gamma": "gamma",
    "reg_alpha": "reg_alpha", "reg_lambda": "reg_lambda", "num_class": "num_classes", "num_feature": "num_features",
    "seed": "seed",
}  # fmt: skip
_WORDS = ("booster", "objective", "grow_policy", "tree_method")


class XGBoostRecorder(RecorderCallback):
    """Records each evaluation (``validation-logloss``), and the depth of the newest trees and what features count.

    ``out``: the folder; ``every``: each how many rounds trees are recorded, and at the end; ``config``: what the
    booster does not know, such as ``num_samples``, from which a sensible depth follows. A feature counts for the
    splits that it makes (``weight``). Of ``cv`` the mean and the deviation over the folds are recorded, the deepest
    tree of all and the splits of all.

    Raises ``ImportError`` without xgboost, ``TypeError`` and ``ValueError`` for arguments that cannot be; nothing in
    the training.
    """

    _session: Journal | None

    def __init__(
        self, out: str | os.PathLike[str], every: int = 50, *, config: Mapping[str, Any] | None = None
    ) -> None:
        check_arguments(out, every, config)
        super().__init__()
        self._out, self._every, self._config = out, every, config or {}
        # The rounds so far; before this training; and those whose trees are recorded.
        self._step = self._start = self._seen = 0

    @classmethod
    def _bases(cls) -> tuple[type, ...]:
        return (framework("xgboost", "xgboost").callback.TrainingCallback,)

    def before_training(self, model: Any) -> Any:
        """Begin, or go on where there are trees already."""
        self._begin(model)
        return model

    def after_iteration(self, model: Any, epoch: int, evals_log: Mapping[str, Mapping[str, Any]]) -> bool:
        """A round: its evaluations, and now and then its trees. Never ends the training."""
        self._round(model, evals_log)
        return False

    def after_training(self, model: Any) -> Any:
        """The end, with the trees since the last ones."""
        self._finish(model)
        return model

    @guarded
    def _begin(self, model: Any) -> None:
        self._end("exit")
        if framework("xgboost", "xgboost").collective.get_rank() > 0:
            return
        self._step = self._start = self._seen = model.num_boosted_rounds()
        told = _told(model)
        session = Journal(self._out, every=self._every, start_step=self._start, model=told.get("booster", ""))
        self._open(session)
        session.config({**_settings(told), **self._config})

    @guarded
    def _round(self, model: Any, evals_log: Mapping[str, Mapping[str, Any]]) -> None:
        if self._session is None:
            return
        # Not the round that xgboost tells: it begins with 0 again where a booster is trained on.
        self._step += 1
        values: dict[str, Any] = {}
        for data, metrics in evals_log.items():
            for metric, series in metrics.items():
                name, last = f"{data}-{metric}", series[-1]
                values |= {name: last[0], f"{name}-std": last[1]} if isinstance(last, tuple) else {name: last}
        if self._step == self._start + 1 or self._step % self._every == 0:
            values["learning_rate"] = _settings(_told(model)).get("learning_rate")
            self._trees(model)
        self._session.scalars(self._step, values)

    @guarded
    def _finish(self, model: Any) -> None:
        self._trees(model)
        self._end()

    def _trees(self, model: Any) -> None:
        """The trees since the last ones; none of a linear model, or where early stopping has dropped them."""
        boosters = _boosters(model)
        rounds = model.num_boosted_rounds()
        if self._session is None or rounds <= self._seen or _told(model).get("booster") == "gblinear":
            return
        new = [tree for one in boosters for tree in one[self._seen : rounds].get_dump()]
        self._seen = rounds
        depth = max(len(line) - len(line.lstrip("\t")) for tree in new for line in tree.splitlines())
        features = boosters[0].feature_names or [f"f{place}" for place in range(boosters[0].num_features())]
        splits: dict[str, float] = {}
        for one in boosters:
            for feature, count in one.get_score(importance_type="weight").items():
                splits[feature] = splits.get(feature, 0.0) + count
        self._session.trees(self._step, depth, most_important(splits, features), "weight")


def _boosters(model: Any) -> list[Any]:
    """The one of a training, or those of the folds of a cross-validation."""
    return [fold.bst for fold in model.cvfolds] if hasattr(model, "cvfolds") else [model]


def _told(model: Any) -> dict[str, str]:
    """The booster's parameters by their own names, wherever they stand in its config."""
    return dict(_leaves(json.loads(_boosters(model)[0].save_config())))


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, one in value.items():
            yield from _leaves(one, key)
    elif isinstance(value, list):
        for one in value:
            yield from _leaves(one, name)
    elif isinstance(value, str):
        yield name, value


def _settings(told: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {name: told[name] for name in _WORDS if name in told}
    for name, shown in _NUMBERS.items():
        if name in told:
            number = single(told[name])
            found[shown] = int(number) if number.is_integer() else number
    # 0 stands for no classes.
    return {name: value for name, value in found.items() if name != "num_classes" or value}
