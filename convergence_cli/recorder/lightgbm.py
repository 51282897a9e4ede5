"""LightGBM: ``lightgbm.train(..., callbacks=[LightGBMRecorder("run/")])``, and the same of ``lightgbm.cv``."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

from convergence_cli.recorder.callbacks import RecorderCallback, check_arguments, guarded, most_important
from convergence_cli.recorder.journal import Journal

# The parameters that matter to a diagnosis, as LightGBM writes them into a saved model, and what they are called here.
_TOLD = {
    **{name: name for name in ("boosting", "objective", "learning_rate", "num_leaves", "max_depth", "seed")},
    **{name: name for name in ("min_data_in_leaf", "bagging_fraction", "feature_fraction", "lambda_l1", "lambda_l2")},
    "num_class": "num_classes",
}
_PARAMETER = re.compile(r"^\[(\w+): ([^\]]*)\]$", re.MULTILINE)
_RATE = ("learning_rate", "shrinkage_rate", "eta")


class LightGBMRecorder(RecorderCallback):
    """Records each evaluation (``valid_0-l2``), and the depth of the newest trees and what features count.

    ``out``: the folder; ``every``: each how many rounds trees are recorded, and at the last; ``config``: further
    hyperparameters. A feature counts for the splits that it makes. Of ``cv`` the mean and the deviation over the folds
    are recorded, the deepest tree of all and the splits of all. LightGBM tells nobody of the end where it stops early:
    ``close()``, or leaving ``with LightGBMRecorder(...) as recorder``, writes it then.

    Raises ``TypeError`` and ``ValueError`` for arguments that cannot be; nothing in the training.
    """

    _session: Journal | None
    before_iteration = False

    def __init__(
        self, out: str | os.PathLike[str], every: int = 50, *, config: Mapping[str, Any] | None = None
    ) -> None:
        check_arguments(out, every, config)
        super().__init__()
        # After evaluations are kept (20), before early stopping (30) ends the round. LightGBM wants it in the object.
        self.order = 25
        self._out, self._every, self._config = out, every, config or {}
        self._seen = 0

    @guarded
    def __call__(self, env: Any) -> None:
        """A round."""
        if self._session is None or env.iteration == env.begin_iteration:
            self._begin(env)
        if self._session is None:
            return
        step = env.iteration + 1
        values: dict[str, Any] = {}
        for data, metric, value, _, *deviation in env.evaluation_result_list or ():
            # Older versions name both in the second place where they cross-validate.
            name = metric.replace(" ", "-") if data == "cv_agg" else f"{data}-{metric}"
            values |= {name: value} | {f"{name}-std": one for one in deviation}
        values["learning_rate"] = next((env.params[name] for name in _RATE if name in env.params), None)
        self._session.scalars(step, values)
        if step in (env.begin_iteration + 1, env.end_iteration) or step % self._every == 0:
            self._trees(step, _boosters(env.model))
        if step == env.end_iteration:
            self.close()

    def __enter__(self) -> LightGBMRecorder:
        return self

    def __exit__(self, kind: type[BaseException] | None, *given: object) -> None:
        self.close("finished" if kind is None else kind.__name__)

    def close(self, ended: str = "finished") -> None:
        """Write what is left, where the training was stopped early."""
        self._end(ended)

    def _begin(self, env: Any) -> None:
        self._end("exit")
        booster = _boosters(env.model)[0]
        # The model's first tree has all parameters behind it, the defaults as well.
        told = dict(_PARAMETER.findall(booster.model_to_string(num_iteration=1, start_iteration=env.iteration)))
        config: dict[str, Any] = {shown: _number(told[name]) for name, shown in _TOLD.items() if told.get(name)}
        if config.get("num_classes") == 1:
            del config["num_classes"]
        config["max_steps"] = env.end_iteration
        if getattr(booster, "train_set", None) is not None:
            config["num_samples"] = booster.train_set.num_data()
        self._seen = env.begin_iteration
        name = str(config.get("boosting", ""))
        session = Journal(self._out, every=self._every, start_step=env.begin_iteration, model=name)
        self._open(session)
        session.config({**config, **self._config})

    def _trees(self, step: int, boosters: Iterable[Any]) -> None:
        depth, splits, features = 0, dict[str, float](), list[str]()
        for booster in boosters:
            features = booster.feature_name()
            new = booster.dump_model(start_iteration=self._seen, num_iteration=step - self._seen)["tree_info"]
            depth = max([depth, *(_depth(one["tree_structure"]) for one in new)])
            for feature, count in zip(features, booster.feature_importance("split").tolist(), strict=True):
                splits[feature] = splits.get(feature, 0.0) + count
        self._seen = step
        if self._session is not None:
            self._session.trees(step, depth, most_important(splits, features), "split")


def _boosters(model: Any) -> list[Any]:
    """The one of a training, or those of the folds of a cross-validation."""
    found = getattr(model, "boosters", None)
    return [model] if found is None else list(found)


def _depth(root: Mapping[str, Any]) -> int:
    """Splits from the root to the deepest leaf; level by level, since trees that grow by leaves are deep."""
    level, depth = [root], -1
    while level:
        depth += 1
        level = [node[side] for node in level for side in ("left_child", "right_child") if side in node]
    return depth


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
