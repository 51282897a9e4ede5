"""Remedies that were tried, for people: before and after side by side."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from convergence_cli.printable import counted, duration, printable
from convergence_cli.reporters import PLAIN, Look
from convergence_cli.reporters._layout import UNICODE, cells, cut, cut_middle, glyphs, painter
from convergence_cli.reporters._location import relative
from convergence_cli.reporters._run_text import DRAWN_ROLES, Page
from convergence_cli.reporters._sparkline import columns, sparkline
from convergence_cli.reporters._wording import changes, number, percent, sentence, unit
from convergence_cli.reporters.text import _ascii as ascii_only

if TYPE_CHECKING:
    from convergence_cli.model import RunReport
    from convergence_cli.outcome import Attempt, Execution, Side, Trial, Trials

_INDENT = "  "
_MOST_LABEL = 25
_GAP = 2
OUTCOMES = {
    "cured": ("CURED", "bold green"),
    "not-proven": ("NOT PROVEN", "bold yellow"),
    "not-cured": ("NOT CURED", "bold red"),
    "not-reached": ("NOT REACHED", "bold magenta"),
    "unreadable": ("NOT READ", "bold magenta"),
}
_FATES = {
    "gone": ("there", "gone", "green"),
    "there": ("there", "still there", "red"),
    "new": ("", "new", "red"),
    "unknown": ("there", "could not look", "magenta"),
}
_ENDINGS = {"time": "stopped at its budget", "steps": "stopped at its steps", "finished": "ended by itself"}


def render(trials: Trials, look: Look = PLAIN) -> str:
    """The run as it was, each remedy with its trials, and what came of it all."""
    if not look.unicode:
        trials = ascii_only(trials)
    page = Page(look, glyphs(look), painter(look))
    blocks = [list(_head(trials, page))]
    for attempt in trials.attempts:
        blocks.append(list(_attempt(attempt, page)))
    rest = list(_rest(trials, page))
    if rest:
        blocks.append([page.paint(line, "dim") for line in rest])
    blocks.append([page.paint(line, "bold") for line in page.wrap(_total(trials, page), "")])
    text = "\n\n".join("\n".join(block) for block in blocks) + "\n"
    return text if look.unicode else text.replace(UNICODE.more, "~")


def _head(trials: Trials, page: Page) -> Iterator[str]:
    run = trials.before
    verdict = run.verdict
    since = [] if verdict.since_step is None else [f"since {unit(run)} {number(verdict.since_step)}"]
    sure = [] if verdict.label == "undetermined" else [percent(verdict.confidence)]
    label = verdict.label.upper()
    name = page.paint(cut_middle(printable(run.name), page.look.width, page.glyphs.more), "bold")
    line, *further = page.parts([label, *sure, printable(verdict.state), *since])
    yield name
    yield page.paint(label, page.style(verdict.label)) + line.removeprefix(label)
    yield from further
    yield from page.wrap(sentence(verdict.reason), _INDENT)


def _attempt(attempt: Attempt, page: Page) -> Iterator[str]:
    remedy = attempt.remedy
    for item in changes(remedy, page.glyphs.arrow):
        yield from (page.paint(line, "bold") for line in page.wrap(item, ""))
    yield from page.wrap(f"{printable(remedy.name)}, for {printable(remedy.addresses)}", _INDENT)
    for trial in attempt.trials:
        yield from _trial(trial, page)
    if len(attempt.trials) > 1:
        count = sum(trial.cured for trial in attempt.trials)
        yield ""
        yield f"{_INDENT}cured with {count} of {counted(len(attempt.trials), 'seed')}"


def _trial(trial: Trial, page: Page) -> Iterator[str]:
    word, style = OUTCOMES[trial.outcome]
    seed = "" if trial.seed is None else f"seed {trial.seed}: "
    if trial.seed is not None:
        yield ""
    lead = f"{seed}{word} "
    for line in page.wrap(f"{lead}{page.glyphs.dot} {sentence(trial.why)}", _INDENT):
        yield line.replace(word, page.paint(word, style), 1) if line.startswith(f"{_INDENT}{lead}") else line
    if trial.before is not None and trial.after is not None:
        yield ""
        yield from _side_by_side(trial, trial.before, trial.after, page)
    if trial.execution is not None:
        yield ""
        yield from (page.paint(line, "dim") for line in _execution(trial, trial.execution, page))


def _side_by_side(trial: Trial, before: Side, after: Side, page: Page) -> Iterator[str]:
    names = [f"{printable(one.rule)} {printable(one.name)}" for one in trial.findings]
    label_width = min(max([cells("best train_loss"), *map(cells, names)]), _MOST_LABEL, page.look.width // 3)
    room = max((page.look.width - len(_INDENT) - label_width - 2 * _GAP) // 2, 8)

    def row(label: str, left: str, right: str, style: str = "") -> str:
        shown = [cut(text, room, page.glyphs.more) for text in (left, right)]
        name = cut(label, label_width, page.glyphs.more)
        painted = page.paint(shown[1], style) if style else shown[1]
        line = f"{_INDENT}{_padded(name, label_width)}{' ' * _GAP}{_padded(shown[0], room)}{' ' * _GAP}{painted}"
        return line.rstrip()

    yield page.paint(row("", f"before{_until(before)}", f"after{_until(after)}"), "dim")
    style = page.style(after.report.verdict.label)
    yield row("verdict", _verdict(before.report), _verdict(after.report), style)
    if before.best is not None or after.best is not None:
        yield row(f"best {printable(after.series or 'loss')}", _best(before), _best(after))
    for role in DRAWN_ROLES:
        left, right = (_drawn(side.report, role, room, page) for side in (before, after))
        if left[0] or right[0]:
            yield row(role, left[0], right[0])
            yield row("", left[1], right[1])
    for one, name in zip(trial.findings, names, strict=True):
        then, now, style = _FATES[one.fate]
        yield row(name, then, now, style)


def _until(side: Side) -> str:
    """Up to where a side is compared."""
    return "" if side.last_step is None else f", to {unit(side.report)} {number(side.last_step)}"


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cells(text))


def _verdict(run: RunReport) -> str:
    verdict = run.verdict
    sure = "" if verdict.label == "undetermined" else f" {percent(verdict.confidence)}"
    return f"{verdict.label}{sure}, {printable(verdict.state)}"


def _best(side: Side) -> str:
    if side.best is None:
        return "never finite"
    at = "" if side.best_step is None else f" at {unit(side.report)} {number(side.best_step)}"
    return f"{number(side.best)}{at}"


def _drawn(run: RunReport, role: str, width: int, page: Page) -> tuple[str, str]:
    """The curve in ``role`` in ``width`` columns, and its first and last value; nothing where it is not logged."""
    curve = (run.summary.get("curves") or {}).get(role) or {}
    values = columns(curve, width)
    if not values:
        return "", ""
    first, last = (_end(value) for value in (curve["mean"][0], curve["mean"][-1]))
    return sparkline(values, page.glyphs.levels, page.glyphs.bad), f"{first} {page.glyphs.arrow} {last}"


def _end(value: float | None) -> str:
    return "not finite" if value is None or not math.isfinite(value) else number(value)


def _execution(trial: Trial, execution: Execution, page: Page) -> Iterator[str]:
    place = page.look.base
    # As a shell would need it: it is there to be repeated.
    command = " ".join(printable(shlex.quote(part), 60) for part in execution.command)
    yield from page.wrap(f"$ {command}", _INDENT, 3)
    ending = _ENDINGS.get(execution.ended, f"exit code {execution.exit_code}")
    parts = [duration(execution.seconds), ending]
    if execution.left_out_bytes:
        parts.append(f"{execution.left_out_bytes:,} of {execution.output_bytes:,} bytes of output left out")
    if execution.output_error:
        parts.append(f"its output could not all be kept: {printable(execution.output_error)}")
    if trial.read_from is not None:
        inside = trial.read_from.removeprefix(f"{execution.folder}/")
        parts.append(f"read {printable(relative(inside, place), 120)}")
    yield from page.wrap(", ".join(parts), _INDENT)
    yield from page.wrap(f"in {printable(relative(execution.folder, place), 200)}", _INDENT)
    if trial.outcome == "unreadable" or execution.ended == "crashed":
        for line in execution.last_lines:
            yield cut(f"{_INDENT}| {printable(line, 400)}", page.look.width, page.glyphs.more)


def _rest(trials: Trials, page: Page) -> Iterator[str]:
    for one in trials.not_tried:
        yield from page.wrap(f"not tried: {printable(one.remedy.name)}, {sentence(one.reason)}", _INDENT)
    if trials.control is not None:
        place = printable(relative(trials.control.folder, page.look.base), 200)
        yield from page.wrap(f"before: the control, {duration(trials.control.seconds)}, kept in {place}", _INDENT)
    notes = [*trials.notes, *(note for attempt in trials.attempts for trial in attempt.trials for note in trial.notes)]
    for note in dict.fromkeys(notes):
        yield from page.wrap(f"note: {sentence(note)}", _INDENT)


def _total(trials: Trials, page: Page) -> str:
    count = len(trials.attempts)
    tried = f"{count} {'remedy' if count == 1 else 'remedies'} tried"
    if not trials.readable:
        return f"{tried}: nothing was logged that can be judged"
    if trials.remedy is None:
        return f"{tried}: none cured it"
    return f"{tried}: cured by {', '.join(changes(replace(trials.remedy), page.glyphs.arrow))}"
