"""Readers: one module a log format, found by content.

Each module has

- ``FORMAT``: the name in the report;
- ``sniff(source) -> float``: 0 (not mine) to 1 (certain), from ``source.head`` and ``source.path.name``;
- ``read(sources, options) -> list[Run]``: one run or several; series keep the names they were logged under.

``read`` raises nothing but ``SourceError`` and its kin, whatever the bytes.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convergence_cli.model import Run
    from convergence_cli.readers._guard import ReadOptions, Source

READERS = (
    "recorder",
    "smdebug",
    "tensorboard",
    "wandb",
    "huggingface",
    "tidy",
    "tidy_parquet",
    "tidy_sqlite",
    "mlflow_sqlite",
    "trackio",
    "aim",
    "clearml",
    "unreadable",
    "evals_result",
    "json_columns",
    "jsonl",
    "mlflow",
    "delimited",
    "text",
)
CERTAIN = 0.1
SURE = 0.75


class Reader(Protocol):
    """The shape of a reader module."""

    FORMAT: str

    def sniff(self, source: Source) -> float:
        """How likely the bytes are this format, 0 to 1."""
        ...

    def read(self, sources: Sequence[Source], options: ReadOptions) -> list[Run]:
        """The runs in the file (or in the files that belong together)."""
        ...


def reader(name: str) -> Reader:
    """The reader module of that name."""
    return cast("Reader", import_module(f"convergence_cli.readers.{name}"))


def best_reader(source: Source) -> Reader | None:
    """The reader that is surest of the bytes, or None where none recognises them."""
    best: tuple[float, Reader | None] = (CERTAIN, None)
    for name in READERS:
        module = reader(name)
        score = module.sniff(source)
        if score > best[0]:
            best = (score, module)
        if score >= SURE:
            # The readers are ordered from strict to lax, and the last ones take time to import.
            break
    return best[1]
