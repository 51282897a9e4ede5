"""From the name of a fault to a run folder and the truth about it."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lab import activation_faults, data_faults, gradient_faults, initialization_faults, odd_but_healthy, weight_faults
from lab.catalogue import FAULTS, HEALTHY, Kind
from lab.recording import record
from lab.setup import setup_of
from lab.training import train

MODULES = (activation_faults, data_faults, gradient_faults, initialization_faults, odd_but_healthy, weight_faults)


@dataclass(frozen=True, slots=True)
class Truth:
    """What is known of a run. ``layers`` are the modules hit, empty where the fault has no place;

    ``rules`` are those of which at least one must fire, the main one first; empty on a healthy run.
    ``rows`` are (step, training loss, held-out loss, learning rate) as logged.
    """

    fault: str | None
    architecture: str
    seed: int
    folder: Path
    layers: tuple[str, ...]
    rules: tuple[str, ...]
    rows: tuple[tuple[int, float, float, float], ...]

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong with the run."""
        return not self.rules


def kind_of(name: str) -> Kind:
    """The fault or the healthy kind of that name."""
    found = FAULTS.get(name) or HEALTHY.get(name)
    if found is None:
        raise ValueError(f"{name!r} is none of {', '.join([*FAULTS, *HEALTHY])}")
    return found


def run_of(fault: str | None, architecture: str, seed: int, folder: Path, *, recorded: bool = False) -> Truth:
    """Trains ``architecture`` with ``fault`` into ``folder``, which must not exist.

    ``fault`` is a name of ``FAULTS`` or of ``HEALTHY``; None is the healthy twin. The seed also picks the severity.
    ``recorded``: by our recorder, in place of a log and dumps (``rows`` is empty then).
    """
    if fault is None:
        setup, rules = setup_of(architecture, seed), ()
    else:
        kind = kind_of(fault)
        if architecture not in kind.architectures:
            raise ValueError(f"{fault} is not made for {architecture}, but for {', '.join(kind.architectures)}")
        setup, rules = kind.make(architecture, seed, seed % kind.levels), kind.rules
    if recorded:
        record(setup, folder)
        # Nobody has told the recorder what the output is called.
        layers = (*setup.layers, "output") if "logits" in setup.layers else setup.layers
        return Truth(fault, architecture, seed, folder, layers, rules, ())
    rows = train(setup, folder)
    return Truth(fault, architecture, seed, folder, setup.layers, rules, tuple(rows))


@functools.cache
def _shelf() -> Path:
    shelf = Path(tempfile.mkdtemp(prefix="lab-"))
    atexit.register(shutil.rmtree, shelf, ignore_errors=True)
    return shelf


@functools.cache
def trained(fault: str | None, architecture: str, seed: int) -> Truth:
    """Like ``run_of``, into a temporary folder that lives as long as this process; each run is trained once."""
    return run_of(fault, architecture, seed, _shelf() / f"{fault or 'twin'}-{architecture}-{seed}")
