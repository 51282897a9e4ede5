"""Restarts: what each step back is taken for, and which points are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from curves import evidence_of, falling, make

from convergence_cli.features.segments import stitch
from convergence_cli.readers._collect import KEPT_POINTS, Collector

if TYPE_CHECKING:
    from convergence_cli.model import Curve


def _logged(step: np.ndarray, value: np.ndarray) -> Curve:
    collector = Collector()
    collector.add("loss", np.array(step, dtype=np.float64), np.array(value, dtype=np.float64))
    return collector.curves()[0]


def test_a_log_without_a_step_back_is_left_alone() -> None:
    curve = _logged(np.arange(50), falling(50, 2.0, 0.5))
    stitched = stitch(curve)
    assert stitched.curve is curve
    assert stitched.restarts == ()


def test_a_resume_drops_the_points_that_it_overwrites() -> None:
    first, second = np.arange(0, 60), np.arange(40, 100)
    value = falling(100, 2.0, 0.5)
    stitched = stitch(_logged(np.concatenate([first, second]), np.concatenate([value[:60] + 1, value[40:]])))
    assert [r.kind for r in stitched.restarts] == ["resumed"]
    assert (stitched.restarts[0].from_step, stitched.restarts[0].to_step) == (59, 40)
    assert stitched.curve.step.tolist() == list(range(100))
    assert stitched.curve.value == pytest.approx(np.concatenate([value[:40] + 1, value[40:]]))
    assert stitched.curve.restarts == ()


def test_a_lost_counter_is_shifted_on() -> None:
    value = falling(100, 2.0, 0.5)
    stitched = stitch(_logged(np.concatenate([np.arange(60), np.arange(40)]), value))
    assert [r.kind for r in stitched.restarts] == ["counter-reset"]
    assert stitched.curve.step.tolist() == list(range(100))
    assert stitched.curve.value.tolist() == value.tolist()


def test_a_fresh_run_in_the_same_file_is_judged_alone() -> None:
    one, two = falling(60, 2.0, 0.5), falling(40, 2.0, 0.4)
    stitched = stitch(_logged(np.concatenate([np.arange(60), np.arange(40)]), np.concatenate([one, two])))
    assert [r.kind for r in stitched.restarts] == ["fresh"]
    assert stitched.curve.value.tolist() == two.tolist()


def test_the_first_points_of_a_fresh_run_do_not_push_out_the_one_before() -> None:
    one, two = falling(60, 2.0, 0.5), falling(40, 2.0, 0.4)[:3]
    stitched = stitch(_logged(np.concatenate([np.arange(60), np.arange(3)]), np.concatenate([one, two])))
    assert stitched.curve.value.tolist() == one.tolist()


def test_rows_written_out_of_order_are_counted() -> None:
    rng = np.random.default_rng(0)
    step = rng.permutation(200)
    stitched = stitch(_logged(step, falling(200, 2.0, 0.5)))
    assert [r.kind for r in stitched.restarts] == ["unordered"]
    assert stitched.curve.step.tolist() == list(range(200))


def test_validation_follows_what_training_was_taken_for() -> None:
    step = np.concatenate([np.arange(60), np.arange(40)])
    train = stitch(_logged(step, falling(100, 2.0, 0.5)))
    # On its own this one, back at its first level, passes for a fresh run.
    val = _logged(step, np.concatenate([falling(60, 2.0, 0.5), falling(40, 2.0, 0.5)]))
    assert stitch(val).restarts[0].kind == "fresh"
    assert stitch(val, train).restarts[0].kind == "counter-reset"


def test_two_resumes_in_a_row() -> None:
    step = np.concatenate([np.arange(50), np.arange(30, 70), np.arange(60, 90)])
    stitched = stitch(_logged(step, np.linspace(2, 1, len(step))))
    assert [r.kind for r in stitched.restarts] == ["resumed", "resumed"]
    assert stitched.curve.step.tolist() == list(range(90))


def test_a_resume_of_a_long_log_is_joined_within_a_bucket() -> None:
    points, back = KEPT_POINTS * 2, KEPT_POINTS
    step = np.concatenate([np.arange(points), np.arange(back, points * 2)])
    curve = _logged(step, falling(len(step), 3.0, 0.5))
    assert curve.buckets is not None
    stitched = stitch(curve)
    assert [r.kind for r in stitched.restarts] == ["resumed"]
    assert (np.diff(stitched.curve.step) > 0).all()
    assert stitched.curve.buckets is not None
    assert len(stitched.curve.buckets.count) == len(stitched.curve.step)
    assert stitched.curve.points == pytest.approx(points * 2, abs=8)


def test_a_resume_after_a_divergence_shows_the_run_that_went_on() -> None:
    log = make("rise_after_half", 1)
    step, value = log.series["loss"]
    good = make("exponential", 1, floor=0.6).series["loss"][1]
    back = int(0.45 * len(step))
    merged = (np.concatenate([step, step[back:]]), np.concatenate([value, good[back:]]))
    assert evidence_of(log).verdict.label == "diverging"
    healed = evidence_of(log.map(lambda *_: merged))
    assert healed.verdict.label == "converging"
    assert [r.kind for r in healed.log.restarts] == ["resumed"]
