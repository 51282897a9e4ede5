"""The curves that a report holds: extremes, points that are not finite and restarts are never lost."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import convergence_cli
from convergence_cli.axis import axis_of
from convergence_cli.buckets import reduce_points
from convergence_cli.codec import from_data, to_data
from convergence_cli.features.evidence import Evidence
from convergence_cli.model import Curve, Report, Run
from convergence_cli.pipeline import diagnose, read_run
from convergence_cli.summary import DRAWN, THUMBNAIL, summarise

ROOT = Path(convergence_cli.__file__).parent.parent
SCHEMA = json.loads((Path(convergence_cli.__file__).parent / "report.schema.json").read_text())


def drawn(curve: Curve, **keywords: Any) -> dict[str, Any]:
    run = Run("run", "run.csv", "csv", (curve,))
    with np.errstate(all="ignore"):
        summary = summarise(Evidence(run), axis_of(run), **keywords)
    found: dict[str, Any] = summary["curves"]["train_loss"]
    return found


def curve_of(value: Any, **keywords: Any) -> Curve:
    value = np.asarray(value, dtype=np.float64)
    return Curve("loss", np.arange(len(value), dtype=np.float64), value, "train_loss", **keywords)


@given(arrays(np.float64, st.integers(1, 3000), elements=st.floats(-1e6, 1e6) | st.just(np.nan), fill=st.just(1.0)))
@settings(deadline=None, max_examples=25)
def test_no_extreme_and_no_point_that_is_not_finite_is_lost(value: Any) -> None:
    found = drawn(curve_of(value))
    finite = value[np.isfinite(value)]
    assert len(found["mean"]) <= DRAWN
    assert found["points"] == len(value)
    if len(finite):
        assert max(high for high in found["high"] if high is not None) == pytest.approx(finite.max(), rel=1e-5)
        assert min(low for low in found["low"] if low is not None) == pytest.approx(finite.min(), rel=1e-5)
    bad = np.flatnonzero(~np.isfinite(value))
    assert sum(span[2] for span in found.get("nonfinite", ())) == len(bad)
    if len(bad):
        assert found["nonfinite"][0][0] == bad[0]
        assert all(any(first <= at <= last for first, last, _ in found["nonfinite"]) for at in bad)


def test_where_it_goes_back_is_told_with_the_bucket_that_it_falls_in() -> None:
    step = np.concatenate([np.arange(600.0), np.arange(400.0, 1000.0)])
    curve = Curve("loss", step, np.linspace(2, 1, 1200), "train_loss", restarts=(600,))
    assert drawn(curve)["restarts"] == [{"bucket": 200, "from": 599.0, "to": 400.0}]
    buckets = reduce_points(step, np.linspace(2, 1, 1200), 2)
    long = Curve("loss", buckets.last_step, buckets.mean, "train_loss", restarts=(300,), buckets=buckets)
    assert drawn(long)["restarts"] == [{"bucket": 150, "from": 599.0, "to": 400.0}]
    assert drawn(long)["points"] == 1200


def test_of_many_runs_each_has_fewer_buckets() -> None:
    curve = curve_of(np.linspace(2, 1, 5000))
    assert len(drawn(curve, buckets=THUMBNAIL)["mean"]) <= THUMBNAIL < len(drawn(curve)["mean"]) <= DRAWN


def test_layers_that_findings_speak_of_are_kept_and_all_fits_the_schema() -> None:
    report = diagnose(read_run(ROOT / "fixtures/tensors/dead-relu"))
    assert report.summary["layers"]["names"] == ["fc1", "fc2", "fc3", "relu1", "relu2"]
    assert {one["kind"] for one in report.summary["spreads"]} == {"weight", "gradient", "activation"}
    data = json.loads(json.dumps(to_data(Report((report,), (), "1")), allow_nan=False))
    jsonschema.validate(data, SCHEMA)
    assert from_data(data, "saved.json").runs[0].summary == report.summary
    run = read_run(ROOT / "fixtures/tensors/dead-relu")
    assert "layers" not in diagnose(replace(run, tensors=None)).summary
