"""Where a run keeps its dumps: ``tensors/step_000100.npz`` and its like, and trees ``STEP/KIND/NAME.npy``."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from convergence_cli.errors import SourceError
from convergence_cli.printable import counted
from convergence_cli.readers._groups import MAX_DEPTH, SKIPPED_FOLDERS
from convergence_cli.readers._guard import Source
from convergence_cli.tensors.checkpoint import checkpoint_tensors
from convergence_cli.tensors.hdf5 import hdf5_tensors
from convergence_cli.tensors.keras_names import epoch_of
from convergence_cli.tensors.names import KIND_OF, named
from convergence_cli.tensors.npy import npy_tensor
from convergence_cli.tensors.npz import npz_tensors
from convergence_cli.tensors.safetensors import natural, safetensors_tensors
from convergence_cli.tensors.stored import Dump, StoredTensor, left_out
from convergence_cli.tensors.workers import joined, worker_of

OpenArchive = Callable[[Source], list[StoredTensor]]

FOLDER = "tensors"
# A tree has a file for every tensor and step.
MAX_FILES = 100_000
_ARCHIVES: dict[str, OpenArchive] = {
    **{".npz": npz_tensors, ".safetensors": safetensors_tensors},
    **dict.fromkeys((".pt", ".pth"), checkpoint_tensors),
    **dict.fromkeys((".h5", ".hdf5", ".keras"), hdf5_tensors),
}
# Names that also stand for pickles of anything: read where the user names the file.
_NAMED_ONLY: dict[str, OpenArchive] = {".bin": checkpoint_tensors}
_MODES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("eval", "evaluation", "val", "valid", "validation", "test"), "eval"),
    **dict.fromkeys(("predict", "prediction"), "predict"),
}
# Names of files that say nothing but that they are dumps.
_WHOLE = frozenset({"tensors", "tensor", "dump", "data"})
_STEP = r"(?:(?P<word>(?:global_?)?(?:step|iter|iteration))[_=-]?)?(?P<step>\d{1,15})"
_STEP_NAME = re.compile(rf"(?i){_STEP}")
_STEM = re.compile(
    rf"(?i)(?:(?P<before>{'|'.join(_MODES)}|{'|'.join(sorted(_WHOLE))})[_-])?{_STEP}(?P<rest>(?:[._-][a-z]+[_=-]?\d*)*)"
)
# What a file in a folder of dumps is called: its last number is the step, but for that of a worker.
_NUMBER = re.compile(r"(?<!\d)\d{1,15}(?!\d)")
_LAST_WORD = re.compile(r"(?P<stem>.+)[._-](?P<word>[A-Za-z]+(?:[_=-]?\d+)?)")
# Formats that sort by name.
_SORTED = frozenset({".safetensors", ".h5", ".hdf5", ".keras"})
_REST = re.compile(r"[._-](?P<part>[A-Za-z]+[_=-]?\d*)")


@dataclass(frozen=True, slots=True)
class DumpSet:
    """The dumps of one run, by step. ``folder`` is the run's (a file named by itself: that file).

    ``worker_folders`` are those of its workers in it, where each worker has a folder for all it writes.
    """

    folder: Path
    dumps: tuple[Dump, ...]
    notes: tuple[str, ...] = ()
    worker_folders: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class _Place:
    """What the path of a dump tells. ``level`` is how many of its folders belong to the run or lie above it."""

    level: int
    step: float | None = None
    worded: bool = False
    worker: str = ""
    mode: str = ""
    kind: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class _Part:
    """One of several files that make up a dump: an array, or all tensors of a kind."""

    key: str
    path: Path
    written: float
    tensors: Callable[[], list[StoredTensor]]


def find_dumps(root: Path) -> list[DumpSet]:
    """The dumps at ``root``, a file or a folder, one set a run; none where there are none.

    Follows no link, opens no file. Models that lie about in a run (``checkpoint-500/model.safetensors``) are none.
    """
    if not root.is_dir():
        dump = _single(root)
        return [DumpSet(root, (dump,))] if dump is not None else []
    above = Path(os.path.abspath(root)).parts
    notes: list[str] = []
    dumps: dict[Path, list[Dump]] = {}
    parts: dict[tuple[Path, _Place], list[_Part]] = {}
    for path, written, place in _placed(root, above, notes):
        folder = _folder(root, path, place.level - len(above))
        source = Source(path, str(path), follow_links=False)
        if place.key:
            part = _Part(place.key, path, written, partial(_array, source, place.key))
            parts.setdefault((folder, replace(place, key="")), []).append(part)
        elif place.kind:
            part = _Part(place.kind, path, written, partial(_archive_tensors, source, place.kind))
            parts.setdefault((folder, replace(place, kind="")), []).append(part)
        else:
            dumps.setdefault(folder, []).append(_archive(source, place, written))
    for (folder, place), files in parts.items():
        dumps.setdefault(folder, []).append(_of_parts(place, files))
    return [
        DumpSet(
            folder, tuple(sorted(found, key=lambda one: (one.step, one.mode, natural(one.path)))), tuple(notes), own
        )
        for folder, (found, own) in sorted(joined(root, dumps).items())
    ]


def _placed(root: Path, above: Sequence[str], notes: list[str]) -> Iterator[tuple[Path, float, _Place]]:
    """The files that are dumps; one without any number, where it is the only one of a run, is of step 0."""
    numbered: set[Path] = set()
    others: dict[Path, list[tuple[Path, float, _Place]]] = {}
    for path, written in _walk(root, notes):
        place = _place((*above, *path.relative_to(root).parts[:-1]), path)
        if place is None:
            continue
        folder = _folder(root, path, place.level - len(above))
        if place.step is None:
            others.setdefault(folder, []).append((path, written, replace(place, step=0.0)))
        else:
            numbered.add(folder)
            yield path, written, place
    for folder, found in others.items():
        if folder not in numbered and len(found) == 1:
            yield found[0]


def _walk(root: Path, notes: list[str]) -> Iterator[tuple[Path, float]]:
    """Files that may be dumps, and when they were written."""
    count = 0
    pending = [(root, 0)]
    while pending:
        folder, depth = pending.pop()
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            # Removed meanwhile, or closed: the walk for logs says so.
            continue
        below = []
        for entry in entries:
            if entry.name.startswith(".") or entry.is_symlink():
                continue
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in SKIPPED_FOLDERS and depth < MAX_DEPTH:
                    below.append((Path(entry.path), depth + 1))
            elif os.path.splitext(entry.name)[1].lower() in {*_ARCHIVES, ".npy"} and entry.is_file():
                count += 1
                if count > MAX_FILES:
                    notes.append(f"only the first {counted(MAX_FILES, 'file')} with tensors were looked at")
                    return
                try:
                    yield Path(entry.path), entry.stat(follow_symlinks=False).st_mtime
                except OSError:
                    continue
        pending.extend(reversed(below))


def _place(folders: Sequence[str], path: Path) -> _Place | None:
    """What ``path`` tells, whose folders from the root of the file system are ``folders``; None where it is no dump."""
    if path.suffix.lower() == ".npy":
        return _place_in_tree(folders, path)
    return (
        _of_file(folders, _of_stem(path.stem, len(folders)))
        or _of_keras(folders, path.name)
        or _place_in_folder(folders, path.stem)
    )


def _of_keras(folders: Sequence[str], name: str) -> _Place | None:
    """A checkpoint that Keras wrote after an epoch."""
    epoch = epoch_of(name)
    inside = bool(folders) and folders[-1].lower() == FOLDER
    return None if epoch is None else _Place(len(folders) - inside, epoch)


def _of_file(folders: Sequence[str], found: _Place | None) -> _Place | None:
    """What the folders add to ``found``, which the name of the file tells."""
    if found is None:
        return None
    level = len(folders)
    while level and (further := _of_folder(folders[level - 1], found)) is not None:
        found, level = further, level - 1
    inside = level > 0 and folders[level - 1].lower() == FOLDER
    if not (inside or (found.worded and not found.kind)):
        return None
    return replace(found, level=level - inside)


def _place_in_folder(folders: Sequence[str], stem: str) -> _Place | None:
    """A file of any name in ``tensors``, or in folders there that tell step, worker and mode."""
    found = _Place(len(folders))
    while (match := _LAST_WORD.fullmatch(stem)) and (further := _of_word(match["word"], found)) is not None:
        found, stem = further, match["stem"]
    level = len(folders)
    while level and (add := _of_folder(folders[level - 1], found)) is not None:
        found, level = add, level - 1
    if not level or folders[level - 1].lower() != FOLDER:
        return None
    found = replace(found, level=level - 1)
    if found.step is not None:
        return found
    numbers = list(_NUMBER.finditer(stem))
    if numbers:
        kind = KIND_OF.get(stem[: numbers[-1].start()].rstrip("._=-").lower(), "")
        return replace(found, step=float(numbers[-1][0]), kind=kind)
    return None if any(letter.isdigit() for letter in stem) else found


def _place_in_tree(folders: Sequence[str], path: Path) -> _Place | None:
    for index in range(len(folders) - 1, 0, -1):
        kind = KIND_OF.get(folders[index].lower(), "")
        if not kind:
            continue
        key = "/".join((*folders[index + 1 :], path.stem))
        found, level = _Place(0, key=f"{kind}/{key}"), index
        while level and (further := _of_folder(folders[level - 1], found)) is not None:
            found, level = further, level - 1
        if found.step is not None:
            inside = level > 0 and folders[level - 1].lower() == FOLDER
            return replace(found, level=level - inside)
    return None


def _of_stem(stem: str, level: int) -> _Place | None:
    match = _STEM.fullmatch(stem)
    if match is None:
        if worker := worker_of(stem):
            return _Place(level, worker=worker)
        word = stem.lower()
        kind = KIND_OF.get(word, "")
        return _Place(level, kind=kind) if kind or word in _WHOLE else None
    found: _Place | None = _Place(level, float(match["step"]), bool(match["word"]))
    before = match["before"] or ""
    for part in ("" if before.lower() in _WHOLE else before, *(one["part"] for one in _REST.finditer(match["rest"]))):
        if part and found is not None:
            found = _of_word(part, found)
    return found


def _of_folder(name: str, found: _Place) -> _Place | None:
    if found.step is None and (match := _STEP_NAME.fullmatch(name)) is not None:
        return replace(found, step=float(match["step"]), worded=bool(match["word"]))
    return _of_word(name, found)


def _of_word(word: str, found: _Place) -> _Place | None:
    mode = _MODES.get(word.lower(), "")
    if mode and not found.mode:
        return replace(found, mode=mode)
    worker = worker_of(word)
    if worker and not found.worker:
        return replace(found, worker=worker)
    return None


def _folder(root: Path, path: Path, down: int) -> Path:
    """The run's folder, ``down`` folders below ``root`` (above it where negative) on the way to ``path``."""
    if down >= 0:
        return root.joinpath(*path.relative_to(root).parts[:down])
    return Path(os.path.normpath(root.joinpath(*[".."] * -down)))


