"""The house keeps its shape: nothing imports upward, no file grows without bound, light things start light."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import convergence_cli
from convergence_cli.readers import READERS
from convergence_cli.rules import FAMILIES

ROOT = Path(convergence_cli.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
PACKAGE = "convergence_cli"
# What each room may import, beside itself. A room that is not named here fails the test.
LEAVES = {"", "model", "errors", "printable", "streams"}
DATA = LEAVES | {"buckets", "codec", "row", "axis", "tensor_stats", "tensor_table"}
ALLOWED = {
    "model": {"tensor_stats", "printable"},
    "tensor_stats": set(),
    "tensor_table": {"model", "tensor_stats"},
    "errors": set(),
    "printable": set(),
    "streams": set(),
    "pattern": LEAVES,
    "buckets": {"model"},
    "axis": {"model"},
    "as_of": {"model", "errors", "axis", "tensor_stats"},
    "codec": {"model", "row", "errors", "printable"},
    "selection": LEAVES,
    "settings": LEAVES | {"selection", "pattern"},
    "readers": DATA | {"roles", "pattern"},
    # One door for untrusted bytes, and one decoder of event files, serve logs and dumps alike.
    "tensors": DATA | {"readers"},
    "tidy": DATA | {"readers"},
    "reading": DATA | {"readers", "roles", "tensors", "settings"},
    "roles": LEAVES,
    "features": DATA | {"tensors"},
    "rules": DATA | {"features"},
    "diagnosis": DATA | {"features", "rules"},
    "summary": DATA | {"features"},
    "pipeline": DATA
    | {
        "as_of",
        "readers",
        "reading",
        "tensors",
        "roles",
        "features",
        "rules",
        "diagnosis",
        "summary",
        "selection",
        "settings",
    },
    "outcome": {"model"},
    "row": {"model"},
    "fleet": DATA | {"readers", "reading", "pipeline", "row", "selection", "settings", "summary"},
    "learning_rate": {"model"},
    "trials": DATA | {"outcome", "as_of", "readers", "features", "pipeline", "selection", "settings"},
    "reporters": {"", "model", "row", "outcome", "learning_rate", "errors", "codec", "printable"},
    "plots": DATA | {"features", "tensors", "summary", "settings", "pipeline", "learning_rate", "reporters"},
}
# Rooms above the pipeline or beside it (the command line, what runs in the user's training) see all below.
ABOVE = {"cli", "__main__", "recorder", "lr_find", "notebook", "demo", ""}
VAGUE = {"utils", "util", "helpers", "helper", "manager", "base", "factory", "common", "misc"}


def _room(path: Path) -> str:
    first = path.relative_to(ROOT).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def _imports(path: Path) -> Iterator[tuple[str, int]]:
    """Dotted names within the package that ``path`` imports, also inside functions and for types only."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for name in node.names:
                if name.name.split(".")[0] == PACKAGE:
                    yield name.name.partition(".")[2], node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative imports hide what is imported"
            if node.module is not None and node.module.split(".")[0] == PACKAGE:
                inside = node.module.partition(".")[2]
                for name in node.names:
                    below = ROOT / inside.replace(".", "/") / f"{name.name}.py"
                    nested = ROOT / inside.replace(".", "/") / name.name
                    is_module = below.exists() or nested.is_dir()
                    yield (f"{inside}.{name.name}".strip(".") if is_module else inside), node.lineno


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_file_imports_from_a_room_above_its_own(path: Path) -> None:
    room = _room(path)
    if room in ABOVE:
        return
    assert room in ALLOWED, f"{room} has no place in the order of rooms: add it to this test"
    for imported, line in _imports(path):
        target = imported.split(".")[0]
        assert target == room or target in ALLOWED[room], f"{path}:{line}: {room} must not import {target}"


def test_the_order_of_rooms_has_no_circle() -> None:
    placed: set[str] = {""}
    waiting = dict(ALLOWED)
    while waiting:
        ready = [room for room, below in waiting.items() if (below & ALLOWED.keys()) - {room} <= placed]
        assert ready, f"rooms that import each other: {sorted(waiting)}"
        for room in ready:
            placed.add(room)
            del waiting[room]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_stay_short_and_have_telling_names(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 500
    assert path.stem.strip("_") not in VAGUE
    assert not {part.strip("_") for part in path.relative_to(ROOT).parts[:-1]} & VAGUE


def _modules_after(code: str) -> set[str]:
    script = f"{code}\nimport sys, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_all_rules_are_known_without_numpy() -> None:
    loaded = _modules_after("from convergence_cli.rules import all_rules; assert all_rules()")
    assert not loaded & {"numpy", "pandas", "torch", "matplotlib", "rich", "yaml", "orjson"}
    assert {f"convergence_cli.rules.{family}" for family in FAMILIES} <= loaded


def test_readers_and_pipeline_start_without_the_heavy_libraries() -> None:
    names = ", ".join(f"convergence_cli.readers.{name}" for name in READERS)
    loaded = _modules_after(f"import convergence_cli.pipeline, {names}")
    assert not loaded & {"pandas", "torch", "matplotlib", "yaml", "orjson", "tensorboard"}


def test_nothing_below_the_command_line_prints_or_exits() -> None:
    for path in FILES:
        if _room(path) in ABOVE:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in {"print", "exit", "quit", "sys.exit", "os._exit"}, f"{path}:{node.lineno}"
