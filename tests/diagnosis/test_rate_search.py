"""The lr-find command that a report proposes: from what the run says, and from nothing that it could smuggle in."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from curves import Log, make, run_of

from convergence_cli.diagnosis.rate_search import search_command
from convergence_cli.features.evidence import Evidence
from convergence_cli.pipeline import analyze_paths, diagnose
from convergence_cli.settings import Settings


def command(**config: Any) -> str | None:
    log = make("rise_after_half", 0)
    return search_command(Evidence(run_of(Log(log.series, config))))


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({}, "train.py --lr {learning_rate}"),
        ({"lr": 0.1, "learning_rate": 0.1}, "train.py --lr {learning_rate}"),
        ({"base_lr": 0.1, "max_iters": 50}, "train.py --base_lr {learning_rate} --max_iters {steps}"),
        ({"framework": "transformers"}, "train.py --learning_rate {learning_rate}"),
        (
            {"started.program": "src/fit.py", "started.args": "--lr 0.5 --max-steps=90 --out runs/1"},
            "src/fit.py --lr {learning_rate} --max-steps={steps} --out runs/1",
        ),
        ({"started.program": "fit.py", "started.args": "optim.lr=0.5"}, "fit.py optim.lr={learning_rate}"),
        ({"started.program": "fit.py", "started.args": "--width 9"}, "fit.py --width 9 --lr {learning_rate}"),
    ],
)
def test_what_the_run_says_of_its_start_is_used(config: dict[str, Any], words: str) -> None:
    assert command(**config) == f"ctroubleshoot lr-find -- python {words}"


@pytest.mark.parametrize(
    "config",
    [
        {"started.program": "rm -rf ~ #.py"},
        {"started.program": "$(touch owned).py"},
        {"started.program": "-c.py"},
        {"started.program": "fit.py", "started.args": "; touch owned"},
        {"started.program": "fit.py", "started.args": "--lr `id`"},
        {"started.program": "fit.py", "started.args": "--name 'a b'"},
        {"started.program": 7, "started.args": ["--lr"]},
    ],
)
def test_nothing_that_a_shell_would_act_on_comes_from_the_run(config: dict[str, Any]) -> None:
    text = command(**config)
    assert text is not None
    rest = text.removeprefix("ctroubleshoot lr-find -- python ").replace("{learning_rate}", "RATE")
    assert shlex.split(rest) == rest.split()
    assert not set(rest) & set(";|&$`<>(){}*?~#'\"\\\n")


def test_boosted_trees_have_no_such_search() -> None:
    assert command(framework="xgboost") is None


def test_a_rate_that_is_too_high_is_answered_by_a_command_in_every_report(tmp_path: Path) -> None:
    log = make("rise_after_half", 0)
    report = diagnose(run_of(Log(log.series, {"optimizer": "adam", "learning_rate": 0.5, "lr": 0.5})))
    found = {remedy.name: remedy.search for remedy in report.remedies}
    assert found["lower-learning-rate"] == "ctroubleshoot lr-find -- python train.py --lr {learning_rate}"
    assert all(search is None for name, search in found.items() if "learning-rate" not in name)


def test_the_start_and_the_window_are_read_beside_a_log(tmp_path: Path) -> None:
    log = make("rise_after_half", 0)
    rows = [f"{s:g},{v!r}" for s, v in zip(*(column.tolist() for column in log.series["loss"]), strict=True)]
    (tmp_path / "log.csv").write_text("step,loss\n" + "\n".join(rows))
    (tmp_path / "config.json").write_text(json.dumps({"lr": 3.0}))
    started = {"program": "main.py", "args": ["--lr", "3.0", "--epochs", "2"]}
    (tmp_path / "wandb-metadata.json").write_text(json.dumps(started))
    (tmp_path / "lr-find.json").write_text(
        json.dumps({"learning_rate": 0.01, "window": [0.003, 0.03], "diverges_at": 0.3, "refused": None})
    )
    (run,) = analyze_paths([str(tmp_path)], Settings()).runs
    (finding,) = [one for one in run.findings if one.rule == "LR107"]
    assert finding.severity == "warning"
    assert finding.evidence["learning_rate"] == 3.0
    searches = [remedy.search for remedy in run.remedies if remedy.search]
    assert searches == ["ctroubleshoot lr-find -- python main.py --lr {learning_rate} --epochs 2"]


@pytest.mark.parametrize("text", ["[]", "{", '{"window": 3}', '{"window": ["a", "b"], "diverges_at": []}', "null"])
def test_a_broken_answer_beside_the_log_is_no_harm(tmp_path: Path, text: str) -> None:
    (tmp_path / "log.csv").write_text("step,loss\n" + "\n".join(f"{step},{2 / (step + 1)}" for step in range(60)))
    (tmp_path / "lr-find.json").write_text(text)
    (run,) = analyze_paths([str(tmp_path)], Settings()).runs
    assert not [one for one in run.findings if one.rule == "LR107"]
