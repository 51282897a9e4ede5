"""The README and the page on automation are true: commands and code are run, and what is listed is what there is."""

from __future__ import annotations

import ast
import contextlib
import io
import re
import shutil
import subprocess
import sys
from collections import OrderedDict
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn

from convergence_cli import errors, read_run
from convergence_cli.features import verdict
from convergence_cli.model import LABELS
from convergence_cli.pipeline import analyze_paths
from convergence_cli.reporters import concise
from convergence_cli.settings import FORMATS, Settings, resolve
from tests.cli.process import clean_environment

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
AUTOMATION = (ROOT / "docs" / "automation.md").read_text(encoding="utf-8")
TENSORS = (ROOT / "docs" / "tensors.md").read_text(encoding="utf-8")
RECORDER = (ROOT / "docs" / "recorder.md").read_text(encoding="utf-8")
sys.path.insert(0, str(ROOT / "docs"))
generate: Any = import_module("generate")
# The mark of the code that goes into a training.
DUMPS, RECORDS, FACTORY = "def dump(", "with Recorder(", "def setup("
COMMANDS = ("analyze", "try", "lr-find", "classify", "inspect", "plot", "ingest", "report", "rules", "explain", "demo")


def fenced(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README + AUTOMATION, re.MULTILINE | re.DOTALL)


def section(title: str) -> str:
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", README, re.MULTILINE | re.DOTALL)
    assert found is not None, title
    return found[1]


@pytest.fixture(scope="module")
def helps() -> dict[str, str]:
    def shown(*arguments: str) -> str:
        command = [sys.executable, "-m", "convergence_cli", *arguments, "--help"]
        environment = clean_environment(COLUMNS="200", TERM="dumb")
        return subprocess.run(command, capture_output=True, check=True, env=environment, timeout=60).stdout.decode()

    return {"": shown(), **{command: shown(command) for command in COMMANDS}}


@pytest.mark.parametrize(
    ("command", "shown"), [pytest.param(*block, id=block[0]) for block in generate.console_blocks(README)]
)
def test_sessions_are_what_the_program_writes(command: str, shown: list[str]) -> None:
    assert "ctroubleshoot" in command
    pattern = "".join(r"(?:.*\n)+?" if line == generate.LEFT_OUT else re.escape(f"{line}\n") for line in shown)
    written = "".join(f"{line}\n" for line in generate.output_of(command))
    assert re.fullmatch(pattern, written), f"run docs/generate.py; {command} now writes:\n{written}"


@pytest.mark.parametrize("code", [code for code in fenced("python") if FACTORY in code])
def test_a_rate_is_found_for_each_factory(code: str, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(code, encoding="utf-8")
    command = [sys.executable, "-m", "convergence_cli", "lr-find", "train.py:setup"]
    environment = clean_environment(PYTHONPATH=str(ROOT), OMP_NUM_THREADS="1")
    done = subprocess.run(command, capture_output=True, cwd=tmp_path, env=environment, timeout=120, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert 1e-5 < float(done.stdout) < 10


def test_there_are_three_factories() -> None:
    assert sum(FACTORY in code for code in fenced("python")) == 3


@pytest.mark.parametrize("code", [code for code in fenced("python") if RECORDS not in code and FACTORY not in code])
def test_code_runs_and_prints_what_it_says(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "fixtures", tmp_path / "fixtures")
    monkeypatch.chdir(tmp_path)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "README.md", "exec"), {})
    assert printed.getvalue().splitlines() == re.findall(r"print\(.*\)  # (.*)", code)


