"""The lines of a record: one JSON object each, in the order of keys that ``docs/recorder.md`` documents."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

FORMAT_VERSION = 1
BINS = 16
# So many values are enough for a picture.
MOST_BINNED = 1024
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
# Enough to tell a float32 from its neighbours, and enough for everything else.
EXACT, ROUNDED = 9, 5

# Fields of ``TensorRow`` under the names they have in a row; these are left out where they are 0.
_COUNTS = {"nan": "nan", "inf": "inf", "negative_inf": "neg", "zero": "zero"}
_MOMENTS = {"mean": "mean", "std": "std", "min": "min", "max": "max"}
_UNITS = {
    **{"samples": "samples", "dead": "dead", "saturated": "sat", "saturated_values": "satv", "constant": "const"},
    **{"twin": "twin", "unit_variance": "var", "sums_to_one": "sum1"},
    **{"feature_offset": "offset", "feature_spread": "spread", "constant_features": "constf"},
}


def line(content: Mapping[str, Any]) -> bytes:
    """``content`` as one line. Numbers that are not finite become ``null``: see ``number``."""
    import orjson

    return orjson.dumps(content, default=_plain, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_APPEND_NEWLINE)


def _plain(value: Any) -> Any:
    """What JSON has no form for: numpy's and torch's numbers as numbers, the rest as text."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return str(value)


def number(value: Any) -> float | str:
    """A logged value; one that is not finite as text, since it was logged and JSON has no number for it."""
    known = float(value)
    if math.isfinite(known):
        return known
    return "NaN" if math.isnan(known) else "Infinity" if known > 0 else "-Infinity"


def row(
    title: str, step: float, fields: Mapping[str, Any], *, size: int, hist: str = "", bits: int | None = None
) -> bytes:
    """A row of ``title`` (kind and name) from ``fields`` of ``TensorRow``; ``size`` is the count that was declared.

    ``bits``: a checksum, by which weights are told to be equal; their moments are then written in full.
    """
    # Put together by hand: each sampled step has hundreds of rows, of a dozen numbers each.
    found = [f'"tensor":{text(title)},"step":{step}']
    exact = ROUNDED if bits is None else EXACT
    if fields.get("count", size) != size:
        found.append(f'"n":{int(fields["count"])}')
    for name, digits in (("mean", exact), ("std", exact), ("min", ROUNDED), ("max", ROUNDED)):
        if (value := fields.get(name)) is not None and math.isfinite(value):
            found.append(f'"{name}":{value:.{digits}g}')
    if math.isfinite(magnitude := fields.get("abs_mean", math.nan)):
        found.append(f'"abs":{magnitude:.{ROUNDED}g}')
    for name, short in _COUNTS.items():
        if value := fields.get(name, 0):
            found.append(f'"{short}":{int(value)}')
    quantiles = fields.get("quantiles", ())
    if len(quantiles) and math.isfinite(quantiles[0]):
        # Rounded as min and max are: a value is at an end in both or in neither.
        found.append('"q":[' + ",".join([f"{value:.{ROUNDED}g}" for value in quantiles]) + "]")
    if hist:
        found.append(f'"hist":"{hist}"')
    for name, short in _UNITS.items():
        value = fields.get(name)
        if name == "samples" and title.startswith(("weight/", "gradient/")):
            # The reader divides the values by the units.
            continue
        if value is not None and math.isfinite(value):
            found.append(f'"{short}":{int(value)}' if name == "samples" else f'"{short}":{value:.{ROUNDED}g}')
    found += _of_weight(fields, bits)
    return ("{" + ",".join(found) + "}\n").encode()


def _of_weight(fields: Mapping[str, Any], bits: int | None) -> list[str]:
    """What only weights have: how far they are from where they were, and the checksum."""
    found = []
    if "change" in fields:
        found.append(f'"change":{fields["change"]:.{ROUNDED}g},"since":{fields["change_from"]}')
        found.append(f'"changed":{fields["changed"]:.{ROUNDED}g}')
    if bits is not None:
        found.append(f'"bits":"{bits & 0xFFFFFFFF:x}"')
    return found


@lru_cache(maxsize=1 << 14)
def text(title: str) -> str:
    """``title`` as a string of JSON."""
    return line({"": title})[4:-2].decode()


def histogram(values: npt.NDArray[Any], low: float, high: float) -> str:
    """The shares of ``values`` in 16 bins of equal width from ``low`` to ``high``, a digit each, of some of them.

    The digit is the rounded root of the share times 35, so that a bin of a thousandth still shows.
    """
    if not low < high or not math.isfinite(high - low):
        return ""
    flat = values.reshape(-1)
    known = flat[:: -(-flat.size // MOST_BINNED)].astype(np.float64)
    if not math.isfinite(float(np.add.reduce(known))):
        known = known[np.isfinite(known)]
    if not known.size:
        return ""
    known -= low
    known *= BINS / (high - low)
    places = np.minimum(known.astype(np.intp), BINS - 1)
    return digits(np.bincount(np.maximum(places, 0), minlength=BINS).tolist(), known.size)


def digits(counts: Sequence[int], size: int) -> str:
    """``counts`` of ``size`` values in bins, as ``histogram`` writes them."""
    scale = 35 * 35 / size
    return "".join([DIGITS[round(math.sqrt(count * scale)) or (count > 0)] for count in counts])


def pairs(shares: Mapping[int, float]) -> Sequence[list[float]]:
    """A mapping as a list of pairs, since keys of JSON are text."""
    return [[key, float(f"{value:.{ROUNDED}g}")] for key, value in shares.items()]
