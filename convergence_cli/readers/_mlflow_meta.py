"""What MLflow says of a run beside its metrics: its name, how it ended, whether it was deleted."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from convergence_cli.errors import SourceError
from convergence_cli.readers._guard import MAX_YAML_BYTES, Source, parse_yaml

if TYPE_CHECKING:
    from pathlib import Path

META_FILE = "meta.yaml"
# By the name and, in files, the number of the status (mlflow/entities/run_status.py).
_STATUS = ("", "RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED")
_ENDS = {
    "FAILED": "MLflow says that the run has failed",
    "KILLED": "MLflow says that the run was killed",
    "RUNNING": "MLflow says that the run is running: it goes on, or was stopped before it could say so",
}
_DELETED = re.compile(rb"(?m)^lifecycle_stage:[ \t]*['\"]?deleted\b")


@dataclass(frozen=True, slots=True)
class Meta:
    """``name`` is empty where the run has none; ``status`` is one of MLflow's words, or empty."""

    name: str = ""
    status: str = ""

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be said of how the run ended."""
        return (_ENDS[self.status],) if self.status in _ENDS else ()


def meta_of(folder: Path) -> Meta:
    """What ``meta.yaml`` in the run's ``folder`` says; nothing where there is none, or a damaged one."""
    try:
        parsed = parse_yaml(_bytes_of(folder))
    except (SourceError, ValueError):
        return Meta()
    if not isinstance(parsed, dict):
        return Meta()
    name, status = parsed.get("run_name"), parsed.get("status")
    number = status if type(status) is int and 0 < status < len(_STATUS) else 0
    return Meta(name if isinstance(name, str) else "", status if isinstance(status, str) else _STATUS[number])


def is_deleted(folder: Path) -> bool:
    """Whether the run whose files lie in ``folder`` was deleted: MLflow only marks it."""
    try:
        return _DELETED.search(_bytes_of(folder)) is not None
    except SourceError:
        return False


def _bytes_of(folder: Path) -> bytes:
    path = folder / META_FILE
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            return b""
    except (OSError, ValueError):
        return b""
    return Source(path, str(path), follow_links=False).read_all(MAX_YAML_BYTES)
