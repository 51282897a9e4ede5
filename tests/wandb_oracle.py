"""A plain reader of ``.wandb`` files, one record and one value after another: what the fast one must agree with."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from convergence_cli.model import Run
from convergence_cli.printable import counted
from convergence_cli.readers._collect import Collector
from convergence_cli.readers._json_lines import parse_line
from convergence_cli.readers._json_table import number
from convergence_cli.readers._protobuf import BYTES, VARINT, fields, signed
from convergence_cli.readers.config import canonical

if TYPE_CHECKING:
    from convergence_cli.readers._guard import ReadOptions, Source

FORMAT = "wandb"
MAGIC = b":W&B\xe1\xbe\x00"
BLOCK = 1 << 15
MAX_RECORD_BYTES = 64 << 20
_HEADER = struct.Struct("<IHB")
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
# Field numbers of Record, HistoryRecord, ConfigRecord, their items, and RunRecord.
_HISTORY, _CONFIG, _RUN, _EXIT = 2, 5, 17, 18
_ITEM, _STEP, _RUN_CONFIG = 1, 2, 4
_KEY, _NESTED_KEY, _VALUE_JSON = 1, 2, 16
_MAX_VALUE_BYTES = 1 << 16
_MAX_DEPTH = 4


def sniff(source: Source) -> float:
    """The seven bytes with which every ``.wandb`` file begins."""
    return 1.0 if source.head.startswith(MAGIC) else 0.0


def read(sources: Sequence[Source], options: ReadOptions) -> list[Run]:
    """One run a file. System metrics and media are not read."""
    del options
    return [_read(source) for source in sources]


@dataclass(slots=True)
class _Log:
    """What the records have given so far."""

    collector: Collector
    config: dict[str, Any] = field(default_factory=dict)
    step: float = -1.0
    epoch: float | None = None
    exit_code: int | None = None
    malformed: int = 0


@dataclass(slots=True)
class _Framing:
    """Damage met while the records were cut out: ``broken`` counts places, ``last`` is one at the end."""

    broken: int = 0
    last: bool = False


def _read(source: Source) -> Run:
    log = _Log(Collector(source.shown))
    framing = _Framing()
    for payload in _payloads(source, framing):
        try:
            _take(payload, log)
        except ValueError:
            log.malformed += 1
    curves = log.collector.curves()
    if not curves:
        raise source.error(
            "holds no logged metrics.",
            "The run logged nothing with wandb.log before it ended; give the program's own output instead.",
        )
    notes = list(source.notes)
    if framing.last:
        notes.append("dropped the last record, which was cut off")
    damaged = framing.broken + log.malformed
    if damaged:
        notes.append(f"skipped {counted(damaged, 'damaged record')}")
    if log.exit_code is None:
        notes.append("the log has no exit record: the run crashed or is still running")
    elif log.exit_code:
        notes.append(f"the run exited with code {log.exit_code}")
    if log.collector.dropped:
        notes.append(f"read the first {len(curves)} series; more were left out")
    return Run(source.path.stem, source.shown, FORMAT, curves, canonical(log.config), tuple(notes))


def _payloads(source: Source, framing: _Framing) -> Iterator[bytes]:
    """The records of the file. Damage skips to the next block, where the framing starts afresh."""
    parts: list[bytes] = []
    size = 0
    first = True
    for chunk in source.blocks(128 * BLOCK, raw=True):
        for start in range(0, len(chunk), BLOCK):
            block = chunk[start : start + BLOCK]
            pos = len(MAGIC) if first else 0
            first = False
            while pos + _HEADER.size <= len(block):
                checksum, length, kind = _HEADER.unpack_from(block, pos)
                end = pos + _HEADER.size + length
                data = block[pos + _HEADER.size : end]
                if kind == 0 and not any(block[pos:]):
                    break
                # The checksum covers the type byte and the data, which follow each other.
                if len(data) < length or not _FULL <= kind <= _LAST or zlib.crc32(block[pos + 6 : end]) != checksum:
                    framing.broken += framing.last
                    framing.last, parts, size = True, [], 0
                    break
                pos = end
                if kind in (_FULL, _FIRST):
                    framing.broken += bool(parts)
                    parts, size = [], 0
                elif not parts:
                    # The rest of a record whose beginning was damaged.
                    continue
                parts.append(data)
                size += length
                if size > MAX_RECORD_BYTES:
                    framing.broken += 1
                    parts, size = [], 0
                elif kind in (_FULL, _LAST):
                    framing.broken += framing.last
                    framing.last = False
                    yield b"".join(parts)
                    parts, size = [], 0
            else:
                framing.last |= len(block) < BLOCK and pos < len(block)
    framing.last |= bool(parts)


def _take(payload: bytes, log: _Log) -> None:
    for tag, wire, value in fields(payload):
        if wire != BYTES or not isinstance(value, bytes):
            continue
        if tag == _HISTORY:
            _history(value, log)
        elif tag == _CONFIG:
            _config(value, log)
        elif tag == _RUN:
            for inner, kind, content in fields(value):
                if inner == _RUN_CONFIG and kind == BYTES and isinstance(content, bytes):
                    _config(content, log)
        elif tag == _EXIT:
            codes = [signed(code) for inner, kind, code in fields(value) if inner == 1 and isinstance(code, int)]
            log.exit_code = codes[-1] if codes else 0


def _history(data: bytes, log: _Log) -> None:
    values: dict[str, float] = {}
    step = log.step + 1
    for tag, wire, content in fields(data):
        if not isinstance(content, bytes) or wire != BYTES:
            continue
        if tag == _ITEM:
            key, text = _item(content)
            _flatten(key, _value(text), 0, values)
        elif tag == _STEP:
            numbers = [n for inner, kind, n in fields(content) if inner == 1 and kind == VARINT]
            step = float(signed(numbers[-1])) if numbers and isinstance(numbers[-1], int) else 0.0
    step = values.get("_step", step)
    # A step that is no number cannot be placed; the next whole one can.
    log.step = step if abs(step) < float("inf") else log.step + 1
    log.epoch = values.pop("epoch", log.epoch)
    time = values.get("_timestamp")
    shown = {name: value for name, value in values.items() if not name.startswith("_")}
    log.collector.add_row(shown, log.step, epoch=log.epoch, time=time)


def _config(data: bytes, log: _Log) -> None:
    for tag, wire, content in fields(data):
        if tag == _ITEM and wire == BYTES and isinstance(content, bytes):
            key, text = _item(content)
            if key and not key.startswith("_"):
                log.config[key] = _value(text)


def _item(data: bytes) -> tuple[str, bytes]:
    """Key and JSON text of one item. Since 0.28 only ``nested_key`` is filled."""
    key, nested, text = "", [], b""
    for tag, wire, content in fields(data):
        if wire != BYTES or not isinstance(content, bytes):
            continue
        if tag == _NESTED_KEY:
            nested.append(content.decode("utf-8", "replace"))
        elif tag == _KEY:
            key = content.decode("utf-8", "replace")
        elif tag == _VALUE_JSON:
            text = content
    return ".".join(nested) or key, text


def _value(text: bytes) -> Any:
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
