"""A learning rate for any training command: short runs of it, read as any log is read."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from convergence_cli.errors import CtroubleshootError, UsageError
from convergence_cli.learning_rate import LearningRate, Probe
from convergence_cli.lr_find import suggestion
from convergence_cli.lr_find.answering import suggested
from convergence_cli.lr_find.refused import Refused, refused
from convergence_cli.lr_find.search import HALF, PER_DECADE, QUARTER, Bounds
from convergence_cli.printable import counted, duration, printable
from convergence_cli.trials.change import MAX_STEPS, RUN_DIR, SEED, filled, may_take, placeholders, variables
from convergence_cli.trials.place import new_folder
from convergence_cli.trials.process import Bounds as TimeBounds
from convergence_cli.trials.process import run_bounded
from convergence_cli.trials.reading import Places, Reading, last_step, read_trial, up_to

if TYPE_CHECKING:
    from convergence_cli.model import Run
    from convergence_cli.outcome import Execution
    from convergence_cli.settings import Settings

RATE, STEPS = "learning_rate", "steps"
COMMAND_BOUNDS: Bounds = (1e-6, 1e1)
FIRST_RATE = 1e-3
# The last share of a training loss that tells where it ended.
END_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class CommandPlan:
    """``command`` is run at most ``runs`` times, each for ``steps`` steps and ``seconds``; logs stay in ``keep``."""

    command: tuple[str, ...]
    settings: Settings
    steps: int = 100
    runs: int = 9
    seconds: float = 600.0
    seed: int = 0
    log: str | None = None
    keep: str = "ct-lr-find"
    schedule: str = "constant"
    bounds: Bounds = COMMAND_BOUNDS

    @property
    def first(self) -> float:
        """The rate to begin with, within the bounds."""
        return min(max(FIRST_RATE, self.bounds[0]), self.bounds[1])


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run at a rate came to: where its loss began and ended, NaN where it broke."""

    rate: float
    start: float
    end: float
    broke: bool


def find_by_command(plan: CommandPlan, show: Callable[[str], None] = lambda text: None) -> LearningRate:
    """The rate at which the command's own log ends lowest. Raises ``CtroubleshootError`` where it cannot be judged."""
    _check(plan)
    bench = _Bench(plan, show)
    blank = LearningRate(None, schedule=plan.schedule, method="runs", source=" ".join(plan.command))
    try:
        return bench.found(blank)
    except Refused as error:
        return replace(blank, refused=error.refusal, steps=bench.steps, probes=bench.probes)


def _check(plan: CommandPlan) -> None:
    if RATE not in placeholders(plan.command) and may_take(plan.command, (RATE,)) is False:
        raise UsageError(
            "The command has no place for the rate.",
            "Write {learning_rate} where it stands: ctroubleshoot lr-find -- python train.py --lr {learning_rate} "
            "--max-steps {steps}; or read the variable CT_LEARNING_RATE.",
        )
    filled(plan.command, _values(plan, plan.first, ""))


def _values(plan: CommandPlan, rate: float, run_dir: str) -> dict[str, Any]:
    return {RATE: rate, STEPS: plan.steps, MAX_STEPS: plan.steps, SEED: plan.seed, RUN_DIR: run_dir}


