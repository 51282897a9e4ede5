"""What the callbacks of all frameworks share: the framework's own class, checked arguments, and no failure outside."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import types
import warnings
import weakref
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, Literal, Protocol, TypeVar, cast

from convergence_cli.errors import TrainingStopped
from convergence_cli.recorder.journal import RecorderWarning

Own = TypeVar("Own", bound="RecorderCallback")
Hook = TypeVar("Hook", bound=Callable[..., None])
# Longer texts are no settings, and a list of sizes or rates is short.
_MOST_LETTERS, _MOST_NUMBERS, _DEEPEST = 200, 8, 4
_MOST_FEATURES = 1000


class Session(Protocol):
    """What a training is recorded by: a ``Recorder`` or a ``Journal``."""

    def close(self, ended: str = "finished") -> None:
        """Write what is left."""


class RecorderCallback:
    """A callback of a framework that nothing is imported of before the callback is made.

    The framework's own class, which ``_bases`` names, becomes a base of the object's class at that time: so it is an
    instance of both. A copy, also one that was pickled, records its own training and not the one that goes on.
    """

    _public: type[RecorderCallback]

    def __new__(cls: type[Own], *given: Any, **named: Any) -> Own:
        return cast("Own", object.__new__(_joined(cls.__dict__.get("_public", cls), *cls._bases())))

    def __init__(self) -> None:
        # The frameworks' own classes have no arguments either.
        super().__init__()
        self._session: Session | None = None
        self._finalizer: weakref.finalize[..., Any] | None = None
        self._failed = False

    @classmethod
    def _bases(cls) -> tuple[type, ...]:
        """The framework's class. Raises ``ImportError`` where the framework is not installed."""
        return ()

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self._public,), {**self.__dict__, "_session": None, "_finalizer": None}

    def _open(self, session: Session) -> None:
        """Record into ``session`` from now on, to the end of the callback where nobody tells of another."""
        self._session = session
        self._finalizer = weakref.finalize(self, session.close, "exit")

    def _end(self, ended: str = "finished") -> None:
        """Close what is open; ``ended`` is ``finished``, or the name of what ended the training."""
        session, self._session = self._session, None
        finalizer, self._finalizer = self._finalizer, None
        if finalizer is not None:
            finalizer.detach()
        if session is not None:
            session.close(ended)

    def _fail(self, error: Exception) -> None:
        self._failed = True
        self._end(type(error).__name__)
        warnings.warn(
            f"The recorder is off: {type(error).__name__}: {error}. The training goes on.",
            RecorderWarning,
            stacklevel=4,
        )


def guarded(hook: Hook) -> Hook:
    """``hook`` as the training calls it: whatever fails in it is warned of once, and ends the recording.

    Only ``TrainingStopped`` passes, since it was asked for.
    """

    @functools.wraps(hook)
    def called(self: RecorderCallback, /, *given: Any, **named: Any) -> None:
        if self._failed:
            return
        try:
            hook(self, *given, **named)
        except TrainingStopped:
            raise
        except Exception as error:
            self._fail(error)

    return cast("Hook", called)


def framework(module: str, package: str) -> Any:
    """``module`` of a framework. Raises ``ImportError`` with what to install where it is not there."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ImportError(f'This callback needs {package}: run "pip install {package}".') from error


def check_arguments(
    out: str | os.PathLike[str] | None,
    every: int,
    config: Mapping[str, Any] | None,
) -> None:
    """Raises ``TypeError`` or ``ValueError`` for what every callback takes, where the user can still see it."""
    if out is not None and not isinstance(out, (str, os.PathLike)):
        raise TypeError(f"out must be the folder of the record, not {out!r}.")
    if isinstance(every, bool) or not isinstance(every, int) or every < 1:
        raise ValueError(f"every must be a whole number of steps, 1 or more, not {every!r}.")
    if config is not None and not isinstance(config, Mapping):
        raise TypeError(f"config must be a dictionary of hyperparameters, not {config!r}.")


def torch_options(
    every: int, raw: Sequence[str], ranks: Literal["first", "all"], on_error: Literal["warn", "stop"] | None
) -> dict[str, Any]:
    """These as arguments of ``Recorder``, checked. Raises ``TypeError``, ``ValueError`` and ``ImportError``."""
    if isinstance(raw, str) or not all(isinstance(one, str) for one in raw):
        raise TypeError(f'raw must be a list of patterns, such as ["fc1.*"], not {raw!r}.')
    if raw and importlib.util.find_spec("safetensors") is None:
        raise ImportError('raw needs safetensors: run "pip install safetensors".')
    if ranks not in ("first", "all"):
        raise ValueError(f'ranks must be "first" or "all", not {ranks!r}.')
    if on_error not in (None, "warn", "stop"):
        raise ValueError(f'on_error must be None, "warn" or "stop", not {on_error!r}.')
    return {"every": every, "raw": tuple(raw), "ranks": ranks, "on_error": on_error}


def plain(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The settings in ``values``: numbers, words, short lists of numbers; nested ones under names with dots."""
    found: dict[str, Any] = {}
    for key, given in values.items():
        name = f"{prefix}{key}"
        value = given.value if isinstance(given, Enum) else given
        if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
            value = value.item()
        if isinstance(value, Mapping):
            found |= plain(value, f"{name}.") if prefix.count(".") < _DEEPEST else {}
        elif isinstance(value, (bool, int, float)) or (isinstance(value, str) and len(value) <= _MOST_LETTERS):
            found[name] = value
        elif isinstance(value, (list, tuple)) and _are_few_numbers(value):
            found[name] = list(value)
    return found


def _are_few_numbers(values: Sequence[Any]) -> bool:
    return 0 < len(values) <= _MOST_NUMBERS and all(isinstance(one, (int, float)) for one in values)


def single(value: Any) -> float:
    """A number that was kept in single precision, as it was written: 0.1, not 0.10000000149."""
    return float(f"{float(value):.7g}")


def most_important(importance: Mapping[str, float], features: Sequence[str]) -> dict[str, float]:
    """``importance`` with 0 for the other ``features``; of thousands only the most important ones."""
    if len(features) <= _MOST_FEATURES:
        return {str(feature): float(importance.get(feature, 0.0)) for feature in features}
    first = sorted(importance.items(), key=lambda one: -one[1])[:_MOST_FEATURES]
    return {str(feature): float(value) for feature, value in first}


@functools.cache
def _joined(public: type[RecorderCallback], *bases: type) -> type[Any]:
    """``public`` with the framework's classes behind it, under its own name."""
    if all(issubclass(public, base) for base in bases):
        bases = ()
    names = {name: getattr(public, name) for name in ("__module__", "__qualname__", "__doc__")}
    return types.new_class(public.__name__, (public, *bases), exec_body=lambda body: body.update(names, _public=public))


def _again(public: type[RecorderCallback]) -> RecorderCallback:
    return public.__new__(public)
