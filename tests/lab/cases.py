"""The runs on which rules on tensors are tested: each fault on at most three architectures, several seeds each."""

from __future__ import annotations

import os

import pytest

from lab.catalogue import FAULTS, HEALTHY
from lab.judging import alarms, is_found, said
from lab.runs import trained
from lab.setup import ARCHITECTURES

# Five: make bench-lab.
SEEDS = range(int(os.environ.get("LAB_SEEDS", "2")))
ARCHITECTURES_TESTED = 3


def faults(*names: str) -> pytest.MarkDecorator:
    """Parametrises ``fault``, ``architecture`` by the named faults."""
    pairs = [(name, one) for name in names for one in FAULTS[name].architectures[:ARCHITECTURES_TESTED]]
    return pytest.mark.parametrize(("fault", "architecture"), pairs)


def check_fault(fault: str, architecture: str) -> None:
    """The rule finds the fault, at a layer that it hits, whatever the seed."""
    for seed in SEEDS:
        truth = trained(fault, architecture, seed)
        assert is_found(truth), f"{architecture} with seed {seed}: {said(truth)}; hit is {truth.layers}"


def twins() -> pytest.MarkDecorator:
    """Parametrises ``architecture`` by all of them."""
    return pytest.mark.parametrize("architecture", ARCHITECTURES)


def odd() -> pytest.MarkDecorator:
    """Parametrises ``kind``, ``architecture`` by the odd but healthy kinds."""
    pairs = [(kind.name, architecture) for kind in HEALTHY.values() for architecture in kind.architectures]
    return pytest.mark.parametrize(("kind", "architecture"), pairs)


def check_healthy(kind: str | None, architecture: str, seed: int) -> None:
    """No tensor rule raises a warning."""
    truth = trained(kind, architecture, seed)
    assert alarms(truth) == (), f"{kind or 'twin'}, {architecture}, seed {seed}: {said(truth)}"
