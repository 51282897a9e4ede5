"""Where trials are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from convergence_cli.errors import CtroubleshootError, UsageError
from convergence_cli.trials.place import fingerprints, keeping_place, new_folder


def test_trials_of_a_run_have_a_folder_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert keeping_place(None, "runs/../log.csv") == Path("ct-trials/log.csv")
    assert keeping_place(None, "-") == Path("ct-trials/stdin")
    assert keeping_place(None, "x/\x1b[2J é") == Path("ct-trials/2J")
    assert keeping_place("here", "log.csv") == Path("here")


@pytest.mark.parametrize(("run", "keep"), [("runs/1", "runs/1/trials"), ("runs/1", "runs/../runs/1"), (".", None)])
def test_a_run_folder_is_never_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: str, keep: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("runs/1").mkdir(parents=True)
    with pytest.raises(UsageError, match=r"never written to.*--keep"):
        keeping_place(keep, run)
    assert keeping_place("runs/2", "runs/1") == Path("runs/2")


def test_each_trial_has_a_new_folder(tmp_path: Path) -> None:
    place = tmp_path / "kept"
    names = [new_folder(place, remedy, seed)[0].name for remedy, seed in [("a", None), ("a", 3), ("b/../c", None)]]
    assert names == ["1-a", "2-a-seed-3", "3-b-..-c"]
    assert all((place / name / "run").is_dir() for name in names)


def test_a_place_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CtroubleshootError, match="No folder for the trial"):
        new_folder(tmp_path / "file", "a", None)


def test_a_file_that_was_written_has_another_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    before = fingerprints(str(tmp_path))
    assert fingerprints(str(tmp_path)) == before
    assert fingerprints(str(tmp_path / "missing")) == {}
    (tmp_path / "a").write_text("12")
    assert fingerprints(str(tmp_path)) != before
