"""The rules on inputs and labels, over real trainings with the fault and several seeds each."""

from __future__ import annotations

from lab.cases import check_fault, faults


@faults("unnormalized-input", "class-imbalance", "class-misprediction", "class-confusion", "padded-sequences")
def test_the_rule_finds_its_fault(fault: str, architecture: str) -> None:
    check_fault(fault, architecture)
