"""Every rule on its cases (``tests/cases/CODE.toml``): curves on which it fires, and near misses."""

from __future__ import annotations

from typing import Any

import pytest
from curves import make, run_of
from rule_cases import cases, run_of_case
from tensor_cases import KEYS as TENSOR_KEYS

from convergence_cli.codec import plain
from convergence_cli.features.evidence import Evidence
from convergence_cli.model import SEVERITIES, Finding, Skipped
from convergence_cli.rules import all_rules, apply_rules
from convergence_cli.rules._registry import SECTIONS

KEYS = (
    {"why", "curve", "seed", "parameters", "config", "add", "copy", "drop", "hole", "back", "shift"}
    | {
        "severity",
        "side",
        "layer",
        "also",
        "never",
    }
    | TENSOR_KEYS
)
# Rules that report a plain fact and weigh nothing.
FACTS = {"LG001", "LG003", "LC002", "LC105"}
# Rules that look at nothing with the defaults they have, and are always skipped.
IDLE = {"SM107"}


def _answer(case: dict[str, Any]) -> tuple[tuple[Finding, ...], tuple[Skipped, ...]]:
    assert set(case) <= KEYS, set(case) - KEYS
    return apply_rules(Evidence(run_of_case(case)), all_rules())


def _listed(kind: str) -> list[Any]:
    return [
        pytest.param(code, case, id=f"{code}-{case['why']}")
        for code, file in cases().items()
        for case in file.get(kind, [])
    ]


@pytest.mark.parametrize(("code", "case"), _listed("fires"))
def test_the_rule_fires(code: str, case: dict[str, Any]) -> None:
    findings, _ = _answer(case)
    found = [finding for finding in findings if finding.rule == code]
    assert found, f"{code} is silent; these fired: {[f.rule for f in findings]}"
    assert found[0].severity == case["severity"]
    if "side" in case:
        assert found[0].evidence["side"] == case["side"]
    if "layer" in case:
        assert found[0].where.layer == case["layer"]
    others = {finding.rule for finding in findings}
    assert set(case.get("also", [])) <= others
    assert not set(case.get("never", [])) & others
    for one in found:
        _is_sound(one)


@pytest.mark.parametrize(("code", "case"), _listed("silent"))
def test_a_near_miss_is_silent(code: str, case: dict[str, Any]) -> None:
    findings, _ = _answer(case)
    assert code not in {finding.rule for finding in findings}, [f.message for f in findings if f.rule == code]


def _is_sound(found: Finding) -> None:
    rule = next(rule for rule in all_rules() if rule.code == found.rule)
    assert found.name == rule.name
    assert SEVERITIES.index(found.severity) >= SEVERITIES.index(rule.severity), "worse than the rule declares"
    assert 0 < found.confidence <= 1
    assert any(char.isdigit() for char in found.message)
    assert found.message.endswith(".")
    assert len(found.fingerprint) == 16
    assert plain(found.evidence) == {str(key): plain(value) for key, value in found.evidence.items()}
    assert all(isinstance(v, (int, float, str, bool, type(None))) for v in plain(found.evidence).values())
    names = [key for key in found.evidence if "threshold" in key or key.startswith("band_")]
    assert names or found.rule in FACTS, "no threshold in the evidence"
    first, last = found.where.first_step, found.where.last_step
    assert first is None or last is None or first <= last


def test_every_rule_has_cases_on_either_side() -> None:
    assert set(cases()) == {rule.code for rule in all_rules()}
    for code, file in cases().items():
        assert set(file) == {"fires", "silent"}, code
        assert bool(file["fires"]) is (code not in IDLE), code
        assert len(file["silent"]) >= 2, code
        whys = [case["why"] for kind in ("fires", "silent") for case in file[kind]]
        assert len(set(whys)) == len(whys), code


@pytest.mark.parametrize("code", sorted(IDLE))
def test_an_idle_rule_is_skipped_and_says_why(code: str) -> None:
    for case in cases()[code]["silent"]:
        _, skipped = _answer(case)
        assert "no default" in next(skip.reason for skip in skipped if skip.rule == code)


def test_codes_and_names_are_unique_and_rules_come_in_order() -> None:
    codes, names = ([getattr(rule, key) for rule in all_rules()] for key in ("code", "name"))
    assert codes == sorted(set(codes))
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("rule", all_rules(), ids=lambda rule: rule.code)
def test_the_page_of_a_rule_is_complete(rule: Any) -> None:
    lines = rule.doc.splitlines()
    assert rule.summary.endswith(".")
    assert [line for line in lines if line in SECTIONS] == list(SECTIONS)
    for section in SECTIONS:
        index = lines.index(section)
        assert lines[index + 1].startswith("    "), f"{section} is empty"
    assert all(len(line) <= 112 for line in lines)


def test_each_severity_that_a_rule_declares_is_reached_by_a_case() -> None:
    for rule in [rule for rule in all_rules() if rule.code not in IDLE]:
        reached = {case["severity"] for case in cases()[rule.code]["fires"]}
        assert rule.severity in reached, rule.code


def test_a_rule_that_lacks_its_series_is_skipped_and_says_what_it_needs() -> None:
    log = make("exponential", 0)
    findings, skipped = apply_rules(Evidence(run_of(log)), all_rules())
    reasons = {skip.rule: skip.reason for skip in skipped}
    assert reasons["GN101"] == "needs val_loss"
    assert reasons["GR001"] == "needs grad_norm"
    assert reasons["LR105"] == "needs learning_rate"
    assert not {finding.rule for finding in findings} & reasons.keys()


def test_fingerprints_do_not_depend_on_steps_or_values() -> None:
    one, two = (
        apply_rules(Evidence(run_of(make("nan_tail", s, at=a))), all_rules())[0] for s, a in ((0, 0.5), (1, 0.8))
    )
    assert [f.fingerprint for f in one if f.rule == "LC001"] == [f.fingerprint for f in two if f.rule == "LC001"]


def test_findings_come_worst_first() -> None:
    case = {
        "curve": "rise_after_half",
        "add": {"lr": {"knots": [[0, 0.1], [1, 0.1]]}, "grad_norm": {"knots": [[0, 1], [1, 1]]}},
    }
    findings, _ = _answer(case)
    ranks = [(SEVERITIES.index(f.severity), -f.confidence, f.rule) for f in findings]
    assert ranks == sorted(ranks)
