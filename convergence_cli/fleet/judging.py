"""What a worker does: read the runs of a job and judge each. Its answer is bytes, which any process can pass on."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from convergence_cli.codec import plain, run_data
from convergence_cli.model import Run, RunError
from convergence_cli.pipeline import judged
from convergence_cli.reading.parts import Span, joined, span_of
from convergence_cli.reading.runs import read_unit
from convergence_cli.row import RunRow, row_of
from convergence_cli.summary import DRAWN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from convergence_cli.model import RunReport
    from convergence_cli.reading.units import Unit
    from convergence_cli.settings import Settings

MAX_SETTINGS = 500
MAX_TEXT = 80
# What a reader says of the log, which is no setting of the run.
_OF_THE_READER = frozenset({"x", "as_of", "framework"})


@dataclass(frozen=True, slots=True)
class Job:
    """``units`` to read and judge with ``settings``; several only where they hold the parts of one run.

    ``packed``: the answer is to have reports as bytes. ``buckets``: of each curve in a report so many at most.
    """

    units: tuple[Unit, ...]
    settings: Settings
    packed: bool = True
    buckets: int = DRAWN


@dataclass(frozen=True, slots=True)
class JudgedRun:
    """One run: its line, its settings, where it begins and ends, and its report, or that as compressed JSON."""

    row: RunRow
    settings: Mapping[str, Any]
    span: Span | None
    report: bytes | RunReport

    def without_report(self) -> JudgedRun:
        """The same, light."""
        return replace(self, report=b"")


@dataclass(frozen=True, slots=True)
class Judged:
    """The answer to a job."""

    runs: tuple[JudgedRun, ...] = ()
    errors: tuple[RunError, ...] = ()


def judge(job: Job) -> Judged:
    """Read and judge ``job``; whatever is wrong with its files is an error in the answer."""
    items = [item for unit in job.units for item in read_unit(unit, job.settings)]
    errors = [item for item in items if isinstance(item, RunError)]
    runs = [item for item in items if isinstance(item, Run)]
    if len(job.units) > 1 and len(runs) > 1:
        runs = [joined(runs)]
    kept = []
    for run in runs:
        report, error = judged(run, job.settings, job.buckets)
        if error is not None:
            errors.append(error)
        row, span = row_of(report), span_of(run, job.units[0].above)
        kept.append(JudgedRun(row, settings_of(run), span, packed(run_data(report)) if job.packed else report))
    return Judged(tuple(kept), tuple(errors))


def settings_of(run: Run) -> dict[str, Any]:
    """What ``run`` says of itself that is a number, a switch or a short text."""
    found = {}
    for key, value in run.config.items():
        if key in _OF_THE_READER:
            continue
        if isinstance(value, (bool, int, float)) or (isinstance(value, str) and len(value) <= MAX_TEXT):
            found[key] = value
        if len(found) >= MAX_SETTINGS:
            break
    return found


def packed(data: Any) -> bytes:
    """``data``, which is plain, as compressed JSON."""
    import zlib

    import orjson

    try:
        text = orjson.dumps(data)
    except TypeError:
        # A path of the file system may be no text in any encoding; JSON in ASCII carries it all the same.
        text = json.dumps(data, allow_nan=False).encode("ascii")
    return zlib.compress(text, 1)


def unpacked(data: bytes) -> Any:
    """What ``packed`` was given; raises ValueError where it is damaged."""
    import zlib

    import orjson

    try:
        text = zlib.decompress(data)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)


def line_data(run: JudgedRun) -> dict[str, Any]:
    """``run`` but for its report, as plain JSON data."""
    span = None if run.span is None else plain(run.span)
    return {"row": plain(run.row), "settings": plain(run.settings), "span": span}


def line_from(data: Mapping[str, Any], report: bytes) -> JudgedRun:
    """The run of which ``line_data`` gave ``data``; raises TypeError or KeyError for anything else."""
    row = {item.name: data["row"][item.name] for item in fields(RunRow)}
    row["spark"] = tuple(row["spark"])
    for key in ("change", "tensors"):
        row[key] = None if row[key] is None else tuple(row[key])
    span = data["span"]
    if span is not None:
        span = {item.name: span[item.name] for item in fields(Span)}
        span |= {"step": tuple(span["step"]), "level": tuple(span["level"])}
        span |= {"series": _tupled(span["series"]), "settings": _tupled(span["settings"])}
        span = Span(**span)
    return JudgedRun(RunRow(**row), data["settings"], span, report)


def _tupled(value: Any) -> Any:
    return tuple(map(_tupled, value)) if isinstance(value, list) else value
