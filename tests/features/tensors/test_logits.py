from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from convergence_cli.features.evidence import Evidence
from convergence_cli.model import Run
from convergence_cli.tensor_stats import Confusion, TensorRow, TensorStats, stats_of


def _evidence(stats: TensorStats) -> Evidence:
    return Evidence(Run("r", "r", "tensors", (), tensors=stats))


def _stats(kind: str, name: str, classes: bool = False, **numbers: Any) -> TensorStats:
    rows = [
        TensorRow(
            step=float(step),
            kind=kind,
            name=name,
            layer=name,
            **{key: one[step] if isinstance(one, list) else one for key, one in numbers.items()},
        )
        for step in range(4)
    ]
    stats = stats_of(rows)
    return replace(stats, confusions=(Confusion(0, name, np.eye(2, dtype=np.int64)),)) if classes else stats


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("blocks.0.attention.logits", True),
        ("h.0.attn.qk", True),
        ("attention_scores", True),
        ("attention_probs", False),
        ("attn.scores.softmax", False),
        ("attention", False),
        ("scores", False),
    ],
)
def test_attention_logits_are_told_by_name(name: str, known: bool) -> None:
    found = _evidence(_stats("activation", name, min=-3.0, max=3.0)).attention_logits
    assert (found is not None) is known


def test_what_lies_between_0_and_1_is_no_logit() -> None:
    assert _evidence(_stats("activation", "attn.scores", min=0.0, max=1.0)).attention_logits is None
    assert _evidence(_stats("output", "logits", min=0.0, max=1.0)).output_logits is None


def test_attention_reaches_as_far_as_its_upper_end() -> None:
    found = _evidence(_stats("activation", "attn.scores", min=-1e9, max=[0.2, 3.0, 9.0, 30.0])).attention_logits
    one = found.layers[0]
    # The early level counts as one nat at least, and the last third of four dumps are two.
    assert (one.early, one.late, one.growth, one.lasting, one.since(5.0)) == (0.2, 19.5, 19.5, 9.0, 2.0)


@pytest.mark.parametrize(
    ("name", "classes", "known"), [("fc", True, True), ("logits", False, True), ("fc", False, False)]
)
def test_an_output_holds_logits_by_name_or_by_its_labels(name: str, classes: bool, known: bool) -> None:
    found = _evidence(_stats("output", name, classes, min=-3.0, max=3.0)).output_logits
    assert (found is not None) is known


def test_fills_below_do_not_count() -> None:
    quantiles = (-7.0, -5.0, -1.0, 0.0, 1.0, 5.0, 6.0)
    filled = _evidence(_stats("output", "logits", min=-1e9, max=6.5, quantiles=quantiles)).output_logits
    assert filled.outputs[0].size.reach.tolist() == [7.0] * 4
    real = _evidence(_stats("output", "logits", min=-90.0, max=6.5, quantiles=quantiles)).output_logits
    assert real.outputs[0].size.reach.tolist() == [90.0] * 4


def test_a_drift_is_the_mean_against_the_spread() -> None:
    found = _evidence(_stats("output", "logits", min=-60.0, max=0.0, mean=[-1.0, -10.0, -30.0, -50.0], std=5.0))
    one = found.output_logits.outputs[0]
    assert (one.offset.early, one.offset.late, one.relative_offset) == (1.0, 40.0, 6.0)
    unknown = _evidence(_stats("output", "logits", min=-60.0, max=0.0)).output_logits.outputs[0]
    assert math.isnan(unknown.relative_offset)
