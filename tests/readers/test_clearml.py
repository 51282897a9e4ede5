"""ClearML's offline folder and archive: series, settings, values of 0 that were NaN, and hostile twins of both."""

from __future__ import annotations

import json
import tempfile
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convergence_cli.errors import SourceError
from convergence_cli.pipeline import read_paths
from convergence_cli.readers import _archive, clearml
from convergence_cli.readers._guard import ReadOptions, Source
from convergence_cli.settings import Settings

if TYPE_CHECKING:
    from convergence_cli.model import Run

FIXTURES = Path(__file__).parents[2] / "fixtures" / "clearml"
FOLDER = next((FIXTURES / "healthy-digits").iterdir())
ARCHIVE = next((FIXTURES / "overfitting-archive").iterdir())


def read(path: Path) -> Run:
    return clearml.read([Source(path, str(path))], ReadOptions())[0]


def event(step: int, value: float, metric: str = "loss", variant: str = "train", **more: Any) -> dict[str, Any]:
    found = {"timestamp": 1000 * step, "type": "training_stats_scalar", "iter": step, "metric": metric}
    return found | {"variant": variant, "value": value} | more


def never_more_than_a_source_error(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "offline.zip")
        path.write_bytes(data)
        clearml.sniff(Source(path, "offline.zip"))
        with suppress(SourceError):
            read(path)


