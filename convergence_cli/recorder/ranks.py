"""Which of several processes record."""

from __future__ import annotations

import os
from typing import Literal

Ranks = Literal["first", "all"]


def rank_of(ranks: Ranks) -> str | None:
    """The name of this process among those that record: empty where it is alone; None where it does not record.

    By ``torch.distributed`` where that is set up, else by the environment of ``torchrun``.
    Raises ``ValueError`` where ``ranks`` is neither ``first`` nor ``all``.
    """
    if ranks not in ("first", "all"):
        raise ValueError(f'ranks must be "first" or "all", not {ranks!r}.')
    rank, size = _place()
    if size < 2:
        return ""
    if ranks == "all":
        return str(rank)
    return "" if rank == 0 else None


def _place() -> tuple[int, int]:
    """This process's rank, and how many there are."""
    import torch.distributed

    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    try:
        return int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    except (KeyError, ValueError):
        return 0, 1
