"""The PyTorch recorder: scalars at every step, the statistics of tensors at some, at almost no cost.

It never changes the training: it draws no random numbers, keeps no graph, and touches no tensor of the model. What
fails in it is warned of once, and switches it off.
"""

from __future__ import annotations

import functools
import os
import warnings
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch

from convergence_cli.recorder.checking import Checking
from convergence_cli.recorder.hyperparameters import hyperparameters_of, learning_rates, optimizers_of
from convergence_cli.recorder.journal import Journal, RecorderWarning
from convergence_cli.recorder.logged import Mean, kept
from convergence_cli.recorder.modules import layers_of, parameters_of, roots_of
from convergence_cli.recorder.ranks import Ranks, rank_of
from convergence_cli.recorder.sampled import Sampled
from convergence_cli.recorder.steps import Steps

if TYPE_CHECKING:
    from types import TracebackType

    from torch import Tensor, nn
    from torch.optim import Optimizer

    from convergence_cli.model import Finding


class Recorder:
    """Records the training of ``model`` by ``optimizer`` into ``out/record.jsonl``, tensors each ``every`` steps.

    ``model`` and ``optimizer`` may be several, in a list or a dictionary; both may be None, where only scalars
    are to be recorded. ``start_step`` is the step before the first. ``raw`` are globs of tensors that are saved
    as they are, too (``fc1.*``, ``gradient/*``), in ``out/raw``. ``ranks``: of several processes the first or ``all``.
    ``on_error``: with ``warn`` or ``stop`` the rules are run now and then; see ``Checking``. ``scaler`` is the
    ``GradScaler``, so that steps which it skips are counted. ``config`` holds further hyperparameters.

    Raises ``TypeError`` and ``ValueError`` for arguments that cannot be, and ``ImportError`` where ``raw`` is asked
    for without safetensors; later nothing but ``TrainingStopped``.
    """

    def __init__(
        self,
        model: nn.Module | Sequence[nn.Module] | Mapping[str, nn.Module] | None = None,
        optimizer: Optimizer | Sequence[Optimizer] | Mapping[str, Optimizer] | None = None,
        *,
        out: str | os.PathLike[str],
        every: int = 50,
        start_step: int = 0,
        raw: Sequence[str] = (),
        ranks: Ranks = "first",
        on_error: Literal["warn", "stop"] | None = None,
        scaler: Any = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        roots, optimizers = roots_of(model), optimizers_of(optimizer)
        if on_error not in (None, "warn", "stop"):
            raise ValueError(f'on_error must be None, "warn" or "stop", not {on_error!r}.')
        worker = rank_of(ranks)
        self._active = worker is not None
        self._steps = Steps((), None, start_step)
        self._pending: dict[str, list[Any]] = {}
        if worker is None:
            return
        parameters = parameters_of(roots)
        sizes = [
            (one.numel(), one.requires_grad)
            for _, one in parameters
            if not isinstance(one, torch.nn.UninitializedParameter)
        ]
        self._journal = Journal(
            out,
            every=every,
            start_step=start_step,
            worker=worker,
            model=", ".join(type(root.inner).__name__ for root in roots),
            parameters=sum(size for size, _ in sizes),
            trainable=sum(size for size, trained in sizes if trained),
        )
        self._every, self._start = every, start_step
        self._optimizers = optimizers
        self._checking = Checking(self._journal, on_error)
        self._sampled = Sampled(self._journal, roots, parameters, optimizers, raw, self._guarded)
        self._finalizer = weakref.finalize(self, self._journal.close, "exit")
        self._guard(self._begin, optimizers, scaler, config or {}, layers_of(roots))

    def step(
        self,
        loss: Any = None,
        *,
        labels: Tensor | None = None,
        **scalars: Any,
    ) -> None:
        """A batch is done. Called after the optimizer's step, or after each backward pass of an accumulation.

        ``loss`` and ``scalars`` are numbers, or tensors of one value; None is left out. Those of one accumulation are
        averaged. ``labels``: the classes of the batch, where they cannot be told from the gradient of the loss.
        """
        if self._is_on():
            self._guard(self._step, {"loss": loss, **scalars}, labels)
            self._checking.at(self._steps.step)

    def log(self, scalars: Mapping[str, Any] | None = None, /, **more: Any) -> None:
        """Scalars of the current step, without counting one: a validation loss at the end of an epoch, say."""
        if self._is_on():
            self._guard(self._write, self._steps.step, {**(scalars or {}), **more})

    def config(self, values: Mapping[str, Any], /) -> None:
        """Hyperparameters that the optimizer does not know."""
        if self._is_on():
            self._journal.config(values)

    def check(self) -> tuple[Finding, ...]:
        """The findings on what is recorded so far, worst first; none on a process that does not record."""
        return self._checking.findings() if self._active else ()

    def open_window(self) -> None:
        """Record the activations of the next forward pass, if the coming step is a sampled one.

        Only for trainers that never call the model as a whole; else the recorder does it by itself.
        """
        if self._is_on():
            self._guard(self._sampled.open)

    def flush(self) -> None:
        """Wait until all that was recorded so far is in the file."""
        if self._is_on():
            self._journal.flush()

    def close(self, ended: str = "finished") -> None:
        """Write what is left. ``ended`` is ``finished``, or the name of what ended the training."""
        if self._active:
            self._guard(self._finish)
            self._journal.close(ended)
            self._finalizer.detach()
            self._active = False

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close("finished" if kind is None else kind.__name__)

    @property
    def step_count(self) -> int:
        """The step that was taken last."""
        return self._steps.step

    def _is_on(self) -> bool:
        """Whether there is something to do: not after the end, and not in a process forked from the training's."""
        return self._active and self._journal.alive

    def _begin(
        self,
        optimizers: list[Optimizer],
        scaler: Any,
        config: Mapping[str, Any],
        layers: Sequence[tuple[str, str, int]],
    ) -> None:
        self._steps = Steps(optimizers, scaler, self._start)
        self._journal.config({**hyperparameters_of(optimizers), **config})
        self._journal.layers(layers)
        self._sampled.initial(self._start)
        self._arm(1)

    def _step(self, scalars: Mapping[str, Any], labels: Tensor | None) -> None:
        for name, value in scalars.items():
            if value is not None:
                self._pending.setdefault(name, []).append(kept(value))
        if labels is not None:
            self._sampled.labels(labels)
        taken = self._steps.advance()
        if not taken:
            return
        step = self._steps.step
        values: dict[str, Any] = {name: Mean(found) for name, found in self._pending.items()}
        self._pending.clear()
        found = self._sampled.finish(step, norm="grad_norm" not in values, unhooked=self._steps.unhooked)
        for name, value in (*found.items(), *learning_rates(self._optimizers).items()):
            values.setdefault(name, value)
        self._write(step, values)
        self._arm(taken)

    def _write(self, step: int, scalars: Mapping[str, Any]) -> None:
        found = {str(name): kept(value) for name, value in scalars.items() if value is not None}
        self._journal.scalars(step, found)

    def _arm(self, taken: int) -> None:
        """Set the hooks where the coming step, one of the next ``taken``, is a sampled one."""
        step = self._steps.step
        if step == self._start or (step + taken) // self._every > step // self._every:
            self._sampled.arm()

    def _finish(self) -> None:
        self._sampled.stop()
        self._steps.remove()
        if self._pending:
            self._write(self._steps.step, {name: Mean(found) for name, found in self._pending.items()})
            self._pending.clear()

    def _guarded(self, call: Callable[..., None]) -> Callable[..., None]:
        """``call`` for a hook: what fails in it does not fail in the training."""

        @functools.wraps(call)
        def guarded(*given: Any) -> None:
            self._guard(call, *given)

        return guarded

    def _guard(self, call: Callable[..., Any], *given: Any) -> None:
        """Whatever fails in ``call`` is warned of once, and ends the recording."""
        if not self._is_on():
            return
        try:
            call(*given)
        except Exception as error:
            self._active = False
            self._sampled.stop()
            self._steps.remove()
            self._journal.note(f"recording ended: {type(error).__name__}: {error}")
            self._journal.close(type(error).__name__)
            warnings.warn(
                f"The recorder is off: {type(error).__name__}: {error}. The training goes on.",
                RecorderWarning,
                stacklevel=4,
            )
