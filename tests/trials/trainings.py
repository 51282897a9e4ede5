"""Trainings small enough to be tried in tests: gradient descent on a parabola, which diverges above a rate of 1."""

from __future__ import annotations

import random


def descent(rate: float, seed: int = 0, steps: int = 60) -> list[float]:
    """The losses: they fall for rates below about 1, and rise without end above."""
    chance = random.Random(seed)
    weight, losses = 3.0, []
    for _ in range(steps):
        weight -= rate * 2 * weight * (1 + 0.1 * chance.random())
        losses.append(weight * weight + 0.1 + 0.01 * chance.random())
    return losses


# The same as a program: rate and mode are its arguments.
PROGRAM = """
import os, random, sys, time
rate, mode = float(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "print"
if mode == "crash":
    print("loading")
    raise RuntimeError("no data \\x1b[31m")
if mode == "silent":
    sys.exit()
if mode == "hang":
    print("loading")
    time.sleep(600)
if mode == "deaf":
    rate = 1.2
if mode == "variable":
    rate = float(os.environ["CT_LEARNING_RATE"])
chance = random.Random(int(os.environ.get("CT_SEED", "0")))
weight, lines = 3.0, ["step,loss,lr"]
for step in range(1, 61):
    weight -= rate * 2 * weight * (1 + 0.1 * chance.random())
    loss = weight * weight + 0.1 + 0.01 * chance.random()
    if mode == "table":
        lines.append(f"{step},{loss:.5g},{rate:g}")
    elif mode == "quiet":
        print(f"step {step} loss {loss:.5g}")
    else:
        print(f"step {step} loss {loss:.5g} lr {rate:g}")
    if mode == "slow":
        time.sleep(0.1)
    if mode == "loud":
        os.write(1, b"x" * (1 << 20) * 18)
        print()
    if mode == "dies" and step == 30:
        sys.exit(3)
if mode == "table":
    with open(os.path.join(sys.argv[3], "metrics.csv"), "w") as table:
        table.write("\\n".join(lines) + "\\n")
"""
