"""What a run says of its own settings, from the files beside its log, under canonical keys."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from convergence_cli.errors import SourceError
from convergence_cli.printable import printable
from convergence_cli.readers._groups import WANDB_RUN
from convergence_cli.readers._guard import MAX_CONFIG_BYTES, MAX_YAML_BYTES, Source, parse_json, parse_yaml
from convergence_cli.readers._json_table import number

MAX_KEYS = 500
MAX_TEXT = 200
MAX_DEPTH = 6
MAX_PARAM_FILES = 200
_MAX_FLAT = 5000
_FILES = (
    "config.json", "config.yaml", "config.yml", "hparams.json", "hparams.yaml", "args.json", "args.yaml",
    "params.json", "params.yaml", "training_args.json", "run_config.json", ".hydra/config.yaml",
)  # fmt: skip
LR_FIND_FILE, STARTED_FILE = "lr-find.json", "wandb-metadata.json"
_LOG_FOLDER = re.compile(r"^(train|logs?|metrics|checkpoint-\d+|version_\d+|tensorboard|tb)$")

# canonical key: the names it goes by, the surest first. Compared in lower case, "-" as "_".
_NAMES: dict[str, str] = {
    "learning_rate": "learning_rate lr lr0 base_lr init_lr initial_lr peak_lr max_lr base_learning_rate "
    "initial_learning_rate peak_learning_rate",
    "optimizer": "optimizer optim opt optimizer_name optimizer_type solver_type",
    "momentum": "momentum",
    "batch_size": "batch_size per_device_train_batch_size train_batch_size batch micro_batch_size batchsize",
    "gradient_accumulation_steps": "gradient_accumulation_steps accumulate_grad_batches grad_accum_steps",
    "epochs": "epochs num_train_epochs num_epochs max_epochs n_epochs",
    "max_steps": "max_steps max_iters max_iter total_steps train_steps num_training_steps",
    "warmup_steps": "warmup_steps num_warmup_steps warmup_iters",
    "warmup_ratio": "warmup_ratio warmup_fraction",
    "weight_decay": "weight_decay",
    "num_classes": "num_classes nc n_classes num_labels classes",
    "dropout": "dropout dropout_rate",
    "label_smoothing": "label_smoothing label_smoothing_factor",
    "lr_schedule": "lr_scheduler_type lr_schedule lr_scheduler scheduler lr_policy schedule",
    "gradient_clip_norm": "max_grad_norm grad_clip clip_grad_norm gradient_clip_val gradient_clip_norm "
    "grad_clip_norm grad_norm_clipping",
    "precision": "precision dtype torch_dtype mixed_precision",
    "vocab_size": "vocab_size",
    "seed": "seed random_seed",
}
_TEXTUAL = frozenset(("optimizer", "lr_schedule", "precision"))
# Folders of a nested file whose keys mean the same as at the top.
_SECTIONS = frozenset((
    "args", "config", "train", "training", "trainer", "optimizer", "optim", "optimizer_params",
    "optimizer_config", "optimization", "optimizer_kwargs", "hparams", "hyperparameters",
    "hyper_parameters", "params", "solver", "model", "data", "dataset", "scheduler", "lr_scheduler",
    "training_args", "train_config", "model_config",
))  # fmt: skip
_NAME_FIELDS = ("name", "type", "class", "class_name", "_target_")
_SWITCHES = ("bf16", "fp16", "amp", "use_amp")
_KNOWN = frozenset(" ".join(_NAMES.values()).split()).union(_NAME_FIELDS, _SWITCHES)
# The longer name first: "adam" is part of most.
_OPTIMIZERS = (
    "adamw", "adamax", "nadam", "radam", "adamp", "adam", "rmsprop", "adagrad", "adadelta", "adafactor",
    "sgd", "lamb", "lars", "lion", "muon", "lbfgs", "sophia", "shampoo",
)  # fmt: skip


def read_config(folder: Path, beside: Path) -> tuple[dict[str, Any], list[str]]:
    """The settings in the files of ``folder`` that lie beside the log ``beside``, and notes on unread ones.

    A log in ``train/``, ``logs/``, ``checkpoint-N/`` and the like has its parent's files read too; where
    two files name a key, the nearer one holds. Never raises.
    """
    raw: dict[str, Any] = {}
    notes: list[str] = []
    for place in _places(folder):
        for name in _FILES:
            path = place / name
            if path == beside or not _is_plain_file(path):
                continue
            try:
                found = _load(path)
            except (SourceError, ValueError) as error:
                notes.append(f"could not read {printable(path.name)}: {printable(error)}")
                continue
            for key, value in found.items():
                raw.setdefault(key, value)
        for key, value in (*_measured_window(place, beside), *_start_of(place)):
            raw.setdefault(key, value)
        if place.name == "metrics":
            for key, value in _mlflow_params(place.parent / "params"):
                raw.setdefault(key, value)
    return canonical(raw), notes


def files_beside(folder: Path, beside: Path) -> list[Path]:
    """The files that ``read_config`` reads for a log ``beside`` in ``folder``, in a stable order."""
    found = []
    for place in _places(folder):
        found += [place / name for name in (*_FILES, LR_FIND_FILE, STARTED_FILE)]
        if place.name == "metrics":
            found += [path for path, _ in _param_files(place.parent / "params")]
    return [path for path in found if path != beside and _is_plain_file(path)]


def _places(folder: Path) -> list[Path]:
    if WANDB_RUN.match(folder.name):
        return [folder, folder / "files"]
    return [folder, folder.parent] if _LOG_FOLDER.match(folder.name) else [folder]


def _measured_window(folder: Path, beside: Path) -> Iterator[tuple[str, Any]]:
    """What ``lr-find`` measured for this model, from its answer; its own rate is not the one that was trained with."""
    path = folder / LR_FIND_FILE
    if path == beside or not _is_plain_file(path):
        return
    try:
        answer = _load(path)
    except (SourceError, ValueError):
        return
    window = answer.get("window")
    if isinstance(window, list) and len(window) == 2:
        yield from zip(("lr_find.low", "lr_find.high"), window, strict=True)
    for key in ("learning_rate", "diverges_at"):
        yield f"lr_find.{'rate' if key == 'learning_rate' else key}", answer.get(key)


def _start_of(folder: Path) -> Iterator[tuple[str, Any]]:
    """The script and its arguments, which W&B keeps in ``wandb-metadata.json``."""
    path = folder / STARTED_FILE
    if not _is_plain_file(path):
        return
    try:
        known = _load(path)
    except (SourceError, ValueError):
        return
    program = known.get("codePath") or known.get("program")
    if isinstance(program, str):
        yield "started.program", program
    words = known.get("args")
    if isinstance(words, list) and all(isinstance(word, str) for word in words):
        yield "started.args", " ".join(words)


def canonical(raw: Mapping[str, Any]) -> dict[str, Any]:
    """``raw`` flattened with dots, and beside it the canonical keys it gives a value to.

    Numeric strings become numbers; lists, long texts and nulls are dropped; at most 500 keys. A canonical
    key whose names disagree at the same rank is left out: a wrong learning rate is worse than none.
    """
    flat: dict[str, Any] = {}
    _flatten(raw, "", 0, flat)
    split = [(value, *path.lower().replace("-", "_").rpartition(".")[::2]) for path, value in flat.items()]
    leaves = [leaf for leaf in split if leaf[2] in _KNOWN]
    found: dict[str, Any] = {}
    for key, names in _NAMES.items():
        value = _pick(leaves, key, names.split())
        if value is not None:
            found[key] = value
    if "precision" not in found:
        used = {last for value, _, last in leaves if last in _SWITCHES and value is True}
        if len(used) == 1:
            found["precision"] = used.pop()
    framework = _framework(flat)
    if framework is not None:
        found["framework"] = framework
    original = [(key, value) for key, value in flat.items() if key not in _NAMES]
    return {**found, **dict(original[: MAX_KEYS - len(found)])}


def _pick(leaves: list[tuple[Any, str, str]], key: str, names: list[str]) -> Any:
    """The value of the first name that has one, at the top level or else in a section; None if unclear."""
    for nested in (False, True):
        for name in names:
            values = set()
            for value, section, last in leaves:
                if bool(section) != nested or not _SECTIONS.issuperset(filter(None, section.split("."))):
                    continue
                named = key in _TEXTUAL and last in _NAME_FIELDS and section.rpartition(".")[2] == name
                if last == name or named:
                    accepted = _accepted(key, value)
                    if accepted is not None:
                        values.add(accepted)
            if values:
                return values.pop() if len(values) == 1 else None
    return None


def _accepted(key: str, value: Any) -> Any:
    if key in _TEXTUAL:
        if key == "precision" and isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if not isinstance(value, str):
            return None
        return _optimizer(value) if key == "optimizer" else value.lower()
    point = number(value)
    return value if point is not None and point >= 0 else None


def _optimizer(text: str) -> str | None:
    lowered = text.lower().rsplit(".", 1)[-1]
    plain = re.sub(r"^(?:fused|deepspeedcpu)", "", lowered).strip("_0123456789")
    known = next((name for name in _OPTIMIZERS if plain in (name, f"{name}optimizer")), None)
    if known is None:
        # "adamw_torch_fused" and "sgd_nesterov" name a build of the family; "dadaptadam" is another method.
        known = next((name for name in _OPTIMIZERS if {name} & set(re.split(r"[^a-z]+", lowered))), None)
    return known or (lowered if lowered.isidentifier() else None)


def _framework(flat: Mapping[str, Any]) -> str | None:
    if "transformers_version" in flat:
        return "transformers"
    if "imgsz" in flat and "mosaic" in flat:
        return "ultralytics"
    return None


def _flatten(value: Any, name: str, depth: int, out: dict[str, Any]) -> None:
    if len(out) >= _MAX_FLAT:
        return
    if isinstance(value, Mapping):
        if set(value) <= {"value", "desc"} and "value" in value:
            # wandb's config.yaml: {key: {desc: ..., value: ...}}.
            _flatten(value["value"], name, depth, out)
        elif depth < MAX_DEPTH:
            for key, item in value.items():
                if not str(key).startswith("_") or str(key) == "_target_":
                    _flatten(item, f"{name}.{str(key)[:MAX_TEXT]}" if name else str(key)[:MAX_TEXT], depth + 1, out)
        return
    if not name or name in out:
        return
    if isinstance(value, bool):
        out[name] = value
    elif isinstance(value, (int, float)):
        # An integer beyond float's range would break whoever computes with it.
        out[name] = value if isinstance(value, float) else (value if abs(value) < 1 << 63 else number(value))
    elif isinstance(value, str) and len(value) <= MAX_TEXT:
        out[name] = _coerced(value)


def _coerced(text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    point = number(text)
    if point is None:
        return text
    return int(point) if re.fullmatch(r"[+-]?\d{1,18}", text.strip()) else point


def _is_plain_file(path: Path) -> bool:
    """A regular file reached through no symlink: neither itself nor a folder it names below the run."""
    try:
        if path.parent.name == ".hydra" and stat.S_ISLNK(os.lstat(path.parent).st_mode):
            return False
        return stat.S_ISREG(os.lstat(path).st_mode)
    except (OSError, ValueError):
        return False


def _load(path: Path) -> Mapping[str, Any]:
    source = Source(path, str(path))
    limit = MAX_CONFIG_BYTES if path.suffix == ".json" else MAX_YAML_BYTES
    if source.size > limit:
        raise ValueError(f"it is {source.size:,} bytes, more than the {limit:,} that settings may have")
    data = source.read_all(limit)
    if not data.strip():
        return {}
    parsed = parse_json(source, data) if path.suffix == ".json" else parse_yaml(data)
    if parsed is None:
        return {}
    if not isinstance(parsed, dict):
        raise ValueError("it holds no settings")
    return parsed


def _mlflow_params(folder: Path) -> Iterator[tuple[str, str]]:
    """MLflow's file store keeps one parameter a file, beside ``metrics/``."""
    for path, name in _param_files(folder):
        if _is_plain_file(path) and os.lstat(path).st_size <= MAX_TEXT:
            try:
                yield name, Source(path, str(path)).read_all(MAX_TEXT).decode("utf-8", "replace").strip()
            except SourceError:
                continue


def _param_files(folder: Path) -> Iterator[tuple[Path, str]]:
    try:
        if stat.S_ISLNK(os.lstat(folder).st_mode):
            return
        names = sorted(os.listdir(folder))[:MAX_PARAM_FILES]
    except OSError:
        return
    yield from ((folder / name, name) for name in names)
