"""No tensor rule raises a warning on a healthy training, however odd it looks."""

from __future__ import annotations

import pytest
from lab.cases import SEEDS, check_healthy, odd, twins
from lab.catalogue import FAULTS

from convergence_cli.rules import all_rules


@twins()
@pytest.mark.parametrize("seed", SEEDS)
def test_healthy_twins_raise_no_warning(architecture: str, seed: int) -> None:
    check_healthy(None, architecture, seed)


@odd()
def test_odd_but_healthy_trainings_raise_no_warning(kind: str, architecture: str) -> None:
    check_healthy(kind, architecture, len(kind) % 5)


def test_every_rule_on_tensors_has_its_fault_in_the_lab() -> None:
    families = ("AC", "DA", "DI", "GR1", "IN", "TE", "WT", "LG1")
    names = {rule.name for rule in all_rules() if rule.code.startswith(families)}
    assert names == FAULTS.keys()
