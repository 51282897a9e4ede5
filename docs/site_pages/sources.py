"""From words to a run: a fixture, a training of ``tests/lab`` or of a module beside this one, a case of a test.

``demo`` (the run that comes with the package), ``fixture PATH``, ``lab KIND ARCHITECTURE SEED`` (``twin`` is the
healthy one), ``training NAME``, ``boosted NAME``, ``case CODE fires|silent NUMBER``.
"""

from __future__ import annotations

import re
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

__all__ = ["FORESTS", "IMAGES", "LEARNED", "PLANS", "cases_of", "kind_of", "run_from", "told"]
DEMO = "convergence_cli/demo/char-rnn"
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

import torch  # noqa: E402
from lab.runs import kind_of, trained  # noqa: E402
from rule_cases import cases, run_of_case  # noqa: E402

from convergence_cli import read_run  # noqa: E402
from site_pages.boosted import FORESTS, forest  # noqa: E402
from site_pages.trainings import IMAGES, LEARNED, PLANS, folder_of  # noqa: E402

if TYPE_CHECKING:
    from convergence_cli.model import Run


@cache
def run_from(words: str) -> Run:
    """The run that ``words`` name. Raises ``ValueError`` where they name none."""
    kind, _, rest = words.partition(" ")
    if kind == "fixture":
        return read_run(ROOT / "fixtures" / rest)
    if kind == "demo":
        return read_run(ROOT / DEMO)
    if kind == "boosted":
        return forest(rest)
    if kind == "lab":
        fault, architecture, seed = rest.split()
        torch.set_num_threads(1)
        return read_run(trained(None if fault == "twin" else fault, architecture, int(seed)).folder)
    if kind == "training":
        return read_run(folder_of(rest))
    if kind == "case":
        code, side, number = rest.split()
        return run_of_case(cases()[code][side][int(number)])
    raise ValueError(f"{words!r} begins with none of fixture, lab, training, case")


def cases_of(code: str) -> dict[str, list[dict[str, Any]]]:
    """The cases of the test of a rule: ``fires`` and ``silent``, each with its ``why``."""
    return cases()[code]


def told(words: str) -> str:
    """What the run is, in Markdown: where it comes from, and how to have it again."""
    kind, _, rest = words.partition(" ")
    if kind == "demo":
        return f"A real run: `{DEMO}`, which `ctroubleshoot demo` shows."
    if kind == "boosted":
        return f"A real training, made with this page: `{rest}` of `docs/site_pages/boosted.py`."
    if kind == "fixture":
        return f"A real run: `fixtures/{rest}`."
    if kind == "lab":
        fault, architecture, seed = rest.split()
        what = "the healthy twin" if fault == "twin" else fault
        shown = re.sub(r"\bmlp\b", "MLP", architecture).replace("cnn", "CNN").replace("gru", "GRU")
        return f"A real training, made with this page: {what}, {shown}, seed {seed} of `tests/lab`."
    if kind == "training":
        return f"A real training, made with this page: `{rest}` of `docs/site_pages/trainings.py`."
    code, side, number = rest.split()
    why = cases()[code][side][int(number)]["why"]
    return f"Not a real run, but numbers of the rule's own test: {why}."
