"""How the tests start the real command line."""

from __future__ import annotations

import os
import subprocess
from typing import Protocol

PRIVATE = ("CTROUBLESHOOT_", "NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "PYTHONIOENCODING", "CI", "COLUMNS")


class Program(Protocol):
    """Runs ``ctroubleshoot`` with arguments and gives what it did."""

    def __call__(self, *arguments: str, stdin: bytes = b"", **environment: str) -> subprocess.CompletedProcess[str]:
        """Output is text; ``environment`` is added to a clean one."""
        ...


def clean_environment(**more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(PRIVATE)}
    return {**kept, "TERM": "xterm", "PYTHONUTF8": "1", **more}
