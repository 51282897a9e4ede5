"""The fast path gives what the line-by-line path gives, whatever stands in the log."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from convergence_cli.readers import _text_fast as fast
from convergence_cli.readers._text_log import LogReader
from convergence_cli.readers._text_runs import Assembler

if TYPE_CHECKING:
    from collections.abc import Callable

    from convergence_cli.model import Run

LAYOUTS = (
    "step {step} | loss {loss} | lr 3.0e-4 | grad_norm {norm}",
    "iter {step}: loss {loss}, time 37010.32ms, mfu -100.00%",
    "step:{step}/100000 train_loss:{loss} train_time:{norm}ms",
    "step={step} loss={loss} nan_count=0 end",
    "Iteration {step}, loss = {loss}",
    "2024-01-01 10:00:00,123 INFO step {step} loss {loss}",
    "step {step} a {norm} loss {loss} n {norm}",
    "step {step} | loss {loss} | lr 0.0000",
    "step {step} | loss {loss} | lr 0.0",
)


def slowly(block: bytes) -> tuple[list[Run], LogReader]:
    log = LogReader(Assembler("x", "x"))
    for line in block.decode("utf-8", "replace").split("\n")[:-1]:
        log.feed(line.removesuffix("\r"))
    return log.runs.finish(), log


def quickly(block: bytes) -> tuple[list[Run], LogReader]:
    log = LogReader(Assembler("x", "x"))
    fast.feed_block(log, block)
    return log.runs.finish(), log


def assert_same(block: bytes) -> None:
    (slow, slow_log), (quick, quick_log) = slowly(block), quickly(block)
    assert slow_log.line == quick_log.line
    assert [run.notes for run in slow] == [run.notes for run in quick]
    assert len(slow) == len(quick)
    for one, other in zip(slow, quick, strict=True):
        assert [curve.name for curve in one.curves] == [curve.name for curve in other.curves]
        for curve, twin in zip(one.curves, other.curves, strict=True):
            assert curve.restarts == twin.restarts
            for field in ("step", "value", "epoch", "line"):
                mine, theirs = getattr(curve, field), getattr(twin, field)
                assert (mine is None) == (theirs is None)
                assert mine is None or np.array_equal(mine, theirs, equal_nan=True)


def log_of(layout: str, lines: int, seed: int, spoil: Callable[[random.Random, int, str], str]) -> bytes:
    draw = random.Random(seed)
    shown = (
        spoil(draw, step, layout.format(step=step, loss=f"{draw.random():.4f}", norm=f"{draw.random():.2f}"))
        for step in range(lines)
    )
    return ("\n".join(shown) + "\n").encode()


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many lines each call of the fast path took."""
    counts: list[int] = []
    add = fast._add

    def counting(log: LogReader, numbers: np.ndarray, form: fast.Skeleton) -> bool:
        done = add(log, numbers, form)
        if done:
            counts.append(len(numbers))
        return done

    monkeypatch.setattr(fast, "_add", counting)
    return counts


@pytest.mark.parametrize("layout", LAYOUTS[:6])
def test_clean_logs_are_taken_whole(layout: str, taken: list[int]) -> None:
    block = log_of(layout, 3000, 1, lambda _, __, line: line)
    assert_same(block)
    assert sum(taken) > 2500
    taken.clear()
    assert_same(block.replace(b"\n", b"\r\n"))
    assert sum(taken) > 2500


def test_nan_and_infinity_are_taken_too(taken: list[int]) -> None:
    def spoil(draw: random.Random, step: int, line: str) -> str:
        before, after = line.split("loss ")
        rest = after.split(" ", 1)[1]
        return f"{before}loss {draw.choice(['nan', 'inf', '-inf', 'NaN'])} {rest}" if step % 2 else line

    block = log_of(LAYOUTS[0], 3000, 2, spoil)
    assert_same(block)
    assert sum(taken) > 2500
    (run,), _ = quickly(block)
    assert len(run.curves[0].value) == 3000
    assert (~np.isfinite(run.curves[0].value)).sum() == 1500


