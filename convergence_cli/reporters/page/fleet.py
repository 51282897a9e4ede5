"""Several runs at a glance: a table with a sparkline each, linked to their sections; what they share; groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from convergence_cli.model import FAILING
from convergence_cli.printable import counted
from convergence_cli.reporters._fleet_text import without_shared_end
from convergence_cli.reporters._layout import cut_middle
from convergence_cli.reporters._wording import number, split_by_label, value
from convergence_cli.reporters.page.markup import code, facts, items, share, table, text
from convergence_cli.reporters.page.paths import spark
from convergence_cli.reporters.page.scale import HEIGHT, WIDTH
from convergence_cli.reporters.page.trace import number as checked
from convergence_cli.row import worst_first

if TYPE_CHECKING:
    from convergence_cli.model import Fleet, Group
    from convergence_cli.row import RunRow

SHOWN_ROWS = 2000
_SHOWN_VALUES, _NAME = 9, 44
_UNSET = "unset"
_HEADS = (
    ("run", "text"),
    ("verdict", "number"),
    ("best loss", "number"),
    ("loss", ""),
    ("findings", "number"),
    ("cause and change", "text"),
)


def runs_table(rows: Sequence[RunRow], titles: Sequence[str], targets: Sequence[str | None]) -> str:
    """``rows`` under ``titles``, each linked to the id in ``targets`` where its section is on the page."""
    titles = without_shared_end(titles)
    order = worst_first(rows)
    rank = {place: number for number, place in enumerate(order)}
    body = "".join(map(_row, rows[:SHOWN_ROWS], titles, targets, map(rank.__getitem__, range(len(rows)))))
    sorted_so = ", the worst first" if order == list(range(len(rows))) else ""
    heads = "".join(
        f'<th scope="col" class="n{place}"{f" data-sort={kind}" if kind else ""}>{name}</th>'
        for place, (name, kind) in enumerate(_HEADS)
    )
    more = ""
    if len(rows) > SHOWN_ROWS:
        rest = rows[SHOWN_ROWS:]
        more = f'<p class="quiet">and {counted(len(rest), "more run")}: {text(split_by_label(rest))}</p>'
    return (
        '<div class="wide" role="group" tabindex="0" aria-label="Runs"><table class="runs"><caption>'
        f"{counted(len(rows), 'run')}{sorted_so}</caption><thead><tr>{heads}</tr></thead><tbody>{body}</tbody>"
        f"</table></div>{more}"
    )


def _row(row: RunRow, title: str, target: str | None, rank: int) -> str:
    short = text(cut_middle(title, _NAME, "…"), _NAME + 2)
    name = short if target is None else f'<a href="#{target}">{short}</a>'
    sure = "" if row.label == "undetermined" else f' <span class="quiet">{share(row.confidence)}</span>'
    best = checked(row.best)
    at = checked(row.best_step)
    where = f' <span class="quiet">at {text(row.counted_in, 20)} {number(at)}</span>' if at is not None else ""
    found = ", ".join(counted(count, kind) for kind, count in row.found.items() if count)
    errors = row.found.get("error", 0) * 10_000 + row.found.get("warning", 0) * 100 + row.found.get("note", 0)
    wrong = row.label in FAILING or row.found.get("error") or row.found.get("warning")
    cells = (
        ("", f'<span class="tag {row.label}">{row.label}</span>{sure}', str(rank)),
        ("", f"{number(best)}{where}" if best is not None else "", repr(best) if best is not None else ""),
        ("", _spark(row), ""),
        ("", found or '<span class="quiet">none</span>', str(errors)),
        ("", _why(row) if wrong else "", ""),
    )
    told = "".join(
        f'<td class="n{number_of}"{f""" data-v="{by}" """.rstrip() if by else ""}>{shown}</td>'
        for number_of, (_, shown, by) in enumerate(cells, 1)
    )
    return f'<tr><th scope="row" class="n0">{name}</th>{told}</tr>'


def _why(row: RunRow) -> str:
    cause = text(row.cause, 60) if row.cause else ""
    if row.change is None:
        return cause
    key, old, new = row.change
    before = "" if old is None else f"{text(value(old), 40)} → "
    return f'{cause}<div class="quiet">{text(key, 40)} {before}{text(value(new), 40)}</div>'


def _spark(row: RunRow) -> str:
    path = spark([checked(one) for one in row.spark])
    if not row.spark:
        return ""
    wide = WIDTH // len(row.spark)
    bad = "".join(
        f"M{wide * place} {HEIGHT}h{wide + 9}v-160h-{wide + 9}z" for place, one in enumerate(row.spark) if one is None
    )
    bad = f'<path class="nonfinite" d="{bad}"/>' if bad else ""
    finite = [one for one in map(checked, row.spark) if one is not None]
    said = f"loss from {number(finite[0])} to {number(finite[-1])}" if finite else "no finite loss"
    said += ", then not finite" if row.spark[-1] is None and finite else ""
    return (
        f'<svg class="spark" role="img" aria-label="{text(said)}" viewBox="0 0 {WIDTH} {HEIGHT}"'
        f' preserveAspectRatio="none" width="120" height="26"><path class="ctr-line" d="{path}"/>{bad}</svg>'
    )


def shared(fleet: Fleet | None) -> str:
    """What runs with one verdict have in common; nothing where nothing is known."""
    if fleet is None or not fleet.traits:
        return ""
    return (
        f'<div class="card"><h3>What they have in common</h3>{items(text(one.statement) for one in fleet.traits)}</div>'
    )


def differing(fleet: Fleet | None) -> str:
    """What differs between the runs, and the groups they were asked to be put in."""
    return "" if fleet is None else "".join(_parts(fleet))


def _parts(fleet: Fleet) -> Iterator[str]:
    if fleet.varied:
        shown = _varied(fleet)
        told = ((code(key), ", ".join(text(value(one), 60) for one in _listed(found))) for key, found in shown)
        more = len(fleet.varied) - len(shown)
        rest = f'<p class="quiet">and {counted(more, "more setting")}</p>' if more else ""
        yield f"<h3>What differs between them</h3>{facts(told)}{rest}"
    if fleet.groups:
        rows = (_group(group, fleet.group_by) for group in fleet.groups)
        heads = [*(text(key, 60) for key in fleet.group_by), "runs", "verdicts", "best loss", "median", "best run"]
        yield f"<h3>By {text(', '.join(fleet.group_by))}</h3>{table('Groups of runs', heads, rows, 'numbers')}"


def _varied(fleet: Fleet) -> list[tuple[str, Any]]:
    """Many settings of one framework that the other runs do not tell of would bury those that were tried out."""
    several = sum(len(_listed(found)) > 2 or (_UNSET not in _listed(found)) for found in fleet.varied.values())
    return list(fleet.varied.items())[: min(max(several, 8), 20)]


def _listed(found: Any) -> list[Any]:
    return list(found)[:_SHOWN_VALUES] if isinstance(found, (list, tuple)) else [found]


def _group(group: Group, keys: Sequence[str]) -> list[str]:
    settings: Mapping[str, Any] = group.settings
    verdicts = ", ".join(f"{count} {text(label, 20)}" for label, count in group.labels.items())
    best, median = checked(group.best), checked(group.median)
    return [
        *(text(value(settings.get(key)), 60) for key in keys),
        str(group.runs),
        verdicts,
        "" if best is None else number(best),
        "" if median is None else number(median),
        text(group.best_run or "", 120),
    ]
