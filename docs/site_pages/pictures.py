"""The picture of a run for a rule, as SVG by the code of the HTML report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.axis import axis_of
from convergence_cli.reporters._wording import number
from convergence_cli.reporters.page.chart import Marks, Panel, color, drawn
from convergence_cli.reporters.page.heat import layers_of
from convergence_cli.reporters.page.marks import Level, Span, finding_span, levels, role_of
from convergence_cli.reporters.page.markup import text
from convergence_cli.reporters.page.panels import Charts, charts_of
from convergence_cli.reporters.page.paths import steps_of
from convergence_cli.reporters.page.scale import scale_of
from convergence_cli.reporters.page.trace import Trace
from site_pages.measures import BY_WORKER, MEASURES, Column, Measure
from site_pages.tables import bars, matrix

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from convergence_cli.model import Finding
    from convergence_cli.rules import Rule
    from convergence_cli.tensor_stats import FloatArray, TensorStats
    from site_pages.examples import Example

HEIGHT, OTHERS = 150, 9
_LOSSES = {"SM110": "train_loss", "SM111": "val_loss", "SM112": "val_loss", "LG003": "val_loss", "LG004": "train_loss"}


def pictures(rule: Rule, example: Example, fires: Finding, uid: str) -> str:
    """The figures of ``example``, or nothing; ``fires`` is what ``rule`` says of the run on which it fires."""
    stats = example.run.tensors
    if stats is not None and rule.code in BY_WORKER:
        return _by_worker(BY_WORKER[rule.code], stats, example, fires, uid)
    if stats is not None and rule.code in MEASURES:
        return _by_tensor(MEASURES[rule.code], stats, example, fires, uid)
    if stats is not None and (counted := _counted(rule.code, stats, example, uid)):
        return counted
    return _curves(rule, example, fires, uid)


def _curves(rule: Rule, example: Example, fires: Finding, uid: str) -> str:
    charts, finding = charts_of(example.report, uid), example.finding
    role = role_of(finding or fires, example.report) or _LOSSES.get(rule.code)
    if role not in charts.panels:
        role = _home(rule, charts)
    panel = charts.panels.get(role or "")
    if panel is None or role is None:
        return ""
    loss = next((charts.panels[one] for one in ("train_loss", "val_loss") if one in charts.panels), None)
    above = ""
    if loss is not None and loss is not panel:
        above = _figure(loss, Marks(), f"{loss.traces[0].name} of the run", charts.own())
    span = finding_span(finding) if finding is not None else None
    spans = [Span(span.first, span.last, span.tone)] if span is not None else []
    marks = Marks(spans, list(levels(finding)) if finding is not None else [])
    return above + _figure(panel, marks, f"What {rule.code} looks at", charts.own())


def _home(rule: Rule, charts: Charts) -> str | None:
    """The role of the curve that the rule needs, in a run whose series has another name."""
    wanted = {"LR": "learning_rate", "GR": "grad_norm", "GN": "val_loss"}.get(rule.code[:2], "train_loss")
    wanted = "loss_scale" if "loss_scale" in rule.needs else wanted
    return wanted if wanted in charts.panels else next(iter(charts.panels), None)


def _figure(panel: Panel, marks: Marks, title: str, uid: str, emphasis: str | None = None, words: str = "") -> str:
    keys = "".join(
        f'<span class="key c{place}">{text(trace.name, 60)}</span>'
        for trace, place in zip(panel.traces, _colors(panel.traces), strict=True)
        if emphasis is None or trace.role == emphasis
    )
    scale = '<span class="quiet">log scale</span>' if panel.scale.kind == "log" else ""
    said = f'<span class="quiet">{text(words)}</span>' if words else ""
    body = drawn(panel, marks, height=HEIGHT, title=title, emphasis=emphasis, uid=uid)
    return f"<figure><figcaption>{keys}{said}{scale}</figcaption>{body}</figure>"


def _colors(traces: Sequence[Trace]) -> list[int]:
    return [color(trace.role, place) for place, trace in enumerate(traces)]


def _by_tensor(measure: Measure, stats: TensorStats, example: Example, fires: Finding, uid: str) -> str:
    lines = dict(_ratios(example) if measure.column is None else _lines(stats, measure, measure.column))
    if not lines:
        return ""
    main = _main(lines, measure, example, fires)
    others = [name for name in lines if name != main]
    kept = [main, *(others[int(at)] for at in np.linspace(0, len(others) - 1, min(len(others), OTHERS)))]
    traces = [
        _trace("train" if name == main else f"other{place}", name, *lines[name]) for place, name in enumerate(kept)
    ]
    level = fires.evidence.get(measure.level)
    height = [Level(float(level), f"{number(float(level))}")] if isinstance(level, (int, float)) else []
    return _panel(traces, measure.words, height, example, uid, "train", len(others))


def _by_worker(measure: Measure, stats: TensorStats, example: Example, fires: Finding, uid: str) -> str:
    name = (fires.where.series or "").partition("/")[2]
    rows = stats.text("name") == name
    assert measure.column is not None
    column = measure.column
    workers = sorted({str(one) for one in stats.text("worker")[rows]})
    traces = []
    for place, worker in enumerate(workers[:4]):
        chosen = rows & (stats.text("worker") == worker) & (stats.text("kind") == measure.kind)
        role = ("train", "val")[place] if place < 2 else f"other{place}"
        traces.append(_trace(role, worker, stats.number("step")[chosen], column(stats)[chosen]))
    return _panel(traces, f"{name}: {measure.words}", [], example, uid, None, 0)


def _ratios(example: Example) -> Iterator[tuple[str, tuple[FloatArray, FloatArray]]]:
    layers = layers_of(example.report.summary)
    rows = layers.found.get("update_ratio", ()) if layers is not None else ()
    for name, row in zip(layers.names if layers is not None else (), rows, strict=False):
        values = np.array([np.nan if value is None else value for value in row])
        if layers is not None and not np.isnan(values).all():
            known = ~np.isnan(values)
            yield name, (np.array(layers.steps)[known], values[known])


def _lines(stats: TensorStats, measure: Measure, column: Column) -> Iterator[tuple[str, tuple[FloatArray, FloatArray]]]:
    with np.errstate(all="ignore"):
        values = column(stats)
    kinds, names, steps = stats.text("kind"), stats.text("name"), stats.number("step")
    for name in dict.fromkeys(names):
        rows = (names == name) & ((kinds == measure.kind) | (not measure.kind)) & ~np.isnan(values)
        if rows.any():
            at = np.unique(steps[rows])
            yield str(name), (at, np.array([values[rows & (steps == step)].max() for step in at]))


def _main(
    lines: Mapping[str, tuple[FloatArray, FloatArray]], measure: Measure, example: Example, fires: Finding
) -> str:
    for finding in (example.finding, fires):
        where = finding.where if finding is not None else None
        for name in ((where.series or "").partition("/")[2], where.layer or "") if where is not None else ():
            if name in lines:
                return name
    side = min if measure.lowest else max
    return side(lines, key=lambda name: float(lines[name][1][-1]))


def _trace(role: str, name: str, steps: FloatArray, values: FloatArray) -> Trace:
    at = tuple(map(float, steps))
    shown = tuple(float(value) if np.isfinite(value) else None for value in values)
    return Trace(role, name, at, at, shown, shown, shown)


def _panel(
    traces: Sequence[Trace],
    words: str,
    height: Sequence[Level],
    example: Example,
    uid: str,
    emphasis: str | None,
    others: int,
) -> str:
    finite = [value for trace in traces for value in trace.finite]
    steps = steps_of(traces, None)
    scale = scale_of(finite or [0.0, 1.0], [level.value for level in height])
    panel = Panel("k0", uid, traces, steps, scale, axis_of(example.run))
    span = finding_span(example.finding) if example.finding is not None else None
    marks = Marks([Span(span.first, span.last, span.tone)] if span is not None else [], height)
    more = f"{words}; {others} other{'s' if others > 1 else ''} faint" if others else words
    return _figure(panel, marks, words, f"{uid}-p", emphasis, more)


def _counted(code: str, stats: TensorStats, example: Example, uid: str) -> str:
    """Classes, confusions, tokens, trees, times: what is counted rather than measured."""
    found = ""
    if code in ("DA102", "SM113") and stats.labels:
        total: dict[float, int] = {}
        for one in stats.labels:
            for value, count in zip(one.values, one.counts, strict=True):
                total[value] = total.get(value, 0) + count
        found = bars({f"class {value:g}": float(total[value]) for value in sorted(total)}, "samples of each class", uid)
    elif code in ("DA103", "DA104", "SM114") and stats.confusions:
        # The rule looks at the end of the run.
        last = [one.matrix for one in stats.confusions[-max(1, len(stats.confusions) // 3) :]]
        size = max(len(one) for one in last)
        whole = sum((np.pad(one, (0, size - len(one))) for one in last), np.zeros((size, size), dtype=np.int64))
        found = matrix(whole, "class of the sample (rows) and class it was taken for, last third of the run", uid)
    elif code in ("DA105", "SM118") and stats.tokens:
        shares = [(one.step, one.padding_share) for one in stats.tokens]
        found = _one_line("padding", "share of the positions that is padding", shares, example, uid)
    elif code in ("LG101", "SM116"):
        words = "minutes since the first dump, to the end of the silence"
        found = _one_line("dumps", words, _minutes(stats, example.finding), example, uid)
    elif code in ("TR101", "SM119") and stats.trees:
        found = bars({f"step {one.step:g}": one.depth for one in stats.trees}, "largest depth of the trees", uid)
    elif code in ("TR102", "SM120") and stats.trees:
        found = bars(dict(stats.trees[-1].importance), "importance of each feature, last dump", uid)
    return found


def _minutes(stats: TensorStats, finding: Finding | None) -> list[tuple[float, float]]:
    """When each step was dumped, and at the last step how long nothing came after it, where ``finding`` says so."""
    times, steps = stats.number("time"), stats.number("step")
    known = ~np.isnan(times)
    pairs = [(float(at), float(times[known & (steps == at)].min())) for at in np.unique(steps[known])]
    silence = finding.evidence.get("silence_seconds") if finding is not None else None
    if isinstance(silence, (int, float)) and pairs:
        pairs.append((pairs[-1][0], pairs[-1][1] + silence))
    return [(at, (time - pairs[0][1]) / 60) for at, time in pairs]


def _one_line(name: str, words: str, pairs: Sequence[tuple[float, float]], example: Example, uid: str) -> str:
    if not pairs:
        return ""
    steps, values = (np.array(column, dtype=np.float64) for column in zip(*pairs, strict=True))
    return _panel([_trace("train", name, steps, values)], words, [], example, uid, None, 0)
