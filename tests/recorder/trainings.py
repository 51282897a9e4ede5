"""Small real trainings of every kind that the recorder must get along with, each the same with and without it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

STEPS = 12
# Takes model, optimizer and options; gives a recorder, or something that does nothing.
Make = Callable[..., Any]
Train = Callable[[Make], list[Tensor]]
CASES: dict[str, Train] = {}


def case(train: Train) -> Train:
    """Adds a training under the name of its function."""
    CASES[train.__name__] = train
    return train


class NoRecorder:
    """Stands where the recorder stands, and does nothing."""

    def __enter__(self) -> NoRecorder:
        return self

    def __exit__(self, *given: object) -> None:
        return

    def step(self, *given: object, **more: object) -> None:
        return

    log = step


def pictures(count: int = 16) -> tuple[Tensor, Tensor]:
    return torch.randn(count, 1, 8, 8), torch.randint(0, 4, (count,))


def rows(count: int = 32, features: int = 10, classes: int = 4) -> tuple[Tensor, Tensor]:
    return torch.randn(count, features), torch.randint(0, classes, (count,))


def tokens(count: int = 8, length: int = 12, vocabulary: int = 30) -> Tensor:
    return torch.randint(0, vocabulary, (count, length))


def loop(
    make: Make,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batch: Callable[[], tuple[Tensor, Tensor]],
    *,
    steps: int = STEPS,
    autocast: torch.dtype | None = None,
    loss_of: Callable[[Any, Tensor], Tensor] = functional.cross_entropy,
    **options: Any,
) -> list[Tensor]:
    """The plain loop, and the weights after it."""
    with make(model, optimizer, **options) as recorder:
        for _ in range(steps):
            x, y = batch()
            cast = torch.autocast("cpu", autocast) if autocast else contextlib.nullcontext()
            with cast:
                loss = loss_of(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            recorder.step(loss=loss)
    return weights(model)


def weights(*models: nn.Module) -> list[Tensor]:
    """Parameters and buffers, and the state of the random numbers after all."""
    found = [value.detach().clone() for model in models for value in model.state_dict().values()]
    return [*found, torch.get_rng_state()]


def mlp(**more: Any) -> nn.Sequential:
    return nn.Sequential(nn.Linear(10, 16), nn.ReLU(**more), nn.Dropout(0.2), nn.Linear(16, 4))


@case
def dropout(make: Make) -> list[Tensor]:
    model = mlp()
    return loop(make, model, torch.optim.Adam(model.parameters(), 1e-2), rows)


@case
def large(make: Make) -> list[Tensor]:
    """Weights and activations that are summed up where they are, not copied whole."""
    model = nn.Sequential(nn.Linear(10, 1500), nn.Tanh(), nn.Linear(1500, 1200), nn.ReLU(), nn.Linear(1200, 4))
    return loop(make, model, torch.optim.AdamW(model.parameters(), 1e-3), lambda: rows(64))


@case
def inplace_relu(make: Make) -> list[Tensor]:
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.Conv2d(4, 4, 3),
        nn.ReLU(inplace=True),
        nn.Flatten(),
        nn.Linear(4 * 36, 4),
    )
    return loop(make, model, torch.optim.SGD(model.parameters(), 0.05, momentum=0.9), pictures)


@case
def channels_last(make: Make) -> list[Tensor]:
    model = nn.Sequential(
        nn.Conv2d(1, 64, 3), nn.ReLU(), nn.Conv2d(64, 64, 3), nn.ReLU(), nn.Flatten(), nn.Linear(1024, 4)
    )
    model = model.to(memory_format=torch.channels_last)
    return loop(make, model, torch.optim.SGD(model.parameters(), 0.05), pictures)


@case
def bfloat16(make: Make) -> list[Tensor]:
    model = mlp().to(torch.bfloat16)
    return loop(
        make,
        model,
        torch.optim.SGD(model.parameters(), 0.05),
        lambda: (torch.randn(32, 10, dtype=torch.bfloat16), torch.randint(0, 4, (32,))),
        loss_of=lambda output, y: functional.cross_entropy(output.float(), y),
    )


@case
def autocast(make: Make) -> list[Tensor]:
    model = mlp()
    return loop(make, model, torch.optim.AdamW(model.parameters(), 1e-2), rows, autocast=torch.bfloat16)


@case
def grad_scaler(make: Make) -> list[Tensor]:
    """Its first steps overflow, and are skipped."""
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127, growth_interval=100, backoff_factor=2.0**-60)
    with make(model, optimizer, scaler=scaler) as recorder:
        for _ in range(STEPS):
            x, y = rows()
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(x) * 100, y)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            recorder.step(loss=loss)
    return weights(model)


@case
def accumulation(make: Make) -> list[Tensor]:
    model = mlp()
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    with make(model, optimizer) as recorder:
        for micro in range(4 * STEPS):
            x, y = rows(8)
            loss = functional.cross_entropy(model(x), y) / 4
            loss.backward()
            if micro % 4 == 3:
                optimizer.step()
                optimizer.zero_grad()
            recorder.step(loss=loss * 4)
    return weights(model)


@case
def frozen(make: Make) -> list[Tensor]:
    model = mlp()
    model[0].requires_grad_(False)
    return loop(make, model, torch.optim.Adam([p for p in model.parameters() if p.requires_grad], 1e-2), rows)


class Tied(nn.Module):
    """A language model whose output layer is its embedding."""

    def __init__(self, vocabulary: int = 30, width: int = 16) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.block = nn.TransformerEncoderLayer(width, 2, 32, dropout=0.1, batch_first=True)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, given: Tensor) -> Tensor:
        return self.head(self.block(self.embedding(given)))


def next_token(output: Tensor, y: Tensor) -> Tensor:
    return functional.cross_entropy(output[:, :-1].flatten(0, 1), y[:, 1:].flatten())


def sentence() -> tuple[Tensor, Tensor]:
    found = tokens()
    return found, found


@case
def shared_weights(make: Make) -> list[Tensor]:
    model = Tied()
    return loop(make, model, torch.optim.AdamW(model.parameters(), 1e-3), sentence, loss_of=next_token)


class Twice(nn.Module):
    """One module that is called twice, and one that gives a tuple with a dictionary in it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.shared, self.last = nn.Linear(10, 12), nn.Linear(12, 12), Pair()

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        hidden = self.shared(torch.relu(self.shared(torch.relu(self.first(x)))))
        return self.last(hidden)


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(12, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        return self.out(x), {"hidden": x}


@case
def tuple_outputs(make: Make) -> list[Tensor]:
    model = Twice()
    return loop(
        make,
        model,
        torch.optim.Adam(model.parameters(), 1e-2),
        rows,
        loss_of=lambda output, y: functional.cross_entropy(output[0], y),
    )


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.RNNBase], *, packed: bool = False) -> None:
        super().__init__()
        self.packed = packed
        self.recurrent = kind(10, 16, num_layers=2, batch_first=True, dropout=0.1)
        self.fc = nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        if self.packed:
            lengths = torch.arange(len(x)) % x.shape[1] + 1
            packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            _, state = self.recurrent(packed)
            return self.fc(state[-1])
        states, _ = self.recurrent(x)
        return self.fc(states[:, -1])


