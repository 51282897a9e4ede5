"""Tables that are printed row by row under one header."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from convergence_cli.readers._text_lines import NUMBER, to_float
from convergence_cli.readers._text_record import Record
from convergence_cli.readers._text_words import EPOCHS, STEP_RANK, is_metric

_NUMBER = r"[-+]?(?:\d[\d.]*(?:[eE][-+]?\d+)?|nan|inf)"
_CELL_NUMBER = re.compile(rf"^{_NUMBER}%?$", re.IGNORECASE)
_OF_TOTAL = re.compile(r"^(\d{1,15})/(\d{1,15})$")
_RULE = re.compile(r"^[\s|+:=-]*$")
# Bars between the rows do not end a table: those of fastprogress and of tqdm.
_BAR = re.compile(r"^\s*\u2588?\s*$|:\s*$|\d%\s*\[|\d%\|")
# A header names a place: most lines are told apart by that at once.
_PLACE = re.compile("|".join(map(re.escape, sorted({*EPOCHS, *STEP_RANK}, key=len, reverse=True))), re.IGNORECASE)
_DASHES = re.compile(r"-+")
# YOLOv5 up to version 6.1 leaves the word out.
_YOLOV5 = {"box": "box_loss", "obj": "obj_loss", "cls": "cls_loss", "total": "total_loss"}
_SCORED = re.compile(r"^\s*Class\s+Images\s+(?:Instances|Labels|Targets)\s+(\S.*?):?\s*(?:\d{1,3}%.*)?$")
_SCORES = re.compile(rf"^\s*all\s+\d+(?:\.\d*)?\s+\d+(?:\.\d*)?((?:\s+{_NUMBER})+)\s*$")
_BOX = {"box(p": "precision", "mask(p": "mask_precision", "pose(p": "pose_precision", "p": "precision", "r": "recall"}


@dataclass(slots=True)
class Table:
    """Columns under a printed header row: skorch, fastai, the Trainer in a notebook, Ultralytics.

    ``spans`` are the places of the columns, where a ruler below the header shows them.
    """

    header: list[str] = field(default_factory=list)
    separator: str | None = None
    spans: list[tuple[int, int]] = field(default_factory=list)

    def heads(self, text: str) -> bool:
        """Take ``text`` as the header if it is one: no number, a step or epoch column, a measured one."""
        if len(text) > 2000 or not _PLACE.search(text) or NUMBER.search(text):
            return False
        separator = next((mark for mark in "|\t,;" if text.strip().count(mark) > (mark != "\t")), None)
        cells = _cells(text, separator)
        low = [cell.lower() for cell in cells]
        if low[:1] == ["epoch"] and {"box", "cls"} <= set(low):
            cells = low = [_YOLOV5.get(cell, cell) for cell in low]
        places = any(cell in EPOCHS or cell in STEP_RANK for cell in low)
        if len(cells) < 2 or not places or not any(is_metric(cell) for cell in cells):
            return False
        if any(":" in cell or "=" in cell for cell in cells):
            return False
        self.header, self.separator, self.spans = cells, separator, []
        return True

    def program(self) -> str | None:
        """The program whose columns these are."""
        columns = [cell.lower() for cell in self.header]
        if "box_loss" in columns and len(columns) > 5:
            return "ultralytics-console"
        if columns[-1] == "dur":
            return "skorch"
        if columns[0] == "epoch" and columns[-1] == "time":
            return "fastai"
        return "huggingface-console" if columns[:2] in (["step", "training loss"], ["epoch", "training loss"]) else None

    def record(self, text: str) -> Record | None:
        """The row ``text`` as a record; a line that does not fit the columns ends the table."""
        cells = self._row(text)
        if cells is None:
            return None
        values: dict[str, float] = {}
        placed: dict[str, float] = {}
        for name, cell in zip(self.header, cells, strict=True):
            low = name.lower()
            if low in EPOCHS or low in STEP_RANK:
                of_total = _OF_TOTAL.match(cell)
                token = of_total[1] if of_total else cell
                if not _CELL_NUMBER.match(token) or token.count(".") > 1:
                    return None
                placed["epoch" if low in EPOCHS else "step"] = to_float(token)
            elif is_metric(name) and _CELL_NUMBER.match(cell) and cell.count(".") < 2:
                values[low if name[:1].isupper() else name] = to_float(cell.rstrip("%"))
        if not values or not placed:
            return None
        return Record(values, step=placed.get("step"), epoch=placed.get("epoch"))

    def _row(self, text: str) -> list[str] | None:
        """The cells of ``text``, one a column; None where it is no row, which ends the table unless it is a bar."""
        if not self.header:
            return None
        if _RULE.match(text):
            dashes = [match.span() for match in _DASHES.finditer(text)]
            if self.separator is None and len(dashes) == len(self.header):
                self.spans = dashes
            return None
        cells = _cells(text.split(": ", 1)[0] if "%|" in text else text, self.separator)
        if len(cells) == len(self.header):
            return cells
        if _BAR.search(text[:400]):
            return None
        if self.spans:
            return [text[start:end].strip() for start, end in self.spans]
        self.header = []
        return None


def _cells(text: str, separator: str | None) -> list[str]:
    if separator is None:
        return text.split()
    return [cell.strip() for cell in text.strip().strip("|").split(separator)]


@dataclass(slots=True)
class Scores:
    """What YOLO prints after an epoch: ``Class Images Instances Box(P R mAP50 mAP50-95)`` over ``all 128 929 0.6``."""

    names: tuple[str, ...] = ()

    def record(self, text: str) -> Record | None:
        """The scores of all classes, an empty record for their header, None where the line is neither."""
        if "Class" in text and "Images" in text:
            found = _SCORED.match(text[:400])
            if found is None:
                return None
            words = found[1].rstrip("):").lower().replace("): ", " ").split()
            names = [_BOX.get(word.rstrip("):"), word.rstrip("):")) for word in words]
            # A second group (masks, key points) has some of the same measures again.
            self.names = tuple(f"val_{name}" + "(2)" * (name in names[:at]) for at, name in enumerate(names))
            return Record({})
        if not self.names or "all" not in text[:40]:
            return None
        found = _SCORES.match(text[:400])
        values = found[1].split() if found else []
        if len(values) != len(self.names) or any(value.count(".") > 1 for value in values):
            return None
        return Record({name: to_float(value) for name, value in zip(self.names, values, strict=True)})
