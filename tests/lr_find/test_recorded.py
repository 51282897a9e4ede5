"""A rate from files: range tests, tables of trainings, folders of runs, and what is said of others."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from convergence_cli.errors import UsageError
from convergence_cli.lr_find.answering import METHODS, RANGE_CONFIDENCE
from convergence_cli.lr_find.known_rules import RULES
from convergence_cli.lr_find.recorded import FEWEST_POINTS, LEAST_SPAN, find_in_record, is_range_test
from convergence_cli.settings import Settings

if TYPE_CHECKING:
    from convergence_cli.learning_rate import LearningRate

RATES: list[float] = np.geomspace(1e-7, 10.0, 100).tolist()
Pairs = Sequence[tuple[float, float]]
# The best is 1e-3; the highest broke.
TRAININGS: Pairs = [(1e-5, 3.0), (1e-4, 2.0), (1e-3, 1.0), (1e-2, 1.5), (1e-1, math.nan)]


def range_test(seed: int = 0, noise: float = 0.01) -> Pairs:
    """Flat, a fall that is steepest at 1e-2, lowest near 0.3, above its start at 3."""
    place = np.log10(RATES)
    clean = 2.3 - 1.5 / (1 + np.exp(-4 * (place + 2))) + 8 * np.maximum(place + 0.3, 0) ** 2
    losses = clean + noise * np.random.default_rng(seed).normal(size=100)
    return list(zip(RATES, losses.tolist(), strict=True))


def csv(path: Path, pairs: Iterable[Sequence[object]], header: str = "lr,loss") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(header + "\n" + "".join(",".join(map(str, row)) + "\n" for row in pairs))
    return path


def found(path: Path, *, schedule: str = "constant", method: str = METHODS[0], **metrics: str) -> LearningRate:
    return find_in_record(str(path), Settings(metrics=metrics), schedule=schedule, method=method)


def given_rate(answer: LearningRate) -> float:
    assert answer.refused is None
    assert answer.learning_rate is not None
    return answer.learning_rate


def reason(path: Path, method: str = METHODS[0]) -> str:
    answer = found(path, method=method)
    assert answer.refused is not None
    assert answer.learning_rate is None
    assert answer.refused.hint
    return answer.refused.reason


def same(one: LearningRate, other: LearningRate) -> bool:
    def told(answer: LearningRate) -> tuple[object, ...]:
        return answer.learning_rate, answer.window, answer.diverges_at, answer.confidence

    return told(one) == told(other)


# --- range tests


def test_a_range_test_gives_a_tenth_of_the_rate_at_its_lowest_point(tmp_path: Path) -> None:
    path = csv(tmp_path / "range.csv", range_test())
    answer = found(path)
    assert 0.02 < given_rate(answer) < 0.06
    assert answer.window is not None
    assert answer.window[0] <= given_rate(answer) <= answer.window[1]
    assert answer.diverges_at is not None
    assert 0.5 < answer.diverges_at < 3
    assert (answer.method, answer.confidence, answer.source) == ("range", RANGE_CONFIDENCE, str(path))
    assert list(zip(answer.range_rates, answer.range_losses, strict=True)) == range_test()
    assert answer.probes == ()


def test_for_a_decaying_schedule_it_gives_a_third(tmp_path: Path) -> None:
    path = csv(tmp_path / "range.csv", range_test())
    cosine = found(path, schedule="cosine")
    assert cosine.schedule == "cosine"
    assert given_rate(cosine) == pytest.approx(given_rate(found(path)) * 10**0.5, rel=0.05)


def lines_of_json(pairs: Pairs) -> str:
    return "".join(json.dumps({"lr": rate, "loss": loss}) + "\n" for rate, loss in pairs)


def columns_of_json(pairs: Pairs) -> str:
    return json.dumps({"lr": [rate for rate, _ in pairs], "loss": [loss for _, loss in pairs]})


def rows_of_json(pairs: Pairs) -> str:
    return json.dumps([{"lr": rate, "loss": loss} for rate, loss in pairs])


FORMS = pytest.mark.parametrize(
    ("name", "written"),
    [
        # As Lightning keeps lr_find.results, and torch-lr-finder its history.
        ("results.json", columns_of_json),
        ("rows.json", rows_of_json),
        ("rows.jsonl", lines_of_json),
        ("table.tsv", lambda pairs: "lr\tloss\n" + "".join(f"{rate}\t{loss}\n" for rate, loss in pairs)),
        ("turned.csv", lambda pairs: "loss,lr\n" + "".join(f"{loss},{rate}\n" for rate, loss in pairs)),
        ("long.csv", lambda pairs: "learning_rate,train_loss\n" + "".join(f"{r},{v}\n" for r, v in pairs)),
        (
            "numbered.csv",
            lambda pairs: "step,lr,loss\n" + "".join(f"{at},{r},{v}\n" for at, (r, v) in enumerate(pairs)),
        ),
    ],
)


@FORMS
def test_a_range_test_is_read_from_any_form(tmp_path: Path, name: str, written: Callable[[Pairs], str]) -> None:
    path = tmp_path / name
    path.write_text(written(range_test()))
    answer = found(path)
    assert answer.method == "range"
    assert same(answer, found(csv(tmp_path / "plain.csv", range_test())))


@FORMS
@pytest.mark.parametrize("last", [math.nan, math.inf])
def test_a_range_test_that_ends_in_nan_is_read_up_to_there(
    tmp_path: Path, name: str, written: Callable[[Pairs], str], last: float
) -> None:
    pairs = [(rate, loss if rate < 1 else last) for rate, loss in range_test()]
    path = tmp_path / name
    path.write_text(written(pairs))
    answer = found(path)
    assert answer.method == "range"
    calm = csv(tmp_path / "calm.csv", [(rate, loss) for rate, loss in pairs if rate < 1])
    assert given_rate(answer) == given_rate(found(calm))
    assert answer.window == found(calm).window


def test_a_range_test_that_ends_in_nan_diverges_there(tmp_path: Path) -> None:
    pairs = [(rate, loss if rate < 0.6 else math.nan) for rate, loss in range_test()]
    told = found(csv(tmp_path / "range.csv", pairs)).diverges_at
    assert told is not None
    assert 0.4 < told < 0.8


@pytest.mark.parametrize("method", RULES)
def test_a_known_rule_is_read_off_a_range_test(tmp_path: Path, method: str) -> None:
    answer = found(csv(tmp_path / "range.csv", range_test()), method=method)
    assert RATES[0] / 10 <= given_rate(answer) <= RATES[-1]
    assert (answer.method, answer.window, answer.confidence) == (method, None, 0.0)


@pytest.mark.parametrize("loss", [2.3026, 0.0, -4.2])
def test_a_range_test_of_equal_losses_has_no_rate(tmp_path: Path, loss: float) -> None:
    assert reason(csv(tmp_path / "range.csv", [(rate, loss) for rate in RATES])) == "no-rate-learns"


def test_a_range_test_that_only_rises_has_no_rate(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).uniform(-0.01, 0.01, 100)
    pairs = [(rate, 2 + max(at - 40, 0) + noise[at]) for at, rate in enumerate(RATES)]
    assert reason(csv(tmp_path / "range.csv", pairs)) == "no-rate-learns"


@pytest.mark.parametrize("method", METHODS)
def test_a_range_test_of_nothing_but_nan_is_too_few_points(tmp_path: Path, method: str) -> None:
    path = csv(tmp_path / "range.csv", [(rate, math.nan) for rate in RATES])
    assert reason(path, method) == "too-few-points"


def test_a_range_test_is_a_rate_that_only_rises_over_a_decade() -> None:
    fewest = np.geomspace(1e-3, 1e-3 * LEAST_SPAN * 1.001, FEWEST_POINTS)
    assert is_range_test(fewest)
    assert not is_range_test(fewest[:-1])
    assert not is_range_test(fewest[::-1])
    assert not is_range_test(np.geomspace(1e-3, 9e-3, FEWEST_POINTS))
    assert not is_range_test(np.append(fewest, fewest[-1]))
    assert not is_range_test(np.append(0.0, fewest))
    assert not is_range_test(np.append(fewest, np.nan))
    assert not is_range_test(np.full(100, 1e-3))
    assert not is_range_test(np.array([]))


@pytest.mark.parametrize("add", [-1000.0, 0.5])
@pytest.mark.parametrize("times", [1e-2, 1.0, 300.0])
def test_neither_the_zero_nor_the_unit_of_the_loss_changes_what_a_range_test_says(
    tmp_path: Path, add: float, times: float
) -> None:
    moved = [(rate, times * loss + add) for rate, loss in range_test()]
    plain = found(csv(tmp_path / "plain.csv", range_test()))
    assert same(found(csv(tmp_path / "moved.csv", moved)), plain)


@pytest.mark.parametrize("times", [1e-2, 1e-1, 3.0])
def test_what_a_range_test_says_moves_with_the_rates(tmp_path: Path, times: float) -> None:
    plain = given_rate(found(csv(tmp_path / "plain.csv", range_test())))
    moved = found(csv(tmp_path / "moved.csv", [(times * rate, loss) for rate, loss in range_test()]))
    assert given_rate(moved) == pytest.approx(times * plain, rel=0.06)


# --- tables of trainings


def test_the_best_of_a_table_of_trainings_is_given_as_it_is(tmp_path: Path) -> None:
    answer = found(csv(tmp_path / "sweep.csv", TRAININGS))
    assert given_rate(answer) == 1e-3
    assert answer.window is not None
    assert 1e-4 < answer.window[0] <= 1e-3 <= answer.window[1] < 1e-2
    assert answer.diverges_at == 0.1
    assert answer.method == "trainings"
    assert answer.start_loss == 3.0
    assert answer.range_rates == ()
    assert [(probe.rate, probe.loss) for probe in answer.probes] == [*TRAININGS[:4], (0.1, None)]
    assert answer.why == "Of 5 rates, 0.001 ended in the lowest loss (1)."


@FORMS
def test_a_table_of_trainings_is_read_from_any_form(tmp_path: Path, name: str, written: Callable[[Pairs], str]) -> None:
    path = tmp_path / name
    path.write_text(written(TRAININGS))
    assert same(found(path), found(csv(tmp_path / "plain.csv", TRAININGS)))


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_the_rows_does_not_matter(tmp_path: Path, seed: int) -> None:
    mixed = random.Random(seed).sample(TRAININGS, len(TRAININGS))
    plain, turned = csv(tmp_path / "plain.csv", TRAININGS), csv(tmp_path / "turned.csv", TRAININGS[::-1])
    assert same(found(csv(tmp_path / "mixed.csv", mixed)), found(plain))
    assert same(found(turned), found(plain))


def test_a_range_test_in_descending_order_is_a_table_of_trainings(tmp_path: Path) -> None:
    answer = found(csv(tmp_path / "turned.csv", range_test(noise=0.0)[::-1]))
    assert answer.method == "trainings"
    assert 0.1 < given_rate(answer) < 0.6


def test_a_constant_schedule_does_not_lower_the_rate_of_whole_trainings(tmp_path: Path) -> None:
    path = csv(tmp_path / "sweep.csv", TRAININGS)
    assert given_rate(found(path)) == given_rate(found(path, schedule="cosine")) == 1e-3


def test_of_several_trainings_at_a_rate_the_median_counts(tmp_path: Path) -> None:
    rows = [(1e-3, 9.0), (1e-4, 2.0), (1e-3, 1.0), (1e-2, 1.4), (1e-3, 1.2), (1e-2, 1.6)]
    answer = found(csv(tmp_path / "sweep.csv", rows))
    assert [(probe.rate, probe.loss) for probe in answer.probes] == [(1e-4, 2.0), (1e-3, 1.2), (1e-2, 1.5)]
    assert given_rate(answer) == 1e-3


def test_a_rate_at_which_half_the_trainings_broke_has_broken(tmp_path: Path) -> None:
    rows = [(1e-4, 2.0), (1e-3, 1.0), (1e-3, math.nan), (1e-3, 1.4), (1e-2, 0.5), (1e-2, math.nan), (1e-5, 3.0)]
    answer = found(csv(tmp_path / "sweep.csv", rows))
    assert {probe.rate: probe.loss for probe in answer.probes} == {1e-5: 3.0, 1e-4: 2.0, 1e-3: 1.4, 1e-2: None}
    assert answer.diverges_at == 0.01


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_column_that_is_no_step_changes_nothing(tmp_path: Path, seeds: int) -> None:
    rows = [(rate, seed, loss) for rate, loss in TRAININGS for seed in range(seeds)]
    assert same(found(csv(tmp_path / "sweep.csv", rows, "lr,seed,loss")), found(csv(tmp_path / "plain.csv", TRAININGS)))


@pytest.mark.parametrize("epochs", [(10, 10, 10, 10, 10), (3, 7, 5, 2, 4), (1, 2, 1, 2, 3), (1, 2, 3, 1, 2)], ids=str)
def test_no_row_is_lost_whatever_its_number_of_epochs(tmp_path: Path, epochs: tuple[int, ...]) -> None:
    rows = [(epoch, rate, loss) for epoch, (rate, loss) in zip(epochs, TRAININGS, strict=True)]
    answer = found(csv(tmp_path / "sweep.csv", rows, "epoch,lr,loss"))
    assert [probe.rate for probe in answer.probes] == [rate for rate, _ in TRAININGS]
    assert same(answer, found(csv(tmp_path / "plain.csv", TRAININGS)))


def test_no_row_is_lost_where_a_training_left_its_loss_blank(tmp_path: Path) -> None:
    rows = [
        (epoch, rate, "" if math.isnan(loss) else loss)
        for epoch, (rate, loss) in zip((1, 2, 1, 2, 3), TRAININGS, strict=True)
    ]
    answer = found(csv(tmp_path / "sweep.csv", rows, "epoch,lr,loss"))
    assert [(probe.rate, probe.loss) for probe in answer.probes][:4] == list(TRAININGS[:4])
    assert given_rate(answer) == 1e-3


def test_rates_that_are_none_are_passed_over(tmp_path: Path) -> None:
    rows = [(-1e-3, 0.0), (0.0, 0.0), (math.nan, 0.0), (math.inf, 0.0), *TRAININGS]
    assert same(found(csv(tmp_path / "sweep.csv", rows)), found(csv(tmp_path / "plain.csv", TRAININGS)))


def test_a_validation_loss_alone_will_do_and_the_training_loss_comes_first(tmp_path: Path) -> None:
    validated = csv(tmp_path / "val.csv", TRAININGS, "lr,val_loss")
    assert given_rate(found(validated)) == 1e-3
    rows = [(rate, loss, 4 - loss) for rate, loss in TRAININGS]
    assert given_rate(found(csv(tmp_path / "both.csv", rows, "lr,train_loss,val_loss"))) == 1e-3


def test_columns_of_any_name_can_be_named(tmp_path: Path) -> None:
    path = csv(tmp_path / "sweep.csv", TRAININGS, "alpha,wobble")
    with pytest.raises(UsageError, match="--metric"):
        found(path)
    assert given_rate(found(path, learning_rate="alpha", train_loss="wobble")) == 1e-3


@pytest.mark.parametrize("add", [-1000.0, 0.5])
@pytest.mark.parametrize("times", [0.25, 1.0, 300.0])
def test_neither_the_zero_nor_the_unit_of_the_loss_changes_what_trainings_say(
    tmp_path: Path, add: float, times: float
) -> None:
    moved = [(rate, times * loss + add) for rate, loss in TRAININGS]
    plain = found(csv(tmp_path / "plain.csv", TRAININGS))
    assert same(found(csv(tmp_path / "moved.csv", moved)), plain)


@pytest.mark.parametrize("times", [1e-3, 0.5, 100.0])
def test_what_trainings_say_moves_with_the_rates(tmp_path: Path, times: float) -> None:
    plain = found(csv(tmp_path / "plain.csv", TRAININGS))
    moved = found(csv(tmp_path / "moved.csv", [(times * rate, loss) for rate, loss in TRAININGS]))
    assert given_rate(moved) == pytest.approx(times * given_rate(plain))
    assert plain.window is not None
    assert moved.window == pytest.approx(tuple(times * end for end in plain.window), rel=0.06)
    assert moved.confidence == plain.confidence


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_rates_are_refused_however_many_rows(tmp_path: Path, count: int) -> None:
    path = csv(tmp_path / "sweep.csv", list(TRAININGS[:count]) * 20)
    assert reason(path) == "too-few-points"
    refused = found(path).refused
    assert refused is not None
    assert f"{count} rate" in refused.message
    assert "3 are needed" in refused.message


def test_one_training_at_a_constant_rate_is_one_rate(tmp_path: Path) -> None:
    rows = [(step, 1e-3, 1 / step) for step in range(1, 50)]
    assert reason(csv(tmp_path / "run.csv", rows, "step,lr,loss")) == "too-few-points"


def test_equal_losses_and_losses_that_all_broke_have_no_rate(tmp_path: Path) -> None:
    equal = csv(tmp_path / "equal.csv", [(rate, 2.5) for rate, _ in TRAININGS])
    broke = csv(tmp_path / "broke.csv", [(rate, math.nan) for rate, _ in TRAININGS])
    assert (reason(equal), reason(broke)) == ("no-rate-learns", "no-rate-learns")
    told = [answer.refused.message for answer in (found(equal), found(broke)) if answer.refused is not None]
    assert "same at all rates" in told[0]
    assert "finite" in told[1]


def test_of_equal_losses_the_lower_rate_is_given(tmp_path: Path) -> None:
    rows = [(1e-1, 1.0), (1e-2, 1.0), (1e-3, 1.0), (1e-4, 2.0)]
    assert given_rate(found(csv(tmp_path / "sweep.csv", rows))) == 1e-3


# --- one training whose rate followed a schedule


def scheduled(kind: str, count: int) -> list[float]:
    """The rates of ``count`` steps of one training, at most 1e-3."""
    at = (np.arange(count) + 1) / count
    decay = {
        "cosine": (1 + np.cos(np.pi * at)) / 2 + 1e-3,
        "linear": 1 - at + 1e-3,
        "exponential": 0.01**at,
        "steps": 0.1 ** (at * 3).astype(int),
        "warm-up, then cosine": np.minimum(at * 10, (1 + np.cos(np.pi * at)) / 2 + 1e-3),
        "warm-up, then linear": np.minimum(at * 10, 1 - at + 1e-3),
    }[kind]
    return (1e-3 * decay).tolist()  # type: ignore[no-any-return]


SCHEDULED = ["cosine", "linear", "exponential", "steps", "warm-up, then cosine", "warm-up, then linear"]


@pytest.mark.parametrize("kind", SCHEDULED)
@pytest.mark.parametrize("count", [100, 1000])
def test_one_training_whose_rate_followed_a_schedule_is_no_sweep(tmp_path: Path, kind: str, count: int) -> None:
    rows = [(step, rate, 2 * 0.99**step) for step, rate in enumerate(scheduled(kind, count))]
    assert reason(csv(tmp_path / "run.csv", rows, "step,lr,loss")) == "one-training"


@pytest.mark.parametrize("order", ["by rate", "by seed", "mixed"])
def test_many_trainings_at_many_rates_are_no_schedule(tmp_path: Path, order: str) -> None:
    rates = np.geomspace(1e-5, 1.0, 11).tolist()
    rows = [(rate, (math.log10(rate) + 3) ** 2 + seed / 100) for rate in rates for seed in range(5)]
    if order == "by seed":
        rows = [row for seed in range(5) for row in rows[seed::5]]
    elif order == "mixed":
        random.Random(0).shuffle(rows)
    answer = found(csv(tmp_path / "sweep.csv", rows))
    assert given_rate(answer) == pytest.approx(1e-3)
    assert len(answer.probes) == 11


# --- folders of runs


def runs(folder: Path, ends: Pairs, *, named: str = "{rate}.csv", logged: bool = True) -> Path:
    """A log for each rate: a loss that falls in a straight line from 4 to where it ends, for 100 steps."""
    for rate, end in ends:
        rows = [(step, 4 - (4 - end) * step / 100, rate) for step in range(1, 101)]
        path = folder / named.format(rate=rate)
        csv(path, rows if logged else [row[:2] for row in rows], "step,train_loss" + ",lr" * logged)
    return folder


@pytest.mark.parametrize("named", ["run{rate}.csv", "{rate}/log.csv"])
def test_of_a_folder_of_runs_the_rate_is_given_whose_loss_ended_lowest(tmp_path: Path, named: str) -> None:
    answer = found(runs(tmp_path / "runs", TRAININGS, named=named))
    assert given_rate(answer) == 1e-3
    assert answer.method == "trainings"
    assert answer.diverges_at == 0.1
    # The mean of the last fifth: 90.5 % of the way from 4 down.
    expected = [(rate, None if math.isnan(end) else pytest.approx(4 - 0.905 * (4 - end))) for rate, end in TRAININGS]
    assert [(probe.rate, probe.loss) for probe in answer.probes] == expected


def test_a_run_may_have_its_rate_in_the_configuration_beside_it(tmp_path: Path) -> None:
    folder = runs(tmp_path / "runs", TRAININGS, named="{rate}/log.csv", logged=False)
    for rate, _ in TRAININGS:
        (folder / f"{rate}" / "config.json").write_text(json.dumps({"learning_rate": rate}))
    assert same(found(folder), found(runs(tmp_path / "logged", TRAININGS)))


def test_a_run_without_a_rate_or_without_a_loss_is_left_out(tmp_path: Path) -> None:
    folder = runs(tmp_path / "runs", TRAININGS)
    csv(folder / "rateless.csv", [(step, 0.01) for step in range(1, 30)], "step,train_loss")
    csv(folder / "lossless.csv", [(step, 1e-6) for step in range(1, 30)], "step,lr")
    assert same(found(folder), found(runs(tmp_path / "plain", TRAININGS)))


def test_several_runs_at_a_rate_count_by_their_median(tmp_path: Path) -> None:
    folder = runs(tmp_path / "runs", TRAININGS)
    runs(folder, [(1e-4, 0.5)], named="again.csv")
    runs(folder, [(1e-4, 2.1)], named="once-more.csv")
    assert same(found(folder), found(runs(tmp_path / "plain", TRAININGS)))


def test_two_runs_are_too_few_and_equal_ends_have_no_rate(tmp_path: Path) -> None:
    assert reason(runs(tmp_path / "two", TRAININGS[:2])) == "too-few-points"
    assert reason(runs(tmp_path / "equal", [(rate, 1.0) for rate, _ in TRAININGS])) == "no-rate-learns"


def test_a_folder_whose_runs_have_no_rate_or_no_loss_is_an_error(tmp_path: Path) -> None:
    rateless = runs(tmp_path / "rateless", TRAININGS, logged=False)
    for rate, _ in TRAININGS:
        csv(tmp_path / "rewards" / f"{rate}.csv", [(step, step, rate) for step in range(1, 30)], "step,reward,lr")
    for folder in (rateless, tmp_path / "rewards"):
        with pytest.raises(UsageError, match=r"No run in .* has a learning rate and a loss"):
            found(folder)


# --- what holds no sweep


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "step,loss\n1,2.0\n2,1.0\n3,2\n", "no series that is a learning rate"),
        ("a.csv", "lr,loss\n", "no series that is a learning rate"),
        ("a.csv", "lr,wobble\n1e-4,2.0\n1e-3,1.0\n1e-2,2\n", "no series that is a loss"),
        ("a.csv", "lr\n1e-4\n1e-3\n1e-2\n", "no series that is a loss"),
        ("a.json", '{"loss": [1, 2, 3]}', "no series that is a learning rate"),
    ],
)
def test_a_file_without_rates_or_losses_says_which_are_missing(tmp_path: Path, name: str, text: str, said: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(UsageError, match=said) as caught:
        found(path)
    assert str(path) in caught.value.message
    assert "--metric learning_rate=NAME" in caught.value.hint


@pytest.mark.parametrize("kind", ["missing", "empty", "folder", "binary"])
def test_what_is_no_log_is_an_error_with_its_path_and_the_next_step(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "sweep.csv"
    if kind == "empty":
        path.touch()
    elif kind == "folder":
        path.mkdir()
    elif kind == "binary":
        path.write_bytes(bytes(range(256)) * 8)
    with pytest.raises(UsageError) as caught:
        found(path)
    assert str(path) in caught.value.message
    assert "lr and loss" in caught.value.hint


@pytest.mark.parametrize("method", METHODS[1:])
def test_a_table_of_trainings_is_read_by_no_rule_of_a_range_test(method: str, tmp_path: Path) -> None:
    table = csv(tmp_path / "table.csv", TRAININGS)
    with pytest.raises(UsageError, match="reads a range test"):
        found(table, method=method)