class _Bench:
    def __init__(self, plan: CommandPlan, show: Callable[[str], None]) -> None:
        self.plan, self.show = plan, show
        self.outcomes: dict[float, Outcome] = {}
        self.steps = 0

    def found(self, blank: LearningRate) -> LearningRate:
        tried = self._climbed()
        start = float(
            np.median([one.start for one in self.outcomes.values() if math.isfinite(one.start)] or [math.nan])
        )
        if not any(map(math.isfinite, tried.values())):
            raise refused(
                "every-rate-diverges",
                f"The command broke at every rate that was tried, down to {min(tried):.1e}.",
                "Look at one of the logs: ctroubleshoot analyze " + self.plan.keep,
            )
        ends = [one.end for one in self.outcomes.values() if not one.broke]
        if len(ends) >= 3 and len(set(ends)) == 1:
            raise refused(
                "no-rate-learns",
                "The log is the same at every rate: the command does not use what it is given.",
                "Check that --lr {learning_rate} reaches the optimizer.",
            )
        answer = replace(blank, start_loss=start, steps=self.steps, probes=self.probes)
        best = suggestion.best_of(answer.probes)
        assert best is not None
        assert best.loss is not None
        if best.loss >= start - self._noise():
            raise refused(
                "no-rate-learns",
                f"No rate from {min(tried):.1e} to {max(tried):.1e} lowered the loss of {start:.4g} clearly within "
                f"{counted(self.plan.steps, 'step')}.",
                f"Give it longer runs: --steps {10 * self.plan.steps}.",
            )
        return suggested(answer, None, bounds=self.plan.bounds)

    def _climbed(self) -> dict[float, float]:
        """Whole decades to the best, then half ones beside it, then quarters."""
        low, high = (math.log10(bound) * PER_DECADE for bound in self.plan.bounds)
        tried: dict[int, float] = {}
        place: int | None = round(math.log10(self.plan.first) * PER_DECADE)
        while place is not None and len(tried) < self.plan.runs:
            tried[place] = self._attempt(10 ** (place / PER_DECADE))
            best = min(tried, key=lambda one: (tried[one], one))
            steps: tuple[int, ...] = (-PER_DECADE, PER_DECADE, -HALF, HALF, -QUARTER, QUARTER)
            if not math.isfinite(tried[best]):
                best, steps = min(tried), (-PER_DECADE,)
            around = (best + step for step in steps)
            place = next((one for one in around if one not in tried and low - 1e-9 <= one <= high + 1e-9), None)
        return {10 ** (one / PER_DECADE): loss for one, loss in sorted(tried.items())}

    def _attempt(self, rate: float) -> float:
        plan = self.plan
        rate = suggestion.two_digits(rate)
        folder, run_dir = new_folder(Path(plan.keep), f"{rate:.1e}", None)
        values = _values(plan, rate, str(run_dir))
        log = None if plan.log is None else filled([plan.log], values)[0]
        places = Places.of(log, run_dir, folder)
        label = f"run {len(self.outcomes) + 1} of at most {plan.runs}, at {rate:.2g}"
        bounds = TimeBounds(plan.seconds, enough=self._watch(places, label))
        execution = run_bounded(filled(plan.command, values), variables(values), folder, bounds)
        reading = up_to(read_trial(places, plan.settings), plan.steps)
        outcome = self._judged(rate, execution, reading)
        self.outcomes[rate] = outcome
        return math.inf if outcome.broke else outcome.end

    def _judged(self, rate: float, execution: Execution, reading: Reading) -> Outcome:
        crashed = execution.ended in ("crashed", "not-started")
        if reading.run is None:
            if crashed and self.outcomes:
                return Outcome(rate, math.nan, math.nan, True)
            said = f" Its last line: {printable(execution.last_lines[-1], 200)}." if execution.last_lines else ""
            ended = f"the command ended with exit code {execution.exit_code}" if crashed else "nothing can be judged"
            raise CtroubleshootError(
                f"At a rate of {rate:g} {ended}: {reading.reason}.{said}",
                f"Its output is in {printable(execution.output)}. Have it print its loss, or name the log with --log.",
            )
        start, end, logged = ends_of(reading.run)
        self.steps += int(last_step(reading.run) or logged)
        if logged < 2:
            raise CtroubleshootError(
                f"At a rate of {rate:g} one loss was logged, which is too little to compare.",
                "Have it log more often, or give it more steps: --steps 500.",
            )
        return Outcome(rate, start, end, crashed or not math.isfinite(end))

    def _watch(self, places: Places, label: str) -> Callable[[float], bool]:
        def enough(seconds: float) -> bool:
            reading = read_trial(places, self.plan.settings, dumps=False)
            step = None if reading.run is None else last_step(reading.run)
            self.show(f"{label}: {duration(seconds)}" + ("" if step is None else f", step {step:.12g}"))
            return step is not None and step >= self.plan.steps

        return enough

    def _noise(self) -> float:
        """What two runs differ in by chance: the scatter of the starts, which no rate has touched yet."""
        starts = [one.start for one in self.outcomes.values() if math.isfinite(one.start)]
        return float(np.std(starts)) if len(starts) > 1 else 0.0

    @property
    def probes(self) -> tuple[Probe, ...]:
        """The runs by rate, as trainings of one length."""
        return tuple(
            Probe(one.rate, None if one.broke else one.end, self.plan.steps)
            for one in sorted(self.outcomes.values(), key=lambda one: one.rate)
        )


def ends_of(run: Run) -> tuple[float, float, int]:
    """(first loss, loss at the end, losses logged) of a short run; the end is NaN where the log is not finite there.

    The end is the mean of the last fifth of the training loss, or with a validation loss the mean of that and the last
    of it: as the trainings of a torch model are judged.
    """
    train, val = run.curve("train_loss"), run.curve("val_loss")
    parts = []
    for curve, share in ((train, END_SHARE), (val, 0.0)):
        if curve is not None and len(curve.value):
            count = max(int(len(curve.value) * share), 1)
            parts.append((float(curve.value[0]), float(np.mean(curve.value[-count:]))))
    if not parts:
        reward = run.curve("reward")
        raise CtroubleshootError(
            "The log holds a reward and no loss." if reward is not None else "The log holds no loss.",
            "Name the series with --metric train_loss=NAME.",
        )
    longest = max(len(curve.value) for curve in (train, val) if curve is not None)
    start, end = (math.fsum(part[side] for part in parts) / len(parts) for side in (0, 1))
    return start, end, longest
