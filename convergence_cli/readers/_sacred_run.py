"""What Sacred says beside its metrics of how the run ended: ``status`` in ``run.json``."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from convergence_cli.errors import SourceError
from convergence_cli.printable import printable
from convergence_cli.readers._guard import MAX_CONFIG_BYTES, Source, parse_json

if TYPE_CHECKING:
    from pathlib import Path

RUN_FILE = "run.json"
# By the words of sacred/run.py.
_ENDS = {
    "FAILED": "Sacred says that the run has failed",
    "INTERRUPTED": "Sacred says that the run was interrupted",
    "TIMEOUT": "Sacred says that the run ran out of its time",
    "RUNNING": "Sacred says that the run is running: it goes on, or was stopped before it could say so",
    "QUEUED": "Sacred says that the run has not begun",
}
_LONGEST_REASON = 120


def how_it_ended(folder: Path) -> tuple[str, ...]:
    """A note where the run in ``folder`` did not end well, with the error that Sacred kept; else none."""
    path = folder / RUN_FILE
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            return ()
        source = Source(path, str(path), follow_links=False)
        about = parse_json(source, source.read_all(MAX_CONFIG_BYTES))
    except (OSError, ValueError, SourceError):
        return ()
    status = about.get("status") if isinstance(about, dict) else None
    told = _ENDS.get(status) if isinstance(status, str) else None
    if told is None:
        return ()
    trace = about.get("fail_trace")
    lines = [line.strip() for line in trace if isinstance(line, str)] if isinstance(trace, list) else []
    reason = next((line for line in reversed(lines) if line), "")
    return (f"{told}: {printable(reason, _LONGEST_REASON)}" if reason else told,)
