"""From what is known of a trial to its outcome, with the sentence that says why."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

from convergence_cli.model import FAILING
from convergence_cli.printable import duration, printable
from convergence_cli.trials.change import variable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convergence_cli.model import Remedy
    from convergence_cli.outcome import Checks, Execution, FindingFate, Outcome, Side

_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Facts:
    """What a decision rests on, beside the checks.

    ``axes``: what the steps of either side count; ``shown``: what was wrong shows before up to the step at which
    both are compared; ``unseen``: why the change is known not to have arrived; ``may_take``: whether the command
    has a place for it.
    """

    before: Side
    after: Side
    fates: tuple[FindingFate, ...]
    execution: Execution | None
    axes: tuple[str, str]
    shown: bool
    unseen: str
    may_take: bool | None


def decide(facts: Facts, checks: Checks, remedy: Remedy) -> tuple[Outcome, str]:
    """What came of the trial, and why. What speaks against a cure is said before what leaves it open."""
    label = facts.after.report.verdict.label
    if not checks.ran:
        return "not-cured", f"{in_words(facts.execution)}What it had logged until then is shown."
    if checks.reached is False:
        return "not-reached", f"The change did not reach the training: {facts.unseen}. {_ways_in(remedy)}"
    against = _against(facts, checks, label)
    if against is not None:
        return "not-cured", against
    open_ = next(_left_open(facts, checks, remedy, label), None)
    if open_ is not None:
        return "not-proven", open_
    gone = _named([one for one in facts.fates if one.targeted])
    also = f", {gone} {'are' if ',' in gone or ' and ' in gone else 'is'} gone" if gone else ""
    said = f"It is {label}" if label not in FAILING else "It does not surely fail"
    return "cured", f"{said}{also}, and {_compared(facts)}."


def _against(facts: Facts, checks: Checks, label: str) -> str | None:
    if checks.not_failing is False:
        again = "still" if facts.before.report.verdict.label == label else "now"
        return f"It is {again} {label}: {printable(facts.after.report.verdict.reason, 400)}"
    if checks.findings_gone is False:
        there = _named([one for one in facts.fates if one.targeted and one.fate == "there"])
        new = _named([one for one in facts.fates if one.fate == "new" and one.severity == "error"])
        if not there:
            return f"It is {label}, but {new} is new."
        return f"It is {label}, but {there} {'are' if ' and ' in there else 'is'} still there."
    if checks.no_worse is False:
        return f"It is {label}, but {_compared(facts)}."
    return None


def _left_open(facts: Facts, checks: Checks, remedy: Remedy, label: str) -> Iterator[str]:
    """What keeps a cure from being proven, the gravest first."""
    before_axis, after_axis = facts.axes
    if before_axis != after_axis:
        yield (
            f"The run counts {before_axis}s and the trial {after_axis}s, so that they cannot be compared at equal "
            "steps: name the same kind of log with --log."
        )
    if checks.not_failing is None:
        reason = printable(facts.after.report.verdict.reason, 400)
        yield f"The trial is undetermined: {reason} {_longer(facts)}".strip()
    if not facts.shown:
        end = "" if facts.after.last_step is None else f" at {after_axis} {facts.after.last_step:.12g}"
        yield f"It is {label}, but it ended{end}, before what was wrong showed in the run. {_longer(facts)}".strip()
    if checks.findings_gone is None:
        unknown = _named([one for one in facts.fates if one.targeted and one.fate == "unknown"])
        yield f"It is {label}, but does not log what {unknown} needs to look."
    if checks.no_worse is None:
        yield f"It is {label}, but no loss is logged both before and after."
    if checks.reached is None and facts.may_take is False:
        yield f"It is {label}, but nothing shows that the change reached the training. {_ways_in(remedy)}"


def _ways_in(remedy: Remedy) -> str:
    key = next(iter(remedy.change))
    return f"Does the script take its value from {{{printable(key)}}} or from {variable(key)}?"


def _longer(facts: Facts) -> str:
    execution = facts.execution
    ended = None if execution is None else execution.ended
    if execution is not None and execution.left_out_bytes and ended == "finished":
        return f"{execution.left_out_bytes:,} bytes of output were left out: let it log to a file in {{run_dir}}."
    return {"time": "Give it longer with --budget.", "steps": "Give it more with --max-steps."}.get(ended or "", "")


def _compared(facts: Facts) -> str:
    before, after = facts.before, facts.after
    name = "loss" if after.series is None else after.series
    until = "" if after.last_step is None else f" up to {facts.axes[1]} {after.last_step:.12g}"
    now = "never finite" if after.best is None else f"{after.best:.4g}"
    then = "never finite" if before.best is None else f"{before.best:.4g}"
    return f"its best {name}{until} is {now} (before: {then})"


def _named(fates: list[FindingFate]) -> str:
    names = [f"{one.rule} {one.name}" for one in fates[:_MOST_NAMED]]
    if len(fates) > _MOST_NAMED:
        names[-1] = f"{len(fates) - _MOST_NAMED + 1} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def in_words(execution: Execution | None) -> str:
    """How the command ended where it did not end well, as a sentence and a space; else nothing."""
    if execution is None or execution.ended in ("finished", "steps"):
        return ""
    after = f"after {duration(execution.seconds)}"
    if execution.ended == "time":
        return f"It was stopped {after}. "
    code = execution.exit_code
    if code is not None and code < 0:
        return f"It was killed by {_signal_name(-code)} {after}. "
    return f"It failed with exit code {code} {after}. "


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
