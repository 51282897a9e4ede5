"""Weights in HDF5: ``.h5``, ``.hdf5`` and Keras' ``.weights.h5`` and ``.keras``.

h5py (native code, and so an extra) only says what lies where. The values are read here, at the places it names: its own
filters take as much memory as a packed chunk unfolds to, and would load plug-ins.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from convergence_cli.errors import SourceError
from convergence_cli.printable import printable
from convergence_cli.tensors.archive import member_offset, members
from convergence_cli.tensors.hdf5_chunks import MAX_CHUNK_BYTES, Chunks, Piece, chunk_blocks, too_large
from convergence_cli.tensors.keras_names import Variable, keys_of
from convergence_cli.tensors.raw import incomplete, opened_at, value_blocks
from convergence_cli.tensors.safetensors import natural
from convergence_cli.tensors.stored import ITEM_BYTES, StoredTensor, left_out
from convergence_cli.tensors.window import Window

if TYPE_CHECKING:
    from convergence_cli.readers._guard import Source

MAX_OBJECTS = 100_000
MAX_DEPTH = 32
MAX_CHUNKS = 200_000
_KERAS_WEIGHTS = "model.weights.h5"
# Beside the weights, and none of them.
_OPTIMIZER = frozenset(("optimizer", "optimizer_weights"))
_DEFLATE, _SHUFFLE, _CHECKSUM = 1, 2, 3
# Those that are undone here, in the order in which they are applied.
_FILTERS = (_SHUFFLE, _DEFLATE, _CHECKSUM)
_NOT_THERE = "values that are not in the file"
_AGAIN = "Save the weights again with model.save_weights."
_ANEW = "Dump this step anew, or remove the file."


def hdf5_tensors(source: Source) -> list[StoredTensor]:
    """The arrays of ``source`` in natural order of their names, with ``weight/`` before those that tell no kind.

    Links, also to other files, are not followed. Raises ``SourceError`` where it is in another format, is cut short,
    declares what cannot be, or where h5py is not installed.
    """
    h5py = _h5py(source)
    with source.open_raw() as stream:
        begin, size = _place(source, stream)
        with _reading(source), h5py.File(Window(stream, begin, size), "r") as file:
            if file.userblock_size:
                raise source.error("begins with a block that is not HDF5.", _AGAIN)
            found = [(one, _tensor(h5py, source, one, data, begin, size)) for one, data in _walk(h5py, file)]
    if not found:
        raise source.error("holds no arrays.", _AGAIN)
    keys = keys_of([variable for variable, _ in found])
    named = [_called(key, tensor) for key, (_, tensor) in zip(keys, found, strict=True)]
    return sorted(named, key=lambda tensor: natural(tensor.key))


def _h5py(source: Source) -> Any:
    try:
        return import_module("h5py")
    except ImportError as error:
        raise source.error(
            "is HDF5, which is read with h5py, and that is not installed.",
            "Install: pip install 'convergence-cli[hdf5]'",
        ) from error


def _place(source: Source, stream: IO[bytes]) -> tuple[int, int]:
    """Where HDF5 begins in the file, and its length: in a ``.keras`` file it is a member."""
    size = os.fstat(stream.fileno()).st_size
    if not stream.read(4).startswith(b"PK\x03\x04"):
        return 0, size
    member = next((one for one in members(source) if one.name == _KERAS_WEIGHTS), None)
    if member is None:
        raise source.error(f"is an archive without {_KERAS_WEIGHTS}.", "Save the model with Keras 3.")
    if member.trouble or member.entry.compress_type != zipfile.ZIP_STORED:
        raise source.error("has weights that were packed anew.", "Save the model again with Keras 3.")
    begin = member_offset(source, stream, member)
    if begin + member.size > size:
        raise incomplete(source)
    return begin, member.size


def _walk(h5py: Any, file: Any) -> Iterator[tuple[Variable, Any]]:
    """Every array, and every link as a text that says why it is left out; no object is met twice."""
    seen = {h5py.h5o.get_info(file.id).addr}
    pending: list[tuple[tuple[str, ...], Any]] = [((), file)]
    objects = 0
    while pending:
        path, group = pending.pop()
        objects += len(group)
        if objects > MAX_OBJECTS:
            raise ValueError("it describes more than any model has")
        for name in sorted(group, key=natural):
            if not path and name in _OPTIMIZER:
                continue
            variable = Variable((*path, name), ())
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                yield variable, "links are not followed"
                continue
            item = group[name]
            address = h5py.h5o.get_info(item.id).addr
            if address in seen:
                continue
            seen.add(address)
            if isinstance(item, h5py.Dataset):
                yield Variable(variable.path, tuple(map(int, item.shape or ()))), item
            elif isinstance(item, h5py.Group) and len(path) < MAX_DEPTH:
                pending.append((variable.path, item))


def _called(key: str, tensor: StoredTensor) -> StoredTensor:
    return StoredTensor(key, tensor.dtype, tensor.shape, tensor.blocks, tensor.fortran, tensor.trouble)


def _tensor(h5py: Any, source: Source, variable: Variable, data: Any, begin: int, size: int) -> StoredTensor:
    """The array ``data`` under no name yet; ``begin`` and ``size`` are those of HDF5 in the file."""
    trouble = data if isinstance(data, str) else _trouble(data)
    name, dtype = ("", np.dtype("f4")) if trouble else _type(h5py, data)
    if not name:
        return left_out("", trouble or "texts, records and other types are not read")
    options = data.id.get_create_plist()
    layout = options.get_layout()
    shape = variable.shape
    count = 1
    for length in shape:
        count *= length
    if not count or layout == h5py.h5d.COMPACT:
        values = np.ascontiguousarray(data[()]).reshape(-1)
        native = values.view(np.uint16) if name == "bfloat16" else values.astype(dtype.newbyteorder("="))
        return StoredTensor("", name, shape, lambda: iter((native,) if count else ()))
    if layout == h5py.h5d.CHUNKED:
        chunks = _chunks(data, options, dtype, shape, size)
        if isinstance(chunks, str):
            return left_out("", chunks)
        return StoredTensor("", name, shape, partial(chunk_blocks, source, chunks, begin))
    offset = data.id.get_offset()
    if offset is None:
        return left_out("", _NOT_THERE)
    if offset + count * dtype.itemsize > size:
        raise incomplete(source)
    opened = partial(opened_at, source, begin + offset)
    return StoredTensor("", name, shape, partial(value_blocks, source, opened, dtype, count))


def _trouble(data: Any) -> str:
    """Why ``data`` is not read whatever its type, or nothing."""
    if data.external or data.is_virtual:
        return "values outside of the file are not read"
    return "no values" if data.shape is None else ""


def _type(h5py: Any, data: Any) -> tuple[str, np.dtype[Any]]:
    """The name of the type in ``ITEM_BYTES``, empty where it has none, and how its values lie in the file."""
    dtype, stored = data.dtype, data.id.get_type()
    if dtype.kind == "V" and dtype.itemsize == 2 and dtype.names is None and dtype.subdtype is None:
        # Keras writes bfloat16 as two bytes without a meaning, and says in an attribute what they are. Those are not
        # read: damaged ones keep HDF5 busy for ever.
        return "bfloat16", np.dtype("<u2")
    name = str(dtype.newbyteorder("=").name)
    if name not in ITEM_BYTES or dtype.kind not in "fiub" or stored.get_size() != dtype.itemsize:
        return "", dtype
    if dtype.kind != "b" and not stored.equal(h5py.h5t.py_create(dtype)):
        return "", dtype
    return name, dtype


def _chunks(data: Any, options: Any, dtype: np.dtype[Any], shape: tuple[int, ...], size: int) -> Chunks | str:
    """Where the pieces of a chunked array lie, or why they are not read."""
    filters = [options.get_filter(index)[0] for index in range(options.get_nfilters())]
    if filters != [one for one in _FILTERS if one in filters]:
        return "arrays packed by anything but deflate are not read"
    chunk = tuple(map(int, data.chunks))
    if too_large(shape, chunk, dtype.itemsize):
        return f"chunks that take more than {MAX_CHUNK_BYTES >> 20} MiB at once are not read"
    expected = 1
    for length, part in zip(shape, chunk, strict=True):
        expected *= -(-length // part)
    if expected > MAX_CHUNKS:
        return f"more than {MAX_CHUNKS:,} chunks"
    pieces: dict[tuple[int, ...], Piece] = {}
    data.id.chunk_iter(
        lambda one: pieces.__setitem__(tuple(one.chunk_offset), Piece(one.byte_offset, one.size, one.filter_mask))
    )
    if len(pieces) < expected or any(piece.offset + piece.size > size for piece in pieces.values()):
        return _NOT_THERE
    return Chunks(dtype, shape, chunk, pieces, _DEFLATE in filters, _SHUFFLE in filters, _CHECKSUM in filters)


@contextmanager
def _reading(source: Source) -> Iterator[None]:
    """Whatever h5py raises at broken bytes (a dozen types), as a ``SourceError``."""
    try:
        yield
    except SourceError:
        raise
    except Exception as error:
        reason = printable(str(error).splitlines()[0] if str(error) else type(error).__name__).rstrip(".")
        raise source.error(
            f"is no readable HDF5 file: {reason}.", "Dump this step anew, or remove the file."
        ) from error
