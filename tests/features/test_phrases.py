"""The words of the reason: every feature has some, and no run makes them nonsense."""

from __future__ import annotations

import re

import numpy as np
import pytest
from curves import GENERATORS, evidence_of, make

from convergence_cli.features.classifier import fitted
from convergence_cli.features.evidence import Evidence
from convergence_cli.features.phrases import phrases_of
from convergence_cli.model import Curve, Run

# What is no fact of the curve has no words.
SILENT = {"hidden", "validation_alone", "val_own_risen", "val_own_rise_sure", "val_leaves", "val_moves"}


def told(evidence: Evidence, *names: str, low: bool = False) -> list[str]:
    assert evidence.loss is not None
    assert evidence.chance is not None
    val = None if evidence.val_loss is None else evidence.val_loss.shape
    return phrases_of([(name, low) for name in names], evidence.loss.shape, val, evidence.gap, evidence.chance)


def of(*values: float, val: tuple[float, ...] = ()) -> Evidence:
    step = np.arange(1.0, len(values) + 1)
    curves = [Curve("loss", step, np.array(values), "train_loss")]
    if val:
        curves.append(Curve("val", step[: len(val)], np.array(val), "val_loss"))
    return Evidence(Run("r", "r", "csv", tuple(curves)))


@pytest.mark.parametrize("name", sorted(set(fitted().names) - SILENT))
def test_a_feature_has_words(name: str) -> None:
    rising = evidence_of(make("rising_validation"))
    # What only some runs have: a jump or a climb at the end, rest on one value, chance level, a blow-up, ...
    others = [evidence_of(make(other)) for other in sorted({*GENERATORS} - {"drawn"})]
    runs = [rising, *(one for one in others if one.loss is not None and one.chance is not None), of(2, 3, 5, 7, 9, 11)]
    solved = {"accuracy_solved"}
    assert name in solved or any(told(one, name) for one in runs)


@pytest.mark.parametrize("name", sorted({*GENERATORS} - {"drawn"}))
@pytest.mark.parametrize("low", [False, True])
def test_numbers_are_such_as_people_say(name: str, low: bool) -> None:
    evidence = evidence_of(make(name))
    if evidence.loss is None or evidence.chance is None:
        return
    for phrase in told(evidence, *fitted().names, low=low):
        assert not re.search(r"\bnan\b|\binf\b|-0\b(?!\.)", phrase), phrase
        # A power is right for multiples alone, of what grew by powers.
        assert not re.search(r"e[+-]\d+ %", phrase), phrase


@pytest.mark.parametrize(
    "values", [(1, 1.3, 1.8, 2.6, 4, 7), (-1, -2, -2.5, -2.8, -2.9, -3), (0, 0, 0, 0, 0), (5,) * 9]
)
def test_a_loss_that_never_fell_is_not_compared_with_its_drop(values: tuple[float, ...]) -> None:
    for phrase in told(of(*values), *fitted().names):
        assert not re.search(r"e[+-]?\d{2}|times of|-\d+ times", phrase), phrase
    if values[0] < values[-1]:
        assert told(of(*values), "leaves") == ["it never fell"]


def test_a_small_number_that_decides_is_called_small() -> None:
    evidence = of(*np.linspace(2, 1.96, 30), val=tuple(np.linspace(2, 1.9, 15)) + tuple(np.linspace(1.9, 1.95, 15)))
    assert told(evidence, "fall_from_first", low=True) == ["from its first point it fell by only 1.9 %"]
    assert told(evidence, "fall_from_first") == ["from its first point it fell by 1.9 %"]
    assert told(evidence, "val_rise", low=True)[0].startswith("validation ends only ")


@pytest.mark.parametrize(
    ("end", "share"), [(0.0001, "100 %"), (0.004, "100 %"), (0.012, "99 %"), (1.8, "10 %"), (1.97, "1.5 %")]
)
def test_shares_are_told_in_percent_without_powers(end: float, share: str) -> None:
    assert told(of(*[2.0] * 15, *[end] * 15), "fall_from_first") == [f"from its first point it fell by {share}"]


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (1.0, "it ends at its best"),
        (1.25, "25 % of its drop is lost again"),
        (2.5, "all of its drop is lost again"),
    ],
)
def test_what_is_lost_is_told_as_a_share_of_the_drop(end: float, words: str) -> None:
    assert told(of(*[2.0] * 10, *np.linspace(2, 1, 20), *[1.0] * 10, *[end] * 10), "leaves") == [words]


def test_the_same_words_come_once() -> None:
    assert len(told(of(*np.linspace(2, 1, 30)), "leaves", "given_back")) == 1


def test_what_was_not_logged_has_no_words() -> None:
    assert told(of(*np.linspace(2, 1, 30)), "val_rise", "overfits", "train_falls", "val_since") == []
