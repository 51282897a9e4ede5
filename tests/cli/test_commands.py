"""What each command prints, through a real process."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING

import pytest

from convergence_cli.settings import FORMATS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.process import Program


def test_a_saved_report_renders_as_the_run_did(program: Program) -> None:
    first = program("analyze", "broken.csv", "healthy.csv", "missing.csv")
    program("analyze", "broken.csv", "healthy.csv", "missing.csv", "--format", "json", "--output", "saved.json")
    again = program("report", "saved.json")
    assert (again.returncode, again.stdout, again.stderr) == (2, first.stdout, first.stderr)


def test_a_saved_report_keeps_its_exit_code_and_can_come_from_standard_input(program: Program) -> None:
    saved = program("analyze", "broken.csv", "--format", "json").stdout
    assert program("report", "-", stdin=saved.encode()).returncode == 1
    assert program("report", "-", "--fail-on", "never", stdin=saved.encode()).returncode == 0


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"schema_version": 1, "runs": [3]}', b"\xff\xfe"])
def test_a_damaged_report_is_no_verdict(program: Program, content: bytes) -> None:
    done = program("report", "-", stdin=content)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_offered(program: Program, name: str) -> None:
    done = program("analyze", "broken.csv", "--format", name)
    assert (done.returncode, done.stderr) == (1, "")
    assert "non-finite" in done.stdout


def test_several_runs_are_told_apart(program: Program) -> None:
    lines = program("analyze", "healthy.csv", "broken.csv").stdout.splitlines()
    assert lines[0].split() == ["run", "verdict", "best", "loss", "loss"]
    # The worst first.
    assert lines[1].split()[:2] == ["broken.csv", "diverging"]
    assert lines[3].split()[:2] == ["healthy.csv", "converging"]
    assert lines[-1].startswith("2 runs: 1 converging, 1 diverging")


def test_more_and_less_can_be_asked_for(program: Program) -> None:
    quiet, normal, verbose = (program("analyze", "broken.csv", *flag).stdout for flag in (["-q"], [], ["-v"]))
    assert len(quiet) < len(normal) < len(verbose)
    assert "skipped GN101" in verbose


def test_classify_is_one_line_a_run(program: Program) -> None:
    done = program("classify", "healthy.csv", "broken.csv")
    assert done.returncode == 0
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [row[:2] for row in rows] == [["healthy.csv", "converging"], ["broken.csv", "diverging"]]
    assert all(0 <= float(row[2]) <= 1 for row in rows)
    assert rows[1][3] == "non-finite"


def test_classify_as_json(program: Program) -> None:
    done = program("classify", "broken.csv", "missing.csv", "--format", "json")
    data = json.loads(done.stdout)
    assert done.returncode == 2
    assert [run["verdict"]["label"] for run in data["runs"]] == ["diverging"]
    assert data["errors"][0]["path"] == "missing.csv"


def test_ingest_tells_not_logged_from_logged_as_nan(program: Program, folder: Path) -> None:
    (folder / "mixed.csv").write_text("epoch,step,loss,=cmd()\n0,0,1.5,1\n0,1,nan,\n1,2,inf,-3\n")
    rows = list(csv.DictReader(io.StringIO(program("ingest", "mixed.csv").stdout)))
    loss = [(row["step"], row["value"], row["line"]) for row in rows if row["series"] == "loss"]
    assert loss == [("0", "1.5", "2"), ("1", "nan", "3"), ("2", "inf", "4")]
    other = [(row["step"], row["value"]) for row in rows if row["series"] == "'=cmd()"]
    assert other == [("0", "1.0"), ("2", "-3.0")]
    assert {row["role"] for row in rows if row["series"] == "loss"} == {"train_loss"}


def test_ingest_as_json_lines(program: Program) -> None:
    lines = program("ingest", "broken.csv", "--format", "jsonl").stdout.splitlines()
    rows = [json.loads(line, parse_constant=pytest.fail) for line in lines]
    assert len(rows) == 300
    assert rows[0]["role"] == "train_loss"
    assert rows[-1]["value"] == "nan"
    assert "epoch" not in rows[0]


def test_a_metric_can_be_named(program: Program, folder: Path) -> None:
    (folder / "odd.csv").write_text((folder / "broken.csv").read_text().replace("train_loss", "wobble"))
    assert program("analyze", "odd.csv").returncode == 2
    done = program("analyze", "odd.csv", "--metric", "train_loss=wobble")
    assert done.returncode == 1
    assert "train_loss=wobble" in done.stdout


def test_a_metric_that_has_a_role_of_its_own_can_be_named(program: Program, folder: Path) -> None:
    lines = (folder / "broken.csv").read_text().replace("train_loss", "grad_norm,train_loss").splitlines()
    (folder / "two.csv").write_text("\n".join([lines[0], *(f"{line},1.0" for line in lines[1:]), ""]))
    done = program("analyze", "two.csv", "--metric", "train_loss=grad_norm", "--format", "json")
    (run,) = json.loads(done.stdout)["runs"]
    assert (done.returncode, run["summary"]["series"]) == (1, {"train_loss": "grad_norm"})
    assert run["verdict"]["state"] == "non-finite"


def test_settings_come_from_the_folder_of_the_run(program: Program, folder: Path) -> None:
    (folder / "ctroubleshoot.toml").write_text('fail-on = "never"\n')
    assert program("analyze", "broken.csv").returncode == 0
    assert program("analyze", "broken.csv", "--isolated").returncode == 1
    assert program("analyze", "broken.csv", CTROUBLESHOOT_FAIL_ON="error").returncode == 1


def test_rules_lists_every_rule_in_three_forms(program: Program) -> None:
    listed = json.loads(program("rules", "--format", "json").stdout)
    text, table = program("rules").stdout, program("rules", "--format", "markdown").stdout
    assert listed
    for rule in listed:
        assert f"{rule['code']}  {rule['name']}" in text
        assert f"| {rule['code']} | {rule['name']} |" in table
        assert rule["summary"] == rule["doc"].splitlines()[0]


def test_a_profile_has_its_own_rules_and_names_those_it_could_not_ask(program: Program, folder: Path) -> None:
    listed = json.loads(program("rules", "--format", "json").stdout)
    codes = {name: [rule["code"] for rule in listed if rule["profile"] == name] for name in ("default", "sagemaker")}
    assert len(codes["sagemaker"]) == 20

    def judged(*arguments: str, **environment: str) -> tuple[int, list[str], set[str]]:
        done = program("analyze", "healthy.csv", "--format", "json", *arguments, **environment)
        (run,) = json.loads(done.stdout)["runs"]
        found = [finding["rule"] for finding in run["findings"]]
        return done.returncode, found, {*found, *run["passed"], *(skip["rule"] for skip in run["skipped"])}

    assert judged()[2] == set(codes["default"])
    # The known false alarm of comparing two points of a noisy loss.
    assert judged("--profile", "sagemaker") == (0, ["SM110"], set(codes["sagemaker"]))
    assert judged("--fail-on", "warning", CTROUBLESHOOT_PROFILE="sagemaker")[0] == 1
    assert judged("--profile", "sagemaker", "--select", "LC")[2] < set(codes["default"])
    assert judged("--extend-select", "SM")[2] == {rule["code"] for rule in listed}
    (folder / "ctroubleshoot.toml").write_text('profile = "sagemaker"\n')
    assert judged()[2] == set(codes["sagemaker"])


def test_an_unknown_profile_is_bad_usage(program: Program) -> None:
    done = program("analyze", "healthy.csv", "--profile", "sagemakr")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Did you mean sagemaker?" in done.stderr


def test_rules_of_another_profile_stand_apart(program: Program) -> None:
    own, heading, others = program("rules").stdout.partition("\nWith --profile sagemaker:\n")
    assert heading
    assert "SM101" not in own
    assert others.startswith("SM101  sagemaker-vanishing-gradient")
    assert "LC001" not in others
    assert "with --profile sagemaker)" in program("explain", "SM101").stdout.splitlines()[0]
    assert "--profile" not in program("explain", "LC001").stdout


@pytest.mark.parametrize("name", ["LC001", "lc001", "Non-Finite-Loss"])
def test_explain_takes_code_or_name_in_any_case(program: Program, name: str) -> None:
    done = program("explain", name)
    assert done.returncode == 0
    assert done.stdout.startswith("LC001 non-finite-loss (error")
    for section in ("What it checks", "Why it matters", "How it decides", "Known false alarms", "References"):
        assert f"\n{section}\n" in done.stdout


def test_explain_says_in_words_what_a_rule_needs(program: Program) -> None:
    shown = program("explain", "GN101").stdout
    assert "\nEvidence needed\n    val_loss.\n" in shown


def test_explain_shows_rule_and_cause_of_one_name(program: Program) -> None:
    shown = program("explain", "overfitting").stdout
    assert shown.startswith("GN101 overfitting (error")
    assert "\n\noverfitting (cause)\n" in shown


@pytest.mark.parametrize("arguments", [["rules"], ["explain", "GN101"], ["explain", "learning-rate-too-high"]])
def test_pages_fit_eighty_columns_where_there_is_no_terminal(program: Program, arguments: list[str]) -> None:
    lines = program(*arguments).stdout.splitlines()
    assert max(map(len, lines)) <= 80


def test_explain_takes_a_cause(program: Program) -> None:
    done = program("explain", "learning-rate-too-high")
    assert done.returncode == 0
    assert done.stdout.startswith("learning-rate-too-high (cause)\n")
    assert "\nWhat speaks for it\n    - LC101 " in done.stdout


def test_demo_shows_the_command_and_its_report(program: Program) -> None:
    done = program("demo")
    assert done.returncode == 0
    command = done.stderr.strip().removeprefix("$ ctroubleshoot ")
    assert program(*command.split()).stdout == done.stdout