def _archive(source: Source, place: _Place, written: float) -> Dump:
    tensors = partial(_archive_tensors, source, place.kind)
    ordered = source.path.suffix.lower() not in _SORTED
    return Dump(place.step or 0.0, str(source.path), tensors, place.worker, place.mode, written, ordered)


def _archive_tensors(source: Source, kind: str) -> list[StoredTensor]:
    """The tensors of a file, their keys with the ``kind`` that its name tells of all of them."""
    tensors = (_ARCHIVES | _NAMED_ONLY)[source.path.suffix.lower()](source)
    if not kind:
        return tensors
    own = [KIND_OF.get(re.split(r"[/.:]", one.key)[0].lower()) == kind for one in tensors]
    return [one if has else replace(one, key=f"{kind}/{one.key}") for one, has in zip(tensors, own, strict=True)]


def _array(source: Source, key: str) -> list[StoredTensor]:
    return [npy_tensor(source, key)]


def _of_parts(place: _Place, parts: list[_Part]) -> Dump:
    parts = sorted(parts, key=lambda one: natural(one.key))
    folder = os.path.commonpath([one.path.parent for one in parts])
    written = max(one.written for one in parts)
    return Dump(
        place.step or 0.0, folder, partial(_all_tensors, parts), place.worker, place.mode, written, ordered=False
    )


