"""``--as-of STEP``: what would have been said earlier, through a real process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema
import numpy as np
import pytest

import convergence_cli

if TYPE_CHECKING:
    from tests.cli.process import Program

SCHEMA = json.loads((Path(convergence_cli.__file__).parent / "report.schema.json").read_text())


def test_a_run_that_breaks_was_healthy_before(program: Program) -> None:
    assert program("analyze", "broken.csv").returncode == 1
    done = program("analyze", "broken.csv", "--as-of", "150", COLUMNS="80")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "broken.csv · csv · 151 points · steps 0–150"
    assert lines[1].startswith("CONVERGING · ")
    assert "  note: as of step 150 of 299" in lines
    assert max(map(len, lines)) <= 80


def test_several_runs_are_all_cut(program: Program) -> None:
    rows = program("classify", "healthy.csv", "broken.csv", "--as-of=150").stdout.splitlines()
    assert [row.split("\t")[:2] for row in rows] == [["healthy.csv", "converging"], ["broken.csv", "converging"]]


def test_classify_says_what_a_shorter_log_would_give(program: Program, folder: Path) -> None:
    whole = (folder / "broken.csv").read_text().splitlines(keepends=True)
    for step in (2, 60, 199, 202, 260):
        (folder / "cut.csv").write_text("".join(whole[: step + 2]))
        asked = program("classify", "broken.csv", "--as-of", str(step)).stdout
        assert asked.split("\t")[1:] == program("classify", "cut.csv").stdout.split("\t")[1:]


def test_json_carries_the_note_and_keeps_the_contract(program: Program) -> None:
    done = program("analyze", "broken.csv", "--as-of", "1e2", "--format", "json")
    data = json.loads(done.stdout)
    jsonschema.validate(data, SCHEMA)
    (run,) = data["runs"]
    assert run["notes"] == ["as of step 100 of 299"]
    assert (run["summary"]["points"], run["summary"]["last_step"]) == (101, 100)
    assert (run["verdict"]["label"], run["verdict"]["best_step"] <= 100) == ("converging", True)
    done = program("classify", "broken.csv", "--as-of", "250", "--format", "json")
    assert json.loads(done.stdout)["runs"][0]["verdict"]["state"] == "non-finite"


def test_a_saved_report_says_it_again(program: Program) -> None:
    program("analyze", "broken.csv", "--as-of", "100", "--format", "json", "--output", "saved.json")
    assert "note: as of step 100 of 299" in program("report", "saved.json").stdout


def test_a_log_from_a_pipe_is_cut(program: Program, folder: Path) -> None:
    data = (folder / "broken.csv").read_bytes()
    done = program("analyze", "-", "--as-of", "150", "--format", "concise", stdin=data)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("<stdin>: VERDICT converging")


def test_before_the_first_point_there_is_no_verdict_and_no_error(program: Program, folder: Path) -> None:
    (folder / "late.csv").write_text("step,train_loss\n" + "".join(f"{n},{1 / n}\n" for n in range(10, 50)))
    done = program("analyze", "late.csv", "--as-of", "0", COLUMNS="80")
    assert (done.returncode, done.stderr) == (0, "")
    assert "UNDETERMINED · too-few-points" in done.stdout
    assert "train_loss has no point up to step 0." in done.stdout
    done = program("classify", "late.csv", "--as-of", "9.5")
    assert (done.returncode, done.stdout) == (0, "late.csv\tundetermined\t0.000\ttoo-few-points\n")


@pytest.mark.parametrize("command", ["analyze", "classify", "inspect"])
@pytest.mark.parametrize("text", ["-5", "nan", "soon", "", "inf", "1e999", "1,000"])
def test_what_is_no_step_is_one_sentence_with_a_next_step(program: Program, command: str, text: str) -> None:
    done = program(command, "broken.csv", "--as-of", text)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"ctroubleshoot: --as-of: '{text}' is not a step. Give a number from 0 up")
    assert done.stderr.count("\n") == 1


def test_it_is_set_as_other_options_are(program: Program, folder: Path) -> None:
    def label(*arguments: str, **environment: str) -> str:
        return program("classify", "broken.csv", *arguments, **environment).stdout.split("\t")[1]

    assert label(CTROUBLESHOOT_AS_OF="150") == "converging"
    assert label("--as-of", "299", CTROUBLESHOOT_AS_OF="150") == "diverging"
    assert label(CTROUBLESHOOT_AS_OF="") == "diverging"
    (folder / "ctroubleshoot.toml").write_text("as-of = 150\n")
    assert label() == "converging"
    assert label("--isolated") == "diverging"
    for wrong in ("true", "[1]", "-1", '"x"', "nan", "1" * 400):
        (folder / "ctroubleshoot.toml").write_text(f"as-of = {wrong}\n")
        done = program("classify", "broken.csv")
        assert (done.returncode, done.stdout) == (2, "")
        assert "ctroubleshoot.toml:1: " in done.stderr
        assert "is not a step" in done.stderr


def test_inspect_shows_the_dumps_that_were_there(program: Program, folder: Path) -> None:
    (folder / "run" / "tensors").mkdir(parents=True)
    for step in (10, 20, 30):
        values = np.full((4, 4), np.nan if step == 30 else step, dtype=np.float32)
        np.savez(folder / "run" / "tensors" / f"step_{step:06d}.npz", **{"gradient/fc1.weight": values})
    assert "TE101" in program("inspect", "run").stdout
    done = program("inspect", "run", "--as-of", "20", "--step", "all", "--format", "json")
    (run,) = json.loads(done.stdout)["runs"]
    assert [row["step"] for row in run["tensors"]["rows"]] == [10, 20]
    assert run["tensors"]["total"] == 2
    assert "TE101" not in {found["rule"] for found in run["findings"]}
    done = program("inspect", "run", "--as-of", "9")
    assert done.returncode == 2
    assert "run holds no tensor dumps up to step 9. The first is of step 10" in done.stderr
