"""A linter and a doctor for training runs."""

from __future__ import annotations

# Not from typing: that import alone would double the time of --version.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from convergence_cli.model import Finding, Report, Run, RunReport
    from convergence_cli.pipeline import diagnose, read_run

__version__ = "0.1.0"
__all__ = ["Finding", "Report", "Run", "RunReport", "__version__", "diagnose", "read_run"]


def __getattr__(name: str) -> Any:
    """The public names, imported on first use so that ``import convergence_cli`` costs nothing."""
    if name in {"diagnose", "read_run"}:
        from convergence_cli import pipeline

        return getattr(pipeline, name)
    if name in {"Finding", "Report", "Run", "RunReport"}:
        from convergence_cli import model

        return getattr(model, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
