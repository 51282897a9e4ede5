"""Tensors summed up where they are: a few kernels each, and one transfer for all of a step.

A tensor of up to ``SMALL`` values is copied whole, and measured exactly by the background thread. Of a larger one
the device gives the sums, extremes and counts of all values (``captured.TOTALS``), and a sample of them for
quantiles and histograms. An activation gives a sample of its samples, with all units. Nothing draws random numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from convergence_cli.recorder.captured import SAMPLE, Label, Measured

if TYPE_CHECKING:
    import numpy.typing as npt
    from torch import Tensor

SMALL = 1 << 14
# An activation gives about so many values, and no fewer samples of each unit than this.
OUTPUT_VALUES = 1 << 13
OUTPUT_SAMPLES = 32
# Updates of larger tensors are told from this many values, so that no second copy of a model is needed.
UPDATE_VALUES = 1 << 17
# How many units, and values of each, are compared to find copies.
WINDOW = (128, 16)
# Each pass over a large tensor costs time: what the rules need exactly, beside the extremes.
_SUMMED = {"weight": "sum l2 bits", "gradient": "l2", "update": "l2"}
_INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool)


@dataclass(slots=True)
class Taken:
    """What was taken of one tensor, still on its device; fields as in ``Measured``."""

    label: Label
    values: Tensor
    totals: Tensor | None = None
    windows: tuple[Tensor, Tensor] | None = None
    absent: int = 0
    absent_units: int = 0
    units: int = 0


def dtype_of(tensor: Tensor) -> str:
    """``float32`` and so on."""
    return str(tensor.dtype).removeprefix("torch.")


def local(tensor: Tensor) -> Tensor:
    """The part of a distributed tensor that is here, without its history; complex numbers as pairs of real ones."""
    tensor = tensor.detach()
    if hasattr(tensor, "to_local"):
        tensor = tensor.to_local()
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor


def take(label: Label, tensor: Tensor) -> Taken | None:
    """Of a weight, gradient or update; None where there is nothing in it."""
    if tensor.is_sparse:
        return _take_sparse(label, tensor)
    if not tensor.numel():
        return None
    if tensor.numel() <= SMALL:
        return Taken(label, _copied(tensor))
    wide = _wide(tensor)
    windows = _windows(wide) if label.kind == "weight" and tensor.dim() > 1 else None
    totals = _totals(wide, _SUMMED[label.kind], rows=label.unit_axis == 0 and label.kind == "gradient")
    return Taken(label, _sampled(wide, SAMPLE), totals, windows)


def take_scaled(label: Label, sample: Tensor, size: int) -> Taken:
    """Of an update that is told from a ``sample`` of its ``size`` values: sums and counts in proportion."""
    totals = _totals(sample, _SUMMED["update"])
    factor = size / sample.numel()
    scale = torch.tensor([factor, math.sqrt(factor), 1, 1, factor, 1, 1], dtype=totals.dtype, device=totals.device)
    return Taken(label, _sampled(sample, SAMPLE), totals * scale)


def take_output(label: Label, tensor: Tensor) -> Taken | None:
    """Of an activation, input or output, whose units lie along ``label.unit_axis``."""
    if not tensor.numel():
        return None
    if not tensor.is_floating_point():
        return Taken(label, _copied(_fewer_rows(tensor)))
    if tensor.numel() <= OUTPUT_VALUES:
        return Taken(label, _copied(tensor))
    # The extremes of all values, which also tell whether one is NaN; the rest from a part.
    totals = _totals(tensor, "")
    if label.unit_axis is None:
        return Taken(label, _wide(_sampled(tensor, SAMPLE)), totals)
    return Taken(label, _some_samples(tensor, label.unit_axis), totals)


def flat(tensor: Tensor) -> Tensor:
    """All values in one dimension, in the order of memory where that costs no copy."""
    if not tensor.is_contiguous() and tensor.dim() > 1:
        order = sorted(range(tensor.dim()), key=tensor.stride, reverse=True)
        tensor = tensor.permute(order)
    return tensor.reshape(-1)


def strided(tensor: Tensor, count: int) -> Tensor:
    """About ``count`` values of ``tensor`` at even distances that favour no column, as a view where possible."""
    line = flat(tensor)
    stride = max(line.numel() // count, 1)
    while stride > 1 and any(math.gcd(stride, length) > 1 for length in tensor.shape[1:] if length > 1):
        stride += 1
    return line[stride // 2 :: stride]


def fetch(taken: Sequence[Taken]) -> Callable[[], list[Measured]]:
    """Start the transfer to the host. What is given back waits for it, and is called by the background thread."""
    tensors = [tensor for one in taken for tensor in _parts(one)]
    if all(tensor.device.type == "cpu" for tensor in tensors):
        return lambda: _measured(taken, [tensor.numpy() for tensor in tensors])
    devices = {tensor.device for tensor in tensors}
    if len(devices) > 1:
        jobs = [fetch([one for one in taken if one.values.device == device]) for device in devices]
        return lambda: [found for job in jobs for found in job()]
    arrived = pack(tensors).to("cpu", non_blocking=True)
    wait = _marker(tensors[0].device)

    def unpacked() -> list[Measured]:
        wait()
        return _measured(taken, unpack(arrived, tensors))

    return unpacked


def pack(tensors: Sequence[Tensor]) -> Tensor:
    """All ``tensors`` of one device in one piece, as bytes: numbers of every type go over together."""
    return torch.cat([tensors[index].contiguous().reshape(-1).view(torch.uint8) for index in _widest_first(tensors)])


def unpack(packed: Tensor, tensors: Sequence[Tensor]) -> list[npt.NDArray[Any]]:
    """The ``tensors`` that were packed, on the host."""
    place = 0
    found: dict[int, npt.NDArray[Any]] = {}
    for index in _widest_first(tensors):
        tensor = tensors[index]
        size = tensor.numel() * tensor.element_size()
        found[index] = packed[place : place + size].view(tensor.dtype).reshape(tensor.shape).numpy()
        place += size
    return [found[index] for index in range(len(tensors))]


def _widest_first(tensors: Sequence[Tensor]) -> list[int]:
    """An order in which each begins at a multiple of its own width, as a view must."""
    return sorted(range(len(tensors)), key=lambda index: -tensors[index].element_size())


def _marker(device: torch.device) -> Callable[[], None]:
    """Waits for all that has been asked of ``device`` so far."""
    module = getattr(torch, device.type, None)
    if module is None or not hasattr(module, "Event"):
        return lambda: None
    event = module.Event()
    event.record()
    return event.synchronize  # type: ignore[no-any-return]


def _parts(one: Taken) -> list[Tensor]:
    return [one.values, *([] if one.totals is None else [one.totals]), *(one.windows or ())]


def _measured(taken: Sequence[Taken], arrays: Sequence[object]) -> list[Measured]:
    waiting = iter(arrays)
    found = []
    for one in taken:
        values = next(waiting)
        totals = None if one.totals is None else next(waiting)
        windows = None if one.windows is None else (next(waiting), next(waiting))
        found.append(
            Measured(one.label, values, totals, windows, one.absent, one.absent_units, one.units)  # type: ignore[arg-type]
        )
    return found


def _wide(tensor: Tensor) -> Tensor:
    """In a type whose sums keep their digits."""
    return tensor if tensor.dtype in (torch.float32, torch.float64) else tensor.float()


def _copied(tensor: Tensor) -> Tensor:
    """A copy in a type that numpy has."""
    if tensor.dtype in (*_INTEGERS, torch.float32, torch.float64):
        return tensor.clone(memory_format=torch.contiguous_format)
    return tensor.float().contiguous()


def _sampled(tensor: Tensor, count: int) -> Tensor:
    return strided(tensor, count).clone(memory_format=torch.contiguous_format)


def _totals(tensor: Tensor, names: str, *, rows: bool = False) -> Tensor:
    """``captured.TOTALS`` as (7,): extremes, those in ``names`` (words), and NaN for the others.

    ``rows``: also how many rows along the first axis hold nothing but zeros.
    """
    unknown = torch.full((), math.nan, device=tensor.device)
    dead = unknown
    if rows and tensor.dim() > 1:
        within = tuple(range(1, tensor.dim()))
        low, high = tensor.amin(within), tensor.amax(within)
        dead = ((low == 0) & (high == 0)).sum()
        low, high = low.amin(), high.amax()
    else:
        low, high = torch.aminmax(tensor)
    line = flat(tensor)
    return _stacked(
        [
            line.sum() if "sum" in names else unknown,
            torch.linalg.vector_norm(line) if "l2" in names else unknown,
            low,
            high,
            torch.count_nonzero(line) if "nonzero" in names else unknown,
            dead,
            line.view(torch.int32).sum(dtype=torch.int32) if "bits" in names else unknown,
        ]
    )


def _stacked(found: list[Tensor]) -> Tensor:
    # A number of 32 bits needs float64; Apple's devices have none.
    kind = torch.float32 if found[0].device.type == "mps" else torch.float64
    return torch.stack([one.to(kind) for one in found])


def _windows(tensor: Tensor) -> tuple[Tensor, Tensor]:
    """Some values of the first units along the first axis, and along the last: each (units, values)."""
    units, values = WINDOW
    rows = tensor[:units].flatten(1)
    columns = tensor[..., :units].movedim(-1, 0).flatten(1)
    return tuple(
        part[:, :: max(part.shape[1] // values, 1)][:, :values].clone(memory_format=torch.contiguous_format)
        for part in (rows, columns)
    )  # type: ignore[return-value]


def _fewer_rows(tensor: Tensor) -> Tensor:
    """Of a batch of integers as many rows as hold about ``OUTPUT_VALUES`` values."""
    if tensor.dim() < 2 or tensor.numel() <= OUTPUT_VALUES:
        return tensor
    rows = max(OUTPUT_VALUES * tensor.shape[0] // tensor.numel(), 1)
    return tensor[:: -(-tensor.shape[0] // rows)]


def _some_samples(tensor: Tensor, axis: int) -> Tensor:
    """A part with all units, of shape (samples, units, positions): of the batch first, then of the positions."""
    units = tensor.shape[axis]
    wanted = max(OUTPUT_SAMPLES, OUTPUT_VALUES // max(units, 1))
    moved = tensor.movedim(axis, 1) if tensor.dim() > 1 else tensor[:, None]
    batch, others = moved.shape[0], moved.shape[2:]
    taken = min(batch, wanted)
    part = moved[:: -(-batch // taken)]
    positions = math.prod(others)
    budget = max(wanted // part.shape[0], 1)
    if positions > budget:
        stride = max(int((positions / budget) ** (1 / len(others)) + 0.999), 1)
        for place in range(2, moved.dim()):
            part = part.narrow(place, 0, part.shape[place])[(slice(None),) * place + (slice(None, None, stride),)]
    part = _wide(part).reshape(part.shape[0], units, -1)
    return part.clone(memory_format=torch.contiguous_format)


def _take_sparse(label: Label, tensor: Tensor) -> Taken | None:
    """The gradient of an embedding: the rows that have one, and how many have not."""
    tensor = tensor.coalesce()
    values = tensor.values()
    if not values.numel():
        return None
    rows = values.shape[0] if tensor.sparse_dim() == 1 else 0
    found = take(replace(label, shape=tuple(values.shape), unit_axis=0 if rows else None), values)
    if found is None:
        return None
    found.label = label
    found.absent = tensor.numel() - values.numel()
    if rows:
        found.units, found.absent_units = tensor.shape[0], tensor.shape[0] - rows
    return found
