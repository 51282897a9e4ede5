"""SageMaker Debugger trial folders, read without smdebug: losses, metrics and saved scalars as series.

Steps are global: they count the forward passes of all modes together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from convergence_cli.model import Run
from convergence_cli.printable import counted, printable
from convergence_cli.readers._collect import Collector
from convergence_cli.readers._smdebug_index import Record, open_saved, records
from convergence_cli.readers._smdebug_names import SCALAR, Contents, contents, reduction
from convergence_cli.readers._smdebug_record import NO_CHECKSUM
from convergence_cli.readers._smdebug_trial import Trial, is_trial, open_trial
from convergence_cli.readers._tfrecord import HEADER_BYTES, record_length

if TYPE_CHECKING:
    from convergence_cli.errors import SourceError
    from convergence_cli.model import Curve, FloatArray
    from convergence_cli.readers._guard import ReadOptions, Source

FORMAT = "smdebug"
# A record with one number has its name three times and little else; one with a loss a sample may be longer.
_SCALAR_BYTES = 1 << 16
_HEAD_BYTES = 4096
_MAX_SETTINGS = 5000
_ROLES = {"train": "train_loss", "eval": "val_loss"}
_TELLING = ("train", "val", "eval", "test")


@dataclass(slots=True)
class _Points:
    """The values logged under one name in one mode: (step of the file, value, time), in the order of the log."""

    what: str
    points: list[tuple[int, float, float]] = field(default_factory=list)


def sniff(source: Source) -> float:
    """1 for the folder of a trial and for an event or index file from inside one."""
    if source.stream is None and source.path.is_dir():
        return 1.0 if is_trial(source.path) else 0.0
    head = next(source.blocks(_HEAD_BYTES, raw=True), b"")
    length = record_length(head[:HEADER_BYTES])
    if length is not None:
        footer = head[HEADER_BYTES + length : HEADER_BYTES + length + 4]
        return 1.0 if len(footer) == 4 and int.from_bytes(footer, "little") == NO_CHECKSUM else 0.0
    index = b'"tensor_payload"' in head and b'"event_file_name"' in head
    manifest = source.path.name.endswith("_collections.json") and b'"save_config"' in head
    return 1.0 if index or manifest else 0.0


def read(sources: Sequence[Source], options: ReadOptions) -> list[Run]:
    """One run: the series of the trial's first worker. ``sources`` is its folder; a file of it is refused."""
    root = sources[0].path
    if sources[0].stream is not None or not root.is_dir():
        raise _inside(sources[0])
    trial = open_trial(root)
    known = contents(trial.collections)
    series, config = _gathered(trial, known)
    notes: list[str] = []
    curves = _curves(series, [one.step for one in trial.saved if one.worker == trial.workers[0]], notes)
    if len(trial.workers) > 1:
        shown = printable(trial.workers[0])
        notes.append(f"the series are those of worker {shown}, one of {len(trial.workers):,} workers")
    if not curves:
        notes.append("no losses or scalars have been saved")
    if config:
        from convergence_cli.readers.config import canonical

        config = canonical(config)
    return [Run(root.name or str(root), str(root), FORMAT, curves, config, (*notes, *trial.troubles.notes()))]


def _inside(source: Source) -> SourceError:
    folder = next((parent for parent in source.path.absolute().parents if is_trial(parent)), None)
    where = "the folder that holds its events/ and index/" if folder is None else printable(_shortest(folder))
    return source.error("is one file of a SageMaker Debugger trial.", f"Point ctroubleshoot at the trial: {where}.")


def _shortest(folder: Path) -> Path:
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder


def _gathered(trial: Trial, known: Contents) -> tuple[dict[tuple[str, str], _Points], dict[str, Any]]:
    """The single numbers by (name, mode), and the hyperparameters."""
    series: dict[tuple[str, str], _Points] = {}
    config: dict[str, Any] = {}
    for saved in trial.saved:
        if saved.worker != trial.workers[0]:
            continue
        for record in records(trial, open_saved(trial, saved), largest=_SCALAR_BYTES):
            name = record.message.name
            if reduction(name):
                continue
            what = known.of(name)
            if what == "setting":
                if len(config) < _MAX_SETTINGS:
                    config[name.partition("/")[2]] = _setting(record)
                continue
            single = record.message.count == 1 and len(record.message.shape) <= 1
            if what not in ("loss", "metric") and (what or record.message.shape):
                continue
            if what != "loss" and not single:
                continue
            values = record.numbers()
            if values is None or not len(values):
                continue
            one = series.setdefault((name, record.mode), _Points(what))
            # Without a reduction a loss has one value a sample: training minimises their mean or sum.
            one.points.append((saved.step, float(values.mean()), record.message.time))
    return series, config


def _setting(record: Record) -> Any:
    if record.message.texts:
        return record.message.texts[0].decode("utf-8", "replace")
    values = record.numbers()
    if values is None or len(values) != 1:
        return None
    return int(values[0]) if record.message.dtype.startswith(("int", "uint")) else float(values[0])


def _curves(series: dict[tuple[str, str], _Points], saved: Sequence[int], notes: list[str]) -> tuple[Curve, ...]:
    """The series under names that tell their mode, on the global step; ``saved`` are the steps of the files."""
    modes: dict[str, set[str]] = defaultdict(set)
    losses: dict[str, int] = defaultdict(int)
    for (name, mode), one in series.items():
        modes[name].add(mode)
        losses[mode] += one.what == "loss"
    collector = Collector()
    roles: dict[str, str] = {}
    for (name, mode), one in series.items():
        plain = name.removeprefix(SCALAR)
        telling = name.startswith(SCALAR) and (len(modes[name]) == 1 or any(word in plain for word in _TELLING))
        shown = plain if telling or not mode else f"{mode}/{plain}"
        steps, kept = _spread(one.points, saved, shown, notes)
        values, times = (np.array([one.points[i][column] for i in kept]) for column in (1, 2))
        collector.add(shown, steps, values, time=times)
        if one.what == "loss" and losses[mode] == 1 and mode in _ROLES:
            roles[shown] = _ROLES[mode]
    if collector.dropped:
        notes.append(f"there are too many series: {len(collector.dropped):,} were left out")
    return tuple(replace(curve, role=roles.get(curve.name)) for curve in collector.curves())


def _spread(
    points: Sequence[tuple[int, float, float]], saved: Sequence[int], name: str, notes: list[str]
) -> tuple[FloatArray, list[int]]:
    """The step of each point, and the indices of those that are kept.

    What is logged between two saved steps is written with the step of the first. Such points are spread evenly
    over the steps up to the next saved one; where there are more points than steps, the last of a step is kept.
    """
    gaps = {first: after - first for first, after in pairwise(saved)}
    gaps[saved[-1]] = gaps[saved[-2]] if len(saved) > 1 else len(points)
    written: dict[int, list[int]] = {}
    for i, (step, _, _) in enumerate(points):
        written.setdefault(step, []).append(i)
    kept: dict[int, int] = {}
    for step, members in written.items():
        for place, i in enumerate(members):
            kept[step + place * gaps[step] // len(members)] = i
    estimated = sum(step != points[i][0] for step, i in kept.items())
    if estimated:
        notes.append(
            f"{printable(name)}: the steps of {counted(estimated, 'point')} are estimated, since scalars that are "
            "logged between two saved steps are written without theirs"
        )
    if len(kept) < len(points):
        notes.append(f"{printable(name)}: of several points at one step the last is kept")
    return np.array(list(kept), dtype=np.float64), list(kept.values())
