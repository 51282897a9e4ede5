"""MLflow's SQLite store: our reader against a bare ``SELECT *`` of the metrics with Python's sqlite3.

    python benchmarks/read_mlflow.py [--quick]

Prints `mlflow_cpu_ratio X`: our time over the bare one, and `mlflow_peak_rss_mb Y`. Times are user and system CPU
seconds of whole processes, start-up included, each side in turn; the ratio is the median of five.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import statistics
import sys
import tempfile
from pathlib import Path

from read_wandb import measured

RUNS = 4
STEPS = 62_500
KEYS = ("train_loss", "val_loss", "learning_rate", "grad_norm")
ROUNDS = 5
# The tables and indices of MLflow 3.17 that hold runs and metrics.
SCHEMA = """
CREATE TABLE experiments (experiment_id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(256) NOT NULL);
CREATE TABLE runs (run_uuid VARCHAR(32) NOT NULL PRIMARY KEY, name VARCHAR(250), status VARCHAR(9),
    lifecycle_stage VARCHAR(20), experiment_id INTEGER);
CREATE TABLE metrics (key VARCHAR(250) NOT NULL, value FLOAT NOT NULL, timestamp BIGINT NOT NULL,
    run_uuid VARCHAR(32) NOT NULL, step BIGINT DEFAULT '0' NOT NULL, is_nan BOOLEAN DEFAULT '0' NOT NULL,
    PRIMARY KEY (key, timestamp, step, run_uuid, value, is_nan));
CREATE TABLE latest_metrics (key VARCHAR(250) NOT NULL, value FLOAT NOT NULL, timestamp BIGINT, step BIGINT NOT NULL,
    is_nan BOOLEAN NOT NULL, run_uuid VARCHAR(32) NOT NULL, PRIMARY KEY (key, run_uuid));
CREATE INDEX index_metrics_run_uuid ON metrics (run_uuid);
CREATE INDEX index_metrics_run_uuid_key_step ON metrics (run_uuid, key, step);
INSERT INTO experiments VALUES (0, 'Default');
"""
BARE = """
import sqlite3, sys
print(len(sqlite3.connect(sys.argv[1]).execute("SELECT * FROM metrics").fetchall()))
"""
READ = """
import sys
from pathlib import Path
from convergence_cli.readers import mlflow_sqlite
from convergence_cli.readers._guard import ReadOptions, Source
runs = mlflow_sqlite.read([Source(Path(sys.argv[1]), sys.argv[1])], ReadOptions())
print(sum(curve.points for run in runs for curve in run.curves))
"""


def write(path: Path, steps: int) -> None:
    """Runs one after another, a row a metric and step."""
    rng = random.Random(0)
    with sqlite3.connect(path) as database:
        database.executescript(SCHEMA)
        for run in range(RUNS):
            identifier = f"{run:032x}"
            database.execute("INSERT INTO runs VALUES (?, ?, 'FINISHED', 'active', 0)", (identifier, f"run {run}"))
            rows = (
                (key, rng.random(), 1_795_873_709_694 + 20 * step + place, identifier, step, 0)
                for step in range(steps)
                for place, key in enumerate(KEYS)
            )
            database.executemany("INSERT INTO metrics VALUES (?, ?, ?, ?, ?, ?)", rows)
            last = [(key, 0.5, 0, steps - 1, 0, identifier) for key in KEYS]
            database.executemany("INSERT INTO latest_metrics VALUES (?, ?, ?, ?, ?, ?)", last)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows")
    steps = STEPS // 10 if parser.parse_args().quick else STEPS
    ratios, memory = [], 0.0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mlflow.db"
        write(path, steps)
        for _ in range(ROUNDS):
            bare, _, expected = measured([sys.executable, "-c", BARE, str(path)])
            ours, rss, read = measured([sys.executable, "-c", READ, str(path)])
            if read != expected:
                raise SystemExit(f"read {read.strip()} points of {expected.strip()}")
            ratios.append(ours / bare)
            memory = max(memory, rss)
    print(f"mlflow_cpu_ratio {statistics.median(ratios):.2f}")
    print(f"mlflow_peak_rss_mb {memory:.0f}")


if __name__ == "__main__":
    main()