def _all_tensors(parts: Sequence[_Part]) -> list[StoredTensor]:
    tensors: list[StoredTensor] = []
    for part in parts:
        try:
            tensors += part.tensors()
        except SourceError:
            tensors.append(left_out(part.key, "a file that is damaged, or still being written"))
    return tensors


def _single(path: Path) -> Dump | None:
    """The dump that the user names: its step from the name, or 0."""
    suffix = path.suffix.lower()
    if suffix not in {*_ARCHIVES, *_NAMED_ONLY, ".npy"}:
        return None
    try:
        written = path.stat().st_mtime
    except OSError:
        return None
    source = Source(path, str(path))
    place = (
        _of_stem(path.stem, 0)
        or _of_keras((), path.name)
        or _place_in_folder((path.parent.name,), path.stem)
        or _Place(0)
    )
    if suffix != ".npy":
        dump = _archive(source, place, written)
        return replace(dump, tensors=partial(_or_weights, dump.tensors))
    # An array without any name around it has that of its file.
    key = path.stem if named(path.stem).kind else f"weight/{path.stem}"
    return Dump(place.step or 0.0, str(path), partial(_array, source, key), place.worker, place.mode, written)


def _or_weights(tensors: Callable[[], list[StoredTensor]]) -> list[StoredTensor]:
    """``tensors`` of a model that the user names: what has no kind in its name is a weight there."""
    found = tensors()
    bare = [not named(one.key).kind and "loss" not in one.key.lower() for one in found]
    return [replace(one, key=f"weight/{one.key}") if is_bare else one for one, is_bare in zip(found, bare, strict=True)]
