"""Reading event files against TensorBoard's EventAccumulator and a plain Python walk: whole processes.

    python benchmarks/read_tensorboard.py [--quick]

Prints one figure a line. Times are user and system CPU seconds of the process, start-up included, so that
other work on the machine counts little; the fast side is the median of five runs. ``--quick`` reads files of a
tenth of the size, where start-up weighs more. Files are kept in ``$BENCH_DIR`` where that is set.
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
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

from convergence_cli.readers._crc32c import crc32c, masked

STEPS = 250_000
RUNS = 5

READ = """
import sys
from pathlib import Path
from convergence_cli.readers import tensorboard
from convergence_cli.readers._guard import ReadOptions, Source
(run,) = tensorboard.read([Source(Path(sys.argv[1]), sys.argv[1])], ReadOptions())
print(sum(curve.points for curve in run.curves))
"""

ACCUMULATE = """
import sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
loader = EventAccumulator(sys.argv[1], {"scalars": 0, "tensors": 0, "histograms": 1})
loader.Reload()
print(sum(len(loader.Scalars(tag)) for tag in loader.Tags()["scalars"]))
"""

# No checksum is verified: that would make the walk several times slower.
WALK = """
import struct, sys
def varint(data, pos):
    value = shift = 0
    while True:
        byte = data[pos]
        pos += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, pos
        shift += 7
def fields(data, pos, end):
    while pos < end:
        key, pos = varint(data, pos)
        wire = key & 7
        if wire == 0:
            value, pos = varint(data, pos)
            yield key >> 3, value, pos
            continue
        size = 8 if wire == 1 else 4
        if wire == 2:
            size, pos = varint(data, pos)
        yield key >> 3, pos, pos + size
        pos += size
data = open(sys.argv[1], "rb").read()
series = {}
pos = 0
while pos < len(data):
    (length,) = struct.unpack_from("<Q", data, pos)
    start = pos + 12
    pos = start + length + 4
    time = step = 0
    for number, begin, end in fields(data, start, start + length):
        if number == 1:
            (time,) = struct.unpack_from("<d", data, begin)
        elif number == 2:
            step = begin
        elif number == 5:
            for _, first, last in fields(data, begin, end):
                tag = value = None
                for inner, at, until in fields(data, first, last):
                    if inner == 1:
                        tag = data[at:until].decode()
                    elif inner == 2:
                        (value,) = struct.unpack_from("<f", data, at)
                if value is not None:
                    series.setdefault(tag, []).append((time, step, value))
print(sum(map(len, series.values())))
"""


def message(time: float, step: int, tag: str, value: float) -> bytes:
    """An Event with one ``simple_value``."""
    name = tag.encode()
    held = b"\x0a" + bytes([len(name)]) + name + b"\x15" + struct.pack("<f", value)
    summary = b"\x0a" + bytes([len(held)]) + held
    return event(time, step) + b"\x2a" + bytes([len(summary)]) + summary


def event(time: float, step: int) -> bytes:
    """The wall time and the step of an Event; like protobuf, a step of 0 is left out."""
    return b"\x09" + struct.pack("<d", time) + (b"\x10" + varint(step) if step else b"")


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def regular(steps: int) -> Iterator[bytes]:
    """Four tags at every step."""
    rng = random.Random(0)
    for step in range(steps):
        for place, tag in enumerate(("train/loss", "val/loss", "lr", "grad_norm")):
            yield message(1e9 + step / 10 + place / 100, step, tag, rng.random())


def irregular(steps: int) -> Iterator[bytes]:
    """Tags at different periods, evaluation every 50 steps, long graph and histogram records between."""
    rng = random.Random(1)
    periods = {"train/loss": 1, "lr": 2, "grad_norm": 3, "train/accuracy": 5, "throughput/samples": 7}
    for step in range(steps):
        time = 1e9 + step / 10
        if step % 20_000 == 0:
            graph = rng.randbytes(300_000)
            yield event(time, step) + b"\x22" + varint(len(graph)) + graph
        for tag, period in periods.items():
            if step % period == 0:
                yield message(time + rng.random() / 100, step, tag, rng.random())
        if step % 50 == 0:
            for number in range(6):
                yield message(time, step, f"eval/metric_{number}", rng.random())
        if step % 1000 == 0:
            limits = rng.randbytes(8 * rng.randrange(50, 200))
            histogram = b"\x32" + varint(len(limits)) + limits
            held = b"\x0a\x07weights\x2a" + varint(len(histogram)) + histogram
            summary = b"\x0a" + varint(len(held)) + held
            yield event(time, step) + b"\x2a" + varint(len(summary)) + summary


def write(path: Path, payloads: Iterator[bytes]) -> None:
    if path.exists():
        return
    with open(path.with_suffix(".part"), "wb") as handle:
        first = b"\x09" + struct.pack("<d", 1e9) + b"\x1a\x0dbrain.Event:2"
        for payload in (first, *payloads):
            head = struct.pack("<Q", len(payload))
            handle.write(head + struct.pack("<I", masked(crc32c(head))))
            handle.write(payload + struct.pack("<I", masked(crc32c(payload))))
    path.with_suffix(".part").rename(path)


def measured(command: list[str]) -> tuple[float, float, str]:
    """CPU seconds, peak RSS in MB and output of the whole process."""
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in (0, 1):
            raise SystemExit(f"exit {process.returncode}: {' '.join(command)[:200]}")
        out.seek(0)
        return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, out.read().decode()


def compare(path: Path, peer: str) -> tuple[float, float]:
    """How many times faster ``analyze`` is than the peer only reads, and its peak RSS in MB.

    Both must read the same number of points.
    """
    slow, _, expected = measured([sys.executable, "-c", peer, str(path)])
    read = measured([sys.executable, "-c", READ, str(path)])[2]
    if read != expected:
        raise SystemExit(f"{path.name}: read {read.strip()} points, the peer {expected.strip()}")
    analyze = [sys.executable, "-m", "convergence_cli", "analyze", str(path), "--format", "json"]
    fast = [measured(analyze) for _ in range(RUNS)]
    return slow / statistics.median(cpu for cpu, _, _ in fast), max(rss for _, rss, _ in fast)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="files of a tenth of the size")
    steps = STEPS // 10 if parser.parse_args().quick else STEPS
    kept = os.environ.get("BENCH_DIR")
    with nullcontext(kept) if kept else tempfile.TemporaryDirectory() as folder:
        paths = {name: Path(folder) / f"events.out.tfevents.{name}-{steps}" for name in ("regular", "irregular")}
        write(paths["regular"], regular(steps))
        write(paths["irregular"], irregular(steps * 2))
        speedup, memory = compare(paths["regular"], ACCUMULATE)
        print(f"tensorboard_speedup {speedup:.1f}", flush=True)
        print(f"tensorboard_peak_rss_mb {memory:.0f}", flush=True)
        print(f"tensorboard_irregular_speedup {compare(paths['irregular'], WALK)[0]:.1f}")


if __name__ == "__main__":
    main()
