"""Columns of many records give what a plain reader gives, one record and one value after another."""

from __future__ import annotations

import json
import math
import random
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import wandb_oracle
from hypothesis import given, settings
from hypothesis import strategies as st

from convergence_cli.errors import SourceError
from convergence_cli.readers import _wandb_frames, wandb
from convergence_cli.readers._crc32_chain import MOST_BYTES, chained
from convergence_cli.readers._guard import ReadOptions, Source
from convergence_cli.readers._number_texts import REACH, parse_texts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convergence_cli.model import Run

FIXTURES = Path(__file__).parents[2] / "fixtures" / "wandb"
BLOCK = 1 << 15
folder = Path()


@pytest.fixture(scope="module", autouse=True)
def _folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    global folder  # noqa: PLW0603
    folder = tmp_path_factory.mktemp("logs")


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def message(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def item(key: str, text: str, *, nested: bool = True) -> bytes:
    """``key`` with ``/`` between the parts of a nested one."""
    name = b"".join(message(2, part.encode()) for part in key.split("|")) if nested else message(1, key.encode())
    return message(1, name + message(16, text.encode()))


def numbered(number: int, record: bytes) -> bytes:
    return b"\x08" + varint(number) + record


def framed(records: list[bytes]) -> bytes:
    out = bytearray(b":W&B\xe1\xbe\x00")
    for record in records:
        rest, first = record, True
        while first or rest:
            room = BLOCK - len(out) % BLOCK
            if room < 7:
                out += bytes(room)
                continue
            part, rest = rest[: room - 7], rest[room - 7 :]
            kind = {(True, True): 1, (True, False): 2, (False, False): 3, (False, True): 4}[first, not rest]
            body = bytes([kind]) + part
            out += struct.pack("<IH", zlib.crc32(body), len(part)) + body
            first = False
    return bytes(out)


def rows_of_a_run(count: int, seed: int, *, odd: bool = False, nested: bool = True) -> Iterator[bytes]:
    """Records as wandb-core writes them: a summary, the history in any order of keys, a summary. ``odd``: all kinds."""
    rng = random.Random(seed)
    number = 5
    for step in range(count):
        loss = math.nan if odd and rng.random() < 0.05 else 2.0 / (1 + step) + rng.random()
        row = {
            "train/loss": json.dumps(loss),
            "train/grad_norm": repr(rng.random() * 10 ** rng.randrange(-9, 9)),
            "lr": f"{3e-4 * (1 - step / count):.{rng.randrange(1, 17)}e}",
            "_timestamp": f"{1.7952336627904146e9 + step / 30:.16e}",
            "_runtime": f"{step / 30:.9f}",
            "_step": str(step * 10),
        }
        if odd:
            row |= rng.choice([
                {}, {}, {"epoch": str(step // 9)}, {"epoch": "NaN"}, {"note": '"text"'}, {"flag": "true"},
                {"gone": "null"},
                {"hist": '{"_type": "histogram", "bins": [1, 2]}'}, {"tree": '{"a": {"b": 1.5, "c": "2"}}'},
                {"list": "[1, 2]"}, {"deep|er": "1.25"}, {"big": "1" * 400}, {"long" * 20: "7"}, {"far": "-Infinity"},
                {"_step": "NaN"}, {"text number": '"3.5"'}, {"exp": "1E400"}, {"lead": "01"}, {"_private": "1"},
                {"comma": '1,"'}, {"quote": '",2'}, {"wide": "9" * 30}, {f"eval/{rng.randrange(9)}": "-0.0"},
            ])  # fmt: skip
            for name in rng.sample(sorted(row), rng.randrange(3)):
                del row[name]
        items = [item(name, text, nested=nested) for name, text in row.items()]
        if odd and rng.random() < 0.02:
            items.append(items[0])
        rng.shuffle(items)
        field = message(2, varint(1 << 3) + varint(step * 10)) if step else message(2, b"")
        number += 1
        yield numbered(number, message(3, b"".join(items)))
        number += rng.choice([1, 1, 1, 1 << 40])
        tail = rng.choice([b"", b"", message(16, b"\x1a\x02ab"), message(200, b"\n\x03abc")]) if odd else b""
        yield numbered(number, message(2, b"".join(items) + field * (not odd or rng.random() < 0.7)) + tail)
        number += 1
        yield numbered(number, message(3, item("_runtime", str(step // 30), nested=False)))
        if odd and rng.random() < 0.02:
            yield rng.choice([
                message(4, b"x" * rng.randrange(70_000)), message(5, item("seed", str(step))), b"\xff" * 9, b"",
                message(18, varint(1 << 3) + varint(step % 2)), message(2, b"\x0a\x05"),
                message(2, b"\x12\x03\x08\xff\xff"),
            ])  # fmt: skip


def read(module: object, data: bytes) -> Run | str:
    path = folder / "run-abc.wandb"
    path.write_bytes(data)
    try:
        (run,) = module.read([Source(path, path.name)], ReadOptions())  # type: ignore[attr-defined]
    except SourceError as error:
        return str(error)
    return run


def assert_agree(data: bytes) -> None:
    plain, fast = read(wandb_oracle, data), read(wandb, data)
    if isinstance(plain, str) or isinstance(fast, str):
        assert fast == plain
        return
    assert (fast.notes, fast.config) == (plain.notes, plain.config)
    assert [curve.name for curve in fast.curves] == [curve.name for curve in plain.curves]
    for ours, theirs in zip(fast.curves, plain.curves, strict=True):
        for name in ("step", "value", "epoch", "time"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name), f"{ours.name} {name}")
        assert ours.restarts == theirs.restarts


@pytest.mark.parametrize("path", sorted(FIXTURES.rglob("*.wandb")), ids=lambda path: path.stem)
def test_files_of_the_real_writer(path: Path) -> None:
    data = path.read_bytes()
    assert_agree(data)
    rng = random.Random(1)
    for _ in range(20):
        damaged = bytearray(data[: rng.randrange(len(data))])
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        assert_agree(bytes(damaged))


@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("count", [1, 15, 17, 1500])
def test_regular_files(count: int, nested: bool) -> None:
    assert_agree(framed([*rows_of_a_run(count, count, nested=nested), message(18, b"")]))


@pytest.mark.parametrize("seed", range(6))
def test_irregular_files(seed: int) -> None:
    assert_agree(framed(list(rows_of_a_run(700, seed, odd=True))))


@pytest.mark.parametrize("seed", range(4))
def test_damaged_files(seed: int) -> None:
    rng = random.Random(seed)
    data = framed(list(rows_of_a_run(1200, seed, odd=seed % 2 == 1)))
    damaged = bytearray(data)
    for _ in range(rng.randrange(1, 6)):
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    assert_agree(bytes(damaged))
    assert_agree(bytes(damaged[: rng.randrange(len(damaged))]))
    begin = rng.randrange(len(data))
    assert_agree(data[:begin] + bytes(50_000) + data[begin + 50_000 :])
    assert_agree(data + bytes(100_000))
    assert_agree(data[:begin] + data[begin + 1 :])


def test_small_chunks_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_wandb_frames, "_CHUNK", 9 * BLOCK)
    monkeypatch.setattr(_wandb_frames, "_SPARE", 1000)
    records = [*rows_of_a_run(2000, 3, odd=True), message(4, b"y" * 400_000), *rows_of_a_run(500, 4)]
    assert_agree(framed(records))


def test_a_record_larger_than_any_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (_wandb_frames, wandb_oracle):
        monkeypatch.setattr(module, "MAX_RECORD_BYTES", 100_000)
    assert_agree(framed([*rows_of_a_run(300, 1), message(4, b"x" * 200_000), *rows_of_a_run(300, 2)]))


def test_more_names_than_are_told_apart_are_read_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convergence_cli.readers._wandb_keys.MAX_KEYS", 20)
    rows = [message(2, b"".join(item(f"layer {i}/{step % 40}", "1.5") for i in range(3))) for step in range(400)]
    assert_agree(framed(rows))


def test_a_long_log_keeps_its_extremes() -> None:
    rows = [
        message(2, item("loss", "NaN" if i == 40_000 else repr(1 / (i + 1))) + item("_step", str(i)))
        for i in range(72_000)
    ]
    plain, fast = (read(module, framed(rows)) for module in (wandb_oracle, wandb))
    assert not isinstance(plain, str)
    assert not isinstance(fast, str)
    for ours, theirs in zip(fast.curves, plain.curves, strict=True):
        assert ours.points == theirs.points == 72_000
        assert ours.buckets is not None
        assert theirs.buckets is not None
        for name in ("low", "high", "mean", "spread", "nonfinite", "last_step", "first_nonfinite_step"):
            np.testing.assert_allclose(
                getattr(ours.buckets, name), getattr(theirs.buckets, name), rtol=1e-12, atol=1e-18
            )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=30), st.binary(max_size=80))
def test_no_bytes_make_a_difference(payloads: list[bytes], tail: bytes) -> None:
    rows = list(rows_of_a_run(20, 1))
    assert_agree(framed(payloads) + tail)
    assert_agree(framed([message(2, part) for part in payloads] + rows))
    assert_agree(framed([message(2, message(1, part)) for part in payloads] + rows + [numbered(1, tail)]))
    assert_agree(framed([message(2, item("loss", part.decode("latin-1"))) for part in payloads] * 20))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.binary(max_size=900)), min_size=1, max_size=40), st.randoms())
