"""Finds and loads ``FILE.py:setup``, and says where user code failed."""

from __future__ import annotations

import ast
import inspect
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import util
from pathlib import Path
from typing import Any

from convergence_cli.errors import CtroubleshootError, UsageError
from convergence_cli.printable import printable
from convergence_cli.selection import did_you_mean

DEFAULT_NAME = "setup"
_OWN = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_SCRIPT_BYTES = 1 << 20
_MOST_SCRIPTS = 200


def load(target: str) -> Callable[[], object]:
    """The function that ``target``, ``FILE.py:NAME`` (``NAME``: ``setup``), names. Runs the file, as an import does.

    Raises ``UsageError`` where there is none, and ``CtroubleshootError`` where the file cannot be run.
    """
    path, name = split(target)
    if not os.path.isfile(path):
        raise UsageError(
            f"{printable(path)} is no file.", f"Name the file and the function in it: ctroubleshoot lr-find {example()}"
        )
    with user_code(f"{printable(path)} could not be loaded"):
        module = _imported(path)
    found = getattr(module, name, None)
    if found is None:
        functions = [one for one, value in vars(module).items() if callable(value) and not one.startswith("_")]
        raise UsageError(
            f"{printable(path)} has no function '{printable(name)}'.",
            did_you_mean(name, functions)
            or f"Add one that returns the training: def {DEFAULT_NAME}(): return "
            '{"model": model, "loss": loss, "loader": loader}',
        )
    if not callable(found):
        raise UsageError(f"'{printable(name)}' in {printable(path)} cannot be called.", "Name a function.")
    try:
        inspect.signature(found).bind()
    except TypeError as error:
        raise UsageError(
            f"{printable(name)}() in {printable(path)} has to be called with arguments.", "Give them default values."
        ) from error
    except ValueError:
        # Written in C, it tells nothing of its arguments.
        pass
    return found  # type: ignore[no-any-return]


def split(target: str) -> tuple[str, str]:
    """The file and the name in ``FILE.py:NAME``."""
    path, colon, name = target.rpartition(":")
    if not colon:
        return target, DEFAULT_NAME
    return path, name or DEFAULT_NAME


def example() -> str:
    """A target as a user would write it."""
    return f"train.py:{DEFAULT_NAME}"


def _imported(path: str) -> Any:
    folder, stem = os.path.dirname(os.path.abspath(path)), Path(path).stem
    # What lies beside it can be imported by it, now and later, as when it is run.
    sys.path.insert(0, folder)
    # The file may read its own arguments, which ours are not.
    sys.argv = [path]
    name = stem if stem.isidentifier() and stem not in sys.modules else f"ctroubleshoot_target_{abs(hash(path))}"
    spec = util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{printable(path)} is no Python file.", f"Name one: {example()}")
    module = util.module_from_spec(spec)
    # Workers of a loader look their classes up by this name.
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def factories(folder: Path) -> list[str]:
    """Targets of all files in ``folder`` that define ``setup()`` without arguments. Nothing is run."""
    with suppress(OSError):
        files = sorted(one for one in folder.glob("*.py") if one.is_file())[:_MOST_SCRIPTS]
        return [f"{one.name}:{DEFAULT_NAME}" for one in files if _defines_setup(one)]
    return []


def _defines_setup(path: Path) -> bool:
    try:
        with path.open("rb") as handle:
            text = handle.read(_SCRIPT_BYTES)
        if b"def setup" not in text:
            return False
        with warnings.catch_warnings():
            # What Python has against the file it says when the file is run.
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return any(
        isinstance(node, ast.FunctionDef)
        and node.name == DEFAULT_NAME
        and len(node.args.args) + len(node.args.posonlyargs) == len(node.args.defaults)
        and all(node.args.kw_defaults)
        for node in tree.body
    )


@contextmanager
def user_code(what: str) -> Iterator[None]:
    """Turns what the user's code raises inside into a sentence with file and line; our own errors pass."""
    try:
        yield
    except CtroubleshootError:
        raise
    except SystemExit as error:
        raise CtroubleshootError(
            f"{what}: it ended Python ({printable(str(error.code))}).",
            "Keep what trains or reads arguments under: if __name__ == '__main__':",
        ) from error
    except Exception as error:
        frame = _blamed(error)
        if frame is None:
            raise
        text = printable(str(error).strip().splitlines()[0] if str(error).strip() else "", 200)
        name = type(error).__name__
        place = f"{printable(frame.filename)}, line {frame.lineno}"
        raise CtroubleshootError(f"{what}: {name}{': ' + text if text else ''} ({place}).", _advice(error)) from error


def _blamed(error: BaseException) -> traceback.FrameSummary | None:
    """The innermost frame of the user's own code, else of a library's; None where the fault is ours."""
    if isinstance(error, SyntaxError) and error.filename:
        return traceback.FrameSummary(error.filename, error.lineno or 0, "")
    frames = traceback.extract_tb(error.__traceback__)
    if not frames or frames[-1].filename.startswith(_OWN):
        return None
    packages = (os.sep + "site-packages" + os.sep, os.path.dirname(os.__file__) + os.sep)
    own = [one for one in frames if not one.filename.startswith(_OWN) and not one.filename.startswith("<")]
    theirs = [one for one in own if packages[0] not in one.filename and not one.filename.startswith(packages[1])]
    return (theirs or own or [None])[-1]  # type: ignore[list-item]


def _advice(error: BaseException) -> str:
    if type(error).__name__ == "OutOfMemoryError" or isinstance(error, MemoryError):
        return "Give it smaller batches, or --device cpu: up to four copies of the model are kept at once."
    if isinstance(error, ModuleNotFoundError):
        return "Install it in the environment of ctroubleshoot, or install ctroubleshoot in that of the training."
    if "backward through the graph a second time" in str(error):
        return "If step() trains, let it only return the loss: backward() and the optimizer's step are called here."
    return "Mend it; it fails in the same way when you train."
