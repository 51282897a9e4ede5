"""``inspect`` on real dumps, through a real process."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import numpy as np
import pytest

import convergence_cli
from convergence_cli.cli.inspect import OWN_FORMATS
from tests.cli.process import clean_environment

if TYPE_CHECKING:
    from tests.cli.process import Program

SCHEMA = json.loads((Path(convergence_cli.__file__).parent / "report.schema.json").read_text())
LAYERS = ("fc1", "fc2", "fc3", "fc4")
STEPS = (0, 10, 20, 30)


def dump(folder: Path, *, nan_at: str = "", hostile: Sequence[str] = ()) -> None:
    """Four layers that learn evenly; the gradient of layer ``nan_at`` has 3 NaN from step 20 on."""
    (folder / "tensors").mkdir(parents=True)
    rng = np.random.default_rng(0)
    weights = {layer: rng.normal(scale=0.35, size=(16, 16)).astype(np.float32) for layer in LAYERS}
    for step in STEPS:
        arrays: dict[str, Any] = {}
        for layer, weight in weights.items():
            gradient = rng.normal(scale=0.01, size=weight.shape).astype(np.float32)
            weights[layer] = weight - 0.05 * gradient
            if layer == nan_at and step >= 20:
                gradient[0, :3] = np.nan
            arrays[f"weight/{layer}.weight"] = weights[layer]
            arrays[f"gradient/{layer}.weight"] = gradient
            arrays[f"activation/{layer}_relu"] = np.maximum(rng.normal(size=(64, 16)), 0).astype(np.float32)
        for name in hostile:
            arrays[f"weight/{name}.weight"] = rng.normal(size=(4, 4))
        np.savez(folder / "tensors" / f"step_{step:06d}.npz", **arrays)


@pytest.fixture
def dumps(folder: Path) -> Path:
    dump(folder / "good")
    dump(folder / "bad", nan_at="fc3")
    return folder


def rows_of(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert done.returncode in (0, 1), done.stderr
    (run,) = json.loads(done.stdout, parse_constant=pytest.fail)["runs"]
    rows: list[dict[str, Any]] = run["tensors"]["rows"]
    return rows


def test_a_healthy_dump_is_shown_layer_by_layer_at_its_last_step(program: Program, dumps: Path) -> None:
    done = program("inspect", "good")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert "  step 30: 12 of 48 rows" in lines
    names = [line.split()[0] for line in lines if line.startswith("fc")]
    assert names == [name for layer in LAYERS for name in (f"{layer}.weight", f"{layer}.weight", f"{layer}_relu")]
    assert lines[-1] == "1 run: 12 of 48 rows; no findings"
    assert max(map(len, lines)) <= 80


def test_numbers_are_those_of_the_arrays(program: Program, dumps: Path) -> None:
    arrays = np.load(dumps / "good/tensors/step_000030.npz")
    before = np.load(dumps / "good/tensors/step_000020.npz")
    for row in rows_of(program("inspect", "good", "--format", "json")):
        array = arrays[f"{row['kind']}/{row['name']}"].astype(np.float64)
        assert (row["step"], row["shape"], row["count"], row["nan"], row["inf"]) == (
            30,
            [*array.shape],
            array.size,
            0,
            0,
        )
        assert row["mean"] == pytest.approx(array.mean(), rel=1e-4, abs=1e-9)
        assert row["std"] == pytest.approx(array.std(), rel=1e-4)
        assert row["norm"] == pytest.approx(np.linalg.norm(array), rel=1e-4)
        assert (row["min"], row["max"]) == (array.min(), array.max())
        assert row["zero"] == pytest.approx((array == 0).mean())
        if row["kind"] == "weight":
            change = np.linalg.norm(array - before[f"weight/{row['name']}"])
            assert row["update_ratio"] == pytest.approx(change / 10 / np.linalg.norm(array), rel=1e-3)


def test_what_is_wrong_is_flagged_where_it_is(program: Program, dumps: Path) -> None:
    done = program("inspect", "bad", "--format", "json")
    assert done.returncode == 1
    flagged = {(row["kind"], row["name"]) for row in rows_of(done) if row["flags"]}
    assert ("gradient", "fc3.weight") in flagged
    assert {row["nan"] for row in rows_of(done) if (row["kind"], row["name"]) == ("gradient", "fc3.weight")} == {3}
    assert program("inspect", "bad", "--fail-on", "never").returncode == 0
    assert program("inspect", "bad", "--exit-zero").returncode == 0
    shown = program("inspect", "bad").stdout
    assert "\nFindings\n" in shown
    assert "rules passed" in shown


def test_only_rules_of_tensors_are_applied(program: Program, dumps: Path) -> None:
    (dumps / "bad" / "log.csv").write_text((dumps / "broken.csv").read_text())
    (run,) = json.loads(program("inspect", "bad", "--format", "json").stdout)["runs"]
    spoken = {item["rule"] for key in ("findings", "skipped") for item in run[key]} | set(run["passed"])
    assert spoken
    assert not any(code.startswith(("LC", "GN", "LR")) for code in spoken)
    assert program("inspect", "bad", "--select", "LC").returncode == 0


@pytest.mark.parametrize("name", OWN_FORMATS)
def test_every_format_parses(program: Program, dumps: Path, name: str) -> None:
    done = program("inspect", "good", "bad", "--format", name)
    assert (done.returncode, done.stderr) == (1, "")
    shown = done.stdout
    if name == "json":
        data = json.loads(shown, parse_constant=pytest.fail)
        jsonschema.validate(data, SCHEMA)
        assert [len(run["tensors"]["rows"]) for run in data["runs"]] == [12, 12]
    elif name == "jsonl":
        kinds = [json.loads(line, parse_constant=pytest.fail)["type"] for line in shown.splitlines()]
        assert (kinds.count("tensor"), kinds[-1]) == (24, "summary")
    elif name == "csv":
        rows = list(csv.DictReader(io.StringIO(shown)))
        assert {row["run"] for row in rows} == {"good", "bad"}
        assert (len(rows), {row["shape"] for row in rows}) == (24, {"16x16", "64x16"})
    elif name == "concise":
        assert sum("\t" in line for line in shown.splitlines()) == 24
        assert any(": TE101 error " in line for line in shown.splitlines())
    elif name == "markdown":
        assert sum(line.startswith("| weight |") for line in shown.splitlines()) == 8
    elif name == "junit":
        suites = ET.fromstring(shown)
        assert [int(suite.attrib["failures"]) > 0 for suite in suites] == [False, True]
        assert not any("LC" in case.attrib["name"] for case in suites.iter("testcase"))
    elif name in ("sarif", "gitlab"):
        assert "fc3" in json.dumps(json.loads(shown, parse_constant=pytest.fail))
    else:
        assert "fc3" in shown


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (["--step", "first"], 12),
        (["--step", "all"], 48),
        (["--step", "20"], 12),
        (["--step", "5:20"], 24),
        (["--step", ":10"], 24),
        (["--layer", "fc1"], 2),
        (["--layer", "fc1*", "--layer", "fc2.*"], 5),
        (["--kind", "gradients"], 4),
        (["--kind", "weight,activation"], 8),
        (["--limit", "3"], 3),
        (["--kind", "gradient", "--step", "all", "--layer", "fc4"], 4),
    ],
)
def test_rows_can_be_chosen(program: Program, dumps: Path, arguments: list[str], count: int) -> None:
    assert len(rows_of(program("inspect", "good", "--format", "json", *arguments))) == count


def test_rows_can_be_sorted_either_way(program: Program, dumps: Path) -> None:
    for text, down in (("norm", False), ("-norm", True)):
        norms = [row["norm"] for row in rows_of(program("inspect", "good", "--sort", text, "--format", "json"))]
        assert norms == sorted(norms, reverse=down)
    ratios = [row["update_ratio"] for row in rows_of(program("inspect", "good", "--sort", "update", "-f", "json"))]
    assert ratios[4:] == [None] * 8
    assert ratios[:4] == sorted(ratios[:4])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--sort", "nrom"], ["Did you mean norm?"]),
        (["--sort", "-"], ["not a column"]),
        (["--sort", "n"], ["not a column"]),
        (["--kind", "gradeint"], ["Did you mean gradient?"]),
        (["--step", "lst"], ["Did you mean last?"]),
        (["--step", "9:3"], ["not a step"]),
        (["--step", "nan"], ["not a step"]),
        (["--step", "7"], ["4 steps from 0 to 30"]),
        (["--layer", "fc9"], ["No tensor is left", "fc1, "]),
        (["--limit", "0"], ["--limit"]),
        (["--limit", "x"], ["--limit"]),
        (["--format", "cvs"], ["Did you mean csv?"]),
        (["--select", "XX"], ["No rule"]),
    ],
)
def test_what_does_not_exist_is_named_with_the_next_step(
    program: Program, dumps: Path, arguments: list[str], words: list[str]
) -> None:
    done = program("inspect", "good", *arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert all(word in done.stderr for word in words)


def test_a_run_without_dumps_is_no_verdict(program: Program, dumps: Path) -> None:
    done = program("inspect", "healthy.csv")
    assert (done.returncode, "healthy.csv holds no tensor dumps." in done.stderr) == (2, True)
    assert ".safetensors" in done.stderr
    both = program("inspect", "good", "healthy.csv")
    assert both.returncode == 2
    assert "1 run: 12 of 48 rows" in both.stdout
    assert program("inspect", "missing").returncode == 2


def test_output_takes_its_name_only_when_all_is_written(program: Program, dumps: Path) -> None:
    before = {path.name for path in dumps.iterdir()}
    assert program("inspect", "good", "--format", "csv", "--output", "t.csv").returncode == 0
    assert len((dumps / "t.csv").read_text().splitlines()) == 13
    assert program("inspect", "healthy.csv", "--format", "csv", "--output", "t.csv").returncode == 2
    assert len((dumps / "t.csv").read_text().splitlines()) == 13
    assert {path.name for path in dumps.iterdir()} == before | {"t.csv"}


def test_a_saved_table_renders_as_it_did(program: Program, dumps: Path) -> None:
    saved = program("inspect", "bad", "--format", "json").stdout
    again = program("report", "-", stdin=saved.encode())
    assert (again.returncode, again.stdout) == (1, program("inspect", "bad").stdout)


def test_names_in_a_dump_stay_text(program: Program, folder: Path) -> None:
    dump(folder / "run", hostile=["\x1b]0;x\x07", "=cmd()", "a|b<script>", "::error::x", "\u202efc"])
    for name in OWN_FORMATS:
        done = program("inspect", "run", "--format", name)
        assert done.returncode in (0, 1), done.stderr
        assert all(line.replace("\t", "").isprintable() for line in done.stdout.split("\n"))
    rows = list(csv.DictReader(io.StringIO(program("inspect", "run", "--format", "csv").stdout)))
    assert not any(row["name"].startswith("=") for row in rows)


def test_a_table_on_a_terminal_fits_it_and_has_colour_unless_told_otherwise(dumps: Path) -> None:
    assert "\x1b[" in on_terminal(dumps, 100)
    assert "\x1b[" not in on_terminal(dumps, 100, NO_COLOR="1")
    for width in (40, 60, 100):
        lines = on_terminal(dumps, width, NO_COLOR="1").splitlines()
        assert max(map(len, lines)) <= width


def on_terminal(folder: Path, width: int, **environment: str) -> str:
    script = (
        "import fcntl, struct, sys, termios;"
        f"fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack('HHHH', 24, {width}, 0, 0));"
        "from convergence_cli.__main__ import main; sys.argv = ['ctroubleshoot', 'inspect', 'bad']; main()"
    )
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=theirs, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
        cwd=folder, env=clean_environment(**environment),
    ):  # fmt: skip
        os.close(theirs)
        shown = b""
        try:
            while block := os.read(ours, 65536):
                shown += block
        except OSError:
            pass
    os.close(ours)
    return shown.decode()


def test_the_heavy_libraries_stay_out(dumps: Path) -> None:
    script = (
        "import sys; from convergence_cli.__main__ import main; sys.argv = ['ctroubleshoot', 'inspect', 'good']\n"
        "try: main()\n"
        "finally: print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=dumps, env=clean_environment(), check=False,
        timeout=60,
    )  # fmt: skip
    loaded = set(done.stderr.split())
    assert "convergence_cli.tensor_table" in loaded
    assert not loaded & {"pandas", "matplotlib", "torch", "rich.table", "pydantic", "yaml"}


def test_analyze_says_what_tensors_it_read(program: Program, dumps: Path) -> None:
    (dumps / "good" / "log.csv").write_text((dumps / "healthy.csv").read_text())
    for name in ("text", "markdown"):
        shown = program("analyze", "good", "--format", name).stdout
        assert "4 weights, 4 gradients, 4 activations" in " ".join(shown.split())
    (run,) = json.loads(program("analyze", "good", "--format", "json").stdout)["runs"]
    told = run["summary"]["tensors"]
    assert told == {
        **{"steps": 4, "first_step": 0, "last_step": 30, "layers": told["layers"], "rows": 48},
        "kinds": {"weight": 4, "gradient": 4, "activation": 4},
    }
    assert "tensors" not in run


def test_a_run_without_logs_has_no_points_to_count(program: Program, dumps: Path) -> None:
    assert program("analyze", "bad").stdout.splitlines()[0] == "bad · tensors"


def test_a_table_that_is_saved_in_the_run_is_no_log_of_it(program: Program, dumps: Path) -> None:
    first = program("inspect", "good", "--format", "csv", "--output", "good/table.csv")
    assert (first.returncode, (dumps / "good" / "table.csv").exists()) == (0, True)
    for command in ("analyze", "inspect"):
        done = program(command, "good")
        assert (done.returncode, done.stderr) == (0, "")
