"""The ``lr-find`` command that measures a rate for the run at hand."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any

from convergence_cli.diagnosis.frameworks import HUGGINGFACE, TREES, framework_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from convergence_cli.features.evidence import Evidence

# Under the names that the run itself gave them: these are what its script is likely to take.
# The last of each is also our own name for it, which says nothing of the script's.
_RATE_NAMES = ("lr", "lr0", "base_lr", "init_lr", "max_lr", "peak_lr", "learning_rate")
_STEP_NAMES = ("max_iters", "max_iter", "total_steps", "train_steps", "num_training_steps", "steps", "max_steps")
# What is suggested is copied into a shell: a run folder that somebody sent must not choose anything else.
_SCRIPT = re.compile(r"[A-Za-z0-9_][\w./-]{0,80}\.py")
_WORD = re.compile(r"[\w.,/=:+-]{1,80}")
_MOST_WORDS = 40
UNKNOWN_SCRIPT = "train.py"


def search_command(evidence: Evidence) -> str | None:
    """The command, from what the run says of how it was started; None for boosted trees, which have no such search."""
    if framework_of(evidence.run) in TREES:
        return None
    named = framework_of(evidence.run) == HUGGINGFACE
    return " ".join(["ctroubleshoot lr-find -- python", *_started(evidence.config, _RATE_NAMES[-1 if named else 0])])


def _started(config: Mapping[str, Any], usual: str) -> list[str]:
    script, words = config.get("started.program"), config.get("started.args")
    if not (isinstance(script, str) and _SCRIPT.fullmatch(script)):
        script, words = UNKNOWN_SCRIPT, ""
    given = shlex.split(words) if isinstance(words, str) and words.count('"') + words.count("'") == 0 else []
    if len(given) > _MOST_WORDS or not all(_WORD.fullmatch(word) for word in given):
        given = []
    given, rate = _replaced(given, _RATE_NAMES, "{learning_rate}")
    given, steps = _replaced(given, _STEP_NAMES, "{steps}")
    if not rate:
        name = next((name for name in _RATE_NAMES[:-1] if name in config), usual)
        given += [f"--{name}", "{learning_rate}"]
    if not steps:
        named = next((name for name in _STEP_NAMES if name in config), None)
        given += [] if named is None else [f"--{named}", "{steps}"]
    return [script, *given]


def _replaced(words: list[str], names: tuple[str, ...], value: str) -> tuple[list[str], bool]:
    """``words`` with the value of an option of ``names`` replaced: ``--lr 0.1``, ``--lr=0.1`` or ``optim.lr=0.1``."""
    for place, word in enumerate(words):
        name, equals, _ = word.partition("=")
        if name.lstrip("-").replace("-", "_").rpartition(".")[2] not in names:
            continue
        if equals:
            return [*words[:place], f"{name}={value}", *words[place + 1 :]], True
        if word.startswith("-") and place + 1 < len(words):
            return [*words[: place + 1], value, *words[place + 2 :]], True
    return words, False
