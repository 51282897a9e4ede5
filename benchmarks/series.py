"""Counts the points of every series of a labelled corpus by small parsers of its own, and compares with what is read.

A corpus is a folder with ``labels.csv`` (columns ``run``, ``format``) and ``runs/<run>/``. The parsers below share
nothing with the readers: csv, json, re and struct, a few lines a format. Each says which columns are places and clocks;
every other column with a number is a series. A line is printed for each series whose points or last value differ.
Usage: series.py CORPUS [--verbose]
"""

from __future__ import annotations

import csv
import json
import math
import re
import struct
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from convergence_cli.pipeline import read_paths
from convergence_cli.settings import Settings

Series = dict[str, list[float]]
# Places (steps, epochs) and clocks, by format: no series.
_RLLIB = "timesteps_total training_iteration timestamp time_total_s"
NOT_SERIES = {
    "rllib": _RLLIB,
    "ultralytics": "epoch _timestamp _runtime time",
    "sb3": "time/total_timesteps train/n_updates time/time_elapsed t",
    "keras": "epoch",
    "lightning": "epoch step",
    "llama": "current_steps epoch",
    "hf": "step epoch",
    "mmcv": "epoch iter",
    "detectron2": "iteration",
    "json": "step epoch",
    "tsv": "step iter epoch timestamp",
    "algoperf": "step global_step",
}


def number(cell: Any) -> float | None:
    """``cell`` where it is a number; None for truth values, texts, lists and nothing."""
    if isinstance(cell, bool) or cell is None or isinstance(cell, (list, dict)):
        return None
    try:
        return float(cell)
    except ValueError:
        return None


def columns(records: Iterable[dict[str, Any]], without: str = "") -> Series:
    """Each key of ``records`` that has a number, with its numbers."""
    left_out, found = set(without.split()), {}
    for record in records:
        for key, cell in record.items():
            value = number(cell)
            if value is not None and key not in left_out:
                found.setdefault(key, []).append(value)
    return found


