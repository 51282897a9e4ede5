"""The part of a run that is to be drawn: some steps, some layers. What is judged stays the whole run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import numpy as np

from convergence_cli.axis import axis_of
from convergence_cli.errors import UsageError
from convergence_cli.features.evidence import Evidence
from convergence_cli.features.tensors.pictured import MEASURES, layers_pictured, spreads_pictured
from convergence_cli.model import Buckets, Curve
from convergence_cli.printable import printable
from convergence_cli.summary import summarise

if TYPE_CHECKING:
    from convergence_cli.model import Run, RunReport
    from convergence_cli.plots.door import Wanted
    from convergence_cli.tensor_stats import TensorStats

    Mask = np.ndarray[Any, np.dtype[np.bool_]]


def report_on_part(run: Run, report: RunReport, wanted: Wanted) -> RunReport:
    """``report`` with curves of the wanted steps, and tensors of the wanted steps and layers.

    Raises ``UsageError`` where no layer has the name.
    """
    summary = dict(report.summary)
    if not wanted.whole:
        curves = tuple(part for curve in run.curves if len((part := _between(curve, wanted)).value))
        with np.errstate(all="ignore"):
            summary["curves"] = summarise(Evidence(replace(run, curves=curves, tensors=None)), axis_of(run))["curves"]
    stats, before = stats_of_part(run, wanted), stats_of_part(run, wanted, before=True)
    if stats is not None and before is not None and len(before):
        spoken = {one.where.layer for one in report.findings if one.where.layer}
        summary["layers"] = _from(layers_pictured(before, spoken), wanted.first)
        summary["spreads"] = spreads_pictured(stats, spoken) if len(stats) else []
    elif wanted.layers or not wanted.whole:
        # What the report holds is of all steps.
        summary = {key: item for key, item in summary.items() if key not in ("layers", "spreads")}
    return replace(report, summary=summary)


def stats_of_part(run: Run, wanted: Wanted, *, before: bool = False) -> TensorStats | None:
    """The statistics of the wanted steps and layers. Raises ``UsageError`` where no layer has the name.

    ``before``: with the last weights before those steps, against which the first change is measured.
    """
    stats = run.tensors
    if stats is None:
        return None
    step = stats.number("step")
    kept = (step >= wanted.first) & (step <= wanted.last) & ~_at_inputs(stats)
    if before:
        kept[_last_weights(stats, wanted.first)] = True
    if wanted.layers and len(stats):
        named = _named(stats, wanted.layers)
        if not named.any():
            known = list(dict.fromkeys(stats.text("layer").tolist()))
            raise UsageError(
                f"No layer is called {', '.join(printable(one, 40) for one in wanted.layers)}.",
                f"There are: {', '.join(printable(one, 40) for one in known[:8])}{', ...' if len(known) > 8 else ''}.",
            )
        kept &= named
    return replace(
        stats,
        texts={name: column[kept] for name, column in stats.texts.items()},
        numbers={name: column[kept] for name, column in stats.numbers.items()},
        quantiles=stats.quantiles[kept],
        shape=tuple(shape for shape, keep in zip(stats.shape, kept.tolist(), strict=True) if keep),
        confusions=tuple(one for one in stats.confusions if wanted.first <= one.step <= wanted.last),
        trees=tuple(one for one in stats.trees if wanted.first <= one.step <= wanted.last),
    )


def _last_weights(stats: TensorStats, first: float) -> list[int]:
    """The row of each weight at its last step before ``first``."""
    rows = np.flatnonzero((stats.text("kind") == "weight") & (stats.number("step") < first)).tolist()
    columns = [stats.text(name) for name in ("name", "worker", "mode")]
    return list({tuple(column[row] for column in columns): row for row in rows}.values())


def _from(layers: dict[str, Any], first: float) -> dict[str, Any]:
    """``layers`` without the columns of steps before ``first``."""
    at = sum(step < first for step in layers["steps"])
    measures = {key: [row[at:] for row in layers[key]] for key in MEASURES if key in layers}
    places = [[row, column - at] for row, column in layers["nonfinite"] if column >= at]
    return {**layers, **measures, "steps": layers["steps"][at:], "nonfinite": places}


def _named(stats: TensorStats, globs: Sequence[str]) -> Mask:
    columns = zip(*(stats.text(name).tolist() for name in ("kind", "layer", "name")), strict=True)
    return np.array(
        [
            any(fnmatchcase(word, glob) for glob in globs for word in (layer, name, f"{kind}/{name}"))
            for kind, layer, name in columns
        ],
        dtype=bool,
    )


def _at_inputs(stats: TensorStats) -> Mask:
    """Gradients at the input: they are of no layer."""
    kinds, names = stats.text("kind"), stats.text("name")
    inputs = set(names[kinds == "input"].tolist()) - set(names[kinds == "weight"].tolist())
    return np.array(
        [kind == "gradient" and name in inputs for kind, name in zip(kinds, names, strict=True)], dtype=bool
    )


def _between(curve: Curve, wanted: Wanted) -> Curve:
    first = curve.step if curve.buckets is None else curve.buckets.first_step
    kept = (curve.step >= wanted.first) & (first <= wanted.last)
    buckets = curve.buckets
    if buckets is not None:
        buckets = Buckets(**{item.name: getattr(buckets, item.name)[kept] for item in fields(Buckets)})
    step = curve.step[kept]
    back = np.flatnonzero(np.diff(step) < 0) + 1
    return Curve(
        curve.name, step, curve.value[kept], curve.role, curve.direction, restarts=tuple(back.tolist()), buckets=buckets
    )
