"""Statistics of tensors against naive numpy and against one ``numpy.dot``: how long, how exact, how much memory.

CPU time with one BLAS thread, both sides in turns; each ratio is taken within its round and the median printed, one
figure a line. ``--size`` (or ``$BENCH_STATS_SIZE``) is the number of values, 1e8 unless told.
``*_over_dot`` and ``*_over_clean`` are times over those of ``numpy.dot(a, a)`` and of clean data (less is better),
``naive_over_*`` how many times quicker than numpy on whole arrays (more is better).
The list compared is count, NaN, infinities, zeros, mean, std, min, max and L2; ``measure`` adds the quantiles.
"""

from __future__ import annotations

import os

os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from convergence_cli.tensors.moments import CHUNK, Moments
from convergence_cli.tensors.pieces import cut, layout_of
from convergence_cli.tensors.statistics import measure
from convergence_cli.tensors.stored import BLOCK_BYTES, StoredTensor

Array = npt.NDArray[Any]
# Not ru_maxrss, which begins with what the process had that started it.
PEAK = """
with open("/proc/self/status") as status:
    print(next(line.split()[1] for line in status if line.startswith("VmHWM")))
"""
MEASURE = """
import sys
import numpy as np
from convergence_cli.tensors.statistics import measure
from convergence_cli.tensors.stored import BLOCK_BYTES, StoredTensor
def blocks():
    buffer = np.empty(BLOCK_BYTES // 4, dtype=np.float32)
    with open(sys.argv[1], "rb", buffering=0) as handle:
        handle.seek(128)
        while got := handle.readinto(buffer):
            yield buffer[: got // 4]
shape = tuple(int(length) for length in sys.argv[2].split(","))
measure(StoredTensor("x", "float32", shape, blocks), sys.argv[3], unit_axis=1 if len(shape) > 1 else None)
"""


def stored(array: Array, dtype: str = "") -> StoredTensor:
    """``array`` as blocks of what a dump is read in."""
    flat, step = array.reshape(-1), BLOCK_BYTES // array.itemsize

    def blocks() -> Iterator[Array]:
        return (flat[start : start + step] for start in range(0, flat.size, step))

    return StoredTensor("x", dtype or array.dtype.name, array.shape, blocks)


def moments(tensor: StoredTensor) -> dict[str, float]:
    """The list without the quantiles."""
    total = Moments(min(tensor.size, CHUNK), absolute=False)
    with np.errstate(all="ignore"):
        for piece in cut(tensor.blocks(), layout_of(tensor, None)):
            total.add(piece)
    return total.numbers()


def naive(values: Array) -> tuple[float, ...]:
    """The same list on the whole array."""
    return (
        *(np.isnan(values).sum(), np.isinf(values).sum(), (values == 0).sum(), values.mean(), values.std()),
        *(values.min(), values.max(), np.linalg.norm(values)),
    )


def seconds(job: Callable[[], object], repeats: int = 1) -> float:
    """CPU seconds of one run."""
    begin = time.process_time()
    for _ in range(repeats):
        job()
    return (time.process_time() - begin) / repeats


