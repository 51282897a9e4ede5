"""From a path to the files that make up each run. Walks bounded, follows no symlink, opens no device."""

from __future__ import annotations

import os
import re
import stat
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from convergence_cli.errors import SourceError, UnknownFormatError
from convergence_cli.model import TensorLine
from convergence_cli.printable import counted, printable
from convergence_cli.readers import best_reader, reader
from convergence_cli.readers._guard import Source
from convergence_cli.readers._record_lines import begins_record, rank_of
from convergence_cli.readers._smdebug_trial import TRIAL_FOLDERS, is_trial
from convergence_cli.streams import STANDARD_INPUT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convergence_cli.readers import Reader

_POINT_AT_LOG = (
    "Point ctroubleshoot at the folder that holds metrics.csv, trainer_state.json, event files, a text log or tensors."
)
_NAME_DUMPS = "If these files are tensor dumps, name them tensors/step_000100.npz (see docs/tensors.md)."
_DESCRIPTORS = ("/dev/fd/", "/proc/self/fd/")
MAX_DEPTH = 8
MAX_FILES = 20_000
SKIPPED_FOLDERS = frozenset(
    {".git", ".hg", "node_modules", "__pycache__", ".venv", "venv", "site-packages", ".ipynb_checkpoints"}
    | {"media", "artifacts", ".hydra", "code", "wheels"}
)
# Sibling folders into which one run's event files are split by its writers.
_PARTS = frozenset({"train", "training", "validation", "val", "valid", "eval", "test", "dev"})
_SIBLING_FILES = ("learn_error.tsv", "test_error.tsv")
_LOG_ENDINGS = (".csv", ".tsv", ".log", ".jsonl", ".ndjson", ".wandb", ".out")
_NEVER = re.compile(
    r"(?i)\.(py|md|rst|toml|cfg|ini|sh|ipynb|html|css|js|ya?ml|pth?|bin|ckpt|safetensors|np[yz]|h5|pkl|pickle|onnx"
    r"|png|jpe?g|svg|pdf|gif|zip|gz|tar|lock|prototxt)$"
)
_NOT_RUNS = re.compile(
    r"(?i)^(config|hparams?|hyperparams?|args|params|training_args|run_config|tokenizer.*|vocab|special_tokens.*"
    r"|added_tokens|generation_config|preprocessor_config|model\.safetensors\.index|package|environment"
    r"|wandb-summary|wandb-metadata|lr-find|all_results|train_results|eval_results|opt|settings)\.json$"
    r"|^time_left\.tsv$|^(requirements|license|readme|labels|vocab|merges|diff|conda-environment).*\.txt$|^tune_results\.csv$"
)
# The first line of the table that inspect writes: saved in the run, it is no log of it.
_OWN_TABLE = ",".join(("run", *(item.name for item in fields(TensorLine)))).encode()
_CHECKPOINT = re.compile(r"^checkpoint-(\d+)$")


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


def discover(path: str, *, patterned: bool = False) -> Found:
    """The runs at ``path`` (a file, a folder, or one of ``STANDARD_INPUT``).

    ``patterned``: a pattern will say how to read text: a file named by itself is read by it, in a folder those
    that no other reader knows. Raises ``SourceError`` where the path is missing or holds no log at all.
    """
    if path in STANDARD_INPUT:
        return Found((_single(_standard_input(), patterned),), ())
    where = Path(path)
    try:
        mode = where.stat().st_mode
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SourceError(path, f"{printable(path)} cannot be read: {printable(reason)}.", "Check the path.") from error
    if stat.S_ISDIR(mode):
        return _folder(where, patterned)
    if stat.S_ISFIFO(mode) and path.startswith(_DESCRIPTORS):
        with open(where, "rb") as stream:
            return Found((_single(Source.from_stream(stream, path), patterned),), ())
    if not stat.S_ISREG(mode):
        raise SourceError(
            path,
            f"{printable(path)} is not a regular file.",
            "Point ctroubleshoot at a log file or a run folder.",
        )
    return Found((_single(Source(where, path), patterned),), ())


def _standard_input() -> Source:
    shown = "<stdin>"
    if sys.stdin is None:
        raise SourceError(shown, "Standard input is closed.", "Pipe a log into the command, or name a file.")
    try:
        return Source.from_stream(sys.stdin.buffer, shown)
    except OSError as error:
        message = f"Standard input cannot be read: {error.strerror or error}."
        raise SourceError(shown, message, "Save the log to a file and name that.") from error


def _single(source: Source, patterned: bool = False) -> Candidate:
    if not source.head.strip():
        raise source.error("is empty: nothing has been logged yet.", "Try again after the first logged step.")
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


def _folder(root: Path, patterned: bool) -> Found:
    errors: list[SourceError] = []
    trials: list[Path] = []
    files = list(_walk(root, errors, trials))
    groups = _grouped(root, files)
    candidates = [
        Candidate(_name(root, trial), trial, (Source(trial, str(trial), follow_links=False),), reader("smdebug"))
        for trial in trials
    ]
    for folder, members in groups:
        try:
            found = _group_candidate(root, folder, members, patterned)
        except SourceError as error:
            if len(groups) == 1 or _looks_like_log(members[0]):
                errors.append(error)
            continue
        if found is not None:
            candidates.append(found)
    if not candidates and not errors:
        seen = f"{counted(len(files), 'file')} in {printable(root)}"
        raise SourceError(
            str(root),
            f"No training log was found among {seen}." if files else f"{printable(root)} holds no files.",
            _NAME_DUMPS if any(path.suffix.lower() in (".npz", ".safetensors") for path in files) else _POINT_AT_LOG,
        )
    return Found(tuple(candidates), tuple(errors))


