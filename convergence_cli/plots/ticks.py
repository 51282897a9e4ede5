"""What stands beside an axis: plain numbers without markup, few enough to be read."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

# Decades; an axis of more has no small ticks.
_MANY = 9
_RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def write_ticks(axes: Axes, *, whole: bool = False, powers: int = 0) -> None:
    """Ticks of both axes: round numbers, powers of ten where the axis is logarithmic.

    ``whole``: only whole numbers along x. ``powers``: values along y are drawn divided by so many powers of ten.
    """
    for axis, most in ((axes.xaxis, 6), (axes.yaxis, 5)):
        if isinstance(axis.get_major_locator(), FixedLocator):
            continue
        written = FuncFormatter(lambda value, _, by=powers * (axis is axes.yaxis): figures(value, by))
        if axis.get_scale() == "log":
            _write_powers(axis, most, written)
        elif axis.get_scale() == "linear":
            whole_x = whole and axis is axes.xaxis
            least = 1 if whole_x else 3
            axis.set_major_locator(MaxNLocator(most, steps=[1, 2, 2.5, 5, 10], min_n_ticks=least, integer=whole_x))
            axis.set_major_formatter(written)


def _write_powers(axis: Axis, most: int, written: FuncFormatter) -> None:
    low, high = sorted(axis.get_view_interval())
    decades = math.log10(high) - math.log10(low) if 0 < low < high else 1.0
    fine = decades < 2
    subs = (1.0, 2.0, 5.0) if decades < 1 else (1.0, 3.0) if fine else (1.0,)
    if decades > _MANY:
        # matplotlib looks for ticks beyond the ends of the axis, where a float may have no numbers left.
        first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
        stride = -(-(last - first + 1) // max(most, 3))
        axis.set_major_locator(FixedLocator([10.0**at for at in range(first + -first % stride, last + 1, stride)]))
    else:
        axis.set_major_locator(LogLocator(subs=subs, numticks=max(most, 3)))
    axis.set_major_formatter(written)
    axis.set_minor_locator(NullLocator() if fine or decades > _MANY else LogLocator(subs=[*range(2, 10)], numticks=99))
    axis.set_minor_formatter(NullFormatter())


def figures(value: float, powers: int = 0) -> str:
    """``value`` times ten to the ``powers`` in few characters: 0.003, 1,000, 25k, 10⁻⁵, 2×10⁻⁵."""
    return _figures(value, powers).replace("-", "−")


def _figures(value: float, powers: int) -> str:
    if not math.isfinite(value):
        return str(value)
    size = abs(value)
    if powers and size < 1e200:
        return _figures(value * 10.0**powers, 0)
    if size < 1e-300:
        return "0"
    if not powers and size * (1 + 1e-9) >= 1e-3 and size < 1e4:
        return f"{value:,.4g}" if size < 1000 else f"{value:,.0f}"
    if not powers and 1e4 <= size < 1e9:
        part, unit = (value / 1e3, "k") if size < 1e6 else (value / 1e6, "M")
        return f"{part:.4g}{unit}"
    mantissa, _, power = f"{value:.2e}".partition("e")
    mantissa = mantissa.rstrip("0").rstrip(".")
    raised = str(int(power) + powers).translate(_RAISED)
    return f"{mantissa.removesuffix('1') if mantissa in ('1', '-1') else mantissa + '×'}10{raised}"
