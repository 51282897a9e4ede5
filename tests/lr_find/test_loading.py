"""Loaders with worker processes: a search starts a dozen trainings, and none of them starts workers."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from convergence_cli.lr_find.training import without_workers

ROWS = TensorDataset(torch.arange(20.0))


class Stream(IterableDataset[float]):
    """Rows that come in an order of their own."""

    def __iter__(self) -> Iterator[float]:
        return iter([1.0, 2.0])


def test_workers_are_left_out_and_the_loader_itself_is_as_it_was() -> None:
    generator = torch.Generator().manual_seed(3)
    loader = DataLoader(ROWS, batch_size=4, shuffle=True, num_workers=2, persistent_workers=True, generator=generator)
    twin = without_workers(loader)
    batches = torch.cat([batch[0] for batch in twin])
    assert sorted(batches.tolist()) == list(range(20))
    assert isinstance(twin, DataLoader)
    assert (twin.num_workers, twin.generator, twin.dataset) == (0, generator, ROWS)
    assert (loader.num_workers, loader.persistent_workers, loader.prefetch_factor) == (2, True, 2)


def test_what_counts_on_workers_keeps_them() -> None:
    for loader in (
        DataLoader(Stream(), num_workers=1),
        DataLoader(ROWS, num_workers=1, worker_init_fn=lambda worker: None),
        DataLoader(ROWS, num_workers=1, timeout=5),
        DataLoader(ROWS),
    ):
        assert without_workers(loader) is loader
    rows = [1, 2]
    assert without_workers(rows) is rows
