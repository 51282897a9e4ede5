"""Reads a log line by line: decides what each line is, and hands what it measured to the assembler."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from convergence_cli.readers._text_config import settings_in
from convergence_cli.readers._text_dialects import Caffe, Table, darknet, keras_bar, program
from convergence_cli.readers._text_lines import clean, is_code, is_glog, is_header, is_headline, states
from convergence_cli.readers._text_pairs import Record, Template, Templates, apply
from convergence_cli.readers._text_panels import Panel, catboost
from convergence_cli.readers._text_words import phase_of, series_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convergence_cli.readers._text_runs import Assembler

# Lines after program source in which a number without a step is taken for a constant of that source.
_CODE_REACH = 12


@dataclass(slots=True)
class LogReader:
    """The state of one log: line number, section, open table, and where program source was last seen."""

    runs: Assembler
    line: int = 0
    templates: Templates = field(default_factory=Templates)
    latest: Template | None = None
    _caffe: Caffe = field(default_factory=Caffe)
    _table: Table = field(default_factory=Table)
    _panel: Panel = field(default_factory=Panel)
    _raw: str = ""
    _phase: str | None = None
    _code_until: int = 0
    _known: Template | None = None
    latest_width: int = 0

    def feed(self, raw: str) -> None:
        """One line of the file, without its line end."""
        self.line += 1
        shown = states(raw)
        if len(shown) < 2:
            for state in shown:
                self._state(state)
            return
        self._bar(shown)

    def has_no_table(self) -> bool:
        """Whether no printed table is open, whose rows would be read by its columns."""
        return not self._table.header

    def _bar(self, shown: Sequence[str]) -> None:
        """The states of a progress bar: of those at one position only the last counts."""
        held: tuple[Record, int | None] | None = None
        for state in shown:
            self._raw = state
            line = clean(state)
            record = self._table.record(line.text) if self._table.header else None
            if record is None and keras_bar(line.text) is None:
                record = self._generic(line.text)
            if record is None:
                if held:
                    self.runs.add(held[0], self.line, held[1])
                    held = None
                self._state(state)
                continue
            if held and not _same_place(held[0], record):
                self.runs.add(held[0], self.line, held[1])
            held = (record, line.rank)
        if held:
            self.runs.add(held[0], self.line, held[1])

    def _state(self, state: str) -> None:
        self._raw = state
        line = clean(state)
        text = line.text
        record = self._dialect(text)
        if record is None:
            bar = keras_bar(text) if "/" in text[:40] else None
            record = self._generic(text)
            if bar is not None and record is not None:
                self.runs.form = "keras-console"
                values = {key.removeprefix("- "): value for key, value in record.values.items()}
                self.runs.hold(Record(values, bar[0], None, bar[1]), self.line, line.rank)
                return
        if record is None:
            self._other(text)
        elif record.values:
            self.runs.add(record, self.line, line.rank)

    def _dialect(self, text: str) -> Record | None:
        if "net" in text and (" net output #" in text or "Testing net" in text):
            record = self._caffe.record(text)
            if record is not None:
                self.runs.form = "caffe"
                return record
        if " avg" in text and (record := darknet(text)) is not None:
            self.runs.form = "darknet"
            return record
        if "learn: " in text and (record := catboost(text)) is not None:
            self.runs.form = "catboost"
            self.runs.run.unnamed.update(record.values)
            return record
        if (text[:1] == "|" or self._panel.section) and (record := self._panel.record(text)) is not None:
            if record.values:
                self.runs.form = "stable-baselines3"
            return record
        return self._table.record(text) if self._table.header else None

    def _generic(self, text: str) -> Record | None:
        """The record of a line of names and numbers; None where it measures nothing."""
        found = self.templates.match(text)
        if found is None:
            return None
        form, tokens = found
        if form.positions_only:
            placed = apply(form, tokens)
            self.runs.place(placed.step, placed.epoch)
            self._phase = None
            return None
        anchored = form.step is not None or form.epoch is not None
        if not anchored and self._is_constant(text, form):
            return None
        record = apply(form, tokens)
        if form.nameless:
            self.runs.run.unnamed.update(record.values)
        if form is not self._known:
            self._known = form
            if self.runs.form == "text":
                self.runs.form = program(text, glog=is_glog(self._raw)) or "text"
        self.latest, self.latest_width = form, len(tokens[-1])
        if anchored:
            self._phase = None
        elif self._phase is not None:
            named = {
                series_name(name.removeprefix("avg "), self._phase): value for name, value in record.values.items()
            }
            record = Record(named, rates_only=record.rates_only)
        return record

    def _is_constant(self, text: str, form: Template) -> bool:
        """Whether a number without a step is a setting or a constant of program source."""
        if self.line <= self._code_until:
            self._code_until = self.line + _CODE_REACH
            return True
        if form.rates_only and is_headline(text):
            return True
        return form.rates_only and self.runs.run.points == 0 and self._settings(text)

    def _other(self, text: str) -> None:
        """A line that measures nothing may still announce a section, a table, a setting or a new run."""
        phase = phase_of(text)
        if phase is not None:
            self._phase = phase
            return
        if is_header(text):
            self.runs.header()
        if is_code(text):
            self._code_until = self.line + _CODE_REACH
            self.runs.header()
        self._settings(text)
        self._table.heads(text)

    def _settings(self, text: str) -> bool:
        settings = settings_in(text) if self.line > self._code_until else {}
        if settings:
            self.runs.configured(settings)
        return bool(settings)


def _same_place(one: Record, other: Record) -> bool:
    placed = one.step is not None or one.epoch is not None
    return placed and (one.step, one.epoch, one.total) == (other.step, other.epoch, other.total)
