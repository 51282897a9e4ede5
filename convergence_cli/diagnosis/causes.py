"""What each cause is, which findings it explains, and what would settle it: data, read by ``noisy_or`` and ``rank``.

Keys of ``supports`` and ``against`` are rule codes, or ``CODE:side`` where the finding's evidence has that
``side``. A weight is the probability that the cause, where present, would by itself bring the finding about;
``against`` holds the factors by which a finding makes the cause less likely, ``in_context`` the factors of what is
known of the run beside its findings (see ``values.contexts_of``). ``never`` are verdicts that the cause cannot bring
about.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Settling:
    """Evidence that would settle whether a cause holds: ``what`` to do, and the fact that says it is there already."""

    what: str
    unless: str = ""


@dataclass(frozen=True, slots=True)
class CauseModel:
    """One cause: what it is in a sentence, what speaks for and against it, and what would settle it."""

    name: str
    explanation: str
    supports: Mapping[str, float] = field(default_factory=dict)
    against: Mapping[str, float] = field(default_factory=dict)
    would_confirm: tuple[Settling, ...] = ()
    in_context: Mapping[str, float] = field(default_factory=dict)
    never: tuple[str, ...] = ()


_SHORT_RUN = Settling("repeat the first steps at a third of the learning rate: it should stay stable")
_NORMS = Settling("log the gradient norm at every step", "norm_logged")
_TENSORS = Settling("record 20 steps with the recorder (weights, gradients, activations)", "dumped")
_VALIDATION = Settling("log a validation loss, 8 times at least", "val_logged")
_ACCURACY = Settling("log the training accuracy beside the loss", "accuracy_logged")
_SCHEDULE = Settling("log the learning rate", "schedule_logged")
_CLASSES = Settling("write num_classes into the run's config", "chance_known")

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
            "LR107:high": 0.8,
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
        (_SHORT_RUN, _NORMS, _TENSORS),
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
            "LR106": 0.9,
            "LR107:low": 0.8,
            "LR102:never": 0.97,
            "LR102:late": 0.3,
            "WT101": 0.9,
        },
        {"LR101:high": 0.05, "LC106": 0.3, "GR002:zero": 0.3, "WT102": 0.05, "WT103:all": 0.3, "GR101": 0.3},
        (
            Settling("repeat 200 steps at ten times the learning rate: the loss should begin to fall"),
            _SCHEDULE,
            _TENSORS,
        ),
        {"rate-high": 0.2, "rate-low": 1.6, "converging": 0.3},
        never=(
            "diverging",
            "overfitting",
        ),
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
        never=("diverging",),
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
        (Settling("compare two checkpoints: parameters that should train must differ"), _TENSORS),
        never=("diverging",),
    ),
    CauseModel(
        "label-noise",
        "Labels do not belong to their inputs (wrong, misaligned, or shuffled).",
        {"LC103:chance": 0.18, "LC103:validation-at-chance": 0.6, "DA104": 0.5, "DA103:other": 0.5},
        {"LR102:never": 0.1, "GR002:zero": 0.2},
        (
            Settling("try to overfit one batch of 16 samples: if that works, check how labels and inputs are paired"),
            Settling("read the 50 training samples of the highest loss at the end"),
            _ACCURACY,
            _VALIDATION,
        ),
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
        (
            Settling("repeat in bfloat16 or float32: the NaN should be gone"),
            Settling("log the loss scale", "loss_scale_logged"),
            _TENSORS,
        ),
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
        (Settling("replay the batches of the steps before the spike"), _NORMS),
        never=("stuck",),
    ),
    CauseModel(
        "missing-warmup",
        "The optimizer takes full steps before it has an estimate of the gradient's size.",
        {"LR104": 0.6},
        {},
        (Settling("repeat with a warm-up over the first 5 % of the steps"), _SCHEDULE),
    ),
    CauseModel(
        "missing-decay",
        "At a constant rate the loss settles where the noise of the gradient holds it.",
        {"LR105": 0.6, "LC104": 0.5},
        {"LC107": 0.3},
        (Settling("cut the rate to a tenth from the last checkpoint: the loss should step down"), _SCHEDULE),
        never=("diverging",),
    ),
    CauseModel(
        "overfitting",
        "The model fits what is particular to the training data.",
        {"GN101": 0.9, "GN102": 0.25},
        {},
        (Settling("evaluate the checkpoint of the best step on fresh data"), _VALIDATION),
        never=("stuck",),
    ),
    CauseModel(
        "underfitting",
        "The model cannot express the data: too small, held back by too strong a regularisation, or given too little.",
        {"LC103:chance": 0.1, "LC104": 0.1},
        {},
        (
            Settling("train without weight decay and dropout on 100 samples: it should reach a loss of almost 0"),
            _ACCURACY,
            _TENSORS,
        ),
        never=("diverging",),
    ),
    CauseModel(
        "insufficient-training",
        "The run stopped while it was still getting better.",
        {"LC107": 0.7},
        {},
        (Settling("continue from the last checkpoint"),),
        never=(
            "diverging",
            "overfitting",
        ),
    ),
    CauseModel(
        "initialization-too-large",
        "The network starts confidently wrong: its first outputs are far too large.",
        {"LC108": 0.5, "IN103": 0.93, "GR102:from-start": 0.3, "AC102": 0.2, "IN104": 0.3},
        {},
        (Settling("look at the scale of the outputs before the first step"), _CLASSES, _TENSORS),
    ),
    CauseModel(
        "initialization-too-small",
        "The first weights shrink signals and gradients on their way through the layers.",
        {"IN102": 0.93, "IN104": 0.3, "GR101": 0.2},
        {"IN103": 0.3},
        (Settling("look at the spread of each layer's outputs before the first step"), _TENSORS),
    ),
    CauseModel(
        "symmetric-initialization",
        "Units that start as copies of one another get the same gradient and stay copies.",
        {"IN101": 0.95},
        {},
        (Settling("initialise the layer at random and compare the first 100 steps"), _TENSORS),
        never=("diverging",),
    ),
    CauseModel(
        "data-leakage",
        "Validation data is (partly) the training data.",
        {"LG003": 0.5, "GN103": 0.1},
        {},
        (Settling("count samples that both sets share"), _VALIDATION),
        never=(
            "diverging",
            "overfitting",
        ),
    ),
    CauseModel(
        "saturated-activation",
        "Units of a sigmoid or tanh layer sit where the function is flat, and pass almost no gradient back.",
        {"AC102": 0.93},
        {},
        (Settling("look at the inputs of the layer: they should lie within a few units of zero"), _TENSORS),
    ),
    CauseModel(
        "unnormalized-input",
        "Inputs far from zero, or of very different scales, make the loss steep in some directions and flat in others.",
        {"DA101": 0.93},
        {},
        (Settling("standardise the inputs and repeat the first 100 steps"), _TENSORS),
    ),
    CauseModel(
        "unscaled-target",
        "The targets are so large, or so far from zero, that the first steps go into their scale alone.",
        {"LC101:from-start": 0.1},
        {},
        (Settling("look at mean and spread of the targets: near 0 and 1 they suit any loss"), _TENSORS),
    ),
    CauseModel(
        "class-imbalance",
        "A few classes make up most of the data, and the loss is won by predicting them.",
        {"DA102": 0.85, "DA103:minority": 0.4},
        {},
        (
            Settling("look at the recall of each class"),
            Settling("count the labels, or record them with the recorder", "labels_known"),
        ),
        never=("diverging",),
    ),
    CauseModel(
        "redundant-softmax",
        "The model gives probabilities where the loss expects logits, so that it cannot express how sure it is.",
        {"LC103:chance": 0.1, "LC104": 0.1},
        {},
        (
            Settling("look at the outputs: rows that add up to 1 must not go into a cross entropy of logits"),
            _ACCURACY,
            _CLASSES,
        ),
        never=("diverging",),
    ),
    CauseModel(
        "wrong-loss",
        "The loss does not measure the task: its sign, its pairing of outputs with targets, or its kind is wrong.",
        {"LC101:from-start": 0.25, "LC103:flat": 0.1, "GN104": 0.2},
        {"LR101:high": 0.5},
        (
            Settling("take one step on one batch: the loss of that batch must fall"),
            Settling("compute the loss by hand for two samples"),
            _ACCURACY,
        ),
    ),
    CauseModel(
        "missing-zero-grad",
        "Gradients are added up over steps, so that each step repeats the ones before.",
        {"GR003": 0.2, "LC106": 0.1, "GR102:growing": 0.15},
        {},
        (Settling("print the gradient norm before backward(): it must be 0"), _NORMS, _TENSORS),
    ),
    CauseModel(
        "stale-gradients",
        "Steps follow gradients of weights that are long gone (asynchronous workers, a queue of batches).",
        {"LC106": 0.15},
        {},
        (Settling("repeat with synchronous updates: the swings should be gone"), _NORMS),
    ),
    CauseModel(
        "batch-too-small",
        "A batch of a few samples gives a gradient that is mostly noise at this rate.",
        {"LC106": 0.2},
        {},
        (Settling("repeat with four times the batch size: the loss should end lower"), _NORMS),
    ),
    CauseModel(
        "batch-too-large",
        "The batch holds most of the data, so that the run makes too few steps.",
        {"LC107": 0.1},
        {},
        (Settling("repeat with a quarter of the batch size over as many epochs"),),
        never=("diverging",),
    ),
    CauseModel(
        "attention-collapse",
        "Attention scores have grown until each query attends to one position, where the softmax has no gradient.",
        {"AC104": 0.9},
        {},
        (Settling("look at the entropy of the attention weights"),),
    ),
    CauseModel(
        "logit-drift",
        "The output scores drift together: softmax does not see it, number formats do.",
        {"AC105": 0.85},
        {},
        (Settling("log the logarithm of the softmax normaliser"),),
    ),
    CauseModel(
        "activation-growth",
        "The scale of activations grows from step to step, as residual streams without normalisation do.",
        {"AC103": 0.8, "TE101:growing": 0.4, "WT104": 0.4},
        {},
        (Settling("record activations over 100 steps"),),
    ),
    CauseModel(
        "unsynchronized-replicas",
        "Workers that should hold one model train different ones.",
        {"DI101": 0.95},
        {},
        (Settling("compare a checksum of the weights on all workers after each step"),),
    ),
    CauseModel(
        "padding",
        "Most of each batch is padding, which costs compute and teaches nothing.",
        {"DA105:padding": 0.9},
        {},
        (Settling("count the tokens that are not padding in some batches"),),
    ),
)
