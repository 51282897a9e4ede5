"""From a path to the files that make up each run, and the reader for them. Opens no device."""

from __future__ import annotations

import stat
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from convergence_cli.errors import SourceError, UnknownFormatError
from convergence_cli.model import TensorLine
from convergence_cli.printable import counted, printable
from convergence_cli.readers import best_reader, reader
from convergence_cli.readers._groups import Group, groups_below
from convergence_cli.readers._guard import Source
from convergence_cli.readers._own_reports import is_own_report
from convergence_cli.readers._record_lines import rank_of
from convergence_cli.readers.unreadable import checkpoint_error, refuse_address
from convergence_cli.streams import STANDARD_INPUT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convergence_cli.readers import Reader

_POINT_AT_LOG = (
    "Point ctroubleshoot at the folder that holds metrics.csv, trainer_state.json, event files, a text log or tensors."
)
_NAME_DUMPS = "If these files are tensor dumps, name them tensors/step_000100.npz (see docs/tensors.md)."
_DESCRIPTORS = ("/dev/fd/", "/proc/self/fd/")
_LOG_ENDINGS = (".csv", ".tsv", ".log", ".jsonl", ".ndjson", ".wandb", ".out")
# The first line of the table that inspect writes: saved in the run, it is no log of it.
_OWN_TABLE = ",".join(("run", *(item.name for item in fields(TensorLine)))).encode()


@dataclass(frozen=True, slots=True)
class Candidate:
    """The files of one run, and the reader for them."""

    name: str
    folder: Path
    sources: tuple[Source, ...]
    reader: Reader


@dataclass(frozen=True, slots=True)
class Found:
    """What a path holds: candidates to read, and the errors of files that look like logs and are none."""

    candidates: tuple[Candidate, ...]
    errors: tuple[SourceError, ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """What lies at a path before any log is opened: one ``source``, or the ``groups`` of a folder.

    ``files`` is their number, ``dumps`` whether some have the ending of tensors.
    """

    path: str
    source: Source | None = None
    groups: tuple[Group, ...] = ()
    errors: tuple[SourceError, ...] = ()
    files: int = 0
    dumps: bool = False


def listing(path: str) -> Listing:
    """The files at ``path`` (a file, a folder, or one of ``STANDARD_INPUT``), in groups, none of them opened.

    Raises ``SourceError`` where the path is missing, or a folder without files.
    """
    if path in STANDARD_INPUT:
        return Listing(path, _standard_input())
    refuse_address(path)
    where = Path(path)
    try:
        mode = where.stat().st_mode
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SourceError(path, f"{printable(path)} cannot be read: {printable(reason)}.", "Check the path.") from error
    if stat.S_ISDIR(mode):
        return _folder(where, path)
    if stat.S_ISFIFO(mode) and path.startswith(_DESCRIPTORS):
        with open(where, "rb") as stream:
            return Listing(path, Source.from_stream(stream, path))
    if not stat.S_ISREG(mode):
        raise SourceError(
            path,
            f"{printable(path)} is not a regular file.",
            "Point ctroubleshoot at a log file or a run folder.",
        )
    return Listing(path, Source(where, path))


def candidates_of(groups: Sequence[Group], *, patterned: bool = False, alone: bool = False) -> Found:
    """The runs in ``groups``; a group that looks like a log and is none, or that is ``alone``, is an error."""
    candidates, errors = [], []
    for group in groups:
        try:
            found = _candidate(group, patterned)
        except SourceError as error:
            if alone or _looks_like_log(group.members[0]):
                errors.append(error)
            continue
        if found is not None:
            candidates.append(found)
    return Found(tuple(candidates), tuple(errors))


def no_log(found: Listing) -> SourceError:
    """The error on a folder in which no file is a log."""
    checkpoint = checkpoint_error(Path(found.path), found.path)
    if checkpoint is not None:
        return checkpoint
    seen = f"{counted(found.files, 'file')} in {printable(found.path)}"
    return SourceError(
        found.path,
        f"No training log was found among {seen}." if found.files else f"{printable(found.path)} holds no files.",
        _NAME_DUMPS if found.dumps else _POINT_AT_LOG,
    )


def _standard_input() -> Source:
    shown = "<stdin>"
    if sys.stdin is None:
        raise SourceError(shown, "Standard input is closed.", "Pipe a log into the command, or name a file.")
    try:
        return Source.from_stream(sys.stdin.buffer, shown)
    except OSError as error:
        message = f"Standard input cannot be read: {error.strerror or error}."
        raise SourceError(shown, message, "Save the log to a file and name that.") from error


def single(source: Source, patterned: bool = False) -> Candidate:
    """The run in one file or stream; a ``SourceError`` where no reader knows it."""
    if not source.head.strip():
        raise source.error("is empty: nothing has been logged yet.", "Try again after the first logged step.")
    if is_own_report(source):
        raise source.error(
            "is a report of ctroubleshoot, and no log.",
            "Name the run itself; a report in JSON shows: ctroubleshoot report",
        )
    # Who names the numbers of a file knows better than any guess at its format.
    by_pattern = patterned and b"\0" not in source.head
    module = reader("text") if by_pattern else best_reader(source)
    if module is None:
        if b"\0" in source.head:
            raise _unknown(
                source,
                "is binary and in no format that is known.",
                "Give a log (CSV, JSON, TensorBoard, W&B, plain text) or the run folder.",
            )
        raise _unknown(
            source,
            "holds no metrics that are recognised.",
            'Name the numbers with --pattern, for instance --pattern "step (?P<step>\\d+) loss (?P<loss>\\S+)".',
        )
    folder = source.path.parent if source.stream is None else Path()
    return Candidate(source.path.name or source.shown, folder, (source,), module)


def _unknown(source: Source, message: str, hint: str) -> UnknownFormatError:
    return UnknownFormatError(source.shown, f"{printable(source.shown)} {message}", hint)


def _folder(root: Path, path: str) -> Listing:
    below = groups_below(root)
    found = Listing(path, None, below.groups, below.errors, below.files, below.dumps)
    if not found.groups and not found.errors:
        raise no_log(found)
    return found


def _looks_like_log(path: Path) -> bool:
    return path.name.lower().endswith(_LOG_ENDINGS) or "tfevents" in path.name


def _candidate(group: Group, patterned: bool) -> Candidate | None:
    sources = tuple(Source(path, str(path), follow_links=False) for path in group.members)
    first = group.members[0]
    if group.trial:
        return Candidate(group.name, first, sources, reader("smdebug"))
    if len(sources) > 1:
        return Candidate(group.name, group.folder, sources, reader(_group_reader(first)))
    if not _looks_like_log(first) and not sources[0].head.strip():
        return None
    if sources[0].head.startswith(_OWN_TABLE) or is_own_report(sources[0]):
        return None
    known = best_reader(sources[0]) if patterned else None
    found = single(sources[0], patterned and (known is None or known is reader("text")))
    return Candidate(group.name, first.parent, found.sources, found.reader)


def _group_reader(member: Path) -> str:
    if "tfevents" in member.name:
        return "tensorboard"
    if rank_of(member.name) is not None:
        return "recorder"
    return "dvclive" if member.name.endswith(".tsv") else "mlflow"
