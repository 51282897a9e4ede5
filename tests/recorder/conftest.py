"""Small tensors are quicker on one thread, above all where several tests run at a time; and the same each time.

What is told from a sample has bounds that hold for nearly all seeds, not for all.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)
