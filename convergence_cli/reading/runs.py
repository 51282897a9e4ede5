"""The runs at a path, with roles, settings and tensors: each once, resumed parts joined."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from convergence_cli.errors import NoLossError, SourceError, UsageError
from convergence_cli.model import Run, RunError
from convergence_cli.printable import printable
from convergence_cli.readers._guard import ReadOptions
from convergence_cli.readers.config import read_config
from convergence_cli.readers.discover import Found, candidates_of, single
from convergence_cli.reading.parts import with_parts_joined
from convergence_cli.reading.twins import without_twins
from convergence_cli.reading.units import units_at
from convergence_cli.roles import assign_roles
from convergence_cli.tensors.attach import Unattached

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from convergence_cli.readers.discover import Candidate
    from convergence_cli.reading.units import Unit
    from convergence_cli.settings import Settings


def runs_at(paths: Sequence[str], settings: Settings, *, dumps: bool = True) -> Iterator[Run | RunError]:
    """Every run at ``paths``, and what could not be read. Holds the runs of one path at a time."""
    for path in paths:
        found = units_at(path, dumps=dumps)
        yield from map(refused, found.errors)
        items = [(item, unit.above) for unit in found.units for item in read_unit(unit, settings)]
        if not items and found.nothing is not None:
            yield refused(found.nothing)
        yield from (item for item, _ in items if isinstance(item, RunError))
        runs = [(item, above) for item, above in items if isinstance(item, Run)]
        yield from with_parts_joined([run for run, _ in runs], [above for _, above in runs])


def read_unit(unit: Unit, settings: Settings) -> list[Run | RunError]:
    """The runs of ``unit`` with what lies beside them, each once; errors first."""
    waiting = Unattached(list(unit.dumps))
    patterned = settings.pattern is not None
    errors: list[RunError] = []
    runs: list[Run] = []
    found = Found((), ())
    try:
        if unit.source is not None:
            found = Found((single(unit.source, patterned),), ())
        else:
            found = candidates_of(unit.groups, patterned=patterned, alone=unit.alone)
    except SourceError as error:
        if not waiting.sets:
            errors.append(refused(error))
    errors.extend(map(refused, found.errors))
    for number, candidate in enumerate(found.candidates, 1):
        try:
            for run in _read(candidate, settings):
                runs.append(waiting.attach(run, candidate, found.candidates[number:]) if unit.tensors else run)
        except SourceError as error:
            errors.append(refused(error))
        except UsageError as error:
            # A series that this run does not have must not cost the report on the others.
            errors.append(RunError(candidate.sources[0].shown, error.message, error.hint))
    dumped = [item if isinstance(item, Run) else refused(item) for item in waiting.runs(unit.path)]
    return [*errors, *with_parts_joined(without_twins(runs)), *dumped]


def refused(error: SourceError) -> RunError:
    """What could not be read, as the report tells it."""
    return RunError(error.path, error.message, error.hint)


def _read(candidate: Candidate, settings: Settings) -> list[Run]:
    runs = candidate.reader.read(candidate.sources, ReadOptions(pattern=settings.pattern))
    source = candidate.sources[0]
    beside: dict[str, Any] = {}
    notes: list[str] = []
    if source.stream is None:
        beside, notes = read_config(candidate.folder, source.path)
    several = len(runs) > 1
    ready = []
    for number, run in enumerate(runs, 1):
        notes_here = [note for one in candidate.sources for note in one.notes] + notes
        named = replace(
            run,
            name=f"{candidate.name}#{number}" if several else candidate.name,
            path=source.shown if len(candidate.sources) == 1 else str(candidate.folder),
            config={**beside, **run.config},
        )
        fresh = [note for note in dict.fromkeys(notes_here) if note not in run.notes]
        ready.append(assign_roles(named.noting(*fresh), settings.metrics))
    if not ready:
        raise NoLossError(
            source.shown,
            f"{printable(source.shown)} holds no series of numbers.",
            "Check that it is the log of a training run.",
        )
    return ready
