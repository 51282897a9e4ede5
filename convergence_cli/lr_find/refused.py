"""The exception that ends a search for which there is no answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convergence_cli.learning_rate import CAUSES, Refusal

if TYPE_CHECKING:
    from convergence_cli.learning_rate import Reason


class Refused(Exception):  # noqa: N818
    """There is no rate to give; ``refusal`` says why."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def refused(reason: Reason, message: str, hint: str) -> Refused:
    """The exception for ``reason``, with the cause that the diagnosis knows for it."""
    return Refused(Refusal(reason, message, hint, CAUSES.get(reason, "")))
