"""Report to JSON and back; what is not a report is an error and never a crash."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import convergence_cli
from convergence_cli.codec import from_data, plain, to_data
from convergence_cli.errors import SourceError
from convergence_cli.model import (
    Cause,
    Finding,
    Remedy,
    Report,
    RunError,
    RunReport,
    Skipped,
    TensorLine,
    TensorTable,
    Verdict,
    Where,
)
from convergence_cli.reporters import render
from convergence_cli.settings import FORMATS

SCHEMA = json.loads((Path(convergence_cli.__file__).parent / "report.schema.json").read_text())
REPORT = Report(
    (
        RunReport(
            "run",
            "run.csv",
            "csv",
            {
                "points": 3,
                "first_step": 0,
                "last_step": 2,
                "x": "step",
                "series": {"train_loss": "loss"},
                "series_total": 1,
                "series_read": 1,
                "unread": [],
                "config": {"lr": 0.1},
                "curves": {
                    "train_loss": {
                        "step": [0, 1, 2],
                        "mean": [1.0, None, 2.0],
                        "points": 6,
                        "nonfinite": [[1, 1, 2]],
                        "restarts": [{"bucket": 2, "from": 1.0, "to": 0.0}],
                    }
                },
            },
            Verdict("diverging", 0.9, "rising", "It rose.", {"diverging": 1.0}, 1.0, 0.0),
            (Finding("LC001", "non-finite-loss", "error", 0.9, "NaN.", Where("loss"), {"x": 1.5}, "f"),),
            (Cause("learning-rate-too-high", 0.8, "Too high.", ("LC001",)),),
            (Remedy("lower", "learning-rate-too-high", {"learning_rate": 0.1}, "Because.", 0.5, {"learning_rate": 1}),),
            (Skipped("GN001", "needs val_loss"),),
            ("A note.",),
            ("GR101",),
        ),
        RunReport(
            "dump",
            "dump",
            "tensors",
            {
                "tensors": {"steps": 2, "first_step": 0.0, "last_step": 1.0, "layers": 1, "kinds": {"weight": 1}},
                "layers": {
                    "names": ["fc"],
                    "layers": 1,
                    "steps": [0.0, 1.0],
                    "gradient_norm": [[1.0, None]],
                    "dead": [[0.5, 0.6]],
                    "nonfinite": [[0, 1]],
                },
                "spreads": [
                    {
                        "kind": "weight",
                        "name": "fc.weight",
                        "layer": "fc",
                        "steps": [0.0],
                        "at": [0.1, 0.5, 0.9],
                        "quantiles": [[-1.0, 0.0, 1.0]],
                    }
                ],
            },
            Verdict("undetermined", 0.0, "no-loss", "No loss."),
            tensors=TensorTable(
                (TensorLine(1.0, "weight", "w", shape=(2, 3), mean=0.5, max=math.inf, flags=("TE101",)),), 2
            ),
        ),
    ),
    (RunError("b", "b cannot be read.", None),),
    "0.1.0",
)


def paths_in(data: Any, prefix: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in ``data``."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [prefix, *(path for key, item in items for path in paths_in(item, (*prefix, key)))]


PLACES = [path for path in paths_in(to_data(REPORT)) if path]


def test_a_report_survives_the_round_trip_and_fits_the_schema() -> None:
    data = json.loads(json.dumps(to_data(REPORT), allow_nan=False))
    jsonschema.validate(data, SCHEMA)
    assert from_data(data, "saved.json") == REPORT


def test_numbers_that_json_lacks_become_text_and_numpy_becomes_plain() -> None:
    values = [np.float64("nan"), float("-inf"), np.int64(3), np.bool_(True), {"a": np.array([1.0, np.inf])[1]}]
    assert plain(values) == ["nan", "-inf", 3, True, {"a": "inf"}]


def test_keys_of_a_later_version_are_left_out() -> None:
    data = to_data(REPORT)
    data["runs"][0]["findings"][0]["later"] = 1
    data["errors"][0]["later"] = 1
    data["later"] = 1
    assert from_data(data, "saved.json") == REPORT


@given(st.sampled_from(PLACES), st.sampled_from([None, 3, "text", [], {}, [1], {"a": []}, float("nan"), True]))
@settings(deadline=None, max_examples=400)
def test_any_wrong_part_is_an_error_or_renders(place: tuple[Any, ...], wrong: Any) -> None:
    data = copy.deepcopy(to_data(REPORT))
    parent = data
    for key in place[:-1]:
        parent = parent[key]
    parent[place[-1]] = wrong
    try:
        report = from_data(data, "saved.json")
    except SourceError:
        return
    for name in FORMATS:
        assert isinstance(render(report, name), str)


@pytest.mark.parametrize("data", [None, [], {}, 3, "x", {"schema_version": 2}, {"schema_version": 1}])
def test_what_is_no_report_is_an_error_with_the_next_step(data: Any) -> None:
    with pytest.raises(SourceError, match="--format json"):
        from_data(data, "saved.json")


def test_a_whole_number_beyond_every_float_is_no_number() -> None:
    data = to_data(REPORT)
    data["runs"][0]["summary"]["curves"]["train_loss"]["mean"][0] = 10**400
    report = from_data(data, "saved.json")
    assert all(render(report, name) for name in FORMATS if name != "github")
    data["runs"][0]["summary"]["best"] = {"series": "loss", "value": 10**400, "step": 1}
    with pytest.raises(SourceError):
        from_data(data, "saved.json")
