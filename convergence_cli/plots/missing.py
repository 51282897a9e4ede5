"""A picture that cannot be drawn from what a run has: what is missing, and how to record it."""

from __future__ import annotations

from convergence_cli.errors import CtroubleshootError


class NotDrawn(CtroubleshootError):  # noqa: N818
    """``kind`` of picture, what is missing (``message``) and how to record it (``hint``)."""

    def __init__(self, kind: str, message: str, hint: str) -> None:
        super().__init__(message, hint)
        self.kind = kind
