"""ClearML without a server: ``offline-<id>/metrics.jsonl`` beside ``task.json``, or the archive of that folder.

Each line is a list of events ``{"metric", "variant", "iter", "value", "type", "timestamp"}``; the layout is that of
clearml/backend_interface/metrics/interface.py. A scalar is the series ``metric/variant``.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from convergence_cli.errors import SourceError
from convergence_cli.model import Run
from convergence_cli.printable import counted, printable
from convergence_cli.readers._archive import SIGNATURE, member_blocks, names_in
from convergence_cli.readers._collect import Collector
from convergence_cli.readers._guard import MAX_CONFIG_BYTES, Source, parse_json
from convergence_cli.readers._json_lines import parse_line
from convergence_cli.readers._json_table import number
from convergence_cli.readers.config import canonical

if TYPE_CHECKING:
    from convergence_cli.model import Curve
    from convergence_cli.readers._guard import ReadOptions

FORMAT = "clearml"
METRICS_FILE, TASK_FILE = "metrics.jsonl", "task.json"
_SCALAR = "training_stats_scalar"
# What report_single_value writes in place of a step.
_NO_STEP = -(1 << 31)
_LONGEST_EVENT = 1 << 20
_MILLISECONDS = 1e3
_EVENT = re.compile(rb'\{(?:[^{}"]|"(?:[^"\\]|\\.)*")*\}')
_BETWEEN = re.compile(rb"\][ \r]*\n\s*\[")
_FIRST = re.compile(rb'\[\s*\{[^{}]{0,2000}"(?:metric|variant|msg)"\s*:')
# A loss that falls to exactly 0 from above this share of its first value did not get there by learning.
_FAR_FROM_ZERO = 1e-3


def sniff(source: Source) -> float:
    """A list of events, or an archive with the two files that make an offline task."""
    head = source.head
    if head.startswith(SIGNATURE):
        try:
            return 0.95 if _member(names_in(source), METRICS_FILE) is not None else 0.0
        except SourceError:
            return 0.2 if source.path.name.startswith("offline-") else 0.0
    if not _FIRST.match(head.lstrip()[:4000]) or b'"iter"' not in head[:4000]:
        return 0.0
    return 0.95 if b'"variant"' in head[:4000] and b'"type"' in head[:4000] else 0.0


def read(sources: Sequence[Source], options: ReadOptions) -> list[Run]:
    """One run a folder or archive."""
    del options
    return [_read(source) for source in sources]


@dataclass(slots=True)
class _State:
    """What was met: points a series since the last hand-over, and what is no point."""

    points: dict[str, list[tuple[float, float, float]]] = field(default_factory=lambda: defaultdict(list))
    others: int = 0
    bad: int = 0
    long: int = 0
    torn: bool = False


def _read(source: Source) -> Run:
    collector = Collector(source.shown)
    state = _State()
    blocks, about = _contents(source)
    for events in _events(blocks, state):
        _take(events, state)
        for name, points in state.points.items():
            step, value, time = np.array(points, dtype=np.float64).T.copy()
            collector.add(name, step, value, time=time)
        state.points.clear()
    curves, masked = _unmasked(collector.curves())
    if not curves:
        raise source.error(
            "is the record of a ClearML task that reported no scalar.", "Report the loss with Logger.report_scalar."
        )
    config, notes = _task(source, about)
    notes += masked
    if state.bad:
        notes.append(f"skipped {counted(state.bad, 'event')} that could not be read")
    if state.long:
        notes.append(f"dropped {counted(state.long, 'event')} longer than {_LONGEST_EVENT:,} bytes")
    if state.torn:
        notes.append("dropped the last event, which was cut off")
    if collector.dropped:
        notes.append(f"read the first {len(curves)} series; more were left out")
    name = config.get("task_name") or source.path.parent.name or source.path.stem
    return Run(str(name), source.shown, FORMAT, curves, canonical(config), (*source.notes, *notes))


def _contents(source: Source) -> tuple[Iterable[bytes], bytes]:
    """The blocks of the metrics, and the description of the task (empty where there is none)."""
    if source.head.startswith(SIGNATURE):
        names = names_in(source)
        metrics, task = _member(names, METRICS_FILE), _member(names, TASK_FILE)
        if metrics is None:
            raise source.error("is an archive without metrics.jsonl.", "Give the archive of an offline ClearML task.")
        about = b""
        if task is not None:
            for block in member_blocks(source, task):
                about += block
                if len(about) > MAX_CONFIG_BYTES:
                    about = b""
                    source.notes.append(f"{TASK_FILE} is larger than settings may be: it was not read")
                    break
        return member_blocks(source, metrics), about
    beside = source.path.parent / TASK_FILE
    if source.stream is not None or not beside.is_file():
        return source.blocks(), b""
    try:
        return source.blocks(), Source(beside, str(beside), follow_links=False).read_all(MAX_CONFIG_BYTES)
    except SourceError as error:
        source.notes.append(f"could not read {TASK_FILE}: {error.message}")
        return source.blocks(), b""


def _member(names: Sequence[str], wanted: str) -> str | None:
    """The one member of that name which lies highest; None where there is none, or it is another program's."""
    if not any(name.rsplit("/", 1)[-1] == TASK_FILE for name in names):
        return None
    found = [name for name in names if name.rsplit("/", 1)[-1] == wanted]
    return min(found, key=lambda name: (name.count("/"), name), default=None)


