"""Who works: this process, several beside it, or a cluster. One small door, behind which any of them fits."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")

# Of so many jobs a worker is given at a time: fewer would cost more to send than to do.
BATCH = 16
# Batches in the hands of a worker, or on their way to it.
AHEAD = 3


@dataclass(frozen=True, slots=True)
class Lost:
    """Stands for the answer to a job whose worker is gone; ``reason`` is a clause."""

    reason: str


class Executor(Protocol):
    """Does jobs, in any order. ``run`` yields each with its answer, or with what is known of its loss."""

    def run(self, work: Callable[[Item], Answer], items: Iterable[Item]) -> Iterator[tuple[Item, Answer | Lost]]:
        """Every one of ``items`` with what ``work`` made of it. ``items`` is read only as far as there is work for."""
        ...


class Here:
    """One after another, in this process."""

    def run(self, work: Callable[[Item], Answer], items: Iterable[Item]) -> Iterator[tuple[Item, Answer | Lost]]:
        """See ``Executor``."""
        for item in items:
            yield item, work(item)


def all_of(work: Callable[[Item], Answer], batch: list[Item]) -> list[Answer]:
    """What ``work`` makes of each of ``batch``."""
    return [work(item) for item in batch]


def cores() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
