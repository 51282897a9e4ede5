"""The records of a ``.wandb`` file, one at a time: history rows, settings, the exit code.

Source of the layout: wandb/proto/wandb_internal.proto.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from convergence_cli.readers._json_lines import parse_line
from convergence_cli.readers._json_table import number
from convergence_cli.readers._protobuf import BYTES, VARINT, fields, signed

# Field numbers of Record, HistoryRecord, ConfigRecord, their items, and RunRecord.
HISTORY, CONFIG, RUN, EXIT = 2, 5, 17, 18
ITEM, STEP, _RUN_CONFIG = 1, 2, 4
KEY, NESTED_KEY, VALUE_JSON = 1, 2, 16
_MAX_VALUE_BYTES = 1 << 16
_MAX_DEPTH = 4


@dataclass(frozen=True, slots=True)
class Row:
    """One history record: its numbers by name, and the step that stands outside its items, if any does."""

    values: dict[str, float]
    step: float | None


@dataclass(slots=True)
class About:
    """What the records that are no history have said; ``rows`` are those that were not yet handed on."""

    config: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None
    rows: list[Row] = field(default_factory=list)


def take(payload: bytes, about: About) -> None:
    """Take up one record. Raises ValueError where it is malformed; what stood before that is kept."""
    for tag, wire, value in fields(payload):
        if wire != BYTES or not isinstance(value, bytes):
            continue
        if tag == HISTORY:
            about.rows.append(_row(value))
        elif tag == CONFIG:
            _config(value, about)
        elif tag == RUN:
            for inner, kind, content in fields(value):
                if inner == _RUN_CONFIG and kind == BYTES and isinstance(content, bytes):
                    _config(content, about)
        elif tag == EXIT:
            codes = [signed(code) for inner, kind, code in fields(value) if inner == 1 and isinstance(code, int)]
            about.exit_code = codes[-1] if codes else 0


def _row(data: bytes) -> Row:
    values: dict[str, float] = {}
    step = None
    for tag, wire, content in fields(data):
        if not isinstance(content, bytes) or wire != BYTES:
            continue
        if tag == ITEM:
            key, text = key_and_text(content)
            _flatten(key, value_of(text), 0, values)
        elif tag == STEP:
            numbers = [n for inner, kind, n in fields(content) if inner == 1 and kind == VARINT]
            step = float(signed(numbers[-1])) if numbers and isinstance(numbers[-1], int) else 0.0
    return Row(values, step)


def _config(data: bytes, about: About) -> None:
    for tag, wire, content in fields(data):
        if tag == ITEM and wire == BYTES and isinstance(content, bytes):
            key, text = key_and_text(content)
            if key and not key.startswith("_"):
                about.config[key] = value_of(text)


def key_and_text(data: bytes) -> tuple[str, bytes]:
    """Key and JSON text of one item. Since 0.28 only ``nested_key`` is filled."""
    key, nested, text = "", [], b""
    for tag, wire, content in fields(data):
        if wire != BYTES or not isinstance(content, bytes):
            continue
        if tag == NESTED_KEY:
            nested.append(content.decode("utf-8", "replace"))
        elif tag == KEY:
            key = content.decode("utf-8", "replace")
        elif tag == VALUE_JSON:
            text = content
    return ".".join(nested) or key, text


def value_of(text: bytes) -> Any:
    """The value of one JSON text; None where it is none, or too long to be a number."""
    if len(text) > _MAX_VALUE_BYTES:
        return None
    try:
        return parse_line(text)
    except ValueError:
        return None


def _flatten(name: str, value: object, depth: int, out: dict[str, float]) -> None:
    if isinstance(value, dict):
        # A _type marks histograms, tables and media.
        if "_type" not in value and depth < _MAX_DEPTH:
            for key, item in value.items():
                _flatten(f"{name}.{key}", item, depth + 1, out)
        return
    point = number(value)
    if point is not None:
        out[name] = point
