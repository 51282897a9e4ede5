"""Remedies tried with the user's own command, one after the other, until one cures."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convergence_cli import __version__
from convergence_cli.errors import NoLossError, UsageError
from convergence_cli.model import Remedy
from convergence_cli.outcome import Attempt, Execution, NotTried, Trial, Trials
from convergence_cli.pipeline import NOTHING_TO_JUDGE, diagnose, read_run
from convergence_cli.printable import duration, printable
from convergence_cli.settings import Settings
from convergence_cli.trials.change import (
    MAX_STEPS,
    RUN_DIR,
    SEED,
    filled,
    may_take,
    placeholders,
    present,
    variable,
    variables,
)
from convergence_cli.trials.judging import Before, judge
from convergence_cli.trials.place import fingerprints, keeping_place, new_folder
from convergence_cli.trials.process import Bounds, run_bounded
from convergence_cli.trials.reading import Places, Reading, last_step, read_trial, up_to
from convergence_cli.trials.shortlist import shortlist
from convergence_cli.trials.sides import alike

if TYPE_CHECKING:
    from convergence_cli.model import Run, RunReport

BUDGET_SECONDS = 600.0
_CONTROL = Remedy("control", "", {}, "the command as it was", 1.0)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run, and how far. ``seconds`` is wall time a trial, ``max_steps`` is in the unit of the run's axis.

    ``log`` (may hold placeholders) is where the command writes its log, ``keep`` where trials are kept.
    ``everything``: go on after a remedy has cured.
    """

    command: tuple[str, ...]
    settings: Settings = field(default_factory=Settings)
    remedies: int = 1
    seeds: int = 1
    seconds: float = BUDGET_SECONDS
    max_steps: float | None = None
    log: str | None = None
    keep: str | None = None
    everything: bool = False
    control: bool = False


def try_command(path: str, plan: Plan, progress: Callable[[str], None] | None = None) -> Trials:
    """Try remedies for the run at ``path`` with the command of ``plan``.

    Raises ``CtroubleshootError`` where the run cannot be judged or nothing can be tried, and ``KeyboardInterrupt``,
    once the command has ended, where this process was interrupted.
    """
    run = read_run(path, plan.settings)
    report = diagnose(run, plan.settings)
    if report.verdict.state in NOTHING_TO_JUDGE:
        raise NoLossError(
            report.path,
            f"{printable(report.name)}: {printable(report.verdict.reason, 400)}",
            "Name the loss with --metric train_loss=NAME, if one of the series is it.",
        )
    if shutil.which(plan.command[0]) is None:
        raise UsageError(
            f"{printable(plan.command[0])} is no program that can be found.",
            "Check the command after --; for shell syntax write: sh -c '...'",
        )
    chosen, not_tried = shortlist(report, plan.remedies, lambda remedy: _no_way_in(remedy, plan.command, report))
    bench = _Bench(path, plan, Before(run, report, present(run, report.remedies), plan.settings), progress)
    for remedy in chosen:
        # A placeholder without a value is found before hours of training, not after.
        bench.check(remedy)
    return bench.tried(chosen, not_tried)


def _no_way_in(remedy: Remedy, command: Sequence[str], report: RunReport) -> str:
    """Why the change cannot arrive although the command takes others; nothing where it may."""
    keys = {key for other in report.remedies for key in other.change}
    if not placeholders(command) & keys or may_take(command, tuple(remedy.change)) is not False:
        return ""
    key = next(iter(remedy.change))
    return f"the command has no {{{key}}}, and its script does not name {variable(key)}"


