"""Who judges many runs, as the flags say."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from convergence_cli.errors import UsageError
from convergence_cli.printable import printable

if TYPE_CHECKING:
    from convergence_cli.fleet.executor import Executor

ENGINES = ("processes", "dask")
_ADDRESS = "DASK_SCHEDULER_ADDRESS"


def executor_for(engine: str | None, jobs: str | None) -> Executor | None:
    """The executor that ``--engine`` and ``--jobs`` ask for; None where the number of runs may decide.

    Raises ``UsageError`` for what is neither.
    """
    name, _, address = (engine or ENGINES[0]).partition("=")
    if name not in ENGINES or (address and name == ENGINES[0]):
        raise UsageError(f"--engine {printable(engine)} is not known.", "Give processes, dask or dask=tcp://host:8786.")
    if name == "dask":
        return _dask(address)
    if jobs is None:
        return None
    if not jobs.isdecimal() or not 1 <= int(jobs) <= 1024:
        raise UsageError(f"--jobs {printable(jobs)} is not a number of processes.", "Give one from 1 to 1024.")
    from convergence_cli.fleet.executor import Here
    from convergence_cli.fleet.processes import Processes

    return Here() if int(jobs) == 1 else Processes(int(jobs))


def _dask(address: str) -> Executor:
    address = address or os.environ.get(_ADDRESS, "")
    if not address:
        raise UsageError(
            "--engine dask needs the address of a scheduler.", f"Give dask=tcp://host:8786, or set {_ADDRESS}."
        )
    from convergence_cli.fleet.dask_cluster import Dask

    return Dask(address)