def waves() -> tuple[Tensor, Tensor]:
    return torch.randn(16, 6, 10), torch.randint(0, 4, (16,))


@case
def lstm(make: Make) -> list[Tensor]:
    model = Recurrent(nn.LSTM)
    return loop(make, model, torch.optim.Adam(model.parameters(), 1e-2), waves)


@case
def gru_packed(make: Make) -> list[Tensor]:
    model = Recurrent(nn.GRU, packed=True)
    return loop(make, model, torch.optim.Adam(model.parameters(), 1e-2), waves)


class Attentive(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(10, 2, batch_first=True)
        self.fc = nn.Linear(10, 4)

    def forward(self, x: Tensor) -> Tensor:
        mixed, _ = self.attention(x, x, x)
        return self.fc(mixed.mean(1))


@case
def attention(make: Make) -> list[Tensor]:
    model = Attentive()
    return loop(make, model, torch.optim.Adam(model.parameters(), 1e-2), waves)


class Bag(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(2000, 16, sparse=True)
        self.fc = nn.Linear(16, 4)

    def forward(self, given: Tensor) -> Tensor:
        return self.fc(self.embedding(given).mean(1))


@case
def sparse_gradients(make: Make) -> list[Tensor]:
    model = Bag()
    optimizers = [
        torch.optim.SparseAdam(model.embedding.parameters(), 1e-2),
        torch.optim.Adam(model.fc.parameters(), 1e-2),
    ]
    with make(model, optimizers) as recorder:
        for _ in range(STEPS):
            loss = functional.cross_entropy(model(tokens(16, 5, 2000)), torch.randint(0, 4, (16,)))
            for optimizer in optimizers:
                optimizer.zero_grad()
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()
            recorder.step(loss=loss)
    return weights(model)


@case
def several_optimizers(make: Make) -> list[Tensor]:
    """Two players, each with its optimizer; the second steps twice a round."""
    generator = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 10))
    critic = nn.Sequential(nn.Linear(10, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1))
    optimizers = {
        "generator": torch.optim.Adam(generator.parameters(), 1e-3),
        "critic": torch.optim.Adam(critic.parameters(), 1e-3),
    }
    with make({"generator": generator, "critic": critic}, optimizers) as recorder:
        for _ in range(STEPS):
            for _ in range(2):
                real = critic(torch.randn(16, 10)).mean() - critic(generator(torch.randn(16, 4)).detach()).mean()
                optimizers["critic"].zero_grad()
                (-real).backward()
                optimizers["critic"].step()
            fake = -critic(generator(torch.randn(16, 4))).mean()
            optimizers["generator"].zero_grad()
            fake.backward()
            optimizers["generator"].step()
            recorder.step(critic_loss=-real, generator_loss=fake)
    return weights(generator, critic)


