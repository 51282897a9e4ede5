"""Log layouts whose meaning stands in more than one line or in no word at all: Caffe, darknet, bars of Keras."""

from __future__ import annotations

import re
from dataclasses import dataclass

from convergence_cli.readers._text_lines import to_float
from convergence_cli.readers._text_record import ROUNDED_ZERO, Record

_NUMBER = r"[-+]?(?:\d[\d.]*(?:[eE][-+]?\d+)?|nan|inf)"
_TESTING = re.compile(r"^\s*Iteration (\d{1,15}), Testing net")
_OUTPUT = re.compile(rf"^\s*(Train|Test) net output #\d+: ([^=]{{1,120}}) = ({_NUMBER})")
_DARKNET = re.compile(rf"^\s*(\d{{1,15}}): ({_NUMBER}), ({_NUMBER}) avg(?: loss)?, ({_NUMBER}) rate", re.IGNORECASE)
_KERAS = re.compile(r"^\s*(?:step )?(\d{1,15})/(\d{1,15})\s+(?:\[[=>.\s-]{0,200}\]\s|[━╸╺\s]{1,200}\S|- )")


@dataclass(slots=True)
class Caffe:
    """Net outputs stand on lines of their own, after the iteration they belong to."""

    testing: float | None = None

    def record(self, text: str) -> Record | None:
        """The record of a net output line; a test output belongs to the last ``Testing net`` line.

        It is empty for a line that measures nothing, None where the line is not Caffe's.
        """
        match = _TESTING.match(text)
        if match:
            self.testing = float(match[1])
            return Record({})
        match = _OUTPUT.match(text)
        if match is None:
            return None
        # "Train net output: loss" repeats the loss of the iteration line above it.
        if match[1] == "Train" and match[2] == "loss":
            return Record({})
        value = to_float(match[3]) if match[3].count(".") < 2 else float("nan")
        if match[1] == "Train":
            return Record({f"train_{match[2]}": value})
        return Record({f"test_{match[2]}": value}, step=self.testing)


def darknet(text: str) -> Record | None:
    """``100: 504.45, 650.32 avg, 0.000000 rate, ...``: iteration, loss, its running mean, learning rate."""
    match = _DARKNET.match(text)
    if match is None or any(token.count(".") > 1 for token in match.groups()):
        return None
    loss, mean, rate = (to_float(token) for token in match.groups()[1:])
    values = {"loss": loss, "avg loss": mean, "learning_rate": rate}
    if ROUNDED_ZERO.match(match[4]):
        del values["learning_rate"]
    return Record(values, step=float(match[1]))


def keras_bar(text: str) -> tuple[float, float] | None:
    """Where a bar of Keras or of Paddle stands (n, total), None where the line is not one."""
    match = _KERAS.match(text)
    return (float(match[1]), float(match[2])) if match else None
