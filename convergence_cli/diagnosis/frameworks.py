"""Which framework wrote a run: the one in whose terms its remedies speak."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from convergence_cli.model import Run

PYTORCH = "pytorch"
LIGHTNING = "lightning"
HUGGINGFACE = "huggingface"
KERAS = "keras"
XGBOOST = "xgboost"
LIGHTGBM = "lightgbm"
CATBOOST = "catboost"
FRAMEWORKS = (PYTORCH, LIGHTNING, HUGGINGFACE, KERAS, XGBOOST, LIGHTGBM, CATBOOST)

# Formats that one framework alone writes. The others (csv, text, tensorboard, wandb, ...) tell nothing of it.
_OF_FORMAT = {
    "keras": KERAS,
    "keras-console": KERAS,
    "lightning": LIGHTNING,
    "huggingface": HUGGINGFACE,
    "huggingface-console": HUGGINGFACE,
    "catboost": CATBOOST,
    "megatron": PYTORCH,
    "nanogpt": PYTORCH,
    "ultralytics": PYTORCH,
}
# What the configuration says in a word, under "framework" (see readers/config.py) or in a library's own version.
_OF_WORD = {
    "transformers": HUGGINGFACE,
    "huggingface": HUGGINGFACE,
    "lightning": LIGHTNING,
    "pytorch_lightning": LIGHTNING,
    "keras": KERAS,
    "tensorflow": KERAS,
    "xgboost": XGBOOST,
    "lightgbm": LIGHTGBM,
    "catboost": CATBOOST,
    "pytorch": PYTORCH,
    "torch": PYTORCH,
    "ultralytics": PYTORCH,
}
# Settings that are words of one framework only; any of them is enough.
_OF_SETTING = {
    "transformers_version": HUGGINGFACE,
    "per_device_train_batch_size": HUGGINGFACE,
    "num_train_epochs": HUGGINGFACE,
    "accumulate_grad_batches": LIGHTNING,
    "gradient_clip_val": LIGHTNING,
    "feature_fraction": LIGHTGBM,
    "min_data_in_leaf": LIGHTGBM,
    "colsample_bytree": XGBOOST,
    "tree_method": XGBOOST,
    "l2_leaf_reg": CATBOOST,
}
# Values of "booster" and "boosting", which name a kind of model that only these two have.
_OF_MODEL = {"gbtree": XGBOOST, "gblinear": XGBOOST, "gbdt": LIGHTGBM, "goss": LIGHTGBM, "rf": LIGHTGBM}
_METRIC = r"(m?logloss|binary_logloss|multi_logloss|rmse|mae|mape|l1|l2|m?error|auc|huber|quantile|poisson)\b"
_OF_SERIES = (
    (re.compile(rf"^(training|valid_\d+)'s {_METRIC}"), LIGHTGBM),
    (re.compile(rf"^(training|valid_\d+)[-/]{_METRIC}"), LIGHTGBM),
    (re.compile(r"^\w+[-/](binary_logloss|multi_logloss|l1|l2)\b"), LIGHTGBM),
    (re.compile(rf"^(train|eval|val|valid|test|dtrain|dtest|validation_\d+)-{_METRIC}"), XGBOOST),
)


def framework_of(run: Run) -> str:
    """One of ``FRAMEWORKS``: by the log's format, then by what the run says of itself, then by its series' names.

    PyTorch where nothing tells: most runs are, and its terms are read by all.
    """
    return _by_format(run) or _by_config(run) or _by_series(run) or PYTORCH


def _by_format(run: Run) -> str | None:
    return _OF_FORMAT.get(run.format)


def _by_config(run: Run) -> str | None:
    # The settings of the recorder's session, and of nested files, have a dotted name.
    plain = {key.rpartition(".")[2]: value for key, value in run.config.items()}
    word = str(plain.get("framework", "")).lower().replace("-", "_")
    if word in _OF_WORD:
        return _OF_WORD[word]
    for key in plain:
        library = key.removesuffix("_version")
        if library != key and library in _OF_WORD:
            return _OF_WORD[library]
    for name in ("booster", "boosting", "boosting_type", "model"):
        kind = _OF_MODEL.get(str(plain.get(name, "")).lower())
        if kind is not None:
            return kind
    return next((found for key, found in _OF_SETTING.items() if key in plain), None)


def _by_series(run: Run) -> str | None:
    names = [curve.name for curve in run.curves]
    return next((found for pattern, found in _OF_SERIES if any(pattern.match(name) for name in names)), None)
