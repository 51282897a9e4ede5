"""The rules on activations, over real trainings with the fault and several seeds each."""

from __future__ import annotations

from lab.cases import check_fault, faults


@faults("dead-relu", "saturated-activation", "activation-scale-drift", "attention-logit-growth", "output-logit-growth")
def test_the_rule_finds_its_fault(fault: str, architecture: str) -> None:
    check_fault(fault, architecture)
