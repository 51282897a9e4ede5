"""Reading `.wandb` files against W&B's own reader in Python, and against our reader of one record at a time.

    WANDB_PYTHON=.venv-wandb/bin/python python benchmarks/read_wandb.py [--quick] [--rows N]

W&B's reader in Python, ``DataStore``, was last part of wandb 0.29.0: ``WANDB_PYTHON`` is the Python of an environment
that has it. Prints one figure a line. Times are user and system CPU seconds of whole processes, start-up
included, each side in turn; a figure is the median of five. Files are kept in ``$BENCH_DIR`` where that is set.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

ROWS = 1_000_000
ROUNDS = 5
BLOCK = 1 << 15

READ = """
import sys
from pathlib import Path
from convergence_cli.readers import wandb
from convergence_cli.readers._guard import ReadOptions, Source
(run,) = wandb.read([Source(Path(sys.argv[1]), sys.argv[1])], ReadOptions())
print(sum(curve.points for curve in run.curves))
"""

# What wandb's own commands do with a file: scan it, parse each record, and read the JSON of the history's items.
PEER = """
import json, sys
from wandb.proto import wandb_internal_pb2
from wandb.sdk.internal.datastore import DataStore
store = DataStore()
store.open_for_scan(sys.argv[1])
columns = {}
while (data := store.scan_data()) is not None:
    record = wandb_internal_pb2.Record()
    record.ParseFromString(data)
    if record.WhichOneof("record_type") == "history":
        for item in record.history.item:
            columns.setdefault(".".join(item.nested_key) or item.key, []).append(json.loads(item.value_json))
own = ("_step", "_runtime", "_timestamp")
print(sum(sum(type(value) in (int, float) for value in column) for key, column in columns.items() if key not in own))
"""

ONE_BY_ONE = """
import sys
from pathlib import Path
import wandb_oracle
from convergence_cli.readers._guard import ReadOptions, Source
(run,) = wandb_oracle.read([Source(Path(sys.argv[1]), sys.argv[1])], ReadOptions())
print(sum(curve.points for curve in run.curves))
"""


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def message(tag: bytes, content: bytes) -> bytes:
    return tag + varint(len(content)) + content


def item(key: str, text: str, tag: bytes = b"\x12") -> bytes:
    return message(b"\x0a", message(tag, key.encode()) + message(b"\x82\x01", text.encode()))


def row_of(step: int, rows: int, rng: random.Random) -> dict[str, str]:
    """What one call of ``run.log`` leaves: float32 losses as Python prints them, and W&B's own three."""
    loss, norm = struct.unpack(
        "<ff", struct.pack("<ff", 2 / (1 + step / 50_000) + 0.1 * rng.random(), 0.5 + rng.random())
    )
    return {
        "train/loss": repr(loss),
        "train/grad_norm": repr(norm),
        "train/lr": repr(3e-4 * (1 - step / rows)),
        "_timestamp": f"{1.7952336627904146e9 + step / 30:.16e}",
        "_runtime": f"{4.4 + step / 30:.9f}",
        "_step": str(step),
    }


def in_turn(items: list[bytes], rng: random.Random) -> bytes:
    """The items in the order in which Go walks a small map: from any of them on, and around."""
    first = rng.randrange(len(items))
    return b"".join(items[first:] + items[:first])


