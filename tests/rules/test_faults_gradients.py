"""The rules on gradients and on broken tensors, over real trainings with the fault and several seeds each."""

from __future__ import annotations

from lab.cases import check_fault, faults


@faults(
    "vanishing-gradient",
    "exploding-gradient",
    "gradient-starvation",
    "exploding-tensor",
    "all-zero-tensor",
    "tensor-variance",
)
def test_the_rule_finds_its_fault(fault: str, architecture: str) -> None:
    check_fault(fault, architecture)
