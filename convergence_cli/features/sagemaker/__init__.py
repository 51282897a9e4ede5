"""What the rules of SageMaker Debugger compare, by their documentation: it is the reference, not the better measure.

The implementation of these rules was never published. Where the documentation does not say how a number is made,
``docs/sagemaker.md`` says what was taken.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convergence_cli.features.evidence import Evidence

PREFIX = "sagemaker_"
# Each name that a rule may use as a parameter, and the module whose ``<name without prefix>_of(evidence)`` computes it.
FEATURES = {
    "sagemaker_gradients": "tensors",
    "sagemaker_nonfinite": "tensors",
    "sagemaker_relu": "tensors",
    "sagemaker_saturation": "tensors",
    "sagemaker_updates": "tensors",
    "sagemaker_variance": "tensors",
    "sagemaker_zeros": "tensors",
    "sagemaker_unchanged": "tensors",
    "sagemaker_initialization": "initialization",
    "sagemaker_losses": "losses",
    "sagemaker_gaps": "losses",
    "sagemaker_waits": "losses",
    "sagemaker_labels": "data",
    "sagemaker_predictions": "data",
    "sagemaker_images": "data",
    "sagemaker_tokens": "data",
    "sagemaker_depth": "trees",
    "sagemaker_importance": "trees",
}
# Those made of logged losses alone.
OF_LOSSES = frozenset(name for name, module in FEATURES.items() if module == "losses")


def feature_of(name: str, evidence: Evidence) -> Any:
    """The feature ``name``, a ``Missing`` with the reason, or None where the run has nothing to make it of."""
    module = import_module(f"convergence_cli.features.sagemaker.{FEATURES[name]}")
    return getattr(module, f"{name.removeprefix(PREFIX)}_of")(evidence)
