"""What a report to look at costs: time beside the analysis, and bytes. Prints one figure a line.

A run of 1,000,000 steps with 50 layers dumped at 40 steps, and 200 runs of 300 points. Usage: render.py [STEPS] [RUNS]
"""

from __future__ import annotations

import json
import math
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from convergence_cli.codec import from_data, to_data
from convergence_cli.fleet.executor import Here
from convergence_cli.fleet.running import analyze_fleet
from convergence_cli.model import Curve, Report
from convergence_cli.pipeline import analyze_paths
from convergence_cli.reporters import Look, render
from convergence_cli.reporters.page.chart import Marks, Panel, drawn
from convergence_cli.reporters.page.paths import steps_of
from convergence_cli.reporters.page.scale import scale_of
from convergence_cli.reporters.page.trace import traces_of
from convergence_cli.settings import Settings
from convergence_cli.summary import DRAWN, _drawn

ROUNDS = 5
LAYERS, DUMPS, WIDTH = 50, 40, 32


def best_of(work: Callable[[], Any]) -> tuple[float, Any]:
    """The shortest time of some rounds in seconds, and what ``work`` gave."""
    found, times = None, []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        found = work()
        times.append(time.perf_counter() - start)
    return min(times), found


def write_run(folder: Path, steps: int) -> None:
    """A run that falls, spikes and diverges, with its weights, gradients and activations."""
    rng = np.random.default_rng(0)
    at = np.arange(steps)
    loss = 0.3 + 2 * np.exp(-at / (steps / 10)) + rng.normal(0, 0.05, steps)
    loss[steps // 2] = 900.0
    loss[-steps // 10 :] = np.nan
    rate, norm = np.full(steps, 0.1), np.abs(rng.normal(1, 0.3, steps))
    with (folder / "metrics.csv").open("w") as sink:
        sink.write("step,train_loss,learning_rate,grad_norm\n")
        rows = zip(at.tolist(), loss.tolist(), rate.tolist(), norm.tolist(), strict=True)
        sink.writelines(f"{a},{b:.5g},{c:.3g},{d:.5g}\n" for a, b, c, d in rows)
    dumps = folder / "tensors"
    dumps.mkdir()
    for dump in range(DUMPS):
        arrays = {}
        for layer in range(LAYERS):
            scale = math.exp(-0.1 * layer)
            weight = rng.normal(0, 0.1 + 0.001 * dump, (WIDTH, WIDTH)).astype(np.float32)
            arrays[f"weight/block{layer}.weight"] = weight
            arrays[f"gradient/block{layer}.weight"] = (weight * scale).astype(np.float32)
            arrays[f"activation/block{layer}"] = np.maximum(weight, 0)
        np.savez(dumps / f"step_{dump * (steps // DUMPS):07}.npz", **arrays)


def write_runs(root: Path, count: int) -> None:
    """Runs of 300 points, a third of which diverge."""
    rng = random.Random(0)
    for number in range(count):
        folder = root / f"run_{number:03}"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps({"learning_rate": 0.001 * (number + 1), "seed": number}))
        loss, lines = 2.3, ["step,train_loss,val_loss,lr,grad_norm"]
        for step in range(300):
            loss = loss * 1.04 if number % 3 == 0 and step > 150 else 0.3 + (loss - 0.3) * 0.98
            value = loss + rng.gauss(0, 0.02)
            lines.append(f"{step},{value:.5f},{value + 0.1:.5f},0.001,{abs(rng.gauss(1, 0.2)):.4f}")
        (folder / "metrics.csv").write_text("\n".join(lines) + "\n")


def one_curve(steps: int) -> tuple[float, int]:
    """Seconds and bytes of one curve of ``steps`` points, from arrays to SVG."""
    value = np.random.default_rng(0).normal(1, 0.1, steps)
    value[steps // 3] = 9.0
    curve = Curve("loss", np.arange(steps, dtype=np.float64), value, "train_loss")

    def work() -> str:
        summary = {"curves": {"train_loss": _drawn(curve, DRAWN)}, "series": {"train_loss": "loss"}}
        run = type("Run", (), {"summary": summary})()
        traces = list(traces_of(run).values())
        scale = scale_of([one for one in (*traces[0].low, *traces[0].high) if one is not None])
        panel = Panel("k0", "r", traces, steps_of(traces), scale, "step")
        return drawn(panel, Marks(), height=280, title="loss", uid="r-p1")

    seconds, svg = best_of(work)
    return seconds, len(svg.encode())


def main() -> None:
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    seconds, size = one_curve(steps)
    print(f"curve of {steps:,} points: {1000 * seconds:.1f} ms, {size / 1e3:.1f} KB of SVG (at most 40)")
    with tempfile.TemporaryDirectory() as folder:
        write_run(Path(folder), steps)
        start = time.perf_counter()
        report = analyze_paths([folder], Settings())
        analysis = time.perf_counter() - start
        rendering, page = best_of(lambda: render(report, "html", Look()))
        print(f"run of {steps:,} steps with {LAYERS} layers: analysis {analysis:.2f} s")
        print(f"its page: {rendering:.3f} s, {rendering / analysis:.3f} times the analysis (at most 0.3)")
        print(f"its page: {len(page.encode()) / 1e6:.3f} MB (at most 1.5)")
        print(f"its JSON: {len(render(report, 'json').encode()) / 1e6:.3f} MB")
    with tempfile.TemporaryDirectory() as folder:
        write_runs(Path(folder), count)
        start = time.perf_counter()
        many = analyze_fleet([folder], Settings(), executor=Here(), cached=False)
        analysis = time.perf_counter() - start
        rendering, page = best_of(lambda: render(many, "html", Look()))
        print(f"{count} runs: analysis {analysis:.2f} s, page {rendering:.2f} s, {rendering / analysis:.3f} times")
        print(f"{count} runs: {len(page.encode()) / 1e6:.2f} MB (at most 5)")
        saved: Report = from_data(to_data(many), "saved")
        print(f"{count} runs from JSON: the same page: {render(saved, 'html', Look()) == page}")
    print(f"matplotlib imported: {'matplotlib' in sys.modules}")


if __name__ == "__main__":
    main()
