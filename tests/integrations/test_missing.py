"""The callbacks where their frameworks are not installed, and before they are used."""

from __future__ import annotations

import subprocess
import sys

import pytest

CALLBACKS = {
    "lightning": ("LightningRecorder()", "lightning", ("lightning", "pytorch_lightning")),
    "huggingface": ("HuggingFaceRecorder()", "transformers", ("transformers",)),
    "keras": ("KerasRecorder('run')", "keras", ("keras",)),
    "xgboost": ("XGBoostRecorder('run')", "xgboost", ("xgboost",)),
}
HEAVY = {"torch", "lightning", "pytorch_lightning", "transformers", "keras", "xgboost", "lightgbm", "pandas"}


def _run(script: str) -> str:
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("name", CALLBACKS)
def test_a_missing_framework_says_what_to_install(name: str) -> None:
    call, package, modules = CALLBACKS[name]
    blocked = f"import sys; sys.modules.update(dict.fromkeys({modules!r}))\n"
    told = _run(
        f"{blocked}from convergence_cli.recorder.{name} import {call.partition('(')[0]}\n"
        f"try:\n    {call}\nexcept ImportError as error:\n    print(error)"
    )
    assert told == f'This callback needs {package}: run "pip install {package}".'


@pytest.mark.parametrize("name", [*CALLBACKS, "lightgbm"])
def test_to_import_a_callback_imports_no_framework(name: str) -> None:
    loaded = _run(f"import sys, convergence_cli.recorder.{name}; print(*sys.modules)").split()
    assert not HEAVY & set(loaded)
