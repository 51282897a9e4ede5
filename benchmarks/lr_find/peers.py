"""What the public learning-rate finders, each with its own defaults, suggest for the tasks.

    PYTHONPATH=benchmarks:tests:. PEERS/bin/python -m lr_find.peers --out FILE.json [--seeds N ...] [--tasks NAME ...]

``PEERS`` is a virtual environment with fastai 2.8.12, torch-lr-finder 0.2.2, lightning 2.6.6 and scikit-learn.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MPLBACKEND"] = "Agg"

import argparse
import json
import logging
import math
import platform
import random
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import torch

try:
    import torchvision  # noqa: F401
except RuntimeError:
    # PyPI's build cannot be loaded beside a CPU build of torch. Lightning's imports want its names, no finder does.
    sys.modules.update({name: MagicMock() for name in ("torchvision", "torchvision.models")})
from fastai.callback import schedule
from fastai.data.core import DataLoaders
from fastai.learner import Learner
from fastai.optimizer import OptimWrapper
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.tuner import Tuner
from matplotlib import pyplot
from torch_lr_finder import LRFinder, TrainDataLoaderIter

from lr_find.held_out import EVERY
from lr_find.tasks import TASKS

Said = tuple[float | None, ...]
Finder = Callable[[dict[str, Any], Path], Said]
PACKAGES = ("fastai", "torch-lr-finder", "lightning", "torch", "numpy", "scikit-learn")


def fastai(function: str, ready: dict[str, Any], folder: Path) -> Said:
    """``Learner.lr_find`` with one of its suggestion functions."""
    loaders = DataLoaders(ready["loader"], ready["val_loader"], path=folder)

    def opt_func(parameters: Any, lr: float) -> OptimWrapper:
        # Not passed to Learner as it is: that empties the state of a wrapper, in which Adagrad keeps its first sums.
        return OptimWrapper(opt=ready["optimizer"])

    learner = Learner(loaders, ready["model"], loss_func=ready["loss"], opt_func=opt_func)
    return tuple(learner.lr_find(suggest_funcs=(getattr(schedule, function),), show_plot=False))


def torch_lr_finder(ready: dict[str, Any], folder: Path) -> Said:
    """``LRFinder.range_test`` from 1e-7, as its README starts it, and the suggestion of its ``plot``."""
    for group in ready["optimizer"].param_groups:
        group["lr"] = 1e-7
    finder = LRFinder(ready["model"], ready["optimizer"], ready["loss"])
    finder.range_test(TrainDataLoaderIter(ready["loader"]), end_lr=10, num_iter=100)
    _, rate = finder.plot(suggest_lr=True)
    return (float(rate),)


class Module(LightningModule):
    """A task as users of Lightning write one."""

    def __init__(self, ready: dict[str, Any]) -> None:
        super().__init__()
        self.model, self.loss, self.optimizer = ready["model"], ready["loss"], ready["optimizer"]
        self.learning_rate = self.optimizer.param_groups[0]["lr"]

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], batch_idx: int) -> torch.Tensor:
        """The loss of a batch."""
        x, y = batch
        return self.loss(self.model(x), y)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The task's own, over the same parameters."""
        return self.optimizer


def lightning(ready: dict[str, Any], folder: Path) -> Said:
    """``Tuner.lr_find``: what Lightning up to 2.5.2 made of its losses, and what Lightning 2.6.6 does."""
    trainer = Trainer(
        accelerator="cpu", devices=1, default_root_dir=folder, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    found = Tuner(trainer).lr_find(Module(ready), train_dataloaders=ready["loader"])
    return steepest_per_index(found.results["lr"], found.results["loss"]), found.suggestion()


def steepest_per_index(rates: list[float], losses: list[float], skip: int = 10) -> float | None:
    """The rate where the loss falls most from one index to the next, or none of fewer than two finite losses."""
    kept = np.array(losses[skip:-1], dtype=np.float32)
    kept = kept[np.isfinite(kept)]
    # As there, the index is that among the finite losses: infinite ones before it shift it.
    return None if len(kept) < 2 else rates[int(np.gradient(kept).argmin()) + skip]


def common_default(ready: dict[str, Any], folder: Path) -> Said:
    """What people set without a finder: 1e-3 for Adam and its kin, else 1e-2."""
    adaptive = torch.optim.Adam | torch.optim.AdamW | torch.optim.RMSprop
    return (1e-3 if isinstance(ready["optimizer"], adaptive) else 1e-2,)


# One run for each suggestion function of fastai: one that raises would take the others with it.
FINDERS: dict[tuple[str, ...], Finder] = {
    ("fastai valley",): partial(fastai, "valley"),
    ("fastai minimum",): partial(fastai, "minimum"),
    ("fastai slide",): partial(fastai, "slide"),
    ("fastai steep",): partial(fastai, "steep"),
    ("torch-lr-finder",): torch_lr_finder,
    ("Lightning <= 2.5.2", "Lightning 2.6.6"): lightning,
    ("common default",): common_default,
}


def suggest(finder: Finder, count: int, task: str, seed: int) -> tuple[Said, int, str]:
    """The suggestions of one run, the updates of the weights that it took, and the error where it raised one."""
    random.seed(seed)
    np.random.seed(seed)
    ready = EVERY[task].setup(seed)
    taken = []
    ready["optimizer"].register_step_post_hook(lambda *_: taken.append(1))
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        try:
            said, error = finder(ready, Path(folder)), ""
        except Exception as raised:
            said, error = (None,) * count, f"{type(raised).__name__}: {raised}"
    pyplot.close("all")
    return said, len(taken), error


def note(results: dict[str, Any], out: Path) -> None:
    """Write what there is so far; whoever reads meanwhile sees whole files only."""
    partial_file = out.with_name(f"{out.name}.part")
    partial_file.write_text(json.dumps(results, indent=1) + "\n")
    partial_file.replace(out)


def run(out: Path, tasks: list[str], seeds: list[int]) -> None:
    """Ask every finder about every task and seed."""
    names = [name for some in FINDERS for name in some]
    results: dict[str, Any] = {kind: {name: {} for name in names} for kind in ("suggestions", "steps", "errors")}
    results["versions"] = {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}
    for task in tasks:
        start = time.perf_counter()
        for key, seed in ((f"{task}|{seed}", seed) for seed in seeds):
            for some, finder in FINDERS.items():
                said, steps, error = suggest(finder, len(some), task, seed)
                for name, rate in zip(some, said, strict=True):
                    finite = float(rate) if rate is not None and math.isfinite(rate) else None
                    results["suggestions"][name][key] = finite
                    results["steps"][name][key] = steps
                    if finite is None:
                        results["errors"][name][key] = error or f"suggested {rate}"
            note(results, out)
        print(f"{task} {time.perf_counter() - start:.1f} s", flush=True)
    for name in names:
        print(f"errors {name}: {len(results['errors'][name])} of {len(tasks) * len(seeds)}")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="lr_find.peers", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="JSON file of the suggestions")
    parser.add_argument("--seeds", type=int, nargs="+", default=[11, 12, 13, 14, 15])
    parser.add_argument("--tasks", nargs="+", choices=EVERY, default=list(TASKS), metavar="NAME")
    args = parser.parse_args()
    torch.set_num_threads(1)
    logging.getLogger("lightning.pytorch").setLevel(logging.CRITICAL)
    run(args.out, args.tasks, args.seeds)


if __name__ == "__main__":
    main()
