"""Sacred's folder: series, settings, how the run ended, and what beside the metrics is no run of its own."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convergence_cli.pipeline import read_paths
from convergence_cli.readers._companions import told_again
from convergence_cli.readers._sacred_run import how_it_ended
from convergence_cli.settings import Settings

if TYPE_CHECKING:
    from convergence_cli.model import Run

FIXTURES = Path(__file__).parents[2] / "fixtures" / "sacred"


def run_at(folder: Path) -> Run:
    runs, errors = read_paths([str(folder)], Settings())
    assert errors == []
    assert len(runs) == 1, [run.name for run in runs]
    return runs[0]


def copied(case: str, folder: Path) -> Path:
    return Path(shutil.copytree(FIXTURES / case / "1", folder / "1"))


def test_series_are_what_sacred_wrote() -> None:
    for case in FIXTURES.iterdir():
        run = run_at(case)
        metrics: dict[str, Any] = json.loads((case / "1" / "metrics.json").read_text())
        assert run.format == "sacred"
        assert {curve.name for curve in run.curves} == set(metrics)
        for curve in run.curves:
            assert curve.step.tolist() == metrics[curve.name]["steps"]
            assert curve.value.tolist() == metrics[curve.name]["values"]


def test_settings_come_from_config_with_python_objects_as_plain_data() -> None:
    config = run_at(FIXTURES / "learning-rate-too-high").config
    assert (config["learning_rate"], config["optimizer"], config["batch_size"]) == (3.0, "sgd", 20)
    assert config["activation.py/type"] == "torch.nn.modules.activation.ReLU"


def test_a_run_that_failed_says_so_with_its_error() -> None:
    assert any(
        note.startswith("Sacred says that the run has failed: FloatingPointError: the loss is inf")
        for note in run_at(FIXTURES / "failed-overflow").notes
    )
    assert not [note for note in run_at(FIXTURES / "healthy-digits").notes if "Sacred" in note]


@pytest.mark.parametrize(("status", "said"), [("INTERRUPTED", "was interrupted"), ("RUNNING", "is running")])
def test_other_ends_are_said(tmp_path: Path, status: str, said: str) -> None:
    folder = copied("healthy-digits", tmp_path)
    about = json.loads((folder / "run.json").read_text()) | {"status": status}
    (folder / "run.json").write_text(json.dumps(about))
    assert any(said in note for note in run_at(folder).notes)


def test_a_console_with_other_numbers_is_the_same_run(tmp_path: Path) -> None:
    folder = copied("healthy-digits", tmp_path)
    (folder / "cout.txt").write_text("".join(f"batch {n} loss {1 / (n + 1):.3f}\n" for n in range(400)))
    (folder / "info.json").write_text(json.dumps({"loss": [3.0, 2.0, 1.0]}))
    assert run_at(folder).format == "sacred"


def test_a_console_is_read_where_the_metrics_have_no_loss(tmp_path: Path) -> None:
    for text in ("{}", '{"speed": {"steps": [1, 2], "values": [3.0, 4.0], "timestamps": []}}', '{"loss": {"steps": []'):
        folder = copied("healthy-digits", tmp_path / str(len(text)))
        (folder / "metrics.json").write_text(text)
        runs, _ = read_paths([str(folder)], Settings())
        assert "text" in [run.format for run in runs]


def test_a_console_without_sacred_beside_it_is_a_run(tmp_path: Path) -> None:
    shutil.copy(FIXTURES / "healthy-digits" / "1" / "cout.txt", tmp_path)
    (tmp_path / "metrics.json").write_text('{"loss": {"steps": [1, 2, 3], "values": [9.0, 8.0, 7.0]}}')
    assert told_again(tmp_path.iterdir()) == set()


def test_run_json_that_leads_out_of_the_folder_is_not_opened(tmp_path: Path) -> None:
    outside = tmp_path / "outside.json"
    outside.write_text('{"status": "FAILED"}')
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "run.json").symlink_to(outside)
    assert how_it_ended(inside) == ()


_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["FAILED", "COMPLETED", "\x1b[31m", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["status", "fail_trace"]), inner),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.binary(max_size=80) | st.builds(lambda data: json.dumps(data).encode(), _VALUE))
def test_any_run_json_is_survived(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "run.json").write_bytes(data)
        assert all("\x1b" not in note for note in how_it_ended(Path(folder)))


@pytest.mark.parametrize("status", [[], {}, 3, None, True])
def test_a_status_of_another_type_says_nothing(tmp_path: Path, status: object) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"status": status, "fail_trace": 3}))
    assert how_it_ended(tmp_path) == ()
    (tmp_path / "run.json").write_text(json.dumps({"status": "FAILED", "fail_trace": [1, "\n"]}))
    assert how_it_ended(tmp_path) == ("Sacred says that the run has failed",)