def flat(record: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """``record`` with nested objects joined by slashes, the settings left out."""
    found: dict[str, Any] = {}
    for key, value in record.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{key}/") if key != "config" else {}
        else:
            found[prefix + key] = value
    return found


def table(path: Path, delimiter: str = ",") -> Iterator[dict[str, str]]:
    """The rows of a table with a header, comments left out."""
    with path.open(newline="", encoding="utf-8", errors="replace") as stream:
        lines = (line for line in stream if not line.startswith("#") and line.strip())
        rows = csv.reader(lines, delimiter=delimiter)
        header = [cell.strip() for cell in next(rows)]
        for row in rows:
            yield {name: cell.strip() for name, cell in zip(header, row, strict=False)}


def lines_of(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of JSON lines."""
    for line in path.read_text(encoding="utf-8").splitlines():
        yield json.loads(line)


def nanogpt(path: Path) -> list[Series]:
    """``step:25/3250 val_loss:3.9``: a run for each time that the steps begin anew."""
    runs: list[Series] = []
    last = math.inf
    for found in re.finditer(r"(?m)^step:(\d+)/\d+ (.*)$", path.read_text(encoding="utf-8", errors="replace")):
        if int(found[1]) < last:
            runs.append({})
        last = int(found[1])
        for name, value in re.findall(r"(\w*loss):(\S+)", found[2]):
            runs[-1].setdefault(name, []).append(float(value))
    return runs


def caffe(path: Path) -> list[Series]:
    """The solver's lines: loss and rate of an iteration, and what the test net puts out."""
    found: Series = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        shown = re.search(r"Iteration \d+, (loss|lr) = (\S+)", line)
        tested = re.search(r"Test net output #\d+: (\w+) = (\S+)", line)
        if shown:
            found.setdefault(shown[1], []).append(float(shown[2]))
        if tested:
            found.setdefault(f"test_{tested[1]}", []).append(float(tested[2]))
    return [found]


def bearpaw(path: Path) -> list[Series]:
    """A header with tabs above rows with bars."""
    header, *rows = [line for line in path.read_text().splitlines() if line.strip()]
    names = [name for name in header.strip().split("\t") if name]
    return [columns((dict(zip(names, row.split("|"), strict=False)) for row in rows), "epoch")]


def hf(path: Path) -> list[Series]:
    """The history of the Trainer; its last row sums the run up."""
    rows = json.loads(path.read_text(encoding="utf-8"))["log_history"]
    return [columns((row for row in rows if "train_runtime" not in row), NOT_SERIES["hf"])]


def history(path: Path) -> list[Series]:
    """A document with the columns, or with lists of rows."""
    found = json.loads(path.read_text(encoding="utf-8"))
    series: Series = {}
    for key, value in found.items():
        if isinstance(value, list) and value:
            rows = value if isinstance(value[0], dict) else [{key: item} for item in value]
            series |= columns(rows, NOT_SERIES["json"])
    return [series]


def mmcv(path: Path) -> list[Series]:
    """Rows of training and of validation."""
    rows = [row for row in lines_of(path) if "mode" in row]
    return [
        columns(
            ({f"{row['mode']}/{key}": value for key, value in row.items() if key not in ("epoch", "iter")})
            for row in rows
        )
    ]


def mlflow(path: Path) -> list[Series]:
    """A file a metric: time, value and step on a line."""
    files = sorted(one for one in path.parent.iterdir())
    return [{one.name: [float(line.split()[1]) for line in one.read_text().splitlines()] for one in files}]


def varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of variable length, and where it ends."""
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 128:
            return value, at


def message(data: bytes) -> Iterator[tuple[int, Any]]:
    """The fields of a protocol buffer: numbers, and bytes as they are."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
            yield key >> 3, value
            continue
        size, at = (8, at) if key & 7 == 1 else (4, at) if key & 7 == 5 else varint(data, at)
        yield key >> 3, data[at : at + size]
        at += size


def tensorboard(path: Path) -> list[Series]:
    """Scalars of an event file, in either of its two encodings."""
    data, at, found = path.read_bytes(), 0, {}
    while at + 12 <= len(data):
        size = struct.unpack_from("<Q", data, at)[0]
        event, at = data[at + 12 : at + 12 + size], at + size + 16
        for summary in (value for field, value in message(event) if field == 5 and len(event) == size):
            for one in (value for field, value in message(summary) if field == 1):
                fields = dict(message(one))
                scalar = fields.get(2) or scalar_of(fields.get(8, b""))
                if scalar:
                    found.setdefault(fields[1].decode(), []).append(struct.unpack("<f", scalar)[0])
    return [found]


def scalar_of(tensor: bytes) -> bytes | None:
    """The one 32-bit float of ``tensor``, where it is that."""
    fields = dict(message(tensor))
    content = fields.get(4) or fields.get(5) or b""
    return content if fields.get(1) == 1 and len(content) == 4 else None


def wandb(path: Path) -> list[Series]:
    """The history records of a W&B file (pieces of a log in blocks of 32 KiB)."""
    data, at, whole, found = path.read_bytes(), 7, b"", {}
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        size, kind = struct.unpack_from("<HB", data, at + 4)
        if at + 7 + size > len(data):
            break
        whole, at = (b"" if kind in (1, 2) else whole) + data[at + 7 : at + 7 + size], at + 7 + size
        for row in (value for field, value in message(whole) if field == 2) if kind in (1, 4) else ():
            for item in (dict_of(value) for field, value in message(row) if field == 1):
                name = "/".join(part.decode() for part in item.get(2, [])) or item[1][0].decode()
                value = number(json.loads(item[16][0])) if not name.startswith("_") else None
                if value is not None:
                    found.setdefault(name, []).append(value)
    return [found]


def dict_of(data: bytes) -> dict[int, list[Any]]:
    """The fields of a message, each with all its values."""
    found: dict[int, list[Any]] = {}
    for field, value in message(data):
        found.setdefault(field, []).append(value)
    return found


def tables(key: str, delimiter: str = ",") -> Callable[[Path], list[Series]]:
    """The parser of a table whose places are those of ``key``."""
    return lambda path: [columns(table(path, delimiter), NOT_SERIES[key])]


def objects(key: str) -> Callable[[Path], list[Series]]:
    """The parser of JSON lines whose places are those of ``key``."""
    return lambda path: [columns(map(flat, lines_of(path)), NOT_SERIES[key])]


# By the beginning of what ``labels.csv`` calls the format.
PARSERS: dict[str, Callable[[Path], list[Series]]] = {
    "modded-nanogpt": nanogpt,
    "caffe": caffe,
    "rllib progress": tables("rllib"),
    "rllib result": objects("rllib"),
    "tensorboard": tensorboard,
    "ultralytics": tables("ultralytics"),
    "json history": history,
    "wandb": wandb,
    "sb3": tables("sb3"),
    "hf": hf,
    "llama-factory": objects("llama"),
    "mmcv": mmcv,
    "lightning": tables("lightning"),
    "detectron2": objects("detectron2"),
    "keras CSVLogger": tables("keras"),
    "keras history": history,
    "catboost": tables("tsv", "\t"),
    "mlflow": mlflow,
    "dvclive": tables("tsv", "\t"),
    "bearpaw": bearpaw,
    "algoperf": tables("algoperf"),
}


def counted(folder: Path, format: str) -> list[Series]:
    """The runs in ``folder`` as the parser of ``format`` has them."""
    parser = next(parser for name, parser in PARSERS.items() if format.startswith(name))
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "hparams.json")
    return parser(files[0])


def read(folder: Path) -> list[Series]:
    """The runs in ``folder`` as ``read_paths`` gives them: of each series its points (zeros but the last) .

    Sums of component losses, which no log has, are left out.
    """
    runs, _ = read_paths([str(folder)], Settings(), dumps=False)
    found = []
    for run in runs:
        names = {curve.name for curve in run.curves}
        logged = [c for c in run.curves if " + " not in c.name or not names.issuperset(c.name.split(" + "))]
        found.append({c.name: [0.0] * (c.points - 1) + [float(c.value[-1])] for c in logged})
    return found


def main(root: Path, verbose: bool) -> None:
    with (root / "labels.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    read_, total, equal, last = 0, 0, 0, 0
    for row in rows:
        folder = root / "runs" / row["run"]
        expected, got = counted(folder, row["format"]), read(folder)
        read_ += bool(got)
        if len(expected) != len(got):
            print(f"runs {row['run']} ({row['format']}): {len(expected)} in the file, {len(got)} read")
        for index in range(max(len(expected), len(got))):
            one, other = (runs[index] if index < len(runs) else {} for runs in (expected, got))
            if verbose:
                lasts = " ".join(f"{name}={values[-1]:.6g}" for name, values in one.items())
                print(f"{row['run']}#{index + 1} {len(one)} series, {len(other)} read: {lasts}")
            for name in {**one, **other}:
                total += 1
                points, points_read = len(one.get(name, [])), len(other.get(name, []))
                same_last = bool(points and points_read) and str(one[name][-1]) == str(other[name][-1])
                equal, last = equal + (points == points_read), last + same_last
                if points != points_read or not same_last:
                    ends = [f"{values[-1]:.9g}" if values else "-" for values in (one.get(name), other.get(name))]
                    print(
                        f"series {row['run']}#{index + 1} ({row['format']}) {name}: {points} points to {ends[0]} in the"
                        f" file, {points_read} to {ends[1]} read"
                    )
    print(f"runs_read {read_}/{len(rows)}")
    print(f"series_equal {equal}/{total}")
    print(f"last_values_equal {last}/{total}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), "--verbose" in sys.argv)
