"""Remedies tried from Python: the user's training is a function of its settings."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from convergence_cli import __version__
from convergence_cli.errors import CtroubleshootError, UsageError
from convergence_cli.model import Curve, Report, Run, RunReport
from convergence_cli.outcome import Attempt, Checks, Trial, Trials
from convergence_cli.pipeline import as_run
from convergence_cli.printable import printable
from convergence_cli.settings import Settings
from convergence_cli.trials.change import SEED, present
from convergence_cli.trials.judging import Before, judge
from convergence_cli.trials.reading import Reading
from convergence_cli.trials.shortlist import shortlist

if TYPE_CHECKING:
    from convergence_cli.model import Remedy

Train = Callable[[dict[str, Any]], Any]


def try_remedies(
    train: Train,
    report: RunReport | Report,
    *,
    remedies: int = 1,
    seeds: int = 1,
    everything: bool = False,
    control: bool = False,
    before: Any = None,
    config: Mapping[str, Any] | None = None,
    settings: Settings | None = None,
) -> Trials:
    """Call ``train`` with the settings that the remedies of ``report`` propose, and say which of them cured the run.

    ``train(config)`` trains and gives its log: a ``Run``, a path, a data frame, or a mapping of lists, one a series
    (such as ``{"step": [...], "loss": [...]}``). ``config`` is what the run said of its settings, updated with
    ``config`` of this call and then with the change; with several ``seeds`` it also holds ``seed``.
    An exception of ``train`` counts as a trial that failed (of the control, it goes through, as an interrupt does).

    ``remedies``: try the first so many that have a value, until one cures (``everything``: go on then).
    ``before`` is the log of the run itself, as for ``train``; by default it is read from ``report.path`` again, or
    taken from the drawing of the curves in ``report`` where there is nothing to read. With ``control``, ``train`` is
    called with the present settings first, and that is compared with. ``settings``: as for ``diagnose``.

    Raises ``UsageError`` where no remedy has a value, or ``report`` is not on one run.
    """
    settings = settings or Settings()
    one = _one(report)
    if min(remedies, seeds) < 1:
        raise UsageError("remedies and seeds are whole numbers from 1 up.", "Leave them out for one of each.")
    chosen, not_tried = shortlist(one, remedies)
    run, notes = _before(one, before, settings)
    known = {**(one.summary.get("config") or {}), **present(run, one.remedies), **(config or {})}
    if control:
        run, notes = as_run(_given(train(dict(known))), settings), ()
    basis = Before(run, one, known, settings)
    attempts = []
    for remedy in chosen:
        trials = tuple(_trial(train, basis, remedy, seed) for seed in _seeds(seeds, known))
        cured = 2 * sum(trial.cured for trial in trials) > len(trials)
        attempts.append(Attempt(remedy, trials, cured))
        if cured and not everything:
            break
    return Trials(one, tuple(attempts), tuple(not_tried), None, notes, __version__)


def _trial(train: Train, basis: Before, remedy: Remedy, seed: int | None) -> Trial:
    config = {**basis.present, **remedy.change}
    if seed is not None:
        config[SEED] = seed
    try:
        given = train(config)
    except Exception as error:  # the user's own code: whatever it raises is the outcome of this trial
        why = f"The training failed: {type(error).__name__}: {printable(error, 400)}"
        return Trial(remedy, "unreadable", why, Checks(False, False), seed)
    try:
        run = as_run(_given(given), basis.settings)
    except (CtroubleshootError, TypeError) as error:
        reason = error.message.rstrip(".") if isinstance(error, CtroubleshootError) else str(error)
        return judge(basis, remedy, Reading(None, reason=reason), seed=seed)
    return judge(basis, remedy, Reading(run, run.path), seed=seed)


def _seeds(count: int, known: Mapping[str, Any]) -> list[int | None]:
    if count == 1:
        return [None]
    first = known.get(SEED)
    start = first if isinstance(first, int) and not isinstance(first, bool) else 0
    return [start + number for number in range(count)]


def _one(report: RunReport | Report) -> RunReport:
    if isinstance(report, RunReport):
        return report
    if isinstance(report, Report) and len(report.runs) == 1:
        return report.runs[0]
    what = f"a report on {len(report.runs)} runs" if isinstance(report, Report) else f"a {type(report).__name__}"
    raise UsageError(f"try_remedies needs the report on one run, and was given {what}.", "Pass report.runs[0].")


def _before(report: RunReport, given: Any, settings: Settings) -> tuple[Run, tuple[str, ...]]:
    """The run that failed: as given, read again, or as drawn in its report."""
    if given is not None:
        return as_run(_given(given), settings), ()
    if os.path.exists(report.path):
        try:
            return as_run(report.path, settings), ()
        except CtroubleshootError:
            pass
    drawn = _drawn(report)
    if not drawn.curves:
        raise UsageError("The report has no curve to compare with.", "Pass the log of the run as before=.")
    return drawn, ("the log of the run is not at hand: compared with the curves in its report, which are coarse",)


def _drawn(report: RunReport) -> Run:
    """The curves of the summary (at most 120 points each) as a run."""
    names = report.summary.get("series") or {}
    curves = []
    for role, curve in (report.summary.get("curves") or {}).items():
        rows = [
            (step, np.nan if mean is None else mean) for step, mean in zip(curve["step"], curve["mean"], strict=True)
        ]
        step, value = np.asarray(rows, dtype=np.float64).reshape(-1, 2).T
        higher = role in ("reward",) or role.endswith("accuracy")
        curves.append(Curve(str(names.get(role, role)), step, value, role, "higher" if higher else "lower"))
    config = {**(report.summary.get("config") or {}), "x": report.summary.get("x", "step")}
    return Run(report.name, report.path, report.format, tuple(curves), config)


class _Columns:
    """A mapping of lists in the shape of a data frame, as far as its reader looks."""

    def __init__(self, lists: Mapping[Any, Any]) -> None:
        lengths = {len(values) for values in lists.values() if hasattr(values, "__len__")}
        if len(lengths) != 1:
            raise TypeError(f"the lists of the mapping are not of one length ({sorted(lengths)})")
        self._lists = {str(name): values for name, values in lists.items()}
        self.columns = tuple(self._lists)
        self.index = range(lengths.pop())

    def __getitem__(self, name: str) -> Any:
        return self._lists[name]

    def __len__(self) -> int:
        return len(self.index)


def _given(log: Any) -> Any:
    """What a training handed back, as ``as_run`` takes it. Raises ``TypeError`` where it is nothing of the kind."""
    if isinstance(log, Mapping):
        return _Columns(log)
    if isinstance(log, (Run, str, os.PathLike)) or hasattr(log, "columns"):
        return log
    raise TypeError(f"the training gave back a {type(log).__name__} and no run, path, data frame or mapping of lists")
