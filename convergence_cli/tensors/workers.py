"""Folders and files of the workers of one run: ``rank_0``, ``worker-1``, and runs split by them."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from convergence_cli.tensors.stored import Dump

_NAME = re.compile(r"(?i)(?:rank|worker|replica|process)[_=-]?(?P<worker>\d{1,9})")


def worker_of(name: str) -> str:
    """The number of the worker that a file or folder called ``name`` is of; empty where it is none's."""
    match = _NAME.fullmatch(name)
    return str(int(match["worker"])) if match is not None else ""


def joined(root: Path, dumps: Mapping[Path, list[Dump]]) -> dict[Path, tuple[list[Dump], tuple[Path, ...]]]:
    """``dumps`` by the folder of their run, and the folders of its workers where each has one beside the others.

    ``RUN/rank_0/tensors`` and ``RUN/rank_1/tensors`` are of one run. One such folder alone is a run called so, and
    so is each where ``RUN`` has dumps that are no worker's, or two folders bear one number.
    """
    beside: dict[Path, list[Path]] = {}
    for folder, found in dumps.items():
        worker = worker_of(folder.name)
        if worker and folder != root and folder.is_relative_to(root) and {one.worker for one in found} <= {"", worker}:
            beside.setdefault(folder.parent, []).append(folder)
    runs: dict[Path, tuple[list[Dump], tuple[Path, ...]]] = {folder: (found, ()) for folder, found in dumps.items()}
    for run, folders in beside.items():
        workers = {worker_of(folder.name) for folder in folders}
        own = {one.worker for one in dumps.get(run, [])}
        if len(folders) < 2 or len(workers) < len(folders) or own & {"", *workers}:
            continue
        theirs = [replace(one, worker=worker_of(folder.name)) for folder in folders for one in runs.pop(folder)[0]]
        runs[run] = ([*dumps.get(run, []), *theirs], tuple(folders))
    return runs
