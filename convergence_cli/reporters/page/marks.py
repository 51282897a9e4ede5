"""What the verdict and the findings say of a curve, as marks on it: steps, spans, levels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from convergence_cli.model import FAILING
from convergence_cli.printable import printable
from convergence_cli.reporters._wording import number, unit
from convergence_cli.reporters.page import trace

if TYPE_CHECKING:
    from convergence_cli.model import Finding, RunReport

LOSSES = ("train_loss", "val_loss")
# Evidence that is a value of the curve the finding speaks of: a line at that height says how the finding was decided.
_LEVELS = {
    "LC101": ("best",),
    "LC102": ("level_before",),
    "LC103": ("start", "chance_level"),
    "LC104": ("level",),
    "LC105": ("best", "chance_level"),
    "LC107": ("expected_at_twice_the_steps",),
    "LC108": ("ln_classes",),
    "LC002": ("loss_before",),
    "GN101": ("best",),
    "GN102": ("train_end", "val_end"),
    "GN103": ("train_end", "val_end"),
    "GN104": ("metric_at_best_loss",),
    "GR001": ("median",),
    "GR002": ("start",),
    "GR003": ("low",),
    "GR005": ("threshold_end",),
    "LR101": ("band_low", "band_high"),
    "LR102": ("peak",),
    "LR104": ("peak_rate",),
    "LR107": ("window_low", "window_high", "diverges_at"),
    "AC101": ("threshold_dead_share",),
    "AC102": ("threshold_saturated_share", "threshold_saturated_values"),
    "WT101": ("threshold_per_step",),
    "WT102": ("threshold_per_step", "threshold_peak"),
}
# The curve that findings of a family speak of where they name none that was read.
_HOME = {"LC": "train_loss", "GN": "val_loss", "LR": "learning_rate", "GR0": "grad_norm", "LG": "train_loss"}
# The measure of a layer that a finding on tensors speaks of.
MEASURE = {
    "AC101": "dead",
    "AC102": "saturated",
    "WT101": "update_ratio",
    "WT102": "update_ratio",
    "WT103": "update_ratio",
    "GR101": "gradient_norm",
    "GR102": "gradient_norm",
    "GR103": "gradient_norm",
}


@dataclass(frozen=True, slots=True)
class Span:
    """Steps from ``first`` to ``last`` (None: to the end). ``tone`` is a severity, or ``quiet``.

    ``label`` stands on the chart, ``words`` in its description where that says more.
    """

    first: float
    last: float | None
    tone: str
    label: str = ""
    words: str = ""


@dataclass(frozen=True, slots=True)
class Level:
    """A height that decided, with its name and value."""

    value: float
    label: str


@dataclass(frozen=True, slots=True)
class Point:
    """One place on a curve."""

    step: float
    value: float
    label: str


def verdict_span(run: RunReport) -> Span | None:
    """From where on the verdict holds."""
    since = trace.number(run.verdict.since_step)
    if since is None or run.verdict.label not in FAILING:
        return None
    tone = "error" if run.verdict.label != "overfitting" else "warning"
    label = f"since {unit(run)} {number(since)}"
    return Span(since, None, tone, label, f"{run.verdict.label} {label}")


def best_point(run: RunReport) -> tuple[str, Point] | None:
    """The best loss and the name of its series."""
    best = run.summary.get("best")
    if not isinstance(best, Mapping):
        return None
    step, value = trace.number(best.get("step")), trace.number(best.get("value"))
    if step is None or value is None:
        return None
    return str(best.get("series")), Point(step, value, f"best {number(value)}")


def finding_span(finding: Finding) -> Span | None:
    """The steps that ``finding`` speaks of."""
    first, last = trace.number(finding.where.first_step), trace.number(finding.where.last_step)
    if first is None:
        return None if last is None else Span(last, last, finding.severity)
    return Span(first, last, finding.severity)


def levels(finding: Finding) -> Iterator[Level]:
    """The values in the evidence of ``finding`` that are heights of its curve."""
    for key in _LEVELS.get(finding.rule, ()):
        value = trace.number(finding.evidence.get(key))
        if value is not None:
            yield Level(value, f"{printable(key.replace('_', ' '), 40)} {number(value)}")


def role_of(finding: Finding, run: RunReport) -> str | None:
    """The role of the curve that ``finding`` speaks of, where it is one of those read."""
    series, curves = run.summary.get("series"), run.summary.get("curves")
    if not isinstance(curves, Mapping):
        return None
    if isinstance(series, Mapping) and finding.where.series is not None:
        for role, name in series.items():
            if finding.where.series in (name, role) and role in curves:
                return str(role)
    if finding.where.layer is not None:
        return None
    home = _HOME.get(finding.rule[:3]) or _HOME.get(finding.rule[:2])
    if home == "val_loss" and home not in curves:
        home = "train_loss"
    return home if home in curves else None
