"""Which tensor dumps belong to which log, and the run that only dumped tensors."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convergence_cli.errors import SourceError
from convergence_cli.model import Run
from convergence_cli.streams import STANDARD_INPUT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from convergence_cli.readers.discover import Candidate
    from convergence_cli.tensor_stats import TensorStats
    from convergence_cli.tensors.find import DumpSet

FORMAT = "tensors"
RECORDER, RAW_FOLDER = "recorder", "raw"
DUMP_SUFFIXES = (".npz", ".npy", ".safetensors", ".pt", ".pth", ".bin", ".h5", ".hdf5", ".keras")


@dataclass(slots=True)
class Unattached:
    """The dumps at a path that no run has taken yet."""

    sets: list[DumpSet] = field(default_factory=list)

    def attach(self, run: Run, candidate: Candidate, later: Sequence[Candidate]) -> Run:
        """``run`` with the tensors that belong to it.

        Dumps go to a log in their folder, below or above it; of several, to the first with a loss, and to the last
        in any case. Those of workers with a folder each go to a log of their run before one beside those folders.
        A record has statistics of its own: it takes none, and what the recorder saved beside it is read by name only.
        """
        from convergence_cli.tensors.read import read_dumps

        self.sets = [one for one in self.sets if not any(_is_raw(one, other) for other in (candidate, *later))]
        found = own_tensors(candidate, run.config)
        if found is not None and candidate.reader.FORMAT == RECORDER:
            return _with(run, found)
        has_loss = run.curve("train_loss") is not None or run.curve("val_loss") is not None
        taken = []
        for one in self.sets:
            near = _nearness(one, candidate.folder)
            best = max((_nearness(one, other.folder) for other in later), default=0)
            if near > best or (near == best > 0 and has_loss):
                taken.append(one)
        for one in taken:
            self.sets.remove(one)
            run = run.noting(*one.notes)
            try:
                found = read_dumps(one.dumps, run.config).noting(*one.notes)
            except SourceError as error:
                run = run.noting(error.message)
        return run if found is None else _with(run, found)

    def runs(self, root: str) -> Iterator[Run | SourceError]:
        """The dumps that no log stands beside, each as a run of its own."""
        from convergence_cli.readers.config import read_config
        from convergence_cli.tensors.read import read_dumps

        for one in self.sets:
            folder = one.folder if one.folder.is_dir() else one.folder.parent
            config, notes = read_config(folder, one.folder)
            try:
                stats = read_dumps(one.dumps, config).noting(*one.notes)
            except SourceError as error:
                yield error
                continue
            inside = one.folder.is_relative_to(root) and str(one.folder.relative_to(root)) != "."
            name = str(one.folder.relative_to(root)) if inside else one.folder.name
            yield Run(
                name or str(one.folder),
                str(one.folder),
                FORMAT,
                (),
                config,
                (*one.notes, *notes, *stats.notes),
                tensors=stats,
            )


def unattached(path: str) -> Unattached:
    """The dumps at ``path``; none for standard input or what does not exist."""
    if path in STANDARD_INPUT or not os.path.exists(path):
        return Unattached()
    # A log named by itself should not wait for the readers of dumps.
    if Path(path).suffix.lower() not in DUMP_SUFFIXES and Path(path).is_file():
        return Unattached()
    from convergence_cli.tensors.find import find_dumps

    return Unattached(find_dumps(Path(path)))


def own_tensors(candidate: Candidate, config: Mapping[str, Any]) -> TensorStats | None:
    """The tensors in the files of the log itself: a trial, a record, histograms in event files."""
    if candidate.reader.FORMAT == "smdebug":
        from convergence_cli.tensors.smdebug import read_trial

        return read_trial(candidate.folder, config)
    if candidate.reader.FORMAT == RECORDER:
        from convergence_cli.tensors.recorder import read_record

        return read_record(candidate.sources, config)
    if any(source.histograms for source in candidate.sources):
        from convergence_cli.tensors.histograms import read_histograms

        return read_histograms(candidate.sources)
    return None


def _with(run: Run, found: TensorStats) -> Run:
    # What is wrong with a file of both series and tensors is met twice.
    fresh = [note for note in found.notes if note not in run.notes]
    return replace(run.noting(*fresh), tensors=found)


def _is_raw(dumps: DumpSet, candidate: Candidate) -> bool:
    """Whether ``dumps`` are the tensors that the recorder saved as they are, beside its record."""
    return candidate.reader.FORMAT == RECORDER and dumps.folder == candidate.folder / RAW_FOLDER


def _nearness(dumps: DumpSet, log: Path) -> int:
    """0 where the log in the folder ``log`` is not of the run of ``dumps``, 1 where it may be, 2 where it surely is."""
    run = dumps.folder
    if not (log.is_relative_to(run) or run.is_relative_to(log)):
        return 0
    if not dumps.worker_folders:
        return 1
    return 2 if log == run or any(log.is_relative_to(folder) for folder in dumps.worker_folders) else 1
