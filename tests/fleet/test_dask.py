"""A real cluster of two processes judges as this process does, and the command line takes jobs to it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from convergence_cli.codec import to_data
from convergence_cli.fleet.executor import Here
from convergence_cli.fleet.running import analyze_fleet
from tests.cli.process import clean_environment
from tests.fleet.test_running import PLAIN, sweep

SCRIPT = """
import json, subprocess, sys
from distributed import LocalCluster
if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        command = [sys.executable, "-m", "convergence_cli", "analyze", sys.argv[1], "--format", "json", "--no-cache"]
        done = subprocess.run([*command, "--engine", "dask=" + cluster.scheduler_address], capture_output=True)
        sys.stdout.buffer.write(done.stdout)
        sys.stderr.buffer.write(done.stderr)
        sys.exit(done.returncode)
"""


def test_a_cluster_gives_the_same_report(tmp_path: Path) -> None:
    import json

    path = str(sweep(tmp_path / "sweep", 40, failing=5))
    script = tmp_path / "cluster.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(script), path],
        capture_output=True,
        env=clean_environment(XDG_CACHE_HOME=str(tmp_path / "cache")),
        check=False,
        timeout=120,
    )
    assert done.returncode == 1, done.stderr.decode()
    here = to_data(analyze_fleet([path], PLAIN, executor=Here(), cached=False))
    assert json.loads(done.stdout)["runs"] == json.loads(json.dumps(here))["runs"]
