"""One file a metric, in a folder of them: DVCLive's ``plots/metrics`` and CatBoost's ``catboost_info``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePath
from typing import TYPE_CHECKING

from convergence_cli.errors import SourceError
from convergence_cli.model import Run
from convergence_cli.readers import delimited

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convergence_cli.model import Curve
    from convergence_cli.readers._guard import ReadOptions, Source

FORMAT = "dvclive"
_CATBOOST = {"learn_error.tsv": "learn", "test_error.tsv": "test"}


def sniff(source: Source) -> float:
    """0: a single file of this kind is a table; only a folder of them is this format."""
    return 0.0


def read(sources: Sequence[Source], options: ReadOptions) -> list[Run]:
    """One run, of the series of all ``sources``; each is named by its path below the common folder."""
    curves: list[Curve] = []
    notes: list[str] = []
    failures: list[SourceError] = []
    config: dict[str, object] = {}
    for source in sources:
        try:
            runs = delimited.read([source], options)
        except SourceError as error:
            failures.append(error)
            notes.append(f"{source.path.name} could not be read")
            continue
        for run in runs:
            config.update(run.config)
            notes.extend(run.notes)
            curves.extend(replace(curve, name=_name(source, curve)) for curve in run.curves)
    if not curves and failures:
        raise failures[0]
    format_name = "catboost" if sources[0].path.name in _CATBOOST else FORMAT
    folder = str(sources[0].path.parent)
    return [Run(sources[0].path.parent.name, folder, format_name, tuple(curves), config, tuple(dict.fromkeys(notes)))]


def _name(source: Source, curve: Curve) -> str:
    part = _CATBOOST.get(source.path.name)
    if part is not None:
        return f"{part}/{curve.name}"
    parts = source.path.parts
    below = parts[len(parts) - parts[::-1].index("metrics") :] if "metrics" in parts else parts[-1:]
    return PurePath(*below).with_suffix("").as_posix()
