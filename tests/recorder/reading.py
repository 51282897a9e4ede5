"""A record as a test looks at it: lines by what they are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from recorder.trainings import CASES, NoRecorder
from torch import Tensor


class Record:
    """The lines of ``path``: ``rows`` by title and step, ``declared`` by title, ``steps`` the scalars by step."""

    def __init__(self, path: Path) -> None:
        self.lines: list[dict[str, Any]] = [json.loads(text) for text in path.read_text().splitlines()]
        self.rows = {(one["tensor"], one["step"]): one for one in self.lines if "tensor" in one}
        self.declared = {one["declare"]: one for one in self.lines if "declare" in one}
        self.steps = {one["step"]: one for one in self.lines if next(iter(one)) == "step"}
        self.sampled = [one["sampled"] for one in self.lines if "sampled" in one]
        self.notes = [one["note"] for one in self.lines if "note" in one]
        self.config = {key: value for one in self.lines for key, value in one.get("config", {}).items()}

    def titles(self, step: float) -> list[str]:
        """The tensors of one step, in their order."""
        return [title for title, when in self.rows if when == step]

    def of(self, what: str) -> list[dict[str, Any]]:
        """The lines whose first key is ``what``."""
        return [one for one in self.lines if next(iter(one)) == what]


def trained(name: str, folder: Path | None, **options: Any) -> list[Tensor]:
    """The weights after a training from one seed, recorded into ``folder`` or not at all."""
    from convergence_cli import Recorder

    def make(model: Any, optimizer: Any, **more: Any) -> Any:
        if folder is None:
            return NoRecorder()
        return Recorder(model, optimizer, out=folder, **({"every": 5} | more | options))

    torch.manual_seed(0)
    return CASES[name](make)


def recorded(name: str, folder: Path, **options: Any) -> Record:
    """The record of a training."""
    trained(name, folder, **options)
    return Record(folder / "record.jsonl")


def record_of(train: Callable[[Path], object], folder: Path) -> Record:
    """The record that ``train`` leaves in ``folder``."""
    train(folder)
    return Record(folder / "record.jsonl")
