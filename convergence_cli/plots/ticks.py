"""What stands beside an axis: plain numbers without markup, few enough to be read."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

_RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def write_ticks(axes: Axes) -> None:
    """Ticks of both axes: round numbers, powers of ten where the axis is logarithmic."""
    for axis, most in ((axes.xaxis, 6), (axes.yaxis, 5)):
        if isinstance(axis.get_major_locator(), FixedLocator):
            continue
        if axis.get_scale() == "log":
            _write_powers(axis, most)
        elif axis.get_scale() == "linear":
            axis.set_major_locator(MaxNLocator(most, steps=[1, 2, 2.5, 5, 10], min_n_ticks=3))
            axis.set_major_formatter(FuncFormatter(_written))


def _write_powers(axis: Axis, most: int) -> None:
    low, high = sorted(axis.get_view_interval())
    decades = math.log10(high / low) if 0 < low < high else 1.0
    fine = decades < 2
    subs = (1.0, 2.0, 5.0) if decades < 1 else (1.0, 3.0) if fine else (1.0,)
    axis.set_major_locator(LogLocator(subs=subs, numticks=max(most, 3)))
    axis.set_major_formatter(FuncFormatter(_written))
    axis.set_minor_locator(NullLocator() if fine or decades > 9 else LogLocator(subs=[*range(2, 10)], numticks=99))
    axis.set_minor_formatter(NullFormatter())


def _written(value: float, place: int | None = None) -> str:
    return figures(value)


def figures(value: float) -> str:
    """``value`` in few characters: 0.003, 1,000, 25k, 10⁻⁵, 2×10⁻⁵."""
    return _figures(value).replace("-", "−")


def _figures(value: float) -> str:
    if not math.isfinite(value):
        return str(value)
    size = abs(value)
    if size < 1e-300:
        return "0"
    if size * (1 + 1e-9) >= 1e-3 and size < 1e4:
        return f"{value:,.4g}" if size < 1000 else f"{value:,.0f}"
    if 1e4 <= size < 1e9:
        part, unit = (value / 1e3, "k") if size < 1e6 else (value / 1e6, "M")
        return f"{part:.4g}{unit}"
    mantissa, _, power = f"{value:.2e}".partition("e")
    mantissa = mantissa.rstrip("0").rstrip(".")
    raised = str(int(power)).translate(_RAISED)
    return f"{mantissa.removesuffix('1') if mantissa in ('1', '-1') else mantissa + '×'}10{raised}"
