"""Numbers on their way to the record: taken as they are now, and waited for by the background thread alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    import numpy.typing as npt
    from torch import Tensor


class Later(ABC):
    """A number that the background thread asks for, by ``float``."""

    @abstractmethod
    def __float__(self) -> float: ...


class Mean(Later):
    """The mean of what was logged in one accumulation."""

    def __init__(self, values: Iterable[Any]) -> None:
        self._values = list(values)

    def __float__(self) -> float:
        return sum(float(value) for value in self._values) / len(self._values)


class OnItsWay(Later):
    """A tensor as it is now, on its way to the host; on the host it is a copy."""

    def __init__(self, value: Tensor) -> None:
        # From a device into pinned memory, so that nobody waits.
        self._value = value.detach().to("cpu", non_blocking=True, copy=True)
        event = None if value.device.type == "cpu" else getattr(getattr(torch, value.device.type, None), "Event", None)
        self._event = None if event is None else event()
        if self._event is not None:
            self._event.record()

    def tensor(self) -> Tensor:
        """What has arrived."""
        if self._event is not None:
            self._event.synchronize()
        return self._value

    def array(self) -> npt.NDArray[Any]:
        """The same as an array."""
        return self.tensor().numpy()

    def __float__(self) -> float:
        return _single(self.tensor())


def kept(value: Any) -> Any:
    """``value`` as it is now: a number, or a ``Later``. Raises ``TypeError`` for what is no single number."""
    if isinstance(value, Later):
        return value
    if not isinstance(value, torch.Tensor):
        if getattr(value, "size", 1) != 1:
            raise TypeError(f"a scalar must be one number, not {type(value).__name__} of {value.size} values")
        return float(value)
    if value.numel() != 1:
        raise TypeError(f"a scalar must be one number, not a tensor of shape {tuple(value.shape)}")
    value = value.detach()
    return _single(value) if value.device.type == "cpu" else OnItsWay(value)


def _single(value: Tensor) -> float:
    """The number in ``value``, with no more digits than its type has."""
    number = float(value)
    return number if value.dtype == torch.float64 else float(f"{number:.9g}")
