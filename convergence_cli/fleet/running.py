"""From paths to one report on all runs: units to jobs, jobs to workers, answers to the report."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from convergence_cli import __version__
from convergence_cli.errors import SettingsError
from convergence_cli.fleet.columns import Columns
from convergence_cli.fleet.executor import Here, Lost, cores
from convergence_cli.fleet.judging import Job, Judged, JudgedRun, judge
from convergence_cli.fleet.kept import HELD, KeptReports, Shelf
from convergence_cli.fleet.traits import groups, traits, varied
from convergence_cli.model import Fleet, Report, RunError
from convergence_cli.printable import printable
from convergence_cli.reading.parts import chains
from convergence_cli.reading.runs import refused
from convergence_cli.reading.units import units_at
from convergence_cli.row import worst_first
from convergence_cli.selection import did_you_mean
from convergence_cli.summary import DRAWN, THUMBNAIL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from convergence_cli.fleet.executor import Executor
    from convergence_cli.fleet.store import Store
    from convergence_cli.reading.units import Units
    from convergence_cli.row import RunRow
    from convergence_cli.settings import Settings

# Fewer runs are judged in this process, and neither looked up nor kept.
FEW = 12


@dataclass(frozen=True, slots=True)
class Progress:
    """``done`` of ``total`` places are read, ``failing`` of ``runs`` runs fail, and ``fresh`` came just now."""

    done: int
    total: int
    runs: int
    failing: int
    fresh: tuple[RunRow, ...]


@dataclass(slots=True)
class _Gathered:
    """What has been judged so far."""

    shelf: Shelf = field(default_factory=Shelf)
    runs: list[JudgedRun] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    errors: dict[int, tuple[RunError, ...]] = field(default_factory=dict)
    places: list[int] = field(default_factory=list)

    def add(self, place: int, job: Job, answer: Judged) -> None:
        for run in answer.runs:
            self.numbers.append(self.shelf.put(run.report))
            self.runs.append(run.without_report())
            self.jobs.append(job)
            self.places.append(place)
        if answer.errors:
            self.errors[place] = answer.errors


def analyze_fleet(
    paths: Sequence[str],
    settings: Settings,
    *,
    executor: Executor | None = None,
    group_by: Sequence[str] = (),
    cached: bool = True,
    dumps: bool = True,
    worst_comes_first: bool = True,
    progress: Callable[[Progress], None] | None = None,
) -> Report:
    """The report on every run at ``paths``, the worst first or as they were asked for. What cannot be read is an error.

    ``executor`` does the work; without one, this process where the runs are few, else one process a core. An
    interrupt ends the work and keeps what is done: the report then says so. Raises ``SettingsError`` where no run has
    a setting of ``group_by``.
    """
    found = [units_at(path, dumps=dumps) for path in paths]
    units = [unit for one in found for unit in one.units]
    many = len(units) > FEW
    # What is cached is of many runs: a report on few never finds curves there that were drawn for a table.
    buckets = THUMBNAIL if many else DRAWN
    jobs = [Job((unit,), settings, packed=many or executor is not None, buckets=buckets) for unit in units]
    gathered = _Gathered()
    interrupted = False
    try:
        _work(jobs, executor or _executor(many), gathered, progress, cached=many and cached)
        _join_parts(gathered, [number for number, one in enumerate(found) for _ in one.units])
    except KeyboardInterrupt:
        if not gathered.runs:
            raise
        interrupted = True
    errors = list(_errors(found, gathered, interrupted))
    if interrupted:
        message = f"Interrupted: {len({*gathered.places, *gathered.errors}):,} of {len(jobs):,} runs were judged."
        errors.append(RunError(", ".join(paths[:3]), message, "Run it again: what was judged is not judged anew."))
    return _report(gathered, errors, group_by, len(jobs), interrupted, worst_comes_first)


def _executor(many: bool) -> Executor:
    if not many or cores() == 1:
        return Here()
    from convergence_cli.fleet.processes import Processes

    return Processes(cores())


def _work(
    jobs: Sequence[Job],
    executor: Executor,
    gathered: _Gathered,
    progress: Callable[[Progress], None] | None,
    *,
    cached: bool,
) -> None:
    if not cached:
        _do(jobs, executor, gathered, progress, None)
        return
    from convergence_cli.fleet.store import Store, cache_file

    with Store(cache_file()) as store:
        _do(jobs, executor, gathered, progress, store)


def _do(
    jobs: Sequence[Job],
    executor: Executor,
    gathered: _Gathered,
    progress: Callable[[Progress], None] | None,
    store: Store | None,
) -> None:
    """Judge ``jobs``, those that ``store`` has an answer to excepted; new answers go there."""
    places = {id(job): place for place, job in enumerate(jobs)}
    keys = None if store is None else store.keys(jobs[0].settings)
    waiting: dict[int, bytes] = {}
    done = failing = 0

    def take(job: Job, answer: Judged) -> None:
        nonlocal done, failing
        done += 1
        place = places[id(job)]
        gathered.add(place, job, answer)
        failing += sum(run.row.fails for run in answer.runs)
        if progress is not None:
            fresh = tuple(run.row for run in answer.runs)
            progress(Progress(done, len(jobs), len(gathered.runs), failing, fresh))

    def unknown() -> Iterator[Job]:
        for job in jobs:
            key = keys.key(job) if keys is not None else None
            answer = store.get(key) if store is not None and key is not None else None
            if answer is not None:
                take(job, answer)
                continue
            if key is not None:
                waiting[id(job)] = key
            yield job

    ours = {place: job for place, job in enumerate(jobs) if _stays_here(job)}
    for job, answer in executor.run(judge, (job for job in unknown() if places[id(job)] not in ours)):
        judged = _lost(job, answer) if isinstance(answer, Lost) else answer
        take(job, judged)
        key = waiting.pop(id(job), None)
        if store is not None and key is not None and not isinstance(answer, Lost):
            store.put(key, judged)
    for job in ours.values():
        take(job, judge(job))


def _stays_here(job: Job) -> bool:
    """Whether what it reads is a stream of this process."""
    return any(unit.source is not None and unit.source.stream is not None for unit in job.units)


def _lost(job: Job, answer: Lost) -> Judged:
    unit = job.units[0]
    path = str(unit.groups[0].members[0]) if unit.groups else unit.path
    message = f"{printable(path)} could not be judged: {answer.reason}."
    return Judged(errors=(RunError(path, message, "Analyse it by itself, on a machine with more memory."),))


def _join_parts(gathered: _Gathered, asked: Sequence[int]) -> None:
    """Read parts of one run that lie in different places below one path again, together.

    ``asked`` is the path of each place. Runs that are named one by one are judged one by one: to take them for parts
    could hide one that fails.
    """
    order = sorted(range(len(gathered.runs)), key=lambda number: gathered.places[number])
    below: dict[int, list[int]] = defaultdict(list)
    for number in order:
        below[asked[gathered.places[number]]].append(number)
    gone: set[int] = set()
    for parts in (
        [own[one] for one in chain]
        for own in below.values()
        for chain in chains([gathered.runs[number].span for number in own])
    ):
        jobs = [gathered.jobs[part] for part in parts]
        # A place with more than one run cannot be read again for just one of them.
        if any(gathered.places.count(gathered.places[part]) > 1 for part in parts):
            continue
        job = Job(tuple(unit for one in jobs for unit in one.units), jobs[0].settings, jobs[0].packed, jobs[0].buckets)
        answer = judge(job)
        if len(answer.runs) == 1:
            gone.update(parts)
            for part in parts:
                # What was wrong there is told again by the whole.
                gathered.errors.pop(gathered.places[part], None)
            gathered.add(gathered.places[parts[0]], job, answer)
    for number in sorted(gone, reverse=True):
        for column in (gathered.runs, gathered.numbers, gathered.jobs, gathered.places):
            del column[number]


def _errors(found: Sequence[Units], gathered: _Gathered, interrupted: bool) -> Iterator[RunError]:
    place = 0
    for one in found:
        yield from map(refused, one.errors)
        places = range(place, place + len(one.units))
        place += len(one.units)
        told = [error for number in places for error in gathered.errors.get(number, ())]
        yield from told
        if not told and not interrupted and one.nothing is not None and not set(places) & set(gathered.places):
            yield refused(one.nothing)


def _report(
    gathered: _Gathered,
    errors: Sequence[RunError],
    group_by: Sequence[str],
    total: int,
    interrupted: bool,
    worst_comes_first: bool,
) -> Report:
    in_order = sorted(range(len(gathered.runs)), key=lambda number: gathered.places[number])
    rows = [gathered.runs[number].row for number in in_order]
    order = [in_order[number] for number in worst_first(rows)] if worst_comes_first else in_order
    rows = [gathered.runs[number].row for number in order]
    numbers = [gathered.numbers[number] for number in order]
    columns = Columns()
    for number in order:
        columns.add(gathered.runs[number].settings)
    _check(group_by, columns)
    runs: Any = KeptReports(gathered.shelf, numbers, rows)
    if len(order) <= HELD:
        runs = tuple(map(gathered.shelf.get, numbers))
    fleet = None
    if total > 1 or len(order) > 1 or interrupted:
        fleet = Fleet(
            found=max(total, len(order)),
            varied=varied(columns),
            traits=traits(rows, columns),
            group_by=tuple(group_by),
            groups=groups(rows, columns, group_by) if group_by else (),
            interrupted=interrupted,
        )
    return Report(runs, tuple(errors), __version__, fleet)


def _check(group_by: Sequence[str], columns: Columns) -> None:
    known = columns.known()
    for key in group_by:
        if key not in known:
            hint = did_you_mean(key, known) if known else "None of the runs says anything of its settings."
            raise SettingsError(f"No run has a setting called {printable(key)}.", hint)