def written(path: Path, *lines: list[Any]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_every_variant_is_a_series_with_its_steps_and_clock() -> None:
    events = [e for line in (FOLDER / "metrics.jsonl").read_text().splitlines() for e in json.loads(line)]
    run = read(FOLDER / "metrics.jsonl")
    assert {curve.name for curve in run.curves} == {"loss/train", "loss/val", "learning_rate"}
    for curve in run.curves:
        metric, _, variant = curve.name.partition("/")
        own = [e for e in events if e["metric"] == metric and e["variant"] == (variant or metric) and e["iter"] >= 0]
        assert curve.value.tolist() == [e["value"] for e in own]
        assert curve.step.tolist() == [e["iter"] for e in own]
        assert curve.time is not None
        assert curve.time.tolist() == [e["timestamp"] / 1000 for e in own]


def test_settings_and_name_are_those_of_the_task() -> None:
    for path in (FOLDER / "metrics.jsonl", ARCHIVE):
        config = read(path).config
        assert (config["optimizer"], config["momentum"], config["batch_size"]) == ("sgd", 0.9, 20)
    assert read(FOLDER / "metrics.jsonl").name == "healthy-digits"


def test_an_unpacked_archive_is_the_same_run(tmp_path: Path) -> None:
    folder = tmp_path / ARCHIVE.stem
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(folder)
    whole, unpacked = read(ARCHIVE), read(folder / "metrics.jsonl")
    assert [curve.value.tolist() for curve in whole.curves] == [curve.value.tolist() for curve in unpacked.curves]
    assert whole.config == unpacked.config
    (tmp_path / ARCHIVE.name).write_bytes(ARCHIVE.read_bytes())
    runs, errors = read_paths([str(tmp_path)], Settings())
    assert ([run.format for run in runs], errors) == (["clearml"], [])


def test_zeros_after_a_large_loss_are_the_nan_that_clearml_hides(tmp_path: Path) -> None:
    run = read(next((FIXTURES / "masked-nan").iterdir()) / "metrics.jsonl")
    train = next(curve for curve in run.curves if curve.name == "loss/train")
    assert np.isnan(train.value).sum() == 15
    assert any("ClearML writes 0 for NaN" in note for note in run.notes)
    falls = written(tmp_path / "metrics.jsonl", [event(n, v) for n, v in enumerate([1.0, 0.1, 1e-5, 0.0, 0.0])])
    assert read(falls).curves[0].value.tolist() == [1.0, 0.1, 1e-5, 0.0, 0.0]
    middle = written(tmp_path / "metrics.jsonl", [event(n, v) for n, v in enumerate([1.0, 0.0, 0.5])])
    assert read(middle).curves[0].value.tolist() == [1.0, 0.0, 0.5]


def test_events_that_are_no_points_are_left_out(tmp_path: Path) -> None:
    line = [
        event(1, 0.5), event(-(1 << 31), 0.1, "best", "best"), event(2, 3.0, type="plot"), event(2, "x"), 7, None,  # type: ignore[arg-type]
        event(2, float("nan")), {"type": "training_stats_scalar"},
    ]  # fmt: skip
    run = read(written(tmp_path / "metrics.jsonl", line))
    assert [(c.name, c.step.tolist()) for c in run.curves] == [("loss/train", [1.0, 2.0])]
    assert np.isnan(run.curves[0].value[1])
    assert any("skipped 4 events" in note for note in run.notes)


def test_braces_and_brackets_in_names_are_text(tmp_path: Path) -> None:
    names = ['a}, {"b', "c]\\n[", "d{e}"]
    lines = [[event(n, 0.5, name, "v") for name in names] for n in range(3)]
    run = read(written(tmp_path / "metrics.jsonl", *lines))
    assert [curve.name for curve in run.curves] == [f"{name}/v" for name in names]
    assert all(curve.points == 3 for curve in run.curves)


def test_one_line_longer_than_a_block_is_read_whole(tmp_path: Path) -> None:
    path = written(tmp_path / "metrics.jsonl", [event(n, 1 / (n + 1)) for n in range(60_000)])
    assert path.stat().st_size > 5 << 20
    assert read(path).curves[0].points == 60_000


def test_a_torn_end_costs_one_event(tmp_path: Path) -> None:
    data = (FOLDER / "metrics.jsonl").read_bytes()
    torn = tmp_path / "metrics.jsonl"
    torn.write_bytes(data[: data.rfind(b'"value"')])
    whole, rest = read(FOLDER / "metrics.jsonl"), read(torn)
    assert sum(c.points for c in whole.curves) - sum(c.points for c in rest.curves) <= 1
    assert "dropped the last event, which was cut off" in rest.notes


def packed(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_members_outside_of_the_archive_are_not_taken(tmp_path: Path) -> None:
    line = json.dumps([event(1, 0.5)]).encode() + b"\n"
    for name in (
        "../metrics.jsonl",
        "/metrics.jsonl",
        "a/../../metrics.jsonl",
        "C:/metrics.jsonl",
        "..\\metrics.jsonl",
    ):
        path = packed(tmp_path / "offline.zip", {name: line, "task.json": b"{}"})
        assert clearml.sniff(Source(path, str(path))) == 0
        with pytest.raises(SourceError):
            read(path)


def test_a_bomb_is_refused_however_small_it_is_said_to_be(tmp_path: Path) -> None:
    bomb = packed(tmp_path / "offline.zip", {"metrics.jsonl": b" " * (80 << 20), "task.json": b"{}"})
    with pytest.raises(SourceError, match="unpacks to more"):
        read(bomb)
    data = bytearray(bomb.read_bytes())
    for at in (22, data.rfind(b"PK\x01\x02", 0, data.rfind(b"PK\x01\x02")) + 24):
        data[at : at + 4] = (100).to_bytes(4, "little")
    bomb.write_bytes(data)
    with pytest.raises(SourceError):
        read(bomb)


def test_an_archive_of_too_many_members_or_an_unknown_method_is_refused(tmp_path: Path) -> None:
    many = packed(tmp_path / "many.zip", {f"{n}": b"" for n in range(_archive.MAX_MEMBERS + 1)}, zipfile.ZIP_STORED)
    with pytest.raises(SourceError):
        read(many)
    members = {"metrics.jsonl": json.dumps([event(1, 0.5)]).encode(), "task.json": b"{}"}
    with pytest.raises(SourceError, match="anything but deflate"):
        read(packed(tmp_path / "bzip.zip", members, zipfile.ZIP_BZIP2))


def test_a_broken_task_costs_only_the_settings(tmp_path: Path) -> None:
    written(tmp_path / "metrics.jsonl", [event(1, 0.5)])
    for text in ("{", "[]", '{"hyperparams": 3}', '{"hyperparams": {"General": [1]}}', "null", '{"name": 5}'):
        (tmp_path / "task.json").write_text(text)
        assert read(tmp_path / "metrics.jsonl").curves[0].points == 1


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_after_a_beginning_raise_nothing_else(data: bytes) -> None:
    for start in (
        b"",
        b'[{"metric": "loss", "variant": "a", "iter": 1, "type": "training_stats_scalar"',
        b"PK\x03\x04",
    ):
        never_more_than_a_source_error(start + data)


@settings(deadline=None)
@given(st.data())
def test_flipped_bits_of_an_archive_raise_nothing_else(data: st.DataObject) -> None:
    content = bytearray(ARCHIVE.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    never_more_than_a_source_error(bytes(content[: data.draw(st.integers(0, len(content)))]))
