"""A log without a loss is told for what it is."""

from __future__ import annotations

import numpy as np
import pytest

from convergence_cli.features.unjudged import holds_only_the_machine, without_loss
from convergence_cli.model import Curve, Run
from convergence_cli.pipeline import diagnose, judged
from convergence_cli.roles import assign_roles
from convergence_cli.settings import Settings


def run(**series: list[float]) -> Run:
    curves = tuple(
        Curve(name.replace("__", "."), np.arange(float(len(values))), np.array(values))
        for name, values in series.items()
    )
    return assign_roles(Run("run", "run.csv", "csv", curves), {})


@pytest.mark.parametrize(
    ("series", "told"),
    [
        ({"val_accuracy": [0.1, 0.5, 0.9, 0.8]}, "only as a score: val_accuracy goes from 0.1 to 0.8 (best 0.9)"),
        ({"val_f1": [0.3]}, "val_f1 is 0.3 at its one point"),
        ({"val_f1": [np.nan, np.nan]}, "val_f1 is never finite"),
        ({"lr": [0.1, 0.05, 0.01]}, "it holds the learning rate only"),
        (
            {
                "system__gpu__0__temp": [60.0, 70.0],
                "system__cpu": [10.0, 20.0],
                "tokens_per_sec": [1e5, 1e5],
                "fps": [1, 2],
            },
            "measurements of the machine only (system.gpu.0.temp, system.cpu, tokens_per_sec and 1 other)",
        ),
        ({"entropy": [1.0, 2.0]}, "No series of the log is recognised as a loss."),
    ],
    ids=["accuracy", "one point", "never finite", "rate", "machine", "unknown"],
)
def test_what_there_is_instead_of_a_loss(series: dict[str, list[float]], told: str) -> None:
    found = run(**series)
    assert told in without_loss(found)
    verdict = diagnose(found).verdict
    assert (verdict.label, verdict.state) == ("undetermined", "no-loss")
    assert told in verdict.reason


def test_the_next_step_fits_what_there_is() -> None:
    machine, other = run(gpu_temp=[60.0, 61.0]), run(entropy=[1.0, 2.0])
    assert (holds_only_the_machine(machine), holds_only_the_machine(other)) == (True, False)
    hints = [error.hint for found in (machine, other) if (error := judged(found, Settings())[1]) is not None]
    assert ["training loop" in str(hints[0]), "--metric" in str(hints[1])] == [True, True]


def test_a_reward_alone_and_a_single_point_have_reasons_of_their_own() -> None:
    assert diagnose(run(ep_rew_mean=[1.0, 2.0, 3.0, 4.0, 5.0])).verdict.state == "reward-only"
    single = diagnose(run(train_loss=[0.5])).verdict
    assert (single.label, single.state) == ("undetermined", "too-few-points")
