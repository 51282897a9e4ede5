"""A change as a few lines for the framework of the run. The lines themselves are data, in ``snippet_lines``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from convergence_cli.diagnosis.frameworks import HUGGINGFACE, LIGHTNING, PYTORCH
from convergence_cli.diagnosis.snippet_lines import LINES

# Who trains by these writes the model and the data in PyTorch.
_ON_PYTORCH = (LIGHTNING, HUGGINGFACE)


def snippet_of(change: Mapping[str, Any], framework: str) -> str | None:
    """The lines that make ``change``, each key after the other; None where the framework knows none of the keys."""
    parts = [part for key, value in change.items() if (part := _part(key, value, framework, change)) is not None]
    return "\n".join(dict.fromkeys(parts)) or None


def _part(key: str, value: Any, framework: str, change: Mapping[str, Any]) -> str | None:
    for name in (framework, PYTORCH) if framework in _ON_PYTORCH else (framework,):
        # Of some keys the value is a name that needs lines of its own.
        for wanted in (f"{key}={value}", key):
            lines = LINES.get((name, wanted))
            if lines is not None:
                return lines.replace("{value}", repr(value)).replace("{steps}", str(change.get("max_steps", "steps")))
    return None
