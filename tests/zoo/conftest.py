"""Lets these tests import the zoo, which lies in benchmarks/, and nothing else of that folder."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

BENCHMARKS = str(Path(__file__).parents[2] / "benchmarks")

# Until the package is found: for longer, benchmarks/tensors.py would hide tests/tensors from the tests collected later.
sys.path.insert(0, BENCHMARKS)
importlib.import_module("zoo")
sys.path.remove(BENCHMARKS)
