"""Which framework wrote a run: the one in whose terms its remedies speak."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convergence_cli.model import Run

PYTORCH = "pytorch"
LIGHTNING = "lightning"
HUGGINGFACE = "huggingface"
KERAS = "keras"
XGBOOST = "xgboost"
LIGHTGBM = "lightgbm"
CATBOOST = "catboost"
TREES = (XGBOOST, LIGHTGBM, CATBOOST)
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
    "xgboost": XGBOOST,
    "lightgbm": LIGHTGBM,
    "lightning-console": LIGHTNING,
    "axolotl": HUGGINGFACE,
    "unsloth": HUGGINGFACE,
    "llama-factory-console": HUGGINGFACE,
    "accelerate": PYTORCH,
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
    "booster": XGBOOST,
    "l2_leaf_reg": CATBOOST,
}
# Values of "booster" and "boosting", which name a kind of model that only these two have.
_OF_MODEL = {"gbtree": XGBOOST, "gblinear": XGBOOST, "gbdt": LIGHTGBM, "goss": LIGHTGBM, "rf": LIGHTGBM}
# The ends of a metric's name: a cut ("ndcg@5-"), and what a cross-validation adds.
_END = r"(@[\d.]+-?)?(-(mean|std))?$"
_XGBOOST_METRIC = (
    r"(m?logloss|rmsle|rmse|mae|mape|mphe|m?error|aucpr|auc|pre|ndcg|map|quantile|expectile|[a-z]+-nloglik|"
    r"gamma-deviance)"
)
_LIGHTGBM_METRIC = (
    r"(binary_logloss|multi_logloss|binary_error|multi_error|l1|l2|rmse|mape|huber|fair|poisson|quantile|auc|auc_mu|"
    r"average_precision|ndcg|map|gamma|tweedie|cross_entropy|kullback_leibler)"
)
_DATA = r"(d?train|training|eval|d?val|d?valid|validation|d?test)"
# Names that only these libraries give: their own words for the data, or for the metric.
_OF_OWN_NAME = (
    (re.compile(r"^\w+'s \S"), LIGHTGBM),
    # As the text reader writes "valid_1's auc" and "cv_agg's valid l2".
    (re.compile(rf"^(valid_\d+[-_/]|cv_agg_(train|valid)_){_LIGHTGBM_METRIC}{_END}"), LIGHTGBM),
    (re.compile(rf"^\w+[-_/](binary|multi)_(logloss|error){_END}"), LIGHTGBM),
    (re.compile(rf"^validation_\d+-{_XGBOOST_METRIC}{_END}"), XGBOOST),
)
# Names that others give as well, but hardly without a loss or an accuracy, of which these libraries know none.
_OF_LIKELY_NAME = (
    (re.compile(rf"^{_DATA}-l[12]{_END}"), LIGHTGBM),
    (re.compile(rf"^training-{_LIGHTGBM_METRIC}{_END}"), LIGHTGBM),
    (re.compile(rf"^{_DATA}-{_XGBOOST_METRIC}{_END}"), XGBOOST),
)
# In a console log alone: elsewhere the names keep their apostrophe or have a hyphen.
_OF_CONSOLE_NAME = ((re.compile(rf"^{_DATA}_l[12]$"), LIGHTGBM),)
_OF_A_NETWORK = re.compile(r"(?<![a-z])(loss|acc|accuracy|grad_norm|perplexity|epoch)(?![a-z])", re.IGNORECASE)


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
    found = _first(_OF_OWN_NAME, names)
    if found is not None or any(_OF_A_NETWORK.search(name) for name in names):
        return found
    return _first(_OF_LIKELY_NAME, names) or (_first(_OF_CONSOLE_NAME, names) if run.format == "text" else None)


def _first(patterns: Sequence[tuple[re.Pattern[str], str]], names: Sequence[str]) -> str | None:
    return next((found for pattern, found in patterns if any(pattern.match(name) for name in names)), None)
