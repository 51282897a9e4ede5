"""Numbers, places and changes in words."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from convergence_cli.model import Remedy, Where
from convergence_cli.reporters._wording import changes, percent, place, titles, value

if TYPE_CHECKING:
    from convergence_cli.model import RunReport


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (1234567, "1,234,567"),
        (0.000123456, "0.0001235"),
        (1.946e14, "1.946e+14"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (True, "true"),
        (np.int64(1200), "1,200"),
        (np.float64(0.5), "0.5"),
        ([1, 0.25, "x\x1b"], "[1, 0.25, x\\x1b]"),
        ("step\n3", "step\\x0a3"),
    ],
)
def test_values(item: Any, said: str) -> None:
    assert value(item) == said


@pytest.mark.parametrize(("share", "said"), [(0.0, "0 %"), (0.5, "50 %"), (0.999, "99 %"), (1.0, "100 %")])
def test_no_probability_is_rounded_up_to_certainty(share: float, said: str) -> None:
    assert percent(share) == said


def test_a_place_names_its_file_only_where_it_is_another(diverging: RunReport) -> None:
    where = Where("loss", None, 5.0, 9.0, "logs/a.log", 12)
    for path in ("logs/a.log", "/work/logs/a.log"):
        assert place(where, replace(diverging, path=path)) == "loss, steps 5-9, line 12"
    for path in ("b.log", "blogs/a.log", "logs"):
        assert place(where, replace(diverging, path=path)) == "loss, steps 5-9, logs/a.log:12"
    assert place(Where(layer="fc", first_step=5.0, last_step=5.0), diverging) == "fc, step 5"
    assert place(Where(), diverging) == ""


@pytest.mark.parametrize("counted_in", ["step", "epoch", "row"])
def test_a_place_counts_as_its_run_does(diverging: RunReport, counted_in: str) -> None:
    run = replace(diverging, summary={"x": counted_in})
    assert place(Where(first_step=5.0, last_step=9.0), run) == f"{counted_in}s 5-9"
    assert place(Where(last_step=9.0), run) == f"{counted_in} 9"


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        ([("a", "runs/a"), ("b", "runs/b")], ["a", "b"]),
        ([("log", "runs/one/log"), ("log", "runs/two/log")], ["one/log", "two/log"]),
        ([("log", "log"), ("log", "/old/log")], ["log", "old/log"]),
        ([("log", "/a/v0/log"), ("log", "/b/v0/log"), ("c/log", "/d/c/log")], ["a/v0/log", "b/v0/log", "c/log"]),
        ([("c/log", "/d/c/log"), ("log", "/x/c/log"), ("log", "/y/log")], ["d/c/log", "x/c/log", "y/log"]),
        ([("log", "log"), ("log", "b/log"), ("log", "a/b/log")], ["log", "b/log", "a/b/log"]),
        ([("log#1", "x/log"), ("log#2", "x/log"), ("log#1", "y/log")], ["x/log#1", "x/log#2", "y/log#1"]),
        ([("log", "x/log"), ("log", "x/log")], ["log", "log"]),
    ],
)
def test_runs_of_one_name_are_told_apart_by_their_paths(
    diverging: RunReport, runs: list[tuple[str, str]], said: list[str]
) -> None:
    assert titles([replace(diverging, name=name, path=path) for name, path in runs]) == said


def test_a_change_shows_the_old_value_where_it_is_known() -> None:
    remedy = Remedy("r", "c", {"learning_rate": 0.003, "activation": "relu"}, "why", 0.5, {"learning_rate": 0.01})
    assert changes(remedy) == ["learning_rate: 0.01 -> 0.003", "activation: relu"]
