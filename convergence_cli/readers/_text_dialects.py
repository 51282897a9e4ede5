"""Log layouts whose meaning stands in more than one line or in no word at all: Caffe, darknet, Keras, tables."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from convergence_cli.readers._text_lines import NUMBER, to_float
from convergence_cli.readers._text_pairs import Record
from convergence_cli.readers._text_words import EPOCHS, STEP_RANK, is_metric

_NUMBER = r"[-+]?(?:\d[\d.]*(?:[eE][-+]?\d+)?|nan|inf)"
_TESTING = re.compile(r"^\s*Iteration (\d{1,15}), Testing net")
_OUTPUT = re.compile(rf"^\s*(Train|Test) net output #\d+: ([^=]{{1,120}}) = ({_NUMBER})")
_DARKNET = re.compile(rf"^\s*(\d{{1,15}}): ({_NUMBER}), ({_NUMBER}) avg(?: loss)?, ({_NUMBER}) rate", re.IGNORECASE)
_KERAS = re.compile(r"^\s*(\d{1,15})/(\d{1,15})\s+(?:\[[=>.\s-]{0,200}\]\s|[━╸╺\s]{1,200}\S|- )")
_CELL_NUMBER = re.compile(rf"^{_NUMBER}%?$", re.IGNORECASE)
_OF_TOTAL = re.compile(r"^(\d{1,15})/(\d{1,15})$")
_RULE = re.compile(r"^[\s|+:=-]*$")

# The first pattern that a measuring line matches names the program that printed it.
_SIGNS = (
    ("megatron", re.compile(r"\| lm loss|consumed samples:|lm loss value:")),
    ("huggingface-console", re.compile(r"^\s*\{'(?:loss|eval_\w+|train_\w+)'")),
    ("nanogpt", re.compile(r"^iter \d+: loss |^step \d+: train loss |^step:\d+/\d+ \w+_loss:")),
)
_ITERATION = re.compile(r"^\s*Iteration \d+(?: \([^)]*\))?, (?:loss|lr) = ")


def program(text: str, *, glog: bool) -> str | None:
    """The program that printed a measuring line, where its layout tells; ``glog``: behind Caffe's logger."""
    if _ITERATION.search(text):
        # scikit-learn's perceptron prints the same words, without the logger.
        return "caffe" if glog else None
    return next((name for name, pattern in _SIGNS if pattern.search(text)), None)


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
    return Record({"loss": loss, "avg loss": mean, "learning_rate": rate}, step=float(match[1]))


def keras_bar(text: str) -> tuple[float, float] | None:
    """Where a Keras bar stands (n, total), None where the line is not one."""
    match = _KERAS.match(text)
    return (float(match[1]), float(match[2])) if match else None


@dataclass(slots=True)
class Table:
    """Columns under a printed header row: skorch, fastai, the Trainer in a notebook, Ultralytics."""

    header: list[str] = field(default_factory=list)
    separator: str | None = None

    def heads(self, text: str) -> bool:
        """Take ``text`` as the header if it is one: no number, a step or epoch column, a measured one."""
        if len(text) > 2000 or NUMBER.search(text):
            return False
        separator = "|" if text.count("|") > 1 else ("\t" if "\t" in text.strip() else None)
        cells = _cells(text, separator)
        low = [cell.lower() for cell in cells]
        places = any(cell in EPOCHS or cell in STEP_RANK for cell in low)
        if len(cells) < 2 or not places or not any(is_metric(cell) for cell in cells):
            return False
        if any(":" in cell or "=" in cell for cell in cells):
            return False
        self.header, self.separator = cells, separator
        return True

    def record(self, text: str) -> Record | None:
        """The row ``text`` as a record; a line that does not fit the columns ends the table."""
        if not self.header or _RULE.match(text):
            return None
        cells = _cells(text.split(": ", 1)[0] if "%|" in text else text, self.separator)
        if len(cells) != len(self.header):
            self.header = []
            return None
        values: dict[str, float] = {}
        step = epoch = None
        for name, cell in zip(self.header, cells, strict=True):
            low = name.lower()
            of_total = _OF_TOTAL.match(cell)
            if low in EPOCHS or low in STEP_RANK:
                token = of_total[1] if of_total else cell
                if not _CELL_NUMBER.match(token) or token.count(".") > 1:
                    return None
                if low in EPOCHS:
                    epoch = to_float(token)
                else:
                    step = to_float(token)
            elif is_metric(name) and _CELL_NUMBER.match(cell) and cell.count(".") < 2:
                values[low if name[:1].isupper() else name] = to_float(cell.rstrip("%"))
        if not values or (step is None and epoch is None):
            return None
        return Record(values, step=step, epoch=epoch)


def _cells(text: str, separator: str | None) -> list[str]:
    if separator is None:
        return text.split()
    return [cell.strip() for cell in text.strip().strip("|").split(separator)]
