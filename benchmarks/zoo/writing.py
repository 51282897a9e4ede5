"""A run written to disk as a user's tool would leave it: one writer a format."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from zoo.log import Log, Point

ROLES = ("train_loss", "val_loss", "train_accuracy", "val_accuracy", "learning_rate", "grad_norm")
# Clocks of the formats that log one: a run is the same bytes whenever it is written.
_STARTED = 1_700_000_000
_SECONDS_A_ROW = 0.25
_FEWEST_DIGITS, _MOST_DIGITS = 6, 15
_OPTIMIZERS = {"sgd": "SGD", "momentum": "SGD", "adam": "Adam", "adamw": "AdamW", "rmsprop": "RMSprop"}
# What TrainingArguments and a model's config.json of Transformers call a setting.
_ARGUMENTS = {
    "optimizer": "optim",
    "batch_size": "per_device_train_batch_size",
    "epochs": "num_train_epochs",
    "lr_schedule": "lr_scheduler_type",
    "gradient_clip_norm": "max_grad_norm",
    "label_smoothing": "label_smoothing_factor",
}
_OF_MODEL = {"num_classes": "num_labels", "vocab_size": "vocab_size", "dropout": "dropout"}
# What those who write their own loop call a thing.
_SHORT = {"train_loss": "loss", "train_accuracy": "accuracy", "learning_rate": "lr", "gradient_clip_norm": "grad_clip"}
_TAGS = ("loss/train", "loss/val", "accuracy/train", "accuracy/val", "lr", "grad_norm")


def write(log: Log, folder: Path, how: str) -> None:
    """Writes the run into ``folder``, in the format ``how`` of ``FORMATS``; ``ValueError`` where it cannot hold it."""
    if how not in _WRITERS:
        raise ValueError(f"{how!r} is none of {', '.join(FORMATS)}")
    folder.mkdir(parents=True, exist_ok=True)
    _WRITERS[how](log, folder)


@dataclass(slots=True)
class _Row:
    """What was logged at one step, by role."""

    step: int
    epoch: float
    values: dict[str, float] = field(default_factory=dict)


def _sessions(log: Log) -> list[list[_Row]]:
    """The rows of each session, those first logged first: a session ends where a run went back and was resumed."""
    series = {role: points for role in ROLES if (points := getattr(log, role))}
    longest: list[Point] = max(series.values(), key=len, default=[])
    ends = [before[0] for before, after in pairwise(longest) if after[0] <= before[0]]
    # Beside the step, how often the series had logged it before.
    rows: list[dict[tuple[int, int], _Row]] = []
    for role, points in series.items():
        own = sum(after[0] <= before[0] for before, after in pairwise(points))
        at, last, again = 0, -1, 0
        for step, epoch, value in points:
            again = again + 1 if step == last else 0
            if step < last or (step == last and at < len(ends)):
                at, again = at + 1, 0
            # A sparse series may pass a restart without going back: it then stands beyond what the session reached.
            while own < len(ends) and at < len(ends) and step > ends[at]:
                at, again = at + 1, 0
            last = step
            rows.extend({} for _ in range(at + 1 - len(rows)))
            rows[at].setdefault((step, again), _Row(step, epoch)).values[role] = value
    return [[session[key] for key in sorted(session)] for session in rows if session]


def _rows(log: Log) -> list[_Row]:
    return [row for session in _sessions(log) for row in session]


def _records(log: Log, names: Mapping[str, str], *, val_first: bool = False) -> Iterator[tuple[_Row, dict[str, float]]]:
    """What training logged at a step and what the evaluation did, each by itself and under the format's names."""
    for row in _rows(log):
        for val in (val_first, not val_first):
            values = {names.get(role, role): v for role, v in row.values.items() if role.startswith("val_") == val}
            if values:
                yield row, values


def _logged(log: Log) -> list[str]:
    return [role for role in ROLES if getattr(log, role)]


