"""What was read as what, and every rule: fired, passed, or why it could not look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from convergence_cli.printable import counted
from convergence_cli.reporters._wording import number, unit, value
from convergence_cli.reporters.page.markup import code, facts, fold, items, table, text
from convergence_cli.reporters.page.trace import Trace
from convergence_cli.reporters.page.trace import number as checked

if TYPE_CHECKING:
    from convergence_cli.model import RunReport
    from convergence_cli.reporters import RulePage
    from convergence_cli.reporters.page.panels import Charts

_NAMES = 60


def reading_section(charts: Charts) -> str:
    """Series with their roles and numbers, names that were not read, what the run says of itself, and notes."""
    run = charts.run
    traces = {trace.role: trace for panel in charts.panels.values() for trace in panel.traces}
    series = run.summary.get("series")
    roles = series if isinstance(series, Mapping) else {}
    caption = "Series and the roles they were read in"
    heads = ("series", "read as", "points", "first", "lowest", "highest", "last")
    rows = [_series(name, role, traces.get(str(role)), run) for role, name in roles.items()]
    parts = [facts(_about(run)), table(caption, heads, rows, "numbers")]
    unread = run.summary.get("unread")
    names = [code(name) for name in unread] if isinstance(unread, Sequence) and not isinstance(unread, str) else []
    if names:
        total, read = checked(run.summary.get("series_total")), checked(run.summary.get("series_read"))
        # A report names only some of very many.
        count = len(names) if total is None or read is None else max(int(total - read), len(names))
        rest = f" and {count - _NAMES:,} more" if count > _NAMES else ""
        parts.append(fold(f"{count:,} series not read", f"<p>{', '.join(names[:_NAMES])}{rest}</p>"))
    config = run.summary.get("config")
    if isinstance(config, Mapping) and config:
        said = facts(((code(key), text(value(item), 200)) for key, item in config.items()), "facts config")
        parts.append(f"<h4>What the run says of itself</h4>{said}")
    if run.notes:
        parts.append(f"<h4>Noticed while reading</h4>{items(map(text, run.notes))}")
    return "".join(parts)


def _about(run: RunReport) -> list[tuple[str, str]]:
    summary = run.summary
    found = [("File", code(run.path, 300)), ("Format", text(run.format, 60))]
    first, last = checked(summary.get("first_step")), checked(summary.get("last_step"))
    if first is not None and last is not None:
        found.append((f"{unit(run).capitalize()}s", f"{number(first)}–{number(last)}"))
    for key in ("points", "epochs"):
        count = checked(summary.get(key))
        if count is not None:
            found.append((key.capitalize(), number(count)))
    total, read = checked(summary.get("series_total")), checked(summary.get("series_read"))
    if total is not None and read is not None:
        found.append(("Series", f"{number(read)} of {number(total)} read"))
    return [(text(name), told) for name, told in found]


def _series(name: Any, role: Any, trace: Trace | None, run: RunReport) -> list[str]:
    cells = [code(name), text(role, 60)]
    if trace is None:
        return [*cells, *[""] * 5]
    curve = run.summary["curves"][trace.role]
    points = checked(curve.get("points"))
    low = [value for value in trace.low if value is not None]
    high = [value for value in trace.high if value is not None]
    first, last = trace.mean[0], trace.mean[-1]
    ends = ["not finite" if end is None else number(end) for end in (first, last)]
    return [
        *cells,
        "" if points is None else number(points),
        ends[0],
        number(min(low)) if low else "",
        number(max(high)) if high else "",
        ends[1],
    ]


def rules_section(run: RunReport, pages: Sequence[RulePage], *, full: bool) -> str:
    """How each rule ended: a row each where ``full``, else the codes by outcome."""
    fired = list(dict.fromkeys(finding.rule for finding in run.findings))
    counts = f"{len(fired)} fired · {len(run.passed)} passed · {len(run.skipped)} could not look"
    if not (fired or run.passed or run.skipped):
        return ""
    body = _each(run, fired, pages) if full else _by_outcome(run, fired)
    return fold(counts, body, "rules")


def _each(run: RunReport, fired: Sequence[str], pages: Sequence[RulePage]) -> str:
    names = {page.code: page.name for page in pages} | {finding.rule: finding.name for finding in run.findings}
    rows = [(rule, '<span class="fired">fired</span>', "") for rule in fired]
    rows += [(skip.rule, "could not look", text(skip.reason)) for skip in run.skipped]
    rows += [(rule, "passed", "") for rule in run.passed]
    named = any(rule in names for rule, _, _ in rows)
    cells = [[code(rule, 20), *([text(names.get(rule, ""), 80)] if named else []), how, why] for rule, how, why in rows]
    heads = ["rule", *(["name"] if named else []), "outcome", "why"]
    return table("Every rule and how it ended", heads, cells)


def _by_outcome(run: RunReport, fired: Sequence[str]) -> str:
    reasons: dict[str, list[str]] = {}
    for skip in run.skipped:
        reasons.setdefault(skip.reason, []).append(skip.rule)
    found = [("fired", ", ".join(code(rule, 20) for rule in fired))] if fired else []
    found += [("passed", ", ".join(text(rule, 20) for rule in run.passed))] if run.passed else []
    found += [(text(reason), ", ".join(text(rule, 20) for rule in rules)) for reason, rules in reasons.items()]
    return facts(found) + f'<p class="quiet">{counted(len(run.skipped), "rule")} could not look.</p>'
