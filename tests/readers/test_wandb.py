"""``.wandb`` files, written here by the published framing: blocks of 32 KiB, CRC-32, protobuf records."""

from __future__ import annotations

import json
import math
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convergence_cli.errors import CtroubleshootError, SourceError
from convergence_cli.readers import best_reader, wandb
from convergence_cli.readers._guard import ReadOptions, Source

if TYPE_CHECKING:
    from convergence_cli.model import Curve, Run

BLOCK = 32 * 1024
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


def items(values: dict[str, object], *, nested: bool = True) -> bytes:
    out = b""
    for key, value in values.items():
        parts = key.split(".") if nested else [key]
        name = b"".join(message(2 if nested else 1, part.encode()) for part in parts)
        out += message(1, name + message(16, json.dumps(value).encode()))
    return out


def history(values: dict[str, object], *, nested: bool = True) -> bytes:
    return message(2, items(values, nested=nested))


EXITED = message(18, varint(1 << 3) + varint(0))


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


def source(data: bytes) -> Source:
    (folder / "run-abc.wandb").write_bytes(data)
    return Source(folder / "run-abc.wandb", "run-abc.wandb")


def read(data: bytes) -> Run:
    (run,) = wandb.read([source(data)], ReadOptions())
    return run


def series(run: Run, name: str) -> Curve:
    return next(curve for curve in run.curves if curve.name == name)


@pytest.mark.parametrize("nested", [True, False])
def test_history_becomes_series_at_its_own_steps(nested: bool) -> None:
    rows: list[dict[str, object]] = [
        {"loss": 1 / (i + 1), "_step": 10 * i, "_timestamp": 1.7e9 + i, "_runtime": i, "epoch": i // 2}
        for i in range(6)
    ]
    rows[3]["loss"] = math.nan
    rows[5] = {"val.loss": 0.5, "ok": True, "text": "hi", "hist": {"_type": "histogram", "bins": 3}, "_step": 50}
    run = read(framed([*(history(row, nested=nested) for row in rows), EXITED]))
    assert run.format == "wandb"
    assert [curve.name for curve in run.curves] == ["loss", "val.loss"]
    loss = series(run, "loss")
    np.testing.assert_array_equal(loss.step, [0, 10, 20, 30, 40])
    np.testing.assert_array_equal(loss.value, [1, 1 / 2, 1 / 3, math.nan, 1 / 5])
    np.testing.assert_array_equal(loss.epoch, [0, 0, 1, 1, 2])
    np.testing.assert_array_equal(loss.time, 1.7e9 + np.arange(5))
    assert run.notes == ()


def test_config_comes_from_the_run_record_and_its_updates() -> None:
    first = message(17, message(4, items({"lr": 0.1, "model": {"dropout": 0.5}, "_wandb": {"t": 1}})))
    later = message(5, items({"lr": 0.01, "optim": "AdamW"}))
    config = read(framed([first, later, history({"loss": 1.0}), EXITED])).config
    assert {"learning_rate": 0.01, "optimizer": "adamw", "dropout": 0.5, "model.dropout": 0.5}.items() <= config.items()
    assert not any(key.startswith("_wandb") for key in config)


def test_records_split_over_blocks_and_padding_are_joined() -> None:
    filler = message(4, b"x" * 90_000)
    rows = [history({"loss": float(i), "_step": i}) for i in range(4000)]
    data = framed([filler, *rows, filler, history({"loss": 1.0, "_step": 4000}), EXITED])
    assert len(data) > 8 * BLOCK
    loss = series(read(data), "loss")
    np.testing.assert_array_equal(loss.step, range(4001))


def test_the_step_field_places_a_row_without_a_step_item() -> None:
    rows = [
        message(2, items({"loss": 1.0})),
        message(2, items({"loss": 2.0}) + message(2, varint(1 << 3) + varint(7))),
        message(2, items({"loss": 3.0})),
    ]
    np.testing.assert_array_equal(series(read(framed(rows)), "loss").step, [0, 7, 8])


def test_a_torn_tail_is_dropped_and_a_missing_exit_noted() -> None:
    data = framed([history({"loss": float(i), "_step": i}) for i in range(5)])
    run = read(data[:-3])
    assert series(run, "loss").points == 4
    assert run.notes == (
        "dropped the last record, which was cut off",
        "the log has no exit record: the run crashed or is still running",
    )


def test_a_flipped_byte_costs_its_block_and_is_counted() -> None:
    data = bytearray(framed([*(history({"loss": float(i), "_step": i}) for i in range(4000)), EXITED]))
    data[100] ^= 1
    run = read(bytes(data))
    loss = series(run, "loss")
    assert 2000 < loss.points < 4000
    assert loss.step[-1] == 3999
    assert run.notes == ("skipped 1 damaged record",)


def test_a_failed_run_says_its_exit_code() -> None:
    failed = message(18, varint(1 << 3) + varint(255))
    assert read(framed([history({"loss": 1.0}), failed])).notes == ("the run exited with code 255",)


def test_it_is_known_by_its_first_bytes() -> None:
    assert best_reader(source(framed([]))) is wandb
    assert wandb.sniff(source(b":W&B")) == 0


@pytest.mark.parametrize(
    "payload",
    [
        b"\xff" * 30,
        message(2, b"\xff\xff"),
        message(2, message(1, message(16, b"[" * 60_000))),
        message(2, items({"_step": 1e999, "a": 10**400})),
        message(17, message(4, message(1, b"\x00"))),
        message(18, message(1, b"x")),
    ],
)
def test_hostile_records_spoil_nothing_else(payload: bytes) -> None:
    run = read(framed([payload, history({"loss": 1.0}), EXITED]))
    assert series(run, "loss").points == 1
    assert all(np.isfinite(curve.step).all() for curve in run.curves)


def test_every_prefix_is_read_or_refused() -> None:
    whole = framed([message(5, items({"lr": 1})), history({"loss": 1.0}), history({"loss": 2.0}), EXITED])
    points = []
    for cut in range(len(whole) + 1):
        try:
            points.append(series(read(whole[:cut]), "loss").points)
        except SourceError:
            points.append(0)
    assert points == sorted(points)
    assert points[-1] == 2


@settings(max_examples=150, deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=5), st.binary(max_size=60))
def test_no_bytes_break_the_reader(payloads: list[bytes], tail: bytes) -> None:
    for data in (framed(payloads) + tail, framed([message(2, message(1, part)) for part in payloads])):
        try:
            read(data)
        except CtroubleshootError:
            continue
