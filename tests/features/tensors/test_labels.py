from __future__ import annotations

import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from convergence_cli.features.evidence import Evidence
from convergence_cli.features.tensors.labels import LabelSet, PredictionSet, at_most
from convergence_cli.model import Missing, Run
from convergence_cli.tensor_stats import Confusion, LabelCounts, TensorRow, TensorStats, TokenCounts, stats_of


def _evidence(**counted: object) -> Evidence:
    stats: TensorStats = replace(stats_of([]), **counted)  # type: ignore[arg-type]
    return Evidence(Run("r", "r", "tensors", (), tensors=stats))


def _labels(*found: LabelCounts) -> LabelSet:
    labels = _evidence(labels=found).labels
    assert labels is not None
    one: LabelSet = labels.sets[0]
    return one


def _predictions(*matrices: list[list[int]]) -> PredictionSet:
    confusions = tuple(Confusion(float(step), "logits", np.array(matrix)) for step, matrix in enumerate(matrices, 20))
    one: PredictionSet = _evidence(confusions=confusions).predictions.sets[0]
    return one


def test_counts_of_different_batches_add_up() -> None:
    one = _labels(LabelCounts(0, "y", (0, 1), (30, 2)), LabelCounts(5, "y", (0, 2), (29, 3)))
    assert one.counts == {0: 59, 1: 2, 2: 3}
    assert (one.samples, one.dumps, one.rarest, one.commonest, one.ratio) == (64, 2, 1, 0, 29.5)


def test_one_batch_at_every_dump_counts_once() -> None:
    one = _labels(*(LabelCounts(step, "y", (0, 1), (60, 4)) for step in range(8)))
    assert (one.repeated, one.samples, one.dumps) == (True, 64, 1)


def test_a_step_dumped_twice_and_the_evaluation_do_not_count() -> None:
    one = _labels(
        LabelCounts(0, "y", (0, 1), (9, 9), mode="TRAIN"),
        LabelCounts(0, "y", (0, 1), (7, 8), mode="TRAIN"),
        LabelCounts(0, "y", (0, 1), (500, 1), mode="EVAL"),
    )
    assert one.counts == {0: 7, 1: 8}


def test_below_zero_are_classes_only_where_they_are_the_other_sign() -> None:
    assert _labels(LabelCounts(0, "y", (-1, 1), (5, 6))).counts == {-1: 5, 1: 6}
    assert _labels(LabelCounts(0, "y", (-100, 0, 1), (50, 5, 6))).counts == {0: 5, 1: 6}


def test_labels_of_tokens_are_left_out() -> None:
    assert _evidence(labels=(LabelCounts(0, "y", (0, 1), (5, 6), sequence=True),)).labels is None


def test_the_bound_of_a_ratio_holds_in_all_but_few_draws() -> None:
    rng = np.random.default_rng(0)
    misses = 0
    for _ in range(1000):
        counts = rng.multinomial(400, (10 / 11, 1 / 11))
        misses += _labels(LabelCounts(0, "y", (0, 1), tuple(counts.tolist()))).ratio_low > 10
    assert misses <= 12


def test_recalls_are_of_the_last_third() -> None:
    bad, good = [[0, 40], [0, 60]], [[30, 10], [6, 54]]
    one = _predictions(bad, bad, bad, good, [[31, 10], [6, 54]], good)
    assert (one.dumps, one.first_step, one.last_step, one.classes) == (2, 24.0, 25.0, 2)
    assert one.accuracy == pytest.approx(169 / 201)
    assert one.gain == pytest.approx(169 / 201 - 144 / 200)
    recall = one.recall_of(0)
    assert recall is not None
    assert (recall.samples, recall.taken_for) == (81, 1)
    assert (recall.recall, recall.elsewhere) == (pytest.approx(61 / 81), 0.9)
    # The third before holds one bad and one good dump.
    assert recall.gain == pytest.approx(61 / 81 - 30 / 80)
    assert one.recall_of(7) is None


