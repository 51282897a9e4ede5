"""Features of dumped tensors: pure functions of ``TensorStats``, each in the module of its name."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convergence_cli.features.evidence import Evidence

# Each name that a rule may use as a parameter, and the module whose ``<name>_of(stats, evidence)`` computes it.
FEATURES = {
    "tensors": "facts",
    "gradients": "gradients",
    "weights": "weights",
    "updates": "updates",
    "initialization": "initialization",
    "activations": "activations",
    "bounded_activations": "activations",
    "activation_scales": "activations",
    "first_activations": "depth",
    "dead_units": "idle",
    "attention_logits": "logits",
    "output_logits": "logits",
    "inputs": "inputs",
    "labels": "labels",
    "predictions": "labels",
    "tokens": "labels",
    "replicas": "replicas",
    "writer": "writer",
    "trees": "trees",
}


def feature_of(name: str, evidence: Evidence) -> Any:
    """The feature ``name``, a ``Missing`` with the reason, or None where the run dumped no tensors."""
    stats = evidence.run.tensors
    if stats is None:
        return None
    module = import_module(f"convergence_cli.features.tensors.{FEATURES[name]}")
    return getattr(module, f"{name}_of")(stats, evidence)
