"""Aim's repository, recognised and not read: its metrics lie in RocksDB files, which only Aim's own library opens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from convergence_cli.readers._sqlite import tables

if TYPE_CHECKING:
    from typing import NoReturn

    from convergence_cli.readers._guard import ReadOptions, Source

FORMAT = "aim"
_TABLES = frozenset(("run", "experiment", "run_tag", "note"))
_EXPORT = (
    "Export it where aim is installed, in Python: for n, metric in enumerate(aim.Repo('DIR').query_metrics().iter()): "
    "metric.dataframe().rename(columns={'value': metric.name}).drop(columns='idx').to_csv(f'{n}.csv', index=False)."
)


def sniff(source: Source) -> float:
    """Certain where a database has Aim's tables of runs: ``.aim/run_metadata.sqlite``."""
    return 0.95 if tables(source).keys() >= _TABLES else 0.0


def read(sources: Sequence[Source], options: ReadOptions) -> NoReturn:
    """Say how to export the metrics: ``SourceError``."""
    del options
    raise sources[0].error("names the runs of an Aim repository, whose metrics cannot be read here.", _EXPORT)
