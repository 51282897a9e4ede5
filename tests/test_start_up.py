"""What each command may import: structure, not time (``make bench-startup`` has the times)."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.cli.process import clean_environment

if TYPE_CHECKING:
    from pathlib import Path

HEAVY = {"numpy", "pandas", "matplotlib", "torch"}
SCRIPT = """
import json, sys
before = {name.split(".")[0] for name in sys.modules}
sys.argv = ["ctroubleshoot", *sys.argv[1:]]
from convergence_cli.__main__ import main
main()
after = {name.split(".")[0] for name in sys.modules}
print(json.dumps(sorted(after - before)), file=sys.stderr)
"""


def imported_by(folder: Path, *arguments: str) -> set[str]:
    """The top-level modules that the command brings in."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env=clean_environment(),
        check=True,
        timeout=60,
    )
    return set(json.loads(done.stderr.splitlines()[-1]))


def test_version_imports_nothing_beyond_the_standard_library(tmp_path: Path) -> None:
    brought = imported_by(tmp_path, "--version")
    assert brought - set(sys.stdlib_module_names) == {"convergence_cli"}
    assert "typing" not in brought


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["analyze", "--help"],
        ["rules"],
        ["explain", "LC001"],
        ["explain", "learning-rate-too-high"],
        ["explain", "LC999"],
        ["oops"],
    ],
)
def test_help_and_rule_pages_import_nothing_heavy(tmp_path: Path, arguments: list[str]) -> None:
    assert not imported_by(tmp_path, *arguments) & HEAVY


def test_a_small_log_is_judged_without_the_heavy_libraries(tmp_path: Path) -> None:
    rows = "".join(f"{step},{2 - step / 100}\n" for step in range(100))
    (tmp_path / "run.csv").write_text(f"step,loss\n{rows}")
    brought = imported_by(tmp_path, "analyze", "run.csv")
    assert not brought & {"pandas", "matplotlib", "torch", "rich", "pydantic"}
    assert "numpy" in brought


def test_a_saved_report_is_rendered_without_numpy(tmp_path: Path) -> None:
    empty = {"schema_version": 1, "tool": {"name": "ctroubleshoot", "version": "0"}, "runs": [], "errors": []}
    (tmp_path / "saved.json").write_text(json.dumps(empty))
    assert not imported_by(tmp_path, "report", "saved.json") & HEAVY


@pytest.mark.parametrize("command", ["analyze", "inspect"])
def test_logs_and_dumps_are_judged_without_torch_also_where_torch_wrote_them(tmp_path: Path, command: str) -> None:
    import numpy as np
    import torch

    rows = "".join(f"{step},{2 - step / 100}\n" for step in range(100))
    (tmp_path / "run.csv").write_text(f"step,loss\n{rows}")
    (tmp_path / "tensors").mkdir()
    weights = np.random.default_rng(0).normal(0, 0.3, (16, 16)).astype(np.float32)
    np.savez(tmp_path / "tensors" / "step_000000.npz", **{"weight/fc1.weight": weights})
    torch.save({"weight/fc1.weight": torch.from_numpy(weights + 0.01)}, tmp_path / "tensors" / "step_000010.pt")
    brought = imported_by(tmp_path, command, ".")
    assert not brought & {"pandas", "matplotlib", "torch", "rich", "pydantic", "safetensors"}
