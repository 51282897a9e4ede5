"""Tensors that are saved as they are, on request: ``raw/step_000050.safetensors`` beside the record."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


class Raw:
    """Keeps the tensors of a step whose layer, name, or kind and name match one of ``patterns``.

    Raises ``TypeError`` where ``patterns`` is a single string, ``ImportError`` where safetensors is not installed.
    """

    def __init__(self, out: Path, patterns: Sequence[str], worker: str) -> None:
        if isinstance(patterns, str) or not all(isinstance(one, str) for one in patterns):
            raise TypeError(f'raw must be a list of patterns, such as ["fc1.*"], not {patterns!r}.')
        if patterns and importlib.util.find_spec("safetensors") is None:
            raise ImportError('raw needs safetensors: run "pip install safetensors".')
        self._folder, self._patterns, self._worker = out / "raw", tuple(patterns), worker
        self._kept: dict[str, Tensor] = {}

    def wants(self, kind: str, name: str) -> bool:
        """Whether a tensor of this ``kind`` and ``name`` is asked for."""
        names = (name, name.rpartition(".")[0], f"{kind}/{name}")
        return any(fnmatchcase(one, pattern) for pattern in self._patterns for one in names)

    def keep(self, kind: str, name: str, tensor: Tensor) -> None:
        """Copy ``tensor`` to the host, if it is asked for."""
        if self.wants(kind, name):
            if tensor.is_sparse:
                tensor = tensor.to_dense()
            self._kept[f"{kind}/{name}"] = tensor.detach().to("cpu", copy=True).contiguous()

    def job(self, step: int) -> Callable[[], Iterable[bytes]] | None:
        """Writes what was kept of ``step``; None where there is nothing."""
        kept, self._kept = self._kept, {}
        if not kept:
            return None
        rank = f"_rank{self._worker}" if self._worker else ""
        path = self._folder / f"step_{step:06d}{rank}.safetensors"

        def write() -> Iterable[bytes]:
            from safetensors.torch import save_file

            path.parent.mkdir(parents=True, exist_ok=True)
            # Whole or not at all: a reader may come at any time.
            unfinished = path.with_suffix(".part")
            save_file(kept, unfinished)
            unfinished.replace(path)
            return ()

        return write
