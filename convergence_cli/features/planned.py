"""How far a run is that goes on: the share of its planned steps or epochs that its log has reached."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convergence_cli.axis import axis_of

if TYPE_CHECKING:
    from convergence_cli.model import Curve, Run


def done_of(run: Run, loss: Curve) -> float | None:
    """The share of the plan that ``loss`` has reached, 1 where it is past it; None where the run tells no plan.

    Also None where nobody knows that the run goes on: many are killed, or were given a plan that nobody meant to wait
    for, and are judged by what they did. ``max_steps`` of the config counts where the log counts steps, else
    ``epochs`` where it has epochs.
    """
    if not run.goes_on:
        return None
    axis, last = axis_of(run), float(loss.step[-1])
    steps, epochs = (_number(run.config.get(key)) for key in ("max_steps", "epochs"))
    if steps is not None and axis == "step":
        return min(last / steps, 1.0)
    if epochs is None or (axis != "epoch" and loss.epoch is None):
        return None
    # The first epoch is called 0 or 1.
    begun = last + float(loss.step[0] == 0) if axis == "epoch" or loss.epoch is None else float(loss.epoch[-1])
    return min(begun / epochs, 1.0)


def _number(value: Any) -> float | None:
    fits = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 1e15
    return float(value) if fits else None