def core(rows: int) -> Iterator[bytes]:
    """As wandb 0.31 writes it: a summary of all items, the history, and a summary of the time, for each row."""
    rng = random.Random(0)
    for step in range(rows):
        items = [item(key, text) for key, text in row_of(step, rows, rng).items()]
        field = message(b"\x12", b"\x08" + varint(step) if step else b"")
        seconds = str(step // 30)
        nested = message(b"\x12", b"_wandb") + message(b"\x12", b"runtime") + message(b"\x82\x01", seconds.encode())
        yield message(b"\x1a", in_turn(items, rng))
        yield message(b"\x12", in_turn(items, rng) + field)
        yield message(b"\x1a", message(b"\x0a", nested) + item("_runtime", seconds, b"\x0a"))


def plain(rows: int) -> Iterator[bytes]:
    """As wandb wrote it before 0.18: nothing but the history, keys in the order of the log."""
    rng = random.Random(0)
    for step in range(rows):
        items = [item(key, text, b"\x0a") for key, text in row_of(step, rows, rng).items()]
        yield message(b"\x12", b"".join(items) + message(b"\x12", b"\x08" + varint(step) if step else b""))


def irregular(rows: int) -> Iterator[bytes]:
    """Other keys in most rows, in any order; texts, lists, NaN; a row in ten with an object, which is read alone."""
    rng = random.Random(1)
    for step in range(rows):
        row = row_of(step, rows, rng)
        for key in rng.sample(sorted(row), rng.randrange(3)):
            del row[key]
        row |= {f"eval/metric_{rng.randrange(40)}": repr(rng.random()) for _ in range(rng.randrange(4))}
        if step % 7 == 0:
            row |= {"train/loss": "NaN", "epoch": str(step // 1000), "note": '"a text"', "list": "[1, 2]"}
        if step % 10 == 0:
            row["nested"] = '{"a": {"b": 1.5}}'
        items = [item(key, text) for key, text in row.items()]
        rng.shuffle(items)
        yield message(b"\x12", b"".join(items))


def objects(rows: int) -> Iterator[bytes]:
    """The worst: an object in every row, so that none is read as a column."""
    rng = random.Random(2)
    for step in range(rows):
        row = row_of(step, rows, rng) | {"nested": '{"a": {"b": 1.5}}'}
        yield message(b"\x12", b"".join(item(key, text) for key, text in row.items()))


def write(path: Path, records: Iterator[bytes]) -> None:
    """Frame the records, each with its number, in blocks of 32 KiB."""
    if path.exists():
        return
    parts = [b":W&B\xe1\xbe\x00"]
    at = len(parts[0])
    with open(path.with_suffix(".part"), "wb") as handle:
        for number, record in enumerate(records, 1):
            rest, first = b"\x08" + varint(number) + record, True
            while first or rest:
                room = BLOCK - at % BLOCK
                if room < 7:
                    parts.append(bytes(room))
                    at += room
                    continue
                part, rest = rest[: room - 7], rest[room - 7 :]
                body = bytes([{(True, True): 1, (True, False): 2, (False, False): 3}.get((first, not rest), 4)]) + part
                parts.append(struct.pack("<IH", zlib.crc32(body), len(part)) + body)
                at += 7 + len(part)
                first = False
            if len(parts) > 10_000:
                handle.write(b"".join(parts))
                parts.clear()
        handle.write(b"".join(parts))
    path.with_suffix(".part").rename(path)


def measured(command: list[str]) -> tuple[float, float, str]:
    """CPU seconds, peak RSS in MB and output of the whole process."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    output = process.stdout.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"exit {process.returncode}: {' '.join(command)[:200]}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, output


def compare(path: Path, peer: list[str]) -> tuple[float, float]:
    """How many times faster we read than the peer, the same number of points, and our peak RSS in MB."""
    ours = [sys.executable, "-c", READ, str(path)]
    ratios, memory = [], 0.0
    for _ in range(ROUNDS):
        slow, _, expected = measured([*peer, str(path)])
        fast, rss, read = measured(ours)
        if read != expected:
            raise SystemExit(f"{path.name}: read {read.strip()} points, the peer {expected.strip()}")
        ratios.append(slow / fast)
        memory = max(memory, rss)
    return statistics.median(ratios), memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="files of a tenth of the size, where start-up weighs more")
    parser.add_argument("--rows", type=int, default=ROWS)
    arguments = parser.parse_args()
    rows = arguments.rows // 10 if arguments.quick else arguments.rows
    kept, peer = os.environ.get("BENCH_DIR"), os.environ.get("WANDB_PYTHON")
    oracle = str(Path(__file__).resolve().parents[1] / "tests")
    one_by_one = [sys.executable, "-c", f"import sys; sys.path.insert(0, {oracle!r})\n{ONE_BY_ONE}"]
    with nullcontext(kept) if kept else tempfile.TemporaryDirectory() as folder:
        for name, records in (("wandb", core), ("wandb_history_only", plain)):
            path = Path(folder) / f"{name}-{rows}.wandb"
            write(path, records(rows))
            if peer is None:
                print("WANDB_PYTHON is not set: nothing to compare with", file=sys.stderr)
                continue
            speedup, memory = compare(path, [peer, "-c", PEER])
            print(f"{name}_speedup {speedup:.1f}\n{name}_peak_rss_mb {memory:.0f}", flush=True)
        for name, records in (("wandb_irregular", irregular), ("wandb_objects", objects)):
            path = Path(folder) / f"{name}-{rows // 5}.wandb"
            write(path, records(rows // 5))
            print(f"{name}_against_one_by_one {compare(path, one_by_one)[0]:.2f}", flush=True)


if __name__ == "__main__":
    main()
