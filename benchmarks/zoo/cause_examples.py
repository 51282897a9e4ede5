"""Runs of the zoo as the ranking of causes meets them: facts of four views of a run, with the truth beside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.diagnosis import facts_and_opinions
from convergence_cli.diagnosis.fitted import NONE
from convergence_cli.features.evidence import Evidence
from convergence_cli.pipeline import read_paths, read_run
from convergence_cli.rules import all_rules, apply_rules
from convergence_cli.selection import select_rules
from convergence_cli.settings import Settings
from zoo.specimen import Truth, truth_of

if TYPE_CHECKING:
    from pathlib import Path

    from convergence_cli.model import Run

# What a run left behind: its log alone; the log with the recorder's tensors; the recorder's file alone; the
# recorder's file with the validation of the log, as it is where the script gives that to the recorder, too.
VIEWS = ("log", "log+tensors", "record", "record+validation")
_ADDED = ("val_loss", "val_accuracy", "train_accuracy")


@dataclass(frozen=True, slots=True)
class CauseExample:
    """One view of a run. ``cause`` is ``none`` for a healthy one. ``harmed``: the noise-free losses show the fault."""

    truth: Truth
    view: str
    cause: str
    harmed: bool
    facts: dict[str, float]


def views_of(folder: Path) -> Iterator[tuple[str, Run]]:
    """The views of a finished run of the zoo; the log alone where nothing was recorded."""
    log = read_run(folder / "run")
    yield "log", log
    if not (folder / "recorded").exists():
        return
    runs, _ = read_paths([str(folder / "recorded")], Settings())
    if runs:
        record = runs[0]
        yield "log+tensors", replace(log, tensors=record.tensors)
        yield "record", record
        added = tuple(curve for curve in log.curves if curve.role in _ADDED)
        yield (
            "record+validation",
            replace(record, curves=record.curves + added, config={**log.config, **record.config}),
        )


def cause_examples(folder: Path) -> list[CauseExample]:
    """The views of one run; none where its losses tell nothing, or where nothing was injected and yet it fails."""
    truth = truth_of(folder)
    if truth.fixed_labels or not (truth.fault or truth.healthy):
        return []
    rules = select_rules(all_rules())
    found = []
    for view, run in views_of(folder):
        with np.errstate(all="ignore"):
            evidence = Evidence(run)
            findings, _ = apply_rules(evidence, rules)
            facts, _ = facts_and_opinions(findings, evidence)
        found.append(CauseExample(truth, view, truth.cause or NONE, truth.labels != ("converging",), facts))
    return found
