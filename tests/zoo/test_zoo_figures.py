"""The zoo's figures against plain counting: F1, calibration, the confusion matrix, and when a failure is found."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score
from zoo.figures import BINS, Said, calibration_of, detected_at, f1_of, macro_f1, matrix_lines

from convergence_cli.model import LABELS

ANY = st.sampled_from([*LABELS, "undetermined"])
SAID = st.builds(
    Said,
    right=st.lists(ANY, min_size=1, max_size=3, unique=True).map(tuple),
    label=ANY,
    likeliest=st.sampled_from(LABELS),
    probability=st.none() | st.floats(0, 1) | st.sampled_from([k / BINS for k in range(BINS + 1)]),
)
MANY = st.lists(SAID, max_size=40)


def test_the_truth_is_what_was_said_where_that_is_right() -> None:
    assert Said(("converging", "stuck"), "stuck").truth == "stuck"
    assert Said(("converging", "stuck"), "diverging").truth == "converging"
    assert Said(("stuck", "undetermined"), "undetermined").truth == "undetermined"


def test_f1_by_hand() -> None:
    said = [
        Said(("converging",), "converging"), Said(("converging",), "converging"), Said(("converging",), "stuck"),
        Said(("stuck", "converging"), "stuck"), Said(("diverging",), "undetermined"),
    ]  # fmt: skip
    # Of converging: two right, one missed. Of stuck: one right, one too many. Overfitting never occurs.
    assert f1_of(said) == pytest.approx({"converging": 4 / 5, "diverging": 0.0, "stuck": 2 / 3})
    assert macro_f1(said) == pytest.approx((4 / 5 + 0 + 2 / 3) / 3)
    assert f1_of([]) == {}
    assert macro_f1([]) == 0.0


@settings(max_examples=100, deadline=None)
@given(MANY.filter(bool))
def test_f1_is_that_of_precision_and_recall_and_of_scikit_learn(said: list[Said]) -> None:
    truth, label = [one.truth for one in said], [one.label for one in said]
    occurring = [name for name in LABELS if name in (*truth, *label)]
    found = f1_of(said)
    assert [*found] == occurring
    for name in occurring:
        both = sum(a == b == name for a, b in zip(truth, label, strict=True))
        precision = both / label.count(name) if name in label else 0.0
        recall = both / truth.count(name) if name in truth else 0.0
        both_means = 2 * precision * recall / (precision + recall) if both else 0.0
        assert found[name] == pytest.approx(both_means)
    if occurring:
        oracle = f1_score(truth, label, labels=occurring, average="macro", zero_division=0.0)
        assert macro_f1(said) == pytest.approx(float(oracle))


def naive_calibration(said: list[Said]) -> tuple[float, list[tuple[float, float, int]]]:
    given_ = [one for one in said if one.probability is not None]
    error, table = 0.0, []
    for k in range(BINS):
        inside = [
            one for one in given_
            if one.probability is not None and min(math.floor(one.probability * BINS), BINS - 1) == k
        ]  # fmt: skip
        if inside:
            sure = sum(one.probability or 0.0 for one in inside) / len(inside)
            right = sum(one.likeliest in one.right for one in inside) / len(inside)
            error += len(inside) / len(given_) * abs(sure - right)
            table.append((sure, right, len(inside)))
    return error, table


@settings(max_examples=100, deadline=None)
@given(MANY)
def test_calibration_is_that_of_plain_counting(said: list[Said]) -> None:
    (error, table), (naive, naive_table) = calibration_of(said), naive_calibration(said)
    assert error == pytest.approx(naive, abs=1e-12)
    assert len(table) == len(naive_table)
    for row, expected in zip(table, naive_table, strict=True):
        assert row == pytest.approx(expected)
    assert 0 <= error <= 1


def test_calibration_by_hand() -> None:
    right, wrong = ("stuck",), ("converging",)
    # Nine in ten of what was said with 0.9 is right, and half of it.
    calm = [Said(right if k else wrong, "stuck", "stuck", 0.9) for k in range(10)]
    assert calibration_of(calm)[0] == pytest.approx(0.0)
    bold = [Said(right if k % 2 else wrong, "stuck", "stuck", 0.9) for k in range(10)]
    assert calibration_of(bold)[0] == pytest.approx(0.4)
    # A verdict that was withheld counts by what was thought likeliest; one that needs no classifier does not count.
    withheld = [Said(right, "undetermined", "stuck", 0.6)]
    assert calibration_of(withheld) == (pytest.approx(0.4), [(pytest.approx(0.6), 1.0, 1)])
    assert calibration_of([*withheld, Said(right, "stuck", "stuck")]) == calibration_of(withheld)
    assert calibration_of([]) == (0.0, [])
    # What is certain lies in the last bin.
    assert calibration_of([Said(right, "stuck", "stuck", 1.0), Said(right, "stuck", "stuck", 0.98)])[1][0][2] == 2


@settings(max_examples=100, deadline=None)
@given(MANY)
def test_the_matrix_counts_each_verdict_once(said: list[Said]) -> None:
    head, *lines = matrix_lines(said)
    counts = {}
    for line in lines:
        truth, *numbers = line.split()
        counts |= {
            (truth, label): int(number) for label, number in zip((*LABELS, "undetermined"), numbers, strict=True)
        }
    assert sum(counts.values()) == len(said)
    for (truth, label), count in counts.items():
        assert count == sum((one.truth, one.label) == (truth, label) for one in said)
    assert all(len(line) == len(head) for line in lines)


STUCK, ELSE = "stuck", "converging"


@pytest.mark.parametrize(
    ("labels", "since"),
    [
        ([], None),
        ([ELSE, ELSE], None),
        ([STUCK, STUCK], 0.0),
        ([ELSE, STUCK, STUCK], 0.1),
        ([STUCK, ELSE, STUCK, STUCK], 0.2),
        ([STUCK, STUCK, ELSE], None),
        (["undetermined", STUCK, "undetermined", STUCK], 0.3),
    ],
)
def test_a_failure_is_found_when_it_is_said_and_never_taken_back(labels: list[str], since: float | None) -> None:
    shares = [(place / 10, label) for place, label in enumerate(labels)]
    assert detected_at(shares, STUCK) == (None if since is None else pytest.approx(since))


@settings(max_examples=100, deadline=None)
@given(st.lists(ANY, max_size=12), ANY)
def test_found_is_the_first_place_after_which_nothing_else_is_said(labels: list[str], truth: str) -> None:
    shares = [(place / 20, label) for place, label in enumerate(labels)]
    naive = next((share for place, (share, _) in enumerate(shares) if set(labels[place:]) == {truth}), None)
    assert detected_at(shares, truth) == naive
