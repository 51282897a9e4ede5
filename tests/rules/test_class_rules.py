from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from convergence_cli.features.evidence import Evidence
from convergence_cli.model import Finding, Run
from convergence_cli.rules import apply_rules
from convergence_cli.rules.classes import class_confusion, class_misprediction
from convergence_cli.tensor_stats import Confusion, stats_of

Matrix = list[list[int]]
LATE: Matrix = [[50, 0, 0], [0, 50, 0], [35, 5, 10]]
MIXED: Matrix = [[42, 0, 8], [0, 50, 0], [25, 0, 25]]


def _findings(before: Matrix, after: Matrix) -> tuple[Finding, ...]:
    confusions = tuple(Confusion(i, "logits", np.array(one)) for i, one in enumerate([before] * 3 + [after] * 3))
    stats = replace(stats_of([]), confusions=confusions)
    return apply_rules(Evidence(Run("r", "r", "tensors", (), tensors=stats)), (class_misprediction, class_confusion))[0]


@pytest.mark.parametrize(
    ("before", "after", "rule", "severity"),
    [
        ([[40, 10, 0], [10, 40, 0], [45, 5, 0]], LATE, "DA103", "note"),
        (LATE, LATE, "DA103", "warning"),
        # The model gets better, but not on this class.
        ([[40, 10, 0], [10, 40, 0], [35, 5, 10]], LATE, "DA103", "warning"),
        ([[40, 10, 0], [10, 40, 0], [40, 0, 10]], MIXED, "DA104", "note"),
        (MIXED, MIXED, "DA104", "warning"),
    ],
)
def test_a_class_that_is_still_being_learnt_is_a_note(before: Matrix, after: Matrix, rule: str, severity: str) -> None:
    assert [(one.rule, one.severity, one.where.layer) for one in _findings(before, after)] == [
        (rule, severity, "class 2")
    ]


def test_five_lost_classes_are_four_findings_and_a_count() -> None:
    size = 30
    matrix = [[50 * (i == j if i >= 5 else j == 29) for j in range(size)] for i in range(size)]
    found = [one for one in _findings(matrix, matrix) if one.rule == "DA103"]
    assert len(found) == 4
    assert "(1 more label likewise)" in found[0].message
    assert len({one.fingerprint for one in found}) == 4
