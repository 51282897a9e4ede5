"""Rules: one file a family, one function a rule. A rule compares features with thresholds and computes nothing."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from convergence_cli.model import SEVERITIES, Finding, Missing, Skipped
from convergence_cli.rules._registry import PARAMETERS, Rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from convergence_cli.features.evidence import Evidence

FAMILIES = (
    "finite",
    "curve",
    "progress",
    "generalisation",
    "learning_rate",
    "finders",
    "gradient_norm",
    "log",
    "gradients",
    "activations",
    "logits",
    "data",
    "classes",
    "trees",
    "weights",
    "initialization",
    "tensors",
    "replicas",
    "writer",
    "sagemaker.tensors",
    "sagemaker.weights",
    "sagemaker.losses",
    "sagemaker.data",
    "sagemaker.system",
)

__all__ = ["FAMILIES", "Rule", "all_rules", "apply_rules"]


@cache
def all_rules() -> tuple[Rule, ...]:
    """Every rule, by code."""
    modules = [import_module(f"convergence_cli.rules.{family}") for family in FAMILIES]
    rules = [item for module in modules for item in vars(module).values() if isinstance(item, Rule)]
    return tuple(sorted(rules, key=lambda rule: rule.code))


def apply_rules(evidence: Evidence, rules: Iterable[Rule]) -> tuple[tuple[Finding, ...], tuple[Skipped, ...]]:
    """Findings, worst first, and what could not be looked at."""
    findings: list[Finding] = []
    skipped: list[Skipped] = []
    for rule in rules:
        given = {name: getattr(evidence, name) for name in (*rule.needs, *rule.optional)}
        lacking = [name for name in rule.needs if _is_missing(given[name])]
        if lacking:
            skipped.append(Skipped(rule.code, _why_not(lacking, given, evidence)))
            continue
        given = {name: None if name in rule.optional and _is_missing(given[name]) else given[name] for name in given}
        for found in rule.check(**given):
            findings.append(_signed(found, rule, evidence.run.name))
    findings.sort(key=lambda f: (SEVERITIES.index(f.severity), -f.confidence, f.rule))
    return tuple(findings), tuple(skipped)


def _is_missing(given: object) -> bool:
    return given is None or given == {} or isinstance(given, Missing)


def _why_not(lacking: list[str], given: Mapping[str, object], evidence: Evidence) -> str:
    reasons = [item.reason for name in lacking if isinstance(item := given[name], Missing)]
    if reasons:
        return "; ".join(dict.fromkeys(reasons))
    logged = [name for name in lacking if (curve := evidence.run.curve(name)) is not None and curve.points]
    if logged:
        return f"{' and '.join(logged)} has too few finite points"
    return "needs " + " and ".join(dict.fromkeys(PARAMETERS[name] for name in lacking))


def _signed(found: Finding, rule: Rule, run: str) -> Finding:
    # Not of steps or values: the same fault in the next run must have the same fingerprint.
    key = "\0".join((rule.code, run, found.where.series or "", found.where.layer or ""))
    return replace(
        found, rule=rule.code, name=rule.name, fingerprint=hashlib.sha256(key.encode(errors="replace")).hexdigest()[:16]
    )
