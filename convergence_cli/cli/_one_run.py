"""The one run that a picture is of: what to name where a folder holds several, and which of a saved report."""

from __future__ import annotations

import os
import shlex
from contextlib import suppress
from typing import TYPE_CHECKING

from convergence_cli.cli._output import say
from convergence_cli.errors import SourceError, UsageError
from convergence_cli.printable import counted, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convergence_cli.model import Run, RunReport
    from convergence_cli.settings import Settings

# So many runs are named, in so many characters: one line holds no more.
MAX_NAMED, MAX_CHARACTERS = 5, 1500
# So much of a file tells whether it is a saved report.
_HEAD = 4096


def run_at(path: str, settings: Settings) -> Run:
    """The run at ``path``.

    Raises ``UsageError`` where it holds several, with names of them that can be copied, and ``SourceError`` where it
    holds none.
    """
    from convergence_cli.pipeline import read_paths

    runs, errors = read_paths([path], settings)
    if len(runs) == 1:
        return runs[0]
    if not runs:
        told = (errors[0].message, errors[0].hint or "") if errors else (f"{printable(path)} holds no run.", "")
        raise SourceError(path, *told)
    files = list(dict.fromkeys(run.path for run in runs))
    if len(files) == 1:
        raise UsageError(
            f"{printable(path)} holds {counted(len(runs), 'run')} in one file: one is drawn, not several.",
            "Save one run as a file of its own.",
        )
    raise UsageError(
        f"{printable(path)} holds {counted(len(runs), 'run')}, and one is drawn.", f"Name one of them: {named(files)}"
    )


def named(files: Sequence[str]) -> str:
    """Some of ``files`` whole, quoted for a shell, and how many there are besides."""
    words: list[str] = []
    for file in files[:MAX_NAMED]:
        word = quoted(file)
        if words and len(" ".join([*words, word])) > MAX_CHARACTERS:
            break
        words.append(word)
    rest = len(files) - len(words)
    return "  ".join(words) + (f"  and {rest:,} more" if rest else "")


def quoted(path: str) -> str:
    """``path`` as a word that a shell takes for it, also where it has characters that must not be shown."""
    if path.startswith("-"):
        path = f"./{path}"
    if path.isprintable():
        return shlex.quote(path)
    # Escapes that bash and zsh read: bytes in hexadecimal.
    parts = [f"\\{char}" if char in "\\'" else char if char.isprintable() else _escaped(char) for char in path]
    return f"$'{''.join(parts)}'"


def _escaped(char: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogateescape"))


def saved_at(path: str) -> RunReport | None:
    """The worst run of the saved report at ``path``; None where that is no report. Says which it is, of several."""
    if not path.lower().endswith(".json") or not os.path.isfile(path):
        return None
    with suppress(OSError), open(path, "rb") as handle:
        head = handle.read(_HEAD)
        if b'"schema_version"' in head and b'"ctroubleshoot"' in head:
            from convergence_cli.cli.report import load
            from convergence_cli.row import rows_of, worst_first

            runs = load(path).runs
            if not runs:
                return None
            worst = runs[worst_first(rows_of(runs))[0]]
            if len(runs) > 1:
                say(
                    f"{printable(path)} holds {counted(len(runs), 'run')}; the worst is drawn: {printable(worst.name)}."
                    " To draw another, plot its log."
                )
            return worst
    return None
