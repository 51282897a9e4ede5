"""A small world: one run that diverges, one that is healthy, one input that could not be read."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from convergence_cli.model import (
    Cause,
    Finding,
    Remedy,
    Report,
    RunError,
    RunReport,
    Skipped,
    Verdict,
    Where,
)


@pytest.fixture
def diverging() -> RunReport:
    losses = [2.3, 1.9, 1.4, 1.2, 1.1, 1.6, 4.0, 30.0, 400.0, None, None]
    return RunReport(
        name="lenet-hot",
        path="runs/lenet-hot.csv",
        format="csv",
        summary={
            "points": 1100,
            "first_step": 0,
            "last_step": 1099,
            "epochs": 11.0,
            "x": "step",
            "series": {"train_loss": "loss", "learning_rate": "lr"},
            "series_total": 5,
            "series_read": 2,
            "unread": ["gpu/temp", "time"],
            "config": {"learning_rate": 0.3, "optimizer": "sgd"},
            "curves": {
                "train_loss": {
                    "step": [100.0 * i for i in range(11)],
                    "low": losses,
                    "high": losses,
                    "mean": losses,
                }
            },
        },
        verdict=Verdict(
            label="diverging",
            confidence=0.987,
            state="non-finite",
            reason="The loss rose from 1.1 to 400 and is NaN from step 900 on.",
            probabilities={"converging": 0.003, "diverging": 0.987, "stuck": 0.007, "overfitting": 0.003},
            since_step=500.0,
            best_step=400.0,
        ),
        findings=(
            Finding(
                "LR001",
                "rate-above-stability",
                "warning",
                0.8,
                "The learning rate 0.3 is 12 times the one at which the loss last fell.",
                Where(series="lr", first_step=400.0),
                {"ratio": 12.0, "threshold": 3.0},
                "b2",
            ),
            Finding(
                "LC001",
                "non-finite-loss",
                "error",
                1.0,
                "The loss is NaN from step 900 on: 200 of 1,100 points are not finite.",
                Where(series="loss", first_step=900.0, last_step=1099.0, file="runs/lenet-hot.csv", line=902),
                {"nonfinite_points": 200, "threshold": 1, "last_finite": 412.5, "peak": float("inf")},
                "a1",
            ),
        ),
        causes=(
            Cause(
                "learning-rate-too-high",
                0.91,
                "The loss fell, then rose without bound at a constant rate of 0.3.",
                ("LC001", "LR001"),
                (),
                ("gradient norms",),
            ),
        ),
        remedies=(
            Remedy(
                "lower-learning-rate",
                "learning-rate-too-high",
                {"learning_rate": 0.025, "gradient_clip_norm": 1.0},
                "A twelfth of 0.3: the rate at which the loss last fell steadily.",
                0.85,
                {"learning_rate": 0.3},
                "Training takes longer.",
                "optimizer = torch.optim.SGD(model.parameters(), lr=0.025)\n",
                ("Cohen et al. 2021",),
            ),
        ),
        skipped=(Skipped("GN001", "needs val_loss"), Skipped("GR101", "needs gradients")),
        notes=("The last line was cut off and is left out.",),
    )


@pytest.fixture
def healthy() -> RunReport:
    losses = [2.0, 1.0, 0.6, 0.4, 0.3, 0.25]
    return RunReport(
        name="lenet",
        path="runs/lenet.csv",
        format="csv",
        summary={
            "points": 6,
            "first_step": 1,
            "last_step": 6,
            "x": "epoch",
            "series": {"train_loss": "loss"},
            "series_total": 1,
            "series_read": 1,
            "unread": [],
            "config": {},
            "curves": {"train_loss": {"step": [1, 2, 3, 4, 5, 6], "low": losses, "high": losses, "mean": losses}},
        },
        verdict=Verdict("converging", 0.94, "still-improving", "The loss fell from 2 to 0.25 and still falls."),
    )


@pytest.fixture
def world(diverging: RunReport, healthy: RunReport) -> Report:
    error = RunError("runs/notes.bin", "runs/notes.bin is not a log that any reader knows.", "Pass --pattern.")
    return Report((diverging, healthy), (error,), "0.1.0")


@dataclass(frozen=True)
class Page:
    """A rule's page, as reporters see it."""

    code: str = "LC999"
    name: str = "quiet-rule"
    severity: str = "error"
    summary: str = "One line."
    doc: str = "The whole page."


@pytest.fixture
def page() -> Page:
    return Page()