def test_chained_checksums_are_those_of_the_pieces(pieces: list[tuple[int, bytes]], rng: random.Random) -> None:
    data, begin, end, counts, head, length = bytearray(), [], [], [], [], []
    for gap, body in pieces:
        if gap == 0 or not begin or len(data) - begin[-1] + len(body) > MOST_BYTES - 7:
            data += bytes(gap)
            begin.append(len(data))
            end.append(0)
            counts.append(0)
        head.append(len(data))
        length.append(len(body))
        data += struct.pack("<IH", zlib.crc32(b"\x01" + body), len(body)) + b"\x01" + body
        counts[-1] += 1
        end[-1] = len(data)
    columns = [np.array(column, np.int64) for column in (begin, end, counts, head, length)]
    assert chained(np.frombuffer(bytearray(data), np.uint8), *columns).all()
    broken = rng.randrange(len(begin))
    at = rng.choice([at for at in range(begin[broken], end[broken]) if not any(4 <= at - one < 6 for one in head)])
    data[at] ^= 1 << rng.randrange(8)
    before = bytes(data)
    right = chained(np.frombuffer(data, np.uint8), *columns)
    assert right.tolist() == [index != broken for index in range(len(begin))]
    assert data[begin[broken] : end[broken]] == before[begin[broken] : end[broken]]


