"""The workers of a Dask cluster, which see the same files under the same paths and have the same version installed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from itertools import islice
from typing import Any

from convergence_cli.errors import UsageError
from convergence_cli.fleet.executor import AHEAD, BATCH, Answer, Item, Lost, all_of
from convergence_cli.printable import printable

CONNECT_SECONDS = 20


class Dask:
    """The cluster whose scheduler is at ``address``. Raises ``UsageError`` where it cannot be reached."""

    def __init__(self, address: str) -> None:
        try:
            self._library: Any = import_module("distributed")
        except ImportError as error:
            raise UsageError(
                "--engine dask needs the package distributed.", "Install it: pip install 'convergence-cli[dask]'"
            ) from error
        try:
            self._client = self._library.Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:
            raise UsageError(
                f"No Dask scheduler answers at {printable(address)}: {printable(error)}.",
                "Start one with: dask scheduler",
            ) from error

    def run(self, work: Callable[[Item], Answer], items: Iterable[Item]) -> Iterator[tuple[Item, Answer | Lost]]:
        """See ``Executor``."""
        source = iter(items)
        batches: dict[str, list[Item]] = {}
        cores = max(sum(self._client.ncores().values()), 1)
        try:
            first = islice(iter(lambda: list(islice(source, BATCH)), []), AHEAD * cores)
            running = [self._submitted(work, batch, batches) for batch in first]
            if not running:
                return
            done = self._library.as_completed(running, loop=self._client.loop, raise_errors=False)
            for future in done:
                batch = batches.pop(future.key)
                error = future.exception() if future.status != "finished" else None
                answers: list[Any] = future.result() if error is None else [_lost(error)] * len(batch)
                yield from zip(batch, answers, strict=True)
                future.release()
                following = list(islice(source, BATCH))
                if following:
                    done.add(self._submitted(work, following, batches))
        finally:
            self._client.close()

    def _submitted(self, work: Callable[[Item], Answer], batch: list[Item], batches: dict[str, list[Item]]) -> Any:
        future = self._client.submit(all_of, work, batch, pure=False)
        batches[future.key] = batch
        return future


def _lost(error: BaseException | None) -> Lost:
    return Lost(f"a worker of the cluster failed ({type(error).__name__}: {printable(error)})")
