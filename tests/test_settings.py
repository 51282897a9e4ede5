"""Flags > environment > settings file > default; what is not known is an error."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from convergence_cli.cli._settings import settings_from
from convergence_cli.errors import SettingsError, UsageError
from convergence_cli.settings import Settings, find_table, metric_pair, resolve


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A run two folders below one that may hold settings, and a working directory elsewhere."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    path = tmp_path / "project" / "runs" / "log.csv"
    path.parent.mkdir(parents=True)
    path.write_text("step,loss\n1,2\n")
    return str(path)


def project(run: str) -> Path:
    return Path(run).parent.parent


def settled(run: str, environment: dict[str, str] | None = None, **flags: object) -> Settings:
    return resolve(flags, run=run, environment=environment or {})


def test_without_anything_the_defaults_hold(run: str) -> None:
    assert settled(run) == Settings()


def test_a_flag_beats_the_environment_beats_the_file(run: str) -> None:
    (project(run) / "ctroubleshoot.toml").write_text('fail-on = "note"\nselect = ["LC"]\ncolor = "never"\n')
    environment = {"CTROUBLESHOOT_FAIL_ON": "warning", "CTROUBLESHOOT_SELECT": "GR, LR"}
    settings = settled(run, environment, fail_on="never")
    assert (settings.fail_on, settings.select, settings.color) == ("never", ("GR", "LR"), "never")


def test_a_profile_is_chosen_like_any_setting(run: str) -> None:
    assert settled(run).profile == "default"
    (project(run) / "ctroubleshoot.toml").write_text('profile = "sagemaker"\n')
    assert settled(run).profile == "sagemaker"
    assert settled(run, {"CTROUBLESHOOT_PROFILE": "default"}).profile == "default"
    with pytest.raises(SettingsError, match="Did you mean sagemaker"):
        settled(run, profile="sagemakr")


def test_metrics_add_up_role_by_role(run: str) -> None:
    (project(run) / "ctroubleshoot.toml").write_text('[metrics]\ntrain_loss = "a"\nval_loss = "b"\n')
    settings = settled(run, {"CTROUBLESHOOT_METRICS": "val_loss=c,grad_norm=g"}, metrics={"grad_norm": "h"})
    assert settings.metrics == {"train_loss": "a", "val_loss": "c", "grad_norm": "h"}


def test_a_pyproject_without_the_table_does_not_stop_the_search(run: str) -> None:
    (Path(run).parent / "pyproject.toml").write_text('[project]\nname = "ctroubleshoot-user"\n')
    (project(run) / "pyproject.toml").write_text('[tool.ctroubleshoot]\nignore = ["LC102"]\n')
    assert settled(run).ignore == ("LC102",)


def test_the_nearest_file_wins_and_the_own_file_before_the_shared(run: str) -> None:
    (project(run).parent / "ctroubleshoot.toml").write_text('select = ["GR"]\n')
    (project(run) / "pyproject.toml").write_text('[tool.ctroubleshoot]\nselect = ["LR"]\n')
    assert settled(run).select == ("LR",)
    (project(run) / "ctroubleshoot.toml").write_text('select = ["LC"]\n')
    assert settled(run).select == ("LC",)


@pytest.mark.parametrize("name", ["file", "folder"])
def test_a_run_cannot_choose_what_is_reported_of_it(run: str, name: str) -> None:
    (Path(run).parent / "ctroubleshoot.toml").write_text('ignore = ["ALL"]\nfail-on = "never"\n')
    assert settled(run if name == "file" else str(Path(run).parent)) == Settings()


def test_the_working_directory_is_searched_last_and_alone_for_standard_input(run: str) -> None:
    Path("ctroubleshoot.toml").write_text('select = ["GN"]\n')
    assert settled(run).select == ("GN",)
    assert settled("-").select == ("GN",)


def test_isolated_reads_no_file_and_config_only_that_one(run: str, tmp_path: Path) -> None:
    (project(run) / "ctroubleshoot.toml").write_text('select = ["GR"]\n')
    other = tmp_path / "other.toml"
    other.write_text('select = ["LC"]\n')
    assert resolve({}, run=run, isolated=True, environment={}).select == ()
    assert resolve({}, run=run, config=str(other), environment={}).select == ("LC",)
    assert resolve({}, run=run, environment={"CTROUBLESHOOT_CONFIG": str(other)}).select == ("LC",)


def test_an_unknown_key_names_file_line_and_nearest(run: str) -> None:
    path = project(run) / "ctroubleshoot.toml"
    path.write_text('# ours\nfail-on = "error"\nselct = ["LC"]\n')
    with pytest.raises(SettingsError) as caught:
        settled(run)
    assert f"{path}:3" in str(caught.value)
    assert "'selct'" in str(caught.value)
    assert "Did you mean select?" in str(caught.value)


@pytest.mark.parametrize("key", ["output", "pattern"])
def test_a_file_cannot_name_a_file_to_write_nor_give_a_regular_expression(run: str, key: str) -> None:
    path = project(run) / "ctroubleshoot.toml"
    path.write_text(f'{key} = "(?P<loss>x)"\n')
    with pytest.raises(SettingsError, match=f"'{key}' cannot be set in a file"):
        settled(run)
    with pytest.raises(SettingsError, match=f"'{key}' cannot be set in a file"):
        resolve({}, config=str(path), environment={})
    path.unlink()
    assert getattr(settled(run, {f"CTROUBLESHOOT_{key.upper()}": "(?P<loss>x)"}), key) == "(?P<loss>x)"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('fail-on = "erorr"', "Did you mean error"),
        ("fail-on = 3", "must be text"),
        ("select = 3", "must be a list"),
        ("select = [1]", "must be a list"),
        ('exit-zero = "yes"', "must be true or false"),
        ('metrics = ["a"]', "must be a table"),
        ("select = [", "not valid TOML"),
    ],
)
def test_a_wrong_value_is_an_error_that_says_where(run: str, line: str, said: str) -> None:
    (project(run) / "ctroubleshoot.toml").write_text(f"{line}\n")
    with pytest.raises(SettingsError, match=said) as caught:
        settled(run)
    assert "ctroubleshoot.toml" in caught.value.message


def test_a_wrong_environment_variable_is_named(run: str) -> None:
    with pytest.raises(SettingsError, match="CTROUBLESHOOT_EXIT_ZERO"):
        settled(run, {"CTROUBLESHOOT_EXIT_ZERO": "perhaps"})
    assert settled(run, {"CTROUBLESHOOT_EXIT_ZERO": "1"}).exit_zero is True


@pytest.mark.parametrize("name", ["missing.toml", "pyproject.toml"])
def test_a_named_file_without_settings_is_an_error(tmp_path: Path, name: str) -> None:
    if name == "pyproject.toml":
        (tmp_path / name).write_text("[project]\n")
    with pytest.raises(SettingsError):
        resolve({}, config=str(tmp_path / name), environment={})


def test_a_role_given_twice_is_an_error(run: str) -> None:
    with pytest.raises(UsageError, match="train_loss is given twice"):
        settings_from(metric=["train_loss=a", "val_loss=c", "train_loss=b"])
    with pytest.raises(UsageError, match="train_loss is given twice"):
        settled(run, {"CTROUBLESHOOT_METRICS": "train_loss=a,train_loss=b"})


def test_settings_above_the_run_hold_in_a_working_directory_that_is_gone(run: str) -> None:
    (project(run) / "ctroubleshoot.toml").write_text('fail-on = "note"\n')
    Path.cwd().rmdir()
    assert settled(run).fail_on == "note"
    assert settled("-").fail_on == "error"


def test_a_fifo_under_the_name_of_settings_does_not_hang(run: str) -> None:
    os.mkfifo(Path(run).parent / "ctroubleshoot.toml")
    assert find_table(run) is None


@pytest.mark.parametrize("text", ["train_loss", "=name", "role=", ""])
def test_a_metric_is_role_and_name(text: str) -> None:
    with pytest.raises(SettingsError, match="ROLE=NAME"):
        metric_pair(text, "--metric")


def test_a_series_name_may_hold_an_equals_sign() -> None:
    assert metric_pair("train_loss=a=b", "--metric") == ("train_loss", "a=b")