def test_code_for_a_training_dumps_what_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = [code for code in re.findall(r"^```python\n(.*?)^```$", TENSORS, re.M | re.S) if DUMPS in code]
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    model = nn.Sequential(OrderedDict(conv=nn.Conv2d(1, 4, 3), relu=nn.ReLU(), flat=nn.Flatten(), fc=nn.Linear(144, 3)))
    model.conv.requires_grad_(False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scope: dict[str, Any] = {"model": model}
    exec(compile(code, "README.md", "exec"), scope)
    for step in range(3):
        loss = nn.functional.cross_entropy(model(torch.randn(16, 1, 8, 8)), torch.arange(16) % 3)
        optimizer.zero_grad()
        loss.backward()
        scope["dump"](step)
        optimizer.step()
    found = read_run("runs/1").tensors
    assert found is not None
    assert found.steps.tolist() == [0, 1, 2]
    assert not found.notes
    names: dict[str, set[str]] = {}
    for row in found.rows():
        names.setdefault(row.kind, set()).add(row.name)
    assert names == {
        "weight": {"conv.weight", "conv.bias", "fc.weight", "fc.bias"},
        "gradient": {"fc.weight", "fc.bias"},
        "activation": {"conv", "relu", "flat", "fc"},
    }
    findings = [finding for run in analyze_paths(["runs/1"], Settings()).runs for finding in run.findings]
    assert {one.where.layer for one in findings if one.name == "frozen-parameters"} == {"conv"}


@pytest.mark.parametrize("page", [README, RECORDER], ids=["README", "docs/recorder"])
def test_code_for_a_training_records_what_is_read(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = next(code for code in re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S) if RECORDS in code)
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    model = nn.Sequential(OrderedDict(fc1=nn.Linear(8, 16), relu=nn.ReLU(), fc2=nn.Linear(16, 3)))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loader = [(torch.randn(16, 8), torch.arange(16) % 3) for _ in range(60)]
    scope = {"model": model, "optimizer": optimizer, "loader": loader, "loss_fn": nn.functional.cross_entropy}
    exec(compile(code, "page", "exec"), scope)
    run = read_run(next(tmp_path.rglob("record.jsonl")))
    assert [curve.points for curve in run.curves if curve.role == "train_loss"] == [60]
    assert run.tensors is not None
    assert run.tensors.steps.tolist() == [0, 1, 50]


def test_each_command_has_the_options_that_it_is_shown_with(helps: dict[str, str]) -> None:
    calls = re.findall(r"ctroubleshoot (\w[\w-]*)([^|\n`;]*)", "\n".join(fenced("(?:console|yaml|sh)")))
    assert len(calls) >= 5
    for command, arguments in calls:
        for option in re.findall(r"(?<=\s)--[a-z-]+", arguments):
            assert option in helps[command], f"{command} {option}"


def test_every_option_and_command_named_exists(helps: dict[str, str]) -> None:
    known = set(re.findall(r"--[a-z-]+", "".join(helps.values())))
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", README))
    assert len(named) > 10
    assert not named - known
    used = set(
        re.findall(r"ctroubleshoot ([a-z][\w-]*)", "\n".join(re.findall(r"```.*?```|`[^`]+`", README, re.DOTALL)))
    )
    assert used <= set(COMMANDS)
    assert all(f"`{command}" in README for command in COMMANDS if command != "demo")


def test_formats_named_are_all_there_are() -> None:
    listed = re.search(r"`--format` is (.*?)\.", README, re.DOTALL)
    assert listed is not None
    assert tuple(re.findall(r"`(\w+)`", listed[1])) == FORMATS
    line = re.search(r"`concise` \(findings: `(.*?)`\)", README)
    assert line is not None
    assert f"``{line[1]}``" in str(concise.render.__doc__)


def test_rules_are_those_of_the_program() -> None:
    assert generate.rules_table() in README


def test_labels_and_states_are_those_of_the_verdict() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", section("What it says"), re.MULTILINE)
    assert {label for label, _ in rows} == {*LABELS, "undetermined"}
    told = {state for _, states in rows for state in re.findall(r"`([a-z-]+)`", states)}
    tree = ast.parse(Path(verdict.__file__).read_text(encoding="utf-8"))
    texts = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    assert told <= texts
    assert {text for text in texts if re.fullmatch(r"[a-z]+(-[a-z]+)+", text)} <= told


def test_exit_codes_are_those_of_the_program() -> None:
    told = {
        int(code) for row in re.findall(r"^\| ([\d, ]+) \|", section("In CI"), re.MULTILINE) for code in row.split(",")
    }
    assert told == {value for name, value in vars(errors).items() if name.startswith("EXIT_")}


def test_settings_shown_are_accepted(tmp_path: Path) -> None:
    (text,) = fenced("toml")
    (tmp_path / "pyproject.toml").write_text(text)
    settings = resolve({}, config=str(tmp_path / "pyproject.toml"), environment={})
    assert (settings.fail_on, dict(settings.metrics)) == ("warning", {"train_loss": "loss/total"})
    (tmp_path / "ctroubleshoot.toml").write_text(text.partition("\n")[2])
    assert resolve({}, config=str(tmp_path / "ctroubleshoot.toml"), environment={}) == settings


def test_workflow_is_a_list_of_steps() -> None:
    workflows = fenced("yaml")
    assert len(workflows) == 2
    assert all({"run", "uses"} & set(step) for text in workflows for step in yaml.safe_load(text))


def test_files_named_exist_and_the_page_is_short() -> None:
    for name in re.findall(r"\]\((?!http)([^)#]+)", README) + re.findall(r"fixtures/[\w/.-]+", README):
        assert (ROOT / name).exists(), name
    assert len(README.splitlines()) <= 335
