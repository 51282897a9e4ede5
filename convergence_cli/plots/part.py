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
from convergence_cli.features.tensors.pictured import layers_pictured, spreads_pictured
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

    Raises ``UsageError`` where nothing is left.
    """
    summary = dict(report.summary)
    if not wanted.whole:
        curves = tuple(part for curve in run.curves if len((part := _between(curve, wanted)).value))
        if run.curves and not curves:
            raise UsageError(
                f"No point was logged between {axis_of(run)} {wanted.first:.12g} and {wanted.last:.12g}.",
                f"The log goes from {_ends(run)}.",
            )
        with np.errstate(all="ignore"):
            summary["curves"] = summarise(Evidence(replace(run, curves=curves, tensors=None)), axis_of(run))["curves"]
    stats = stats_of_part(run, wanted)
    if stats is not None and len(stats):
        spoken = {one.where.layer for one in report.findings if one.where.layer}
        summary["layers"] = layers_pictured(stats, spoken)
        summary["spreads"] = spreads_pictured(stats, spoken)
    return replace(report, summary=summary)


def stats_of_part(run: Run, wanted: Wanted) -> TensorStats | None:
    """The statistics of the wanted steps and layers. Raises ``UsageError`` where no layer has the name."""
    stats = run.tensors
    if stats is None:
        return None
    step = stats.number("step")
    kept = (step >= wanted.first) & (step <= wanted.last) & ~_at_inputs(stats)
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


def _ends(run: Run) -> str:
    steps = np.concatenate([curve.step for curve in run.curves])
    return f"{steps.min():.12g} to {steps.max():.12g}"
