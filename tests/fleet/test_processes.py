"""Processes that die are replaced, and the job that killed them is told; a cluster gives the same answers."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from convergence_cli.errors import UsageError
from convergence_cli.fleet.dask_cluster import Dask
from convergence_cli.fleet.executor import Executor, Here, Lost, cores
from convergence_cli.fleet.processes import Processes

DEADLY = 37


def square(number: int) -> int:
    return number * number


def square_or_die(number: int) -> int:
    if number == DEADLY:
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


@pytest.mark.parametrize("executor", [Here(), Processes(1), Processes(2)], ids=["here", "one", "two"])
@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 200])
def test_every_item_has_its_answer_once(executor: Executor, count: int) -> None:
    answers = dict(executor.run(square, range(count)))
    assert answers == {number: number**2 for number in range(count)}


def test_a_job_that_kills_its_process_costs_no_other(recwarn: pytest.WarningsRecorder) -> None:
    answers: dict[int, Any] = dict(Processes(2).run(square_or_die, range(100)))
    lost = answers.pop(DEADLY)
    assert isinstance(lost, Lost)
    assert "killed" in lost.reason
    assert answers == {number: number**2 for number in range(100) if number != DEADLY}


def test_items_are_taken_only_as_far_as_there_is_work_for_them() -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(10_000):
            taken += 1
            yield number

    run = Processes(1).run(square, items())
    next(run)
    assert taken < 1000
    run.close()  # type: ignore[attr-defined]


def test_an_error_in_the_work_is_an_error_here() -> None:
    with pytest.raises(TypeError):
        list(Processes(1).run(square, ["text"]))  # type: ignore[list-item]


def test_there_is_at_least_one_core() -> None:
    assert cores() >= 1


def test_a_cluster_that_does_not_answer_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    from convergence_cli.fleet import dask_cluster

    monkeypatch.setattr(dask_cluster, "CONNECT_SECONDS", 1)
    with pytest.raises(UsageError, match="No Dask scheduler answers"):
        Dask("tcp://127.0.0.1:9")
