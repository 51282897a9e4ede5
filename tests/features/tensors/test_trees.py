from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from convergence_cli.features.evidence import Evidence
from convergence_cli.model import Run
from convergence_cli.tensor_stats import LabelCounts, TensorRow, TreeFacts, stats_of

if TYPE_CHECKING:
    from convergence_cli.features.tensors.trees import Trees

FACTS = TreeFacts(10, 6, {"a": 60, "b": 20, "c": 15, "d": 5, "e": 0})


def _trees(*facts: TreeFacts, labels: int = 0, rows: int = 0, **config: object) -> Trees:
    stats = stats_of([TensorRow(step=0, kind="label", name="y", count=float(rows))] if rows else [])
    counted = (LabelCounts(0, "y", (0, 1), (labels // 2, labels // 2)),) if labels else ()
    run = Run("r", "r", "tensors", (), config, tensors=replace(stats, trees=facts, labels=counted))
    found: Trees = Evidence(run).trees
    return found


def test_a_tenth_of_the_samples_fills_a_sensible_depth() -> None:
    found = _trees(FACTS, labels=1280)
    assert (found.depth, found.samples, found.sensible_depth) == (6, 1280, 7.0)
    assert found.largest_depth == pytest.approx(math.log2(1280))


def test_the_number_of_samples_comes_from_the_config_or_the_labels() -> None:
    assert _trees(FACTS, labels=100, num_rows=640).samples == 640
    assert _trees(FACTS, labels=100, rows=900).samples == 900
    unknown = _trees(FACTS)
    assert math.isnan(unknown.samples)
    assert math.isnan(unknown.sensible_depth)


def test_the_top_features_are_those_of_the_last_trees_at_every_dump() -> None:
    early = TreeFacts(0, 4, {"a": 1, "b": 1, "d": 2})
    found = _trees(early, FACTS)
    assert [name for name, _ in found.top] == ["a", "b", "c"]
    assert (found.features, found.top_share, found.depth, found.step) == (5, 0.5, 6, 10)


def test_importances_that_are_not_numbers_do_not_count() -> None:
    found = _trees(TreeFacts(0, math.nan, {"a": math.nan, "b": 3.0, "c": -1.0, "d": 1.0}))
    assert found.top == (("b", 0.75), ("d", 0.25))
    assert math.isnan(found.depth)


def test_a_dump_without_importances_has_no_top() -> None:
    found = _trees(TreeFacts(0, 3, {}))
    assert (found.top, found.top_share, found.features) == ((), 0.0, 0)
