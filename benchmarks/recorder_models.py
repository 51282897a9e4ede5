"""The trainings that the recorder is measured on: what people train, in sizes that a laptop steps through in a second.

Nothing here needs this package, since peers run the same trainings in environments of their own.

``mlp``: 10.0 million parameters, 784 inputs, batch 128, Adam: few large tensors, little work a parameter.
``cnn``: a ResNet-18 with the stem that it has on ImageNet, 11.2 million parameters, batch 64 of 3x32x32, SGD with
momentum. With the stem of its CIFAR version a step would take several times as long, and the recorder cost less of it.
``transformer``: a GPT, 6 layers of 384, 12.3 million parameters, batch 8 of 128 tokens out of 4096, AdamW.
``gpt``: GPT-2 small, 124 million parameters, batch 16 of 512 tokens, AdamW, bfloat16 autocast; for CUDA.

The data is noise, in batches made beforehand; learning rates are low, so that no loss gets to where gradients are
denormal numbers, which are slow.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

BATCHES = 16


class Training:
    """One model, its optimizer and its batches."""

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        batches: list[tuple[Tensor, Tensor]],
        precision: torch.dtype | None = None,
    ) -> None:
        self.model, self.optimizer, self.batches, self.precision = model, optimizer, batches, precision
        self.loss = nn.CrossEntropyLoss()
        self.device = batches[0][0].device.type
        self._saved: list[tuple[Tensor, Tensor]] = []

    def forward(self, index: int) -> tuple[Tensor, Tensor]:
        """Logits and labels of batch ``index``."""
        given, wanted = self.batches[index % len(self.batches)]
        with torch.autocast(self.device, self.precision) if self.precision else nullcontext():
            found = self.model(given)
        return found.flatten(0, -2).float(), wanted.flatten()

    def step(self, index: int) -> Tensor:
        """Train on batch ``index``."""
        self.optimizer.zero_grad()
        loss: Tensor = self.loss(*self.forward(index))
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return loss

    def prepare(self, steps: int = 3) -> None:
        """Make the optimizer's state, and note where training stands."""
        for index in range(steps):
            self.step(index)
        state: list[Any] = list(self.model.state_dict().values())
        state += [value for one in self.optimizer.state.values() for value in one.values()]
        self._saved = [(one, one.detach().clone()) for one in state if isinstance(one, Tensor)]

    def reset(self) -> None:
        """Back to where ``prepare`` was left, in the same memory, so that every block of steps does the same work."""
        with torch.no_grad():
            for tensor, value in self._saved:
                tensor.copy_(value)


class _Block(nn.Module):
    """Of a ResNet-18."""

    def __init__(self, given: int, wanted: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(given, wanted, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(wanted)
        self.relu = nn.ReLU()
        self.conv2 = nn.Conv2d(wanted, wanted, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(wanted)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1:
            self.downsample = nn.Sequential(nn.Conv2d(given, wanted, 1, stride, bias=False), nn.BatchNorm2d(wanted))

    def forward(self, x: Tensor) -> Tensor:
        inner = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(inner + self.downsample(x))  # type: ignore[no-any-return]


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.qkv, self.proj, self.heads = nn.Linear(width, 3 * width), nn.Linear(width, width), heads

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        q, k, v = self.qkv(x).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        found = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.proj(found.transpose(1, 2).reshape(batch, length, width))  # type: ignore[no-any-return]


class _Layer(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln1, self.attention, self.ln2 = nn.LayerNorm(width), _Attention(width, heads), nn.LayerNorm(width)
        self.up, self.gelu, self.down = nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.ln1(x))
        return x + self.down(self.gelu(self.up(self.ln2(x))))  # type: ignore[no-any-return]


class GPT(nn.Module):
    """With learned positions, and the embedding as its output's weight."""

    def __init__(self, vocabulary: int, length: int, width: int, layers: int, heads: int) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
        self.layers = nn.ModuleList(_Layer(width, heads) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)
        for one in (self.tokens, self.positions):
            nn.init.normal_(one.weight, std=0.02)
        self.head.weight = self.tokens.weight

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.tokens(tokens) + self.positions(torch.arange(tokens.shape[1], device=tokens.device))
        for layer in self.layers:
            x = layer(x)
        return self.head(self.norm(x))  # type: ignore[no-any-return]


def mlp(device: str) -> Training:
    """A multilayer perceptron."""
    model = nn.Sequential()
    for place, (given, wanted) in enumerate(pairwise((784, 2048, 2048, 2048)), 1):
        model.add_module(f"fc{place}", nn.Linear(given, wanted))
        model.add_module(f"relu{place}", nn.ReLU())
    model.add_module("head", nn.Linear(2048, 10))
    model.to(device)
    return Training(model, torch.optim.Adam(model.parameters(), lr=1e-4), _pictures((128, 784), device))


def cnn(device: str) -> Training:
    """A ResNet-18."""
    widths = (64, 64, 128, 256, 512)
    stem = (nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
    blocks = [
        nn.Sequential(_Block(given, wanted, 1 if given == wanted else 2), _Block(wanted, wanted, 1))
        for given, wanted in pairwise(widths)
    ]
    model = nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10)).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.9, weight_decay=5e-4)
    return Training(model, optimizer, _pictures((64, 3, 32, 32), device))


def transformer(device: str) -> Training:
    """A small language model."""
    model = GPT(4096, 128, 384, 6, 6).to(device)
    return Training(model, torch.optim.AdamW(model.parameters(), lr=1e-4), _text((8, 128), 4096, device))


def gpt(device: str) -> Training:
    """GPT-2 small in bfloat16 autocast."""
    model = GPT(50304, 512, 768, 12, 12).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    return Training(model, optimizer, _text((16, 512), 50304, device), torch.bfloat16)


MODELS: dict[str, Callable[[str], Training]] = {"mlp": mlp, "cnn": cnn, "transformer": transformer, "gpt": gpt}


def training(name: str, device: str = "cpu") -> Training:
    """The training ``name``, ready to be timed: the same one every time."""
    torch.manual_seed(0)
    made = MODELS[name](device)
    made.prepare()
    return made


def _pictures(shape: tuple[int, ...], device: str) -> list[tuple[Tensor, Tensor]]:
    return [(torch.randn(shape, device=device), torch.randint(10, shape[:1], device=device)) for _ in range(BATCHES)]


def _text(shape: tuple[int, int], vocabulary: int, device: str) -> list[tuple[Tensor, Tensor]]:
    made = [torch.randint(vocabulary, (shape[0], shape[1] + 1), device=device) for _ in range(BATCHES)]
    return [(one[:, :-1], one[:, 1:]) for one in made]
