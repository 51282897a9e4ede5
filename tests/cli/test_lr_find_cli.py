"""``lr-find`` from end to end: each of its doors in a real process."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.trials.trainings import PROGRAM

if TYPE_CHECKING:
    from tests.cli.process import Program

CALM = {"OMP_NUM_THREADS": "1"}
FACTORY = """
import torch
from torch import nn
print("loading the data")
def setup():
    print("a training is made")
    x = torch.randn(600, 6)
    y = (x[:, 0] + x[:, 1] * x[:, 2] > 0).long()
    model = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 2))
    rows = torch.utils.data.TensorDataset(x, y)
    loader = torch.utils.data.DataLoader(rows, batch_size=32, shuffle=True)
    return {"model": model, "loss": nn.functional.cross_entropy, "loader": loader,
            "optimizer": torch.optim.SGD(model.parameters(), lr=0.1)}
"""
DEAD = FACTORY.replace(
    "    rows =", "    with torch.no_grad():\n        model[0].bias.fill_(-1000.0)\n    rows ="
).replace('print("loading the data")', "")


@pytest.fixture
def factory(folder: Path) -> Path:
    (folder / "train.py").write_text(FACTORY)
    return folder


def test_in_a_pipe_the_number_stands_alone_twice_the_same(program: Program, factory: Path) -> None:
    first, second = (program("lr-find", target, **CALM) for target in ("train.py:setup", "train.py"))
    assert first.returncode == 0, first.stderr
    assert first.stdout == second.stdout
    rate = float(first.stdout)
    assert 0.01 < rate < 2
    assert first.stdout == f"{rate:g}\n"
    # What the user's code prints is not lost, and not in the way.
    assert "a training is made" in first.stderr


def test_json_has_the_fields_of_the_contract(program: Program, factory: Path) -> None:
    done = program("lr-find", "train.py:setup", "--schedule", "cosine", "--format", "json", "-o", "answer.json", **CALM)
    assert (done.returncode, done.stdout) == (0, "")
    answer = json.loads((factory / "answer.json").read_text())
    low, high = answer["window"]
    assert answer["schema_version"] == 1
    assert low <= answer["learning_rate"] <= high <= (answer["diverges_at"] or math.inf)
    assert 0 < answer["confidence"] <= 1
    assert 0 < answer["steps"] <= 600
    assert answer["refused"] is None
    assert answer["schedule"] == "cosine"


def test_a_folder_with_one_factory_needs_no_arguments_and_the_settings_file_can_say_more(
    program: Program, factory: Path
) -> None:
    alone = program("lr-find", "--steps", "200", **CALM)
    assert alone.returncode == 0, alone.stderr
    (factory / "other.py").write_text(FACTORY)
    several = program("lr-find")
    assert several.returncode == 2
    assert "train.py:setup" in several.stderr
    (factory / "pyproject.toml").write_text('[tool.ctroubleshoot.lr-find]\ntarget = "train.py:setup"\nsteps = 200\n')
    assert program("lr-find", **CALM).stdout == alone.stdout
    # The table is no fault for the other commands.
    assert program("analyze", "healthy.csv").returncode == 0


def test_settings_that_are_not_to_be_read_name_no_target(program: Program, folder: Path) -> None:
    (folder / "pyproject.toml").write_text('[tool.ctroubleshoot.lr-find]\ntarget = "written.py:setup"\n')
    assert "written.py is no file" in program("lr-find").stderr
    assert "def setup():" in program("lr-find", "--isolated").stderr
    (folder / "own.toml").write_text('[lr-find]\ntarget = "own.py:setup"\n')
    assert "own.py is no file" in program("lr-find", "--config", "own.toml").stderr
    assert "own.py is no file" in program("lr-find", CTROUBLESHOOT_CONFIG="own.toml").stderr


def test_with_nothing_to_train_five_lines_say_what_to_write(program: Program, folder: Path) -> None:
    done = program("lr-find")
    assert (done.returncode, done.stdout) == (2, "")
    assert "def setup():" in done.stderr
    assert "--demo" in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 7


def test_without_an_answer_the_reason_is_told_and_the_diagnosis_is_asked(program: Program, folder: Path) -> None:
    (folder / "dead.py").write_text(DEAD)
    done = program("lr-find", "dead.py:setup", "--output", "answer.json", "--format", "json", **CALM)
    assert (done.returncode, done.stdout) == (1, "")
    assert "dead-network" in done.stderr
    assert "dying-relu" in done.stderr
    answer = json.loads((folder / "answer.json").read_text())
    assert answer["learning_rate"] is None
    assert answer["refused"]["reason"] == "dead-network"
    assert answer["refused"]["cause"] == "dying-relu"
    assert answer["diagnosis"]["verdict"]["label"] == "stuck"
    shown = program("lr-find", "dead.py:setup", "--format", "text", **CALM)
    assert "none: dead-network" in shown.stdout
    assert "ctroubleshoot explain dying-relu" in shown.stdout


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import does_not_exist_anywhere", "ModuleNotFoundError"),
        ("def setup(:", "SyntaxError"),
        ("raise SystemExit('bye')", "ended Python"),
        ("def other(): pass", "has no function 'setup'"),
        ("setup = 3", "cannot be called"),
        ("def setup():\n    return 3", "not a dictionary"),
        ("def setup():\n    raise ValueError('no data here')", "ValueError: no data here"),
        (FACTORY.replace("nn.Linear(32, 2)", "nn.Linear(31, 2)"), "RuntimeError"),
    ],
)
def test_faults_of_the_users_code_are_sentences_with_file_and_line(
    program: Program, folder: Path, code: str, said: str
) -> None:
    (folder / "train.py").write_text(code)
    done = program("lr-find", "train.py:setup", **CALM)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "train.py" in done.stderr


def test_a_command_is_run_at_several_rates(program: Program, folder: Path) -> None:
    (folder / "small.py").write_text(PROGRAM)
    train = [sys.executable, "small.py", "{learning_rate}"]
    done = program("lr-find", "--steps", "60", "--format", "json", "--", *train)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    # Gradient descent on a parabola: best near 0.45, and it diverges from about 1 on.
    assert 0.01 <= answer["learning_rate"] < 1
    assert answer["diverges_at"] is None or answer["diverges_at"] >= 1
    assert len(list((folder / "ct-lr-find").iterdir())) == len(answer["probes"]) <= 9
    assert 0.01 <= float(program("lr-find", "--steps", "60", "--", *train).stdout) < 1


@pytest.mark.parametrize(
    ("mode", "code", "said"),
    [
        ("crash", 2, "no data"),
        ("silent", 2, "printed nothing"),
        ("deaf", 1, "every rate"),
    ],
)
def test_commands_that_cannot_be_judged_are_told_so(
    program: Program, folder: Path, mode: str, code: int, said: str
) -> None:
    (folder / "small.py").write_text(PROGRAM)
    done = program("lr-find", "--steps", "60", "--", sys.executable, "small.py", "{learning_rate}", mode)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_command_without_a_place_for_the_rate_is_not_run(program: Program, folder: Path) -> None:
    (folder / "fixed.py").write_text("open('ran', 'w')")
    done = program("lr-find", "--", sys.executable, "fixed.py", "--lr", "0.1")
    assert done.returncode == 2
    assert "{learning_rate}" in done.stderr
    assert not (folder / "ran").exists()


def test_words_without_a_dash_are_no_command(program: Program, folder: Path) -> None:
    done = program("lr-find", "python", "train.py")
    assert done.returncode == 2
    assert "lr-find -- python train.py" in done.stderr


def test_a_recorded_sweep_needs_no_torch(program: Program, folder: Path) -> None:
    rates = [10 ** (-5 + 6 * place / 119) for place in range(120)]
    losses = [2.3 - 1.5 / (1 + (0.01 / rate) ** 2) + (rate / 0.5) ** 4 for rate in rates]
    (folder / "sweep.csv").write_text("lr,loss\n" + "".join(f"{a},{b}\n" for a, b in zip(rates, losses, strict=True)))
    done = program("lr-find", "sweep.csv", "--format", "json")
    assert done.returncode == 0, done.stderr
    assert 0.001 < json.loads(done.stdout)["learning_rate"] < 0.1
    checked = (
        "import sys\nsys.argv = ['ctroubleshoot', 'lr-find', 'sweep.csv']\nfrom convergence_cli.__main__ import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\nprint('torch' in sys.modules, file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", checked], capture_output=True, cwd=folder, text=True, check=True)
    assert ran.stderr.strip() == "False"


@pytest.mark.parametrize("ending", ["png", "svg", "pdf", "html"])
def test_the_search_is_drawn(program: Program, folder: Path, ending: str) -> None:
    (folder / "table.csv").write_text("lr,val_loss\n0.001,2\n0.01,1\n0.1,0.5\n1,nan\n")
    done = program("lr-find", "table.csv", "--plot", f"out.{ending}")
    assert (done.returncode, done.stdout) == (0, "0.1\n")
    data = (folder / f"out.{ending}").read_bytes()
    start = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF", "html": b"<!doctype html>"}[ending]
    assert data.startswith(start)
    assert b"0.1" in data or ending in ("png", "pdf")


@pytest.mark.parametrize(
    "arguments",
    [
        ["train.py:setup", "--steps", "3"],
        ["train.py:setup", "--method", "magic"],
        ["train.py:setup", "--schedule", "linear"],
        ["train.py:setup", "--min-lr", "1", "--max-lr", "0.1"],
        ["train.py:setup", "--min-lr", "-1"],
        ["train.py:setup", "--seed", "x"],
        ["train.py:setup", "--amp", "fp8"],
        ["train.py:setup", "--format", "xml"],
        ["train.py:setup", "--plot", "x.doc"],
        ["train.py:setup", "--device", "toaster"],
        ["train.py:setup", "--demo"],
        ["train.py:setup", "--plot", "nowhere/x.png"],
        ["train.py:setup", "--output", "nowhere/x.json"],
        ["missing.py:setup"],
        ["missing.csv"],
        ["healthy.csv"],
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(program: Program, factory: Path, arguments: list[str]) -> None:
    done = program("lr-find", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("ctroubleshoot:") == 1
    assert "Traceback" not in done.stderr