def _epoch_numbers(log: Log) -> dict[int, int] | None:
    """The number of the epoch, from 0, that ends at each step; None where steps do not stand for epochs."""
    at = {row.step: row.epoch for row in _rows(log)}
    steps = sorted(at)
    numbers = [round(at[step]) - 1 for step in steps]
    rise = all(before < after for before, after in pairwise(numbers))
    return dict(zip(steps, numbers, strict=True)) if rise and (not numbers or numbers[0] >= 0) else None


def _table(path: Path, header: list[str], rows: Sequence[Mapping[str, object]], missing: str = "") -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, header, restval=missing, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _settings(path: Path, values: Mapping[str, object]) -> None:
    path.write_text(json.dumps(values, indent=2) + "\n" if path.suffix == ".json" else yaml.safe_dump(dict(values)))


def _csv(log: Log, folder: Path) -> None:
    _table(folder / "metrics.csv", ["step", *_logged(log)], [{"step": row.step, **row.values} for row in _rows(log)])
    _settings(folder / "config.json", log.config)


def _jsonl(log: Log, folder: Path) -> None:
    lines = [json.dumps({"step": row.step, **values}) for row, values in _records(log, _SHORT)]
    (folder / "log.jsonl").write_text("".join(f"{line}\n" for line in lines))
    _settings(folder / "config.json", log.config)


def _tensorboard(log: Log, folder: Path) -> None:
    from torch.utils.tensorboard import SummaryWriter

    clock = float(_STARTED)
    # Each process that resumes a run opens a file of its own.
    for session in _sessions(log):
        with SummaryWriter(str(folder)) as writer:
            for row in session:
                clock += _SECONDS_A_ROW
                for role, value in row.values.items():
                    writer.add_scalar(_TAGS[ROLES.index(role)], value, row.step, walltime=clock)
    _settings(folder / "hparams.yaml", log.config)


def _keras(log: Log, folder: Path) -> None:
    """``CSVLogger(append=True)``; it keeps no settings, so that they are in the file that the script wrote."""
    if not log.per_epoch:
        raise ValueError("Keras' CSVLogger writes a row an epoch, and this run was logged by steps")
    rows = _rows(log)
    # A pass too long to wait for is cut by steps_per_epoch: each part is then an epoch to Keras.
    numbers = _epoch_numbers(log) or {step: i for i, step in enumerate(sorted({row.step for row in rows}))}
    names = {role: role.removeprefix("train_") for role in _logged(log)}
    cells = [{"epoch": numbers[row.step]} | {names[role]: row.values[role] for role in row.values} for row in rows]
    _table(folder / "training.log", ["epoch", *sorted(names.values())], cells, missing="NA")
    _settings(folder / "config.json", log.config)


def _lightning(log: Log, folder: Path) -> None:
    """``CSVLogger`` with ``LearningRateMonitor``, whose rows come first and have no epoch."""
    optimizer = str(log.config.get("optimizer", "adam")).lower()
    rate = f"lr-{_OPTIMIZERS.get(optimizer, optimizer.capitalize())}"
    cells: list[dict[str, object]] = []
    # The mean of an epoch is known, and logged, after its validation.
    for row, values in _records(log, {"learning_rate": rate}, val_first=log.per_epoch):
        if rate in values:
            cells.append({"step": row.step, rate: values.pop(rate)})
        if values:
            cells.append({"epoch": max(math.ceil(row.epoch - 1e-6) - 1, 0), "step": row.step, **values})
    _table(folder / "metrics.csv", sorted({name for cell in cells for name in cell} | {"epoch"}), cells)
    _settings(folder / "hparams.yaml", log.config)


