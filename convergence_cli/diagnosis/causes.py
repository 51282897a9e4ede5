"""What each cause explains: data, read by ``rank``.

Keys of ``supports`` and ``against`` are rule codes, or ``CODE:side`` where the finding's evidence has that
``side``. A weight is the probability that the cause, where present, would by itself bring the finding about;
``against`` holds the factors by which a finding makes the cause less likely, ``in_context`` the factors of what is
known of the run beside its findings (see ``values.contexts_of``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class CauseModel:
    """One cause: what it is in a sentence, what speaks for and against it, and what would settle it."""

    name: str
    explanation: str
    supports: Mapping[str, float]
    against: Mapping[str, float] = field(default_factory=dict)
    would_confirm: tuple[str, ...] = ()
    in_context: Mapping[str, float] = field(default_factory=dict)


_RATE = "repeat the first steps at a third of the learning rate: it should stay stable"
_NORMS = "log the gradient norm at every step"
_TENSORS = "record weights, gradients and activations for some steps"

CAUSES = (
    CauseModel(
        "learning-rate-too-high",
        "Steps are larger than the curvature of the loss allows, so that they climb instead of descending.",
        {
            "LC101:from-start": 0.7,
            "LC101:after-progress": 0.6,
            "LC105": 0.6,
            "LC106": 0.5,
            "LC102:lasting": 0.5,
            "LC001:from-start": 0.4,
            "LC001:later": 0.45,
            "LC002": 0.4,
            "GR001": 0.5,
            "GR003": 0.5,
            "GR004": 0.15,
            "LR101:high": 0.9,
            "LR103:guilty": 0.5,
            "LC103:chance": 0.2,
            "LC103:blown-up": 0.6,
            "WT102": 0.8,
            "GR102:growing": 0.4,
            "GR102:non-finite": 0.4,
            "WT104": 0.3,
            "TE101:growing": 0.3,
            "GR103": 0.3,
        },
        {"LR101:low": 0.1, "LR102:never": 0.02, "WT101": 0.02, "WT103:all": 0.05},
        (_RATE, _NORMS),
        {"rate-high": 2.0, "rate-low": 0.3, "converging": 0.3},
    ),
    CauseModel(
        "learning-rate-too-low",
        "Steps are too small to move the weights within the length of the run.",
        {
            "LC103:flat": 0.45,
            "LC103:chance": 0.25,
            "LC103:validation-at-chance": 0.2,
            "LR101:low": 0.9,
            "LR102:never": 0.97,
            "LR102:late": 0.3,
            "WT101": 0.9,
        },
        {"LR101:high": 0.05, "LC106": 0.3, "GR002:zero": 0.3, "WT102": 0.05, "WT103:all": 0.3, "GR101": 0.3},
        ("repeat 200 steps at ten times the learning rate: the loss should begin to fall", _TENSORS),
        {"rate-high": 0.2, "rate-low": 1.6, "converging": 0.3},
    ),
    CauseModel(
        "exploding-gradient",
        "Gradients grow on their way back through the network (depth, recurrence, missing normalisation).",
        {
            "GR001": 0.6,
            "LC101:after-progress": 0.25,
            "LC001:later": 0.3,
            "GR003": 0.4,
            "LC102:lasting": 0.3,
            "GR102:growing": 0.6,
            "GR102:from-start": 0.75,
            "GR102:non-finite": 0.4,
        },
        {"LR101:high": 0.6},
        (_NORMS, _TENSORS),
    ),
    CauseModel(
        "vanishing-gradient",
        "The gradient fades on its way to the first layers (depth, saturating activations, small initialization).",
        {"GR002:faded": 0.7, "LC103:chance": 0.2, "LC103:flat": 0.15, "GR101": 0.93},
        {"GR001": 0.1, "LR102:never": 0.1},
        (_NORMS, _TENSORS),
    ),
    CauseModel(
        "dying-relu",
        "Most units output zero for every input and pass no gradient back.",
        {
            "LC105": 0.45,
            "GR002:zero": 0.4,
            "GR002:faded": 0.3,
            "LC103:chance": 0.18,
            "LC103:blown-up": 0.35,
            "AC101": 0.93,
            "GR103": 0.5,
            "TE103": 0.4,
        },
        {"GR001": 0.3},
        (_TENSORS,),
    ),
    CauseModel(
        "frozen-parameters",
        "The optimizer does not hold the parameters that should learn, or they require no gradient.",
        {"LC103:flat": 0.25, "LC103:chance": 0.15, "GR002:zero": 0.6, "WT103": 0.92, "TE104": 0.7, "WT103:all": 0.5},
        {"LR102:never": 0.1, "LR101:low": 0.5, "GR001": 0.05},
        ("compare two checkpoints: parameters that should train must differ", _TENSORS),
    ),
    CauseModel(
        "label-noise",
        "The labels do not belong to the inputs (shuffled, misaligned, or wrong).",
        {"LC103:chance": 0.18, "LC103:validation-at-chance": 0.6, "DA104": 0.5, "DA103:other": 0.5},
        {"LR102:never": 0.1, "GR002:zero": 0.2},
        ("try to overfit one batch of 16 samples: if that works, check how labels and inputs are paired",),
    ),
    CauseModel(
        "numerical-overflow",
        "Values leave the range of the number format (float16, log of zero, division by zero).",
        {
            "LC001:later": 0.35,
            "LC001:from-start": 0.3,
            "LC001:validation": 0.3,
            "LC002": 0.5,
            "GR004": 0.4,
            "GR005": 0.9,
            "TE101:non-finite": 0.3,
            "GR102:non-finite": 0.3,
        },
        {"LR101:high": 0.6},
        ("repeat in bfloat16 or float32: the NaN should be gone", "log the loss scale"),
    ),
    CauseModel(
        "bad-batch",
        "A few samples (corrupt, extreme, or empty) throw the step far off.",
        {
            "LC102:recovered": 0.5,
            "LC102:lasting": 0.35,
            "LC001:from-start": 0.25,
            "LC001:later": 0.1,
            "GR103": 0.3,
            "TE101:input": 0.9,
            "TE101:non-finite": 0.25,
        },
        {},
        ("replay the batches of the steps before the spike", _NORMS),
    ),
    CauseModel(
        "missing-warmup",
        "The optimizer takes full steps before it has an estimate of the gradient's size.",
        {"LR104": 0.6},
        {},
        ("repeat with a warm-up over the first 5 % of the steps",),
    ),
    CauseModel(
        "missing-decay",
        "At a constant rate the loss settles where the noise of the gradient holds it.",
        {"LR105": 0.6, "LC104": 0.5},
        {"LC107": 0.3},
        ("cut the rate to a tenth from the last checkpoint: the loss should step down",),
    ),
    CauseModel(
        "overfitting",
        "The model fits what is particular to the training data.",
        {"GN101": 0.9, "GN102": 0.25},
        {},
        ("evaluate the checkpoint of the best step on fresh data",),
    ),
    CauseModel(
        "insufficient-training",
        "The run stopped while it was still getting better.",
        {"LC107": 0.7},
        {},
        ("continue from the last checkpoint",),
    ),
    CauseModel(
        "initialization-too-large",
        "The network starts confidently wrong: its first outputs are far too large.",
        {"LC108": 0.5, "IN103": 0.93, "GR102:from-start": 0.3, "AC102": 0.2, "IN104": 0.3},
        {},
        ("look at the scale of the outputs before the first step",),
    ),
    CauseModel(
        "data-leakage",
        "Validation data is (partly) the training data.",
        {"LG003": 0.5, "GN103": 0.1},
        {},
        ("count samples that both sets share",),
    ),
    CauseModel(
        "saturated-activation",
        "Units of a sigmoid or tanh layer sit where the function is flat, and pass almost no gradient back.",
        {"AC102": 0.93},
        {},
        ("look at the inputs of the layer: they should lie within a few units of zero",),
    ),
    CauseModel(
        "symmetric-initialization",
        "Units that start as copies of one another get the same gradient and stay copies.",
        {"IN101": 0.95},
        {},
        ("initialise the layer at random and compare the first 100 steps",),
    ),
    CauseModel(
        "initialization-too-small",
        "The first weights shrink signals and gradients on their way through the layers.",
        {"IN102": 0.93, "IN104": 0.3, "GR101": 0.2},
        {"IN103": 0.3},
        ("look at the spread of each layer's outputs before the first step",),
    ),
    CauseModel(
        "unnormalized-input",
        "Inputs far from zero, or of very different scales, make the loss steep in some directions and flat in others.",
        {"DA101": 0.93},
        {},
        ("standardise the inputs and repeat the first 100 steps",),
    ),
    CauseModel(
        "class-imbalance",
        "A few classes make up most of the data, and the loss is won by predicting them.",
        {"DA102": 0.85, "DA103:minority": 0.4},
        {},
        ("look at the recall of each class",),
    ),
    CauseModel(
        "attention-collapse",
        "Attention scores have grown until each query attends to one position, where the softmax has no gradient.",
        {"AC104": 0.9},
        {},
        ("look at the entropy of the attention weights",),
    ),
    CauseModel(
        "logit-drift",
        "The output scores drift together: softmax does not see it, number formats do.",
        {"AC105": 0.85},
        {},
        ("log the logarithm of the softmax normaliser",),
    ),
    CauseModel(
        "activation-growth",
        "The scale of activations grows from step to step, as residual streams without normalisation do.",
        {"AC103": 0.8, "TE101:growing": 0.4, "WT104": 0.4},
        {},
        (_TENSORS,),
    ),
    CauseModel(
        "unsynchronized-replicas",
        "Workers that should hold one model train different ones.",
        {"DI101": 0.95},
        {},
        ("compare a checksum of the weights on all workers after each step",),
    ),
    CauseModel(
        "padding",
        "Most of each batch is padding, which costs compute and teaches nothing.",
        {"DA105:padding": 0.9},
        {},
        ("count the tokens that are not padding in some batches",),
    ),
)
