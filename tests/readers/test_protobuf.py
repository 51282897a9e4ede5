"""The wire walker against messages that Google's own library wrote."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorboard.compat.proto import event_pb2

from convergence_cli.readers._protobuf import BYTES, FIXED32, FIXED64, VARINT, fields, signed, spans, varint


def encoded(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


@given(st.integers(0, (1 << 64) - 1), st.binary(max_size=3))
@settings(deadline=None, max_examples=100)
def test_varint_reads_back_what_was_written_and_where_it_ended(value: int, rest: bytes) -> None:
    data = encoded(value)
    assert varint(b"\xff" + data + rest, 1) == (value, 1 + len(data))


@given(st.integers(-(1 << 63), (1 << 63) - 1))
@settings(deadline=None, max_examples=100)
def test_signed_is_what_protobuf_means_by_int64(step: int) -> None:
    (field,) = fields(event_pb2.Event(step=step).SerializeToString()) if step else ((2, VARINT, 0),)
    assert isinstance(field[2], int)
    assert (field[0], signed(field[2])) == (2, step)


def test_every_wire_type_of_a_real_message() -> None:
    event = event_pb2.Event(wall_time=1.5, step=300)
    value = event.summary.value.add(tag="loss", simple_value=0.5)
    top = list(fields(event.SerializeToString()))
    assert [(number, wire) for number, wire, _ in top] == [(1, FIXED64), (2, VARINT), (5, BYTES)]
    assert top[0][2] == b"\0\0\0\0\0\0\xf8?"
    assert top[1][2] == 300
    inner = value.SerializeToString()
    assert list(fields(inner)) == [(1, BYTES, b"loss"), (2, FIXED32, b"\0\0\0?")]


def test_field_numbers_above_fifteen_take_two_bytes() -> None:
    assert list(fields(b"\x82\x01\x02ab")) == [(16, BYTES, b"ab")]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"\x08", "cut off"),
        (b"\x08\x80", "cut off"),
        (b"\x08" + b"\xff" * 10 + b"\x01", "more than 10 bytes"),
        (b"\x0a\x05ab", "needs 5 bytes and 2 are left"),
        (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01ab", "needs 18446744073709551615 bytes"),
        (b"\x09\x00\x00", "needs 8 bytes"),
        (b"\x0d\x00\x00", "needs 4 bytes"),
        (b"\x0b", "wire type 3"),
        (b"\x02\x00", "field number 0"),
    ],
)
def test_malformed_bytes_are_a_value_error(data: bytes, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        list(fields(data))


@given(st.binary(max_size=200))
@settings(deadline=None, max_examples=300)
def test_any_bytes_end_in_fields_or_a_value_error(data: bytes) -> None:
    try:
        walked = list(fields(data))
    except ValueError:
        return
    assert sum(len(value) for _, wire, value in walked if wire == BYTES and isinstance(value, bytes)) <= len(data)


def test_a_nested_message_may_not_reach_past_its_own_end() -> None:
    data = b"\x0a\x02\x0a\x01a"  # the outer field says 2 bytes, the inner one needs 3
    assert list(spans(data, 0, 4)) == [(1, BYTES, 2, 4)]
    with pytest.raises(ValueError, match="needs 1 bytes and 0 are left"):
        list(spans(data, 2, 4))
