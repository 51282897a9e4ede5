"""The frozen data that flows from a log to a report.

Nothing here computes and nothing here imports numpy at run time, so that
``rules`` and ``explain`` start without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from convergence_cli.printable import printable

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd
    from matplotlib.figure import Figure

    from convergence_cli.tensor_stats import TensorStats

    FloatArray = npt.NDArray[np.float64]
    IntArray = npt.NDArray[np.int64]

    class Shown:
        """What ``notebook`` gives to reports and runs when they are first used."""

        def _repr_html_(self) -> str: ...

        def to_frame(self) -> pd.DataFrame: ...

        def plot(self, kind: str = "curves", **look: Any) -> Figure: ...
else:
    Shown = object

Direction = Literal["lower", "higher"]
Severity = Literal["error", "warning", "note"]
Label = Literal["converging", "diverging", "stuck", "overfitting", "undetermined"]
LABELS: tuple[Label, ...] = ("converging", "diverging", "stuck", "overfitting")
FAILING = frozenset({"diverging", "stuck", "overfitting"})
# A verdict less likely than this is told, but breaks no pipeline.
SURE_VERDICT = 0.65
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
# Sets of rules to choose from: our own, and SageMaker Debugger's with its documented defaults.
PROFILES = ("default", "sagemaker")
DEFAULT_PROFILE = PROFILES[0]
SCHEMA_VERSION = 1
# A number that may be unknown, and may be infinite.
Measure: TypeAlias = "float | None"


@dataclass(frozen=True, slots=True, eq=False)
class Buckets:
    """A long series kept as consecutive groups of points; all arrays have one entry a bucket.

    ``low``, ``high``, ``mean`` and ``spread`` (population standard deviation) are over the finite
    points of the bucket and NaN where it has none; ``count`` counts finite and ``nonfinite`` counts
    NaN and infinite points; ``first_step`` and ``last_step`` are the steps of its first and last point;
    ``first_nonfinite_step`` is the step of its first NaN or infinite point (NaN where it has none).
    """

    count: FloatArray
    nonfinite: FloatArray
    low: FloatArray
    high: FloatArray
    mean: FloatArray
    spread: FloatArray
    first_step: FloatArray
    last_step: FloatArray
    first_nonfinite_step: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """One logged series.

    ``step`` and ``value`` are float64 arrays of one length, in the order of the log. A point that was
    not logged is absent; a point that was logged as NaN or infinite is there with that value.
    ``epoch``, ``time`` (seconds, any origin) and ``line`` (1-based, in ``file``) are of the same
    length where the log has them. ``restarts`` holds the indices at which the step goes back.
    A series too long to need every point has ``buckets``: then ``step`` is each bucket's last step
    and ``value`` its mean.
    """

    name: str
    step: FloatArray = field(repr=False)
    value: FloatArray = field(repr=False)
    role: str | None = None
    direction: Direction = "lower"
    epoch: FloatArray | None = field(default=None, repr=False)
    time: FloatArray | None = field(default=None, repr=False)
    line: IntArray | None = field(default=None, repr=False)
    file: str | None = None
    restarts: tuple[int, ...] = ()
    buckets: Buckets | None = field(default=None, repr=False)

    @property
    def points(self) -> int:
        """How many points were logged, also where they are kept as buckets."""
        if self.buckets is None:
            return len(self.value)
        return int(self.buckets.count.sum() + self.buckets.nonfinite.sum())


@dataclass(frozen=True, slots=True, eq=False)
class Run(Shown):
    """What one run left behind, before anything is judged.

    ``config`` holds what the run says of itself under canonical keys (``learning_rate``,
    ``optimizer``, ``batch_size``, ``epochs``, ``max_steps``, ``warmup_steps``, ``weight_decay``,
    ``num_classes``, ...) beside the original dotted ones. ``tensors`` are the statistics of what it dumped.
    ``goes_on``: this is only the beginning of the log, and the run is known to have gone on.
    """

    name: str
    path: str
    format: str
    curves: tuple[Curve, ...]
    config: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    tensors: TensorStats | None = None
    goes_on: bool = False

    def curve(self, role: str) -> Curve | None:
        """The series read in ``role``, or None."""
        return next((curve for curve in self.curves if curve.role == role), None)

    def noting(self, *notes: str) -> Run:
        """The same run with further notes."""
        return replace(self, notes=self.notes + notes)


@dataclass(frozen=True, slots=True)
class Where:
    """The place a finding speaks of: series or layer, and the steps between which it holds."""

    series: str | None = None
    layer: str | None = None
    first_step: float | None = None
    last_step: float | None = None
    file: str | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule that fired. ``evidence`` carries every number that decided, thresholds included."""

    rule: str
    name: str
    severity: Severity
    confidence: float
    message: str
    where: Where = field(default_factory=Where)
    evidence: Mapping[str, Any] = field(default_factory=dict)
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class Skipped:
    """One rule that could not look, and why."""

    rule: str
    reason: str


