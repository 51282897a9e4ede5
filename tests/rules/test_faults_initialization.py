"""The rules on how a net was born, over real trainings with the fault and several seeds each."""

from __future__ import annotations

from lab.cases import check_fault, faults


@faults("symmetric-initialization", "initialization-too-small", "initialization-too-large", "uneven-activation-scale")
def test_the_rule_finds_its_fault(fault: str, architecture: str) -> None:
    check_fault(fault, architecture)