def _huggingface(log: Log, folder: Path) -> None:
    names = {role: role.replace("train_", "").replace("val_", "eval_") for role in ROLES}
    history: list[dict[str, float]] = []
    for row, values in _records(log, names):
        clock = {"eval_runtime": _SECONDS_A_ROW} if any(name.startswith("eval_") for name in values) else {}
        history.append({"epoch": row.epoch, **values, **clock, "step": row.step})
    state: dict[str, object] = {
        "epoch": history[-1]["epoch"] if history else 0.0,
        "global_step": history[-1]["step"] if history else 0,
        "is_world_process_zero": True,
        "log_history": history,
    }
    kept = {"max_steps": "max_steps", "epochs": "num_train_epochs", "batch_size": "train_batch_size"}
    state |= {name: log.config[key] for key, name in kept.items() if key in log.config}
    _settings(folder / "trainer_state.json", dict(sorted(state.items())))
    _settings(folder / "config.json", {name: log.config[key] for key, name in _OF_MODEL.items() if key in log.config})
    arguments = {_ARGUMENTS.get(key, key): value for key, value in log.config.items() if key not in _OF_MODEL}
    if arguments.get("optim") == "adamw":
        arguments["optim"] = "adamw_torch"
    _settings(folder / "training_args.json", arguments)


def _stdout(log: Log, folder: Path) -> None:
    """The printed arguments, then a line a row; epochs are numbered where the rows are epochs."""
    numbers = _epoch_numbers(log) if log.per_epoch else None
    digits = {role: _digits(getattr(log, role)) for role in ROLES}
    arguments = ", ".join(f"{_SHORT.get(key, key)}={value!r}" for key, value in log.config.items())
    lines = [f"Namespace({arguments})"] if arguments else []
    if numbers is None:
        for row, values in _records(log, {}):
            shown = [f"{_SHORT.get(role, role)} {v:.{digits[role]}g}" for role, v in values.items()]
            lines.append(" | ".join([f"step {row.step}", *shown]))
    else:
        total = log.config.get("epochs", max(numbers.values(), default=0) + 1)
        for row in _rows(log):
            shown = [f"{role}: {v:.{digits[role]}g}".replace("learning_rate", "lr") for role, v in row.values.items()]
            lines.append(f"Epoch {numbers[row.step] + 1}/{total} - {' '.join(shown)}")
    (folder / "train.log").write_text("".join(f"{line}\n" for line in lines))


def _digits(points: list[Point]) -> int:
    """Digits that show a series move: one that stands on a large constant needs more than others."""
    values = sorted(point[2] for point in points if math.isfinite(point[2])) or [0.0]
    tenth = len(values) // 10
    spread, size = values[-1 - tenth] - values[tenth], median([abs(value) for value in values])
    if spread <= 0 or size <= 0 or not math.isfinite(spread):
        return _FEWEST_DIGITS
    return min(max(5 + math.ceil(math.log10(size) - math.log10(spread)), _FEWEST_DIGITS), _MOST_DIGITS)


def _mlflow(log: Log, folder: Path) -> None:
    for name in ("metrics", "params", "tags"):
        (folder / name).mkdir(exist_ok=True)
    lines: dict[str, list[str]] = {}
    clock = float(_STARTED)
    for row in _rows(log):
        clock += _SECONDS_A_ROW
        for role, value in row.values.items():
            lines.setdefault(role, []).append(f"{1000 * clock:.0f} {value} {row.step}\n")
    for role, points in lines.items():
        (folder / "metrics" / role).write_text("".join(points))
    for key, setting in log.config.items():
        (folder / "params" / key).write_text(str(setting))
    (folder / "tags" / "mlflow.runName").write_text(folder.name)
    meta = {"run_id": folder.name, "run_name": folder.name, "experiment_id": "0", "lifecycle_stage": "active"}
    _settings(folder / "meta.yaml", {**meta, "start_time": 1000 * _STARTED, "end_time": int(1000 * clock), "status": 3})


_WRITERS: dict[str, Callable[[Log, Path], None]] = {
    "csv": _csv,
    "jsonl": _jsonl,
    "tensorboard": _tensorboard,
    "keras": _keras,
    "lightning": _lightning,
    "huggingface": _huggingface,
    "stdout": _stdout,
    "mlflow": _mlflow,
}
FORMATS: tuple[str, ...] = tuple(_WRITERS)
