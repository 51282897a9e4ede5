"""How much of its plan a run that goes on has behind it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from convergence_cli.features.evidence import Evidence
from convergence_cli.model import Curve, Run


def run(config: dict[str, Any], *, goes_on: bool = True, epoch: bool = False) -> Run:
    step = np.arange(1.0, 31.0)
    loss = Curve("loss", step, 1 / step, "train_loss", epoch=step / 10 if epoch else None)
    return Run("run", "run", "csv", (loss,), config, goes_on=goes_on)


@pytest.mark.parametrize(
    ("config", "epoch", "share"),
    [
        ({"max_steps": 120}, False, 0.25),
        ({"max_steps": 20}, False, 1.0),
        ({"max_steps": 120, "epochs": 6}, True, 0.25),
        ({"epochs": 6}, True, 0.5),
        ({"epochs": 6}, False, None),
        ({"epochs": 60, "x": "epoch"}, False, 0.5),
        ({"max_steps": 120, "x": "epoch"}, False, None),
        ({"max_steps": "many"}, False, None),
        ({"max_steps": True}, False, None),
        ({"max_steps": 0}, False, None),
        ({"max_steps": float("nan")}, False, None),
        ({}, True, None),
    ],
)
def test_the_share_is_of_what_the_run_planned(config: dict[str, Any], epoch: bool, share: float | None) -> None:
    assert Evidence(run(config, epoch=epoch)).done == share


def test_a_run_that_is_not_known_to_go_on_is_judged_by_what_it_did() -> None:
    assert Evidence(run({"max_steps": 120}, goes_on=False)).done is None


def test_epochs_counted_from_zero_are_one_more_than_their_last_number() -> None:
    step = np.arange(0.0, 3.0)
    log = Run(
        "r", "r", "csv", (Curve("loss", step, step + 1, "train_loss"),), {"epochs": 6, "x": "epoch"}, goes_on=True
    )
    assert Evidence(log).done == 0.5


def test_without_a_loss_there_is_no_share() -> None:
    assert Evidence(Run("r", "r", "csv", (), {"max_steps": 9}, goes_on=True)).done is None
