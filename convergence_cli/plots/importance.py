"""Which features the trees of a boosted model use."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from convergence_cli.plots.missing import NotDrawn
from convergence_cli.plots.style import BLUE, FULL, INK, ORANGE, SMALL, picture, sheet, short
from convergence_cli.plots.ticks import figures, write_ticks
from convergence_cli.printable import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from convergence_cli.tensor_stats import TreeFacts

KIND = "importance"
HINT = "Record trees: pass callbacks=[XGBoostRecorder('run/')] or [LightGBMRecorder('run/')] to the training."
MAX_FEATURES = 20
_ROW = 4.4
_WORDS = {"weight": "splits", "split": "splits", "gain": "gain", "total_gain": "gain", "cover": "cover"}


@picture
def figure(trees: Sequence[TreeFacts], *, name: str, width: float = FULL) -> Figure:
    """The last of ``trees`` as bars, the first as marks. Raises ``NotDrawn`` where none tells an importance."""
    told = [one for one in trees if any(math.isfinite(value) and value > 0 for value in one.importance.values())]
    if not told:
        raise NotDrawn(KIND, "No importance of features was recorded.", HINT)
    last = _shares(told[-1])
    ranked = sorted(last, key=lambda feature: (-last[feature], feature))
    kept = ranked[:MAX_FEATURES]
    measure = _WORDS.get(told[-1].importance_type, short(told[-1].importance_type))
    rest = sum(last[feature] for feature in ranked[MAX_FEATURES:])
    under = f"{name}: share of all {measure} at round {figures(told[-1].step)}, {counted(len(ranked), 'feature')}."
    if rest > 0:
        under += f" The {len(ranked) - MAX_FEATURES:,} that are not shown have {100 * rest:.1f} %."
    paper = sheet(width, _ROW * len(kept) + 16, "Importance of features", under)
    axes = paper.add_subplot()
    place = range(len(kept))
    heights = [100 * last[feature] for feature in kept]
    axes.barh(place, heights, height=0.62, color=BLUE, label=f"round {figures(told[-1].step)}", zorder=2)
    first = {feature: 100 * share for feature, share in _shares(told[0]).items()} if len(told) > 1 else {}
    reach = max([*heights, *(first.get(feature, 0.0) for feature in kept)])
    for at, height in enumerate(heights):
        # Beside the mark, not under it.
        mark = first.get(kept[at], 0.0)
        end = mark + 0.006 * reach if height - 0.01 * reach < mark < height + 0.09 * reach else height
        axes.annotate(
            f"{height:.3g} %",
            (end, at),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=SMALL,
            color=INK,
        )
    if len(told) > 1:
        label = f"round {figures(told[0].step)}"
        # A feature without a mark was not used yet.
        values = [first.get(feature, math.nan) for feature in kept]
        axes.plot(values, place, "D", color=ORANGE, markeredgecolor="white", markersize=4.5, label=label, zorder=3)
        axes.legend(loc="lower right")
    axes.set_yticks(place, [short(feature, 28) for feature in kept])
    axes.set_ylim(len(kept) - 0.4, -0.6)
    axes.set_xlim(0, 1.12 * reach)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(f"share of {measure}, %")
    write_ticks(axes)
    return paper


def _shares(facts: TreeFacts) -> dict[str, float]:
    known = {feature: value for feature, value in facts.importance.items() if math.isfinite(value) and value > 0}
    total = sum(known.values()) or 1.0
    return {feature: value / total for feature, value in known.items()}
