"""Hugging Face: ``Trainer(callbacks=[HuggingFaceRecorder()])`` of ``transformers``."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from convergence_cli.recorder.callbacks import (
    RecorderCallback,
    check_arguments,
    framework,
    guarded,
    plain,
    torch_options,
)
from convergence_cli.recorder.hyperparameters import learning_rates, optimizers_of

if TYPE_CHECKING:
    from convergence_cli.recorder.recorder import Recorder

_ARGUMENTS = (
    "learning_rate", "per_device_train_batch_size", "gradient_accumulation_steps", "num_train_epochs", "optim",
    "weight_decay", "warmup_steps", "warmup_ratio", "lr_scheduler_type", "max_grad_norm", "label_smoothing_factor",
    "bf16", "fp16", "seed",
)  # fmt: skip
# The recorder knows the rate of each step, and time and step are in every line.
_LEFT_OUT = frozenset(("learning_rate", "epoch", "total_flos", "num_input_tokens_seen"))
_OF_TIME = ("_runtime", "_per_second")


class HuggingFaceRecorder(RecorderCallback):
    """Records a ``Trainer.train``: what the trainer logs, the rate of each step, and the tensors.

    ``out``: the folder, by default ``TrainingArguments.output_dir``. ``every``, ``raw``, ``ranks``, ``on_error`` and
    ``config`` are those of ``Recorder``. The loss is the trainer's own, the mean over ``logging_steps``. Where the
    trainer clips, the norm that it logs is ``grad_norm/unclipped``: the one of the recorder is that of the gradients
    which the optimizer is given.

    Raises ``ImportError`` without transformers, ``TypeError`` and ``ValueError`` for arguments that cannot be; in the
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
        self._optimizers: list[Any] = []
        self._rates: dict[str, Any] = {}

    @classmethod
    def _bases(cls) -> tuple[type, ...]:
        return (framework("transformers", "transformers").TrainerCallback,)

    @guarded
    def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Begin, or go on where a training is resumed."""
        from convergence_cli.recorder.recorder import Recorder

        self._end("exit")
        if not state.is_world_process_zero and self._options["ranks"] == "first":
            return
        optimizer = given.get("optimizer")
        self._optimizers = optimizers_of(optimizer)
        session = Recorder(
            given["model"],
            self._optimizers,
            out=self._out if self._out is not None else args.output_dir,
            start_step=state.global_step,
            # Accelerate's optimizer has it, where there is one.
            scaler=getattr(optimizer, "scaler", None),
            config={**_settings(args, state), **self._config},
            **self._options,
        )
        self._open(session)

    @guarded
    def on_step_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """The rates of this step: at its end the scheduler has set those of the next."""
        self._rates = learning_rates(self._optimizers)

    @guarded
    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """A step of the optimizer, however many batches it took."""
        if self._session is not None:
            self._session.step(**self._rates)

    @guarded
    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **given: Any) -> None:
        """What the trainer logs, evaluations among it, but for the summary at the end."""
        if self._session is None or logs is None or "train_runtime" in logs:
            return
        found = {name: value for name, value in logs.items() if name not in _LEFT_OUT and not name.endswith(_OF_TIME)}
        if args.max_grad_norm and "grad_norm" in found:
            found["grad_norm/unclipped"] = found.pop("grad_norm")
        numbers = {name: value for name, value in found.items() if isinstance(value, (int, float))}
        self._session.log(numbers | self._rates)

    @guarded
    def on_train_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """The end."""
        self._end()


def _settings(args: Any, state: Any) -> dict[str, Any]:
    found = plain({name: getattr(args, name, None) for name in _ARGUMENTS})
    found["transformers_version"] = framework("transformers", "transformers").__version__
    return found | ({"max_steps": state.max_steps} if state.max_steps > 0 else {})
