"""Steps are called what they are."""

from __future__ import annotations

import pytest

from convergence_cli.axis import axis_of, in_words_of
from convergence_cli.model import Run
from convergence_cli.printable import counted
from convergence_cli.readers._collect import Collector
from convergence_cli.roles import assign_roles


def run_with(epochs: list[float], steps: list[float], **config: str) -> Run:
    collector = Collector()
    for epoch, step in zip(epochs, steps, strict=True):
        collector.add_row({"loss": 1.0}, step, epoch=epoch)
    return assign_roles(Run("a", "a", "text", collector.curves(), config))


@pytest.mark.parametrize(
    ("epochs", "steps", "config", "axis"),
    [
        ([0.5, 1.0], [0.5, 1.0], {}, "epoch"),
        ([0.5, 1.0], [50, 100], {}, "step"),
        ([1, 2], [1, 2], {"x": "row"}, "row"),
        ([1, 2], [1, 2], {"x": "lines"}, "epoch"),
    ],
)
def test_the_axis_is_what_the_reader_says_else_what_the_epochs_show(
    epochs: list[float], steps: list[float], config: dict[str, str], axis: str
) -> None:
    assert axis_of(run_with(epochs, steps, **config)) == axis


def test_only_steps_with_their_number_change_their_name() -> None:
    sentence = "Steps are large; best at step 4, steps 3 and 8, step_size 2, stepping 5, from step -1.5."
    assert in_words_of("epoch", sentence) == (
        "Steps are large; best at epoch 4, epochs 3 and 8, step_size 2, stepping 5, from epoch -1.5."
    )
    assert in_words_of("step", sentence) == sentence


def test_one_is_not_many() -> None:
    assert [counted(number, "spike") for number in (0, 1, 2, 1234)] == [
        "0 spikes",
        "1 spike",
        "2 spikes",
        "1,234 spikes",
    ]
