"""The tokens of an integer input: which fill the ends of rows, and how often the most frequent occur."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from convergence_cli.recorder.lines import line, pairs
from convergence_cli.recorder.measuring import stored
from convergence_cli.tensors.tokens import count_tokens

if TYPE_CHECKING:
    from convergence_cli.recorder.captured import Array, Label


def lines_of_tokens(step: float, label: Label, values: Array) -> Iterable[bytes]:
    """The line ``tokens`` of an input, where it holds tokens."""
    found = count_tokens(step, "", label.name, stored(label.title, values))
    if found is not None:
        content = {
            "tokens": found.name,
            "step": step,
            "positions": found.positions,
            "vocabulary": found.vocabulary,
            "padding_share": found.padding_share,
            "shares": pairs(found.shares),
        }
        yield line(content | ({} if found.padding is None else {"padding": found.padding}))
