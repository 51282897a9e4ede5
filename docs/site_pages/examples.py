"""A run on which a rule fires, and one on which it looked and said nothing, though not by much."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from convergence_cli import diagnose
from convergence_cli.as_of import as_of
from convergence_cli.axis import axis_of
from convergence_cli.features.evidence import Evidence
from convergence_cli.rules import Rule, all_rules, apply_rules
from convergence_cli.settings import Settings
from site_pages.sources import run_from, told

if TYPE_CHECKING:
    from collections.abc import Mapping

    from convergence_cli.model import Finding, Run, RunReport

tomllib = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
CHOSEN = Path(__file__).with_name("examples.toml")
# Said in place of a second run: the first one, as its log was before the rule fired.
BEFORE = "before"


@dataclass(frozen=True, slots=True)
class Example:
    """A run with its report. ``finding`` is None where the rule looked and said nothing; ``said`` is Markdown."""

    run: Run
    report: RunReport
    finding: Finding | None
    said: str
    real: bool


@cache
def chosen() -> Mapping[str, Mapping[str, str]]:
    """For each rule the runs that ``examples.toml`` names: ``fires``, ``nearly`` and ``why``."""
    found: Mapping[str, Mapping[str, str]] = tomllib.loads(CHOSEN.read_text(encoding="utf-8"))
    return found


def examples_of(rule: Rule) -> tuple[Example, Example]:
    """The two examples of ``rule``. Raises ``ValueError`` where one is not what ``examples.toml`` says of it."""
    entry = chosen()[rule.code]
    run = run_from(entry["fires"])
    report = _report(run, rule)
    findings = [finding for finding in report.findings if finding.rule == rule.code]
    if not findings:
        raise ValueError(f"{rule.code} does not fire on {entry['fires']}")
    fires = Example(run, report, findings[0], told(entry["fires"]), not entry["fires"].startswith("case"))
    return fires, _nearly(rule, fires, entry)


def _nearly(rule: Rule, fires: Example, entry: Mapping[str, str]) -> Example:
    words, why = entry["nearly"], entry.get("why", "")
    if words == BEFORE:
        step, next_step = last_silence(fires.run, rule)
        run, counted = as_of(fires.run, step), axis_of(fires.run)
        until = (
            f"The same run as its log was at {counted} {step:,.6g}: the rule looks and finds nothing. "
            f"At {counted} {next_step:,.6g} it fires."
        )
        said, real = f"{until} {why}".strip(), fires.real
    else:
        run, real = run_from(words), not words.startswith("case")
        said = f"{told(words)} {why}".strip()
    report = _report(run, rule)
    if any(finding.rule == rule.code for finding in report.findings):
        raise ValueError(f"{rule.code} fires on {words}, too")
    if rule.code not in report.passed:
        raise ValueError(f"{rule.code} could not look at {words}")
    return Example(run, report, None, said, real)


def last_silence(run: Run, rule: Rule) -> tuple[float, float]:
    """The last logged step as of which ``rule`` looks and finds nothing, and the next one, at which it fires.

    Raises ``ValueError`` where it fires as soon as it can look.
    """
    steps = _steps(run)
    low, high = 0, len(steps) - 1
    answers: dict[int, str] = {}

    def answer(place: int) -> str:
        if place not in answers:
            answers[place] = _answer(as_of(run, float(steps[place])), rule)
        return answers[place]

    # The first step from which it fires to the end, by halves; then back to the last before it that passes.
    while high - low > 1:
        middle = (low + high) // 2
        if answer(middle) == "fires":
            high = middle
        else:
            low = middle
    for place in range(high, -1, -1):
        if answer(place) == "passes":
            return float(steps[place]), float(steps[place + 1])
        if answer(place) == "cannot look":
            break
    raise ValueError(f"{rule.code} fires on {run.path} as soon as it can look")


def _steps(run: Run) -> np.ndarray:
    parts = [curve.step for curve in run.curves if curve.points]
    if run.tensors is not None:
        parts.append(run.tensors.steps)
    steps = np.unique(np.concatenate(parts))
    return steps[np.isfinite(steps) & (steps >= 0)]


def _answer(run: Run, rule: Rule) -> str:
    with np.errstate(all="ignore"):
        findings, skipped = apply_rules(Evidence(run), [rule])
    return "cannot look" if skipped else "fires" if findings else "passes"


def _report(run: Run, rule: Rule) -> RunReport:
    return diagnose(run, Settings(profile=rule.profile))


def rules_with_examples() -> tuple[Rule, ...]:
    """Every rule that looks at something with the defaults it has."""
    return tuple(rule for rule in all_rules() if rule.code in chosen())
