"""What was asked for: the command line, the settings file, and a lone ``setup()`` that is found and not run."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convergence_cli.errors import CtroubleshootError, SettingsError, UsageError
from convergence_cli.lr_find.answering import METHODS
from convergence_cli.lr_find.asking import FEWEST_STEPS, Asked, Target, asked
from convergence_cli.lr_find.search import BOUNDS
from convergence_cli.lr_find.target import example, factories, split

SHARED, OWN = "pyproject.toml", "ctroubleshoot.toml"
HEADS = {SHARED: "[tool.ctroubleshoot.lr-find]", OWN: "[lr-find]"}
FILES = pytest.mark.parametrize("name", [SHARED, OWN])
SETUP = "def setup():\n    return {}\n"
GIVEN = ["train.py:setup"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, in which there is nothing yet."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def write(name: str, *lines: str, folder: Path | None = None) -> Path:
    """A settings file with ``lines`` in its table for lr-find, which begins in line 2."""
    path = (folder or Path.cwd()) / name
    path.write_text("\n".join(("# ours", HEADS[name], *lines)) + "\n")
    return path


def wanted(**flags: object) -> Asked:
    return asked(GIVEN, False, flags)[1]


def refusal(*words: str, **flags: object) -> CtroubleshootError:
    with pytest.raises(CtroubleshootError) as caught:
        asked(words or GIVEN, False, flags)
    assert caught.value.hint
    return caught.value


def alone() -> CtroubleshootError:
    with pytest.raises(UsageError) as caught:
        asked([], False, {})
    return caught.value


# --- settings


def test_without_anything_the_defaults_hold() -> None:
    assert asked(GIVEN, False, {"steps": None, "amp": None}) == (Target("factory", ("train.py:setup",)), Asked())
    assert (Asked().min_lr, Asked().max_lr, Asked().method, Asked().schedule) == (*BOUNDS, METHODS[0], None)


@FILES
def test_every_key_can_stand_in_a_settings_file(name: str) -> None:
    write(
        name,
        'target = "train.py:make"',
        'schedule = "cosine"',
        'method = "range"',
        "steps = 1200",
        "seed = 0",
        "accumulate = 4",
        'amp = "bf16"',
        'device = "cuda:1"',
        "min-lr = 1e-5",
        "max_lr = 1",
    )
    assert asked([], False, {}) == (
        Target("factory", ("train.py:make",)),
        Asked("cosine", "range", 1200, 0, 4, "bf16", "cuda:1", 1e-5, 1.0),
    )


@FILES
def test_a_flag_beats_the_file_and_one_that_was_not_given_does_not(name: str) -> None:
    write(name, "steps = 1200", 'schedule = "cosine"')
    assert wanted(steps="300", schedule=None) == Asked(steps=300, schedule="cosine")


def test_the_own_file_comes_before_the_shared_one_and_the_nearest_before_both(here: Path) -> None:
    write(SHARED, "steps = 100", folder=here.parent)
    assert wanted().steps == 100
    write(SHARED, "steps = 200")
    assert wanted().steps == 200
    write(OWN, "steps = 300")
    assert wanted().steps == 300


def test_the_table_may_have_an_underscore_or_be_written_inline() -> None:
    Path(SHARED).write_text("[tool.ctroubleshoot.lr_find]\nsteps = 100\n")
    assert wanted().steps == 100
    Path(SHARED).write_text("[tool.ctroubleshoot]\nlr-find = {steps = 200}\n")
    assert wanted().steps == 200


@pytest.mark.parametrize("text", ["", "[tool.other]\nsteps = 1\n", "[tool.ctroubleshoot]\nfail-on = 'note'\n"])
def test_a_file_without_the_table_asks_for_nothing(text: str) -> None:
    Path(SHARED).write_text(text)
    assert wanted() == Asked()


@FILES
def test_an_unknown_key_is_told_with_file_line_and_the_nearest_known(name: str, here: Path) -> None:
    write(name, "steps = 100", "shedule = 'cosine'")
    error = refusal()
    assert isinstance(error, SettingsError)
    assert f"{here / name}:4" in error.message
    assert "'shedule'" in error.message
    assert "Did you mean schedule?" in error.hint
    assert all(key in error.hint for key in ("target", "command", *Asked.__dataclass_fields__))


WRONG = pytest.mark.parametrize(
    ("line", "said"),
    [
        ("steps = 59", "'59' will not do"),
        ("steps = 100.5", "'100.5' will not do"),
        ("steps = true", "'True' will not do"),
        ("steps = 'many'", "'many' will not do"),
        ("steps = [100]", "will not do"),
        ("steps = 1000000001", "will not do"),
        ("seed = -1", "'-1' will not do"),
        ("accumulate = 0", "'0' will not do"),
        ("min-lr = 0", "'0' is no learning rate"),
        ("min_lr = -1e-3", "is no learning rate"),
        ("max-lr = inf", "'inf' is no learning rate"),
        ("max-lr = nan", "'nan' is no learning rate"),
        ("max-lr = true", "'True' is no learning rate"),
        ("max-lr = 1e7", "is no learning rate"),
        ("max-lr = 'high'", "'high' is no learning rate"),
        ("max-lr = []", "is no learning rate"),
        ("schedule = 'linear'", "'linear' is no schedule"),
        ("schedule = 3", "'3' is no schedule"),
        ("method = 'valey'", "'valey' is no method"),
        ("method = ['valley']", "is no method"),
        ("amp = 'fp8'", "'fp8' is no precision"),
        ("device = 0", "a device is text"),
        ("target = 3", "target must be text"),
        ("target = ['train.py']", "target must be text"),
        ("command = 'python train.py'", "command must be a list of words"),
        ("command = []", "command must be a list of words"),
        ("command = ['python', 3]", "command must be a list of words"),
    ],
)


@FILES
@WRONG
def test_a_wrong_value_is_told_with_file_and_line(name: str, line: str, said: str, here: Path) -> None:
    write(name, "# and then", line)
    error = refusal()
    assert f"{here / name}:4: " in error.message
    assert said in error.message


@pytest.mark.parametrize("table", ["lr-find", "lr_find", "'lr-find'"])
def test_the_line_told_is_that_of_the_table_for_lr_find(table: str, here: Path) -> None:
    lines = ["[tool.other]", "steps = 1000", "device = 'cpu'", "", f"[tool.ctroubleshoot.{table}]", "steps = 1"]
    Path(SHARED).write_text("\n".join(lines) + "\n")
    assert f"{here / SHARED}:6: " in refusal().message


@pytest.mark.parametrize(
    ("flag", "value", "said"),
    [
        ("steps", "59", "--steps: '59' will not do"),
        ("steps", "12.5", "--steps: '12.5' will not do"),
        ("steps", "", "--steps: '' will not do"),
        ("seed", "-1", "--seed: '-1' will not do"),
        ("accumulate", "0", "--accumulate: '0' will not do"),
        ("min_lr", "0", "--min-lr: '0' is no learning rate"),
        ("max_lr", "1e-", "--max-lr: '1e-' is no learning rate"),
        ("schedule", "Cosine", "--schedule: 'Cosine' is no schedule"),
        ("method", "\x1b[31m", "--method: '\\x1b[31m' is no method"),
        ("amp", "", "--amp: '' is no precision"),
    ],
)
def test_a_wrong_flag_is_named_with_what_would_do(flag: str, value: str, said: str) -> None:
    assert said in refusal(**{flag: value}).message


def test_the_nearest_choice_is_named_with_all_of_them() -> None:
    hint = refusal(method="valey").hint
    assert "Did you mean valley?" in hint
    assert all(method in hint for method in METHODS)
    assert "Did you mean cosine?" in refusal(schedule="Cosine").hint


def test_the_fewest_steps_and_numbers_as_text_will_do() -> None:
    flags = {"steps": str(FEWEST_STEPS), "seed": "0", "accumulate": "1", "min_lr": "1e-6", "max_lr": "1e6"}
    assert wanted(**flags) == Asked(steps=FEWEST_STEPS, seed=0, accumulate=1, min_lr=1e-6, max_lr=1e6)


@pytest.mark.parametrize(("low", "high"), [("1e-2", "1e-3"), ("0.5", "0.5")])
def test_bounds_without_a_rate_between_them_are_refused(low: str, high: str) -> None:
    assert "No rate lies between" in refusal(min_lr=low, max_lr=high).message
    write(OWN, f"min-lr = {low}")
    assert "No rate lies between" in refusal(max_lr=high).message


@pytest.mark.parametrize("bound", [{"min_lr": "200"}, {"max_lr": "1e-9"}])
def test_one_bound_beyond_the_default_of_the_other_is_refused(bound: dict[str, str]) -> None:
    assert "No rate lies between" in refusal(**bound).message


def test_a_settings_file_that_is_no_toml_is_an_error() -> None:
    Path(OWN).write_text("[lr-find\n")
    assert "not valid TOML" in refusal().message


# --- the target


@pytest.mark.parametrize("word", ["train.py:setup", "train.py", "train.py:", "folder/my train.py:make", "missing.py"])
def test_a_python_file_is_a_factory(word: str) -> None:
    assert asked([word], False, {})[0] == Target("factory", (word,))


@pytest.mark.parametrize("word", ["sweep.csv", "runs", "odd.py.csv", "-", "/dev/stdin"])
def test_what_exists_and_is_no_python_file_is_a_record(word: str, here: Path) -> None:
    (here / "runs").mkdir()
    for name in ("sweep.csv", "odd.py.csv"):
        (here / name).touch()
    assert asked([word], False, {})[0] == Target("record", (word,))


@pytest.mark.parametrize("word", ["python", "sweep.csv", "train", "setup:train", "./train.sh"])
def test_what_is_neither_says_what_can_be_named(word: str) -> None:
    error = refusal(word)
    assert isinstance(error, UsageError)
    assert f"{word} is neither a Python file nor a log" in error.message
    assert example() in error.hint
    assert "--" in error.hint


@pytest.mark.parametrize(
    "words", [("python", "train.py", "--lr", "{learning_rate}"), ("train.sh",), ("train.py",), ("train.py:setup",)]
)
def test_words_behind_dashes_are_a_command_whatever_they_are(words: tuple[str, ...], here: Path) -> None:
    (here / "train.sh").touch()
    assert asked(words, True, {})[0] == Target("command", words)


def test_several_words_without_dashes_are_shown_with_them() -> None:
    error = refusal("python", "train.py", "--lr", "{learning_rate}")
    assert isinstance(error, UsageError)
    assert "one target, not 4" in error.message
    assert error.hint.endswith("ctroubleshoot lr-find -- python train.py --lr {learning_rate}")


def test_a_command_in_a_settings_file_is_run_as_it_stands() -> None:
    write(OWN, 'command = ["python", "train.py", "--lr", "{learning_rate}"]', "steps = 100")
    assert asked([], False, {}) == (
        Target("command", ("python", "train.py", "--lr", "{learning_rate}")),
        Asked(steps=100),
    )


@pytest.mark.parametrize("word", ["./train.sh", "train", "train.py"])
def test_a_command_of_one_word_in_a_settings_file_is_a_command(word: str, here: Path) -> None:
    (here / "train.sh").touch()
    write(OWN, f'command = ["{word}"]')
    assert asked([], False, {})[0] == Target("command", (word,))


@pytest.mark.parametrize("turned", [False, True])
def test_a_target_beside_a_command_in_a_settings_file_is_refused(turned: bool) -> None:
    lines = ['target = "train.py:setup"', 'command = ["python", "train.py"]']
    write(OWN, *(lines[::-1] if turned else lines))
    with pytest.raises(SettingsError, match="both a target and a command"):
        asked([], False, {})


def test_what_is_named_comes_before_the_settings_file_and_that_before_what_lies_here(here: Path) -> None:
    (here / "lone.py").write_text(SETUP)
    write(OWN, 'target = "written.py:setup"')
    assert asked([], False, {})[0].words == ("written.py:setup",)
    assert asked([], True, {})[0].words == ("written.py:setup",)
    assert asked(["named.py"], False, {})[0].words == ("named.py",)
    assert asked(["python", "named.py"], True, {})[0] == Target("command", ("python", "named.py"))


def test_a_target_in_a_settings_file_is_relative_to_that_file(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "train.py").write_text(SETUP)
    write(OWN, 'target = "train.py:setup"')
    below = here / "deep" / "er"
    below.mkdir(parents=True)
    assert asked([], False, {})[0].words == ("train.py:setup",)
    monkeypatch.chdir(below)
    (word,) = asked([], False, {})[0].words
    path, name = split(word)
    assert os.path.samefile(path, here / "train.py")
    assert name == "setup"


def test_an_absolute_target_and_a_recorded_sweep_may_be_written_too(here: Path) -> None:
    elsewhere = here.parent / "elsewhere.csv"
    elsewhere.touch()
    write(OWN, f'target = "{elsewhere}"')
    target, _ = asked([], False, {})
    assert target.kind == "record"
    assert os.path.samefile(target.words[0], elsewhere)


# --- a lone setup()


def test_a_lone_setup_is_found_without_running_the_file(here: Path) -> None:
    (here / "train.py").write_text(f"open('ran', 'w')\nraise RuntimeError('it was run')\n{SETUP}")
    (here / "model.py").write_text("raise RuntimeError('it was run')\n")
    assert asked([], False, {}) == (Target("factory", ("train.py:setup",)), Asked())
    assert not (here / "ran").exists()


def test_of_two_setups_both_are_named_and_one_must_be_chosen(here: Path) -> None:
    for name in ("b.py", "a.py"):
        (here / name).write_text(SETUP)
    error = alone()
    assert error.message == "2 files here have a setup(): a.py:setup, b.py:setup."
    assert error.hint == "Name one: ctroubleshoot lr-find a.py:setup"


def test_of_many_setups_five_are_named(here: Path) -> None:
    for number in range(8):
        (here / f"train{number}.py").write_text(SETUP)
    error = alone()
    assert error.message.startswith("8 files here")
    assert error.message.count(".py:setup") == 5


def test_where_there_is_none_what_to_write_is_shown() -> None:
    error = alone()
    assert "def setup():" in error.message
    assert '"loader": loader' in error.message
    assert "ctroubleshoot lr-find -- python train.py --lr {learning_rate}" in error.message
    assert "--demo" in error.hint


@pytest.mark.parametrize(
    "text",
    [
        "def setup():\n    return {}",
        "def setup(width=3, *, depth=2): ...",
        "def setup(width=3, /): ...",
        "def setup(*words, **options): ...",
        "@decorated\ndef setup(): ...",
        "import missing_module\n\n\ndef helper(x): ...\n\n\ndef setup() -> dict[str, object]: ...",
        "# -*- coding: latin-1 -*-\n# \xe9\ndef setup(): ...",
        "\ufeffdef setup(): ...",
        'DIGITS = "\\d"\n\n\ndef setup(): ...',
    ],
)
def test_a_function_that_needs_no_argument_is_a_setup(text: str, here: Path) -> None:
    (here / "train.py").write_text(text, encoding="latin-1" if "latin-1" in text else "utf-8")
    assert factories(here) == ["train.py:setup"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "setup = dict",
        "from setuptools import setup\nsetup()",
        "def setup_model(): ...",
        "def setup(model): ...",
        "def setup(model, /): ...",
        "def setup(model, /, width=3): ...",
        "def setup(*, model): ...",
        "async def setup(): ...",
        "class Training:\n    def setup(self=None): ...",
        "def outer():\n    def setup(): ...",
        "# def setup(): ...",
        '"""\ndef setup(): ...\n"""',
        "def setup(:",
        "def setup(): ...\nreturn (",
        "def setup(): ...\n\x00",
        "def setup(): ...\nx = " + "(" * 500 + ")" * 500,
    ],
)
def test_what_is_no_function_without_arguments_is_no_setup(text: str, here: Path) -> None:
    (here / "train.py").write_text(text)
    assert factories(here) == []


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.mkdir(),
        lambda path: path.symlink_to("nowhere.py"),
        os.mkfifo,
        lambda path: path.write_bytes(b"def setup(): ...\nx = '\xff'\n"),
        lambda path: path.write_text(SETUP + "#" * (1 << 21) + "\nx = (\n"),
    ],
    ids=["folder", "dangling link", "fifo", "not utf-8", "huge"],
)
def test_what_is_no_readable_script_neither_hangs_nor_hides_the_others(
    make: Callable[[Path], None], here: Path
) -> None:
    make(here / "odd.py")
    (here / "train.py").write_text(SETUP)
    (here / "train.txt").write_text(SETUP)
    assert "train.py:setup" in factories(here)
    assert set(factories(here)) <= {"train.py:setup", "odd.py:setup"}


def test_only_the_folder_itself_is_looked_into_and_one_that_is_missing_holds_none(here: Path) -> None:
    (here / "deep").mkdir()
    (here / "deep" / "train.py").write_text(SETUP)
    assert factories(here) == []
    assert factories(here / "deep") == ["train.py:setup"]
    assert factories(here / "missing") == []


# --- the words of a target


@pytest.mark.parametrize(
    ("word", "parts"),
    [
        ("train.py", ("train.py", "setup")),
        ("train.py:setup", ("train.py", "setup")),
        ("train.py:make", ("train.py", "make")),
        ("train.py:", ("train.py", "setup")),
        ("a:b/train.py:make", ("a:b/train.py", "make")),
        ("/home/me/my train.py:make", ("/home/me/my train.py", "make")),
    ],
)
def test_a_target_is_a_file_and_a_name_which_is_setup_by_default(word: str, parts: tuple[str, str]) -> None:
    assert split(word) == parts


@given(st.text(st.characters(exclude_characters=":"), min_size=1), st.from_regex(r"[a-z_][a-z0-9_]*", fullmatch=True))
@settings(deadline=None, max_examples=60)
def test_what_is_joined_by_a_colon_comes_apart_there(path: str, name: str) -> None:
    assert split(f"{path}:{name}") == (path, name)
    assert split(path) == split(f"{path}:") == (path, "setup")
