"""A linter and a doctor for training runs."""

from __future__ import annotations

# Not from typing: that import alone would double the time of --version.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from convergence_cli.errors import TrainingStopped
    from convergence_cli.learning_rate import LearningRate
    from convergence_cli.lr_find.door import find_learning_rate
    from convergence_cli.model import Finding, Report, Run, RunReport
    from convergence_cli.outcome import Trials
    from convergence_cli.pipeline import diagnose, read_run
    from convergence_cli.recorder.recorder import Recorder
    from convergence_cli.settings import Settings
    from convergence_cli.trials.door import try_remedies

__version__ = "0.1.0"
__all__ = [
    "Finding",
    "LearningRate",
    "Recorder",
    "Report",
    "Run",
    "RunReport",
    "Settings",
    "TrainingStopped",
    "Trials",
    "__version__",
    "diagnose",
    "find_learning_rate",
    "read_run",
    "try_remedies",
]
_HOMES = {
    "pipeline": ("diagnose", "read_run"),
    "model": ("Finding", "Report", "Run", "RunReport"),
    "settings": ("Settings",),
    "errors": ("TrainingStopped",),
    "recorder.recorder": ("Recorder",),
    "outcome": ("Trials",),
    "learning_rate": ("LearningRate",),
    "lr_find.door": ("find_learning_rate",),
    "trials.door": ("try_remedies",),
}
_SHOWN_IN_NOTEBOOKS = ("pipeline", "model")


def __getattr__(name: str) -> Any:
    """The public names, imported on first use so that ``import convergence_cli`` costs nothing."""
    for home, names in _HOMES.items():
        if name in names:
            from importlib import import_module

            if home in _SHOWN_IN_NOTEBOOKS:
                import_module("convergence_cli.notebook").give_methods()
            return getattr(import_module(f"convergence_cli.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
