"""Trainings that look odd and are in order: no rule may raise a warning on them."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from lab.catalogue import healthy
from lab.data import ROWS, Data
from lab.models import Network, Recurrent, Stack
from lab.setup import Setup, initialise, setup_of, weight


@healthy("warmup-cosine", "mlp cnn transformer")
def warmup_cosine(architecture: str, seed: int, level: int) -> Setup:
    """The rate begins near zero and ends there."""
    setup = setup_of(architecture, seed)
    warm, steps = setup.steps // 10, setup.steps

    def rate(step: int) -> float:
        return (step + 1) / warm if step < warm else 0.5 * (1 + math.cos(math.pi * (step - warm) / (steps - warm)))

    setup.learning_rate *= 2
    setup.schedule = rate
    return setup


@healthy("batch-norm", "mlp cnn deep-mlp")
def batch_norm(architecture: str, seed: int, level: int) -> Setup:
    """Batch normalisation before each activation."""
    return setup_of(architecture, seed, norm="batch", function="relu")


@healthy("layer-norm", "mlp deep-mlp regression-mlp")
def layer_norm(architecture: str, seed: int, level: int) -> Setup:
    """Layer normalisation before each activation."""
    return setup_of(architecture, seed, norm="layer", function=("relu", "tanh")[seed % 2])


@healthy("residual", "deep-mlp mlp")
def residual(architecture: str, seed: int, level: int) -> Setup:
    """A residual stack, normalised inside each branch."""
    return setup_of(architecture, seed, residual=True, norm="layer", function="gelu")


@healthy("dropout", "mlp transformer")
def dropout(architecture: str, seed: int, level: int) -> Setup:
    """Half of the hidden units are dropped."""
    return setup_of(architecture, seed, dropout=0.5 if architecture == "mlp" else 0.2)


@healthy("strong-weight-decay", "mlp cnn transformer")
def strong_weight_decay(architecture: str, seed: int, level: int) -> Setup:
    """AdamW with a decay ten to fifty times the usual."""
    setup = setup_of(architecture, seed)
    setup.optimizer, setup.learning_rate, setup.weight_decay = "AdamW", 5e-3, (0.1, 0.5)[seed % 2]
    return setup


@healthy("small-batch", "mlp regression-mlp gru")
def small_batch(architecture: str, seed: int, level: int) -> Setup:
    """Four samples a step: every statistic of activations is noisy."""
    setup = setup_of(architecture, seed)
    setup.batch_size, setup.optimizer, setup.learning_rate = 4, "Adam", 2e-3
    setup.steps = 200
    return setup


@healthy("zero-last-layer", "mlp cnn transformer")
def zero_last_layer(architecture: str, seed: int, level: int) -> Setup:
    """The last layer begins at zero, so that the first loss is that of chance."""
    setup = setup_of(architecture, seed)
    head = setup.model.layer(setup.model.layers[-1])
    weight(head).zero_()
    if head.bias is not None:
        head.bias.data.zero_()
    if architecture != "transformer":
        # It starts late, and a run cut short would rightly be told that its classes are not yet apart.
        setup.optimizer, setup.learning_rate, setup.steps = "Adam", 1e-2, 120
    return setup


class Adapted(nn.Module):
    """A frozen linear layer with a low-rank adapter whose second factor begins at zero (LoRA)."""

    def __init__(self, frozen: nn.Linear, rank: int) -> None:
        super().__init__()
        self.base_layer = frozen.requires_grad_(False)
        self.lora_A = nn.Linear(frozen.in_features, rank, bias=False)
        self.lora_B = nn.Linear(rank, frozen.out_features, bias=False)
        nn.init.zeros_(self.lora_B.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.base_layer(x) + 2.0 * self.lora_B(self.lora_A(x))


@healthy("low-rank-adapters", "mlp regression-mlp")
def low_rank_adapters(architecture: str, seed: int, level: int) -> Setup:
    """Fine-tuning with adapters on a frozen backbone; the head is trained in full."""
    setup = setup_of(architecture, seed)
    for name in setup.model.layers[:-1]:
        setattr(setup.model, name, Adapted(setup.model.layer(name), 4))
    setup.optimizer, setup.learning_rate = "AdamW", 1e-2
    setup.record = ()
    setup.config["peft_type"] = "LORA"
    return setup


@healthy("frozen-backbone", "mlp cnn")
def frozen_backbone(architecture: str, seed: int, level: int) -> Setup:
    """Only the later layers are trained: those before were switched off on purpose."""
    setup = setup_of(architecture, seed)
    for name in setup.model.layers[: 1 if architecture == "cnn" else -2]:
        setup.model.layer(name).requires_grad_(False)
    setup.optimizer, setup.learning_rate = "Adam", 1e-2
    setup.config["freeze_backbone"] = True
    return setup


@healthy("other-functions", "mlp cnn regression-mlp transformer")
def other_functions(architecture: str, seed: int, level: int) -> Setup:
    """GELU, leaky ReLU, ELU, softplus and SiLU."""
    function = ("gelu", "leaky_relu", "elu", "softplus", "silu")[seed % 5]
    setup = setup_of(architecture, seed, function=function)
    if architecture != "transformer":
        setup.optimizer, setup.learning_rate = "Adam", 1e-2
    return setup


@healthy("initialisations", "mlp cnn regression-mlp")
def initialisations(architecture: str, seed: int, level: int) -> Setup:
    """Each of the usual ways to begin."""
    setup = setup_of(architecture, seed, function=("relu", "tanh")[seed % 2])
    initialise(setup.model, ("orthogonal", "he", "lecun", "xavier", "orthogonal")[seed % 5])
    return setup


@healthy("gpt-initialisation", "transformer")
def gpt_initialisation(architecture: str, seed: int, level: int) -> Setup:
    """All weights from N(0, 0.02), as GPT-2 begins."""
    setup = setup_of(architecture, seed)
    initialise(setup.model, "gpt")
    return setup


@healthy("long-converged", "mlp gru")
def long_converged(architecture: str, seed: int, level: int) -> Setup:
    """The loss has been at zero for most of the run."""
    setup = setup_of(architecture, seed)
    setup.steps *= 3
    setup.optimizer, setup.learning_rate = "Adam", 5e-3
    return setup


class Probabilities(Network):
    """A stack that ends in a sigmoid."""

    def __init__(self, stack: Stack) -> None:
        super().__init__()
        self.body = stack
        self.sigmoid = nn.Sigmoid()
        self.layers = tuple(f"body.{name}" for name in stack.layers)
        self.activations = (*(f"body.{name}" for name in stack.activations), "sigmoid")

    def forward(self, x: Tensor) -> Tensor:
        return self.sigmoid(self.body(x))


@healthy("confident-sigmoid", "mlp")
def confident_sigmoid(architecture: str, seed: int, level: int) -> Setup:
    """Binary classification whose output comes to sit at 0 and 1."""
    setup = setup_of(architecture, seed, classes=2)
    setup.model = Probabilities(Stack((16, 32, 32, 1), "relu"))
    setup.data = Data(setup.data.x, setup.data.y[:, None].float(), "binary")
    setup.optimizer, setup.learning_rate, setup.steps, setup.record = "Adam", 1e-2, 250, ()
    return setup


@healthy("overparameterised", "mlp")
def overparameterised(architecture: str, seed: int, level: int) -> Setup:
    """Far more units than needed; many are zero most of the time."""
    setup = setup_of(architecture, seed)
    setup.model = Stack((16, 96, 96, 4), "relu")
    setup.optimizer, setup.learning_rate, setup.record = "Adam", 3e-3, ()
    for name in ("fc1", "fc2"):
        setup.model.layer(name).bias.data -= 0.3
    return setup


@healthy("unit-images", "cnn")
def unit_images(architecture: str, seed: int, level: int) -> Setup:
    """Pictures from 0 to 1, neither centred nor scaled."""
    setup = setup_of(architecture, seed)
    x = setup.data.x
    x.sub_(x.min()).div_(x.max())
    initialise(setup.model, "he")
    setup.steps = 120
    setup.optimizer, setup.learning_rate = "Adam", 1e-2
    return setup


@healthy("one-hot-inputs", "mlp")
def one_hot_inputs(architecture: str, seed: int, level: int) -> Setup:
    """One feature of sixteen is 1."""
    setup = setup_of(architecture, seed)
    code = torch.randint(0, 16, (ROWS,), generator=setup.generator)
    setup.data = Data(nn.functional.one_hot(code, 16).float(), code % 4, "classes", 4)
    setup.optimizer, setup.learning_rate = "Adam", 5e-3
    return setup


@healthy("bag-of-words", "mlp")
def bag_of_words(architecture: str, seed: int, level: int) -> Setup:
    """Counts of words, most of them zero and some words far more frequent."""
    setup = setup_of(architecture, seed)
    generator = setup.generator
    y = setup.data.y
    rates = torch.rand(4, 40, generator=generator) ** 4 + 1 / torch.arange(1, 41)
    x = torch.poisson(rates[y] * 2, generator=generator)
    setup.model = Stack((40, 32, 32, 4), "relu")
    setup.data = Data(x, y, "classes", 4)
    setup.optimizer, setup.learning_rate, setup.record = "Adam", 5e-3, ()
    return setup


@healthy("sparse-embedding", "gru")
def sparse_embedding(architecture: str, seed: int, level: int) -> Setup:
    """A vocabulary of which each batch uses little: most rows of the gradient are zero."""
    setup = setup_of(architecture, seed, tokens=True)
    setup.model = Recurrent(8, 3, vocabulary=400)
    setup.optimizer, setup.learning_rate = "Adam", 1e-2
    return setup


@healthy("tied-weights", "transformer")
def tied_weights(architecture: str, seed: int, level: int) -> Setup:
    """The output layer is the embedding."""
    return setup_of(architecture, seed, tied=True)


@healthy("gradient-clipping", "mlp gru transformer")
def gradient_clipping(architecture: str, seed: int, level: int) -> Setup:
    """The gradient is cut at nearly every step."""
    setup = setup_of(architecture, seed)
    setup.clip = 0.1 if setup.optimizer in ("Adam", "AdamW") else 0.5
    return setup


@healthy("small-targets", "regression-mlp")
def small_targets(architecture: str, seed: int, level: int) -> Setup:
    """A target a hundredth of the usual size."""
    setup = setup_of(architecture, seed)
    setup.data.y *= 0.05
    setup.optimizer, setup.learning_rate = "Adam", 5e-3
    weight(setup.model.layer(setup.model.layers[-1])).mul_(0.1)
    return setup


@healthy("lstm", "gru")
def lstm(architecture: str, seed: int, level: int) -> Setup:
    """Gates that saturate as they should."""
    return setup_of(architecture, seed, cell="LSTM", tokens=bool(seed % 2))


@healthy("mild-imbalance", "mlp cnn")
def mild_imbalance(architecture: str, seed: int, level: int) -> Setup:
    """Seven samples of one class to three of the other."""
    setup = setup_of(architecture, seed, classes=2, shares=(0.7, 0.3))
    setup.batch_size = 128
    return setup


@healthy("replicas-in-sync", "mlp cnn")
def replicas_in_sync(architecture: str, seed: int, level: int) -> Setup:
    """Two workers on different batches that average their gradients."""
    setup = setup_of(architecture, seed)
    setup.replicas = 2
    return setup


@healthy("half-precision", "mlp cnn gru transformer")
def half_precision(architecture: str, seed: int, level: int) -> Setup:
    """The dump holds 16-bit floats: small gradients round to zero there."""
    setup = setup_of(architecture, seed)
    setup.dump_type = "float16"
    return setup


@healthy("recovered-spike", "mlp gru cnn")
def recovered_spike(architecture: str, seed: int, level: int) -> Setup:
    """One bad batch half-way, after which the loss soon falls again."""
    setup = setup_of(architecture, seed)
    bad = setup.steps // 2
    setup.optimizer, setup.learning_rate, setup.clip = "Adam", 5e-3, 1.0
    setup.batch = lambda step, x, y: (4.0 * x, y) if step == bad else (x, y)
    return setup


@healthy("live-run", "mlp gru")
def live_run(architecture: str, seed: int, level: int) -> Setup:
    """The run is not at its end and wrote a moment ago."""
    setup = setup_of(architecture, seed)
    setup.config["max_steps"] = setup.steps * 4
    setup.seconds_between_dumps, setup.seconds_since_last = 60.0, 75.0
    return setup


@healthy("finished-long-ago", "mlp cnn")
def finished_long_ago(architecture: str, seed: int, level: int) -> Setup:
    """The run reached its planned end days ago."""
    setup = setup_of(architecture, seed)
    setup.seconds_between_dumps, setup.seconds_since_last = 60.0, 3 * 86400.0
    return setup


@healthy("some-padding", "transformer gru")
def some_padding(architecture: str, seed: int, level: int) -> Setup:
    """A quarter of the positions is padding, as in most batches of sentences."""
    setup = setup_of(architecture, seed, tokens=True)
    x, y = setup.data.x, setup.data.y
    length = x.shape[1]
    used = torch.randint(length // 2, length + 1, (len(x), 1), generator=setup.generator)
    if architecture == "gru":
        x[torch.arange(length) < length - used] = 0
    else:
        padding = torch.arange(length) >= used
        x[padding] = 0
        y[padding] = 0
    return setup
