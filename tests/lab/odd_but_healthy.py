"""Trainings that look odd and are in order: no rule may raise a warning on them."""

from __future__ import annotations

import math

from lab.catalogue import healthy
from lab.setup import Setup, setup_of


@healthy("warmup-cosine", "mlp cnn transformer")
def warmup_cosine(architecture: str, seed: int, level: int) -> Setup:
    """The rate begins near zero and ends there."""
    setup = setup_of(architecture, seed)
    warm, steps = setup.steps // 10, setup.steps

    def rate(step: int) -> float:
        return (step + 1) / warm if step < warm else 0.5 * (1 + math.cos(math.pi * (step - warm) / (steps - warm)))

    setup.schedule = rate
    return setup
