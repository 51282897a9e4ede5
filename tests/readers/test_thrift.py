"""Thrift's compact protocol: every kind of value, and bytes that no writer makes."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergence_cli.readers import _thrift
from convergence_cli.readers._thrift import Compact, CutOffError

# By hand, after the specification: field headers are (step from the last field) << 4 | kind.
TRUE, FALSE, BYTE, I32, DOUBLE, BINARY, LIST, STRUCT = (
    b"\x11",
    b"\x12",
    b"\x13",
    b"\x15",
    b"\x17",
    b"\x18",
    b"\x19",
    b"\x1c",
)


def test_every_kind_of_value() -> None:
    data = (
        *(TRUE, FALSE, BYTE + b"\x07", I32 + b"\xac\x02", DOUBLE + bytes(8), BINARY + b"\x03abc"),
        *(LIST + b"\x35\x02\x04\x01", STRUCT + b"\x25\x01\x00", b"\x06\xc8\x01\x03", b"\x00", b"rest"),
    )
    found = Compact(reading := b"".join(data)).struct()
    assert found == {1: True, 2: False, 3: 7, 4: 150, 5: None, 6: b"abc", 7: [1, 2, -1], 8: {2: -1}, 100: -2}
    compact = Compact(reading)
    compact.struct()
    assert reading[compact.at :] == b"rest"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x15\x02\x05\x02\x02\x00", "a field twice"),
        (STRUCT * 40, "within"),
        (LIST + b"\x19" * 40, "within"),
        (I32 + b"\xff" * 12, "64 bits"),
        (b"\x1b\x00\x00", "the kind 11"),
    ],
)
def test_what_no_writer_makes(data: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Compact(data).struct()


@pytest.mark.parametrize(
    "data", [b"", BINARY + b"\x7fabc", LIST + b"\xf5\xff\xff\xff\x0f", DOUBLE + b"\x00", I32 + b"\x80"]
)
def test_what_is_cut_off(data: bytes) -> None:
    with pytest.raises(CutOffError):
        Compact(data).struct()


def test_values_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_thrift, "MAX_VALUES", 10)
    with pytest.raises(ValueError, match="more than 10 values"):
        Compact(LIST + b"\xb3" + bytes(20), left=10).struct()


@given(st.binary(max_size=400))
def test_junk_is_told_and_never_more_than_its_bytes(data: bytes) -> None:
    compact = Compact(data)
    with contextlib.suppress(ValueError):
        compact.struct()
    assert compact.at <= len(data)
