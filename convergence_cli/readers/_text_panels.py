"""Layouts of reinforcement learning and boosting consoles: Stable-Baselines3's panels, CatBoost's rounds."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from convergence_cli.readers._text_lines import to_float
from convergence_cli.readers._text_record import Record

_NUMBER = r"[-+]?(?:\d{1,40}(?:\.\d{0,40})?|\.\d{1,40})(?:[eE][-+]?\d{1,4})?|[-+]?nan|[-+]?inf"
_SECTION = re.compile(r"^\|\s{0,80}([\w.-]{1,60}/)\s{0,80}\|\s{0,80}\|\s*$")
_ENTRY = re.compile(rf"^\|\s{{1,80}}([\w./() -]{{1,80}}?)\s{{0,80}}\|\s{{0,80}}({_NUMBER})\s{{0,80}}\|\s*$")
_RULER = re.compile(r"^-{8,}\s*$")
_STEPS = "time/total_timesteps"
_MOST_ENTRIES = 400
_ROUND = re.compile(rf"^\s*(\d{{1,15}}):\s+learn: ({_NUMBER})(?:\s+test: ({_NUMBER}))?\s+(?:best|total): ")


@dataclass(slots=True)
class Panel:
    """``| train/ | |`` over ``|    loss | 0.1 |``: a table of one record, which a ruler ends."""

    section: str = ""
    values: dict[str, float] = field(default_factory=dict)

    def record(self, text: str) -> Record | None:
        """The record where ``text`` ends a panel, an empty one inside of it, None where it is of no panel."""
        head = _SECTION.match(text)
        if head:
            self.section = head[1]
            return Record({})
        if not self.section:
            return None
        if _RULER.match(text):
            values, self.section, self.values = self.values, "", {}
            step = values.get(_STEPS)
            return Record({name: v for name, v in values.items() if not name.startswith("time/")}, step=step)
        entry = _ENTRY.match(text)
        if entry is None and not text.startswith("|"):
            self.section, self.values = "", {}
            return None
        if entry and len(self.values) < _MOST_ENTRIES:
            self.values[self.section + entry[1]] = to_float(entry[2])
        return Record({})


def catboost(text: str) -> Record | None:
    """``0:  learn: 0.68  test: 0.69  best: 0.69 (0)  total: 1ms``: a round; the metric has no name there."""
    match = _ROUND.match(text)
    if match is None:
        return None
    values = {"learn_loss": to_float(match[2])}
    if match[3] is not None:
        values["test_loss"] = to_float(match[3])
    return Record(values, step=float(match[1]))