@dataclass(slots=True)
class _Bench:
    """The place at which trials are run: where they are kept, and what they are compared with."""

    path: str
    plan: Plan
    before: Before
    progress: Callable[[str], None] | None
    notes: list[str] = field(default_factory=list)

    def tried(self, chosen: Sequence[Remedy], not_tried: Sequence[NotTried]) -> Trials:
        control = self._control(chosen) if self.plan.control else None
        attempts = []
        trained: list[tuple[str, Run]] = []
        for number, remedy in enumerate(chosen, 1):
            trials: list[Trial] = []
            runs: list[Run] = []
            for seed in self._seeds():
                label = f"remedy {number} of {len(chosen)}, {remedy.name}"
                trial, run = self._trial(remedy, seed, label)
                trials.append(trial)
                if run is not None and any(alike(other, run) for other in runs):
                    self.notes.append(
                        "the seeds gave the same log value by value: the command takes no {seed} or CT_SEED"
                    )
                if run is not None:
                    runs.append(run)
            cured = 2 * sum(trial.cured for trial in trials) > len(trials)
            twin = next((name for name, other in trained if runs and alike(other, runs[0])), None)
            if twin is not None:
                self.notes.append(f"{remedy.name} trained exactly as {twin} did: one of the changes had no effect")
            trained += [(remedy.name, run) for run in runs[:1]]
            attempts.append(Attempt(remedy, tuple(trials), cured))
            if cured and not self.plan.everything:
                break
        notes = tuple(dict.fromkeys(self.notes))
        return Trials(self.before.report, tuple(attempts), tuple(not_tried), control, notes, __version__)

    def check(self, remedy: Remedy) -> None:
        values = {**self._values(remedy, None), RUN_DIR: ""}
        filled(self.plan.command, values)
        filled([self.plan.log or ""], values)

    def _seeds(self) -> list[int | None]:
        if self.plan.seeds == 1:
            return [None]
        return [self._first_seed() + number for number in range(self.plan.seeds)]

    def _first_seed(self) -> int:
        known = self.before.present.get(SEED)
        return known if isinstance(known, int) and not isinstance(known, bool) else 0

    def _values(self, remedy: Remedy, seed: int | None) -> dict[str, Any]:
        """What there is for placeholders, without the folder of the trial."""
        values = {**self.before.present, **remedy.from_, **remedy.change}
        values[SEED] = self._first_seed() if seed is None else seed
        if self.plan.max_steps is not None:
            values[MAX_STEPS] = self.plan.max_steps
        return values

    def _trial(self, remedy: Remedy, seed: int | None, label: str) -> tuple[Trial, Run | None]:
        execution, reading = self._run(remedy, remedy.change, seed, label)
        possible = may_take(self.plan.command, tuple(remedy.change))
        return judge(self.before, remedy, reading, execution=execution, may_take=possible, seed=seed), reading.run

    def _control(self, chosen: Sequence[Remedy]) -> Execution:
        """Run the command as it was, and compare with that from now on, if it can be read."""
        keys = {key for remedy in chosen for key in remedy.change}
        known = {key: value for key, value in self.before.present.items() if key in keys}
        execution, reading = self._run(_CONTROL, known, None, "control")
        if reading.run is None:
            self.notes.append(
                f"the control logged nothing that can be judged ({reading.reason}): compared with the run"
            )
        else:
            settings = {**self.before.present, **reading.run.config}
            self.before = replace(self.before, run=replace(reading.run, config=settings))
        return execution

    def _run(
        self, remedy: Remedy, change: Mapping[str, Any], seed: int | None, label: str
    ) -> tuple[Execution, Reading]:
        plan = self.plan
        folder, run_dir = new_folder(keeping_place(plan.keep, self.path), remedy.name, seed)
        values = {**self._values(remedy, seed), RUN_DIR: str(run_dir)}
        command = filled(plan.command, values)
        log = None if plan.log is None else filled([plan.log], values)[0]
        special = {RUN_DIR: str(run_dir)}
        if seed is not None or SEED in self.before.present:
            special[SEED] = values[SEED]
        if plan.max_steps is not None:
            special[MAX_STEPS] = values[MAX_STEPS]
        # What this remedy leaves alone stays as the run had it, not as the script has it by default.
        known = {key: value for key, value in self.before.present.items() if key not in (SEED, MAX_STEPS)}
        environment = variables({**known, **change, **special})
        _note_command(folder, command, environment)
        places = Places.of(log, run_dir, folder)
        untouched = fingerprints(self.path)
        bounds = Bounds(plan.seconds, enough=self._watch(places, label))
        execution = run_bounded(command, environment, folder, bounds)
        reading = up_to(read_trial(places, plan.settings, self.before.run), plan.max_steps)
        if fingerprints(self.path) != untouched:
            self.notes.append(
                f"the command wrote into {printable(self.path)}: its log is no longer that of the run that failed. "
                "Have it write to {run_dir}"
            )
        return execution, reading

    def _watch(self, places: Places, label: str) -> Callable[[float], bool]:
        """Asked once a second: show how far the trial is, and say whether its log has passed ``max_steps``."""
        most = self.plan.max_steps

        def enough(seconds: float) -> bool:
            step = None
            if most is not None:
                reading = read_trial(places, self.plan.settings, self.before.run, dumps=False)
                step = None if reading.run is None else last_step(reading.run)
            if self.progress is not None:
                so_far = "" if step is None else f", step {step:.12g}"
                self.progress(f"{label}: {duration(seconds)} of {duration(self.plan.seconds)}{so_far}")
            return step is not None and most is not None and step >= most

        return enough


def _note_command(folder: Path, command: Sequence[str], environment: Mapping[str, str]) -> None:
    """Leave in ``folder`` how its trial was started, so that it can be repeated by hand."""
    text = json.dumps({"command": list(command), "environment": dict(environment)}, indent=2)
    with suppress(OSError):
        (folder / "command.json").write_text(text + "\n", encoding="utf-8")
