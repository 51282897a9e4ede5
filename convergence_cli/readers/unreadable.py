"""What holds a run and is not read: addresses of servers, and stores that only their own library opens.

Each is named, with the command that exports it into something that is read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from convergence_cli.errors import SourceError
from convergence_cli.printable import printable

if TYPE_CHECKING:
    from pathlib import Path
    from typing import NoReturn

    from convergence_cli.readers._guard import ReadOptions, Source

FORMAT = "unreadable"
_ZIP = b"PK\x03\x04"
CHECKPOINT_FILES = frozenset(("_CHECKPOINT_METADATA", "manifest.ocdbt", "orbax.checkpoint"))
_COMET_MEMBERS = frozenset(("experiment.json", "messages.json"))
_NEPTUNE = re.compile(rb'\{\s*"obj"\s*:\s*\{[^{}]{0,200}"type"\s*:\s*"[A-Z]\w+"')
_ADDRESS = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]{1,20}://")
_PLAIN = re.compile(r"^[\w.-]{1,128}$", re.ASCII)
_CHECKPOINT_DEPTH = 3
_MOST_FOLDERS = 200

# Names in capitals are filled in where the address or the file says them.
_COMET = (
    "import comet_ml, pandas; pandas.DataFrame(comet_ml.API().get_experiment_by_key('KEY').get_metrics())"
    ".rename(columns={'metricName': 'name', 'metricValue': 'value'})"
    ".to_json('metrics.jsonl', orient='records', lines=True)"
)
_WANDB = "import wandb, pandas; pandas.DataFrame(wandb.Api().run('RUN').scan_history()).to_csv('run.csv', index=False)"
_CLEARML = (
    "import json, clearml; found = clearml.Task.get_task(task_id='TASK').get_reported_scalars(); "
    "json.dump({m + '/' + v: {'steps': s['x'], 'values': s['y']} for m, vs in found.items() for v, s in vs.items()}, "
    "open('metrics.json', 'w'))"
)
_MLFLOW = (
    "import json, mlflow; client = mlflow.MlflowClient('SERVER'); "
    "found = {k: client.get_metric_history('RUN', k) for k in client.get_run('RUN').data.metrics}; "
    "json.dump({k: {'steps': [m.step for m in ms], 'values': [m.value for m in ms]} for k, ms in found.items()}, "
    "open('metrics.json', 'w'))"
)
_ORBAX = (
    "import jax, numpy, orbax.checkpoint; from jax.tree_util import keystr, tree_leaves_with_path; "
    "tree = orbax.checkpoint.StandardCheckpointer().restore(PATH); "
    "numpy.savez('tensors/step_000100.npz', "
    "**{'weight/' + keystr(k, simple=True, separator='.'): v for k, v in tree_leaves_with_path(tree)})"
)
_NEPTUNE_CLOSED = (
    "Neptune's servers were closed in March 2026. Give the Parquet files that neptune-exporter made before, turned "
    "into CSV, or the log that the training printed."
)
_CLOSED = {
    "neptune.ai": ("a run on Neptune", _NEPTUNE_CLOSED),
    "tensorboard.dev": (
        "a page of tensorboard.dev, which was closed in 2023",
        "Give the event files (events.out.tfevents.*) that were uploaded.",
    ),
}


def sniff(source: Source) -> float:
    """Certain where an archive has the members of a Comet experiment, or a log the operations of Neptune's client."""
    if source.head.startswith(_ZIP):
        # Needed for archives alone: whoever imports this module to look at a path goes without.
        from convergence_cli.readers._archive import names_in

        try:
            return 0.95 if _COMET_MEMBERS.issubset(names_in(source)) else 0.0
        except SourceError:
            return 0.0
    return 0.95 if _NEPTUNE.match(source.head.lstrip()[:4000]) else 0.0


