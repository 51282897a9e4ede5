"""Many tensors of one device summed up together, so that the number of kernels does not grow with that of tensors.

A graphics processor is done with a tensor before the next kernel is launched: what costs is the launching. So all
tensors are laid end to end in rows of one width, the rows are reduced at once, and then the rows of each tensor.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from convergence_cli.recorder.captured import SAMPLE, Label
from convergence_cli.recorder.reductions import SMALL, WINDOW, Taken

if TYPE_CHECKING:
    from torch import Tensor

WIDTH = 256
# So many values are laid out at a time: a quarter of a gigabyte.
MOST_VALUES = 1 << 26


def take_packed(
    labels: Sequence[Label], tensors: Sequence[Tensor], plans: dict[str, Plan], *, totals: bool = True
) -> list[Taken]:
    """What ``reductions.take`` takes of each tensor; ``plans`` keeps what need not be worked out again.

    The tensors are dense, not empty, and on one device.
    """
    found: list[Taken] = []
    start = size = 0
    for index, tensor in enumerate(tensors):
        if size + tensor.numel() > MOST_VALUES and index > start:
            found += _take_group(labels[start:index], tensors[start:index], plans, totals)
            start, size = index, 0
        size += tensor.numel()
    return found + _take_group(labels[start:], tensors[start:], plans, totals)


@dataclass(frozen=True, slots=True)
class Plan:
    """Where each tensor of a group lies: made once for tensors of the same names and shapes.

    ``pads``: by how many copies of its last value each is filled up to whole rows. ``rows``: how many rows each
    has. ``picked``: the places of all values that go to the host; ``parts``: how many of them are the sample and the
    two windows of each tensor. ``units``: of those whose rows are looked at, how many there are.
    """

    shapes: tuple[tuple[int, ...], ...]
    pads: tuple[int, ...]
    rows: Tensor
    lasts: Tensor
    picked: Tensor
    parts: tuple[tuple[int, tuple[int, int], tuple[int, int]], ...]
    watched: tuple[int, ...]
    units: Tensor


def _take_group(
    labels: Sequence[Label], tensors: Sequence[Tensor], plans: dict[str, Plan], summed: bool
) -> list[Taken]:
    key = f"{labels[0].title}-{labels[-1].title}-{len(labels)}"
    shapes = tuple(tuple(tensor.shape) for tensor in tensors)
    plan = plans.get(key)
    if plan is None or plan.shapes != shapes or plan.rows.device != tensors[0].device:
        plan = plans[key] = _plan(labels, tensors)
    pieces = []
    for tensor, pad in zip(tensors, plan.pads, strict=True):
        line = tensor.reshape(-1)
        pieces += [line, line[-1:].expand(pad)] if pad else [line]
    values = torch.cat(pieces).float()
    totals = _totals(values, plan, tensors) if summed else None
    picked = values[plan.picked]
    found, place = [], 0
    for index, (label, (sample, rows, columns)) in enumerate(zip(labels, plan.parts, strict=True)):
        taken = picked[place : place + sample]
        place += sample
        if tensors[index].numel() <= SMALL:
            found.append(Taken(label, taken.view(plan.shapes[index])))
            continue
        windows = None
        if rows[0]:
            cut = [place, place + math.prod(rows), place + math.prod(rows) + math.prod(columns)]
            windows = (picked[cut[0] : cut[1]].view(rows), picked[cut[1] : cut[2]].view(columns))
            place = cut[2]
        found.append(Taken(label, taken, None if totals is None else totals[index], windows))
    return found


def _totals(values: Tensor, plan: Plan, tensors: Sequence[Tensor]) -> Tensor:
    """``captured.TOTALS`` of each tensor, as (tensors, 7) of float64."""
    rows = values.view(-1, WIDTH)
    high = torch.segment_reduce(rows.amax(1), "max", lengths=plan.rows)
    low = torch.segment_reduce(rows.amin(1), "min", lengths=plan.rows)
    sums = torch.segment_reduce(rows.sum(1).double(), "sum", lengths=plan.rows)
    squares = torch.segment_reduce(torch.linalg.vector_norm(rows, dim=1).double().square(), "sum", lengths=plan.rows)
    bits = torch.segment_reduce(
        rows.view(torch.int32).sum(1, dtype=torch.int32).double(), "sum", lengths=plan.rows
    ).remainder(2.0**32)
    last = values[plan.lasts].double()
    pads = torch.tensor(plan.pads, dtype=torch.float64, device=values.device)
    sums, squares = sums - pads * last, (squares - pads * last.square()).clamp(min=0)
    unknown = torch.full_like(sums, math.nan)
    dead = unknown.clone()
    if plan.watched:
        idle = torch.cat([~tensors[index].flatten(1).any(1) for index in plan.watched]).float()
        counts = torch.segment_reduce(idle, "sum", lengths=plan.units).double()
        dead[torch.tensor(plan.watched, device=values.device)] = counts
    return torch.stack([sums, squares.sqrt(), low.double(), high.double(), unknown, dead, bits], 1)


def _plan(labels: Sequence[Label], tensors: Sequence[Tensor]) -> Plan:
    device = tensors[0].device
    pads, rows, lasts, picked, parts, watched, units = [], [], [], [], [], [], []
    place = 0
    for index, (label, tensor) in enumerate(zip(labels, tensors, strict=True)):
        size = tensor.numel()
        count = -(-size // WIDTH)
        pads.append(count * WIDTH - size)
        rows.append(count)
        lasts.append(place + size - 1)
        sample = _sample(tensor.shape, size)
        picked.append(sample + place)
        windows = ((0, 0), (0, 0))
        if size > SMALL and tensor.dim() > 1:
            if label.kind == "weight":
                by_row, by_column = _windows(tuple(tensor.shape))
                picked += [by_row.reshape(-1) + place, by_column.reshape(-1) + place]
                windows = (_pair(by_row), _pair(by_column))
            if label.unit_axis == 0 and label.kind == "gradient":
                watched.append(index)
                units.append(tensor.shape[0])
        parts.append((sample.numel(), *windows))
        place += count * WIDTH
    return Plan(
        tuple(tuple(tensor.shape) for tensor in tensors),
        tuple(pads),
        torch.tensor(rows, device=device),
        torch.tensor(lasts, device=device),
        torch.cat(picked).to(device),
        tuple(parts),
        tuple(watched),
        torch.tensor(units, device=device),
    )


def _pair(indices: Tensor) -> tuple[int, int]:
    return indices.shape[0], indices.shape[1]


def _sample(shape: Sequence[int], size: int) -> Tensor:
    """All places of a small tensor, else some at even distances that favour no column (as ``reductions.strided``)."""
    if size <= SMALL:
        return torch.arange(size)
    stride = max(size // SAMPLE, 1)
    while stride > 1 and any(math.gcd(stride, length) > 1 for length in shape[1:] if length > 1):
        stride += 1
    return torch.arange(stride // 2, size, stride)


def _windows(shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """The places of ``reductions``' windows along the first axis and the last."""
    most, values = WINDOW
    length, line = math.prod(shape[1:]), shape[-1]
    along_first = torch.arange(0, length, max(length // values, 1))[:values]
    lines = math.prod(shape[:-1])
    along_last = torch.arange(0, lines, max(lines // values, 1))[:values] * line
    rows = torch.arange(min(shape[0], most))[:, None] * length + along_first
    columns = torch.arange(min(line, most))[:, None] + along_last
    return rows, columns
