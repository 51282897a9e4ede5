"""What the tests of all dump formats need: values of a stored tensor, and damaged copies of a file."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from convergence_cli.errors import SourceError
from convergence_cli.readers._guard import Source
from convergence_cli.tensors.stored import StoredTensor

Open = Callable[[Source], list[StoredTensor]]


def source(path: Path) -> Source:
    return Source(path, str(path), follow_links=False)


def values(tensor: StoredTensor) -> npt.NDArray[np.generic]:
    """All of it, in its shape."""
    assert not tensor.trouble, tensor.trouble
    blocks = [block.copy() for block in tensor.blocks()]
    flat = np.concatenate(blocks) if blocks else np.empty(0)
    assert all(block.ndim == 1 and block.dtype.isnative and block.nbytes <= 4 << 20 for block in blocks)
    return flat.reshape(tensor.shape[::-1]).T if tensor.fortran else flat.reshape(tensor.shape)


def survives(open_file: Open, data: bytes) -> int:
    """Reads ``data`` whole; how many tensors were read. Anything but a ``SourceError`` is a failed test."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "dump"
        path.write_bytes(data)
        read = 0
        try:
            for tensor in open_file(source(path)):
                try:
                    for block in tensor.blocks():
                        assert block.nbytes <= 4 << 20
                    read += not tensor.trouble
                except SourceError:
                    continue
        except SourceError:
            return read
        return read


def refused(open_file: Open, path: Path) -> str:
    """The sentence with which ``path`` is refused as a whole."""
    with pytest.raises(SourceError) as caught:
        open_file(source(path))
    assert str(path) in caught.value.message
    return caught.value.message