def _looks_like_log(path: Path) -> bool:
    return path.name.lower().endswith(_LOG_ENDINGS) or "tfevents" in path.name


def _group_candidate(root: Path, folder: Path, members: tuple[Path, ...], patterned: bool) -> Candidate | None:
    sources = tuple(Source(path, str(path), follow_links=False) for path in members)
    if len(sources) == 1:
        if not _looks_like_log(members[0]) and not sources[0].head.strip():
            return None
        if sources[0].head.startswith(_OWN_TABLE):
            return None
        known = best_reader(sources[0]) if patterned else None
        found = _single(sources[0], patterned and (known is None or known is reader("text")))
        sources, module = found.sources, found.reader
    else:
        module = reader(_group_reader(members[0]))
    name = _name(root, members[0] if len(members) == 1 else folder)
    return Candidate(name, members[0].parent if len(members) == 1 else folder, sources, module)


def _name(root: Path, path: Path) -> str:
    relative = str(path.relative_to(root))
    return relative if relative != "." else root.name or str(root)


def _group_reader(member: Path) -> str:
    if "tfevents" in member.name:
        return "tensorboard"
    if rank_of(member.name) is not None:
        return "recorder"
    return "dvclive" if member.name.endswith(".tsv") else "mlflow"


def _walk(root: Path, errors: list[SourceError], trials: list[Path]) -> Iterator[Path]:
    """Regular files below ``root``, no symlink followed, in a stable order; ``errors`` takes closed folders.

    ``trials`` takes the trial folders of SageMaker Debugger, whose own files are not handed out.
    """
    count = 0
    pending = [(root, 0)]
    while pending:
        folder, depth = pending.pop()
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except FileNotFoundError:
            # Removed since its parent was listed.
            continue
        except OSError as error:
            message = f"{printable(folder)} cannot be opened: {error.strerror or error}."
            errors.append(SourceError(str(folder), message, "Check its permissions."))
            continue
        folders = []
        skipped = SKIPPED_FOLDERS
        if "events" in {entry.name for entry in entries} and is_trial(folder):
            trials.append(folder)
            skipped = skipped | TRIAL_FOLDERS
        for entry in entries:
            if entry.is_symlink():
                continue
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in skipped and depth < MAX_DEPTH:
                    folders.append((Path(entry.path), depth + 1))
            elif entry.is_file(follow_symlinks=False):
                count += 1
                if count > MAX_FILES:
                    return
                yield Path(entry.path)
        pending.extend(reversed(folders))


def _grouped(root: Path, files: list[Path]) -> list[tuple[Path, tuple[Path, ...]]]:
    """Files that belong together: event files of a folder, metric files of a store, the newest checkpoint."""
    events: dict[Path, list[Path]] = {}
    stores: dict[Path, list[Path]] = {}
    checkpoints: dict[Path, tuple[int, Path]] = {}
    records: dict[Path, list[Path]] = {}
    rest: list[Path] = []
    for path in files:
        if "tfevents" in path.name:
            folder = path.parent
            split = folder != root and (folder.name.lower() in _PARTS or ("_" in folder.name and _is_part(folder)))
            events.setdefault(folder.parent if split else folder, []).append(path)
        elif _NOT_RUNS.match(path.name):
            continue
        elif "metrics" in path.parts[-6:-1] and (path.suffix == ".tsv" or "." not in path.name):
            parts = path.parts
            stores.setdefault(Path(*parts[: len(parts) - parts[::-1].index("metrics")]), []).append(path)
        elif path.name in _SIBLING_FILES:
            stores.setdefault(path.parent, []).append(path)
        elif path.name == "trainer_state.json":
            match = _CHECKPOINT.match(path.parent.name)
            home = path.parent.parent if match and path.parent != root else path.parent
            rank = int(match.group(1)) if match else sys.maxsize
            if home not in checkpoints or rank > checkpoints[home][0]:
                checkpoints[home] = (rank, path)
        elif _is_record(path):
            records.setdefault(path.parent, []).append(path)
        elif not _NEVER.search(path.name):
            rest.append(path)
    groups = [(folder, tuple(members)) for folder, members in (*events.items(), *stores.items())]
    groups += [(folder, tuple(sorted(found, key=_rank))) for folder, found in records.items()]
    groups += [(path.parent, (path,)) for _, path in checkpoints.values()]
    groups += [(path.parent, (path,)) for path in rest]
    return sorted(groups, key=lambda group: str(group[1][0]))


def _is_record(path: Path) -> bool:
    """Whether it is the recorder's file of one worker; others may call theirs ``record.jsonl``, too."""
    if rank_of(path.name) is None:
        return False
    try:
        return begins_record(Source(path, str(path), follow_links=False).head)
    except SourceError:
        return False


def _rank(path: Path) -> int:
    return rank_of(path.name) or 0


def _is_part(folder: Path) -> bool:
    # torch's add_scalars writes each of its series into a sibling folder: loss_train, loss_val.
    return folder.name.lower().rsplit("_", 1)[-1] in _PARTS
