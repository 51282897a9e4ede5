"""``try`` from end to end: real scripts in real processes, one of them a PyTorch training."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.process import clean_environment
from tests.trials.trainings import PROGRAM, descent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cli.process import Program

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "try.md").read_text(encoding="utf-8")
RUN = "fixtures/text/learning-rate-too-high"
SECONDS = re.compile(r"[\d.]+ (s|min),")
# What depends on the processor: numbers, and the curves drawn from them.
NUMBERS = re.compile(r"[\d.,]*\d|[▁-█×]+")


def calm() -> dict[str, str]:
    return clean_environment(OMP_NUM_THREADS="1")


@pytest.fixture
def lesson(folder: Path) -> Path:
    """The working directory with a PyTorch training, and what it logged when it failed."""
    shutil.copytree(ROOT / RUN, folder / RUN)
    for name in ("train.py", "lessons.py"):
        shutil.copy(ROOT / "fixtures" / name, folder / "fixtures" / name)
    return folder


@pytest.fixture
def small(folder: Path) -> Path:
    """The working directory with the program of ``trainings`` and the log of its failed run."""
    (folder / "small.py").write_text(PROGRAM)
    rows = [f"{step},{loss:.5g},1.2" for step, loss in enumerate(descent(1.2), 1)]
    (folder / "failed.csv").write_text("\n".join(["step,loss,lr", *rows, ""]))
    return folder


def command(mode: str = "print", *more: str, rate: str = "{learning_rate}") -> list[str]:
    return ["--", sys.executable, "small.py", rate, mode, *more]


def trial_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    (attempt,) = json.loads(done.stdout)["attempts"]
    (trial,) = attempt["trials"]
    return dict(trial)


def test_a_pytorch_training_is_cured_through_its_arguments_as_the_page_shows(program: Program, lesson: Path) -> None:
    block = re.search(r"```console\n\$ ctroubleshoot (try .*)\n([^`]+)```", PAGE)
    assert block is not None
    arguments = block[1].replace("-- python", f"-- {sys.executable}").split()
    before = {item: item.read_bytes() for item in (lesson / RUN).iterdir()}
    done = program(*arguments, OMP_NUM_THREADS="1")
    assert (done.returncode, done.stderr) == (0, "")
    assert max(map(len, done.stdout.splitlines())) <= 80
    # The name of Python is longer here, so that its line may break elsewhere.
    shown, written = (
        NUMBERS.sub("#", SECONDS.sub("", text.replace(sys.executable, "python"))).split()
        for text in (block[2], done.stdout)
    )
    assert written == shown
    assert {item: item.read_bytes() for item in (lesson / RUN).iterdir()} == before
    (kept,) = (lesson / "ct-trials" / "learning-rate-too-high").iterdir()
    assert {item.name for item in kept.iterdir()} == {"run", "output.txt", "command.json"}


def test_a_pytorch_training_is_cured_through_its_environment(program: Program, lesson: Path) -> None:
    train = ["--", sys.executable, "fixtures/train.py"]
    done = program("try", RUN, "-f", "json", "--keep", "kept", *train, OMP_NUM_THREADS="1")
    trial = trial_of(done)
    assert (done.returncode, trial["outcome"]) == (0, "cured")
    assert trial["checks"]["reached"] is True
    rate = json.loads(done.stdout)["change"]["learning_rate"]
    assert float(trial["execution"]["variables"]["CT_LEARNING_RATE"]) == rate < 0.5
    assert trial["before"]["best"] == {"series": "val_loss", "value": None, "step": None}
    assert trial["after"]["best"]["value"] < 1
    assert trial["before"]["report"]["verdict"]["label"] == "diverging"
    assert trial["after"]["report"]["verdict"]["label"] == "converging"
    assert [one["fate"] for one in trial["findings"] if one["rule"] == "LC001"] == ["gone"]
    assert list((lesson / "kept").iterdir())


def test_a_script_that_crashes(program: Program, small: Path) -> None:
    done = program("try", "failed.csv", *command("crash"))
    assert done.returncode == 2
    assert "NOT READ · It failed with exit code 1 after" in done.stdout
    assert "| RuntimeError: no data \\x1b[31m" in done.stdout
    assert "\x1b" not in done.stdout
    assert "Traceback" not in done.stderr


def test_a_script_that_dies_half_way_is_shown_and_not_cured(program: Program, small: Path) -> None:
    done = program("try", "failed.csv", "--format", "json", *command("dies"))
    trial = trial_of(done)
    assert (done.returncode, trial["outcome"], trial["checks"]["ran"]) == (1, "not-cured", False)
    assert trial["before"]["last_step"] == trial["after"]["last_step"] == 30
    assert trial["execution"]["exit_code"] == 3


def test_a_script_that_hangs_is_stopped_at_the_budget(program: Program, small: Path) -> None:
    done = program("try", "failed.csv", "--budget", "1s", *command("hang"))
    assert done.returncode == 2
    assert "NOT READ · It was stopped after" in done.stdout
    assert "| loading" in done.stdout


def test_a_script_that_prints_nothing(program: Program, small: Path) -> None:
    done = program("try", "failed.csv", *command("silent"))
    assert done.returncode == 2
    assert "it printed nothing. Have the command print its loss" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("mode", "said"), [("deaf", "it logged learning_rate 1.2, as before"), ("quiet", "value by value")]
)
def test_a_script_that_ignores_the_placeholder(program: Program, small: Path, mode: str, said: str) -> None:
    if mode == "quiet":
        # It logs no rate, and runs at the old one.
        lines = [f"step {step} loss {loss:.5g}\n" for step, loss in enumerate(descent(1.2), 1)]
        (small / "failed.csv").write_text("".join(lines))
        (small / "config.json").write_text('{"learning_rate": 1.2}')
        arguments = ["--", sys.executable, "small.py", "1.2", "quiet", "{learning_rate}"]
    else:
        arguments = command(mode)
    done = program("try", "failed.csv", *arguments)
    assert done.returncode == 1
    assert "NOT REACHED · The change did not reach the training" in done.stdout
    assert said in " ".join(done.stdout.split())


def test_a_gigabyte_of_output_is_kept_in_part(program: Program, small: Path) -> None:
    done = program("try", "failed.csv", "--format", "json", *command("loud"))
    trial = trial_of(done)
    assert (done.returncode, trial["outcome"]) == (1, "not-proven")
    assert "bytes of output were left out" in trial["why"]
    assert trial["execution"]["output_bytes"] > 1 << 30
    assert trial["execution"]["exit_code"] == 0
    (kept,) = (small / "ct-trials" / "failed.csv").glob("*/output.txt")
    assert kept.stat().st_size < 66 << 20


def test_a_log_in_the_folder_of_the_trial_is_read(program: Program, small: Path) -> None:
    done = program("try", "failed.csv", "-f", "json", *command("table", "{run_dir}"))
    trial = trial_of(done)
    assert (done.returncode, trial["outcome"]) == (0, "cured")
    assert trial["read_from"].endswith("run/metrics.csv")
    named = program("try", "failed.csv", "-f", "json", "--log", "{run_dir}/metrics.csv", *command("table", "{run_dir}"))
    assert trial_of(named)["read_from"] == trial_of(named)["execution"]["folder"] + "/run/metrics.csv"


def test_a_trial_is_stopped_at_its_steps(program: Program, small: Path) -> None:
    done = program("try", "failed.csv", "-f", "json", "--max-steps", "12", *command("slow"))
    trial = trial_of(done)
    assert (done.returncode, trial["outcome"], trial["execution"]["ended"]) == (0, "cured", "steps")
    assert 12 <= trial["after"]["last_step"] < 60
    assert trial["execution"]["variables"]["CT_MAX_STEPS"] == "12"


def test_seeds_and_control(program: Program, small: Path) -> None:
    done = program("try", "failed.csv", "--seeds", "2", "--control", *command())
    assert done.returncode == 0
    assert "cured with 2 of 2 seeds" in done.stdout
    assert "before: the control" in done.stdout
    names = sorted(item.name for item in (small / "ct-trials" / "failed.csv").iterdir())
    assert [name.split("-")[-1] for name in names] == ["control", "0", "1"]
    told = json.loads((small / "ct-trials" / "failed.csv" / names[0] / "command.json").read_text())
    assert told["environment"]["CT_LEARNING_RATE"] == "1.2"


def test_a_command_that_writes_into_the_run_is_told_of(program: Program, small: Path) -> None:
    (small / "runs").mkdir()
    (small / "failed.csv").rename(small / "runs" / "metrics.csv")
    done = program("try", "runs", *command("table", "runs"))
    assert done.returncode == 2
    assert "the command wrote into runs" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["failed.csv"], "Missing argument -- COMMAND"),
        (["failed.csv", "true", "--lr", "{learning_rate}"], "Put -- before your own command"),
        (["--", "true", "{learning_rate}"], "true is a program, and no run"),
        (["missing.csv", "--", "true"], "missing.csv cannot be read"),
        (["failed.csv", "--", "no-such-program", "{learning_rate}"], "no-such-program is no program"),
        (["failed.csv", "--", "true", "{lr}"], "Did you mean learning_rate?"),
        (["failed.csv", "--log", "{oops}", "--", "true"], "placeholder {oops}"),
        (["healthy.csv", "--", "true"], "there is nothing to try"),
        (["failed.csv", "--budget", "500steps", "--", "true"], "--max-steps 500"),
        (["failed.csv", "--budget", "10", "--", "true"], "'10' is not a time"),
        (["failed.csv", "--remedies", "0", "--", "true"], "--remedies: '0'"),
        (["failed.csv", "--format", "sarif", "--", "true"], "text, json"),
        ([".", "--keep", "here", "--", "true"], "runs: "),
    ],
)
def test_2_what_cannot_be_tried(program: Program, small: Path, arguments: list[str], said: str) -> None:
    before = sorted(item.name for item in small.iterdir())
    done = program("try", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert sorted(item.name for item in small.iterdir()) == before


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Interrupts work here, also where the tests were started in the background, which ignores them."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_command_and_exits_130(small: Path, number: signal.Signals) -> None:
    started = subprocess.Popen(
        [sys.executable, "-m", "convergence_cli", "try", "failed.csv", *command("hang")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=small, env=clean_environment(),
    )  # fmt: skip
    output = small / "ct-trials/failed.csv/1-lower-learning-rate/output.txt"
    while not (output.exists() and output.stat().st_size) and started.poll() is None:
        time.sleep(0.05)
    started.send_signal(number)
    written, errors = started.communicate(timeout=30)
    assert (started.returncode, written, errors) == (130, b"", b"")
    running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(small) not in running
    # Which Python shows depends on the signal: an interrupt leaves a traceback of its own.
    assert (b"KeyboardInterrupt" in output.read_bytes()) == (number == signal.SIGINT)


def test_colour_only_where_it_is_wanted(program: Program, small: Path) -> None:
    forced = program("try", "failed.csv", "--color", "always", *command())
    assert "\x1b[1;32mCURED\x1b[0m" in forced.stdout
    assert "\x1b" not in program("try", "failed.csv", *command(), NO_COLOR="1", FORCE_COLOR="1").stdout
    plain = program("try", "failed.csv", *command(), PYTHONUTF8="0", PYTHONIOENCODING="ascii").stdout
    assert plain.isascii()
    assert "CURED | It is converging" in plain


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys; sys.argv = ['ctroubleshoot', 'try', '--help']\n"
        "from convergence_cli.__main__ import main\nmain()\n"
        "print({'numpy', 'pandas', 'torch'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=calm(), check=True
    )
    assert done.stderr.strip() == "set()"
    assert os.listdir(tmp_path) == []
    assert "--max-steps" in done.stdout
    assert "0    a remedy cured it" in done.stdout
