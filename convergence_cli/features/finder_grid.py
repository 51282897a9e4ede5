"""Which public finder a learning rate was read off, told from the rate alone.

The finders test 100 rates, evenly spaced on a logarithmic scale over eight decades: Lightning from 1e-8 to 1, fastai
and torch-lr-finder from 1e-7 to 10. What they suggest is one of these, in full precision: 7.585775750291836e-08 is
the 11th of Lightning's. Nobody types such a number.
"""

from __future__ import annotations

import math

LIGHTNING, FASTAI = "lightning", "fastai"
# (log10 of the lowest rate, finder); the two grids never meet, as a decade is twelve and a half steps.
_GRIDS = ((-8.0, LIGHTNING), (-7.0, FASTAI))
_STEP, _COUNT = 0.08, 100
# Of a grid step: what single precision leaves of a rate.
_NEAR = 1e-4
_TYPED_DIGITS, _TYPED = 4, 1e-7


def finder_of(rate: float) -> str | None:
    """``lightning``, ``fastai`` (torch-lr-finder has the same grid), or None for a rate that could be typed."""
    if not 0 < rate < 1e3 or math.isclose(float(f"{rate:.{_TYPED_DIGITS - 1}e}"), rate, rel_tol=_TYPED):
        return None
    for lowest, finder in _GRIDS:
        place = (math.log10(rate) - lowest) / _STEP
        if -_NEAR <= place <= _COUNT + _NEAR and abs(place - round(place)) < _NEAR:
            return finder
    return None
