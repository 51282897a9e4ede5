"""Which activation function a layer has: by its name, by its values, or as the other layers of its kind."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.features.robust import median

if TYPE_CHECKING:
    from convergence_cli.features.tensors.series import Series

_PROBABILITIES = re.compile(r"softmax|prob|att\w*[._]weights|(^|[._])mask|gate|router|expert", re.IGNORECASE)
_ATTENTION = re.compile(r"att(n|ention)", re.IGNORECASE)
_SCORES = re.compile(r"logit|score|qk", re.IGNORECASE)
_SMOOTH = ("gelu", "silu", "swish", "elu", "softplus", "tanh", "sigmoid", "mish", "leaky", "softmax", "norm", "linear")
_NAMED = re.compile(r"(?<![a-z])(tanh|sigmoid|relu)(?![a-z])", re.IGNORECASE)
_OTHER_KINDS = re.compile(r"hard|leaky|para", re.IGNORECASE)
_RANGES = {"tanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0), "relu": (0.0, 0.0)}


def pattern_of(name: str) -> str:
    """``name`` without its numbers: layers of one type have one pattern."""
    return re.sub(r"\d+", "#", name)


def numbers_of(name: str) -> tuple[int, ...]:
    """The numbers in ``name``, by which layers of one type have their order."""
    return tuple(int(number) for number in re.findall(r"\d+", name))


def forms_of(found: tuple[Series, ...]) -> list[str]:
    """The form of each layer (see ``Activation``).

    Where neither the function that the dump names nor the values tell it, as of a sigmoid of which all values lie at
    one end, it is that of most layers of the same pattern, or what the layer's name says, if the values allow it.
    Two layers and more of one pattern between 0 and 1, and not at 0, are sigmoids.
    """
    forms = [_form(one) for one in found]
    siblings: dict[str, Counter[str]] = {}
    within: dict[str, int] = {}
    for one, form in zip(found, forms, strict=True):
        pattern = pattern_of(one.name)
        within[pattern] = within.get(pattern, 0) + (not form and not one.function and _is_within(one))
        if form in _RANGES:
            siblings.setdefault(pattern, Counter())[form] += 1
    for pattern in [pattern for pattern, count in within.items() if count > 1 and pattern not in siblings]:
        siblings[pattern] = Counter(("sigmoid",))
    return [
        form or ("" if one.function else _by_likeness(one, siblings.get(pattern_of(one.name))))
        for one, form in zip(found, forms, strict=True)
    ]


def is_probabilities(series: Series) -> bool:
    """Whether its values are shares that add up to 1, or weights with which others are mixed."""
    sums = series.number("sums_to_one")
    known = sums[np.isfinite(sums)]
    if len(known) and median(known) >= 0.9:
        return True
    return series.function == "softmax" or _PROBABILITIES.search(series.name) is not None


def is_attention_scores(series: Series) -> bool:
    """Whether its name says that it holds the logits of attention, before the softmax."""
    return bool(_ATTENTION.search(series.name) and _SCORES.search(series.name)) and not is_probabilities(series)


def _form(series: Series) -> str:
    """By the function that the dump names, else by the values at every dump."""
    function = series.function.lower()
    if is_probabilities(series):
        return "probabilities"
    if is_attention_scores(series):
        return "scores"
    if function.startswith("hard"):
        return ""
    named = next((known for known in ("tanh", "sigmoid") if known in function), "")
    if named or function.endswith("_input"):
        return named
    if function.startswith("relu"):
        return "relu"
    by_values = _form_by_values(series)
    # A function of another name that never gives less than 0 is still no saturating one.
    return "" if function and (by_values != "relu" or any(word in function for word in _SMOOTH)) else by_values


def _form_by_values(series: Series) -> str:
    low, high, zero = (series.number(name) for name in ("min", "max", "zero"))
    if not (np.isfinite(low).all() and np.isfinite(high).all()) or _is_two_valued(series):
        return ""
    bounded = bool((high > 0.9).all() and (high <= 1).all())
    if bounded and (low >= 0).all() and (low < 0.1).all():
        # Rounded to 16 bits a sigmoid has exact zeros, but then it has ones too, and the dump tells its saturation.
        rounded = (low > 0) | ((high == 1) & np.isfinite(series.number("saturated")))
        if rounded.all():
            return "sigmoid"
    if (low == 0).all() and (zero > 0).all() and (high > 0).any():
        return "relu"
    return "tanh" if bounded and (low >= -1).all() and (low < -0.9).all() else ""


def _by_likeness(series: Series, siblings: Counter[str] | None) -> str:
    low, high = series.number("min"), series.number("max")
    named = None if _OTHER_KINDS.search(series.name) else _NAMED.search(series.name)
    form = siblings.most_common(1)[0][0] if siblings else named[1].lower() if named else ""
    # A layer of zeros at a single dump may have been begun so.
    if not form or (form == "relu" and len(series.step) < 2):
        return ""
    least, most = _RANGES[form]
    return form if (low >= least).all() and (high <= most).all() else ""


def _is_within(series: Series) -> bool:
    low, high = series.number("min"), series.number("max")
    return bool((low > 0).all() and (high <= 1).all() and np.isfinite(series.number("saturated")).all())


def _is_two_valued(series: Series) -> bool:
    """Masks, spikes and one-hot codes: nothing between the least and the greatest value."""
    inner = series.stats.quantiles[series.rows]
    ends = (inner == series.number("min")[:, None]) | (inner == series.number("max")[:, None])
    return bool(np.isfinite(inner).all() and ends.all())
