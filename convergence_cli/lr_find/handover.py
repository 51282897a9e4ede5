"""Where there is no rate: a few recorded steps of the training, and what the diagnosis makes of them."""

from __future__ import annotations

import tempfile
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

from convergence_cli.lr_find.refused import Refused
from convergence_cli.settings import Settings

if TYPE_CHECKING:
    from convergence_cli.lr_find.probing import Source
    from convergence_cli.lr_find.training import Training
    from convergence_cli.model import RunReport

# Enough for rules that ask for persistence.
STEPS, SAMPLED = 200, 10
# Reasons that a recorded training can throw light on; the others say all that there is.
DIAGNOSED = frozenset(
    {
        "dead-network",
        "zero-gradient",
        "no-rate-learns",
        "every-rate-diverges",
    }
)


def handed_over(source: Source, reason: str) -> tuple[RunReport | None, int]:
    """(the report on ``STEPS`` recorded steps at the user's own rate, updates made); None where none can be made."""
    if reason not in DIAGNOSED:
        return None, 0
    from convergence_cli.pipeline import analyze_paths

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # What the recorder has against such a training is told by the report.
        warnings.simplefilter("ignore")
        made = _record(source.start(), folder)
        report = analyze_paths([folder], Settings())
    runs = [replace(run, path="", name="the training") for run in report.runs]
    return (runs[0] if runs else None), made


def _record(training: Training, folder: str) -> int:
    """How many updates of ``training`` were recorded into ``folder``."""
    from convergence_cli.recorder.recorder import Recorder

    with Recorder(training.ready.model, training.ready.optimizer, out=folder, every=SAMPLED) as recorder:
        for _ in range(STEPS):
            try:
                loss = training.step(training.ready.rate)
            except Refused:
                break
            recorder.step(loss=loss)
    return training.steps
