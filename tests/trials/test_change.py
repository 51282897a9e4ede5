"""Placeholders and environment variables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from convergence_cli.errors import UsageError
from convergence_cli.model import Curve, Remedy, Run
from convergence_cli.trials.change import as_text, filled, may_take, placeholders, present, variables


@pytest.mark.parametrize(
    ("argument", "shown"),
    [
        ("{learning_rate}", "0.05"),
        ("--lr={learning_rate}", "--lr=0.05"),
        ("{{learning_rate}}", "{learning_rate}"),
        ('{"lr": {learning_rate}}', '{"lr": 0.05}'),
        ("{momentum=0.9}", "0.9"),
        ("{learning_rate=0.9}", "0.05"),
        ("{momentum=}", ""),
        ("w.{epoch:02d}.h5", "w.{epoch:02d}.h5"),
        ("{}", "{}"),
        ("{1: 2}", "{1: 2}"),
        ("$HOME; rm", "$HOME; rm"),
        ("{odd}", "{learning_rate}"),
    ],
)
def test_only_a_name_is_a_placeholder(argument: str, shown: str) -> None:
    values = {"learning_rate": 0.05, "odd": "{learning_rate}"}
    assert filled(["run", argument], values) == ("run", shown)


def test_an_unknown_placeholder_says_what_is_known() -> None:
    with pytest.raises(
        UsageError, match=r"\{lr\}.*Did you mean learning_rate\?.*Known: batch_size, learning_rate"
    ) as told:
        filled(["train", "{lr}"], {"learning_rate": 0.05, "batch_size": 8})
    assert "{lr=VALUE}" in told.value.hint


def test_placeholders_are_those_without_escapes() -> None:
    assert placeholders(["{a}", "{{b}}", "--x={c=1}"]) == {"a", "c"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (20.0, "20"),
        (1e-5, "1e-05"),
        (True, "true"),
        (None, "null"),
        ("cosine", "cosine"),
        ([1, 2.5], "[1, 2.5]"),
        ({"gain": 2}, '{"gain": 2}'),
        (np.float64(0.5), "0.5"),
        (np.int64(3), "3"),
    ],
)
def test_values_are_written_as_a_program_is_given_them(value: object, text: str) -> None:
    assert as_text(value) == text


def test_variables_carry_the_keys_in_capitals() -> None:
    assert variables({"learning_rate": 0.1, "model.depth": 3}) == {"CT_LEARNING_RATE": "0.1", "CT_MODEL_DEPTH": "3"}


def test_present_settings_come_from_config_log_and_remedies() -> None:
    steps = np.arange(3.0)
    rate = Curve("lr", steps, np.array([0.1, 0.4, np.nan]), "learning_rate")
    config = {
        "x": "step",
        "batch_size": 8,
        "optimizer": "--evil",
        "note": "a\x00b",
        "learning_rate": 0.2,
        "deep": "\x1b[",
    }
    remedy = Remedy("more", "cause", {"momentum": 0.9}, "", 0.5, from_={"momentum": 0.0})
    found = present(Run("r", "r", "csv", (rate,), config), [remedy])
    assert found == {"batch_size": 8, "learning_rate": 0.4, "momentum": 0.0}


def test_whether_a_command_can_take_a_change_is_seen_in_its_script(tmp_path: Path) -> None:
    deaf, named, any_ = tmp_path / "deaf.py", tmp_path / "named.py", tmp_path / "any.py"
    deaf.write_text("print('CT_DROPOUT')")
    named.write_text("os.environ['CT_LEARNING_RATE']")
    any_.write_text("os.environ['CT_' + key.upper()]")
    keys = ("learning_rate",)
    assert may_take(["python", "{learning_rate}"], keys) is True
    assert [may_take(["python", str(script)], keys) for script in (deaf, named, any_)] == [False, True, True]
    assert may_take(["python", "-m", "train"], keys) is None
