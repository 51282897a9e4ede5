"""Hugging Face Trainer: ``trainer_state.json``, whose ``log_history`` mixes training and evaluation rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from convergence_cli.model import Run
from convergence_cli.readers._collect import Collector
from convergence_cli.readers._guard import parse_json
from convergence_cli.readers._json_steps import Layout, Placing
from convergence_cli.readers._json_table import tabulate
from convergence_cli.readers.config import canonical

if TYPE_CHECKING:
    from convergence_cli.readers._guard import ReadOptions, Source

FORMAT = "huggingface"
_NOT_CONFIG = frozenset(("log_history", "stateful_callbacks", "trial_params", "trial_name"))


def sniff(source: Source) -> float:
    """An object with a ``log_history``; the Trainer writes few keys before it, so the head shows it."""
    head = source.head
    return 0.95 if head.lstrip()[:1] == b"{" and b'"log_history"' in head else 0.0


def read(sources: Sequence[Source], options: ReadOptions) -> list[Run]:
    """One run a file. The last row of a finished run holds means over it and is no point of a series."""
    del options
    return [_read(source) for source in sources]


def _read(source: Source) -> Run:
    state = parse_json(source, source.read_all())
    history = state.get("log_history") if isinstance(state, dict) else None
    records = [row for row in history if isinstance(row, dict)] if isinstance(history, list) else []
    table = tabulate(records)
    collector = Collector(source.shown)
    if table:
        layout = Layout(FORMAT, "step", "epoch" if "epoch" in table else None, None)
        Placing(layout).add(table, len(records), collector)
    curves = collector.curves()
    if not curves:
        raise source.error(
            "has a log_history without metrics.",
            "Nothing was logged yet: look at logging_steps, or give a later checkpoint.",
        )
    config = {key: value for key, value in state.items() if key not in _NOT_CONFIG}
    return Run(source.path.stem, source.shown, FORMAT, curves, canonical(config), tuple(source.notes))
