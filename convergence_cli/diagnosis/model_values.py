"""The changes of remedies that concern the model and the training step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convergence_cli.diagnosis.tensor_values import faded
from convergence_cli.features.tensors.series import matrices_of, series_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from convergence_cli.features.evidence import Evidence

    Value = tuple[dict[str, Any], str]

COMMON_WIDTH = 64
# So many layers want more than a good start.
DEEP = 6


def rectified(evidence: Evidence, facts: Mapping[str, float]) -> Value | None:
    """Rectified units with He's initialization."""
    flat = max(facts.get("flat_first", 0.0), facts.get("flat_end", 0.0))
    norm = evidence.grad_norm
    seen = faded(evidence)
    if seen is None and flat > 0:
        seen = f"{flat:.0%} of the values of a layer lie where its function is flat"
    if seen is None:
        seen = "No gradient is dumped to show where it fades" if norm is None else f"Its norm ends at {norm.end:.3g}"
    why = f"{seen}; rectified units with He initialization keep the gradient's variance through the layers."
    change = {"activation": "relu", "weight_init": "he"}
    stats = evidence.run.tensors
    layers = 0 if stats is None else len(matrices_of(series_of(stats, "weight")))
    if layers >= DEEP:
        change["normalization"] = "layer"
        why += f" Over {layers} layers normalisation holds it beyond the start, too."
    return change, why


def leaky(evidence: Evidence, facts: Mapping[str, float]) -> Value | None:
    """Leaky units, and biases that do not hold them off."""
    dead = max(facts.get("dead_first", 0.0), facts.get("dead_end", 0.0))
    seen = f"{dead:.0%} of the units of a layer are off for every sample. " if dead else ""
    why = f"{seen}A leak of 0.01 passes gradient through units that are off, so that they can come back."
    return {"activation": "leaky_relu", "weight_init": "he", "bias_init": "zeros"}, why


def normalization(evidence: Evidence, facts: Mapping[str, float]) -> Value | None:
    return {"normalization": "layer"}, "Normalised layers hold the scale of activations and gradients at any depth."


def qk_norm(evidence: Evidence, facts: Mapping[str, float]) -> Value | None:
    return {"normalization": "qk"}, "Normalised queries and keys bound the attention scores."


def z_loss(evidence: Evidence, facts: Mapping[str, float]) -> Value | None:
    return {"z_loss": 1e-4}, "A loss of 1e-4 times the squared log-normaliser holds the scores near zero."


def bfloat16(evidence: Evidence, facts: Mapping[str, float]) -> Value | None:
    """The range of float32, and no step into what is not finite."""
    since = evidence.verdict.since_step
    seen = "" if since is None else f" (here from step {since:g} on)"
    why = (
        "bfloat16 has the range of float32 (up to 3.4e38; float16 ends at 65504) at the same cost; steps whose "
        f"gradient is not finite{seen} are left out."
    )
    return {"precision": "bf16", "skip_nonfinite": True}, why


def unfreeze(evidence: Evidence, facts: Mapping[str, float]) -> Value | None:
    weights = [] if evidence.run.tensors is None else series_of(evidence.run.tensors, "weight")
    still = [one.name for one in weights if len(one.step) > 1 and not one.number("change")[1:].any()]
    seen = f"{len(still)} of {len(weights)} weights never change ({', '.join(still[:2])}): " if still else ""
    why = (
        f"{seen}build the optimizer from all parameters of the final model, and check that each has requires_grad and "
        "that optimizer.step() is called."
    )
    return {"trainable": "all"}, why


def clear_gradients(evidence: Evidence, facts: Mapping[str, float]) -> Value | None:
    norm = evidence.grad_norm
    seen = ""
    if norm is not None and norm.growth > 2:
        seen = f"The gradient norm grew {norm.growth:.3g}-fold, as sums over steps do. "
    return {"zero_grad": True}, f"{seen}Clear the gradients once for each step of the optimizer."


def synchronous(evidence: Evidence, facts: Mapping[str, float]) -> Value | None:
    return {"gradient_staleness": 0}, "Apply each gradient to the weights that it was computed at."


def synchronize(evidence: Evidence, facts: Mapping[str, float]) -> Value | None:
    why = "Broadcast the weights from rank 0 at the start, and reduce gradients before they are clipped."
    return {"replicas": "broadcast"}, why


def logits(evidence: Evidence, facts: Mapping[str, float]) -> Value | None:
    end = "" if evidence.loss is None else f" The loss rests at {evidence.loss.shape.end:.4g}."
    return {"output": "logits"}, f"A cross entropy applies the softmax itself: leave it out of the model.{end}"


def widen(evidence: Evidence, facts: Mapping[str, float]) -> Value | None:
    """Four times the narrowest hidden layer, at least the common width."""
    stats = evidence.run.tensors
    weights = () if stats is None else matrices_of(series_of(stats, "weight"))
    widths = [one.shape[0] for one in weights[:-1] if one.shape is not None]
    if not widths:
        return {}, "No value can be given: no weights are dumped. Make the hidden layers 4 times as wide."
    narrow = min(widths)
    value = max(4 * narrow, COMMON_WIDTH)
    return {"hidden_width": value}, f"The narrowest hidden layer has {narrow} units: it bounds what passes."
