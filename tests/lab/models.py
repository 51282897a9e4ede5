"""Small networks of the kinds that users train, named as users name their modules."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

FUNCTIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "softplus": nn.Softplus,
    "silu": nn.SiLU,
}


class Network(nn.Module):
    """A network that tells the names of its weight layers by depth, and of the activation after each hidden one."""

    layers: tuple[str, ...]
    activations: tuple[str, ...]

    def layer(self, name: str) -> nn.Module:
        """The module called ``name``."""
        return self.get_submodule(name)

    def hooked(self) -> tuple[str, ...]:
        """The modules whose outputs a user would record."""
        return self.activations


class Stack(Network):
    """Linear layers of the given widths with one activation function between them.

    ``norm`` is ``batch`` or ``layer``; ``residual`` adds what came in wherever the widths are equal.
    """

    def __init__(
        self,
        widths: tuple[int, ...],
        function: str,
        *,
        names: tuple[str, ...] | None = None,
        norm: str = "",
        dropout: float = 0.0,
        residual: bool = False,
    ) -> None:
        super().__init__()
        count = len(widths) - 1
        self.layers = names or tuple(f"fc{number}" for number in range(1, count + 1))
        self.activations = tuple(f"{function}{number}" for number in range(1, count))
        self.norm, self.dropout, self.residual = norm, dropout, residual
        for number, (name, (before, after)) in enumerate(zip(self.layers, pairwise(widths), strict=True), 1):
            self.add_module(name, nn.Linear(before, after))
            if number == count:
                break
            if norm:
                self.add_module(f"norm{number}", (nn.BatchNorm1d if norm == "batch" else nn.LayerNorm)(after))
            self.add_module(f"{function}{number}", FUNCTIONS[function]())
            if dropout:
                self.add_module(f"drop{number}", nn.Dropout(dropout))

    def forward(self, x: Tensor) -> Tensor:
        for number, (layer, activation) in enumerate(zip(self.layers, (*self.activations, ""), strict=True), 1):
            out = self.layer(layer)(x)
            if not activation:
                return out
            if self.norm:
                out = self.layer(f"norm{number}")(out)
            out = self.layer(activation)(out)
            if self.dropout:
                out = self.layer(f"drop{number}")(out)
            x = x + out if self.residual and x.shape == out.shape else out
        raise AssertionError("a stack ends in a layer without activation")


class Cnn(Network):
    """Convolutions, an activation after each, mean over the picture, one linear layer."""

    def __init__(
        self, classes: int, function: str = "relu", *, channels: tuple[int, ...] = (8, 12, 16), norm: bool = False
    ) -> None:
        super().__init__()
        self.layers = (*(f"conv{number}" for number in range(1, len(channels) + 1)), "fc")
        self.activations = tuple(f"{function}{number}" for number in range(1, len(channels) + 1))
        for number, (before, after) in enumerate(pairwise((1, *channels)), 1):
            self.add_module(f"conv{number}", nn.Conv2d(before, after, 3, stride=2 if number == 1 else 1, padding=1))
            self.add_module(f"bn{number}", nn.BatchNorm2d(after) if norm else nn.Identity())
            self.add_module(f"{function}{number}", FUNCTIONS[function]())
        self.fc = nn.Linear(channels[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        for number, (layer, activation) in enumerate(zip(self.layers, self.activations, strict=False), 1):
            x = self.layer(activation)(self.layer(f"bn{number}")(self.layer(layer)(x)))
        return self.fc(x.mean((2, 3)))


class Recurrent(Network):
    """A recurrent layer (``GRU``, ``LSTM`` or ``RNN``) over a sequence; the last state is classified.

    ``vocabulary`` puts an embedding of integer tokens before it.
    """

    def __init__(
        self, features: int, classes: int, cell: str = "GRU", *, width: int = 24, vocabulary: int = 0, **options: object
    ) -> None:
        super().__init__()
        name = cell.lower()
        self.name = name
        if vocabulary:
            self.embedding = nn.Embedding(vocabulary, features)
        self.add_module(name, getattr(nn, cell)(features, width, batch_first=True, **options))
        self.head = nn.Linear(width, width)
        self.tanh = nn.Tanh()
        self.fc = nn.Linear(width, classes)
        self.layers = (*(("embedding",) if vocabulary else ()), name, "head", "fc")
        self.activations = ("tanh",)

    def hooked(self) -> tuple[str, ...]:
        return (self.name, "tanh")

    def forward(self, x: Tensor) -> Tensor:
        if "embedding" in self._modules:
            x = self.embedding(x)
        states, _ = self.layer(self.name)(x)
        return self.fc(self.tanh(self.head(states[:, -1])))


class Attention(nn.Module):
    """Causal self-attention whose logits and weights can be recorded."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)
        self.logits = nn.Identity()
        self.softmax = nn.Softmax(dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        rows, length, width = x.shape
        q, k, v = (
            layer(x).view(rows, length, self.heads, -1).transpose(1, 2)
            for layer in (self.q_proj, self.k_proj, self.v_proj)
        )
        future = torch.ones(length, length, dtype=torch.bool).triu(1)
        logits = (q @ k.transpose(2, 3) / math.sqrt(width // self.heads)).masked_fill(future, float("-inf"))
        mixed = self.softmax(self.logits(logits)) @ v
        return self.out_proj(mixed.transpose(1, 2).reshape(rows, length, width))


class Block(nn.Module):
    """Pre-norm transformer block."""

    def __init__(self, width: int, heads: int, function: str, dropout: float) -> None:
        super().__init__()
        self.ln1 = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.ln2 = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, 2 * width)
        self.act = FUNCTIONS[function]()
        self.drop = nn.Dropout(dropout)
        self.fc2 = nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.ln1(x))
        return x + self.drop(self.fc2(self.act(self.fc1(self.ln2(x)))))


class Transformer(Network):
    """A causal language model of two blocks; ``tied`` shares the embedding with the output layer."""

    def __init__(
        self,
        vocabulary: int,
        *,
        width: int = 24,
        heads: int = 2,
        length: int = 16,
        function: str = "gelu",
        dropout: float = 0.0,
        tied: bool = False,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.position = nn.Parameter(torch.randn(length, width) * 0.02)
        self.blocks = nn.ModuleList(Block(width, heads, function, dropout) for _ in range(2))
        self.ln_f = nn.LayerNorm(width)
        self.lm_head = nn.Linear(width, vocabulary, bias=False)
        if tied:
            nn.init.normal_(self.embedding.weight, std=0.1)
            self.lm_head.weight = self.embedding.weight
        self.layers = ("embedding", *(f"blocks.{i}.{name}" for i in range(2) for name in ("fc1", "fc2")), "lm_head")
        self.activations = ("blocks.0.act", "blocks.1.act")

    def hooked(self) -> tuple[str, ...]:
        inner = ("attention.logits", "attention.softmax", "act")
        return (
            *(f"blocks.{i}{dot}{name}" for i in range(2) for dot, name in (*((".", n) for n in inner), ("", ""))),
            "ln_f",
        )

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens) + self.position[: tokens.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.lm_head(self.ln_f(x))
