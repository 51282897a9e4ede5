"""One run as lines of text: verdict, curve, findings, causes, remedies, and what could not be looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from convergence_cli.model import FAILING
from convergence_cli.printable import counted, printable
from convergence_cli.reporters._layout import Glyphs, cells, cut, cut_middle, pack, wrap, wrap_items
from convergence_cli.reporters._sparkline import columns, on_log_scale, sparkline
from convergence_cli.reporters._wording import (
    FOLDED_FROM,
    changes,
    could_not_look,
    dumped,
    number,
    pairs,
    percent,
    place,
    sentence,
    unit,
    worst_first,
)
from convergence_cli.row import likely_causes

if TYPE_CHECKING:
    from convergence_cli.model import Cause, Finding, Remedy, RunReport
    from convergence_cli.reporters import Look

FINDING_LINES = 4
MESSAGE_LINES = 2
SHOWN_CAUSES = 3
SHOWN_REMEDIES = 3
SHOWN_NOTES = 4
LEAST_NAME = 24
DRAWN_ROLES = ("train_loss", "val_loss")
SEVERITY_STYLE = {"error": "bold red", "warning": "bold yellow", "note": "cyan"}
_LABEL_STYLE = {
    "converging": "bold green",
    "diverging": "bold red",
    "stuck": "bold red",
    "overfitting": "bold yellow",
}


@dataclass(slots=True)
class Page:
    """How lines are made for one run: width, glyphs and colour; and whether anything was left out of them."""

    look: Look
    glyphs: Glyphs
    paint: Callable[[str, str], str]
    cut: bool = False

    @property
    def full(self) -> bool:
        """Whether nothing is to be left out."""
        return self.look.detail > 0

    def wrap(self, text: str, indent: str, limit: int | None = None) -> list[str]:
        """``text`` in lines that fit, at most ``limit`` of them unless nothing is to be left out."""
        lines = wrap(text, self.look.width, indent=indent)
        if limit is None or self.full or len(lines) <= limit:
            return lines
        self.cut = True
        return wrap(text, self.look.width, indent=indent, limit=limit, more=self.glyphs.more)

    def wrap_items(self, items: list[str], indent: str, limit: int, lead: str = "") -> list[str]:
        """``items`` in lines that fit, whole items left out at the end where there are more than ``limit``."""
        lines = wrap_items(items, self.look.width, lead=lead, indent=indent)
        if self.full or len(lines) <= limit:
            return lines
        self.cut = True
        return wrap_items(items, self.look.width, lead=lead, indent=indent, limit=limit, more=self.glyphs.more)

    def parts(self, parts: list[str], indent: str = "", further: str = "  ") -> list[str]:
        """``parts`` with dots between, in lines that fit; the further lines under ``further``."""
        first, *rest = parts
        joint = f" {self.glyphs.dot} "
        return pack([indent + first, *rest], joint, self.look.width, indent=further, more=self.glyphs.more)

    def style(self, label: str) -> str:
        """The style of a verdict label."""
        return _LABEL_STYLE.get(label, "bold magenta")


def run_lines(run: RunReport, title: str, page: Page) -> Iterator[str]:
    """Everything said of one run under ``title``; ``look.detail`` decides how much."""
    yield from _head(run, title, page)
    detail = page.look.detail
    if detail >= 0 or page.look.curves:
        yield from _curves(run, page)
    if detail >= 0:
        yield from _series(run, page)
    if run.findings:
        yield from ("", page.paint("Findings", "bold"))
        yield from _findings(run, page)
    if detail < 0:
        return
    yield from _causes(run, page)
    if run.remedies:
        yield from ("", page.paint("What to change", "bold"))
        yield from _some(run.remedies, SHOWN_REMEDIES, _remedy, page)
    small = small_print(run, page)
    if page.cut:
        small.append(f"  {page.glyphs.more} more with --verbose")
    if small:
        yield ""
        yield from (page.paint(line, "dim") for line in small)


def _head(run: RunReport, title: str, page: Page) -> Iterator[str]:
    summary = run.summary
    counted_in = unit(run)
    facts = [printable(run.format)]
    if summary.get("points") is not None and (summary["points"] or not summary.get("tensors")):
        facts.append(counted(summary["points"], "point"))
    first, last = summary.get("first_step"), summary.get("last_step")
    if first is not None and last is not None:
        facts.append(f"{counted_in}s {number(first)}{page.glyphs.dash}{number(last)}")
    room = page.look.width - sum(cells(fact) + 3 for fact in facts)
    name = cut_middle(title, max(room, LEAST_NAME), page.glyphs.more)
    yield from (page.paint(line, "bold") for line in page.parts([name, *facts]))
    verdict = run.verdict
    label = verdict.label.upper()
    sure = [] if verdict.label == "undetermined" else [percent(verdict.confidence)]
    since = [] if verdict.since_step is None else [f"since {counted_in} {number(verdict.since_step)}"]
    best = [] if verdict.best_step is None else [f"best at {counted_in} {number(verdict.best_step)}"]
    line, *further = page.parts([label, *sure, printable(verdict.state), *since, *best])
    yield page.paint(label, page.style(verdict.label)) + line.removeprefix(label)
    yield from further
    yield from page.wrap(sentence(verdict.reason), "  ")


def _curves(run: RunReport, page: Page) -> Iterator[str]:
    chart: list[str] = []
    if page.look.curves:
        from convergence_cli.reporters._chart_text import chart_lines

        chart = list(chart_lines(run, page))
    yield from chart or _sparklines(run, page)


def _sparklines(run: RunReport, page: Page) -> Iterator[str]:
    curves = run.summary.get("curves") or {}
    for role in DRAWN_ROLES:
        curve = curves.get(role)
        if not isinstance(curve, Mapping) or not curve.get("mean"):
            continue
        drawn = columns(curve, page.look.width - 14)
        finite = [item for item in drawn if item is not None]
        line = sparkline(drawn, page.glyphs.levels, page.glyphs.bad)
        yield cut(f"  {role:<10}  {line}", page.look.width, page.glyphs.more)
        if finite:
            scale = ", log scale" if on_log_scale(finite) else ""
            low_high = f"{number(min(finite))} to {number(max(finite))}{scale}"
            last = number(finite[-1]) if drawn[-1] is not None else f"{number(finite[-1])}, then not finite"
            yield from page.wrap(f"{number(finite[0])} {page.glyphs.arrow} {last} ({low_high})", " " * 14)


def _series(run: RunReport, page: Page) -> Iterator[str]:
    summary = run.summary
    series = summary.get("series") or {}
    total = summary.get("series_total")
    if series and total is not None:
        read = summary.get("series_read", len(series))
        roles = [f"{printable(role, 60)}={printable(name, 60)}" for role, name in series.items()]
        yield from page.wrap_items(roles, "  ", 3, f"read {read} of {total} series as ")
    tensors = dumped(summary.get("tensors"), page.glyphs.dash)
    if tensors:
        yield from page.wrap(f"tensors: {', '.join(tensors)}", "  ")
    if page.look.detail > 0:
        unread = [printable(name, 60) for name in summary.get("unread") or ()]
        if unread:
            yield from page.wrap(f"not read: {', '.join(unread)}", "  ")
        config = pairs(summary.get("config") or {})
        if config:
            yield from page.wrap(f"the run says: {', '.join(config)}", "  ")


def finding_lines(finding: Finding, run: RunReport, page: Page) -> Iterator[str]:
    """At most four lines: what, the message, and the numbers with their place."""
    code, name = printable(finding.rule), printable(finding.name)
    line, *further = page.parts([f"{code} {name}", finding.severity, percent(finding.confidence)], "  ", "    ")
    yield line.replace(code, page.paint(code, SEVERITY_STYLE.get(finding.severity, "bold")), 1)
    yield from further
    message = page.wrap(sentence(finding.message), "    ", MESSAGE_LINES)
    yield from message
    where = place(finding.where, run, page.glyphs.dash)
    numbers = [*([f"at {where}"] if where else []), *pairs(finding.evidence)]
    limit = max(FINDING_LINES - 1 - len(further) - len(message), 1)
    yield from (page.paint(line, "dim") for line in page.wrap_items(numbers, "    ", limit))


def _some(items: tuple[Any, ...], shown: int, draw: Callable[..., Iterator[str]], page: Page) -> Iterator[str]:
    kept = items if page.full else items[:shown]
    for item in kept:
        yield from draw(item, page)
    if len(items) > len(kept):
        page.cut = True
        yield f"  {page.glyphs.more} {len(items) - len(kept)} more"


def _findings(run: RunReport, page: Page) -> Iterator[str]:
    """Worst first; of those that one cause explains the worst in full, the others as its consequences."""
    shows_causes = page.look.detail >= 0 and run.causes
    cause = run.causes[0] if shows_causes and run.causes[0].probability >= FOLDED_FROM else None
    told, worst = False, ""
    folded: Counter[str] = Counter()
    for finding in worst_first(run.findings):
        explained = cause is not None and finding.rule in cause.supported_by
        if explained and told and not page.full:
            where = (
                f" of {printable(finding.where.series, 40)}" if finding.rule == worst and finding.where.series else ""
            )
            folded[f"{printable(finding.rule)} {printable(finding.name)}{where}"] += 1
        else:
            yield from finding_lines(finding, run, page)
        if explained and not told:
            told, worst = True, finding.rule
    if cause is not None and folded:
        page.cut = True
        heads = [head if count == 1 else f"{head} ({count} times)" for head, count in folded.items()]
        yield from page.wrap(f"and with {printable(cause.name)} goes {', '.join(heads)}", "  ")


def _causes(run: RunReport, page: Page) -> Iterator[str]:
    """The likely ones; where a failing run has none, that it has none, and what would tell."""
    likely = likely_causes(run)
    if likely:
        yield from ("", page.paint("Likely causes", "bold"))
        yield from _some(likely, SHOWN_CAUSES, _cause, page)
    elif run.verdict.label in FAILING:
        yield from ("", page.paint("Likely causes", "bold"))
        nearest = "".join(
            f" (the nearest: {printable(one.name)}, {percent(one.probability)})" for one in run.causes[:1]
        )
        yield from page.wrap(f"No cause stands out from what is logged{nearest}.", "  ")
        wanted = dict.fromkeys(one for cause in run.causes for one in cause.would_confirm[-1:])
        if wanted:
            yield from page.wrap(f"would settle it: {'; '.join(map(printable, wanted))}", "  ", 3)


def _cause(cause: Cause, page: Page) -> Iterator[str]:
    support = [f"from {', '.join(map(printable, cause.supported_by))}"] if cause.supported_by else []
    if cause.contradicted_by:
        support.append(f"against it {', '.join(map(printable, cause.contradicted_by))}")
    yield from page.parts([f"{percent(cause.probability):>5}  {printable(cause.name)}", *support], "  ", "         ")
    yield from page.wrap(sentence(cause.explanation), "         ", 2)
    if cause.because:
        yield from page.wrap(f"for it: {'; '.join(map(printable, cause.because))}", "         ", 2)
    if cause.despite and page.full:
        yield from page.wrap(f"against it: {'; '.join(map(printable, cause.despite))}", "         ")
    if cause.would_confirm:
        wanted = cause.would_confirm if page.full else cause.would_confirm[:1]
        yield from page.wrap(f"would settle it: {'; '.join(map(printable, wanted))}", "         ", 2)


def _remedy(remedy: Remedy, page: Page) -> Iterator[str]:
    change = changes(remedy, page.glyphs.arrow)
    for item in change or [printable(remedy.name)]:
        yield from (page.paint(line, "bold") for line in page.wrap(item, "  "))
    # Over all causes that it answers: it may be more than the probability of the first.
    answered = f"for {printable(remedy.addresses)}; cures with {percent(remedy.confidence)}"
    text = f"{sentence(remedy.why)} ({answered})"
    yield from page.wrap(text, "      ", 3)
    if remedy.search:
        yield from page.wrap(f"or measure it: {printable(remedy.search)}", "      ")
    if page.full:
        if remedy.risk:
            yield from page.wrap(f"risk: {sentence(remedy.risk)}", "      ")
        for line in (remedy.snippet or "").splitlines():
            yield cut(f"      | {printable(line)}", page.look.width, page.glyphs.more)
        for reference in remedy.references:
            yield from page.wrap(f"see {printable(reference)}", "      ")


def small_print(run: RunReport, page: Page) -> list[str]:
    """What passed, could not look and was noticed; in full where nothing is to be left out."""
    lines: list[str] = []
    if run.passed and page.full:
        lines += page.wrap(f"passed: {', '.join(map(printable, run.passed))}", "  ")
    if run.skipped and page.full:
        for skip in run.skipped:
            lines += page.wrap(f"skipped {printable(skip.rule)}: {printable(skip.reason)}", "  ")
    elif run.skipped:
        lead = f"{counted(len(run.skipped), 'rule')} could not look: "
        lines += page.wrap_items(could_not_look(run), "  ", 2, lead)
    shown = run.notes if page.full else run.notes[:SHOWN_NOTES]
    for note in shown:
        lines += page.wrap(f"note: {sentence(note)}", "  ")
    if len(run.notes) > len(shown):
        page.cut = True
        lines.append(f"  {page.glyphs.more} {counted(len(run.notes) - len(shown), 'more note')}")
    return lines
