"""The zoo's GANs and actor-critics: healthy, made twice the same, and analysed without an alarm."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from zoo import players
from zoo.catalogue import Specimen, specimens
from zoo.players import FORMATS, LABELS, PLAYERS, Played, write
from zoo.specimen import make, truth_of

from convergence_cli.pipeline import analyze_paths
from convergence_cli.settings import Settings

# Written as lines of JSON, which hold no time and no process.
WRITTEN_AS_LINES = {"gan": 2, "actor-critic": 2}


@pytest.mark.parametrize("kind", PLAYERS)
def test_it_is_made_twice_the_same_and_raises_no_alarm(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A third as long as those of the zoo.
    monkeypatch.setattr(players, "DUELS", 500)
    monkeypatch.setattr(players, "UPDATES", 100)
    specimen = Specimen(kind, WRITTEN_AS_LINES[kind], 0)
    for which in ("once", "again"):
        make(specimen, tmp_path / which)
    once, again = tmp_path / "once", tmp_path / "again"
    for name in ("run/log.jsonl", "run/config.json", "truth.json"):
        assert (once / name).read_bytes() == (again / name).read_bytes(), name

    truth = truth_of(once)
    assert truth.healthy
    assert truth.labels == truth.labels_at(10) == truth.fixed_labels == LABELS
    before, after = json.loads((once / "truth.json").read_text())["reached"]
    assert after > before

    for part in ("run", "recorded"):
        (report,) = analyze_paths([str(once / part)], Settings()).runs
        assert report.verdict.label in LABELS, part
        assert [one for one in report.findings if one.severity in ("warning", "error")] == [], part


@pytest.mark.parametrize("how", FORMATS)
def test_a_reward_that_comes_later_is_read_in_every_format(how: str, tmp_path: Path) -> None:
    rows = [{"step": step, "value_loss": 1.0 / step} for step in range(1, 20)]
    rows[9:] = [{**row, "episode_reward_mean": float(row["step"])} for row in rows[9:]]
    write(Played("a2c", "chain walk", {"learning_rate": 0.003}, rows=rows), tmp_path, how)
    (report,) = analyze_paths([str(tmp_path)], Settings()).runs
    assert (report.verdict.label, report.verdict.state) == ("undetermined", "reward-only")
    assert "episode_reward_mean has 10 points" in report.verdict.reason


def test_they_come_last_and_have_no_plan() -> None:
    few = [one for one in specimens(0, 0.25) if one.kind in PLAYERS]
    assert few == specimens(0, 0.25)[-6:]
    assert {one.fault for one in few} == {None}
    with pytest.raises(ValueError, match="gan-000 has no plan"):
        few[0].plan()
