"""What facts mean in words: each fact has a clause or says nothing, and a clause is told only where it is true."""

from __future__ import annotations

import ast
import math
from functools import cache
from pathlib import Path

import pytest
from fact_runs import emitted

from convergence_cli.diagnosis.facts import curves, dumps, settings
from convergence_cli.diagnosis.facts.phrases import PHRASES, SAYS_NOTHING, TRUE_FROM, phrase_of
from convergence_cli.model import LABELS

VERDICTS = {f"verdict:{label}" for label in (*LABELS, "undetermined")}


@cache
def _written() -> set[str]:
    """The strings that functions of the fact modules use as keys."""
    found: set[str] = set()
    for module in (curves, dumps, settings):
        assert module.__file__ is not None
        tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
        functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
        for node in (inner for function in functions for inner in ast.walk(function)):
            keys: list[ast.expr | None] = []
            if isinstance(node, ast.Dict):
                keys = list(node.keys)
            elif isinstance(node, ast.Assign):
                keys = [target.slice for target in node.targets if isinstance(target, ast.Subscript)]
            found |= {key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str)}
    return found


def _clauses() -> list[str]:
    return [clause for found in PHRASES.values() for clause in (found if isinstance(found, tuple) else (found,))]


def test_the_scan_sees_what_runs_emit() -> None:
    assert len(emitted()) > 150
    assert set(emitted()) <= _written()


def test_every_fact_has_a_clause_or_says_nothing() -> None:
    assert (_written() | VERDICTS) - set(PHRASES) == set(SAYS_NOTHING)
    assert set(PHRASES) - VERDICTS <= _written()
    assert set(TRUE_FROM) <= set(PHRASES)


def test_a_fact_that_can_be_negative_has_two_clauses() -> None:
    negative = {name for name, (low, _) in emitted().items() if low < 0}
    assert len(negative) >= 15
    assert {name for name in negative if not isinstance(PHRASES[name], tuple)} == set()


@pytest.mark.parametrize("clause", _clauses())
def test_a_clause_stands_after_a_colon(clause: str) -> None:
    assert clause == clause.strip()
    assert clause[0].islower()
    assert not clause.endswith((".", ",", ";"))
    assert clause.isascii()
    assert clause.isprintable()
    assert ":" not in clause
    assert 8 <= len(clause) <= 90


def test_no_two_facts_have_one_clause() -> None:
    assert len(set(_clauses())) == len(_clauses())


@pytest.mark.parametrize("name", PHRASES)
def test_the_sign_picks_the_clause(name: str) -> None:
    found = PHRASES[name]
    above, below = found if isinstance(found, tuple) else (found, None)
    assert phrase_of(name, 6.0) == above
    assert phrase_of(name, -6.0) == below
    assert phrase_of(name, 0.0) is None
    assert phrase_of(name, math.nan) is None


def test_what_says_nothing_has_no_clause() -> None:
    for name in (*SAYS_NOTHING, "rule:LC101", "findings:label-noise", "unheard-of"):
        assert phrase_of(name, 1.0) is None


@pytest.mark.parametrize(
    ("name", "false", "true"),
    [
        ("verdict:diverging", 0.1, 0.9),
        ("val_best_early", 0.1, 0.8),
        ("fast_fall", 0.05, 0.8),
        ("accuracy_end", 0.3, 0.9),
        ("depth", math.log2(2) / 3, math.log2(16) / 3),
        ("bias_negative", 0.01, 1.0),
        ("rate_usual", 0.1, 0.9),
        ("spike_place", 0.1, 0.9),
        ("log_fall", 0.05, 1.0),
        ("half_time", 0.2, 0.9),
        ("half_time", -0.01, -0.5),
    ],
)
def test_a_clause_is_told_only_where_it_is_true(name: str, false: float, true: float) -> None:
    assert phrase_of(name, false) is None
    assert phrase_of(name, true) is not None


def test_a_threshold_can_be_reached() -> None:
    for name, least in TRUE_FROM.items():
        for bound in least if isinstance(least, tuple) else (least,):
            assert 0 < bound <= 1, name