def test_predictions_of_one_batch_count_once() -> None:
    one = _predictions([[10, 0], [5, 5]], [[9, 1], [4, 6]], [[8, 2], [3, 7]])
    assert (one.samples, one.accuracy) == (20, 0.75)


def test_matrices_of_different_size_add_up() -> None:
    one = _predictions([[5, 0], [0, 5]], [[5, 0, 1], [0, 5, 0], [0, 0, 3]])
    assert (one.samples, one.classes, one.majority) == (24, 3, 11 / 24)


def test_a_class_is_an_outlier_among_many_only_far_from_the_others() -> None:
    def of(recalls: list[int]) -> list[bool]:
        size = len(recalls)
        matrix = [
            [right if i == j else (100 - right) * (j == (i + 1) % size) for j in range(size)]
            for i, right in enumerate(recalls)
        ]
        return [one.outlier for one in _predictions(matrix).recalls]

    assert of([90, 92, 88, 95, 91, 89, 93, 10])[-1]
    assert not of([90, 20, 60, 95, 40, 80, 30, 10])[-1]


def test_a_pair_is_told_from_errors_that_go_everywhere() -> None:
    one = _predictions([[50, 48, 1, 1], [2, 96, 1, 1], [2, 2, 94, 2], [1, 1, 2, 96]])
    pair = one.pairs[0]
    assert (pair.label, pair.other, pair.samples, pair.share, pair.elsewhere) == (0, 1, 100, 0.48, 0.05)
    assert 0.3 < pair.share_low < 0.4


def test_tokens_predicted_from_tokens_are_no_classes() -> None:
    confusion = Confusion(0, "logits", np.eye(3, dtype=np.int64), sequence=True)
    tokens = TokenCounts(0, "x", 64, 9, None, 0.0, {1: 0.2})
    assert _evidence(confusions=(confusion,), tokens=(tokens,)).predictions is None
    assert _evidence(confusions=(confusion,)).predictions is not None


@pytest.mark.parametrize(("count", "chance"), list(product((1, 7, 30), (0.1, 0.5, 0.97))))
def test_the_binomial_tail_is_the_sum_of_its_terms(count: int, chance: float) -> None:
    for right in range(count + 1):
        plain = sum(math.comb(count, k) * chance**k * (1 - chance) ** (count - k) for k in range(right + 1))
        assert at_most(right, count, chance) == pytest.approx(plain, rel=1e-9)


def test_a_tail_of_many_trials_neither_overflows_nor_vanishes() -> None:
    assert 0 < at_most(480, 1000, 0.5) < 0.2
    assert at_most(0, 100_000, 0.5) == 0.0
    assert at_most(5, 10, 1.0) == 1.0


def test_padding_is_what_every_dump_has() -> None:
    found = tuple(
        TokenCounts(step, "x", 100, 40, 0, share, {0: share, 5: 0.1 * step})
        for step, share in enumerate((0.5, 0.7, 0.6), 1)
    )
    one = _evidence(tokens=found).tokens.sets[0]
    assert (one.padding, one.padding_share, one.positions, one.top) == (0, 0.5, 300, 5)
    assert (one.mean_padding_share, one.top_share) == (pytest.approx(0.6), pytest.approx(0.1))
    mixed = _evidence(tokens=(found[0], replace(found[1], padding=3))).tokens.sets[0]
    assert (mixed.padding, mixed.padding_share) == (None, 0.0)


def test_the_first_step_alone_and_outputs_without_differences_predict_nothing() -> None:
    matrix = np.array([[30, 0], [30, 0]])
    at = [Confusion(step, "logits", matrix) for step in (0.0, 20.0)]
    assert isinstance(_evidence(confusions=(at[0],)).predictions, Missing)
    assert _evidence(confusions=(at[1],)).predictions.sets[0].samples == 60
    rows = [TensorRow(step=step, kind="output", name="logits", constant=float(step == 0)) for step in (0.0, 20.0)]
    stats = replace(stats_of(rows), confusions=tuple(at))
    assert Evidence(Run("r", "r", "tensors", (), tensors=stats)).predictions.sets[0].first_step == 20.0
