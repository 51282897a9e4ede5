"""One file a metric, in a folder of them: DVCLive's ``plots/metrics`` and CatBoost's ``catboost_info``."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import PurePath
from typing import TYPE_CHECKING

from convergence_cli.errors import SourceError
from convergence_cli.model import Run
from convergence_cli.readers import delimited
from convergence_cli.readers._groups import metrics_end
from convergence_cli.readers._guard import Source
from convergence_cli.roles import direction_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convergence_cli.model import Curve
    from convergence_cli.readers._guard import ReadOptions

FORMAT = "dvclive"
_HIGHER_IS_BETTER = re.compile(rb'\{"best_value":"Max","name":"([^"\n]{1,200})"\}')
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
    format_name = FORMAT
    if sources[0].path.name in _CATBOOST:
        format_name = "catboost"
        curves = _with_loss(curves, sources[0])
    folder = str(sources[0].path.parent)
    return [Run(sources[0].path.parent.name, folder, format_name, tuple(curves), config, tuple(dict.fromkeys(notes)))]


def _with_loss(curves: list[Curve], source: Source) -> list[Curve]:
    """``curves`` of CatBoost with the roles of the loss that it minimised: the first that it lists for learning."""
    try:
        meta = Source(source.path.parent / "catboost_training.json", source.shown, follow_links=False).head
    except SourceError:
        meta = b""
    higher = {name.decode("utf-8", "replace") for name in _HIGHER_IS_BETTER.findall(meta)}
    learnt = (curve.name.removeprefix("learn/") for curve in curves if curve.name.startswith("learn/"))
    loss = next((name for name in learnt if name not in higher and direction_of(name) == "lower"), None)
    if loss is None:
        return curves
    # Of several sets to test on, the first has a number.
    tested = [name for name in (f"test/{loss}:0", f"test/{loss}") if name in {curve.name for curve in curves}]
    roles = dict(zip((f"learn/{loss}", *tested[:1]), ("train_loss", "val_loss"), strict=False))
    return [replace(curve, role=roles.get(curve.name)) for curve in curves]


def _name(source: Source, curve: Curve) -> str:
    part = _CATBOOST.get(source.path.name)
    if part is not None:
        return f"{part}/{curve.name}"
    parts = source.path.parts
    return PurePath(*parts[metrics_end(parts) :]).with_suffix("").as_posix()
