"""The profile of SageMaker Debugger: its documented defaults, in the code and on the page that compares it."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from convergence_cli.features.sagemaker import data as data_features
from convergence_cli.features.sagemaker import initialization, trees
from convergence_cli.features.sagemaker import losses as loss_features
from convergence_cli.features.sagemaker import tensors as tensor_features
from convergence_cli.rules import all_rules
from convergence_cli.rules.sagemaker import data, losses, system, tensors, weights
from convergence_cli.tensors import units

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "sagemaker.md").read_text(encoding="utf-8")
# Every rule with its parameters and their defaults, from the developer guide.
DOCUMENTED = {
    "VanishingGradient": {"threshold": "1e-7"},
    "ExplodingTensor": {"only_nan": "False"},
    "DeadRelu": {"tensor_regex": "`.*relu_output`", "threshold_inactivity": "1.0", "threshold_layer": "50.0"},
    "SaturatedActivation": {
        "tensor_regex": r"`.*tanh_input\|.*sigmoid_input`",
        "threshold_tanh_min": "-9.4999",
        "threshold_tanh_max": "9.4999",
        "threshold_sigmoid_min": "-23",
        "threshold_sigmoid_max": "16.99999",
        "threshold_inactivity": "1.0",
        "threshold_layer": "50.0",
    },
    "PoorWeightInitialization": {
        "activation_inputs_regex": "`.*relu_input`",
        "threshold": "10.0",
        "distribution_range": "0.001",
        "patience": "5",
        "steps": "10",
    },
    "WeightUpdateRatio": {"num_steps": "None", "large_threshold": "10.0", "small_threshold": "1e-8", "epsilon": "1e-9"},
    "TensorVariance": {"max_threshold": "None", "min_threshold": "None"},
    "AllZero": {"threshold": "100"},
    "UnchangedTensor": {"num_steps": "3", "rtol": "1e-5", "atol": "1e-8", "equal_nan": "False"},
    "LossNotDecreasing": {
        "use_losses_collection": "True",
        "num_steps": "10",
        "diff_percent": "0.1",
        "increase_threshold_percent": "5",
        "mode": "GLOBAL",
    },
    "Overfit": {"tensor_regex": "None", "start_step": "0", "patience": "1", "ratio_threshold": "0.1"},
    "Overtraining": {"patience_train": "5", "patience_validation": "10", "delta": "0.01"},
    "ClassImbalance": {
        "labels_regex": "`.*labels`",
        "predictions_regex": "`.*predictions`",
        "threshold_imbalance": "10",
        "threshold_misprediction": "0.7",
        "samples": "500",
        "argmax": "False",
    },
    "Confusion": {
        "labels": '"labels"',
        "predictions": '"predictions"',
        "category_no": "None",
        "min_diag": "0.9",
        "max_off_diag": "0.1",
    },
    "SimilarAcrossRuns": {"other_trials": "required"},
    "StalledTrainingRule": {"threshold": "1800", "stop_training_on_fire": "False", "training_job_name_prefix": "none"},
    "CheckInputImages": {
        "regex": "`.*hybridsequential0_input_0`",
        "threshold_mean": "0.2",
        "threshold_samples": "500",
        "channel": "1",
    },
    "NLPSequenceRatio": {
        "tensor_regex": "`.*embedding0_input_0`",
        "token_values": '"0"',
        "token_thresholds_percent": '"50"',
    },
    "TreeDepth": {"depth": "4"},
    "FeatureImportanceOverweight": {
        "tensor_regex": "`.*feature_importance/weight`",
        "threshold": "0.8",
        "nfeatures": "3",
    },
    "CreateXgboostReport": {},
}
IN_CODE = [
    ("VanishingGradient", "threshold", tensors.GRADIENT_THRESHOLD),
    ("DeadRelu", "threshold_layer", tensors.THRESHOLD_LAYER),
    ("SaturatedActivation", "threshold_layer", tensors.THRESHOLD_LAYER),
    ("PoorWeightInitialization", "threshold", weights.VARIANCE_RATIO),
    ("PoorWeightInitialization", "distribution_range", weights.DISTRIBUTION_RANGE),
    ("PoorWeightInitialization", "patience", weights.PATIENCE),
    ("PoorWeightInitialization", "steps", initialization.STEPS),
    ("WeightUpdateRatio", "large_threshold", weights.LARGE_THRESHOLD),
    ("WeightUpdateRatio", "small_threshold", weights.SMALL_THRESHOLD),
    ("WeightUpdateRatio", "epsilon", tensor_features.EPSILON),
    ("AllZero", "threshold", weights.ZEROS_THRESHOLD),
    ("UnchangedTensor", "num_steps", weights.NUM_STEPS),
    ("UnchangedTensor", "num_steps", tensor_features.NUM_STEPS),
    ("UnchangedTensor", "rtol", tensor_features.RTOL),
    ("UnchangedTensor", "atol", tensor_features.ATOL),
    ("LossNotDecreasing", "num_steps", loss_features.NUM_STEPS),
    ("LossNotDecreasing", "diff_percent", losses.DIFF_PERCENT),
    ("Overfit", "ratio_threshold", losses.RATIO_THRESHOLD),
    ("Overtraining", "patience_train", losses.PATIENCE_TRAIN),
    ("Overtraining", "patience_validation", losses.PATIENCE_VALIDATION),
    ("Overtraining", "delta", loss_features.DELTA),
    ("ClassImbalance", "threshold_imbalance", data.THRESHOLD_IMBALANCE),
    ("ClassImbalance", "threshold_misprediction", data.THRESHOLD_MISPREDICTION),
    ("ClassImbalance", "samples", data_features.SAMPLES),
    ("Confusion", "min_diag", data.MIN_DIAG),
    ("Confusion", "max_off_diag", data.MAX_OFF_DIAG),
    ("StalledTrainingRule", "threshold", system.STALL_SECONDS),
    ("CheckInputImages", "threshold_mean", data.THRESHOLD_MEAN),
    ("CheckInputImages", "threshold_samples", data_features.THRESHOLD_SAMPLES),
    ("NLPSequenceRatio", "token_values", data_features.TOKEN),
    ("NLPSequenceRatio", "token_thresholds_percent", data.TOKEN_THRESHOLDS_PERCENT),
    ("TreeDepth", "depth", system.DEPTH),
    ("FeatureImportanceOverweight", "threshold", system.IMPORTANCE_THRESHOLD),
    ("FeatureImportanceOverweight", "nfeatures", trees.NFEATURES),
]
PROFILE = [rule for rule in all_rules() if rule.profile == "sagemaker"]


def rows(title: str) -> list[list[str]]:
    """The cells of the table below the heading ``title`` of the page."""
    part = PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


def test_the_page_has_every_parameter_of_every_rule_with_its_default() -> None:
    told: dict[str, dict[str, str]] = {name: {} for name, *_ in rows("Rule by rule")}
    for name, parameter, default, here, ours in rows("Parameter by parameter"):
        assert here, f"{name}: {parameter}"
        assert ours, f"{name}: {parameter}"
        told[name][parameter.strip("`")] = default
    assert told == DOCUMENTED


@pytest.mark.parametrize(("rule", "parameter", "value"), IN_CODE)
def test_the_code_has_the_documented_default(rule: str, parameter: str, value: float) -> None:
    assert float(DOCUMENTED[rule][parameter].strip('"')) == value


def test_each_rule_stands_for_the_one_that_its_page_names() -> None:
    by_code = {cells[1].partition(" ")[0]: cells[0] for cells in rows("Rule by rule")}
    assert by_code.pop("none") == "CreateXgboostReport"
    assert list(by_code) == [rule.code for rule in PROFILE]
    for rule in PROFILE:
        theirs = by_code[rule.code]
        assert f"(SageMaker Debugger: {theirs})" in rule.summary
        assert f"built-in rules: {theirs}." in rule.doc
        kebab = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", theirs).lower()
        assert rule.name == f"sagemaker-{kebab}"


def test_rules_of_ours_that_are_named_exist_under_that_name() -> None:
    names = {rule.code: rule.name for rule in all_rules()}
    assert set(re.findall(r"\b[A-Z]{2}\d{3}\b", PAGE)) <= names.keys()
    for rule in PROFILE:
        named = re.findall(r"([a-z-]+) \(([A-Z]{2}\d{3})\)", re.sub(r"\s+", " ", rule.doc))
        assert all(names[code] == name for name, code in named), rule.code
        assert named or "IN101 to IN104" in rule.doc, f"{rule.code} names no better rule"


def test_limits_of_saturation_are_those_told() -> None:
    for name, told in (("tanh_input", 2.64), ("sigmoid_input", 5.29)):
        assert units.LIMITS[name] == pytest.approx((-told, told), abs=0.005)
        assert f"{told}" in PAGE
    assert f"a slope of {100 * units.SATURATED_SLOPE:g} %" in PAGE
    assert math.isclose(units.PERSISTENT, 0.99)
