"""A learning rate for people: a small table, and what was tried as bars; or the number alone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from convergence_cli.printable import printable
from convergence_cli.reporters import PLAIN, Look
from convergence_cli.reporters._layout import UNICODE, glyphs, painter
from convergence_cli.reporters._run_text import Page
from convergence_cli.reporters._sparkline import sparkline
from convergence_cli.reporters._wording import changes, percent, sentence

if TYPE_CHECKING:
    from convergence_cli.learning_rate import LearningRate, Probe

_LABEL = 15
_MOST_BAR = 40
_BAR, _ASCII_BAR = "█", "#"


def number(answer: LearningRate, look: Look = PLAIN) -> str:
    """The rate and a line end; nothing where there is none."""
    return "" if answer.learning_rate is None else f"{answer.learning_rate:g}\n"


def render(answer: LearningRate, look: Look = PLAIN) -> str:
    """The answer on one screen."""
    page = Page(look, glyphs(look), painter(look))
    blocks = [list(_refusal(answer, page)) if answer.refused is not None else list(_head(answer, page))]
    tried = list(_tried(answer, page))
    if tried:
        blocks.append(tried)
    notes = [page.paint(line, "dim") for note in answer.notes for line in page.wrap(f"note: {sentence(note)}.", "  ")]
    if notes:
        blocks.append(notes)
    text = "\n\n".join("\n".join(block) for block in blocks) + "\n"
    return text if look.unicode else text.replace(UNICODE.more, "~")


def _row(label: str, value: str, page: Page, style: str = "") -> Iterator[str]:
    lines = page.wrap(value, " " * (_LABEL + 2))
    for place, line in enumerate(lines):
        shown = line.strip()
        head = f"  {label:<{_LABEL}}" if place == 0 else " " * (_LABEL + 2)
        yield head + (page.paint(shown, style) if style else shown)


def _head(answer: LearningRate, page: Page) -> Iterator[str]:
    assert answer.learning_rate is not None
    yield from _row("learning rate", f"{answer.learning_rate:g}", page, "bold green")
    if answer.window is not None:
        low, high = answer.window
        yield from _row("window", f"{low:g} to {high:g} (within 5 % of the best)", page)
    if answer.diverges_at is not None:
        yield from _row("diverges at", f"{answer.diverges_at:g}", page)
    if answer.confidence:
        yield from _row("confidence", percent(answer.confidence), page)
    if len(answer.ratios) > 1:
        rates = ", ".join(f"{ratio * answer.learning_rate:.3g}" for ratio in answer.ratios)
        yield from _row("groups", f"{rates} (their ratios are kept)", page)
    kind = f"{answer.schedule} schedule, {answer.method}"
    yield from _row("for", f"{kind}, {answer.steps} steps" if answer.steps else kind, page)
    yield from _row("why", sentence(answer.why), page)


def _refusal(answer: LearningRate, page: Page) -> Iterator[str]:
    refused = answer.refused
    assert refused is not None
    yield from _row("learning rate", f"none: {refused.reason}", page, "bold red")
    yield from _row("why", sentence(refused.message), page)
    if refused.hint:
        yield from _row("what to do", sentence(refused.hint), page)
    told, changed = diagnosed(answer, page.glyphs.arrow)
    if told:
        yield from _row("diagnosis", told, page)
    for change in changed:
        yield from _row("change", change, page)
    if refused.cause:
        yield from _row("more", f"ctroubleshoot explain {refused.cause}", page, "dim")


def diagnosed(answer: LearningRate, arrow: str) -> tuple[str, list[str]]:
    """What a recorded training was found to be, with its first cause; and what its first remedy changes."""
    run = answer.diagnosis
    if run is None:
        return "", []
    told = f"{run.verdict.label} ({percent(run.verdict.confidence)})"
    if run.causes:
        told += f", likely {printable(run.causes[0].name)} ({percent(run.causes[0].probability)})"
    return told, changes(run.remedies[0], arrow) if run.remedies else []


def _tried(answer: LearningRate, page: Page) -> Iterator[str]:
    """One bar a rate: how far its loss fell, of the best fall at as many steps; and the range test as a line."""
    best = {
        steps: min((one.loss for one in answer.probes if one.steps == steps and one.loss is not None), default=math.nan)
        for steps in {one.steps for one in answer.probes}
    }
    last: dict[float, Probe] = {probe.rate: probe for probe in answer.probes}
    if last and answer.start_loss is not None:
        yield page.paint("  tried          loss, from " + f"{answer.start_loss:.4g}", "dim")
        for rate, probe in last.items():
            yield _bar(rate, probe, best[probe.steps], answer.start_loss, page)
    if len(answer.range_losses) > 1:
        room = max(page.look.width - _LABEL - 4, 10)
        values = _columns(_clipped(answer), room)
        line = sparkline(values, page.glyphs.levels, page.glyphs.bad)
        yield page.paint(f"  {'range test':<{_LABEL}}", "dim") + line
        low, high = f"{answer.range_rates[0]:.0e}", f"{answer.range_rates[-1]:.1e}"
        yield page.paint(" " * (_LABEL + 2) + low + high.rjust(max(len(line) - len(low), len(high) + 1)), "dim")


def _bar(rate: float, probe: Probe, best: float, start: float, page: Page) -> str:
    room = max(min(page.look.width - _LABEL - 23, _MOST_BAR), 1)
    head = f"  {rate:<{_LABEL}.2g}"
    if probe.loss is None:
        return head + page.paint("broke", "red")
    fall = (start - probe.loss) / (start - best) if start > best else 0.0
    bar = (_BAR if page.look.unicode else _ASCII_BAR) * round(room * min(max(fall, 0.0), 1.0))
    style = "green" if fall > 0.95 else ""
    loss = f"{probe.loss:<10.4g}"
    steps = f" {probe.steps} steps" if probe.steps > 1 else ""
    return head + loss + (page.paint(bar, style) if style else bar) + page.paint(steps, "dim")


def _clipped(answer: LearningRate) -> tuple[float, ...]:
    """The range test without what has diverged far above its start, which would flatten all the rest."""
    start = answer.start_loss if answer.start_loss is not None else answer.range_losses[0]
    low = min((loss for loss in answer.range_losses if not math.isnan(loss)), default=start)
    top = start + 0.35 * max(start - low, 1e-3 * abs(start))
    return tuple(min(loss, top) if math.isfinite(loss) else loss for loss in answer.range_losses)


def _columns(values: tuple[float, ...], width: int) -> list[float | None]:
    """At most ``width`` means; None where any of it is not finite."""
    count = min(width, len(values))
    groups = [values[place * len(values) // count : (place + 1) * len(values) // count] for place in range(count)]
    finite = (group if all(map(math.isfinite, group)) else () for group in groups)
    # Each is divided first: the sum of finite numbers may be infinite.
    return [math.fsum(value / len(group) for value in group) if group else None for group in finite]