def test_noise_between_the_lines_costs_only_itself(taken: list[int]) -> None:
    def spoil(_: random.Random, step: int, line: str) -> str:
        return f"{line}\nvalidation: step {step} val_loss 2.5\nsaved checkpoint" if step % 300 == 0 else line

    assert_same(log_of(LAYOUTS[0], 4000, 3, spoil))
    assert sum(taken) > 3000


@pytest.mark.parametrize(
    "bad",
    [
        "step 5 | loss 1 | loss 2 | grad_norm 3",
        "step 900 | loss  | lr 1-2 | grad_norm 3",
        "step 900 | loss 1 2 | lr 1 | grad_norm 3",
        "step 1 | loss 9.99 | lr 3.0e-4 | grad_norm 1",
        "step 1500 | loss 0.5 | lr 3.0e-4 | grad_norm 1.5\x1b[0m",
        "step 1500 | loss 1.#IND | lr 3.0e-4 | grad_norm 1.5",
        "step 1500 | loss 1,234.5 | lr 3.0e-4 | grad_norm 1.5",
        "step nan | loss 1.5 | lr 3.0e-4 | grad_norm 1.5",
        "step 1500 | loss 007 | lr +3.0e-4 | grad_norm .5",
        "step 1500 | loss 1e400 | lr 1e-400 | grad_norm 5.",
        "step 1500 | loss 0x10 | lr 1 | grad_norm 5",
        "step 1500 | loss 123456789012345678901234567890 | lr 1 | grad_norm 5",
        "step 1500 | loss 0.5nan | lr 1 | grad_norm 5",
        "step 1500 | loss 0.5a | lr 1 | grad_norm 5",
        "step 1500 | loss 1e | lr 1 | grad_norm 5",
        "Epoch 3",
        "step 99999999999999999 | loss 1 | lr 1 | grad_norm 5",
        "step 1500 | loss 0.1" + "1" * 20000 + " | lr 1 | grad_norm 5",
        "epoch  train_loss\n5 0.5",
        "trial: 2",
        "",
        "\x00",
        "é | loss",
    ],
)
def test_a_line_that_does_not_fit_changes_nothing(bad: str) -> None:
    lines = log_of(LAYOUTS[0], 2000, 4, lambda _, __, line: line).decode().split("\n")
    assert_same("\n".join([*lines[:1200], bad, *lines[1200:]]).encode())


PIECES = st.sampled_from(
    [
        "step 7 | loss 0.5 | lr 1 | grad_norm 2\n",
        "loss nan\n",
        " | lr ",
        "step ",
        "\n",
        "\r",
        "1",
        "-",
        "e5",
        "nan",
        " ",
        "Epoch 2/9\n",
        "10/10 [===] - loss: 0.5\n",
        "val_loss 3\n",
        "def f():\n",
        "x",
    ]
)


@settings(deadline=None, max_examples=60, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    st.sampled_from(LAYOUTS),
    st.integers(0, 1 << 30),
    st.lists(st.tuples(st.integers(0, 60_000), PIECES), max_size=6),
)
def test_fast_equals_slow(layout: str, seed: int, inserts: list[tuple[int, str]]) -> None:
    block = log_of(layout, 1100, seed, lambda _, __, line: line)
    for at, piece in inserts:
        cut = at % len(block)
        block = block[:cut] + piece.encode() + block[cut:]
    assert_same(block)


def test_the_last_value_of_a_taken_stretch_is_remembered() -> None:
    once = log_of(LAYOUTS[4], 1500, 5, lambda _, step, line: line.split("=")[0] + f"= {9 - step / 200}")
    (runs, _), (slow, _) = quickly(once * 2), slowly(once * 2)
    assert len(runs) == len(slow) == 2
    assert math.isclose(runs[1].curves[0].value[0], 9.0)
