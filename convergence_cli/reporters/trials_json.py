"""Remedies that were tried, for programs (the fields are in ``docs/try.md``): ASCII, stable order, no bare NaN."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from convergence_cli.codec import TOOL, plain, run_data
from convergence_cli.model import SCHEMA_VERSION
from convergence_cli.reporters import PLAIN, Look

if TYPE_CHECKING:
    from convergence_cli.outcome import Attempt, Side, Trial, Trials


def render(trials: Trials, look: Look = PLAIN) -> str:
    """The whole answer as one JSON object."""
    return json.dumps(to_data(trials), allow_nan=False, indent=2) + "\n"


def to_data(trials: Trials) -> dict[str, Any]:
    """``trials`` as dictionaries, lists, strings and finite numbers."""
    return {
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": TOOL, "version": trials.version},
        "cured": trials.cured,
        "change": plain(trials.change),
        "run": run_data(trials.before),
        "attempts": [_attempt(attempt) for attempt in trials.attempts],
        "not_tried": [{"remedy": plain(one.remedy), "reason": one.reason} for one in trials.not_tried],
        "control": plain(trials.control),
        "notes": list(trials.notes),
    }


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "remedy": plain(attempt.remedy),
        "cured": attempt.cured,
        "trials": [_trial(trial) for trial in attempt.trials],
    }


def _trial(trial: Trial) -> dict[str, Any]:
    return {
        "outcome": trial.outcome,
        "why": trial.why,
        "checks": plain(trial.checks),
        "seed": trial.seed,
        "execution": plain(trial.execution),
        "read_from": trial.read_from,
        "before": _side(trial.before),
        "after": _side(trial.after),
        "findings": plain(trial.findings),
        "notes": list(trial.notes),
    }


def _side(side: Side | None) -> dict[str, Any] | None:
    if side is None:
        return None
    best = {"series": side.series, "value": plain(side.best), "step": plain(side.best_step)}
    return {"last_step": plain(side.last_step), "best": best, "report": run_data(side.report)}
