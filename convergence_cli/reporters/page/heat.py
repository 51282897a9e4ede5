"""Layer by step as a map of few shades: one path a shade, so that 60 layers at 40 steps stay small."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from convergence_cli.model import SEVERITIES
from convergence_cli.printable import printable
from convergence_cli.reporters._layout import cut_middle
from convergence_cli.reporters._wording import number, percent
from convergence_cli.reporters.page.chart import tick_text
from convergence_cli.reporters.page.marks import finding_span
from convergence_cli.reporters.page.markup import text
from convergence_cli.reporters.page.trace import Values, numbers

if TYPE_CHECKING:
    from convergence_cli.model import Finding

SHADES = 8
MAX_ROWS, MAX_COLUMNS = 80, 80
_TITLES = {
    "gradient_norm": "Gradient norm",
    "update_ratio": "Update ratio: what a step changes, over the norm of the weights",
    "dead": "Dead units",
    "saturated": "Saturated units",
}
SHARES = ("dead", "saturated")
# The first dump has no update to tell of.
_GAP = {"update_ratio": "no value"}
_NAME = 18
# Below this ratio of the highest to the lowest value there is no picture to see.
EVEN = 1.5


@dataclass(frozen=True, slots=True)
class Layers:
    """The checked ``summary["layers"]``: ``found`` is measure -> rows by layer; ``bad`` are (layer, step) places."""

    names: tuple[str, ...]
    total: int
    steps: tuple[float, ...]
    found: Mapping[str, tuple[Values, ...]]
    bad: frozenset[tuple[int, int]]


def layers_of(summary: Mapping[str, Any]) -> Layers | None:
    """The measures of layers in ``summary``; None where it has none that can be drawn."""
    data = summary.get("layers")
    if not isinstance(data, Mapping) or not isinstance(data.get("names"), Sequence):
        return None
    names = tuple(printable(name, 120) for name in list(data["names"])[:MAX_ROWS])
    steps = tuple(step for step in numbers(data.get("steps"))[:MAX_COLUMNS] if step is not None)
    found = {}
    for measure in _TITLES:
        rows = data.get(measure)
        if isinstance(rows, Sequence) and not isinstance(rows, str):
            checked = tuple(numbers(row) for row in list(rows)[: len(names)])
            if checked and len(checked) == len(names) and all(len(row) == len(steps) for row in checked):
                found[measure] = checked
    places = data.get("nonfinite")
    pairs = [numbers(one) for one in places] if isinstance(places, Sequence) and not isinstance(places, str) else []
    bad = {
        (int(pair[0]), int(pair[1])) for pair in pairs if len(pair) == 2 and pair[0] is not None and pair[1] is not None
    }
    inside = frozenset((row, at) for row, at in bad if 0 <= row < len(names) and 0 <= at < len(steps))
    if not steps or not (found or inside):
        return None
    total = data.get("layers")
    return Layers(names, total if isinstance(total, int) else len(names), steps, found, inside)


def heat_map(layers: Layers, measure: str, findings: Sequence[Finding], unit: str, uid: str) -> str:
    """One measure of all layers that have it. ``findings`` speak of the measure: their places are framed."""
    rows = [row for row, values in enumerate(layers.found[measure]) if any(value is not None for value in values)]
    told = [value for row in rows for value in layers.found[measure][row] if value is not None]
    if not told:
        return ""
    share = measure in SHARES
    if told and not layers.bad and (plain := _even(measure, told)):
        return f'<p class="even"><strong>{text(_TITLES[measure])}</strong>: {text(plain)}</p>'
    shade, low, high = _shades(told, share)
    tall = 18 if len(rows) <= 24 else 10
    shades: dict[str, list[str]] = {}
    gaps: list[tuple[int, int]] = []
    for place, row in enumerate(rows):
        for column, value in enumerate(layers.found[measure][row]):
            kind = "bad" if (row, column) in layers.bad else "" if value is None else shade(value)
            if not kind:
                gaps.append((column, place))
            else:
                shades.setdefault(kind, []).append(f"M{column} {place}h1v1h-1z")
    cells = "".join(f'<path class="{kind}" d="{"".join(parts)}"/>' for kind, parts in sorted(shades.items()))
    if gaps:
        cells += f'<path class="gap" d="{_strokes(gaps)}"/>'
    frames = [(finding.severity, frame) for finding in findings if (frame := _frame(finding, layers, rows))]
    drawn = "".join(frame for _, frame in frames)
    framed = next((severity for severity in SEVERITIES if severity in {one for one, _ in frames}), "")
    stride = 1 if tall > 12 else 2
    names = "".join(
        f'<text x="100%" dx="-6" y="{place * tall + tall - 5 + (tall < 12)}" text-anchor="end">'
        f"{text(cut_middle(layers.names[row], _NAME, '…'))}</text>"
        for place, row in enumerate(rows)
        if place % stride == 0
    )
    height = tall * len(rows)
    keys = [f'<span class="frame-key {framed}">a finding</span>'] if framed else []
    keys += ['<span class="zero-key">zero</span>'] if "zero" in shades else []
    keys += ['<span class="bad-key">not finite</span>'] if "bad" in shades else []
    keys += [f'<span class="gap-key">{_GAP.get(measure, "not dumped")}</span>'] if gaps else []
    words = _in_words(layers, measure, rows, unit)
    count = len(layers.steps)
    edge = "".join(
        f'<text class="tick x" x="{100 * (at + 0.5) / count:.2f}%" y="{height + 16}"'
        f' text-anchor="{anchor}">{label}</text>'
        for at, anchor, label in _columns(layers.steps, unit)
    )
    return (
        f'<figure class="heat" data-measure="{measure}" data-rows="{",".join(map(str, rows))}">'
        f"<figcaption>{text(_TITLES[measure])}{_legend(low, high, share, keys)}</figcaption><div>"
        f'<svg class="names" aria-hidden="true" height="{height + 22}">{names}</svg>'
        f'<svg class="cells" role="img" aria-labelledby="{uid}-t {uid}-d" width="100%" height="{height + 22}">'
        f'<title id="{uid}-t">{text(_TITLES[measure])} by layer and {text(unit)}</title>'
        f'<desc id="{uid}-d">{text(words)}</desc>'
        f'<svg viewBox="0 0 {count} {len(rows)}" preserveAspectRatio="none" width="100%" height="{height}">'
        f"{cells}{drawn}</svg>{edge}</svg></div></figure>"
    )


def _even(measure: str, told: Sequence[float]) -> str:
    """In words what a map would show in one shade; nothing where it has more to show."""
    low, high = min(told), max(told)
    if high <= 0:
        return "0 in all layers at all steps."
    if low > 0 and high < EVEN * low:
        said = percent if measure in SHARES else number
        return f"{said(low)} to {said(high)} in all layers at all steps."
    return ""


def _columns(steps: Sequence[float], unit: str) -> list[tuple[int, str, str]]:
    last = len(steps) - 1
    found = [(0, "start" if last else "middle", f"{text(unit, 20)} {number(steps[0])}")]
    if last >= 6:
        found.append((last // 2, "middle", number(steps[last // 2])))
    return [*found, (last, "end", number(steps[last]))] if last else found


def _shades(told: Sequence[float], share: bool) -> tuple[Any, float, float]:
    if share:
        return (lambda value: "zero" if value <= 0 else f"q{min(int(value * SHADES), SHADES - 1)}"), 0.0, 1.0
    positive = sorted(value for value in told if value > 0)
    if not positive:
        return (lambda value: "zero"), 0.0, 0.0
    low, high = positive[int(0.02 * (len(positive) - 1))], positive[-1]
    low = min(max(low, high * 1e-8), high / 10)
    span = math.log(high) - math.log(low)

    def shade(value: float) -> str:
        if value <= 0:
            return "zero"
        place = (math.log(value) - math.log(low)) / span * SHADES if span > 0 else 0
        return f"q{min(max(int(place), 0), SHADES - 1)}"

    return shade, low, high


def _strokes(cells: Sequence[tuple[int, int]]) -> str:
    """A line through the middle of cells without a value, one for neighbours: no shade of a value looks like it."""
    runs: list[list[int]] = []
    for column, place in cells:
        if runs and runs[-1][1] == place and runs[-1][0] + runs[-1][2] == column:
            runs[-1][2] += 1
        else:
            runs.append([column, place, 1])
    return "".join(f"M{column} {place}.5h{count}" for column, place, count in runs)


def _legend(low: float, high: float, share: bool, keys: Sequence[str]) -> str:
    swatches = "".join(f'<rect class="q{at}" x="{at * 14}" width="14" height="12"/>' for at in range(SHADES))
    ends = ("0 %", "100 %") if share else (_short(low), _short(high))
    scale = "" if share else ", log"
    return (
        f'<span class="legend">{"".join(keys)}<span class="shades">{ends[0]}'
        f'<svg aria-hidden="true" width="{14 * SHADES}" height="12">{swatches}</svg>{ends[1]}{scale}</span></span>'
    )


def _short(value: float) -> str:
    return tick_text(float(f"{value:.2g}"))


def _frame(finding: Finding, layers: Layers, rows: Sequence[int]) -> str:
    span, layer = finding_span(finding), finding.where.layer
    places = [place for place, row in enumerate(rows) if layers.names[row] == printable(layer, 120)]
    if not places or span is None:
        return ""
    last = layers.steps[-1] if span.last is None else span.last
    columns = [at for at, step in enumerate(layers.steps) if span.first <= step <= last]
    if not columns:
        columns = [next((at for at, step in enumerate(layers.steps) if step >= span.first), len(layers.steps) - 1)]
    return (
        f'<rect class="frame {finding.severity}" x="{columns[0]}" y="{places[0]}" width="{len(columns)}" height="1"/>'
    )


def _in_words(layers: Layers, measure: str, rows: Sequence[int], unit: str) -> str:
    said = percent if measure in SHARES else number
    parts = []
    for row in rows[:12]:
        values = [value for value in layers.found[measure][row] if value is not None]
        parts.append(f"{layers.names[row]}: {said(values[0])} at first, {said(values[-1])} at last.")
    if len(rows) > 12:
        parts.append(f"And {len(rows) - 12} more layers.")
    return f"From {unit} {number(layers.steps[0])} to {number(layers.steps[-1])}. {' '.join(parts)}"
