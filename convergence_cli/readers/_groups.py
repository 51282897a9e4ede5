"""The files below a folder, in groups that belong together. Walks bounded, follows no symlink, opens no log."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from convergence_cli.errors import SourceError
from convergence_cli.printable import printable
from convergence_cli.readers._companions import is_offline_archive, told_again
from convergence_cli.readers._guard import Source
from convergence_cli.readers._mlflow_meta import is_deleted
from convergence_cli.readers._record_lines import begins_record, rank_of
from convergence_cli.readers._smdebug_trial import TRIAL_FOLDERS, is_trial

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAX_DEPTH = 8
MAX_FILES = 500_000
SKIPPED_FOLDERS = frozenset(
    {".git", ".hg", "node_modules", "__pycache__", ".venv", "venv", "site-packages", ".ipynb_checkpoints"}
    | {".trash", "media", "artifacts", ".hydra", "code", "wheels"}
)
# Sibling folders into which one run's event files are split by its writers.
_PARTS = frozenset({"train", "training", "validation", "val", "valid", "eval", "test", "dev"})
_SIBLING_FILES = ("learn_error.tsv", "test_error.tsv")
_NEVER = re.compile(
    r"(?i)\.(py|md|rst|toml|cfg|ini|sh|ipynb|html|css|js|ya?ml|pth?|bin|ckpt|safetensors|np[yz]|h5|hdf5|keras|pkl|pickle|onnx"
    r"|png|jpe?g|svg|pdf|gif|zip|gz|tar|lock|prototxt)$"
)
_NOT_RUNS = re.compile(
    r"(?i)^(config|hparams?|hyperparams?|args|params|training_args|run_config|tokenizer.*|vocab|special_tokens.*"
    r"|added_tokens|generation_config|preprocessor_config|model\.safetensors\.index|package|environment"
    r"|wandb-summary|wandb-metadata|lr-find|all_results|train_results|eval_results|opt|settings)\.json$"
    r"|^time_left\.tsv$|^(requirements|license|readme|labels|vocab|merges|diff|conda-environment).*\.txt$|^tune_results\.csv$"
)
_MMENGINE_SCALARS = "scalars.json"
WANDB_RUN = re.compile(r"^(offline-)?run-\d{8}_\d{6}-")
_WANDB_DEBUG = re.compile(r"^debug(-internal|-core)?\.log$")
_CHECKPOINT = re.compile(r"^checkpoint-(\d+)$")


@dataclass(frozen=True, slots=True)
class Group:
    """Files that make up one log, most often one. ``trial``: its one member is a trial folder of SageMaker Debugger."""

    root: Path
    folder: Path
    members: tuple[Path, ...]
    trial: bool = False

    @property
    def name(self) -> str:
        """The path below the root of the file, or of the folder where the files are several."""
        path = self.members[0] if len(self.members) == 1 else self.folder
        relative = str(path.relative_to(self.root))
        return relative if relative != "." else self.root.name or str(self.root)


@dataclass(frozen=True, slots=True)
class Grouped:
    """The groups below a folder in a stable order; ``errors`` are on folders that could not be opened.

    ``files`` is the number of files, ``dumps`` whether some have the ending of tensors.
    """

    groups: tuple[Group, ...]
    files: int
    dumps: bool
    errors: tuple[SourceError, ...]


def groups_below(root: Path) -> Grouped:
    """The groups of files below ``root``: event files of a folder, metric files of a store, the newest checkpoint."""
    errors: list[SourceError] = []
    trials: list[Path] = []
    files = list(_walk(root, errors, trials))
    groups = [Group(root, trial, (trial,), trial=True) for trial in trials]
    groups += [Group(root, folder, members) for folder, members in _grouped(root, files)]
    dumps = any(path.suffix.lower() in (".npz", ".safetensors", ".h5", ".hdf5", ".keras") for path in files)
    return Grouped(tuple(groups), len(files), dumps, tuple(errors))


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
                    message = f"{printable(root)} holds more than {MAX_FILES:,} files: the others were not looked at."
                    errors.append(SourceError(str(root), message, "Name folders below it."))
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
    names = frozenset(path for path in files if path.name in (_MMENGINE_SCALARS, _SIBLING_FILES[0]))
    again = told_again(files)
    for path in files:
        if path in again:
            continue
        if "tfevents" in path.name:
            folder = path.parent
            if folder.parent / _SIBLING_FILES[0] in names:
                # CatBoost writes what its tables hold once more, a folder a set.
                continue
            split = folder != root and (folder.name.lower() in _PARTS or ("_" in folder.name and _is_part(folder)))
            events.setdefault(folder.parent if split else folder, []).append(path)
        elif _NOT_RUNS.match(path.name) or _is_second_copy(path, names):
            continue
        elif "metrics" in path.parts[-6:-1] and (path.suffix == ".tsv" or "." not in path.name):
            stores.setdefault(Path(*path.parts[: metrics_end(path.parts)]), []).append(path)
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
        elif (not _NEVER.search(path.name) or is_offline_archive(path)) and not _of_wandb_itself(path):
            rest.append(path)
    for folder in [one for one in stores if one.name == "metrics" and one.parent != root and is_deleted(one.parent)]:
        del stores[folder]
    groups = [(folder, tuple(members)) for folder, members in (*events.items(), *stores.items())]
    groups += [(folder, tuple(sorted(found, key=_rank))) for folder, found in records.items()]
    groups += [(path.parent, (path,)) for _, path in checkpoints.values()]
    groups += [(path.parent, (path,)) for path in rest]
    return sorted(groups, key=lambda group: str(group[1][0]))


def metrics_end(parts: Sequence[str]) -> int:
    """How many of ``parts`` of a metric file's path lead to the folder of its run's metric files.

    That is ``plots/metrics`` of DVCLive, whose metrics may have such names themselves, or the last ``metrics``.
    """
    for end in range(max(2, len(parts) - 5), len(parts)):
        if tuple(parts[end - 2 : end]) == ("plots", "metrics"):
            return end
    return len(parts) - parts[::-1].index("metrics") if "metrics" in parts else len(parts) - 1


def _is_second_copy(path: Path, names: frozenset[Path]) -> bool:
    """MMEngine's ``<time>/vis_data/<time>.json``, a copy of ``scalars.json``, and ``<time>/<time>.json`` of a test."""
    folder, stem = path.parent, path.stem
    if path.suffix != ".json" or stem not in (folder.name, folder.parent.name):
        return False
    return folder / _MMENGINE_SCALARS in names or folder / "vis_data" / _MMENGINE_SCALARS in names


def _of_wandb_itself(path: Path) -> bool:
    """Whether it is what W&B logs of its own doings, beside a run."""
    return (
        path.parent.name == "logs"
        and _WANDB_DEBUG.match(path.name) is not None
        and WANDB_RUN.match(path.parent.parent.name) is not None
    )


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
