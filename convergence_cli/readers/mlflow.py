"""MLflow's file store: one file a metric below ``metrics/``, lines of ``timestamp value [step]``.

Source of the layout: mlflow/store/tracking/file_store.py. Five fields end in a dataset's name and digest.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.model import Run
from convergence_cli.printable import counted, printable
from convergence_cli.readers._collect import Collector
from convergence_cli.readers._json_table import number
from convergence_cli.readers._mlflow_meta import meta_of

if TYPE_CHECKING:
    from pathlib import Path

    from convergence_cli.readers._guard import ReadOptions, Source

FORMAT = "mlflow"
_LINE = re.compile(rb"\d{12,14} (\S{1,40})(?: -?\d{1,18}(?: \S+ \S+)?)?")
_SNIFFED_LINES = 20
_FIELDS = (2, 3, 5)
_MILLISECONDS = 1e3


def sniff(source: Source) -> float:
    """Lines of a clock in milliseconds, a number and a step."""
    lines = [line.strip() for line in source.head.splitlines()[:_SNIFFED_LINES] if line.strip()]
    if not lines:
        return 0.0
    fitting = 0
    for line in lines:
        match = _LINE.fullmatch(line)
        fitting += match is not None and number(match.group(1).decode("ascii", "replace")) is not None
    return 0.9 * fitting / len(lines) if fitting * 2 > len(lines) else 0.0


def read(sources: Sequence[Source], options: ReadOptions) -> list[Run]:
    """One run: ``sources`` are the metric files of it, each named by its path below ``metrics``."""
    del options
    collector = Collector()
    notes: list[str] = []
    for source in sources:
        notes.extend(_read_metric(source, collector))
    curves = collector.curves()
    if not curves:
        raise sources[0].error(
            "holds no line of the form 'timestamp value step'.", "Give the run folder that holds metrics/."
        )
    if collector.dropped:
        notes.append(f"read the first {len(curves)} series; more were left out")
    home = _store(sources[0].path)
    shown = sources[0].shown if len(sources) == 1 or home is None else str(home)
    if home is None:
        return [Run(sources[0].path.stem, shown, FORMAT, curves, {}, tuple(dict.fromkeys(notes)))]
    meta = meta_of(home.parent)
    config = {"run_name": meta.name} if meta.name else {}
    told = [f"run {printable(meta.name)}"] if meta.name else []
    name = meta.name or home.parent.name
    return [Run(name, shown, FORMAT, curves, config, tuple(dict.fromkeys((*told, *meta.notes, *notes))))]


def metric_name(path: Path) -> str:
    """The metric's name: the path below the nearest folder called ``metrics``, or the file's name."""
    home = _store(path)
    return path.name if home is None else path.relative_to(home).as_posix()


def _store(path: Path) -> Path | None:
    return next((folder for folder in path.parents if folder.name == "metrics"), None)


def _read_metric(source: Source, collector: Collector) -> list[str]:
    """Give the points of one file to ``collector``, in blocks; returns notes."""
    name = metric_name(source.path)
    bad = rows = 0
    torn = steps_seen = False
    for data in source.line_blocks():
        lines = data.splitlines()
        if not data.endswith((b"\n", b"\r")) and rows:
            # Cut off anywhere, a number is still a number: a last line without its end is not believed.
            torn = True
            continue
        points = []
        for line in lines:
            point = _point(line)
            if point is not None:
                points.append(point)
            elif line.strip():
                bad += 1
        if not points:
            continue
        time, value, step = np.array(points, dtype=np.float64).T
        steps_seen |= bool(np.any(step != 0))
        if not steps_seen:
            order = np.argsort(time, kind="stable")
            time, value = time[order], value[order]
            step = np.arange(rows, rows + len(points), dtype=np.float64)
        rows += len(points)
        collector.add(name, step, value, time=time / _MILLISECONDS)
    notes = list(source.notes)
    if rows > 1 and not steps_seen:
        notes.append("no steps were logged: points stand in the order of their timestamps")
    if bad:
        notes.append(f"skipped {counted(bad, 'line')} of something other than 'timestamp value step'")
    if torn:
        notes.append("dropped a last line that was cut off")
    return notes


def _point(line: bytes) -> tuple[float, float, float] | None:
    parts = line.split()
    if len(parts) not in _FIELDS or not parts[0].isdigit() or len(parts[0]) > 18:
        return None
    value = number(parts[1].decode("utf-8", "replace"))
    if value is None:
        return None
    if len(parts) == 2:
        return float(parts[0]), value, 0.0
    step = number(parts[2].decode("utf-8", "replace"))
    return (float(parts[0]), value, step) if step is not None and abs(step) < float("inf") else None
