"""Kills a recorded training at random moments, and reads what is left.

    python benchmarks/recorder_kill.py [--kills 50] [--seed 0]

Each child trains a small network with the recorder on, tells by a pipe up to which step its record was flushed, and
is killed with SIGKILL after a random time. Prints ``kills``, ``records_read`` (our reader reads them, with every step
that was flushed and none missing in between), ``torn_tails`` (how many ended within a line) and ``lines_lost`` (lines
before the last that cannot be read, and flushed steps that are not there). Exit code 1 where anything is lost.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from convergence_cli import Recorder, read_run


def train(folder: Path, pipe: int) -> None:
    """Train until killed."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 3))
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    recorder = Recorder(model, optimizer, out=folder, every=3)
    step = 0
    while True:
        step += 1
        loss = functional.cross_entropy(model(torch.randn(16, 8)), torch.randint(0, 3, (16,)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        recorder.step(loss=loss)
        if not step % 7:
            recorder.flush()
            os.write(pipe, step.to_bytes(4, "little"))


def killed(folder: Path, seconds: float) -> int:
    """The last step that a child, killed after so long a training, had told to be flushed."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        try:
            train(folder, writing)
        finally:
            os._exit(1)
    os.close(writing)
    told = os.read(reading, 4)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while block := os.read(reading, 4):
        told = block
    os.close(reading)
    return int.from_bytes(told, "little")


def lost(folder: Path, flushed: int) -> tuple[int, bool, bool]:
    """What is missing of one record, whether it was read, and whether its tail is torn."""
    data = (folder / "record.jsonl").read_bytes()
    *whole, tail = data.split(b"\n")
    missing = 0
    steps = []
    for text in whole:
        try:
            content = json.loads(text)
        except ValueError:
            missing += 1
            continue
        if next(iter(content)) == "step":
            steps.append(content["step"])
    missing += len(set(range(1, max(flushed, *steps) + 1)) - set(steps))
    run = read_run(folder)
    loss = next(curve for curve in run.curves if curve.name == "loss")
    read = loss.step.tolist() == [float(step) for step in steps] and run.tensors is not None
    return missing, read, bool(tail)


def main() -> int:
    """Kill, read, count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    # Threads of a parent do not live on in a forked child.
    torch.set_num_threads(1)
    draw = random.Random(chosen.seed)
    missing = read = torn = 0
    with tempfile.TemporaryDirectory() as base:
        for kill in range(chosen.kills):
            folder = Path(base) / str(kill)
            flushed = killed(folder, draw.uniform(0, 0.4))
            gone, is_read, is_torn = lost(folder, flushed)
            missing, read, torn = missing + gone, read + is_read, torn + is_torn
    print(f"kills {chosen.kills}")
    print(f"records_read {read}")
    print(f"torn_tails {torn}")
    print(f"lines_lost {missing}")
    return 0 if read == chosen.kills and not missing else 1


if __name__ == "__main__":
    sys.exit(main())
