"""A learning rate for programs: ASCII, stable order, no bare NaN (the fields are in ``docs/lr-find.md``)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from convergence_cli.codec import TOOL, plain, run_data
from convergence_cli.model import SCHEMA_VERSION
from convergence_cli.reporters import PLAIN, Look

if TYPE_CHECKING:
    from convergence_cli.learning_rate import LearningRate


def render(answer: LearningRate, look: Look = PLAIN) -> str:
    """The whole answer as one JSON object."""
    return json.dumps(to_data(answer), allow_nan=False, indent=2) + "\n"


def to_data(answer: LearningRate) -> dict[str, Any]:
    """``answer`` as dictionaries, lists, strings and finite numbers."""
    from convergence_cli import __version__

    refused = answer.refused
    return {
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": TOOL, "version": __version__},
        "learning_rate": plain(answer.learning_rate),
        "window": plain(answer.window),
        "diverges_at": plain(answer.diverges_at),
        "confidence": plain(answer.confidence),
        "steps": answer.steps,
        "refused": None
        if refused is None
        else {
            "reason": refused.reason,
            "message": refused.message,
            "hint": refused.hint,
            "cause": refused.cause or None,
        },
        "why": answer.why,
        "schedule": answer.schedule,
        "method": answer.method,
        "source": answer.source,
        "group_ratios": plain(answer.ratios),
        "start_loss": plain(answer.start_loss),
        "probes": [plain(probe) for probe in answer.probes],
        "range_test": {"learning_rate": plain(answer.range_rates), "loss": plain(answer.range_losses)},
        "diagnosis": None if answer.diagnosis is None else run_data(answer.diagnosis),
        "notes": list(answer.notes),
    }
