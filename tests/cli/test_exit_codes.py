"""Each row of the exit-code table, through a real process."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.cli.process import clean_environment

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.process import Program


def test_0_no_finding(program: Program) -> None:
    done = program("analyze", "healthy.csv")
    assert (done.returncode, done.stderr) == (0, "")
    assert "CONVERGING" in done.stdout


def test_1_a_finding_as_severe_as_fail_on(program: Program) -> None:
    done = program("analyze", "broken.csv")
    assert (done.returncode, done.stderr) == (1, "")
    assert "LC001" in done.stdout


@pytest.mark.parametrize(
    "arguments", [["--fail-on", "never"], ["--exit-zero"], ["--ignore", "ALL"], ["--select", "GR"]]
)
def test_0_where_the_finding_was_not_asked_for(program: Program, arguments: list[str]) -> None:
    assert program("analyze", "broken.csv", *arguments).returncode == 0


@pytest.mark.parametrize("command", ["analyze", "classify", "ingest", "inspect"])
@pytest.mark.parametrize("output", ["broken.csv", "./broken.csv", "linked.csv"])
def test_2_an_input_is_not_replaced_by_the_output(program: Program, folder: Path, command: str, output: str) -> None:
    before = (folder / "broken.csv").read_bytes()
    (folder / "linked.csv").symlink_to("broken.csv")
    done = program(command, "healthy.csv", "broken.csv", "--output", output)
    assert (done.returncode, done.stdout) == (2, "")
    assert "broken.csv would be replaced" in done.stderr
    assert (folder / "broken.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["analyze"], "Missing argument RUN"),
        (["analyse", "healthy.csv"], "analyze"),
        (["analyze", "healthy.csv", "--colour", "never"], "--color"),
        (["analyze", "healthy.csv", "--format", "jsn"], "Did you mean json"),
        (["analyze", "healthy.csv", "--select", "LC9"], "No rule has the code or name 'LC9'"),
        (["analyze", "healthy.csv", "--metric", "train_loss"], "ROLE=NAME"),
        (["analyze", "healthy.csv", "--pattern", "("], "regular expression"),
        (["analyze", "healthy.csv", "--pattern", "(?P<loss>(a+)+)$"], "'(a+)' repeats"),
        (["analyze", "healthy.csv", "-m", "train_loss=a", "-m", "train_loss=b"], "train_loss is given twice"),
        (["analyze", "healthy.csv", "--config", "missing.toml"], "missing.toml"),
        (["classify", "healthy.csv", "--format", "sarif"], "text, json"),
        (["explain", "LC01"], "Did you mean LC"),
        (["report", "missing.json"], "missing.json cannot be read"),
        (["report", "healthy.csv"], "Only --format json can be rendered again"),
    ],
)
def test_2_bad_usage(program: Program, arguments: list[str], said: str) -> None:
    done = program(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert done.stderr.startswith("ctroubleshoot: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("missing.csv", None),
        ("empty.csv", b""),
        ("junk.bin", bytes(range(256)) * 40),
        ("other.csv", b"step,temperature\n1,20\n2,21\n3,22\n"),
    ],
)
def test_2_unreadable_input(program: Program, folder: Path, name: str, content: bytes | None) -> None:
    if content is not None:
        (folder / name).write_bytes(content)
    done = program("analyze", name)
    assert done.returncode == 2
    assert done.stderr.startswith("ctroubleshoot: ")
    assert done.stderr.count("\n") == 1
    assert name in done.stderr
    assert "Traceback" not in done.stderr


def test_2_beats_1_and_exit_zero_and_the_findings_are_still_shown(program: Program) -> None:
    done = program("analyze", "broken.csv", "missing.csv", "--exit-zero")
    assert done.returncode == 2
    assert "LC001" in done.stdout
    assert "missing.csv" in done.stdout
    assert "missing.csv" in done.stderr


def after(folder: Path, action: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The program, where reading the runs does ``action`` instead."""
    script = (
        "import os, signal, sys\n"
        "import convergence_cli.fleet.judging as judging\n"
        "from convergence_cli.__main__ import main\n"
        # A job that a shell has put into the background ignores interrupts from its start.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "def judged(*args, **kwargs):\n"
        f"    {action}\n"
        "judging.judged = judged\n"
        "sys.argv = ['ctroubleshoot', 'analyze', 'healthy.csv', *sys.argv[1:]]\n"
        "sys.exit(main())\n"
    )
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env=clean_environment(),
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("action", ["1 / 0", "raise MemoryError", "raise RecursionError('deep')"])
def test_3_a_bug_is_one_line_that_says_how_to_report_it(folder: Path, action: str) -> None:
    done = after(folder, action)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.count("\n") == 1
    assert "report" in done.stderr


def test_3_with_its_traceback_when_asked(folder: Path) -> None:
    done = after(folder, "1 / 0", "--verbose")
    assert done.returncode == 3
    assert "Traceback" in done.stderr
    assert "ZeroDivisionError" in done.stderr


def test_130_interrupted(folder: Path) -> None:
    done = after(folder, "os.kill(os.getpid(), signal.SIGINT)")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_help_names_every_command_and_exit_code_once(program: Program) -> None:
    done = program("--help")
    assert done.returncode == 0
    for word in ("analyze", "classify", "ingest", "report", "rules", "explain", "demo"):
        assert f" {word} " in done.stdout
    rows = ("0    no finding", "1    at least", "2    no verdict", "3    a bug", "130  interrupted")
    lines = [line.strip() for line in done.stdout.splitlines()]
    first = next(number for number, line in enumerate(lines) if line.startswith(rows[0]))
    assert all(line.startswith(row) for line, row in zip(lines[first:], rows, strict=False))


@pytest.mark.parametrize("command", ["analyze", "classify", "ingest", "report", "rules", "explain", "demo"])
def test_help_of_a_command_points_to_the_exit_codes_and_names_no_python_type(program: Program, command: str) -> None:
    shown = program(command, "--help").stdout
    assert shown.count("Exit codes: ctroubleshoot --help\n") == 1
    assert "interrupted" not in shown
    assert not any(word in shown for word in ("<bool>", "<str>", "<list"))


def test_no_command_at_all_is_bad_usage_with_help(program: Program) -> None:
    done = program()
    assert done.returncode == 2
    assert "analyze" in done.stdout
