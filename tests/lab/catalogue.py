"""The list of faults and of healthy kinds; each module of the lab adds its own to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lab.setup import Setup

# Makes the training of (architecture, seed, level), where level picks how severe the fault is.
Make = Callable[[str, int, int], Setup]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of training. ``rules``: the names of those of which one must fire, the main one first; none if healthy."""

    name: str
    make: Make
    architectures: tuple[str, ...]
    levels: int
    rules: tuple[str, ...] = ()


FAULTS: dict[str, Kind] = {}
HEALTHY: dict[str, Kind] = {}


def fault(name: str, architectures: str, *, levels: int, rules: str = "") -> Callable[[Make], Make]:
    """Adds a fault that the rule ``name`` must find, or another of ``rules`` where they truly coincide.

    ``architectures`` and ``rules`` are words.
    """

    def add(make: Make) -> Make:
        FAULTS[name] = Kind(name, make, tuple(architectures.split()), levels, tuple((rules or name).split()))
        return make

    return add


def healthy(name: str, architectures: str) -> Callable[[Make], Make]:
    """Adds an unusual training on which no rule may raise a warning."""

    def add(make: Make) -> Make:
        HEALTHY[name] = Kind(name, make, tuple(architectures.split()), 1)
        return make

    return add