TEXT = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.floats(0, 1, width=32).map(repr),
    st.integers(-(10**25), 10**25).map(str),
    st.integers(0, 10**9).map(str),
    st.sampled_from(
        ["NaN", "Infinity", "-Infinity", "null", "true", '"1.5"', "[1]", "01", "-", "1,", '1,"', '",2', ""]
    ),
    st.text('0123456789.-+eE,"[]', max_size=26),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=30), st.booleans())
def test_number_texts_are_read_like_one_at_a_time(texts: list[str], alike: bool) -> None:
    texts = texts[:1] * 5 if alike else texts
    data, start = bytearray(b"7" * REACH), []
    for text in texts:
        start.append(len(data))
        data += text.encode() + b"9."
    octets = np.frombuffer(bytes(data + b"7" * REACH), np.uint8)
    length = np.array([len(text) for text in texts], np.int64)

    def plain(text: bytes) -> float | None:
        value = wandb_oracle._value(text)
        return float(value) if type(value) in (int, float) else None

    numeric = all(text[:1] in tuple("-0123456789") for text in texts)
    found, known = parse_texts(octets, np.array(start, np.int64), length, plain, numeric=numeric)
    for index, text in enumerate(texts):
        expected = plain(text.encode())
        assert (known is None or known[index]) == (expected is not None), text
        if expected is not None:
            np.testing.assert_equal(found[index], expected)
