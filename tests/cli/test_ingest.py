"""``ingest`` as a program: where rows go, in which format, and what a terminal is spared."""

from __future__ import annotations

import csv
import io
import os
import pty
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cli.process import clean_environment

if TYPE_CHECKING:
    from tests.cli.process import Program

MAGIC = {"csv": b"run,series,", "jsonl": b'{"run": "he', "parquet": b"PAR1", "sqlite": b"SQLite for"}


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("rows.csv", "csv"),
        ("rows.txt", "csv"),
        ("rows.JSONL", "jsonl"),
        ("rows.ndjson", "jsonl"),
        ("rows.parquet", "parquet"),
        ("rows.sqlite", "sqlite"),
        ("rows.db", "sqlite"),
    ],
)
def test_the_name_of_the_file_gives_the_format(name: str, form: str, program: Program, folder: Path) -> None:
    if form == "parquet":
        pytest.importorskip("pyarrow")
    done = program("ingest", "healthy.csv", "--output", name)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (folder / name).read_bytes().startswith(MAGIC[form])
    assert sorted(path.name for path in folder.iterdir()) == sorted(["broken.csv", "healthy.csv", name])
    again = program("classify", name).stdout.split("\t")
    assert again[1:] == program("classify", "healthy.csv").stdout.split("\t")[1:]


def test_a_format_that_is_named_beats_the_ending(program: Program, folder: Path) -> None:
    assert program("ingest", "healthy.csv", "-o", "rows.csv", "-f", "sqlite").returncode == 0
    database = sqlite3.connect(folder / "rows.csv")
    assert database.execute("SELECT count(*), count(DISTINCT series) FROM rows").fetchone() == (300, 1)
    database.close()


def test_several_runs_in_one_file(program: Program, folder: Path) -> None:
    program("ingest", "healthy.csv", "broken.csv", "-o", "rows.sqlite")
    lines = [line.split("\t")[1] for line in program("classify", "rows.sqlite").stdout.splitlines()]
    assert lines == ["converging", "diverging"]
    database = sqlite3.connect(folder / "rows.sqlite")
    found = database.execute("SELECT run, count(*), count(value) FROM rows GROUP BY run ORDER BY run").fetchall()
    assert found == [("broken.csv", 300, 200), ("healthy.csv", 300, 300)]
    database.close()


def test_an_old_file_stays_where_the_run_cannot_be_read(program: Program, folder: Path) -> None:
    (folder / "rows.sqlite").write_bytes(b"precious")
    assert program("ingest", "missing.csv", "-o", "rows.sqlite").returncode == 2
    assert (folder / "rows.sqlite").read_bytes() == b"precious"


def test_columns_of_the_first_version_come_first_and_say_the_same(program: Program) -> None:
    rows = list(csv.reader(io.StringIO(program("ingest", "broken.csv").stdout)))
    assert rows[0] == ["run", "series", "role", "step", "epoch", "value", "line", "file", "about"]
    assert rows[1][:7] == ["broken.csv", "train_loss", "train_loss", "0", "", "2.4", "2"]
    assert [row[-1] for row in rows[2:]] == [""] * 299


def test_a_database_needs_a_file(program: Program) -> None:
    done = program("ingest", "healthy.csv", "--format", "sqlite")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "ctroubleshoot: An SQLite database is written to a file. Name it: --output rows.sqlite\n"


def test_parquet_goes_through_a_pipe_but_not_to_a_terminal(folder: Path) -> None:
    pytest.importorskip("pyarrow")
    command = [sys.executable, "-m", "convergence_cli"]
    write = [*command, "ingest", "healthy.csv", "--format", "parquet"]
    clean = clean_environment()
    piped = subprocess.run(write, capture_output=True, cwd=folder, env=clean, check=True)
    assert (piped.stdout[:4], piped.stdout[-4:], piped.stderr) == (b"PAR1", b"PAR1", b"")
    judge = [*command, "classify", "-"]
    judged = subprocess.run(judge, input=piped.stdout, capture_output=True, cwd=folder, env=clean, check=True)
    assert judged.stdout.split(b"\t")[1] == b"converging"
    ours, theirs = pty.openpty()
    shown = subprocess.run(write, stdout=theirs, stderr=subprocess.PIPE, cwd=folder, env=clean, check=False)
    os.close(theirs)
    os.close(ours)
    assert shown.returncode == 2
    assert shown.stderr.startswith(b"ctroubleshoot: Parquet is not for a terminal.")


def test_without_pyarrow_the_other_formats_work(program: Program, folder: Path) -> None:
    (folder / "pyarrow.py").write_text("raise ImportError")
    done = program("ingest", "healthy.csv", "-o", "rows.parquet", PYTHONPATH=str(folder))
    assert done.returncode == 2
    assert "Parquet is written by pyarrow, which is not installed. Install: pip install" in done.stderr
    assert not (folder / "rows.parquet").exists()
    assert program("ingest", "healthy.csv", "-o", "rows.csv", PYTHONPATH=str(folder)).returncode == 0


def test_an_unknown_format(program: Program) -> None:
    done = program("ingest", "healthy.csv", "--format", "xlsx")
    assert (done.returncode, done.stderr) == (
        2,
        "ctroubleshoot: 'xlsx' is not a format of ingest. Choose from: csv, jsonl, parquet, sqlite.\n",
    )
