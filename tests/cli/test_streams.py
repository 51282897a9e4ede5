"""Standard input and output, files, colour and encodings, through a real process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.cli.process import clean_environment

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.process import Program


def test_a_run_can_come_from_standard_input(program: Program, folder: Path) -> None:
    done = program("analyze", "-", stdin=(folder / "broken.csv").read_bytes())
    assert done.returncode == 1
    assert "LC001" in done.stdout


def test_nothing_on_standard_input_is_no_verdict(program: Program) -> None:
    assert program("analyze", "-").returncode == 2


def test_output_goes_to_the_file_and_nowhere_else(program: Program, folder: Path) -> None:
    done = program("analyze", "broken.csv", "--format", "json", "--output", "out.json")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")
    assert json.loads((folder / "out.json").read_text())["schema_version"] == 1
    assert {path.name for path in folder.iterdir()} == {"healthy.csv", "broken.csv", "out.json"}


def test_a_failure_leaves_no_file_and_an_old_one_as_it_was(program: Program, folder: Path) -> None:
    (folder / "old.txt").write_text("old")
    for name in ("old.txt", "new.txt"):
        assert program("analyze", "healthy.csv", "--select", "XX", "--output", name).returncode == 2
    assert (folder / "old.txt").read_text() == "old"
    assert {path.name for path in folder.iterdir()} == {"healthy.csv", "broken.csv", "old.txt"}


def test_a_file_that_is_replaced_keeps_its_permissions(program: Program, folder: Path) -> None:
    target = folder / "out.txt"
    target.write_text("old")
    target.chmod(0o640)
    program("classify", "healthy.csv", "--output", "out.txt")
    assert target.read_text() != "old"
    assert target.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("name", ["nowhere/out.txt", "."])
def test_an_output_that_cannot_be_written_is_no_verdict(program: Program, name: str) -> None:
    done = program("analyze", "healthy.csv", "--output", name)
    assert (done.returncode, done.stdout) == (2, "")
    assert "cannot be written" in done.stderr


@pytest.mark.parametrize("name", ["-", "/dev/stdout", "/dev/fd/1"])
def test_standard_output_can_be_named(program: Program, name: str) -> None:
    assert program("classify", "healthy.csv", "--output", name).stdout.startswith("healthy.csv\tconverging")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_no_verdict(folder: Path) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "convergence_cli", "classify", "healthy.csv"],
            stdout=full, stderr=subprocess.PIPE, cwd=folder, env=clean_environment(), check=False, timeout=60,
        )  # fmt: skip
    assert done.returncode == 2
    assert b"cannot be written" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["ingest", "healthy.csv"], 0),
        (["analyze", "broken.csv"], 1),
        (["--help"], 0),
        (["--version"], 0),
        (["rules"], 0),
    ],
)
def test_a_reader_that_goes_away_is_no_error(folder: Path, arguments: list[str], code: int) -> None:
    read, written = os.pipe()
    os.close(read)
    with os.fdopen(written, "wb") as closed:
        done = subprocess.run(
            [sys.executable, "-m", "convergence_cli", *arguments],
            stdout=closed, stderr=subprocess.PIPE, cwd=folder, env=clean_environment(), check=False, timeout=60,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (code, b"")


def shell(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    """``text`` in a shell, where ``ct`` is the program."""
    return subprocess.run(
        ["sh", "-c", f'ct() {{ "{sys.executable}" -m convergence_cli "$@"; }}; {text}'],
        capture_output=True, text=True, cwd=folder, env=clean_environment(), check=False, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize(
    "arguments",
    [
        "analyze healthy.csv",
        "classify healthy.csv",
        "ingest healthy.csv",
        "rules",
        "--help",
        "rules --help",
        "--version",
    ],
)
def test_an_answer_for_a_standard_output_that_is_closed_is_not_lost_in_silence(folder: Path, arguments: str) -> None:
    done = shell(folder, f"ct {arguments} >&-")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "Standard output is closed" in done.stderr


def test_a_closed_standard_output_does_not_matter_to_an_answer_for_a_file(folder: Path) -> None:
    assert shell(folder, "ct classify healthy.csv --output out.txt >&-").returncode == 0
    assert (folder / "out.txt").read_text().startswith("healthy.csv\tconverging")


@pytest.mark.parametrize("command", ["analyze", "classify", "ingest", "report"])
def test_standard_input_that_is_closed_is_no_verdict(folder: Path, command: str) -> None:
    done = shell(folder, f"ct {command} - <&-")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "Standard input is closed" in done.stderr


@pytest.mark.parametrize(("arguments", "said"), [([], 0), (["--format", "concise"], 1), (["--output", "out.txt"], 1)])
def test_what_a_terminal_has_just_shown_is_not_said_again(folder: Path, arguments: list[str], said: int) -> None:
    shown, screen = os.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "convergence_cli", "analyze", "healthy.csv", "missing.csv", *arguments],
        stdout=screen, stderr=subprocess.PIPE, cwd=folder, env=clean_environment(), check=False, timeout=60,
    )  # fmt: skip
    os.close(screen)
    text = (folder / "out.txt").read_text() if "--output" in arguments else os.read(shown, 1 << 16).decode()
    os.close(shown)
    assert (done.returncode, text.count("missing.csv cannot be read")) == (2, 1)
    assert done.stderr.decode().count("missing.csv cannot be read") == said


@pytest.mark.parametrize("name", ["-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"])
def test_standard_input_has_several_names(folder: Path, name: str) -> None:
    if not os.path.exists(name) and name != "-":
        pytest.skip("no such device here")
    for feed in ("cat healthy.csv | ", "< healthy.csv "):
        assert shell(folder, f"{feed} ct classify {name}").stdout.startswith("<stdin>\tconverging")
    shell(folder, "ct analyze healthy.csv --format json --output saved.json")
    assert shell(folder, f"cat saved.json | ct report {name} --format concise").stdout.startswith(
        "healthy.csv: VERDICT"
    )


@pytest.mark.parametrize("command", ["analyze", "classify", "ingest"])
def test_where_nothing_was_judged_the_file_stays_as_it_was(program: Program, folder: Path, command: str) -> None:
    (folder / "old.txt").write_text("old")
    for name in ("old.txt", "new.txt"):
        assert program(command, "missing.csv", "--output", name).returncode == 2
    assert (folder / "old.txt").read_text() == "old"
    assert not (folder / "new.txt").exists()
    assert program(command, "missing.csv", "healthy.csv", "--output", "old.txt").returncode == 2
    assert (folder / "old.txt").read_text() != "old"


def test_a_saved_report_in_lines_cannot_be_rendered_and_is_told_so(program: Program) -> None:
    saved = program("analyze", "healthy.csv", "--format", "jsonl").stdout
    done = program("report", "-", stdin=saved.encode())
    assert done.returncode == 2
    assert "Only --format json can be rendered again" in done.stderr


def test_a_pattern_in_a_settings_file_is_refused(program: Program, folder: Path) -> None:
    (folder / "ctroubleshoot.toml").write_text('pattern = "(?P<loss>(a+)+)$"\n')
    done = program("analyze", "healthy.csv")
    assert done.returncode == 2
    assert "'pattern' cannot be set in a file" in done.stderr
    assert "--pattern on the command line" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "environment", "colored"),
    [
        ([], {}, False),
        ([], {"FORCE_COLOR": "1"}, True),
        ([], {"FORCE_COLOR": "0"}, False),
        ([], {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        (["--color", "always"], {"NO_COLOR": "1"}, True),
        (["--color", "never"], {"FORCE_COLOR": "1"}, False),
        (["--format", "json", "--color", "always"], {}, False),
        (["--format", "concise", "--color", "always"], {}, False),
    ],
)
def test_colour(program: Program, arguments: list[str], environment: dict[str, str], colored: bool) -> None:
    assert ("\x1b[" in program("analyze", "broken.csv", *arguments, **environment).stdout) is colored


@pytest.mark.parametrize(("encoding", "glyph"), [("utf-8", "█"), ("ascii", "@")])
def test_an_encoding_without_the_glyphs_gets_others(program: Program, encoding: str, glyph: str) -> None:
    done = program("analyze", "broken.csv", PYTHONIOENCODING=encoding)
    assert done.returncode == 1
    assert glyph in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_a_name_in_another_script_does_not_break_ascii_output(program: Program, folder: Path) -> None:
    (folder / "損失.csv").write_text((folder / "healthy.csv").read_text())
    for command in ("analyze", "classify", "ingest"):
        done = program(command, "損失.csv", PYTHONIOENCODING="ascii")
        assert done.returncode == 0
        assert "\\u640d" in done.stdout


def test_escape_sequences_in_names_do_not_reach_the_terminal(program: Program, folder: Path) -> None:
    text = (folder / "broken.csv").read_text().replace("train_loss", "train/\x1b]0;x\x07loss")
    (folder / "a\x1b[2Jb.csv").write_text(text)
    for command in ("analyze", "classify", "ingest"):
        done = program(command, "a\x1b[2Jb.csv", "gone\x1b[2J.csv")
        assert not {"\x1b", "\x07"} & set(done.stdout + done.stderr)


def test_places_in_the_working_directory_are_named_from_there(program: Program, folder: Path) -> None:
    path = str(folder / "broken.csv")
    sarif = json.loads(program("analyze", path, "--format", "sarif").stdout)
    locations = [result["locations"][0]["physicalLocation"] for result in sarif["runs"][0]["results"]]
    assert {location["artifactLocation"]["uri"] for location in locations} == {"broken.csv"}
    run = json.loads(program("analyze", path, "--format", "json").stdout)["runs"][0]
    assert run["path"] == path
    assert {finding["where"]["file"] for finding in run["findings"]} <= {"broken.csv", None}
    assert "::error file=broken.csv," in program("analyze", path, "--format", "github").stdout


def test_a_working_directory_that_is_gone_is_no_bug(folder: Path) -> None:
    gone = folder / "gone"
    script = 'cd gone && rmdir ../gone && exec "$0" -m convergence_cli "$@"'
    path, out = str(folder / "healthy.csv"), str(folder / "out")
    for arguments in (
        ["analyze", path, "--isolated"],
        ["classify", path],
        ["analyze", path, "--format", "sarif", "--output", out],
        ["ingest", path, "--output", out],
        ["demo"],
    ):
        gone.mkdir()
        done = subprocess.run(
            ["sh", "-c", script, sys.executable, *arguments],
            capture_output=True,
            cwd=folder,
            env=clean_environment(),
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def test_a_closed_stderr_pipe_leaves_the_exit_code(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "convergence_cli", "analyze", "missing"],
        stdout=writing,
        stderr=writing,
        cwd=tmp_path,
        env=clean_environment(),
        check=False,
        timeout=60,
    )
    os.close(writing)
    assert done.returncode == 2
