"""Healthy trainings whose losses show no convergence: two networks against each other, and learning from rewards.

They have no plan, and write logs of their own: none of their series is a training loss.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional

from convergence_cli import Recorder

LABELS = ("undetermined", "converging")
FORMATS = ("csv", "jsonl", "tensorboard")
Array = np.ndarray[Any, Any]
DUELS, UPDATES, RECORDED, DISCOUNT = 1500, 300, 10, 0.98
# What users call things: discriminator and generator; policy, value, entropy, reward (own loops, SB3, CleanRL).
OF_DUEL = (("d_loss", "g_loss"), ("loss_D", "loss_G"), ("errD", "errG"), ("discriminator_loss", "generator_loss"))
OF_REWARDED = (
    ("policy_loss", "value_loss", "entropy", "episode_reward_mean"),
    ("train/policy_gradient_loss", "train/value_loss", "train/entropy_loss", "rollout/ep_rew_mean"),
    ("losses/policy_loss", "losses/value_loss", "losses/entropy", "charts/episodic_return"),
)


@dataclass(slots=True)
class Played:
    """What was logged, a row a logged step. ``reached``: how good it was before and after, higher is better."""

    architecture: str
    dataset: str
    config: dict[str, Any]
    reached: tuple[float, float] = (math.nan, math.nan)
    rows: list[dict[str, Any]] = field(default_factory=list)


def gan(seed: int, dice: random.Random, recorded: Path) -> Played:
    """A generator of points on a ring against a discriminator; no log has how near the points came."""
    modes, squares, names = dice.choice((8, 10, 12)), dice.random() < 0.3, dice.choice(OF_DUEL)
    latent, width, batch = dice.choice((2, 8, 16)), dice.choice((48, 64)), dice.choice((64, 128))
    rate, every = 10 ** dice.uniform(-3.0, -2.7), dice.choice((1, 5, 10, 25, 50))
    config = {"optimizer": "Adam", "learning_rate": rate, "beta1": 0.5, "batch_size": batch, "latent_dim": latent}
    played = Played("lsgan" if squares else "gan", f"ring of {modes}", config | {"max_steps": DUELS, "seed": seed})
    duel = functional.mse_loss if squares else functional.binary_cross_entropy_with_logits
    with _alone(seed):
        made, judge = _mlp(latent, width, 2, nn.ReLU), _mlp(2, width, 1, lambda: nn.LeakyReLU(0.2))
        # With equal rates one in five collapses; that of the discriminator is higher (Heusel et al. 2017).
        ours = torch.optim.Adam(made.parameters(), lr=rate, betas=(0.5, 0.999))
        theirs = torch.optim.Adam(judge.parameters(), lr=2 * rate, betas=(0.5, 0.999))
        models, before = {"generator": made, "discriminator": judge}, _likeness(modes, made, latent)
        real, both = torch.ones(batch, 1), torch.cat([torch.ones(batch, 1), torch.zeros(batch, 1)])
        with Recorder(models, [ours, theirs], out=recorded, every=DUELS // RECORDED, config=played.config) as recorder:
            for step in range(1, DUELS + 1):
                fake = made(torch.randn(batch, latent))
                d_loss = duel(judge(torch.cat([_ring(batch, modes), fake.detach()])), both)
                _update(d_loss, theirs)
                g_loss = duel(judge(fake), real)
                _update(g_loss, ours)
                row: dict[str, Any] = dict(zip(names, (d_loss.item(), g_loss.item()), strict=True))
                recorder.step(**row)
                if step % every == 0:
                    played.rows.append({"step": step, **row})
        played.reached = (before, _likeness(modes, made, latent))
    return played


def actor_critic(seed: int, dice: random.Random, recorded: Path) -> Played:
    """Advantage actor-critic in a small world; it reached the reward of the last hundred episodes."""
    dataset, names, every = dice.choice(tuple(_WORLDS)), dice.choice(OF_REWARDED), dice.choice((1, 1, 2, 5))
    count, horizon, width = dice.choice((8, 16)), dice.choice((16, 24)), dice.choice((32, 64))
    rate, bonus, normal = 10 ** dice.uniform(-2.7, -2.3), dice.choice((0.0, 0.003, 0.01)), dice.random() < 0.5
    config = {"optimizer": "Adam", "learning_rate": rate, "batch_size": count * horizon, "ent_coef": bonus}
    played = Played("a2c", dataset, config | {"gamma": DISCOUNT, "n_envs": count, "seed": seed})
    (begin, move, limit), rng = _WORLDS[dataset], np.random.default_rng(seed)
    state, age, total, ended = begin(count, rng), np.zeros(count), np.zeros(count), list[float]()
    with _alone(seed):
        actor, critic = _mlp(state.shape[1], width, 2, nn.Tanh), _mlp(state.shape[1], width, 1, nn.Tanh)
        models, owned = {"actor": actor, "critic": critic}, [*actor.parameters(), *critic.parameters()]
        adam = torch.optim.Adam(owned, lr=rate)
        with Recorder(models, adam, out=recorded, every=UPDATES // RECORDED, config=played.config) as recorder:
            for update in range(1, UPDATES + 1):
                seen, acts, gains = list[Tensor](), list[Tensor](), list[tuple[Tensor, Tensor]]()
                for _ in range(horizon):
                    seen.append(torch.as_tensor(state, dtype=torch.float32))
                    with torch.no_grad():
                        acts.append(torch.multinomial(actor(seen[-1]).softmax(-1), 1))
                    state, reward, done = move(state, acts[-1][:, 0].numpy(), rng)
                    total, age = total + reward, age + 1
                    done = done | (age >= limit)
                    gains.append((torch.as_tensor(reward, dtype=torch.float32), torch.as_tensor(~done)))
                    ended.extend(total[done].tolist())
                    state[done], total[done], age[done] = begin(int(done.sum()), rng), 0.0, 0
                ahead = [critic(torch.as_tensor(state, dtype=torch.float32))[:, 0].detach()]
                for gain, lives in reversed(gains):
                    ahead.append(gain + DISCOUNT * ahead[-1] * lives)
                returns, value = torch.stack(ahead[:0:-1]), critic(torch.stack(seen))[..., 0]
                better = returns - value.detach()
                better = (better - better.mean()) / (better.std() + 1e-8) if normal else better
                chances = actor(torch.stack(seen)).log_softmax(-1)
                policy_loss = -(chances.gather(-1, torch.stack(acts))[..., 0] * better).mean()
                value_loss, entropy = functional.mse_loss(value, returns), -(chances.exp() * chances).sum(-1).mean()
                _update(policy_loss + 0.5 * value_loss - bonus * entropy, adam, clipped=owned)
                # Stable-Baselines3 logs the negative entropy, as the loss that it is.
                values = [policy_loss.item(), value_loss.item(), entropy.item() * (-1 if "_loss" in names[2] else 1)]
                values += [float(np.mean(ended[-100:]))] if ended else []
                row: dict[str, Any] = dict(zip(names, values, strict=False))
                recorder.step(**row)
                if update % every == 0:
                    played.rows.append({"step": update, **row})
    played.reached = (float(np.mean(ended[:100])), float(np.mean(ended[-100:])))
    return played


def write(played: Played, folder: Path, how: str) -> None:
    """Writes the run into ``folder``, in the format ``how`` of ``FORMATS``, with its ``config.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(played.config, indent=2) + "\n")
    if how == "csv":
        pd.DataFrame(played.rows).to_csv(folder / "metrics.csv", index=False, lineterminator="\n")
    elif how == "jsonl":
        (folder / "log.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in played.rows))
    else:
        from torch.utils.tensorboard import SummaryWriter

        with SummaryWriter(str(folder)) as board:
            for row in played.rows:
                for name in list(row)[1:]:
                    board.add_scalar(name, row[name], row["step"], walltime=1_700_000_000 + 0.25 * row["step"])


@contextmanager
def _alone(seed: int) -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _mlp(inputs: int, width: int, outputs: int, kind: Callable[[], nn.Module]) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, width), kind(), nn.Linear(width, width), kind(), nn.Linear(width, outputs))


