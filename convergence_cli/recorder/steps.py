"""Which step it is: steps of the optimizer, not calls of the model, also under gradient accumulation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from convergence_cli.recorder.forward import Hook

if TYPE_CHECKING:
    from torch.optim import Optimizer

# An optimizer that has not stepped for so many calls, and so many times its longest accumulation, will not step.
_GIVEN_UP, _TIMES = 32, 4


class Steps:
    """Counts the steps of ``optimizers``; with none, each call of the recorder is a step.

    With several (a generator and a discriminator) a step is a round in which any of them stepped. ``scaler`` (a
    ``GradScaler``) skips the optimizer's step where gradients overflow: that is a step, too.
    """

    def __init__(self, optimizers: Sequence[Optimizer], scaler: Any, start: int) -> None:
        self.step = start
        self._scale = None if scaler is None else _Scale(scaler)
        self._optimizers = len(optimizers)
        self._taken = 0
        self._calls = self._longest = 0
        # The step was told from a parameter that has changed: hooks are not called in a compiled step.
        self.unhooked = False
        self._watched = [one for optimizer in optimizers for one in optimizer.param_groups[0]["params"][:1]]
        self._versions = [one._version for one in self._watched]
        self._hooks = [Hook(self._count) for _ in optimizers]
        for hook, optimizer in zip(self._hooks, optimizers, strict=True):
            hook.handle = optimizer.register_step_post_hook(hook)

    def advance(self) -> int:
        """How many steps were taken since the last call; 0 within an accumulation."""
        taken, self._taken = self._taken, 0
        before, self._versions = self._versions, [one._version for one in self._watched]
        self.unhooked = not taken and before != self._versions
        taken = taken or int(self.unhooked)
        self._calls += 1
        if taken:
            self._longest = max(self._longest, self._calls)
            self._calls = 0
            taken = taken if self._optimizers == 1 else 1
            if self._scale is not None:
                self._scale.grow()
        elif not self._optimizers or self._calls > max(_GIVEN_UP, _TIMES * self._longest):
            taken = 1
        elif self._scale is not None and self._scale.has_fallen():
            self._calls = 0
            taken = 1
        self.step += taken
        return taken

    def remove(self) -> None:
        """Take the counters off the optimizers."""
        for hook in self._hooks:
            hook.remove()

    def _count(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        self._taken += 1


class _Scale:
    """The scale of a ``GradScaler``, foretold: to ask it at each step would wait for the device each time."""

    def __init__(self, scaler: Any) -> None:
        self._scaler = scaler
        self._known = float(scaler.get_scale())
        self._steps = int(scaler.state_dict().get("_growth_tracker", 0))

    def grow(self) -> None:
        """A step was taken: after so many in a row the scaler doubles its scale."""
        self._steps += 1
        if self._steps >= self._scaler.get_growth_interval():
            self._known *= self._scaler.get_growth_factor()
            self._steps = 0

    def has_fallen(self) -> bool:
        """Whether the scaler has lowered its scale, as it does at gradients that overflow."""
        now = float(self._scaler.get_scale())
        if now >= self._known:
            return False
        self._known, self._steps = now, 0
        return True
