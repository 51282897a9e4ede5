"""What failing runs have in common: against counting by hand, and never said by chance."""

from __future__ import annotations

from math import comb
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergence_cli.fleet.columns import Columns
from convergence_cli.fleet.traits import fisher, groups, traits, varied
from convergence_cli.row import RunRow


def row(label: str, name: str = "run", best: float | None = None) -> RunRow:
    fails = label in ("diverging", "stuck", "overfitting")
    return RunRow(name, name, label, 0.9, "", fails, best=best, best_role=None if best is None else "val_loss")


def columns(settings: list[dict[str, Any]]) -> Columns:
    found = Columns()
    for one in settings:
        found.add(one)
    return found


def statements(labels: list[str], settings: list[dict[str, Any]]) -> list[str]:
    return [trait.statement for trait in traits([row(label) for label in labels], columns(settings))]


def test_the_learning_rate_that_all_diverging_runs_exceed() -> None:
    rates = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3]
    settings = [{"learning_rate": rate, "batch_size": size} for rate in rates for size in (16, 32, 64)]
    labels = ["diverging" if one["learning_rate"] > 0.03 else "converging" for one in settings]
    assert statements(labels, settings) == ["all 6 diverging runs have learning_rate above 0.03, none of the 12 others"]


def test_a_word_that_they_share() -> None:
    settings = [{"optimizer": name, "learning_rate": 0.1} for name in ("sgd", "adam") for _ in range(8)]
    labels = ["stuck"] * 8 + ["converging"] * 8
    assert statements(labels, settings) == ["all 8 stuck runs have optimizer sgd, none of the 8 others"]


def test_below_a_threshold_and_one_that_is_no_exception() -> None:
    settings = [{"dropout": 0.01 * number} for number in range(40)]
    labels = ["overfitting"] * 15 + ["converging"] * 25
    labels[3] = "converging"
    (found,) = statements(labels, settings)
    assert found == "all 14 overfitting runs have dropout below 0.15, 1 of the 26 others"


def test_few_runs_say_nothing() -> None:
    settings = [{"learning_rate": rate} for rate in (0.3, 0.2, 0.01, 0.02, 0.03)]
    assert statements(["diverging", "diverging", "converging", "converging", "converging"], settings) == []


def test_what_only_names_a_run_is_no_trait() -> None:
    settings = [{"seed": number, "run_name": f"r{number // 10}"} for number in range(20)]
    assert statements(["diverging"] * 10 + ["converging"] * 10, settings) == []


def test_two_names_of_one_setting_are_told_once() -> None:
    settings = [{"learning_rate": 0.1 * k, "optim.lr": 0.1 * k} for k in range(1, 21)]
    (found,) = statements(["converging"] * 10 + ["diverging"] * 10, settings)
    assert "learning_rate above 1" in found


def test_chance_alone_is_hardly_ever_told() -> None:
    rng = np.random.default_rng(0)
    told = 0
    for _ in range(300):
        settings = [{f"s{k}": float(rng.normal()) for k in range(10)} for _ in range(24)]
        labels = [str(rng.choice(["diverging", "converging"])) for _ in range(24)]
        told += bool(statements(labels, settings))
    assert told <= 6


@given(st.integers(0, 12), st.integers(0, 12), st.integers(1, 12), st.integers(1, 12))
def test_the_chance_is_that_of_counting_all_ways(holds: int, elsewhere: int, of: int, others: int) -> None:
    holds, elsewhere = min(holds, of), min(elsewhere, others)
    have, total = holds + elsewhere, of + others
    ways = sum(comb(have, k) * comb(total - have, of - k) for k in range(holds, min(have, of) + 1))
    assert fisher(holds, of, elsewhere, others) == pytest.approx(ways / comb(total, of), rel=1e-9)


def test_groups_count_verdicts_and_name_their_best() -> None:
    settings = [{"lr": 0.1}, {"lr": 0.1}, {"lr": 0.01}, {}]
    rows = [
        row("diverging", "a"),
        row("converging", "b", 0.5),
        row("converging", "c", 0.2),
        row("converging", "d", 0.4),
    ]
    worst, second, third = groups(rows, columns(settings), ["lr"])
    assert (worst.settings, worst.runs, worst.labels) == ({"lr": 0.1}, 2, {"diverging": 1, "converging": 1})
    assert (worst.best, worst.best_run, worst.median) == (0.5, "b", 0.5)
    assert {second.settings["lr"], third.settings["lr"]} == {0.01, None}


def test_settings_that_differ_are_told_with_their_values() -> None:
    settings = [{"lr": 0.001 * k, "opt": "sgd", "b": k % 2, "m": "x"} for k in range(1, 21)]
    del settings[4]["m"]
    # The same setting under two names is told once.
    settings = [{**one, "rate": one["lr"]} for one in settings]
    assert varied(columns(settings)) == {"b": [0, 1], "lr": [0.001, 0.02], "m": ["x", "unset"]}


def test_settings_that_only_some_runs_tell_come_last() -> None:
    assert list(varied(columns([{"a": 1, "lr": 0.1}, {"lr": 0.2}, {"c": 1, "lr": 0.1, "d": 2}, {"d": 1}]))) == [
        "d", "lr", "a", "c",
    ]  # fmt: skip


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(0, 2)), max_size=8))
def test_columns_give_back_what_was_added(settings: list[dict[str, int]]) -> None:
    found = columns(settings)
    for number, one in enumerate(settings):
        assert {key: found.value(key, number) for key in found.known() if found.value(key, number) is not None} == one
    every = {key for one in settings for key in one}
    assert set(found.differing()) == {key for key in every if len({one.get(key) for one in settings}) > 1}
