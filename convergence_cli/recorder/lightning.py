"""Lightning: ``Trainer(callbacks=[LightningRecorder()])``, of ``lightning.pytorch`` and of ``pytorch_lightning``."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

from convergence_cli.recorder.callbacks import (
    RecorderCallback,
    check_arguments,
    framework,
    guarded,
    plain,
    torch_options,
)
from convergence_cli.recorder.hyperparameters import learning_rates

if TYPE_CHECKING:
    from convergence_cli.recorder.recorder import Recorder

_PACKAGES = ("lightning.pytorch", "pytorch_lightning")
_FROM_TRAINER = ("max_epochs", "max_steps", "accumulate_grad_batches", "gradient_clip_val", "precision")


class LightningRecorder(RecorderCallback):
    """Records a ``Trainer.fit``: the loss of each step, what the module logs, validation, and the tensors.

    ``out``: the folder, by default that of the trainer's first logger, else its ``default_root_dir``. ``every``,
    ``raw``, ``ranks``, ``on_error`` and ``config`` are those of ``Recorder``. The module's ``hparams`` and the
    trainer's settings become the record's ``config``.

    Raises ``ImportError`` without Lightning, ``TypeError`` and ``ValueError`` for arguments that cannot be; in the
    training nothing but ``TrainingStopped``.
    """

    _session: Recorder | None

    def __init__(
        self,
        out: str | os.PathLike[str] | None = None,
        every: int = 50,
        *,
        raw: Sequence[str] = (),
        ranks: Literal["first", "all"] = "first",
        on_error: Literal["warn", "stop"] | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        check_arguments(out, every, config)
        super().__init__()
        self._out, self._config = out, config or {}
        self._options = torch_options(every, raw, ranks, on_error)
        self._rates: dict[str, Any] = {}
        self._seen: dict[str, Any] = {}
        # What is logged at steps: its mean over an epoch has the same name.
        self._of_steps: set[str] = set()
        self._window, self._stepped = -1, False

    @classmethod
    def _bases(cls) -> tuple[type, ...]:
        # Whose trainer it will be cannot be told yet; a callback may be one of both.
        known = [name for name in _PACKAGES if name in sys.modules]
        found = known or [name for name in _PACKAGES if find_spec(name.partition(".")[0])][:1] or _PACKAGES
        return tuple(framework(name, "lightning").Callback for name in found)

    @guarded
    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Begin, also where a training is resumed or fit for a second time."""
        from convergence_cli.recorder.recorder import Recorder

        self._end("exit")
        # Every process has to ask for the folder: the first one's is sent to all.
        folder = trainer.log_dir or trainer.default_root_dir
        self._rates, self._seen, self._of_steps, self._window = {}, dict(trainer.callback_metrics), set(), -1
        session = Recorder(
            _model_of(pl_module),
            trainer.optimizers,
            out=self._out if self._out is not None else folder,
            # Lightning counts the steps of all optimizers together.
            start_step=trainer.global_step // max(1, len(trainer.optimizers)),
            scaler=getattr(trainer.precision_plugin, "scaler", None),
            config={**_settings(trainer), **plain(pl_module.hparams), **self._config},
            **self._options,
        )
        self._open(session)

    @guarded
    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """A module's ``training_step`` may call any of its layers, and never the module itself."""
        session = self._session
        if session is not None and session.step_count != self._window:
            self._window = session.step_count
            session.open_window()

    @guarded
    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        """The rates of this step: when the batch is over, the schedulers have set those of the next."""
        self._rates, self._stepped = learning_rates(trainer.optimizers), True

    @guarded
    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """A step, or a batch of an accumulation."""
        found = _once(self._new(trainer))
        self._of_steps.update(found)
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        if loss is not None and pl_module.automatic_optimization:
            # What Lightning has divided it by.
            loss = loss * trainer.accumulate_grad_batches
        rates = self._rates if self._stepped else {}
        self._stepped = False
        if self._session is not None:
            self._session.step(**{"loss": loss, **rates, **found})

    @guarded
    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """What validation has logged."""
        self._log(trainer)

    @guarded
    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """The means over the epoch before, which are known when it has ended for all callbacks."""
        self._log(trainer)

    @guarded
    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """The end."""
        self._log(trainer)
        self._end()

    @guarded
    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """The end by an exception, an interrupt among them."""
        self._end(type(exception).__name__)

    def _log(self, trainer: Any) -> None:
        if self._session is not None and not trainer.sanity_checking:
            found = self._new(trainer)
            of_epoch = _once({name: value for name, value in found.items() if name not in self._of_steps})
            if of_epoch:
                self._session.log({**of_epoch, **self._rates})

    def _new(self, trainer: Any) -> dict[str, Any]:
        """What was logged since the last call: each value lies in memory of its own, which the old one still holds."""
        before, self._seen = self._seen, dict(trainer.callback_metrics)
        return {
            name: value
            for name, value in self._seen.items()
            if name not in before or before[name].data_ptr() != value.data_ptr()
        }


def _once(found: Mapping[str, Any]) -> dict[str, Any]:
    """Without what stands there a second time, as ``loss_step`` or ``loss_epoch`` beside ``loss``."""
    again = {f"{name}{end}": value for name, value in found.items() for end in ("_step", "_epoch")}
    return {name: value for name, value in found.items() if again.get(name) is not value}


def _model_of(module: Any) -> Any:
    """``module``, or its only part with parameters: that is what is called, with inputs and outputs to see."""
    parts = {name: part for name, part in module.named_children() if next(part.parameters(), None) is not None}
    return parts if len(parts) == 1 and next(module.parameters(recurse=False), None) is None else module


def _settings(trainer: Any) -> dict[str, Any]:
    found = plain({name: getattr(trainer, name, None) for name in _FROM_TRAINER})
    found["batch_size"] = getattr(trainer.train_dataloader, "batch_size", None)
    # -1 stands for no limit.
    return {name: value for name, value in found.items() if value is not None and value != -1}
