"""The exception tree. Each class has its exit code; every message ends in a next step.

    CtroubleshootError                exit 2
    ├── SourceError                   an input cannot be read as a run
    │   ├── UnknownFormatError        no reader recognises the bytes
    │   └── NoLossError               read, but nothing in it can be judged
    ├── SettingsError                 a flag, environment variable or settings file is wrong
    ├── UsageError                    the command line asks for something that does not exist
    └── TrainingStopped      exit 1   the recorder has stopped a training that has failed

Anything else that escapes is a bug in ctroubleshoot: exit 3.
"""

from __future__ import annotations

# Not from typing: that import alone would double the time of --version.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

EXIT_OK = 0
EXIT_FINDINGS = 1
EXIT_NO_VERDICT = 2
EXIT_BUG = 3
EXIT_INTERRUPTED = 130


class CtroubleshootError(Exception):
    """A condition the user can act on. ``message`` says what is wrong, ``hint`` the next step."""

    exit_code = EXIT_NO_VERDICT

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(f"{message} {hint}".strip())
        self.message = message
        self.hint = hint


class SourceError(CtroubleshootError):
    """An input cannot be read as a run; ``path`` names it."""

    def __init__(self, path: str, message: str, hint: str) -> None:
        super().__init__(message, hint)
        self.path = path


class UnknownFormatError(SourceError):
    """No reader recognises the bytes."""


class NoLossError(SourceError):
    """The input was read, but holds no series that can be judged."""


class SettingsError(CtroubleshootError):
    """A flag, an environment variable or a settings file is wrong."""


class UsageError(CtroubleshootError):
    """The command line asks for something that does not exist."""


class TrainingStopped(CtroubleshootError):  # noqa: N818
    """A training has failed and was to be stopped then.

    ``report`` (a ``RunReport``) says all, ``finding`` what decided, at ``step``.
    """

    exit_code = EXIT_FINDINGS

    def __init__(self, report: Any, finding: Any, step: int) -> None:
        super().__init__(
            f"Stopped after step {step}: {finding.rule} {finding.name}: {finding.message}",
            f"See report.remedies of this exception, or run: ctroubleshoot analyze {report.path}",
        )
        self.report, self.finding, self.step = report, finding, step
