"""The real command line in a process of its own, and small runs to point it at."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cli.process import clean_environment

if TYPE_CHECKING:
    from tests.cli.process import Program


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The working directory of the program: one run that is healthy, one whose loss becomes NaN."""
    losses = [2.3 * math.exp(-step / 60) + 0.1 + 0.01 * math.sin(7 * step) for step in range(300)]
    write_log(tmp_path / "healthy.csv", losses)
    write_log(tmp_path / "broken.csv", [*losses[:200], *[math.nan] * 100])
    return tmp_path


def write_log(path: Path, losses: list[float]) -> None:
    rows = [f"{step},{loss:.5f}" for step, loss in enumerate(losses)]
    path.write_text("\n".join(["step,train_loss", *rows, ""]))


@pytest.fixture
def program(folder: Path) -> Program:
    """``python -m convergence_cli`` in ``folder``."""

    def run(*arguments: str, stdin: bytes = b"", **environment: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "convergence_cli", *arguments],
            input=stdin,
            capture_output=True,
            cwd=folder,
            env=clean_environment(**environment),
            timeout=60,
            check=False,
        )
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())

    return run