def _update(loss: Tensor, optimizer: torch.optim.Optimizer, clipped: Sequence[Tensor] = ()) -> None:
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(clipped, 0.5)
    optimizer.step()


def _ring(rows: int, modes: int) -> Tensor:
    angle = torch.randint(modes, (rows,)) * (2 * math.pi / modes)
    return torch.stack([angle.cos(), angle.sin()], 1) + 0.15 * torch.randn(rows, 2)


def _likeness(modes: int, generator: nn.Module, latent: int) -> float:
    """The negative energy distance of what is generated to the data."""
    with torch.no_grad():
        real, fake = _ring(1000, modes), generator(torch.randn(1000, latent))
        within = torch.cdist(real, real).mean() + torch.cdist(fake, fake).mean()
        return float(within - 2 * torch.cdist(real, fake).mean())


def _walk(state: Array, action: Array, rng: np.random.Generator) -> tuple[Array, ...]:
    """A chain of places, one-hot: a reward at its far end only, and one step in ten slips."""
    at = np.clip(state.argmax(1) + np.where((action == 1) ^ (rng.random(len(action)) < 0.1), 1, -1), 0, 8)
    return np.eye(9)[at], (at == 8) - 0.01, at == 8


def _balance(state: Array, action: Array, rng: np.random.Generator) -> tuple[Array, ...]:
    """The cart with a pole of Barto, Sutton and Anderson 1983; a reward of 1 a step would saturate the critic."""
    _, speed, angle, turn = state.T
    push = (np.where(action == 1, 10.0, -10.0) + 0.05 * turn**2 * np.sin(angle)) / 1.1
    fall = (9.8 * np.sin(angle) - np.cos(angle) * push) / (0.5 * (4 / 3 - 0.1 * np.cos(angle) ** 2 / 1.1))
    rate = push - 0.05 * fall * np.cos(angle) / 1.1
    new = state + 0.02 * np.stack([speed, rate, turn, fall], 1)
    return new, np.full(len(state), 0.05), (np.abs(new[:, 0]) > 2.4) | (np.abs(new[:, 2]) > 0.2095)


# How an episode begins, how it goes on, and the most steps of it.
_WORLDS: dict[str, tuple[Callable[..., Array], Callable[..., tuple[Array, ...]], int]] = {
    "chain walk": (lambda rows, rng: np.eye(9)[np.zeros(rows, int)], _walk, 60),
    "cart-pole": (lambda rows, rng: rng.uniform(-0.05, 0.05, (rows, 4)), _balance, 200),
}
PLAYERS: dict[str, Callable[[int, random.Random, Path], Played]] = {"gan": gan, "actor-critic": actor_critic}
