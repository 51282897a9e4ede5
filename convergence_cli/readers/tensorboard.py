"""TensorBoard event files, decoded without TensorBoard: scalars of both encodings and hyperparameters.

The records of a block are grouped by length; the first of a group is parsed, and all that agree with it in
the bytes that give an event its shape are read as columns. The others follow in the same way.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from convergence_cli.errors import SourceError
from convergence_cli.model import Run
from convergence_cli.printable import counted, printable
from convergence_cli.readers._collect import Collector
from convergence_cli.readers._event import Field, Layout, hyperparameters, layout, rows_alike
from convergence_cli.readers._guard import MAX_CONFIG_BYTES, ReadOptions, Source, parse_json
from convergence_cli.readers._tfrecord import HEADER_BYTES, record_groups, record_length

if TYPE_CHECKING:
    import numpy.typing as npt

    from convergence_cli.model import FloatArray
    from convergence_cli.readers._crc32c import ByteArray
    from convergence_cli.readers._tfrecord import Group, IndexArray

FORMAT = "tensorboard"
MAX_TAG = 4096
MAX_CONFIG_KEYS = 5000
_HEAD_BYTES = 4096
_MAX_ROUNDS = 32
# The first key of an Event: any of its fields, each with its own wire type.
_FIRST_KEYS = frozenset(b"\x09\x10\x1a\x22\x2a\x32\x3a\x42\x4a\x52")


@dataclass(slots=True)
class _Points:
    """What one file has yielded so far; ``pieces`` of each series wait for the end of the block."""

    prefix: str
    pieces: dict[str, list[tuple[IndexArray, FloatArray, FloatArray, FloatArray]]] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    histograms: bool = False
    foreign: int = 0
    long_names: int = 0


def sniff(source: Source) -> float:
    """1 where the file begins with a length, its masked CRC-32C and an Event; 0.5 where no Event follows."""
    head = _head(source)
    if record_length(head[:HEADER_BYTES]) is None:
        return 0.0
    first = head[HEADER_BYTES : HEADER_BYTES + 1]
    return 1.0 if not first or first[0] in _FIRST_KEYS else 0.5


def read(sources: Sequence[Source], options: ReadOptions) -> list[Run]:
    """One run: all ``sources`` are its event files, of one folder or of sibling folders.

    Files follow one another by the time of their first event. Where there are several folders, tags are
    prefixed by theirs: ``train/epoch_loss``. Points after a restart are kept, so that steps go back.
    """
    root, prefixes = _prefixes(sources)
    single = len(sources) == 1
    collector = Collector(sources[0].shown if single else None)
    config: dict[str, Any] = {}
    notes: list[str] = []
    refused: list[SourceError] = []
    ordered = sorted(
        zip(sources, prefixes, strict=True), key=lambda pair: (pair[1], _began(pair[0]), pair[0].path.name)
    )
    for source, prefix in ordered:
        label = "" if single else f"{printable(prefix + source.path.name)}: "
        if source.size and record_length(_head(source)[:HEADER_BYTES]) is None:
            refused.append(_not_events(source))
            notes.append(f"{label}is not an event file, or its first bytes are damaged; it was left out")
            continue
        points = _Points(prefix)
        for groups in record_groups(source):
            for group in groups:
                _decode(group, points)
            _flush(points, collector)
        source.histograms = points.histograms
        for key, value in points.config.items():
            config.setdefault(key, value)
        notes += [f"{label}{note}" for note in (*source.notes, *_oddities(points))]
    if len(refused) == len(sources):
        raise refused[0]
    curves = collector.curves()
    if collector.dropped:
        notes.append(f"there are too many series: {len(collector.dropped):,} were left out")
    restarted = [len(curve.restarts) for curve in curves if curve.restarts]
    if restarted:
        notes.append(
            f"steps go back {counted(max(restarted), 'time')} in {len(restarted):,} series, as after a restart; "
            "all points are kept, in the order of the log"
        )
    if not curves:
        notes.append("no scalars have been logged")
    if config:
        from convergence_cli.readers.config import canonical

        config = canonical(config)
    name, path = (sources[0].path.name, sources[0].shown) if single else (root.name, str(root))
    return [Run(name, path, FORMAT, curves, config, tuple(notes))]


def _head(source: Source) -> bytes:
    # Raw: ``source.head`` would take a length of 0xFEFF for a byte-order mark.
    return next(source.blocks(_HEAD_BYTES, raw=True), b"")


def _not_events(source: Source) -> SourceError:
    return source.error(
        "is not a TensorBoard event file: its first record has a wrong checksum.",
        "Check that it was copied whole, or point ctroubleshoot at another log of the run.",
    )


def _prefixes(sources: Sequence[Source]) -> tuple[Path, list[str]]:
    """The deepest folder that holds all sources, and each source's folder below it as a tag prefix."""
    folders = [source.path.parent.parts for source in sources]
    common = sum(1 for _ in takewhile(lambda level: len(set(level)) == 1, zip(*folders, strict=False)))
    root = Path(*folders[0][:common])
    return root, ["".join(f"{part}/" for part in parts[common:]) for parts in folders]


def _began(source: Source) -> float:
    """The wall time of the first event, 0 where there is none."""
    head = _head(source)
    length = record_length(head[:HEADER_BYTES])
    if length is None:
        return 0.0
    data = head[HEADER_BYTES : HEADER_BYTES + length]
    try:
        time = layout(data).time
    except ValueError:
        return 0.0
    began = struct.unpack_from("<d", data, time.start)[0] if time else 0.0
    return float(began) if isfinite(began) else 0.0


