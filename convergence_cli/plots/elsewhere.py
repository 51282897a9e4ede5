"""What is not recorded at the wanted steps, but at others: which these are, in place of how to record it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from convergence_cli.axis import axis_of
from convergence_cli.features.tensors.pictured import SPREAD_KINDS
from convergence_cli.plots.missing import NotDrawn
from convergence_cli.plots.part import stats_of_part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convergence_cli.model import Run
    from convergence_cli.plots.door import Wanted
    from convergence_cli.tensor_stats import TensorStats

    Mask = np.ndarray[Any, np.dtype[np.bool_]]

# So many steps are named; of more those that are nearest to what was asked for.
MAX_NAMED, NEAREST = 8, 2
# A dump is opened to see what it holds: so many of a long run.
MAX_OPENED = 200


def why_not(error: NotDrawn, run: Run, wanted: Wanted, root: str | None) -> NotDrawn:
    """``error``, or in its place one that names the steps at which the run has what the picture needs."""
    if wanted.whole:
        return error
    steps = sorted(set(_recorded(error.kind, run, wanted, root)))
    if not steps or any(wanted.first <= step <= wanted.last for step in steps):
        return error
    axis = axis_of(run)
    if error.kind == "curves":
        what, hint = "No point was logged", f"The log goes from {steps[0]:.12g} to {steps[-1]:.12g}."
    else:
        what, hint = error.message.removesuffix("."), _choice(steps, wanted, axis)
    return NotDrawn(error.kind, f"{what} {at_steps(wanted, axis)}.", hint)


def at_steps(wanted: Wanted, axis: str) -> str:
    """The wanted steps in words: ``at step 7``, ``between epoch 2 and 5``."""
    first, last = f"{wanted.first:.12g}", f"{wanted.last:.12g}"
    if wanted.first == wanted.last:
        return f"at {axis} {first}"
    if wanted.first == -np.inf:
        return f"up to {axis} {last}"
    return f"from {axis} {first} on" if wanted.last == np.inf else f"between {axis} {first} and {last}"


def _choice(steps: Sequence[float], wanted: Wanted, axis: str) -> str:
    names = [f"{step:.12g}" for step in steps]
    if len(names) == 1:
        return f"It is recorded at {axis} {names[0]} alone."
    if len(names) <= MAX_NAMED:
        return f"Choose from {axis}s {', '.join(names)}."
    near = sorted(sorted(steps, key=lambda step: max(wanted.first - step, step - wanted.last))[:NEAREST])
    nearest = " and ".join(f"{step:.12g}" for step in near)
    return f"Choose from {len(steps):,} {axis}s between {names[0]} and {names[-1]}; the nearest are {nearest}."


def _recorded(kind: str, run: Run, wanted: Wanted, root: str | None) -> list[float]:
    everywhere = replace(wanted, first=-np.inf, last=np.inf)
    if kind == "curves":
        return [float(step) for curve in run.curves if curve.role for step in curve.step]
    if kind in ("latent", "saliency"):
        return _dumped(kind, run, everywhere, root)
    stats = stats_of_part(run, everywhere)
    if stats is None:
        return []
    if kind in ("confusion", "importance"):
        return [float(one.step) for one in (stats.confusions if kind == "confusion" else stats.trees)]
    return [float(step) for step in stats.number("step")[_holding(kind, stats)]] if len(stats) else []


def _holding(kind: str, stats: TensorStats) -> Mask:
    """The rows that the picture ``kind`` is drawn from."""
    of = stats.text("kind")
    if kind == "histograms":
        return np.asarray(np.isin(of, SPREAD_KINDS) & np.isfinite(stats.quantiles).all(axis=1))
    if kind == "updates":
        return np.asarray((of == "update") | ((of == "weight") & np.isfinite(stats.number("change"))))
    return np.asarray(of == "gradient")


def _dumped(kind: str, run: Run, wanted: Wanted, root: str | None) -> list[float]:
    from convergence_cli.plots.dumped import dumps_of, opened
    from convergence_cli.plots.latent import layers_in
    from convergence_cli.plots.saliency import pairs_in

    holds = layers_in if kind == "latent" else pairs_in
    dumps = dumps_of(run.path, root)[:MAX_OPENED]
    return [
        one.dump.step
        for one in opened(dumps, wanted.first, wanted.last)
        if any(True for _ in holds(one, wanted.layers))
    ]