def read(sources: Sequence[Source], options: ReadOptions) -> NoReturn:
    """Say what it is and how to export it: ``SourceError``."""
    del options
    source = sources[0]
    if source.head.startswith(_ZIP):
        key = source.path.stem if _PLAIN.match(source.path.stem) else "KEY"
        raise source.error(
            "is an offline experiment of Comet, whose layout is not documented.",
            f"Upload it with: comet upload FILE.zip. Then, in Python: {_COMET.replace('KEY', key)}.",
        )
    raise source.error(
        "holds what Neptune's client was to send to its server, and is no log.",
        _NEPTUNE_CLOSED,
    )


def refuse_address(path: str) -> None:
    """Raises ``SourceError`` where ``path`` is the address of a server and not a file; opens no connection."""
    if not _ADDRESS.match(path):
        return
    try:
        parts = urlsplit(path)
        host = (parts.hostname or "").lower()
    except ValueError:
        host, parts = "", urlsplit("")
    words = [word for word in f"{parts.path}/{parts.fragment}".split("/") if word]
    what, hint = _told(host, words, f"{parts.scheme}://{parts.netloc}")
    raise SourceError(path, f"{printable(path)} is {what}, and only files are read.", hint)


def _told(host: str, words: list[str], server: str) -> tuple[str, str]:
    for ending, told in _CLOSED.items():
        if host.endswith(ending):
            return told
    run = _after(words, "runs")
    if _after(words, "experiments") and "projects" not in words and not host.endswith("clear.ml"):
        known = server if re.fullmatch(r"https?://[\w.:-]{1,200}", server, re.ASCII) else "SERVER"
        export = _MLFLOW.replace("SERVER", known).replace("RUN", run or "RUN")
        return "a run on an MLflow server", f"Export it in Python: {export}."
    if host.endswith("wandb.ai") or "runs" in words[2:3]:
        whole = run and len(words) > 3 and all(map(_PLAIN.match, words[:2]))
        export = _WANDB.replace("RUN", f"{words[0]}/{words[1]}/{run}" if whole else "ENTITY/PROJECT/RUN")
        return "a run on W&B", f"Export it in Python: {export}. Or give wandb/run-*/run-*.wandb from where it trained."
    if host.endswith(("comet.com", "comet.ml")):
        key = words[2] if len(words) > 2 and _PLAIN.match(words[2]) else "KEY"
        return "an experiment on Comet", f"Export it in Python: {_COMET.replace('KEY', key)}."
    if host.endswith("clear.ml") or "projects" in words:
        task = _after(words, "experiments") or _after(words, "tasks") or "TASK"
        return "a task on a ClearML server", f"Export it in Python: {_CLEARML.replace('TASK', task)}."
    return "an address", "Download it, and give the file or the folder."


def _after(words: list[str], word: str) -> str:
    """The plain word that follows ``word`` in an address, or an empty text."""
    at = words.index(word) + 1 if word in words else len(words)
    return words[at] if at < len(words) and _PLAIN.match(words[at]) else ""


def checkpoint_error(folder: Path, shown: str) -> SourceError | None:
    """The error on a folder of Orbax checkpoints; None where its first levels hold no mark of one."""
    found = next((path for path in _folders(folder) if _names(path) & CHECKPOINT_FILES), None)
    if found is None:
        return None
    return SourceError(
        shown,
        f"{printable(shown)} holds a checkpoint of Orbax, which only Orbax opens, and no log.",
        f"Give the folder of the log. Weights are read from .npz files; in Python: {_ORBAX}.",
    )


def _folders(root: Path) -> Iterator[Path]:
    """``root`` and some folders below it, no symlink followed, nearest first."""
    pending = [(root, 0)]
    for seen in range(_MOST_FOLDERS):
        if seen >= len(pending):
            return
        folder, depth = pending[seen]
        yield folder
        if depth < _CHECKPOINT_DEPTH:
            try:
                with os.scandir(folder) as entries:
                    below = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
            except OSError:
                continue
            pending += [(folder / name, depth + 1) for name in below[:_MOST_FOLDERS]]


def _names(folder: Path) -> set[str]:
    try:
        return set(os.listdir(folder))
    except OSError:
        return set()
