"""Which change answers a cause, with its value computed from this run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from convergence_cli.diagnosis.tensor_remedies import (
    balance_classes,
    bucket_lengths,
    clean_inputs,
    clip_from_gradients,
    desaturate,
    factor_from_updates,
    faded,
    hold_scale,
    initialize,
    normalize_inputs,
    rate_from_updates,
    synchronize,
    tame_attention,
    tame_logits,
)
from convergence_cli.diagnosis.values import (
    CEILINGS,
    clip_norm,
    configured,
    early_stopping_patience,
    epochs_for_twice,
    grows_trees,
    known_rate,
    lower_rate,
    raise_rate,
    resume_step,
    rounded,
    warmup_length,
)
from convergence_cli.model import Remedy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convergence_cli.features.evidence import Evidence
    from convergence_cli.model import Cause

MOST = 6
LARGEST_DECAY = 0.3
# A remedy is no surer than its cause, and the second for a cause less than the first.
_ORDER_DISCOUNT = 0.8

# Of these only the likelier is proposed, also where neither has a value.
_OPPOSITE = {"lower-learning-rate": "raise-learning-rate", "raise-learning-rate": "lower-learning-rate"}

Proposal = tuple[str, dict[str, Any], str, str | None]


def remedies_for(causes: Sequence[Cause], evidence: Evidence) -> tuple[Remedy, ...]:
    """Remedies for ``causes``, likeliest first. The same change key is proposed once, for its likeliest cause."""
    found: list[Remedy] = []
    taken: set[str] = set()
    for cause in causes:
        weight = cause.probability
        for name, change, why, risk in _CATALOGUE.get(cause.name, _nothing)(evidence):
            if change.keys() & taken or any(other.name in {name, _OPPOSITE.get(name)} for other in found):
                continue
            taken |= change.keys()
            origin = {key: value for key in change if (value := _present(key, evidence)) is not None}
            found.append(Remedy(name, cause.name, change, why, round(weight, 3), from_=origin, risk=risk))
            weight *= _ORDER_DISCOUNT
    found.sort(key=lambda remedy: (-remedy.confidence, not remedy.change))
    return tuple(found[:MOST])


def _present(key: str, evidence: Evidence) -> Any:
    """The value in this run, where it is known."""
    if key == "learning_rate":
        rate = known_rate(evidence)
        return None if rate is None else rate[0]
    value = evidence.config.get(key)
    return value if isinstance(value, (int, float, str)) and not isinstance(value, bool) else None


def _nothing(evidence: Evidence) -> list[Proposal]:
    return []


def _rate_too_high(evidence: Evidence) -> list[Proposal]:
    value, why = lower_rate(evidence)
    measured = rate_from_updates(evidence)
    rate = known_rate(evidence)
    if measured is not None and rate is not None and measured[0] < rate[0]:
        value, why = measured
    change = {} if value is None else {"learning_rate": value}
    proposals: list[Proposal] = [("lower-learning-rate", change, why, "slower progress at first")]
    if evidence.verdict.label != "diverging":
        return proposals
    return [*proposals, *_clip(evidence), *_resume(evidence)]


def _rate_too_low(evidence: Evidence) -> list[Proposal]:
    value, why = raise_rate(evidence)
    measured = rate_from_updates(evidence)
    rate = known_rate(evidence)
    ceiling = CEILINGS.get(str(evidence.config.get("optimizer", "")).lower(), CEILINGS["sgd"])
    if measured is not None and rate is not None and rate[0] < measured[0] <= ceiling:
        value, why = measured
    elif value is None:
        why = factor_from_updates(evidence) or why
    change = {} if value is None else {"learning_rate": value}
    return [("raise-learning-rate", change, why, "may become unstable: watch the first 200 steps")]


def _clip(evidence: Evidence) -> list[Proposal]:
    value = clip_norm(evidence) or clip_from_gradients(evidence)
    if value is None:
        return []
    norm, why = value
    return [("clip-gradients", {"gradient_clip_norm": norm}, why, "a value below the usual norm slows training")]


def _resume(evidence: Evidence) -> list[Proposal]:
    value = resume_step(evidence)
    if value is None:
        return []
    step, why = value
    return [("resume-before-the-fault", {"resume_from_step": step}, why, "needs a checkpoint at or before that step")]


def _exploding(evidence: Evidence) -> list[Proposal]:
    return [*_clip(evidence), *_resume(evidence)] or [
        ("clip-gradients", {"gradient_clip_norm": 1.0}, "No gradient norm is logged; 1.0 is the common default.", None)
    ]


def _vanishing(evidence: Evidence) -> list[Proposal]:
    norm = evidence.grad_norm
    seen = "No gradient norm is logged to confirm it" if norm is None else f"The gradient norm ends at {norm.end:.3g}"
    seen = faded(evidence) or seen
    why = f"{seen}; rectified units with He initialization keep its variance through the layers (He et al. 2015)."
    return [
        ("use-rectified-units", {"activation": "relu", "weight_init": "he"}, why, None),
        (
            "add-normalization",
            {"normalization": "layer"},
            "Normalised layers keep the gradient's size at any depth.",
            None,
        ),
    ]


def _dying_relu(evidence: Evidence) -> list[Proposal]:
    why = "A leak of 0.01 passes gradient through units that are off, so that they can come back (Maas et al. 2013)."
    value, rate_why = lower_rate(evidence)
    proposals: list[Proposal] = [("use-leaky-relu", {"activation": "leaky_relu", "weight_init": "he"}, why, None)]
    if value is not None:
        proposals.append(("lower-learning-rate", {"learning_rate": value}, rate_why, "slower progress at first"))
    return proposals


def _frozen(evidence: Evidence) -> list[Proposal]:
    why = (
        "No value to give: call optimizer.step(), build the optimizer from the parameters of the final model, and "
        "check requires_grad of each."
    )
    return [("unfreeze-parameters", {}, why, None)]


def _label_noise(evidence: Evidence) -> list[Proposal]:
    why = (
        "No value to give: a loss at chance level with a live gradient means that "
        "inputs do not predict labels; check their pairing."
    )
    return [("check-labels", {}, why, None)]


def _overflow(evidence: Evidence) -> list[Proposal]:
    why = "bfloat16 has the range of float32 (up to 3.4e38, float16 ends at 65504) at the same cost."
    return [("use-bfloat16", {"precision": "bf16"}, why, "needs a card that has it"), *_resume(evidence)]


def _bad_batch(evidence: Evidence) -> list[Proposal]:
    return [
        *clean_inputs(evidence),
        *_clip(evidence),
        *_resume(evidence),
    ]


def _warmup(evidence: Evidence) -> list[Proposal]:
    steps, why = warmup_length(evidence)
    return [("add-warmup", {"warmup_steps": steps}, why, None)]


def _decay(evidence: Evidence) -> list[Proposal]:
    why = (
        "The rate is constant and the loss has levelled off: a cosine decay to "
        "zero lets it settle (Loshchilov and Hutter 2017)."
    )
    return [("decay-learning-rate", {"lr_schedule": "cosine"}, why, None)]


def _overfitting(evidence: Evidence) -> list[Proposal]:
    patience, why = early_stopping_patience(evidence)
    stop: Proposal = ("stop-early", {"early_stopping": patience}, why, None)
    if grows_trees(evidence):
        return [*_fewer_rounds(evidence), stop]
    present = configured(evidence, "weight_decay")
    if present is not None and present >= LARGEST_DECAY:
        return [*_resume(evidence), stop]
    value = 0.01 if present is None else rounded(min(present * 3, LARGEST_DECAY), 6)
    basis = "No weight decay is known of; 0.01 is the common first value."
    if present is not None:
        basis = f"The weight decay is {present:g} now; three times that is the next step."
    regularise: Proposal = ("raise-weight-decay", {"weight_decay": value}, basis, None)
    return [*_resume(evidence), stop, regularise]


def _fewer_rounds(evidence: Evidence) -> list[Proposal]:
    gap, loss = evidence.gap, evidence.loss
    if gap is None or loss is None:
        return []
    rounds = int(gap.best_step) + (1 if float(loss.curve.step[0]) == 0 else 0)
    why = f"Validation was best after {rounds} rounds ({gap.best:.4g}); later trees fit the training data only."
    return [("use-fewer-rounds", {"epochs": rounds}, why, None)]


def _train_longer(evidence: Evidence) -> list[Proposal]:
    value = epochs_for_twice(evidence)
    if value is None:
        return []
    key, amount, why = value
    return [("train-longer", {key: amount}, why, "costs twice the time; stretch a decaying schedule with it")]


def _initialization(evidence: Evidence) -> list[Proposal]:
    measured = initialize(evidence, "large")
    if measured:
        return measured
    why = "The first loss is far above ln(C): a last layer that starts at zero makes the first output uniform."
    return [("shrink-last-layer", {"weight_init": "zeros_last_layer", "bias_init": "log_class_prior"}, why, None)]


def _leakage(evidence: Evidence) -> list[Proposal]:
    why = "No value to give: split the data again by group (user, document, patient), then compare the two losses."
    return [("split-again", {}, why, None)]


_CATALOGUE: dict[str, Callable[[Evidence], list[Proposal]]] = {
    "learning-rate-too-high": _rate_too_high,
    "learning-rate-too-low": _rate_too_low,
    "exploding-gradient": _exploding,
    "vanishing-gradient": _vanishing,
    "dying-relu": _dying_relu,
    "frozen-parameters": _frozen,
    "label-noise": _label_noise,
    "numerical-overflow": _overflow,
    "bad-batch": _bad_batch,
    "missing-warmup": _warmup,
    "missing-decay": _decay,
    "overfitting": _overfitting,
    "insufficient-training": _train_longer,
    "initialization-too-large": _initialization,
    "data-leakage": _leakage,
    "saturated-activation": desaturate,
    "symmetric-initialization": lambda evidence: initialize(evidence, "copies"),
    "initialization-too-small": lambda evidence: initialize(evidence, "small"),
    "unnormalized-input": normalize_inputs,
    "class-imbalance": balance_classes,
    "attention-collapse": tame_attention,
    "logit-drift": tame_logits,
    "activation-growth": hold_scale,
    "unsynchronized-replicas": synchronize,
    "padding": bucket_lengths,
}