@dataclass(frozen=True, slots=True)
class Missing:
    """Stands for a feature that cannot be had from this run: the reason why the rules that need it are skipped."""

    reason: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement of the loss curve. ``probabilities`` is over the four labels, None when undetermined."""

    label: Label
    confidence: float
    state: str
    reason: str
    probabilities: Mapping[str, float] | None = None
    since_step: float | None = None
    best_step: float | None = None

    @property
    def fails(self) -> bool:
        """Whether it says, and is likely enough, that the run fails."""
        return self.label in FAILING and self.confidence >= SURE_VERDICT


@dataclass(frozen=True, slots=True)
class Cause:
    """A root cause that explains findings. ``supported_by`` and ``contradicted_by`` are rule codes.

    ``because`` and ``despite`` are facts beside the findings, as clauses, the weightiest first; ``would_confirm`` is
    evidence that is missing and would settle it.
    """

    name: str
    probability: float
    explanation: str
    supported_by: tuple[str, ...] = ()
    contradicted_by: tuple[str, ...] = ()
    would_confirm: tuple[str, ...] = ()
    because: tuple[str, ...] = ()
    despite: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Remedy:
    """A change that answers a cause. ``change`` maps a change key to its new, concrete value.

    ``change`` is empty only where no value can be given; ``why`` then says why none can. ``confidence`` is the
    probability that the remedy cures, over all causes that it answers; ``addresses`` is the one it answers most.
    ``search`` is a command that measures the value, where one does.
    """

    name: str
    addresses: str
    change: Mapping[str, Any]
    why: str
    confidence: float
    from_: Mapping[str, Any] = field(default_factory=dict)
    risk: str | None = None
    snippet: str | None = None
    references: tuple[str, ...] = ()
    search: str | None = None


@dataclass(frozen=True, slots=True)
class TensorLine:
    """One row of the table of tensors: one tensor at one step, mode and worker. None where the dump does not tell.

    ``count``, ``nan`` and ``inf`` are numbers of values; ``zero``, ``dead`` and ``saturated`` shares from 0 to 1 (of
    values, of units, of units); ``mean``, ``std``, ``norm`` (L2), ``min`` and ``max`` are over the finite values.
    ``update_ratio`` is the norm of the change per training step over the norm, of weights and updates.
    ``flags`` are the codes of the rules that fired for this tensor or its layer, whatever the step.
    """

    step: float
    kind: str
    name: str
    layer: str = ""
    worker: str = ""
    mode: str = ""
    dtype: str = ""
    shape: tuple[int, ...] | None = None
    count: Measure = None
    mean: Measure = None
    std: Measure = None
    norm: Measure = None
    min: Measure = None
    max: Measure = None
    zero: Measure = None
    nan: Measure = None
    inf: Measure = None
    dead: Measure = None
    saturated: Measure = None
    update_ratio: Measure = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TensorTable:
    """The rows that were asked for, of ``total`` in the dump."""

    rows: tuple[TensorLine, ...]
    total: int


@dataclass(frozen=True, slots=True)
class RunReport(Shown):
    """Everything said of one run.

    ``summary`` keys: ``points``, ``first_step``, ``last_step``, ``epochs``, ``x`` (what steps mean:
    ``step``, ``epoch`` or ``row``), ``series`` (role -> name as logged), ``series_total``, ``series_read``,
    ``unread`` (names), ``config``, ``best`` ({``series``, ``role``, ``value``, ``step``}: of the judged loss),
    ``curves`` (role -> {``step``, ``low``, ``high``, ``mean``: lists of at most 400 buckets, 120 in reports on many
    runs, null where not finite; ``points``: how many were logged; where there are any, ``nonfinite``: [first step,
    last step, number] of each span with NaN or infinite points, and ``restarts``: {``bucket``, ``from``, ``to``} of
    each place where the step goes back}), and of a run with dumps ``tensors`` ({``steps``, ``first_step``,
    ``last_step``, ``layers``, ``kinds``: kind -> number of tensors, ``rows``}), ``layers`` and ``spreads`` (measures by
    layer and step, and quantiles over time: see ``features.tensors.pictured``).
    ``passed`` are the codes of the rules that looked and found nothing. ``tensors`` is there where it was asked for.
    """

    name: str
    path: str
    format: str
    summary: Mapping[str, Any]
    verdict: Verdict
    findings: tuple[Finding, ...] = ()
    causes: tuple[Cause, ...] = ()
    remedies: tuple[Remedy, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()
    passed: tuple[str, ...] = ()
    tensors: TensorTable | None = None

    def __str__(self) -> str:
        # Never rounded up to certainty.
        sure = self.verdict.confidence if self.verdict.confidence == 1 else min(self.verdict.confidence, 0.99)
        said = f"{self.verdict.label} ({100 * sure:.0f}%). {self.verdict.reason}"
        return printable(f"{self.name}: {said}", 4000)


@dataclass(frozen=True, slots=True)
class RunError:
    """One input that gave no verdict: what is wrong, and the next step."""

    path: str
    message: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Trait:
    """What runs with one verdict have in common and the others do not.

    ``statement`` is a clause such as "all 7 diverging runs have learning_rate above 0.03". ``holds`` of ``of`` runs
    with verdict ``label`` ("failing" for all that fail) have it, and ``elsewhere`` of ``others``; ``chance`` is the
    probability to see that where setting ``key`` had no part in it.
    """

    label: str
    key: str
    statement: str
    holds: int
    of: int
    elsewhere: int
    others: int
    chance: float


@dataclass(frozen=True, slots=True)
class Group:
    """Runs that are alike in the settings that were grouped by. ``labels``: verdict -> number of runs.

    ``best`` is the lowest best loss among them (of validation, or of training where most runs log no other), in run
    ``best_run``; ``median`` the median over the runs.
    """

    settings: Mapping[str, Any]
    runs: int
    labels: Mapping[str, int]
    best: Measure = None
    best_run: str | None = None
    median: Measure = None


@dataclass(frozen=True, slots=True)
class Fleet:
    """What is said of several runs together. ``found`` is how many there are, judged or not.

    ``varied`` maps each setting that differs between the runs to its values (at most eight, else the lowest and the
    highest); ``group_by`` are the settings that ``groups`` are made by.
    """

    found: int
    varied: Mapping[str, Any] = field(default_factory=dict)
    traits: tuple[Trait, ...] = ()
    group_by: tuple[str, ...] = ()
    groups: tuple[Group, ...] = ()
    interrupted: bool = False


@dataclass(frozen=True, slots=True)
class Report(Shown):
    """The whole answer, for every run asked about, the worst first; round-trips through JSON (see ``codec``).

    ``fleet`` is there where runs were asked about together.
    """

    runs: Sequence[RunReport]
    errors: tuple[RunError, ...] = ()
    version: str = ""
    fleet: Fleet | None = None
