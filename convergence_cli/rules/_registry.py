"""How a function becomes a rule: the decorator, and what a rule may ask for by naming it as a parameter."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from convergence_cli.model import DEFAULT_PROFILE, PROFILES, Finding, Severity, Where

if TYPE_CHECKING:
    from collections.abc import Mapping

Check = Callable[..., Iterator[Finding]]

# Every name a rule may use as a parameter, and what a run must log to have it.
PARAMETERS = {
    "loss": "train_loss or val_loss",
    "train_loss": "train_loss",
    "val_loss": "val_loss",
    "broken": "train_loss or val_loss",
    "gap": "val_loss",
    "accuracy": "train_accuracy or val_accuracy",
    "metric": "val_accuracy or val_metric",
    "learning_rate": "learning_rate",
    "grad_norm": "grad_norm",
    "loss_scale": "loss_scale",
    "masked_nan": "train_loss",
    "oscillation": "20 points of a loss",
    "power_law": "8 points of a falling loss",
    "chance": "train_loss or val_loss",
    "verdict": "train_loss or val_loss",
    "config": "a config file",
    "tensors": "a tensor dump",
    "gradients": "gradients in a tensor dump",
    "weights": "weights in a tensor dump",
    "updates": "weights at two steps, or updates, in a tensor dump",
    "initialization": "weights of the first steps in a tensor dump",
    "activations": "activations in a tensor dump",
    "bounded_activations": "hidden sigmoid or tanh layers in a tensor dump",
    "activation_scales": "activations at four steps in a tensor dump",
    "first_activations": "activations of the first steps in a tensor dump",
    "dead_units": "activations, or gradients, in a tensor dump",
    "attention_logits": "attention logits in a tensor dump",
    "output_logits": "output logits in a tensor dump",
    "inputs": "inputs in a tensor dump",
    "labels": "class labels in a tensor dump",
    "predictions": "class labels and outputs of the same steps in a tensor dump",
    "tokens": "integer inputs of sequences in a tensor dump",
    "replicas": "dumps of several workers",
    "writer": "a dump or log with times",
    "trees": "trees or feature importances of a boosted model",
    "log": "a log",
    "sagemaker_gradients": "gradients in a tensor dump",
    "sagemaker_nonfinite": "a tensor dump",
    "sagemaker_relu": "outputs of ReLU layers in a tensor dump",
    "sagemaker_saturation": "tanh or sigmoid layers in a tensor dump",
    "sagemaker_updates": "weights at two steps in a tensor dump",
    "sagemaker_variance": "a bound, for which there is no default",
    "sagemaker_zeros": "a tensor dump",
    "sagemaker_unchanged": "a tensor at three steps in a tensor dump",
    "sagemaker_initialization": "weights, gradients or train_loss of the first steps",
    "sagemaker_losses": "train_loss or val_loss",
    "sagemaker_gaps": "train_loss and val_loss",
    "sagemaker_waits": "train_loss and val_loss",
    "sagemaker_labels": "class labels in a tensor dump",
    "sagemaker_predictions": "class labels and outputs of the same steps in a tensor dump",
    "sagemaker_images": "input images in a tensor dump",
    "sagemaker_tokens": "integer inputs of sequences in a tensor dump",
    "sagemaker_depth": "trees of a boosted model",
    "sagemaker_importance": "feature importances of a boosted model",
}
SECTIONS = ("What it checks", "Why it matters", "How it decides", "Known false alarms", "References")
_CODE = re.compile(r"^[A-Z]{2}\d{3}$")
_NAME = re.compile(r"^[a-z0-9]+(-[a-z0-9]+)*$")


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule and its metadata; ``needs`` and ``optional`` are the parameter names of ``check``.

    ``profile`` is the set of rules to which it belongs (see ``selection``).
    """

    code: str
    name: str
    severity: Severity
    since: str
    check: Check
    needs: tuple[str, ...]
    optional: tuple[str, ...]
    doc: str
    profile: str = DEFAULT_PROFILE

    @property
    def summary(self) -> str:
        return self.doc.splitlines()[0]


def rule(
    code: str, name: str, *, severity: Severity, since: str, profile: str = DEFAULT_PROFILE
) -> Callable[[Check], Rule]:
    """Make a rule of a function. ``severity`` is the highest that it gives; parameters with a default are optional.

    A wrong code, name or parameter, or a docstring without its sections, fails at import.
    """
    if profile not in PROFILES:
        raise ValueError(f"rule {code}: there is no profile {profile}")
    if not _CODE.match(code) or not _NAME.match(name):
        raise ValueError(f"rule {code} {name}: two capitals and three digits, and a kebab-case name, are required")

    def decorate(check: Check) -> Rule:
        doc = inspect.cleandoc(check.__doc__ or "")
        missing = [section for section in SECTIONS if f"\n{section}\n" not in f"\n{doc}\n"]
        parameters = inspect.signature(check).parameters.values()
        unknown = [p.name for p in parameters if p.name not in PARAMETERS]
        if missing or unknown:
            raise ValueError(f"rule {code}: docstring lacks {missing}, unknown parameters {unknown}")
        needs = tuple(p.name for p in parameters if p.default is inspect.Parameter.empty)
        optional = tuple(p.name for p in parameters if p.default is not inspect.Parameter.empty)
        return Rule(code, name, severity, since, check, needs, optional, doc, profile)

    return decorate


def finding(
    message: str,
    *,
    severity: Severity,
    confidence: float,
    evidence: Mapping[str, Any],
    series: str | None = None,
    layer: str | None = None,
    first_step: float | None = None,
    last_step: float | None = None,
    line: int | None = None,
    file: str | None = None,
) -> Finding:
    """A finding of the rule that yields it; code, name and fingerprint are filled in by the runner."""
    where = Where(series=series, layer=layer, first_step=first_step, last_step=last_step, file=file, line=line)
    known = {name: value for name, value in evidence.items() if value is not None}
    # Never rounded up to certainty.
    sure = 1.0 if confidence >= 1 else min(round(max(confidence, 0.0), 3), 0.999)
    return Finding("", "", severity, sure, message, where, known)
