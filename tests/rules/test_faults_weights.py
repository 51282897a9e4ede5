"""The rules on weights, updates, workers and the writer, over real trainings with the fault and several seeds each."""

from __future__ import annotations

from lab.cases import check_fault, faults


@faults(
    "update-ratio-too-small",
    "update-ratio-too-large",
    "frozen-parameters",
    "unchanged-tensor",
    "weights-growing",
    "replicas-differ",
    "stalled-writer",
)
def test_the_rule_finds_its_fault(fault: str, architecture: str) -> None:
    check_fault(fault, architecture)
