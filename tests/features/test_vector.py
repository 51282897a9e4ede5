"""The numbers that the classifier looks at: bounded, the same in any unit, and small where noise made them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from curves import GENERATORS, evidence_of, make
from hypothesis import given, settings
from hypothesis import strategies as st

from convergence_cli.features.evidence import Evidence
from convergence_cli.features.vector import SHARE, Vector, _shrunk
from convergence_cli.model import Curve, Run

# Chance level is in nats, and an accuracy, which the other logs beside its loss, has no unit.
IN_NATS = {"at_chance", "fine_tuning"}
# One is drawn from what it is given.
NAMES = sorted(name for name in GENERATORS if name != "drawn" and evidence_of(make(name)).vector is not None)


def vector(name: str, factor: float = 1.0, offset: float = 0.0) -> Vector:
    log = make(name).map(lambda series, step, value: (step + offset, value * factor))
    found = evidence_of(log).vector
    assert found is not None
    return found


def of(*values: float, val: list[float] | None = None) -> dict[str, float]:
    step = np.arange(1.0, len(values) + 1)
    curves = [Curve("loss", step, np.array(values), "train_loss")]
    if val is not None:
        curves.append(Curve("val_loss", step, np.array(val), "val_loss"))
    found = Evidence(Run("r", "r", "csv", tuple(curves))).vector
    assert found is not None
    return dict(zip(found.names, found.values, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_they_are_bounded_and_always_the_same_ones(name: str) -> None:
    found = vector(name)
    assert found.names == vector("exponential").names
    assert all(math.isfinite(value) and abs(value) <= 6 for value in found.values)


@pytest.mark.parametrize("name", sorted({*NAMES} - IN_NATS))
@pytest.mark.parametrize(("factor", "offset"), [(1.0, 5000.0), (1 / 1024, 0.0)])
def test_neither_the_unit_nor_where_the_steps_begin_matters(name: str, factor: float, offset: float) -> None:
    before, after = vector(name), vector(name, factor, offset)
    for one, value, other in zip(before.names, before.values, after.values, strict=True):
        assert other == pytest.approx(value, abs=1e-6), one


@given(st.floats(-1e6, 1e6), st.floats(1e-9, 1e6))
@settings(max_examples=200, deadline=None)
def test_what_noise_may_have_made_shrinks_and_keeps_its_sign(change: float, error: float) -> None:
    found = _shrunk(change, error)
    assert abs(found) <= abs(change) * (1 + 1e-12)
    assert found * change >= 0
    # Half of a change of two standard errors is left, and nearly all of one of twenty.
    assert _shrunk(2 * error, error) == pytest.approx(error)
    assert _shrunk(20 * error, error) > 0.98 * 20 * error


def test_a_fall_is_a_share_of_the_start() -> None:
    # From 2 to 1 without noise: a half, on the asinh scale of shares.
    found = of(*np.linspace(2, 1, 40))
    assert found["fall_from_first"] == pytest.approx(math.asinh(0.5 / SHARE), abs=0.1)
    assert found["risen"] < 0 < found["trend"]
    back = of(*np.linspace(1, 2, 40))
    assert back["risen"] > 0 > back["trend"]


def test_validation_is_told_only_where_it_is_logged() -> None:
    falling = list(np.linspace(2, 0.2, 30))
    alone, beside = of(*falling), of(*falling, val=[*np.linspace(2, 1, 10), *np.linspace(1, 1.8, 20)])
    told = {name for name in alone if name.startswith("val_") or name in ("train_falls", "overfits")}
    assert all(alone[name] == 0 for name in told - {"overfits"})
    assert beside["val_rise"] > 0
    assert beside["train_falls"] > 0
    assert beside["overfits"] > 0 > alone["overfits"]
    assert {name: beside[name] for name in ("fall", "trend")} == {name: alone[name] for name in ("fall", "trend")}