def _events(blocks: Iterable[bytes], state: _State) -> Iterator[list[Any]]:
    """The events of each block: whole ones, whatever the lists they are written in."""
    tail = b""
    for block in blocks:
        data = tail + block
        cut = max(data.rfind(b"},"), data.rfind(b"}]")) + 1
        tail = data[cut:]
        if cut:
            yield _parsed(data[:cut], state)
        if len(tail) > _LONGEST_EVENT:
            tail = b""
            state.long += 1
    if tail.strip(b" \t\r\n],"):
        state.torn = True


def _parsed(data: bytes, state: _State) -> list[Any]:
    joined = _BETWEEN.sub(b",", data.strip().lstrip(b"],[ \r\n"))
    try:
        events = parse_line(b"[" + joined + b"]")
    except ValueError:
        events = []
        for match in _EVENT.finditer(data):
            try:
                events.append(parse_line(match.group()))
            except ValueError:
                state.bad += 1
        state.bad += not events
    return list(events)


def _take(events: list[Any], state: _State) -> None:
    for event in events:
        if not isinstance(event, dict):
            state.bad += 1
            continue
        if event.get("type") != _SCALAR:
            state.others += 1
            continue
        metric, variant = event.get("metric"), event.get("variant")
        step, value, clock = (number(event.get(key)) for key in ("iter", "value", "timestamp"))
        if not isinstance(metric, str) or step is None or value is None or not np.isfinite(step):
            state.bad += 1
        elif step != _NO_STEP:
            own = isinstance(variant, str) and variant and variant != metric
            name = f"{metric}/{variant}" if own else metric
            state.points[name].append((step, value, np.nan if clock is None else clock / _MILLISECONDS))


def _unmasked(curves: Sequence[Curve]) -> tuple[tuple[Curve, ...], list[str]]:
    """``curves`` with NaN where ClearML wrote 0 for it, as it does unless told otherwise, and notes on those.

    Only the end of a loss is taken so, and only where the loss was far from zero before.
    """
    found, notes = [], []
    for logged in curves:
        curve = logged
        nonzero = np.flatnonzero(curve.value != 0)
        last = int(nonzero[-1]) if len(nonzero) else -1
        zeros = len(curve.value) - 1 - last
        if curve.buckets is None and "loss" in curve.name.lower() and last >= 0 and zeros:
            before, first = abs(float(curve.value[last])), abs(float(curve.value[nonzero[0]]))
            if not before <= _FAR_FROM_ZERO * first:
                value = curve.value.copy()
                value[last + 1 :] = np.nan
                curve = replace(curve, value=value)
                told = f"{printable(curve.name, 60)} ends in {counted(zeros, 'value')} of exactly 0"
                notes.append(f"{told}: ClearML writes 0 for NaN and infinity, and they were read as NaN")
        found.append(curve)
    return tuple(found), notes


def _task(source: Source, about: bytes) -> tuple[dict[str, Any], list[str]]:
    """The settings and the name in ``task.json``; a note where it cannot be read."""
    if not about.strip():
        return {}, []
    try:
        data = parse_json(source, about)
    except SourceError:
        return {}, [f"{TASK_FILE} is no JSON: the settings were not read"]
    if not isinstance(data, dict):
        return {}, []
    config: dict[str, Any] = {}
    sections = data.get("hyperparams")
    for section in sections.values() if isinstance(sections, dict) else ():
        for key, item in section.items() if isinstance(section, dict) else ():
            if isinstance(item, dict) and "value" in item:
                # "Args/optim/lr" is how ClearML writes the nested key.
                config.setdefault(key.replace("/", "."), item["value"])
    if isinstance(data.get("name"), str):
        config["task_name"] = data["name"]
    return config, []
