"""How far a run is that goes on: the share of its planned steps or epochs that its log has reached."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convergence_cli.axis import axis_of

if TYPE_CHECKING:
    from convergence_cli.model import Curve, Run


def done_of(run: Run, loss: Curve) -> float | None:
    """The share of the plan that ``loss`` has reached, 1 where it is past it; None where the run tells no plan.

    Also None where nobody knows that the run goes on (it is not cut ``as_of`` a step): many are killed, or were given a
    plan that nobody meant to wait for, and are judged by what they did.
    ``max_steps`` of the run's config counts where its log counts steps, else ``epochs`` where its log has epochs.
    """
    if run.config.get("as_of") is None:
        return None
    axis = axis_of(run)
    steps, epochs = (_number(run.config.get(key)) for key in ("max_steps", "epochs"))
    if steps is not None and axis == "step":
        return min(float(loss.step[-1]) / steps, 1.0)
    if epochs is None:
        return None
    if axis == "epoch":
        # The first epoch is called 0 or 1.
        return min((float(loss.step[-1]) + float(loss.step[0] == 0)) / epochs, 1.0)
    if loss.epoch is None:
        return None
    return min(float(loss.epoch[-1]) / epochs, 1.0)


def _number(value: Any) -> float | None:
    fits = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 1e15
    return float(value) if fits else None
