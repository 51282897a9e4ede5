"""``.npz`` archives: one ``.npy`` array a member, in the order of their writing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import IO, TYPE_CHECKING

from convergence_cli.errors import SourceError
from convergence_cli.tensors.archive import Member, member_offset, members, open_member
from convergence_cli.tensors.npy import Header, read_header
from convergence_cli.tensors.raw import opened_at, value_blocks
from convergence_cli.tensors.stored import Block, StoredTensor, left_out

if TYPE_CHECKING:
    from convergence_cli.readers._guard import Source

TWICE = "a second tensor of one name is not read"
_ENDING = ".npy"


def npz_tensors(source: Source) -> list[StoredTensor]:
    """The arrays of the ``.npz`` file ``source``; raises ``SourceError`` where it is none, or cut short."""
    tensors: list[StoredTensor] = []
    seen: set[str] = set()
    for member in members(source):
        if not member.name.endswith(_ENDING):
            continue
        key = member.name.removesuffix(_ENDING)
        tensors.append(left_out(key, TWICE) if key in seen else _tensor(source, key, member))
        seen.add(key)
    if not tensors:
        raise source.error("holds no arrays.", "Save them with numpy.savez, under names such as gradient/fc1.weight.")
    return tensors


def _tensor(source: Source, key: str, member: Member) -> StoredTensor:
    if member.trouble:
        return left_out(key, member.trouble)
    try:
        with open_member(source, member) as stream:
            header = read_header(source, stream)
    except SourceError:
        return left_out(key, "damaged header or values")
    if header.trouble:
        return left_out(key, header.trouble)
    if header.offset + header.data_bytes != member.size:
        return left_out(key, "a declared size that is not the real one")
    checked: list[bool] = []
    blocks = partial(_blocks, source, member, header, checked)
    return StoredTensor(key, header.name, header.shape, blocks, header.fortran)


def _blocks(source: Source, member: Member, header: Header, checked: list[bool]) -> Iterator[Block]:
    # The checksum costs as much as the statistics: once is enough.
    plain = bool(checked) and not member.compressed
    open_values = partial(_plain if plain else _checking, source, member, header)
    yield from value_blocks(source, open_values, header.dtype, header.size)
    checked.append(True)


@contextmanager
def _checking(source: Source, member: Member, header: Header) -> Iterator[IO[bytes]]:
    with open_member(source, member) as stream:
        stream.read(header.offset)
        yield stream


@contextmanager
def _plain(source: Source, member: Member, header: Header) -> Iterator[IO[bytes]]:
    with source.open_raw() as stream:
        begin = member_offset(source, stream, member) + header.offset
    with opened_at(source, begin) as stream:
        yield stream
