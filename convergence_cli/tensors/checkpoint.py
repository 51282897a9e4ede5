"""Tensors that ``torch.save`` wrote: a zip archive with a description of them and one member a storage."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from convergence_cli.printable import printable
from convergence_cli.tensors.archive import Member, member_offset, members, open_member
from convergence_cli.tensors.raw import numpy_type
from convergence_cli.tensors.stored import ITEM_BYTES, StoredTensor, left_out
from convergence_cli.tensors.strided import View, view_tensor
from convergence_cli.tensors.torch_pickle import (
    OtherTensor,
    RefusedError,
    Storage,
    Table,
    TorchTensor,
    described,
)

if TYPE_CHECKING:
    from convergence_cli.readers._guard import Source

MAX_DESCRIPTION_BYTES = 32 << 20
MAX_NODES = 500_000
MAX_DEPTH = 32
_DESCRIPTION = "data.pkl"
_STORAGES = {
    **{"DoubleStorage": "float64", "FloatStorage": "float32", "HalfStorage": "float16", "BFloat16Storage": "bfloat16"},
    **{"LongStorage": "int64", "IntStorage": "int32", "ShortStorage": "int16", "CharStorage": "int8"},
    **{"ByteStorage": "uint8", "BoolStorage": "bool"},
}
_OPTIMIZER = re.compile(
    r"(?i)optim.*|opt|opt_state.*|.*_optimizer|(lr_)?schedulers?|(grad_|amp_)?scaler|.*rng.*states?"
)
Order = Literal["<", ">"]
_AGAIN = "Save the tensors again with torch.save of a state_dict, or as safetensors."


def checkpoint_tensors(source: Source) -> list[StoredTensor]:
    """The tensors of a ``.pt`` or ``.pth`` file, those of nested dictionaries under dotted names. Needs no torch.

    Raises ``SourceError`` where it is none, is cut short, would run code, or is in torch's format before 1.6.
    """
    with source.open_raw() as stream:
        if stream.read(1) == b"\x80":
            raise source.error("is a pickle (torch's format before 1.6), which can only be read by running it.", _AGAIN)
    found = {member.name: member for member in members(source)}
    place = next((name for name in found if name.rpartition("/")[2] == _DESCRIPTION), None)
    if place is None:
        raise source.error("is no file of torch.save.", "Save the tensors with torch.save, or as safetensors.")
    home = place.removesuffix(_DESCRIPTION)
    if f"{home}constants.pkl" in found:
        raise source.error("holds a program (TorchScript), which is not run.", _AGAIN)
    try:
        root = described(_small(source, found[place], MAX_DESCRIPTION_BYTES))
    except RefusedError as error:
        raise source.error(f"{printable(error)}.", _AGAIN) from error
    order = b"little"
    if f"{home}byteorder" in found:
        order = _small(source, found[f"{home}byteorder"], 64).strip()
    swap: Order = ">" if order == b"big" else "<"
    with source.open_raw() as stream:
        tensors = [_tensor(source, stream, key, one, found, f"{home}data/", swap) for key, one in _flat(source, root)]
    if not tensors:
        raise source.error("holds no tensors.", "Save a dictionary of tensors, such as a state_dict.")
    return tensors


def _small(source: Source, member: Member, limit: int) -> bytes:
    if member.trouble or member.size > limit:
        raise source.error("has an archive that torch does not write.", _AGAIN)
    with open_member(source, member) as stream:
        return b"".join(iter(lambda: stream.read(1 << 20), b""))


def _flat(source: Source, root: Any) -> Iterator[tuple[str, TorchTensor | OtherTensor]]:
    """The tensors below ``root`` in the order of their writing. What is shared is met again: both are bounded."""
    nodes = 0
    pending: list[tuple[str, int, Any]] = [("", 0, root)]
    while pending:
        path, depth, value = pending.pop()
        nodes += 1
        if nodes > MAX_NODES:
            raise source.error("describes more than any model has.", _AGAIN)
        if isinstance(value, (TorchTensor, OtherTensor)):
            yield path or "weight", value
        elif isinstance(value, (Table, list, tuple)) and depth < MAX_DEPTH:
            pairs = value.pairs if isinstance(value, Table) else list(enumerate(value))
            nodes += len(pairs)
            named = [(key, one) for key, one in pairs if type(key) in (str, int) and _may_hold(one)]
            pending += [(_joined(path, key), depth + 1, one) for key, one in reversed(named)]


def _may_hold(value: Any) -> bool:
    return isinstance(value, (TorchTensor, OtherTensor, Table, list, tuple))


def _joined(path: str, key: str | int) -> str:
    text = key[:1000] if isinstance(key, str) else str(key & 0xFFFFFFFF)
    return f"{path}.{text}" if path else text


def _tensor(
    source: Source,
    stream: Any,
    key: str,
    told: TorchTensor | OtherTensor,
    found: dict[str, Member],
    home: str,
    swap: Order,
) -> StoredTensor:
    if any(_OPTIMIZER.fullmatch(part) for part in key.split(".")[:-1][:2]):
        return left_out(key, "the state of the optimizer is not read")
    if isinstance(told, OtherTensor) or not isinstance(told.storage, Storage):
        return left_out(key, "sparse, quantized and packed tensors are not read")
    name = told.dtype or _STORAGES.get(told.storage.kind, "")
    if name not in ITEM_BYTES:
        return left_out(key, "complex and quantized numbers are not read")
    shape, stride = _sizes(told.shape), _sizes(told.stride)
    member = found.get(home + told.storage.key)
    if shape is None or stride is None or len(shape) != len(stride) or _sizes((told.offset,)) is None:
        return left_out(key, "a damaged description")
    if member is None or member.trouble or member.compressed:
        return left_out(key, "values that are not in the file")
    dtype = numpy_type(name).newbyteorder(swap)
    begin = told.offset * dtype.itemsize
    view = View(dtype, member_offset(source, stream, member) + begin, shape, stride)
    return view_tensor(source, key, name, view, member.size - begin)


def _sizes(value: Any) -> tuple[int, ...] | None:
    if not isinstance(value, tuple) or not all(type(one) is int and 0 <= one < 1 << 62 for one in value):
        return None
    return value
