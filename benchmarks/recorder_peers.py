"""What smdebug and Cockpit cost the trainings of ``recorder.py``, which starts this with ``--peers``.

Each peer has an environment of its own below ``.bench/``, made where it is missing, with Python 3.11. It runs this
file, which times blocks without the peer and with it, in turns, of a new training each, since hooks stay on a model.

- ``smdebug_...``: a hook that saves weights, gradients, losses and what goes in and out of modules called relu, each
  N steps; ``smdebug_reductions_...``: one that saves of each tensor its extremes, mean, standard deviation, mean
  magnitude and norm in its stead.
- ``cockpit_...``: the quantities of its ``economy`` configuration, each N steps. It needs gradients of single
  samples: seconds a sampled step, which is why it gets few rounds.

Figures are those of ``recorder.py``; ``..._kb_per_sample`` is what lies in the folder by the number of sampled steps.
``PEER_installed 0``, ``PEER_NAME_runs 0``: the reason is on the error stream.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from recorder import PATIENCE, Watch, in_turns, report, say
from recorder_models import MODELS, Training, training

HOME = Path(__file__).parent.parent / ".bench"
TORCH = "torch==2.13.0"
REQUIREMENTS = {
    "smdebug": ("smdebug==1.0.34", "requests", "pandas", "psutil", "numpy>=2,<2.3", "protobuf==3.20.3"),
    # Cockpit imports pkg_resources, which newer ones do not have.
    "cockpit": ("cockpit-for-pytorch==1.0.2", "backpack-for-pytorch==1.7.1", "setuptools<81"),
}
ROUNDS = {"smdebug": 6, "smdebug_reductions": 6, "cockpit": 2}


def measure(models: Sequence[str], everies: Sequence[int], options: Sequence[str]) -> None:
    """Run every peer on every model, each in a process of its own, and print what they print."""
    for peer in REQUIREMENTS:
        python = interpreter(peer)
        say(f"{peer}_installed {int(python is not None)}")
        if python is None:
            continue
        for way in (one for one in ROUNDS if one.startswith(peer)):
            for model in models:
                command = [str(python), __file__, way, model, *map(str, everies), *options]
                done = subprocess.run(command, env=os.environ | {"SMDEBUG_LOG_LEVEL": "error"}, check=False)
                if done.returncode:
                    say(f"{way}_{model}_runs 0")


def interpreter(peer: str) -> Path | None:
    """A Python that has ``peer``; None where that cannot be had."""
    folder = HOME / peer
    python, ready = folder / "bin" / "python", folder / "ready"
    if ready.exists():
        return python
    base = shutil.which("python3.11") or (sys.executable if sys.version_info[:2] == (3, 11) else None)
    if base is None:
        print(f"{peer}: there is no python3.11", file=sys.stderr)
        return None
    # torch first and by its pin: a bare requirement would pull a build of several gigabytes.
    pip = [str(python), "-m", "pip", "install", "--quiet", TORCH]
    for command in ([base, "-m", "venv", str(folder)], pip, [*pip, *REQUIREMENTS[peer]]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{peer}: {done.stderr[-2000:]}", file=sys.stderr)
            return None
    ready.touch()
    return python


def smdebug(every: int, *, reductions: bool) -> Watch:
    """Its hook."""
    import smdebug.pytorch as smd

    @contextlib.contextmanager
    def watch(subject: Training, folder: Path) -> Iterator[Callable[[int], object]]:
        reduced = smd.ReductionConfig(
            reductions=["min", "max", "mean", "std"], abs_reductions=["mean"], norms=["l2"], save_shape=True
        )
        hook = smd.Hook(
            str(folder / "trial"),
            save_config=smd.SaveConfig(save_interval=every),
            include_collections=["weights", "gradients", "losses"],
            include_regex=["relu"],
            reduction_config=reduced if reductions else None,
        )
        hook.register_module(subject.model)
        hook.register_loss(subject.loss)
        yield subject.step
        hook.close()

    return watch


def cockpit(every: int) -> Watch:
    """As its documents say."""
    warnings.simplefilter("ignore")
    from backpack import extend
    from cockpit import Cockpit
    from cockpit.utils.configuration import configuration
    from cockpit.utils.schedules import linear
    from torch import nn

    @contextlib.contextmanager
    def watch(subject: Training, folder: Path) -> Iterator[Callable[[int], object]]:
        extend(subject.model)
        together, single = extend(nn.CrossEntropyLoss()), nn.CrossEntropyLoss(reduction="none")
        watcher = Cockpit(subject.model.parameters(), configuration("economy", track_schedule=linear(every)))

        def step(index: int) -> None:
            subject.optimizer.zero_grad()
            logits, labels = subject.forward(index)
            loss, losses = together(logits, labels), single(logits, labels)
            known: dict[str, Any] = {"batch_size": len(labels), "individual_losses": losses, "loss": loss}
            with watcher(index, info={**known, "optimizer": subject.optimizer}):
                loss.backward(create_graph=watcher.create_graph(index))
            subject.optimizer.step()

        yield step
        with contextlib.redirect_stdout(sys.stderr):
            watcher.write(str(folder / "log"))

    return watch


def main() -> int:
    """One peer on one model, in the peer's interpreter."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("way", choices=ROUNDS)
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("every", nargs="+", type=int)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--patience", type=float, default=PATIENCE)
    options = parser.parse_args()

    def begin() -> Training:
        return training(options.model, options.device)

    watches: dict[int, Watch] = {}
    for every in options.every:
        watches[every] = (
            cockpit(every)
            if options.way == "cockpit"
            else smdebug(every, reductions=options.way == "smdebug_reductions")
        )
    try:
        found = in_turns(begin, watches, options.rounds or ROUNDS[options.way], options.patience)
    except Exception as error:
        # What went wrong first: Cockpit stumbles once more as it leaves its context.
        first: BaseException = error
        while first.__context__ is not None:
            first = first.__context__
        print(f"{options.way} {options.model}: {type(first).__name__}: {first}", file=sys.stderr)
        return 1
    report(f"{options.way}_{options.model}", found, single=not options.device.startswith("cuda"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
