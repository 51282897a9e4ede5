"""Remedies that were tried, as text and as JSON: any width, hostile names, numbers that JSON does not have."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from convergence_cli.model import Finding, Remedy, RunReport, Verdict
from convergence_cli.outcome import Attempt, Checks, Execution, FindingFate, NotTried, Side, Trial, Trials
from convergence_cli.reporters import Look, trials_json, trials_text
from convergence_cli.reporters._layout import cells

EVIL = "a\x1b[31m\u202e\n::error::" + "é" * 90
CURVE = {"step": [1.0, 2.0], "low": [2.0, None], "high": [2.0, None], "mean": [2.0, None]}


def report(label: Any) -> RunReport:
    verdict = Verdict(label, 0.9, EVIL, EVIL, since_step=3.0)
    summary = {"x": "step", "curves": {"train_loss": CURVE, "val_loss": CURVE}}
    finding = Finding("LC001", EVIL, "error", 0.9, EVIL, evidence={"worst": math.nan})
    return RunReport(EVIL, EVIL, "csv", summary, verdict, (finding,))


def trials(outcome: Any = "cured") -> Trials:
    remedy = Remedy(EVIL, EVIL, {"learning_rate": 0.1, EVIL: [1, EVIL]}, EVIL, 0.5, {"learning_rate": 1.0})
    execution = Execution(
        (EVIL, "--x", EVIL), {"CT_X": EVIL}, f"/tmp/{EVIL}", EVIL, "crashed", -9, 12.0, 10**9, 10**8, EVIL, (EVIL,)
    )
    before = Side(report("diverging"), 3.0, "val_loss", None)
    after = Side(report("converging"), 3.0, "val_loss", math.inf, 2.0)
    fates = tuple(FindingFate("LC001", EVIL, "error", True, fate) for fate in ("gone", "there", "new", "unknown"))
    trial = Trial(remedy, outcome, EVIL, Checks(True, True), 7, execution, EVIL, before, after, fates, (EVIL,))
    unread = Trial(remedy, "unreadable", EVIL, Checks(False, False), 8, execution)
    attempt = Attempt(remedy, (trial, unread), outcome == "cured")
    return Trials(report("diverging"), (attempt,), (NotTried(remedy, EVIL),), execution, (EVIL,), "1")


@pytest.mark.parametrize("width", [40, 60, 80, 120])
@pytest.mark.parametrize("outcome", list(trials_text.OUTCOMES))
def test_every_line_fits_and_is_safe(width: int, outcome: str) -> None:
    text = trials_text.render(trials(outcome), Look(width=width))
    assert max(map(cells, text.splitlines())) <= width
    assert text.replace("\n", "").isprintable()
    assert "\n::error" not in text


def test_text_can_be_ascii_and_coloured() -> None:
    assert trials_text.render(trials(), Look(unicode=False)).isascii()
    coloured = trials_text.render(trials(), Look(color=True))
    assert "\x1b[1;32mCURED\x1b[0m" in coloured
    assert "\x1b[31m" not in coloured.replace("\x1b[31mstill there\x1b[0m", "").replace("\x1b[31mnew\x1b[0m", "")


def test_json_is_strict_and_keeps_what_was_said() -> None:
    data = json.loads(trials_json.render(trials()), parse_constant=pytest.fail)
    assert (data["schema_version"], data["cured"]) == (1, True)
    assert data["change"] == {"learning_rate": 0.1, EVIL: [1, EVIL]}
    assert data["run"]["name"] == EVIL
    first, second = data["attempts"][0]["trials"]
    assert first["after"]["best"] == {"series": "val_loss", "value": "inf", "step": 2.0}
    assert first["execution"]["exit_code"] == -9
    assert [one["fate"] for one in first["findings"]] == ["gone", "there", "new", "unknown"]
    assert second["before"] is None
    assert data["not_tried"][0]["reason"] == EVIL
