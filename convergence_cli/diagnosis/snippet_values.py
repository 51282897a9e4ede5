"""The values of a change and the facts of a run, as text that may stand in code."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from string import Template
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convergence_cli.diagnosis.snippet_reading import Sheet

# More features than these are better computed where the data is than written out.
MOST_FEATURES = 8
# A setting beyond this is no setting.
LARGEST = 1e15
# Settings that count something: 4000.0 is step 4000.
_COUNTS = frozenset((
    "batch_size", "epochs", "max_steps", "warmup_steps", "early_stopping", "resume_from_step", "skip_batches",
    "gradient_accumulation_steps", "hidden_width", "hidden_layers", "gradient_staleness", "max_depth",
))  # fmt: skip
_SAME_KEY = {"adam_beta2": "beta2", "clip_norm": "gradient_clip_norm"}
_SAME_PRECISION = {"bfloat16": "bf16", "fp32": "float32", "32": "float32"}
_Z_LOSS = re.compile(r"z-loss-(\d[\d.]*(?:e-?\d+)?)")
# Of another optimizer, these say nothing of the new one.
_OF_OPTIMIZER = ("learning_rate", "weight_decay", "momentum", "beta2")
_LENGTHS = ("epochs", "max_steps")


@dataclass(frozen=True, slots=True)
class Context:
    """``texts``: what a ``$name`` becomes; ``tokens``: what conditions compare, of the change alone in ``changed``."""

    texts: Mapping[str, str]
    tokens: Mapping[str, str]
    changed: Mapping[str, str]
    facts: frozenset[str]


def renamed(change: Mapping[str, Any]) -> dict[str, Any]:
    """``change`` under the names that the sheets know."""
    found: dict[str, Any] = {}
    for key, value in change.items():
        z_loss = _Z_LOSS.fullmatch(value) if key == "loss" and isinstance(value, str) else None
        if z_loss is not None:
            found["z_loss"] = float(z_loss[1])
        elif key == "precision":
            found[key] = _SAME_PRECISION.get(str(value), value)
        else:
            found[_SAME_KEY.get(key, key)] = value
    return found


def context_of(change: Mapping[str, Any], facts: Mapping[str, Any], sheet: Sheet) -> Context:
    """What the lines of ``sheet`` may speak of: the change, over what still holds of the run, over its defaults."""
    kept = dict(facts)
    old = kept.get("optimizer")
    if "optimizer" in change and token_of(change["optimizer"]) != token_of(old):
        kept = {key: value for key, value in kept.items() if key not in _OF_OPTIMIZER}
    if change.keys() & set(_LENGTHS):
        # A new length in epochs makes the old one in steps wrong.
        kept = {key: value for key, value in kept.items() if key not in _LENGTHS}
    merged = {**sheet.default, **kept, **change}
    tokens = {key: token_of(value) for key, value in merged.items()}
    texts = {key: text for key, value in merged.items() if (text := literal(value, counts=key in _COUNTS)) is not None}
    texts |= _lists(merged)
    for key, words in sheet.names.items():
        if tokens.get(key) in words:
            texts[f"{key}_name"] = words[tokens[key]]
    for name, candidates in sheet.derived.items():
        text = next((text for one in candidates if (text := _filled(one, texts)) is not None), None)
        if text is not None:
            texts[name] = text
    changed = {key: tokens[key] for key in change}
    return Context(texts, tokens, changed, frozenset(kept))


def token_of(value: Any) -> str:
    """A value in a word that a sheet can compare: ``weights`` by class, ``numbers`` or ``lists`` of mean and std."""
    if isinstance(value, Mapping):
        if not {"mean", "std"} <= value.keys():
            return "weights"
        sizes = [len(value[name]) if isinstance(value[name], (list, tuple)) else 0 for name in ("mean", "std")]
        return "standard" if max(sizes) > MOST_FEATURES else ("lists" if any(sizes) else "numbers")
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).lower()


def literal(value: Any, *, counts: bool = False) -> str | None:
    """``value`` as Python writes it; None where it has no such form, as what is not finite has none."""
    if isinstance(value, bool) or value is None:
        return repr(value)
    if isinstance(value, (int, float)):
        # YAML and JSON can hold infinities, and integers that no float can.
        if not -LARGEST <= value <= LARGEST:
            return None
        return str(round(value)) if counts else repr(value)
    if isinstance(value, str):
        # As JSON writes it, in ASCII and without a control character: it may come from a log.
        return json.dumps(value)
    if isinstance(value, (list, tuple)):
        parts = [literal(part) for part in value]
        return None if None in parts else f"[{', '.join(map(str, parts))}]"
    return None


def _lists(merged: Mapping[str, Any]) -> dict[str, str]:
    """Class weights and counts as lists by class number, and the parts of a mean and deviation."""
    found: dict[str, str] = {}
    for key, name, rest in (("class_weight", "class_weight_list", 1.0), ("class_counts", "class_count_list", 0)):
        listed = _by_class(merged.get(key), rest)
        if listed is not None:
            found[name] = listed
            found[f"{name[:-5]}_dict"] = (
                "{" + ", ".join(f"{i}: {x}" for i, x in enumerate(listed[1:-1].split(", "))) + "}"
            )
    for key, prefix in (("input_normalization", "input"), ("target_normalization", "target")):
        value = merged.get(key)
        if isinstance(value, Mapping):
            parts = {f"{prefix}_{part}": literal(value.get(part)) for part in ("mean", "std") if part in value}
            found |= {name: text for name, text in parts.items() if text is not None}
    return found


def _by_class(values: Any, rest: float) -> str | None:
    """A list with one entry a class, where the classes are numbers from 0 on; None where they are not."""
    if isinstance(values, (list, tuple)):
        return literal(list(values)) if values else None
    if not isinstance(values, Mapping) or not values:
        return None
    by_number: dict[int, float] = {}
    for label, value in values.items():
        number = _number(label)
        if number is None or not isinstance(value, (int, float)) or not -LARGEST <= value <= LARGEST:
            return None
        by_number[number] = value
    if max(by_number) >= 1000:
        return None
    return literal([by_number.get(number, rest) for number in range(max(by_number) + 1)])


def _number(label: Any) -> int | None:
    try:
        number = float(label)
    except (TypeError, ValueError):
        return None
    return int(number) if number.is_integer() and number >= 0 else None


def _filled(text: str, texts: Mapping[str, str]) -> str | None:
    try:
        return Template(text).substitute(texts)
    except KeyError:
        return None
