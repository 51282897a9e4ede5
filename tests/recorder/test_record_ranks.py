"""Several processes: the first records, or all do, each into its own file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from recorder.reading import Record

SCRIPT = """
import gc, os, sys, torch
import torch.distributed as dist
from torch import nn
from torch.nn import functional
from convergence_cli import Recorder

rank, ranks, out = int(sys.argv[1]), sys.argv[2], sys.argv[3]
torch.set_num_threads(1)
dist.init_process_group("gloo", init_method=f"file://{out}/meet-{ranks}", rank=rank, world_size=2)
torch.manual_seed(0)

def train(model, optimizer, recorder):
    for step in range(6):
        loss = functional.cross_entropy(model(torch.randn(8, 6)), torch.randint(0, 3, (8,)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if recorder: recorder.step(loss=loss)

def run():
    model = nn.parallel.DistributedDataParallel(nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    torch.manual_seed(rank)
    if ranks == "none":
        train(model, optimizer, None)
    else:
        with Recorder(model, optimizer, out=f"{out}/{ranks}", every=3, ranks=ranks) as recorder:
            train(model, optimizer, recorder)
    torch.save([p.detach() for p in model.parameters()], f"{out}/weights-{ranks}-{rank}.pt")

run()
gc.collect()
dist.barrier()
dist.destroy_process_group()
# gloo's own threads sometimes abort a process that ends with the interpreter's teardown; all is written by now.
os._exit(0)
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three trainings of two processes: recorded by the first, by all, by none."""
    folder = tmp_path_factory.mktemp("ranks")
    for ranks in ("first", "all", "none"):
        both = [
            subprocess.Popen(
                [sys.executable, "-c", SCRIPT, str(rank), ranks, str(folder)], stderr=subprocess.PIPE, text=True
            )
            for rank in (0, 1)
        ]
        errors = [one.communicate(timeout=120)[1] for one in both]
        assert all(one.returncode == 0 for one in both), errors
    return folder


def test_the_first_rank_records(runs: Path) -> None:
    assert [path.name for path in (runs / "first").iterdir()] == ["record.jsonl"]
    record = Record(runs / "first" / "record.jsonl")
    assert list(record.steps) == [1, 2, 3, 4, 5, 6]
    assert record.lines[0]["worker"] == ""
    assert {"weight/0.weight", "gradient/2.bias", "activation/1", "input/x"} <= set(record.titles(3))


def test_all_ranks_record_on_request(runs: Path) -> None:
    assert sorted(path.name for path in (runs / "all").iterdir()) == ["record.jsonl", "record.rank1.jsonl"]
    first, second = (Record(runs / "all" / name) for name in ("record.jsonl", "record.rank1.jsonl"))
    assert [one.lines[0]["worker"] for one in (first, second)] == ["0", "1"]
    for step in (1, 3, 6):
        # Averaged over the processes, gradients and so weights are the same; inputs are not.
        assert first.rows["gradient/0.weight", step] == second.rows["gradient/0.weight", step]
        assert first.rows["weight/0.weight", step]["bits"] == second.rows["weight/0.weight", step]["bits"]
        assert first.rows["input/x", step] != second.rows["input/x", step]


def test_the_weights_are_those_of_the_training_alone(runs: Path) -> None:
    alone = torch.load(runs / "weights-none-0.pt")
    for ranks in ("first", "all"):
        for rank in (0, 1):
            found = torch.load(runs / f"weights-{ranks}-{rank}.pt")
            assert all(torch.equal(one, other) for one, other in zip(alone, found, strict=True))


def test_replicas_in_step_raise_no_alarm(runs: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "convergence_cli", "analyze", str(runs / "all"), "--format", "json"],
        capture_output=True,
        text=True,
        check=False,
    )
    report = json.loads(done.stdout)
    (run,) = report["runs"]
    assert not [one for one in run["findings"] if one["rule"] == "DI101"]
    assert "DI101" not in [one["rule"] for one in run["skipped"]]
