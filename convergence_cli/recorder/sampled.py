"""A sampled step from the first hook to the last line: what is taken where, and when it is handed on."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from convergence_cli.recorder import classes
from convergence_cli.recorder.captured import Label, Measured
from convergence_cli.recorder.forward import ForwardPass, Hook
from convergence_cli.recorder.logged import Later
from convergence_cli.recorder.modules import Root, tensor_in, unit_axis_of
from convergence_cli.recorder.parameters import Parameters
from convergence_cli.recorder.raw import Raw
from convergence_cli.recorder.reductions import Taken, dtype_of, fetch, take_output
from convergence_cli.recorder.tensor_lines import lines_of
from convergence_cli.recorder.tokens import lines_of_tokens

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer

    from convergence_cli.recorder.journal import Journal

_LABELS = frozenset(("labels", "label", "targets", "target", "y", "y_true"))
# Rows of a dump lie in this order: parameters, then what passed through the model.
_FIRST_ACTIVATION, _FIRST_INPUT, _FIRST_OUTPUT = 100_000, 200_000, 300_000
_NO_FORWARD = "no forward pass of the model in training was seen: activations, inputs and outputs are not recorded"
# A scaler that halves its scale finds the right one within so many steps; after that the gradients are at fault.
_MOST_SKIPPED = 24
_COMPILED = "the model is compiled: what its inner layers give out is not recorded"


class Sampled:
    """Takes tensors while a step runs for which it was armed, and gives them to ``journal`` when it is finished."""

    def __init__(
        self,
        journal: Journal,
        roots: Sequence[Root],
        parameters: Sequence[tuple[str, nn.Parameter]],
        optimizers: Sequence[Optimizer],
        raw: Sequence[str],
        guard: Callable[[Callable[..., None]], Callable[..., None]],
    ) -> None:
        self._journal = journal
        self._raw = Raw(journal.path.parent, raw, journal.worker)
        self._parameters = Parameters(parameters, optimizers, self._raw.keep)
        self._passes = [ForwardPass(root, self._activation, self._root, guard) for root in roots]
        self._optimizers, self._guard = optimizers, guard
        self._several = len(roots) > 1
        self._taken: list[Taken] = []
        self._hooks: list[Hook] = []
        self._outputs: list[classes.Outputs] = []
        self._jobs: list[Callable[[float], Any]] = []
        self._labels: dict[tuple[str, str], Label] = {}
        self._axes: dict[tuple[int, ...], int] = {}
        self._armed = False
        self._stepped = False
        self._given_labels = False
        self._beside: Callable[[], classes.Found | None] | None = None
        self._batch = 0
        self._unseen = self._skipped = 0
        self._clock: tuple[float, int] | None = None
        if any(root.compiled for root in roots):
            journal.note(_COMPILED)

    def initial(self, step: int) -> None:
        """The weights before training."""
        self._taken = self._parameters.initial()
        self._deliver(step)

    def arm(self) -> None:
        """Take the coming step."""
        self.stop()
        self._armed, self._stepped, self._given_labels = True, False, False
        self._parameters.begin()
        for one in self._passes:
            one.arm()
        for optimizer in self._optimizers:
            self._hook(optimizer.register_step_pre_hook, self._before)
            self._hook(optimizer.register_step_post_hook, self._after)

    def open(self) -> None:
        """Set the hooks of the forward pass now."""
        if self._armed:
            for one in self._passes:
                one.open()

    def stop(self) -> None:
        """Take off all hooks, and drop what was taken."""
        self._armed = False
        for one in self._passes:
            one.disarm()
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()
        self._taken.clear()
        self._outputs.clear()
        self._jobs.clear()

    def labels(self, labels: Tensor) -> None:
        """The classes of the batch, as the user gives them."""
        if not self._armed or self._given_labels:
            return
        self._given_labels = True
        job = classes.from_labels(self._outputs, labels)
        if job is not None:
            self._jobs.insert(0, lambda step: classes.lines_of_classes(step, job()))
        self._other("label", "labels", labels)

    def finish(self, step: int, *, norm: bool, unhooked: bool) -> dict[str, Any]:
        """The step is done: hand on what was taken, and give scalars that follow from it.

        ``norm``: that of all gradients, too. ``unhooked``: the optimizer has stepped without calling its hooks.
        """
        if not self._armed:
            return {}
        if self._optimizers and not self._stepped and not unhooked and self._skipped < _MOST_SKIPPED:
            # The scaler has skipped the optimizer's step: the next one shows more.
            self._skipped += 1
            self.arm()
            return {}
        self._skipped = 0
        if not self._stepped:
            self._taken += self._parameters.before(None)
        self._taken += self._parameters.rest()
        self._note_unseen()
        found = self._speed(step)
        total = None
        if norm and any(one.label.kind == "gradient" for one in self._taken):
            total = found["grad_norm"] = _Norm()
        self._deliver(step, total)
        self.stop()
        return found

    def _hook(self, register: Callable[..., Any], call: Callable[..., None]) -> None:
        hook = Hook(self._guard(call))
        hook.handle = register(hook)
        self._hooks.append(hook)

    def _before(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        # Where the step is given a closure, that is what makes the gradients: those of now are of the step before.
        closure = kwargs.get("closure") or next(iter(args[1:]), None)
        self._taken += self._parameters.before(optimizer, with_gradients=closure is None)

    def _after(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        self._stepped = True
        self._taken += self._parameters.after(optimizer)

    def _activation(self, name: str, layer: str, module: nn.Module, tensor: Tensor, function: str) -> None:
        shape = tuple(tensor.shape)
        label = self._labels.get(("activation", name))
        if label is None or label.shape[1:] != shape[1:]:
            axis = unit_axis_of(module, shape, self._axes)
            order = _FIRST_ACTIVATION + len(self._labels)
            label = Label("activation", name, layer, shape, dtype_of(tensor), order, function, axis)
            self._labels["activation", name] = label
        self._take(label, tensor)

    def _root(self, root: Root, inputs: Mapping[str, Any], output: Any) -> None:
        labels = None
        for name, tensor in inputs.items():
            if name.lower() in _LABELS:
                labels = tensor
                continue
            if not tensor.dim():
                # A number beside the inputs: of transformers' trainer, how many tokens there are.
                continue
            self._other("input", root.prefix + name, tensor)
            self._input_gradient(root.prefix + name, tensor)
            self._batch = self._batch or tensor.shape[0]
        found = tensor_in(output)
        if found is None:
            return
        name = root.prefix + ("logits" if found is getattr(output, "logits", None) else "output")
        self._other("output", name, found)
        if self._several or found.dim() < 1:
            return
        self._outputs = classes.outputs_of(name, found, labels)
        self._beside = None
        if labels is not None and (labels.dim() < 2 or not found.requires_grad):
            self.labels(labels)
        elif found.requires_grad:
            if labels is not None:
                # A language model shifts them within: what is compared with what, the gradient knows.
                self._beside = classes.from_labels([], labels)
                self._other("label", "labels", labels)
            handle = found.register_hook(self._guard(self._gradient))  # type: ignore[no-untyped-call]
            self._hooks.append(_Handled(handle))

    def _gradient(self, gradient: Tensor) -> None:
        if self._armed and not self._given_labels and self._outputs:
            job, beside = classes.from_gradient(self._outputs, gradient), self._beside or (lambda: None)
            self._jobs.append(
                lambda step: [] if self._given_labels else classes.lines_of_classes(step, job() or beside())
            )

    def _input_gradient(self, name: str, tensor: Tensor) -> None:
        """Where the user asks for the gradient at an input (``x.requires_grad_()``), it can be saved as it is."""
        if tensor.requires_grad and self._raw.wants("gradient", name):
            keep = self._guard(lambda gradient: self._raw.keep("gradient", name, gradient))
            self._hooks.append(_Handled(tensor.register_hook(keep)))  # type: ignore[no-untyped-call]

    def _other(self, kind: str, name: str, tensor: Tensor) -> None:
        shape = tuple(tensor.shape)
        label = self._labels.get((kind, name))
        if label is None or label.shape[1:] != shape[1:]:
            axis = None if kind == "label" or len(shape) < 2 else self._axes.get(shape, _axis_of(shape))
            order = (_FIRST_OUTPUT if kind == "output" else _FIRST_INPUT) + len(self._labels)
            label = Label(kind, name, name, shape, dtype_of(tensor), order, "", axis)
            self._labels[kind, name] = label
        self._take(label, tensor)

    def _take(self, label: Label, tensor: Tensor) -> None:
        value = tensor.detach()
        if value.layout is not torch.strided:
            return
        if label.shape != tuple(value.shape):
            # Another size of the batch: what is declared stays that of the first.
            label = Label(
                label.kind,
                label.name,
                label.layer,
                tuple(value.shape),
                label.dtype,
                label.order,
                label.function,
                label.unit_axis,
            )
        taken = take_output(label, value)
        if taken is not None:
            self._taken.append(taken)
            self._raw.keep(label.kind, label.name, value)

    def _deliver(self, step: int, norm: _Norm | None = None) -> None:
        if (saving := self._raw.job(step)) is not None:
            self._journal.submit(saving)
        taken, jobs = tuple(self._taken), tuple(self._jobs)
        if not taken and not jobs:
            return
        when = self._journal.seconds()
        measured = fetch(taken)
        known = self._journal.known

        def lines() -> Any:
            found: list[Measured] = measured()
            if norm is not None:
                norm.learn(found)
            yield from lines_of(known, step, when, found)
            for one in found:
                if one.label.kind == "input" and one.values.dtype.kind in "iu":
                    yield from lines_of_tokens(step, one.label, one.values)
            for job in jobs:
                yield from job(step)

        self._journal.submit(lines)

    def _note_unseen(self) -> None:
        """After the first step without a forward pass: train mode may never be on; then say so once."""
        missed = [one for one in self._passes if not one.opened]
        if not missed:
            return
        self._unseen += 1
        for one in missed:
            one.in_evaluation = True
        if self._unseen == 2:
            self._journal.note(_NO_FORWARD)

    def _speed(self, step: int) -> dict[str, Any]:
        """Steps and samples a second since the last sampled step."""
        now = time.perf_counter()
        before, self._clock = self._clock, (now, step)
        if before is None or step <= before[1] or now <= before[0]:
            return {}
        speed = (step - before[1]) / (now - before[0])
        found = {"steps_per_second": speed}
        return found | ({"samples_per_second": speed * self._batch} if self._batch else {})


class _Norm(Later):
    """The norm of all gradients together, told by the background thread once it has them."""

    def __init__(self) -> None:
        self.value = math.nan

    def learn(self, found: Sequence[Measured]) -> None:
        """From what was taken of each gradient."""
        squares = [
            float(one.totals[1]) ** 2
            if one.totals is not None
            else float(np.square(one.values, dtype=np.float64).sum())
            for one in found
            if one.label.kind == "gradient"
        ]
        self.value = math.sqrt(sum(squares)) if squares else math.nan

    def __float__(self) -> float:
        return self.value


class _Handled(Hook):
    """The handle of a hook that is on a tensor."""

    def __init__(self, handle: Any) -> None:
        super().__init__(lambda: None)
        self.handle = handle


def _axis_of(shape: tuple[int, ...]) -> int:
    """Features or channels of an input or output: the last axis of two and three, else the second."""
    return 1 if len(shape) != 3 else 2