def in_turns(jobs: dict[str, Callable[[], object]], rounds: int, repeats: int = 1) -> dict[str, list[float]]:
    """The times of each job, one a round; a first round that warms up is not counted."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for turn in range(rounds + 1):
        for name, job in jobs.items():
            taken = seconds(job, repeats)
            if turn:
                times[name].append(taken)
    return times


def ratio(times: dict[str, list[float]], above: str, below: str) -> str:
    """Median [least-largest] of the ratios within the rounds."""
    found = sorted(ours / theirs for ours, theirs in zip(times[above], times[below], strict=True))
    return f"{statistics.median(found):.2f} [{found[0]:.2f}-{found[-1]:.2f}]"


def normal(size: int) -> Array:
    """N(0, 0.02) in float32, made in parts."""
    rng, values = np.random.default_rng(0), np.empty(size, dtype=np.float32)
    for start in range(0, size, 1 << 22):
        part = values[start : start + (1 << 22)]
        rng.standard_normal(part.size, dtype=np.float32, out=part)
        part *= np.float32(0.02)
    return values


def exact(values: Array) -> tuple[float, float]:
    """Mean and standard deviation in float64, two passes."""
    parts = [values[start : start + (1 << 22)] for start in range(0, values.size, 1 << 22)]
    mean = sum(float(part.sum(dtype=np.float64)) for part in parts) / values.size
    return mean, (sum(float(np.square(part - mean, dtype=np.float64).sum()) for part in parts) / values.size) ** 0.5


def errors(values: Array) -> None:
    """Relative errors of mean and std where the quick formulas fail."""
    for name, factor, offset in (
        ("normal", 1, 0),
        ("plus_1000", 1, 1000),
        ("times_1e-25", 1e-25, 0),
        ("times_1e25", 1e25, 0),
    ):
        shifted = values * np.float32(factor) + np.float32(offset)
        found, (mean, std) = moments(stored(shifted)), exact(shifted)
        print(f"mean_error_{name} {abs(found['mean'] / mean - 1):.1e}")
        print(f"std_error_{name} {abs(found['std'] / std - 1):.1e}")


def speed(values: Array, rounds: int) -> None:
    """float32, clean and with one NaN in every block."""
    broken = values.copy()
    broken[:: CHUNK // 2] = np.nan
    with_absolute = stored(values)
    times = in_turns(
        {
            "dot": lambda: np.dot(values, values),
            "list": lambda: moments(stored(values)),
            "broken": lambda: moments(stored(broken)),
            "measure": lambda: measure(with_absolute, "weight"),
            "gradient": lambda: measure(with_absolute, "gradient"),
            "naive": lambda: naive(values),
        },
        rounds,
    )
    print(f"float32_over_dot {ratio(times, 'list', 'dot')}")
    print(f"naive_over_float32 {ratio(times, 'naive', 'list')}")
    print(f"nan_in_every_block_over_clean {ratio(times, 'broken', 'list')}")
    print(f"measure_over_dot {ratio(times, 'measure', 'dot')}")
    print(f"measure_gradient_over_dot {ratio(times, 'gradient', 'dot')}")


def narrow(values: Array, rounds: int) -> None:
    """16-bit floats, everything of ``measure`` against three numbers of numpy's."""
    half = values.astype(np.float16)
    brain = (values.view(np.uint32) >> np.uint32(16)).astype(np.uint16)
    times = in_turns(
        {
            "naive": lambda: (half.mean(), half.std(), half.max()),
            "float16": lambda: measure(stored(half), "weight"),
            "bfloat16": lambda: measure(stored(brain, "bfloat16"), "weight"),
        },
        rounds,
    )
    print(f"naive_over_float16 {ratio(times, 'naive', 'float16')}")
    print(f"naive_over_bfloat16 {ratio(times, 'naive', 'bfloat16')}")
    found = measure(stored(half), "weight")["quantiles"]
    ascending = np.sort(half.view(np.int16) ^ ((half.view(np.int16) >> 15) & 0x7FFF))
    places = (np.array((0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)) * (half.size - 1)).astype(np.int64)
    around = [ascending[places + more] for more in (0, 1)]
    lower, upper = ((one ^ ((one >> 15) & 0x7FFF)).view(np.float16).astype(np.float64) for one in around)
    print(f"float16_quantiles_exact {int(bool(np.all((lower <= found) & (found <= upper))))}")


def small(rounds: int) -> None:
    """A weight of 64 x 64, everything of ``measure`` against the naive list with its quantiles and without."""
    values = np.random.default_rng(0).standard_normal((64, 64), dtype=np.float32)
    tensor = stored(values)
    times = in_turns({"ours": lambda: measure(tensor, "weight"), "naive": lambda: naive(values)}, 3 * rounds, 200)
    print(f"small_ratio {ratio(times, 'ours', 'naive')}")
    print(f"small_microseconds {1e6 * statistics.median(times['ours']):.0f}")


def memory(size: int) -> None:
    """Peak memory of a process that measures a .npy file of ``size`` values, over one that imports numpy."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as folder:
        path = Path(folder, "values.npy")
        with path.open("wb") as out:
            np.lib.format.write_array_header_1_0(out, {"descr": "<f4", "fortran_order": False, "shape": (size,)})
            assert out.tell() == 128
            for start in range(0, size, 1 << 20):
                np.sin(np.arange(start, min(start + (1 << 20), size), dtype=np.float32)).tofile(out)
        least = _peak("import numpy")
        for name, shape, kind in (("", f"{size}", "weight"), ("_by_unit", f"{size // 4096},4096", "activation")):
            peak = _peak(MEASURE, str(path), shape, kind)
            print(f"peak_mb_over_import_numpy{name} {(peak - least) / 1024:.1f}")


def _peak(code: str, *arguments: str) -> int:
    """Kilobytes a process had at most."""
    done = subprocess.run([sys.executable, "-c", code + PEAK, *arguments], capture_output=True, text=True, check=True)
    return int(done.stdout)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=float, default=float(os.environ.get("BENCH_STATS_SIZE", "1e8")))
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    size = int(options.size)
    small(options.rounds)
    memory(size)
    values = normal(size)
    errors(values)
    speed(values, options.rounds)
    narrow(values, options.rounds)


if __name__ == "__main__":
    main()
