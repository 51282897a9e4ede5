"""The section on tensors: heat maps layer by step, spreads over time, and the rows that were asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from convergence_cli.printable import counted, printable
from convergence_cli.reporters._tensor_cells import cell, head, telling
from convergence_cli.reporters._wording import dumped, number, unit
from convergence_cli.reporters.page.chart import AXIS, Marks, Panel, axis, beside, drawn, tick_at
from convergence_cli.reporters.page.heat import Layers, heat_map, layers_of
from convergence_cli.reporters.page.marks import MEASURE, Span, finding_span, levels
from convergence_cli.reporters.page.markup import fold, table, text
from convergence_cli.reporters.page.paths import Steps
from convergence_cli.reporters.page.scale import HEIGHT, WIDTH, Scale, scale_of
from convergence_cli.reporters.page.trace import Trace, numbers

if TYPE_CHECKING:
    from convergence_cli.model import Finding, RunReport
    from convergence_cli.reporters.page.panels import Charts

MAX_SPREADS, SHOWN_SPREADS, SHOWN_ROWS = 18, 3, 300
SPREAD_HEIGHT, SPREAD_WIDTH = 92, 210
_UNIT_OF = {
    "gradient_norm": "gradient norm",
    "update_ratio": "update ratio",
    "dead": "share of dead units",
    "saturated": "share of saturated units",
}


def tensor_section(charts: Charts) -> str:
    """Everything that is drawn of tensors; nothing for a run without any."""
    run = charts.run
    layers = layers_of(run.summary)
    maps = "" if layers is None else "".join(_maps(layers, charts))
    spreads = _folded(list(_spreads(run.summary.get("spreads"), layers, charts)))
    rows = "" if run.tensors is None else _rows(run)
    if not (maps or spreads or rows):
        return ""
    about = dumped(run.summary.get("tensors"), "–")
    if layers is not None and layers.total > len(layers.names):
        about.append(f"{len(layers.names)} of {layers.total} layers are drawn")
    lead = f'<p class="quiet">{text(", ".join(about))}</p>' if about else ""
    if spreads:
        spreads = (
            "<h4>How values are spread</h4>"
            '<p class="quiet">The middle half, nine tenths and 98 % of the values, and their median.</p>'
            f"{spreads}"
        )
    return f'{lead}<div class="maps">{maps}</div>{spreads}{rows}'


def has_layer_chart(layers: Layers | None, finding: Finding) -> bool:
    """Whether the measure of the layer that ``finding`` speaks of is among ``layers``."""
    measure = MEASURE.get(finding.rule, "")
    if layers is None or measure not in layers.found or finding.where.layer not in layers.names:
        return False
    values = layers.found[measure][layers.names.index(finding.where.layer)]
    return any(value is not None for value in values)


def layer_chart(charts: Charts, layers: Layers | None, finding: Finding) -> str:
    """The measure of the layer that ``finding`` speaks of over the dumped steps; nothing where it is not drawn."""
    if layers is None or finding.where.layer is None or not has_layer_chart(layers, finding):
        return ""
    measure, row = MEASURE[finding.rule], layers.names.index(finding.where.layer)
    values = layers.found[measure][row]
    finite = [value for value in values if value is not None]
    marked = list(levels(finding))
    name = f"{finding.where.layer}: {_UNIT_OF[measure]}"
    steps = layers.steps
    panel = Panel(
        # The script finds the values of the layer by it.
        f"t{charts.drawn}.{measure}.{row}",
        charts.uid,
        [Trace("layer", name, steps, steps, values, values, values)],
        Steps(steps[0], steps[-1]),
        scale_of(finite, [level.value for level in marked]),
        unit(charts.run),
    )
    span = finding_span(finding)
    marks = Marks([Span(span.first, span.last, span.tone)] if span else [], marked)
    title = f"{name} and what {finding.rule} {finding.name} says of it"
    scale = '<span class="quiet">log scale</span>' if panel.scale.kind == "log" else ""
    return (
        f'<figure><figcaption><span class="key c2">{text(name, 80)}</span>{scale}</figcaption>'
        f"{drawn(panel, marks, height=SPREAD_HEIGHT, title=title, uid=charts.own())}</figure>"
    )


def _maps(layers: Layers, charts: Charts) -> Iterator[str]:
    for measure in layers.found:
        speaking = [finding for finding in charts.run.findings if MEASURE.get(finding.rule) == measure]
        yield heat_map(layers, measure, speaking, unit(charts.run), charts.own())


def _spreads(found: Any, layers: Layers | None, charts: Charts) -> Iterator[tuple[str, str]]:
    if not isinstance(found, Sequence) or isinstance(found, str):
        return
    place = {} if layers is None else {name: at for at, name in enumerate(layers.names)}
    spreads = [one for one in list(found)[:MAX_SPREADS] if isinstance(one, Mapping)]
    # Weights, gradients and activations in the order of the model, as in the maps above.
    spreads.sort(key=lambda one: place.get(printable(one.get("layer"), 120), len(place)))
    kinds = list(dict.fromkeys(str(one.get("kind")) for one in found[:MAX_SPREADS] if isinstance(one, Mapping)))
    for one in sorted(spreads, key=lambda one: kinds.index(str(one.get("kind")))):
        if picture := _spread(one, charts):
            yield str(one.get("kind")), picture


def _folded(pictures: Sequence[tuple[str, str]]) -> str:
    """The first pictures of each kind, the others behind a line."""
    by_kind: dict[str, list[str]] = {}
    for kind, picture in pictures:
        by_kind.setdefault(kind, []).append(picture)
    shown = [one for found in by_kind.values() for one in found[:SHOWN_SPREADS]]
    rest = [one for found in by_kind.values() for one in found[SHOWN_SPREADS:]]
    grid = '<div class="small three">{}</div>'
    more = fold(counted(len(rest), "more tensor"), grid.format("".join(rest)), "more") if rest else ""
    return (grid.format("".join(shown)) if shown else "") + more


def _spread(data: Mapping[str, Any], charts: Charts) -> str:
    steps = [step for step in numbers(data.get("steps")) if step is not None]
    raw = data.get("quantiles")
    rows = [numbers(row) for row in raw] if isinstance(raw, Sequence) and not isinstance(raw, str) else []
    whole = [[value for value in row if value is not None] for row in rows]
    wide = len(whole[0]) if whole else 0
    if len(steps) != len(whole) or wide < 3 or wide % 2 == 0 or any(len(row) != wide for row in whole):
        return ""
    axis_of = Steps(min(steps), max(steps))
    scale = scale_of([value for row in whole for value in row])
    xs = [axis_of.x(step) for step in steps]
    if len(xs) == 1:
        xs, whole = [0, WIDTH], [whole[0], whole[0]]
    columns = list(zip(*whole, strict=True))
    bands = "".join(
        f'<path class="band b{depth}" d="{_band(xs, columns[depth], columns[wide - 1 - depth], scale)}"/>'
        for depth in range(wide // 2)
    )
    middle = "L".join(f"{x} {scale.y(value)}" for x, value in zip(xs, columns[wide // 2], strict=True))
    uid, counted_in, height = charts.own(), unit(charts.run), SPREAD_HEIGHT
    name = f"{data.get('kind')} {data.get('name')}"
    words = (
        f"At first median {number(whole[0][wide // 2])} between {number(whole[0][0])} and {number(whole[0][-1])}, "
        f"at last {number(whole[-1][wide // 2])} between {number(whole[-1][0])} and {number(whole[-1][-1])}."
    )
    return (
        f'<figure class="spread"><figcaption>{text(name, 60)}</figcaption>'
        f'<div class="framed">{beside(_heights(scale, height), height)}'
        f'<svg class="chart" role="img" aria-labelledby="{uid}-t {uid}-d" width="100%" height="{height + AXIS}"'
        f' data-plot="{height}" data-told="{_told(steps, columns, wide)}">'
        f'<title id="{uid}-t">{text(name)} by {text(counted_in)}</title><desc id="{uid}-d">{text(words)}</desc>'
        f"{_grid(scale, height)}"
        f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" width="100%"'
        f' height="{height}">{bands}'
        f'<path class="ctr-line" d="M{middle}"/></svg>{axis(axis_of, counted_in, height, SPREAD_WIDTH)}'
        "</svg></div></figure>"
    )


def _told(steps: Sequence[float], columns: Sequence[Sequence[float]], wide: int) -> str:
    """Steps, medians, lowest and highest quantiles for the script: numbers alone, which need no escapes."""
    rows = [steps, *(column[: len(steps)] for column in (columns[wide // 2], columns[0], columns[-1]))]
    return "[" + ",".join("[" + ",".join(f"{value:.10g}" for value in row) + "]" for row in rows) + "]"


def _band(xs: Sequence[int], low: Sequence[float], high: Sequence[float], scale: Scale) -> str:
    top = [f"{x} {scale.y(value)}" for x, value in zip(xs, high, strict=True)]
    foot = [f"{x} {scale.y(value)}" for x, value in zip(xs, low, strict=True)]
    return f"M{'L'.join([*top, *reversed(foot)])}z"


def _lines(scale: Scale, height: int) -> list[tuple[float, int]]:
    ticks = scale.ticks()
    return [(tick, round(scale.y(tick) * height / HEIGHT)) for tick in ticks[:: 1 if len(ticks) < 4 else 2]]


def _grid(scale: Scale, height: int) -> str:
    return "".join(f'<line class="grid" x1="0" x2="100%" y1="{y}" y2="{y}"/>' for _, y in _lines(scale, height))


def _heights(scale: Scale, height: int) -> list[str]:
    return [tick_at(y, height, tick) for tick, y in _lines(scale, height)]


def _rows(run: RunReport) -> str:
    assert run.tensors is not None
    lines = run.tensors.rows[:SHOWN_ROWS]
    if not lines:
        return ""
    columns = ["name", *(column for column in telling(lines) if column != "name")]
    shown = table(
        f"{len(lines):,} of {counted(run.tensors.total, 'row')}",
        map(head, columns),
        ([text(cell(line, column), 120) for column in columns] for line in lines),
        "numbers",
    )
    return f"<h4>Statistics</h4>{shown}"
