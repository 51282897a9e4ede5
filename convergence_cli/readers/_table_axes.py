"""Which columns of a table are its axes (step, epoch, time), and which program wrote it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from convergence_cli.readers._table_cells import BoolArray, Column

# In order of preference: what counts optimizer updates over the whole run comes first.
STEP_NAMES = (
    "global_step", "step", "steps", "train_step", "training_step", "training_steps", "iter", "iters",
    "iteration", "iterations", "it", "itr", "num_updates", "updates", "n_updates", "batch", "batches",
    "batch_idx", "total_timesteps", "timesteps_total", "timesteps", "training_iteration",
)  # fmt: skip
EPOCH_NAMES = ("epoch", "epochs", "ep")
_BATCH_NAMES = frozenset({"batch", "batches", "batch_idx"})
_TIME = re.compile(
    r"wall_?time|time_?stamp|runtime|time|date|datetime|elapsed|elapsed_(?:time|s|secs?|seconds)"
    r"|time_elapsed|total_time|time_total_s|relative_time"
)


@dataclass(frozen=True, slots=True)
class Axes:
    """Indices of the axis columns; ``x`` is what a step means: ``step``, ``epoch`` or ``row``."""

    x: str
    step: int | None = None
    epoch: int | None = None
    time: int | None = None
    skipped: frozenset[int] = frozenset()
    note: str | None = None


def axis_name(name: str) -> str:
    """A column name without prefix, unit, case and punctuation: ``trainer/Global Step (#)`` is ``global_step``."""
    last = re.sub(r"\s*\([^()]{0,40}\)$", "", name.rsplit("/", 1)[-1].strip())
    snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", last)
    return re.sub(r"[\s\-.]+", "_", snake).lower().strip("_#")


def is_axis(name: str) -> bool:
    """Whether a column of that name says where in training a row stands."""
    return axis_name(name) in (*STEP_NAMES, *EPOCH_NAMES)


def choose_axes(names: Sequence[str], columns: Sequence[Column]) -> Axes:
    """The axes of a table from its names and the rows seen so far (``columns`` side by side)."""
    plain = [axis_name(name) for name in names]
    usable = [index for index, column in enumerate(columns) if column.numeric]
    epoch = next((i for i in usable if plain[i] in EPOCH_NAMES), None)
    times = [i for i, name in enumerate(plain) if _TIME.fullmatch(name)]
    if set(plain) >= {"r", "l", "t"}:
        times.append(plain.index("t"))
    # Stable-Baselines3 writes its columns in any order, and counts updates and rollouts as well.
    plain = ["global_step" if name == "time/total_timesteps" else plain[i] for i, name in enumerate(names)]
    ranked = sorted((STEP_NAMES.index(plain[i]), i) for i in usable if plain[i] in STEP_NAMES)
    candidates = [i for _, i in ranked] + ([] if epoch is None else [epoch])
    unnamed = [0] if not names[0] and 0 in usable and len(usable) > 1 else []
    reference = _reference(columns, {*candidates, *times, *unnamed})
    refused: list[str] = []
    chosen: int | None = None
    for index in candidates + unnamed:
        reason = _refusal(columns, index, None if index == epoch else epoch, reference, plain[index])
        if reason is None:
            chosen = index
            break
        refused.append(f"column {names[index] or 1} {reason}")
    skipped = frozenset({*times, *unnamed, *candidates})
    time = next((i for i in times if columns[i].numeric), None)
    if chosen is None:
        why = "; ".join(refused) or "no step column"
        return Axes("row", None, epoch, time, skipped, f"{why}: rows are counted instead")
    return Axes("epoch" if chosen == epoch else "step", chosen, epoch, time, skipped)


def _reference(columns: Sequence[Column], axes: set[int]) -> int | None:
    """The fullest column of measurements: where it has points, the step must move."""
    measured = [i for i, column in enumerate(columns) if i not in axes and column.numeric]
    return max(measured, key=lambda i: columns[i].count, default=None)


def _refusal(columns: Sequence[Column], index: int, epoch: int | None, reference: int | None, name: str) -> str | None:
    """Why a column cannot be the step, or None where it can."""
    column = columns[index]
    rows = np.ones(len(column.values), dtype=np.bool_)
    if reference is not None and (there := columns[reference].present) is not None:
        rows &= there
    asked = int(rows.sum())
    if column.present is not None:
        rows &= column.present
    rows &= np.isfinite(column.values)
    steps = column.values[rows]
    if 2 * len(steps) < asked:
        return "is mostly empty"
    moves = np.sign(steps[1:] - steps[:-1])
    back = np.flatnonzero(moves < 0)
    reasons = {
        "never changes": len(moves) > 0 and not moves.any(),
        "mostly repeats": 2 * np.count_nonzero(moves == 0) > len(moves),
        "begins anew in every epoch": _resets(columns, rows, back, epoch, name),
        "goes up and down": 3 * len(back) > len(moves),
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def _resets(
    columns: Sequence[Column], rows: BoolArray, back: npt.NDArray[np.intp], epoch: int | None, name: str
) -> bool:
    """Whether the step goes back because an epoch ended, and not because a run was restarted."""
    if epoch is None:
        return name in _BATCH_NAMES and len(back) > 1
    epochs = columns[epoch].values[rows]
    return len(back) > 0 and 2 * np.count_nonzero(epochs[back + 1] > epochs[back]) > len(back)


def table_format(names: Sequence[str], delimiter: str, columns: Mapping[str, Column]) -> str:
    """The program that writes such tables, or ``csv`` or ``tsv``."""
    have = set(names)
    slashes = any("/" in name for name in names)
    sparse = any(column.present is not None for column in columns.values())
    suffixed = any(name.endswith(("_step", "_epoch")) for name in names)
    tabs = delimiter == "\t"
    signs = {
        "rllib": "training_iteration" in have
        and bool(have & {"timesteps_total", "episode_reward_mean"} or any(n.startswith("env_runners/") for n in names)),
        "ray-tune": {"training_iteration", "time_total_s"} <= have,
        "stable-baselines3": {"time/total_timesteps", "time/time_elapsed"} <= have or tuple(names) == ("r", "l", "t"),
        "catboost": tabs and names[0] == "iter" and len(names) > 1,
        "dvclive": tabs and tuple(names[:-1]) in (("step",), ("timestamp", "step")),
        "tsv": tabs,
        "ultralytics": any(name.startswith("metrics/") for name in names)
        and any(name.startswith("train/") and name.endswith("loss") for name in names),
        "timm": names[0] == "epoch" and {"train_loss", "eval_loss", "eval_top1"} <= have,
        "lightning": {"step", "epoch"} <= have and not have & {"time", "_timestamp"} and (sparse or suffixed),
        "keras": "loss" in have
        and not slashes
        and "step" not in have
        and ("epoch" in have or any(f"val_{name}" in have for name in names)),
    }
    return next((name for name, holds in signs.items() if holds), "csv")