def _oddities(points: _Points) -> list[str]:
    notes = []
    if points.foreign:
        notes.append(f"left out {counted(points.foreign, 'record')} of something other than TensorBoard events")
    if points.long_names:
        notes.append(f"left out {points.long_names:,} series whose name is longer than {MAX_TAG:,} characters")
    return notes


def _decode(group: Group, points: _Points) -> None:
    """Take the points out of the records of one length, all of one shape at a time."""
    rows, index = group.rows, group.index
    for _ in range(_MAX_ROUNDS):
        shape = _shape(rows, points)
        # Malformed records that differ are as many shapes, too.
        alike = rows_alike(rows, shape.mask if shape else b"\xff" * rows.shape[1])
        if shape:
            _emit(rows[alike], index[alike], shape, points)
        else:
            points.foreign += int(alike.sum())
        if alike.all():
            return
        rows, index = rows[~alike], index[~alike]
    # So many shapes of one length come from no writer: the rest is read one by one.
    for row in range(len(rows)):
        shape = _shape(rows[row:], points)
        if shape:
            _emit(rows[row : row + 1], index[row : row + 1], shape, points)
        else:
            points.foreign += 1


def _shape(rows: ByteArray, points: _Points) -> Layout | None:
    """The layout of the first row, its settings kept; None where it is no event."""
    data = rows[0].tobytes()
    try:
        shape = layout(data)
    except ValueError:
        return None
    _settings(shape, data, points)
    points.histograms |= shape.histograms
    return shape


def _settings(shape: Layout, data: bytes, points: _Points) -> None:
    """Keep the hyperparameters and the JSON texts (Hugging Face logs its arguments so) of an event."""
    found: dict[str, Any] = {}
    for start, stop in shape.hparams:
        try:
            found.update(hyperparameters(data[start:stop]))
        except ValueError:
            points.foreign += 1
    for tag, start, stop in shape.texts:
        text = data[start:stop]
        if text[:1] != b"{" or len(text) > MAX_CONFIG_BYTES:
            continue
        try:
            parsed = parse_json(Source(Path(tag), tag), text)
        except SourceError:
            continue
        section = tag.removesuffix("/text_summary")
        found.update(parsed if section == "args" else {section: parsed})
    for key, value in found.items():
        if len(points.config) < MAX_CONFIG_KEYS:
            points.config.setdefault(key, value)


def _emit(rows: ByteArray, index: IndexArray, shape: Layout, points: _Points) -> None:
    """Read the numbers of rows of one shape as columns, and hand them to their series."""
    if not shape.values:
        return
    step = np.zeros(len(rows)) if shape.step is None else _column(rows, shape.step)
    time = np.full(len(rows), np.nan) if shape.time is None else _column(rows, shape.time)
    for (start, stop), where in zip(shape.tags, shape.values, strict=True):
        value = _column(rows, where)
        for tag, chosen in _by_tag(np.ascontiguousarray(rows[:, start:stop])):
            if len(tag) > MAX_TAG:
                points.long_names += 1
                continue
            piece = (index[chosen], step[chosen], value[chosen], time[chosen])
            name = points.prefix + tag.decode("utf-8", "replace")
            points.pieces.setdefault(name, []).append(piece)


def _by_tag(tags: ByteArray) -> Iterator[tuple[bytes, slice | IndexArray]]:
    """Each distinct row of ``tags`` and the indices at which it stands, ascending."""
    if not tags.shape[1] or (tags == tags[0]).all():
        yield tags[0].tobytes(), slice(None)
        return
    varying = tags[:, (tags != tags[0]).any(axis=0)]
    if varying.shape[1] <= 8:
        words = np.zeros((len(tags), 8), np.uint8)
        words[:, : varying.shape[1]] = varying
        _, member = np.unique(words.view(np.uint64), return_inverse=True)
    else:
        _, member = np.unique(np.ascontiguousarray(varying), axis=0, return_inverse=True)
    member = member.reshape(-1)
    order = np.argsort(member, kind="stable")
    for chosen in np.split(order, np.flatnonzero(np.diff(member[order])) + 1):
        yield tags[chosen[0]].tobytes(), chosen


def _column(rows: ByteArray, where: Field) -> FloatArray:
    """(n,) float64: the number that lies at ``where`` in each row."""
    if where.start == where.stop:
        return np.zeros(len(rows))
    if where.varint:
        bits = np.zeros(len(rows), np.uint64)
        for shift, column in enumerate(range(where.start, where.stop)):
            bits |= (rows[:, column] & np.uint8(0x7F)).astype(np.uint64) << np.uint64(7 * shift)
        raw: npt.NDArray[Any] = bits
        if where.kind in ("<f2", "bfloat16"):
            raw = bits.astype("<u2")
        elif where.kind.startswith("<i"):
            raw = bits.view(np.int64)
    else:
        raw = np.ascontiguousarray(rows[:, where.start : where.stop])
    if where.kind == "bfloat16":
        raw = (raw.view("<u2").astype(np.uint32) << np.uint32(16)).view(np.float32)
    elif not where.varint or where.kind == "<f2":
        raw = raw.view(where.kind)
    # A signalling NaN of float32 is a NaN like any other.
    with np.errstate(invalid="ignore"):
        return raw.reshape(-1).astype(np.float64)


def _flush(points: _Points, collector: Collector) -> None:
    """Hand the block's points on, each series in the order of the log."""
    for name, pieces in sorted(points.pieces.items(), key=lambda item: min(int(p[0][0]) for p in item[1])):
        index, step, value, time = (np.concatenate(columns) for columns in zip(*pieces, strict=True))
        order = np.argsort(index, kind="stable") if len(pieces) > 1 else slice(None)
        collector.add(name, step[order], value[order], time=time[order])
    points.pieces.clear()
