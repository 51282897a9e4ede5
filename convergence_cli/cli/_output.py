"""Where answers go: stdout or a file for the report, stderr for everything else."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Protocol, TextIO, cast

from convergence_cli.errors import CtroubleshootError
from convergence_cli.printable import printable
from convergence_cli.reporters import DEFAULT_WIDTH
from convergence_cli.reporters._layout import UNICODE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

LEAST_WIDTH = 40
PROGRESS_AFTER_SECONDS = 1.0


class TextSink(Protocol):
    """What a report is written to."""

    def write(self, text: str, /) -> int:
        """Append ``text``."""
        ...


@contextmanager
def opened(path: str | None) -> Iterator[TextSink]:
    """Standard output, or ``path``: a new file that takes that name only once all is written.

    Raises ``CtroubleshootError`` where it cannot be written. A reader of standard output that has gone
    away is no error: what was found stays true.
    """
    if path is None:
        with _failing_in_words("Standard output"), suppress(BrokenPipeError):
            yield sys.stdout
            sys.stdout.flush()
        return
    with _failing_in_words(printable(path)):
        target = os.path.realpath(path)
        if path.startswith("/dev/") or (os.path.exists(target) and not os.path.isfile(target)):
            # A device, a named pipe or an open descriptor is written to; it cannot be replaced.
            with open(path, "a", encoding="utf-8", errors="backslashreplace") as handle:
                yield handle
            return
        draft = os.path.join(os.path.dirname(target), f".ctroubleshoot-{os.urandom(6).hex()}")
        try:
            with open(draft, "x", encoding="utf-8", errors="backslashreplace", newline="") as handle:
                yield handle
            with suppress(FileNotFoundError):
                os.chmod(draft, os.stat(target).st_mode & 0o777)
            os.replace(draft, target)
        except BaseException:
            with suppress(OSError):
                os.unlink(draft)
            raise


@contextmanager
def _failing_in_words(shown: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        message = f"{shown} cannot be written: {error.strerror or error}."
        raise CtroubleshootError(message, "Check the folder, its permissions and the disk.") from error


def write(text: str, path: str | None) -> None:
    """``text`` to ``path`` or standard output."""
    with opened(path) as sink:
        sink.write(text)


def write_bytes(data: bytes, path: str) -> None:
    """``data`` to ``path``, as ``opened`` writes."""
    with opened(path) as sink:
        # What opened gives for a path is a text file over bytes.
        cast("TextIO", sink).buffer.write(data)


def say(text: str) -> None:
    """One line on stderr."""
    # A reader of warnings that has gone away must not change what the exit code says.
    if sys.stderr is not None:
        with suppress(OSError):
            print(printable(text, 2000), file=sys.stderr)  # noqa: T201


def complain(message: str, hint: str | None = None) -> None:
    """One sentence on stderr, under the name of the program."""
    say(f"ctroubleshoot: {message} {hint or ''}".rstrip())


def wants_color(choice: str, stream: IO[str] | None, environment: Mapping[str, str]) -> bool:
    """``--color`` > ``NO_COLOR`` > ``FORCE_COLOR`` > whether ``stream`` is a terminal that has colour."""
    if choice != "auto":
        return choice == "always"
    if environment.get("NO_COLOR"):
        return False
    if any(environment.get(name, "") not in ("", "0") for name in ("FORCE_COLOR", "CLICOLOR_FORCE")):
        return True
    return stream is not None and stream.isatty() and environment.get("TERM") != "dumb"


def carries_unicode(stream: IO[str] | None, also: str = "") -> bool:
    """Whether the glyphs of a text report, and those in ``also``, can be encoded for ``stream``."""
    try:
        "".join((UNICODE.arrow, UNICODE.more, UNICODE.bad, UNICODE.levels, also)).encode(
            getattr(stream, "encoding", None) or "ascii"
        )
    except (UnicodeError, LookupError):
        return False
    return True


def width(stream: IO[str] | None) -> int:
    """The columns of a terminal; a fixed number for anything else, so that output can be compared."""
    if stream is None or not stream.isatty():
        return DEFAULT_WIDTH
    try:
        return max(os.get_terminal_size(stream.fileno()).columns or DEFAULT_WIDTH, LEAST_WIDTH)
    except (OSError, ValueError):
        return DEFAULT_WIDTH


def working_directory() -> str:
    """The working directory, or nothing where it has been deleted."""
    try:
        return os.getcwd()
    except OSError:
        return ""


@contextmanager
def progress(quiet: bool) -> Iterator[Callable[[str], None] | None]:
    """A function that shows what is being done, on a terminal and only when it takes long; or None."""
    stream = sys.stderr
    if not shows_progress(quiet):
        yield None
        return
    from time import monotonic

    started = monotonic()
    shown = False

    def show(text: str) -> None:
        nonlocal shown
        if monotonic() - started >= PROGRESS_AFTER_SECONDS:
            shown = True
            stream.write(f"\r\x1b[K{printable(text, width(stream) - 1)}")
            stream.flush()

    try:
        yield show
    finally:
        if shown:
            stream.write("\r\x1b[K")
            stream.flush()


def shows_progress(quiet: bool) -> bool:
    """Whether anybody watches: standard error is a terminal, and not that of a CI job."""
    return not (quiet or os.environ.get("CI") or sys.stderr is None or not sys.stderr.isatty())
