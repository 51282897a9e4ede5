"""Histograms of tensors in TensorBoard event files, as statistics.

Sources: ``HistogramProto`` of TensorFlow's ``summary.proto``, which torch and TensorFlow 1 write, and the tensors of
shape (buckets, 3) of TensorBoard's histogram plugin, which TensorFlow 2 and Keras write.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from convergence_cli.errors import SourceError
from convergence_cli.printable import printable
from convergence_cli.readers._event import dimensions, layout, rows_alike
from convergence_cli.readers._protobuf import BYTES, FIXED64, VARINT, signed, spans, varint
from convergence_cli.readers._tfrecord import record_groups
from convergence_cli.tensor_stats import QUANTILES, Collection, TensorRow, TensorStats
from convergence_cli.tensors.names import Named, named, without_shared_prefix

if TYPE_CHECKING:
    from convergence_cli.readers._guard import Source

Array = npt.NDArray[np.float64]
MAX_ROWS = 50_000
MAX_BUCKETS = 1 << 16
_DOUBLE, _FLOAT = 2, 1
# What rounding leaves of the sum of squares, for writers that add up in float32 and in float64.
_ROUNDED_SINGLE, _ROUNDED_DOUBLE = 1e-4, 1e-11
# Keras 2 writes layer/kernel_0, Keras 3 layer/kernel/histogram.
_SUFFIX = re.compile(r"(/histogram(_summary)?)+$|(?<=kernel|..bias|.gamma|..beta|..mean|riance|ddings)_0$")
_MODES = {"train": "train", "training": "train", "validation": "eval", "val": "eval", "eval": "eval", "test": "eval"}


@dataclass(frozen=True, slots=True)
class Histogram:
    """``left``, ``right`` and ``count`` of the buckets, (n,) each; what the proto tells beside them, else NaN."""

    left: Array
    right: Array
    count: Array
    low: float = float("nan")
    high: float = float("nan")
    number: float = float("nan")
    total: float = float("nan")
    squares: float = float("nan")


@dataclass(slots=True)
class _Found:
    """Rows by (tag, mode, step), thinned out by steps where there are too many."""

    rows: dict[tuple[str, str, float], tuple[int, float, dict[str, Any]]] = field(default_factory=dict)
    steps: dict[float, int] = field(default_factory=dict)
    order: dict[str, int] = field(default_factory=dict)
    stride: int = 1
    damaged: int = 0

    def add(self, tag: str, mode: str, step: float, time: float, histogram: Histogram) -> None:
        place = self.steps.setdefault(step, len(self.steps))
        if place % self.stride:
            return
        order = self.order.setdefault(tag, len(self.order))
        # After a restart the later run holds.
        self.rows[tag, mode, step] = (order, time, statistics(histogram))
        if len(self.rows) > MAX_ROWS:
            self.stride *= 2
            self.rows = {key: row for key, row in self.rows.items() if self.steps[key[2]] % self.stride == 0}


def read_histograms(sources: Sequence[Source]) -> TensorStats | None:
    """The statistics of the histograms in event files; None where none of them is of a tensor whose kind is known."""
    found = _Found()
    notes: list[str] = []
    for source in sources:
        if not source.histograms:
            continue
        mode = _MODES.get(source.path.parent.name.lower(), "")
        kept = len(source.notes)
        try:
            known: set[str] = set()
            for groups in record_groups(source):
                # As they were written: records of one block come by their length.
                events = sorted((event for group in groups for event in _events(group.rows, group.index)), key=_place)
                for _, data in events:
                    _take(data, mode, known, found)
        except SourceError as error:
            notes.append(error.message)
        # The reader of the scalars has told what is damaged.
        del source.notes[kept:]
    return _stats(found, notes)


def _place(event: tuple[int, bytes]) -> int:
    return event[0]


def _events(rows: npt.NDArray[np.uint8], index: npt.NDArray[np.int64]) -> Iterator[tuple[int, bytes]]:
    """The records of one length that hold histograms; scalars are told by the first of their shape."""
    while len(rows):
        try:
            shape = layout(rows[0].tobytes())
        except ValueError:
            rows, index = rows[1:], index[1:]
            continue
        alike = rows_alike(rows, shape.mask)
        if shape.histograms:
            for place in np.flatnonzero(alike):
                yield int(index[place]), rows[place].tobytes()
        rows, index = rows[~alike], index[~alike]


def _take(data: bytes, mode: str, known: set[str], found: _Found) -> None:
    """Keep the histograms of one event. ``known`` are the tags that a TensorFlow 2 writer called histograms."""
    step, time = 0, float("nan")
    values: list[tuple[str, Histogram]] = []
    try:
        for number, wire, start, stop in spans(data, 0, len(data)):
            if (number, wire) == (1, FIXED64):
                time = struct.unpack_from("<d", data, start)[0]
            elif (number, wire) == (2, VARINT):
                step = signed(varint(data, start)[0])
            elif (number, wire) == (5, BYTES):
                for inner, kind, begin, end in spans(data, start, stop):
                    one = _value(data, begin, end, known) if (inner, kind) == (1, BYTES) else None
                    values += [one] if one is not None else []
    except (ValueError, struct.error):
        found.damaged += 1
    for tag, histogram in values:
        found.add(tag, mode, float(step), time, histogram)


def _value(data: bytes, start: int, stop: int, known: set[str]) -> tuple[str, Histogram] | None:
    tag, plain, tensor, plugin = "", None, None, False
    for number, wire, begin, end in spans(data, start, stop):
        if wire != BYTES:
            continue
        if number == 1:
            tag = data[begin:end].decode("utf-8", "replace")
        elif number == 5:
            plain = (begin, end)
        elif number == 8:
            tensor = (begin, end)
        elif number == 9:
            plugin = b"histograms" in data[begin:end]
    if plain is not None:
        return tag, _of_proto(data, *plain)
    if plugin:
        known.add(tag)
    if tensor is None or tag not in known:
        return None
    return tag, _of_tensor(data, *tensor)


def _of_proto(data: bytes, start: int, stop: int) -> Histogram:
    # proto3 leaves out zeros.
    single = dict.fromkeys(range(1, 6), 0.0)
    lists: dict[int, list[bytes]] = {6: [], 7: []}
    for number, wire, begin, end in spans(data, start, stop):
        if number in single and wire == FIXED64:
            single[number] = struct.unpack_from("<d", data, begin)[0]
        elif number in lists and wire in (BYTES, FIXED64):
            lists[number].append(data[begin:end])
    limits, counts = (np.frombuffer(b"".join(lists[number]), "<f8").astype(np.float64) for number in (6, 7))
    if len(limits) != len(counts) or len(limits) > MAX_BUCKETS:
        raise ValueError("bucket limits and counts differ in number")
    low, high, number_of, total, squares = (single[key] for key in range(1, 6))
    left = np.concatenate(([-np.inf], limits[:-1])) if len(limits) else limits
    return Histogram(left, limits, counts, low, high, number_of, total, squares)


def _of_tensor(data: bytes, start: int, stop: int) -> Histogram:
    dtype, shape, content = 0, [], b""
    for number, wire, begin, end in spans(data, start, stop):
        if (number, wire) == (1, VARINT):
            dtype = varint(data, begin)[0]
        elif (number, wire) == (2, BYTES):
            shape = dimensions(data, begin, end)
        elif (number, wire) in ((4, BYTES), (5, BYTES), (6, BYTES)):
            content = data[begin:end]
    if dtype not in (_FLOAT, _DOUBLE) or len(shape) != 2 or shape[1] != 3 or not 0 <= shape[0] <= MAX_BUCKETS:
        raise ValueError("its shape is that of no histogram")
    values = np.frombuffer(content, "<f8" if dtype == _DOUBLE else "<f4").astype(np.float64)
    left, right, count = values.reshape(shape[0], 3).T
    if len(left) == 1 and abs(right[0] - left[0] - 1) < 1e-6:
        # How the plugin stores values that are all the same: one bucket of width 1 around them.
        left = right = (left + right) / 2
    return Histogram(left, right, count)


def statistics(histogram: Histogram) -> dict[str, Any]:
    """The fields of ``TensorRow`` that a histogram tells.

    The proto has exact mean, extremes and sum of squares; without them they are estimated by values spread
    evenly over each bucket, as quantiles and the mean of absolute values always are.
    """
    with np.errstate(all="ignore"):
        return _statistics(histogram)


def _statistics(histogram: Histogram) -> dict[str, Any]:
    filled = histogram.count > 0
    left, right, count = histogram.left[filled], histogram.right[filled], histogram.count[filled]
    told = np.isfinite(histogram.number)
    inside = float(count.sum())
    number = histogram.number if told else inside
    if not np.isfinite(number) or number < 0 or not np.isfinite(inside):
        return {}
    if told and np.isnan(histogram.total):
        # Values that are not numbers lie in no bucket.
        return {"count": number, "nan": max(number - inside, 1.0)}
    if not number:
        return {"count": 0.0}
    low, high = (histogram.low, histogram.high) if told else _extremes(left, right)
    left, right = np.clip(left, low, high), np.clip(right, low, high)
    middle, width = (left + right) / 2, right - left
    mean = histogram.total / number if told else float(count @ middle) / inside
    variance = float(count @ ((middle - mean) ** 2 + width**2 / 12)) / inside if inside else float("nan")
    squares = variance + mean * mean
    if told:
        squares = histogram.squares / number
        # Of values far from zero the difference may be rounding alone; buckets there are wide, as they grow by a tenth.
        single = float(np.float32(histogram.squares)) == histogram.squares
        if squares - mean * mean > (_ROUNDED_SINGLE if single else _ROUNDED_DOUBLE) * squares:
            variance = squares - mean * mean
    fields: dict[str, Any] = {
        "count": number,
        "mean": mean,
        "std": float(np.sqrt(variance)) if low < high else 0.0,
        "min": low,
        "max": high,
        "l2": float(np.sqrt(squares * number)),
    }
    if low > 0 or high < 0 or low == high:
        fields["zero"] = number if low == high == 0 else 0.0
    if inside:
        fields["abs_mean"] = _abs_mean(mean, low, high, count, left, right)
        fields["quantiles"] = _quantiles(left, right, count)
    return {key: value for key, value in fields.items() if np.all(np.isfinite(value))}


def _extremes(left: Array, right: Array) -> tuple[float, float]:
    return (float(left.min()), float(right.max())) if len(left) else (float("nan"), float("nan"))


def _abs_mean(mean: float, low: float, high: float, count: Array, left: Array, right: Array) -> float:
    if low >= 0 or high <= 0:
        return abs(mean)
    middle, width = (left + right) / 2, right - left
    # The mean distance from zero of values spread evenly over a bucket that holds zero.
    across = (left < 0) & (right > 0)
    distance = np.where(across, (left**2 + right**2) / (2 * np.where(width > 0, width, 1)), np.abs(middle))
    return float(count @ distance) / float(count.sum())


def _quantiles(left: Array, right: Array, count: Array) -> tuple[float, ...]:
    order = np.argsort(left, kind="stable")
    left, right, count = left[order], right[order], count[order]
    after = np.cumsum(count)
    wanted = np.array(QUANTILES) * after[-1]
    bucket = np.minimum(np.searchsorted(after, wanted), len(after) - 1)
    share = (wanted - (after[bucket] - count[bucket])) / count[bucket]
    return tuple((left[bucket] + share * (right[bucket] - left[bucket])).tolist())


def _stats(found: _Found, notes: list[str]) -> TensorStats | None:
    tags = list(found.order)
    names = dict(zip(tags, without_shared_prefix([_named(tag) for tag in tags]), strict=True))
    unknown = [tag for tag in tags if not names[tag].kind]
    known = {tag for tag in tags if names[tag].kind}
    if not known:
        return None
    collection = Collection(notes=notes)
    for (tag, mode, step), (order, time, fields) in found.rows.items():
        if tag in known:
            one = names[tag]
            row = TensorRow(step, one.kind, one.name, one.layer, order, mode=mode, function=one.function, time=time)
            collection.rows.append(replace(row, **fields))
    if unknown:
        shown = ", ".join(printable(tag, 40) for tag in unknown[:3])
        collection.notes.append(f"histograms whose names tell no kind of tensor were left out: {shown}")
    if found.stride > 1:
        collection.notes.append(f"of the many histograms those of every {found.stride}th step are read")
    if found.damaged:
        collection.notes.append(f"left out {found.damaged:,} damaged histograms")
    return collection.stats()


def _named(tag: str) -> Named:
    return named(_SUFFIX.sub("", tag))