class Checkpointed(nn.Module):
    def __init__(self, *, reentrant: bool) -> None:
        super().__init__()
        self.reentrant = reentrant
        self.stem = nn.Linear(10, 16)
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Dropout(0.2)) for _ in range(3))
        self.fc = nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = checkpoint(block, x, use_reentrant=self.reentrant)
        return self.fc(x)


@case
def checkpointing(make: Make) -> list[Tensor]:
    model = Checkpointed(reentrant=False)
    return loop(make, model, torch.optim.Adam(model.parameters(), 1e-2), rows)


@case
def checkpointing_reentrant(make: Make) -> list[Tensor]:
    model = Checkpointed(reentrant=True)
    return loop(make, model, torch.optim.Adam(model.parameters(), 1e-2), rows)


@case
def compiled(make: Make) -> list[Tensor]:
    model = torch.compile(mlp(), backend="aot_eager")
    return loop(make, model, torch.optim.Adam(model.parameters(), 1e-2), rows)


@case
def compiled_inside(make: Make) -> list[Tensor]:
    """The recorder is given the model that was compiled, not what came of it."""
    inner = mlp()
    model = torch.compile(inner, backend="aot_eager")
    optimizer = torch.optim.Adam(inner.parameters(), 1e-2)
    with make(inner, optimizer) as recorder:
        for _ in range(STEPS):
            x, y = rows()
            loss = functional.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            recorder.step(loss=loss)
    return weights(inner)


@case
def compiled_in_place(make: Make) -> list[Tensor]:
    model = mlp()
    model.compile(backend="aot_eager")
    return loop(make, model, torch.optim.Adam(model.parameters(), 1e-2), rows)


@case
def compiled_step(make: Make) -> list[Tensor]:
    """The optimizer's step is compiled: its hooks are not called."""
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    step = torch.compile(optimizer.step, backend="aot_eager")
    with make(model, optimizer) as recorder:
        for _ in range(STEPS):
            x, y = rows()
            loss = functional.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            step()
            recorder.step(loss=loss)
    return weights(model)


@case
def closure(make: Make) -> list[Tensor]:
    """An optimizer that runs the model within its step."""
    model = nn.Linear(10, 4)
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=3)
    with make(model, optimizer) as recorder:
        for _ in range(STEPS):
            x, y = rows()

            def again(x: Tensor = x, y: Tensor = y) -> Tensor:
                optimizer.zero_grad()
                loss = functional.cross_entropy(model(x), y)
                loss.backward()
                return loss

            recorder.step(loss=optimizer.step(again))
    return weights(model)


@case
def lazy(make: Make) -> list[Tensor]:
    model = nn.Sequential(nn.LazyLinear(16), nn.ReLU(), nn.LazyLinear(4))
    with make(model, None) as recorder:
        model(rows()[0])
        optimizer = torch.optim.SGD(model.parameters(), 0.05)
        for _ in range(STEPS):
            x, y = rows()
            loss = functional.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            recorder.step(loss=loss)
    return weights(model)


def _loaded() -> Iterator[tuple[Tensor, Tensor]]:
    data = torch.utils.data.TensorDataset(*rows(8 * STEPS))
    yield from torch.utils.data.DataLoader(data, batch_size=8, num_workers=2, shuffle=True)


@case
def data_loader_workers(make: Make) -> list[Tensor]:
    """Worker processes are forked while the recorder's thread runs."""
    model = mlp()
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    with make(model, optimizer) as recorder:
        for x, y in _loaded():
            loss = functional.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            recorder.step(loss=loss)
    return weights(model)


@case
def penalty_of_gradients(make: Make) -> list[Tensor]:
    """A loss with a gradient in it: backward passes through backward passes."""
    model = nn.Sequential(nn.Linear(10, 16), nn.Tanh(), nn.Linear(16, 4))
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    with make(model, optimizer) as recorder:
        for _ in range(STEPS):
            x, y = rows()
            x.requires_grad_(True)
            loss = functional.cross_entropy(model(x), y)
            (slope,) = torch.autograd.grad(loss, x, create_graph=True)
            loss = loss + slope.square().sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            recorder.step(loss=loss)
    return weights(model)
