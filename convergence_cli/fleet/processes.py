"""Several processes beside this one, and what becomes of a job that kills the one it is given to."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice

from convergence_cli.fleet.executor import AHEAD, BATCH, Answer, Item, Lost, all_of


class Processes:
    """``count`` processes beside this one. A job that kills its process is tried once more, alone."""

    def __init__(self, count: int) -> None:
        self._count = max(count, 1)

    def run(self, work: Callable[[Item], Answer], items: Iterable[Item]) -> Iterator[tuple[Item, Answer | Lost]]:
        """See ``Executor``."""
        source = iter(items)
        lost: list[Item] = []
        while True:
            pool = ProcessPoolExecutor(self._count, mp_context=_context(), initializer=_begin, initargs=(os.getpid(),))
            try:
                running: dict[Future[list[Answer]], list[Item]] = {}
                yield from self._batches(pool, work, source, running)
                break
            except BrokenProcessPool:
                # Whose fault it was shows only when each is done alone.
                lost.extend(item for batch in running.values() for item in batch)
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
        yield from self._one_by_one(work, lost)

    def _batches(
        self,
        pool: ProcessPoolExecutor,
        work: Callable[[Item], Answer],
        source: Iterator[Item],
        running: dict[Future[list[Answer]], list[Item]],
    ) -> Iterator[tuple[Item, Answer]]:
        while True:
            while len(running) < AHEAD * self._count and (batch := list(islice(source, BATCH))):
                try:
                    running[pool.submit(all_of, work, batch)] = batch
                except BrokenProcessPool:
                    running[Future()] = batch
                    raise
            if not running:
                return
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                answers = future.result()
                yield from zip(running.pop(future), answers, strict=True)

    def _one_by_one(
        self, work: Callable[[Item], Answer], items: Iterable[Item]
    ) -> Iterator[tuple[Item, Answer | Lost]]:
        """Each alone in one process, and after one that killed it in another."""
        waiting = iter(items)
        broken = True
        while broken:
            broken = False
            with ProcessPoolExecutor(1, mp_context=_context(), initializer=_begin, initargs=(os.getpid(),)) as pool:
                for item in waiting:
                    try:
                        yield item, pool.submit(work, item).result()
                    except BrokenProcessPool:
                        yield item, Lost("the process that read it was killed, or ran out of memory")
                        broken = True
                        break


def _begin(parent: int) -> None:
    """Leave interrupts to ``parent``, to which a terminal sends them, too; and end when it is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    # The pipe to a parent that was killed stays open: its other workers hold it, too.
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)


def _context() -> multiprocessing.context.BaseContext:
    """Forked where that is safe: what has been imported need not be imported again."""
    alone = threading.active_count() == 1
    return multiprocessing.get_context("fork" if sys.platform == "linux" and alone else "spawn")
