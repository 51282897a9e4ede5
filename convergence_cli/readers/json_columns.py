"""One JSON document: a Keras History, sacred's metrics.json, xgboost's evals_result, home-made histories."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.errors import SourceError
from convergence_cli.model import Run
from convergence_cli.printable import counted
from convergence_cli.readers._collect import Collector
from convergence_cli.readers._guard import HEAD_BYTES, parse_json
from convergence_cli.readers._json_document import document
from convergence_cli.readers._json_steps import STEP_KEYS, Placing, layout
from convergence_cli.readers._json_table import configs, tabulate
from convergence_cli.readers._sacred_run import how_it_ended
from convergence_cli.readers.config import canonical

if TYPE_CHECKING:
    from convergence_cli.model import FloatArray
    from convergence_cli.readers._guard import ReadOptions, Source
    from convergence_cli.readers._json_document import Column, Document

FORMAT = "json"
_METRIC = re.compile(r"(?i)loss|acc|err|reward|perplexity|ppl|auc|rmse|mae|mse|f1|nll|metric|return|iou|bleu|map\b")
_NUMERIC_LIST = re.compile(rb'"([^"\n]{1,100})"\s*:\s*\[\s*(?:null|NaN|-?Infinity|"?-?\d)')
_NUMBER = re.compile(rb'"([^"\n]{1,100})"\s*:\s*(?:NaN|-?\d)')
_RECORDS = re.compile(rb"\[\s*\{[^{}\[\]]{0,4000}?" + _NUMBER.pattern)
# A list this much shorter than the losses was logged on another clock, not cut short.
_OTHER_CLOCK = 1.5


def sniff(source: Source) -> float:
    """Whether a document holds lists of numbers or records; surer where one is named like a metric."""
    head = source.head
    if head.lstrip()[:1] not in (b"{", b"["):
        return 0.0
    if len(head) < HEAD_BYTES:
        try:
            found = document(parse_json(source, head), source.path.stem)
        except SourceError:
            # Torn, or no JSON at all: the error is worth more than another reader's guess.
            return 0.3 if _NUMERIC_LIST.search(head) or _RECORDS.search(head) else 0.0
        names = {column.name for column in found.columns}
        names |= {name for _, rows in found.records for name in tabulate(rows)}
    else:
        names = {match.decode("utf-8", "replace") for match in _NUMERIC_LIST.findall(head)}
        if _RECORDS.search(head):
            names |= {match.decode("utf-8", "replace") for match in _NUMBER.findall(head)}
    if any(_METRIC.search(name) for name in names):
        return 0.8
    return 0.3 if names.intersection(STEP_KEYS) else (0.05 if names else 0.0)


def read(sources: Sequence[Source], options: ReadOptions) -> list[Run]:
    """One run a file."""
    del options
    return [_read(source) for source in sources]


def _read(source: Source) -> Run:
    parts = document(parse_json(source, source.read_all()), source.path.stem)
    collector = Collector(source.shown)
    axes: dict[int, FloatArray] = {}
    notes: list[str] = []
    names: set[str] = set()
    for prefix, rows in parts.records:
        table = tabulate(rows)
        if not table:
            continue
        where = layout(rows, table, FORMAT)
        if where.step is not None and len(table[where.step][0]) == len(rows):
            axis = _unrolled(table[where.step][1])
            if axis is not table[where.step][1]:
                notes.append(f"{where.step} starts again at equal distances: it was read as counted per epoch")
                table[where.step] = (table[where.step][0], axis)
            axes.setdefault(len(rows), axis)
        parts.config.update({k: v for found in configs(rows).values() for k, v in found.items()})
        names.update(prefix + name for name in table)
        Placing(where, prefix).add(table, len(rows), collector)
    columns = [column for column in parts.columns if column.name not in names]
    format_ = _format(parts, columns)
    notes += _place(columns, axes, collector, epochs=format_ == "keras")
    curves = collector.curves()
    if not curves:
        raise source.error(
            "is JSON without a list of numbers or records.", "Give the file that holds the training history."
        )
    if collector.dropped:
        notes.append(f"read the first {len(curves)} series; more were left out")
    if parts.sacred and source.stream is None:
        notes += how_it_ended(source.path.parent)
    return Run(source.path.stem, source.shown, format_, curves, canonical(parts.config), (*source.notes, *notes))


def _format(parts: Document, columns: list[Column]) -> str:
    if parts.sacred:
        return "sacred"
    plain = not parts.records and not parts.nested and {column.size for column in columns} != set()
    if plain and len({column.size for column in columns}) == 1 and all(c.step is None for c in columns):
        return "keras" if "loss" in {column.name for column in columns} else FORMAT
    return FORMAT


def _unrolled(step: FloatArray) -> FloatArray:
    """``step`` counted on where it starts again at equal distances, as a batch number within epochs does.

    One restart is a resumed run; two or more, each as long as the first and from the same step, are epochs.
    """
    starts = np.flatnonzero(np.diff(step) < 0) + 1
    if len(starts) < 2 or np.any(step[starts] != step[0]):
        return step
    lengths = np.diff(starts, prepend=0)
    length = int(lengths[0])
    if length < 2 or np.any(lengths != length) or len(step) - starts[-1] > length:
        return step
    stride = float(2 * step[length - 1] - step[length - 2] - step[0])
    unrolled: FloatArray = step + stride * (np.arange(len(step)) // length)
    return unrolled


def _place(columns: list[Column], axes: dict[int, FloatArray], collector: Collector, *, epochs: bool) -> list[str]:
    """Give each column its steps: its own, those of records of the same number, or its place in the list."""
    losses = [column.size for column in columns if "loss" in column.name.lower()]
    longest = max(losses or [column.size for column in columns], default=0)
    for column in columns:
        if column.step is not None and len(column.step) == column.size:
            axes.setdefault(column.size, column.step)
    axis = axes.get(longest, np.arange(longest, dtype=np.float64))
    notes = []
    for column in columns:
        at = column.index.astype(np.intp)
        if column.step is not None:
            step = column.step
        elif column.size in axes:
            step = axes[column.size][at]
        elif column.size * _OTHER_CLOCK <= longest:
            step = axis[((at + 1) * longest) // column.size - 1]
            notes.append(
                f"{column.name} has {counted(column.size, 'value')} to {longest} of the loss: "
                "they are taken as evenly spaced over the run"
            )
        else:
            step = column.index
        collector.add(column.name, step, column.value, epoch=step if epochs else None, time=column.time)
    return notes[:10]
