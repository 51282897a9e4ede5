"""Where the log of a trial is looked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from convergence_cli.pipeline import read_run
from convergence_cli.settings import Settings
from convergence_cli.trials.place import new_folder
from convergence_cli.trials.reading import Places, last_step, read_trial

LINES = "".join(f"step {step} loss {1 / step:.4f}\n" for step in range(1, 11))
TABLE = "step,loss\n" + "".join(f"{step},{1 / step:.4f}\n" for step in range(1, 21))


@pytest.fixture
def places(tmp_path: Path) -> Places:
    folder, run_dir = new_folder(tmp_path, "remedy", None)
    (folder / "output.txt").touch()
    return Places.of(None, run_dir, folder)


def steps(places: Places) -> float | None:
    found = read_trial(places, Settings())
    return None if found.run is None else last_step(found.run)


def test_what_it_wrote_comes_before_what_it_printed(places: Places) -> None:
    places.output.write_text(LINES)
    assert steps(places) == 10
    (places.run_dir / "log.csv").write_text(TABLE)
    assert steps(places) == 20


def test_a_folder_without_a_log_leaves_what_it_printed(places: Places) -> None:
    places.output.write_text(LINES)
    (places.run_dir / "model.bin").write_bytes(b"\0\1\2")
    assert steps(places) == 10


def test_nothing_at_all_is_told_without_paths(places: Places) -> None:
    found = read_trial(places, Settings())
    assert (found.run, found.reason) == (None, "it printed nothing")
    places.output.write_text("hello\n")
    assert read_trial(places, Settings()).reason == "its output holds no metrics that are recognised"


def test_a_named_log_is_the_only_place(places: Places, tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    named = Places.of(str(log), places.run_dir, places.output.parent)
    places.output.write_text(LINES)
    assert read_trial(named, Settings()).reason.endswith("log.csv was not written")
    log.write_text(TABLE)
    assert steps(named) == 20


def test_a_log_from_before_says_nothing_of_the_trial(places: Places, tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text(TABLE)
    named = Places.of(str(log), places.run_dir, places.output.parent)
    assert "not written by this trial" in read_trial(named, Settings()).reason


def test_of_several_logs_the_one_like_the_run_is_taken(places: Places, tmp_path: Path) -> None:
    (tmp_path / "before.csv").write_text(TABLE)
    (places.run_dir / "a.csv").write_text(TABLE.replace("loss", "loss,lr").replace("\n", ",1\n").replace("lr,1", "lr"))
    (places.run_dir / "b.csv").write_text(TABLE.replace("loss", "train_loss"))
    (places.run_dir / "c.txt").write_text(LINES)
    found = read_trial(places, Settings(), read_run(tmp_path / "before.csv"))
    assert found.run is not None
    assert found.run.name == "a.csv"
    # What was printed is the same run as the first table.
    assert "2 runs were found" in found.notes[0]


def test_a_log_without_a_loss_is_told(places: Places) -> None:
    (places.run_dir / "a.csv").write_text(TABLE.replace("loss", "wobble"))
    found = read_trial(places, Settings())
    assert found.run is None
    assert found.reason.startswith("no series in {run_dir} is recognised as a loss")
    assert read_trial(places, Settings(metrics={"train_loss": "wobble"})).run is not None
