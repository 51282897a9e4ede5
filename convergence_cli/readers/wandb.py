"""Weights & Biases ``.wandb`` files, offline or synced: LevelDB log framing around protobuf records.

A batch of records is read as columns (``_wandb_walk``); records of another layout are read one at a time
(``_wandb_record``), at the same places.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from convergence_cli.model import Run
from convergence_cli.printable import counted
from convergence_cli.readers._collect import Collector
from convergence_cli.readers._wandb_frames import MAGIC, Framing, batches
from convergence_cli.readers._wandb_rows import Log, read_batch
from convergence_cli.readers.config import canonical

if TYPE_CHECKING:
    from convergence_cli.readers._guard import ReadOptions, Source

FORMAT = "wandb"


def sniff(source: Source) -> float:
    """The seven bytes with which every ``.wandb`` file begins."""
    return 1.0 if source.head.startswith(MAGIC) else 0.0


def read(sources: Sequence[Source], options: ReadOptions) -> list[Run]:
    """One run a file. System metrics and media are not read."""
    del options
    return [_read(source) for source in sources]


def _read(source: Source) -> Run:
    log = Log(Collector(source.shown))
    framing = Framing()
    for batch in batches(source, framing):
        read_batch(batch, log)
    curves = log.collector.curves()
    if not curves:
        raise source.error(
            "holds no logged metrics.",
            "The run logged nothing with wandb.log before it ended; give the program's own output instead.",
        )
    notes = list(source.notes)
    if framing.last:
        notes.append("dropped the last record, which was cut off")
    damaged = framing.broken + log.malformed
    if damaged:
        notes.append(f"skipped {counted(damaged, 'damaged record')}")
    about = log.about
    if about.exit_code is None:
        notes.append("the log has no exit record: the run crashed or is still running")
    elif about.exit_code:
        notes.append(f"the run exited with code {about.exit_code}")
    if log.collector.dropped:
        notes.append(f"read the first {len(curves)} series; more were left out")
    return Run(source.path.stem, source.shown, FORMAT, curves, canonical(about.config), tuple(notes))
