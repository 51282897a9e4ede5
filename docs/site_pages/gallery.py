"""Pictures and pages that the program itself writes, for the places where ``docs/pictures.md`` asks for them."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
# On a code host nothing is seen of them.
_ASKED = re.compile(r"<!-- (picture|page): (.+) of (.+?) -->")
# Stands for a run that saved tensors as they are, which is too large to be kept.
TRAINING = "a training"


def asked(text: str) -> Iterator[tuple[str, str, str]]:
    """What ``text`` asks for: ``picture`` or ``page``, which, and of which runs."""
    for found in _ASKED.finditer(text):
        yield found[1], found[2], found[3]


def gallery(text: str) -> tuple[str, dict[str, bytes]]:
    """``text`` with links in these places, and the files that they lead to by path."""
    files: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory() as folder:
        training = Path(folder) / "training"
        if any(source == TRAINING for _, _, source in asked(text)):
            _train(training)

        def place(found: re.Match[str]) -> str:
            what, which, source = found.groups()
            path = f"assets/{re.sub(r'[^a-z]+', '-', which)}.{'png' if what == 'picture' else 'html'}"
            files[path] = made(what, which, str(training) if source == TRAINING else source)
            if what == "page":
                return f"- [{which.capitalize()}]({path})"
            return f"![{which.capitalize()} of {source}]({path})"

        return _ASKED.sub(place, text), files


def made(what: str, which: str, source: str) -> bytes:
    """The file, as the command of the page writes it. Raises ``RuntimeError`` with its message where it does not."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("page.html" if what == "page" else "picture.png")
        if what == "page":
            words = ["analyze", *source.split(), "--format", "html", "--output", str(path)]
        elif which == "sweep":
            words = [*source.split(), "--plot", str(path)]
        else:
            words = ["plot", source, "--kind", which, "--output", str(path)]
        program = [sys.executable, "-m", "convergence_cli", *words]
        done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)
        if not path.exists():
            raise RuntimeError(f"{' '.join(words)}: {done.stderr}")
        return path.read_bytes()


def _train(folder: Path) -> None:
    sys.path.insert(0, str(ROOT))
    from tests.plots.trainings import recorded_raw

    recorded_raw(folder, raw=["activation/2", "label/*", "x"], slopes=True)
