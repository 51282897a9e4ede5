"""What stands in for a standard output that was closed before the start (``>&-``)."""

from __future__ import annotations

import io

from convergence_cli.errors import CtroubleshootError


class ClosedOutput(io.TextIOBase):
    """A stream on which every text is an error in words: a report must not be lost in silence."""

    def write(self, text: str, /) -> int:
        """Raise ``CtroubleshootError`` unless there is nothing to write."""
        if text:
            raise CtroubleshootError(
                "Standard output is closed: the answer has nowhere to go.", "Open it, or name a file with --output."
            )
        return 0
