"""safetensors: eight bytes with the length of a JSON header, the header, then the values, little endian."""

from __future__ import annotations

import os
import re
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from convergence_cli.tensors.npz import TWICE
from convergence_cli.tensors.raw import incomplete, numpy_type, opened_at, value_blocks
from convergence_cli.tensors.stored import ITEM_BYTES, StoredTensor, left_out

if TYPE_CHECKING:
    from convergence_cli.errors import SourceError
    from convergence_cli.readers._guard import Source

# The format allows 100 MB, which no 20,000 tensors need; parsed it takes thirty times that.
MAX_HEADER_BYTES = 4 << 20
_DTYPES = {
    **{"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"},
    **{"F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2", "BOOL": "bool"},
    **{f"I{bits}": f"int{bits}" for bits in (8, 16, 32, 64)},
    **{f"U{bits}": f"uint{bits}" for bits in (8, 16, 32, 64)},
}
_DIGITS = re.compile(r"(\d+)")


class _Pairs(list[tuple[str, Any]]):
    """A JSON object with its double keys."""


def safetensors_tensors(source: Source) -> list[StoredTensor]:
    """The tensors of ``source`` in natural order of their names (the format sorts them by other rules).

    Raises ``SourceError`` where it is in another format, is cut short, or declares what cannot be.
    """
    with source.open_raw() as stream:
        size = os.fstat(stream.fileno()).st_size
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or 8 + length > size:
            raise incomplete(source)
        if length > MAX_HEADER_BYTES:
            raise source.error(
                f"has a header of {length:,} bytes, more than the {MAX_HEADER_BYTES:,} that are read.",
                "Dump fewer tensors into one file.",
            )
        header = _header(source, stream.read(length))
    tensors = []
    spans: list[tuple[int, int]] = []
    seen = {"__metadata__"}
    for key, entry in header:
        if key in seen:
            if key != "__metadata__":
                tensors.append(left_out(key, TWICE))
            continue
        seen.add(key)
        tensors.append(_tensor(source, key, entry, 8 + length, size, spans))
    spans.sort()
    if any(begin < end for (_, end), (begin, _) in pairwise(spans)):
        raise _wrong(source, "tensors that overlap")
    return sorted(tensors, key=lambda tensor: natural(tensor.key))


def _header(source: Source, data: bytes) -> _Pairs:
    import json

    try:
        header = json.loads(data, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError) as error:
        raise source.error(
            "has no readable header: it is damaged, or no safetensors file.", "Dump this step anew."
        ) from error
    if not isinstance(header, _Pairs):
        raise _wrong(source, "no tensors")
    return header


def _tensor(source: Source, key: str, entry: Any, data: int, size: int, spans: list[tuple[int, int]]) -> StoredTensor:
    fields = dict(entry) if isinstance(entry, _Pairs) else {}
    shape, offsets = _sizes(fields.get("shape")), _sizes(fields.get("data_offsets"))
    if shape is None or offsets is None or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise _wrong(source, "a tensor without shape and place")
    begin, end = offsets
    if data + end > size:
        raise incomplete(source)
    if begin < end:
        spans.append((begin, end))
    name = _DTYPES.get(str(fields.get("dtype")), "")
    if not name:
        return left_out(key, "complex numbers and packed formats are not read")
    count = 1
    for one in shape:
        count *= one
    if count * ITEM_BYTES[name] != end - begin:
        raise _wrong(source, "a tensor whose size is not that of its shape")
    dtype = numpy_type(name).newbyteorder("<")
    blocks = partial(value_blocks, source, partial(opened_at, source, data + begin), dtype, count)
    return StoredTensor(key, name, shape, blocks)


def _sizes(value: Any) -> tuple[int, ...] | None:
    if not isinstance(value, list) or not all(type(one) is int and one >= 0 for one in value):
        return None
    return tuple(value)


def _wrong(source: Source, what: str) -> SourceError:
    return source.error(f"declares {what}: it is damaged.", "Dump this step anew, or remove the file.")


def natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """Sorts ``layer2`` before ``layer10``."""
    parts = _DIGITS.split(text)
    return tuple((1, int(part), "") if index % 2 else (0, 0, part) for index, part in enumerate(parts))
