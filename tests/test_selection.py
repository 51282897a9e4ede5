"""Which rules are asked for."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from convergence_cli.errors import UsageError
from convergence_cli.selection import nearest, select_rules


@dataclass(frozen=True)
class Named:
    code: str
    name: str
    profile: str = "default"


RULES = (
    Named("LC001", "non-finite-loss"),
    Named("LC101", "rising-loss"),
    Named("LC102", "loss-spike"),
    Named("GR001", "exploding-gradient-norm"),
)

FOREIGN = (Named("SM101", "foreign-gradient", "sagemaker"), Named("SM110", "foreign-loss", "sagemaker"))


def codes(**lists: tuple[str, ...]) -> list[str]:
    return [rule.code for rule in select_rules(RULES, **lists)]


@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        ({}, ["LC001", "LC101", "LC102", "GR001"]),
        ({"select": ("LC",)}, ["LC001", "LC101", "LC102"]),
        ({"select": ("lc1",)}, ["LC101", "LC102"]),
        ({"select": ("loss-spike",)}, ["LC102"]),
        ({"select": ("GR",), "extend_select": ("LC0",)}, ["LC001", "GR001"]),
        ({"ignore": ("LC1",)}, ["LC001", "GR001"]),
        ({"ignore": ("ALL",)}, []),
        ({"select": ("GR001",), "ignore": ("ALL",)}, ["GR001"]),
    ],
)
def test_prefix_name_and_all(lists: dict[str, tuple[str, ...]], expected: list[str]) -> None:
    assert codes(**lists) == expected


@pytest.mark.parametrize(
    ("select", "ignore", "expected"),
    [
        (("LC",), ("LC1",), ["LC001"]),
        (("LC102",), ("LC1",), ["LC102"]),
        (("LC1",), ("LC1",), []),
        (("LC102",), ("loss-spike",), []),
    ],
)
def test_the_longest_match_wins_and_on_a_tie_ignore(
    select: tuple[str, ...], ignore: tuple[str, ...], expected: list[str]
) -> None:
    assert codes(select=select, ignore=ignore) == expected


@pytest.mark.parametrize(
    ("profile", "lists", "expected"),
    [
        ("default", {}, ["LC001", "LC101", "LC102", "GR001"]),
        ("default", {"select": ("ALL",)}, ["LC001", "LC101", "LC102", "GR001"]),
        ("sagemaker", {}, ["SM101", "SM110"]),
        ("sagemaker", {"select": ("ALL",)}, ["SM101", "SM110"]),
        ("default", {"select": ("SM101",)}, ["SM101"]),
        ("default", {"select": ("foreign-loss",)}, ["SM110"]),
        ("sagemaker", {"select": ("GR",)}, ["GR001"]),
        ("default", {"extend_select": ("SM",)}, ["LC001", "LC101", "LC102", "GR001", "SM101", "SM110"]),
        ("sagemaker", {"extend_select": ("LC0",)}, ["LC001", "SM101", "SM110"]),
        ("sagemaker", {"ignore": ("SM110",)}, ["SM101"]),
        ("sagemaker", {"ignore": ("ALL",)}, []),
        ("default", {"ignore": ("ALL",), "extend_select": ("SM110",)}, ["SM110"]),
    ],
)
def test_a_profile_is_what_all_stands_for(profile: str, lists: dict[str, tuple[str, ...]], expected: list[str]) -> None:
    assert [rule.code for rule in select_rules((*RULES, *FOREIGN), profile=profile, **lists)] == expected


@pytest.mark.parametrize("where", ["select", "ignore", "extend_select"])
def test_an_unknown_selector_is_an_error_with_the_nearest_name(where: str) -> None:
    with pytest.raises(UsageError, match=r"loss-spikes.*Did you mean loss-spike\?"):
        codes(**{where: ("loss-spikes",)})


def test_an_empty_selector_matches_nothing() -> None:
    with pytest.raises(UsageError):
        codes(select=("",))


def test_nothing_near_is_no_suggestion() -> None:
    assert nearest("qqqqqq", ["LC001"]) is None
