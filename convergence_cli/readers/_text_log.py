"""Reads a log line by line: decides what each line is, and hands what it measured to the assembler."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from convergence_cli.readers._text_config import settings_in
from convergence_cli.readers._text_dialects import Caffe, darknet, keras_bar
from convergence_cli.readers._text_lines import Line, clean, is_code, is_glog, is_header, is_headline, states
from convergence_cli.readers._text_open import EVALUATED
from convergence_cli.readers._text_pairs import Templates
from convergence_cli.readers._text_panels import Panel, catboost
from convergence_cli.readers._text_programs import banner_in, program
from convergence_cli.readers._text_record import Record, Template, apply, mean_of
from convergence_cli.readers._text_rewrite import closes_evaluation
from convergence_cli.readers._text_sections import Sections, is_fence, loss_scale_in, unquoted
from convergence_cli.readers._text_table import Scores, Table
from convergence_cli.readers._text_words import OWN_CONTEXT, context_in, phase_of, series_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convergence_cli.readers._text_runs import Assembler

# tqdm, rich, and NeMo's lines, which show the last evaluation as well.
_BAR = re.compile(r"\|\s*\d+/\d+ \[|\u2501|^Training epoch ")
# Lines after program source in which a number without a step is taken for a constant of that source.
_CODE_REACH = 12


@dataclass(slots=True)
class LogReader:
    """The state of one log: line number, section, open table, and where program source was last seen.

    In ``markdown`` only what is quoted as code, and tables, are read.
    """

    runs: Assembler
    markdown: bool = False
    line: int = 0
    templates: Templates = field(default_factory=Templates)
    latest: Template | None = None
    _caffe: Caffe = field(default_factory=Caffe)
    _table: Table = field(default_factory=Table)
    _panel: Panel = field(default_factory=Panel)
    _scores: Scores = field(default_factory=Scores)
    _sections: Sections = field(default_factory=Sections)
    _raw: str = ""
    _shown: str = ""
    _banner: str | None = None
    _evaluating: str | None = None
    _fenced: bool = False
    _phase: str | None = None
    _code_until: int = 0
    _known: Template | None = None
    latest_width: int = 0

    def feed(self, raw: str) -> None:
        """One line of the file, without its line end."""
        self.line += 1
        if self.markdown and self._outside(raw):
            return
        shown = states(unquoted(raw) if self.markdown else raw)
        if len(shown) < 2:
            for state in shown:
                self._state(state)
            return
        self._bar(shown)

    def has_no_table(self) -> bool:
        """Whether no printed table is open, whose rows would be read by its columns, and no other block of lines."""
        return not self._table.header and not self._sections.open and not self.markdown

    def _outside(self, raw: str) -> bool:
        """Whether a line of Markdown is prose, or begins or ends a block of code."""
        if is_fence(raw):
            self._fenced = not self._fenced
            if self._fenced:
                self.runs.fragment()
            return True
        if self._fenced:
            return False
        text = unquoted(raw)
        if self._table.header and "|" in text:
            return False
        self._table.header = []
        if text.lstrip().startswith("|") and self._table.heads(text):
            self.runs.fragment()
        return True

    def _bar(self, shown: Sequence[str]) -> None:
        """The states of a progress bar: of those at one position only the last counts."""
        held: tuple[Record, int | None] | None = None
        for state in shown:
            self._raw = state
            line = clean(state)
            self._shown = line.shown
            record = self._of_table(line.text) if self._table.header else None
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
        text, self._shown = line.text, line.shown
        if self._sections.skips(text):
            return
        if (place := self._sections.place(text)) is not None:
            self.runs.place(*place)
            return
        record = self._dialect(text)
        if record is None:
            bar = keras_bar(text) if "/" in text[:40] else None
            phase = self._phase
            record = self._closing(text) or self._generic(text)
            if bar is not None and record is not None:
                self._keras(record, bar, phase, line)
                return
        if record is None:
            self._other(text)
        elif record.values:
            self.runs.add(record, self.line, line.rank)

    def _keras(self, record: Record, bar: tuple[float, float], phase: str | None, line: Line) -> None:
        """A state of a bar of Keras, or of Paddle, which says above it what it evaluates."""
        of_paddle = line.text.lstrip().startswith("step ")
        self.runs.form = "paddle" if of_paddle else "keras-console"
        values = {key.removeprefix("- "): value for key, value in record.values.items()}
        if of_paddle and phase is not None:
            self._phase = phase
            values = {series_name(name, phase): value for name, value in values.items()}
        self.runs.hold(Record(values, bar[0], None, bar[1]), self.line, line.rank)

    def _dialect(self, text: str) -> Record | None:
        """The record of a layout of its own; empty where it measures nothing, None where the line has none."""
        record = None
        if "net" in text and (" net output #" in text or "Testing net" in text):
            record = self._caffe.record(text)
            if record is not None:
                self.runs.form = "caffe"
        elif " avg" in text and (record := darknet(text)) is not None:
            self.runs.form = "darknet"
        elif "learn: " in text and (record := catboost(text)) is not None:
            if self.runs.form != "catboost":
                # It tells of the rate that it chose in the words of Lightning's finder.
                self.runs.run.config.pop("lr_finder", None)
            self.runs.form = "catboost"
            self.runs.run.unnamed.update(record.values)
        elif text[:1] == "|" or self._panel.section:
            record = self._panel.record(text)
            if record is not None and record.values:
                self.runs.form = "stable-baselines3"
        elif "loss scale" in text and (scale := loss_scale_in(text)) is not None:
            record = Record({"loss scale": scale})
        if record is None:
            record = self._scores.record(text)
        return self._of_table(text) if record is None and self._table.header else record

    def _of_table(self, text: str) -> Record | None:
        record = self._table.record(text)
        if record is not None and self.runs.form == "text":
            self.runs.form = self._table.program() or "text"
        return record

    def _closing(self, text: str) -> Record | None:
        """What a line sums up of the evaluation above it, as far as that gave no result itself."""
        at = closes_evaluation(text)
        if at is None:
            return None
        if self._evaluating is None:
            return Record({}) if "Averaged stats" in text else None
        found = self.templates.match(f"{self._evaluating}: {text[at:]}")
        if found is None or found[0].positions_only:
            return None
        values = mean_of(*found, apply(*found).values)
        if self.runs.amend(values):
            return Record({})
        known = {name for name, trace in self.runs.run.traces.items() if trace.last_step == self.runs.run.last_step}
        return Record({name: value for name, value in values.items() if name not in known})

    def _generic(self, text: str) -> Record | None:
        """The record of a line of names and numbers; None where it measures nothing."""
        found = self.templates.match(text)
        if found is None:
            return None
        form, tokens = found
        if form.positions_only:
            placed = apply(form, tokens)
            self.runs.place(self._step_of_training(placed.step, text), placed.epoch)
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
                self.runs.form = program(self._shown, glog=is_glog(self._raw), banner=self._banner) or "text"
        self.latest, self.latest_width = form, len(tokens[-1])
        if anchored:
            self._phase = None
        elif self._phase is not None:
            named = {
                series_name(name.removeprefix("avg "), self._phase): value for name, value in record.values.items()
            }
            record = Record(named, rates_only=record.rates_only)
        return self._of_evaluation(record, form, tokens)

    def _step_of_training(self, step: float | None, text: str) -> float | None:
        """``step``, unless it counts the batches of an evaluation ("Eval iter: 0")."""
        before = step is not None and step < self.runs.run.last_step
        return None if before and context_in(text) in EVALUATED else step

    def _of_evaluation(self, record: Record, form: Template, tokens: Sequence[str]) -> Record:
        """``record`` with what its place in an evaluation says of its values."""
        evaluated = [name for name in record.values if name.startswith(EVALUATED)]
        if not evaluated:
            self._evaluating = self._evaluating if record.rates_only else None
            return record
        if len(evaluated) < len(record.values):
            return replace(record, display=True) if is_display(self._shown) else record
        own = OWN_CONTEXT.match(evaluated[0])
        self._evaluating = own[0] if own else None
        if record.bare and form.means:
            return replace(record, values=mean_of(form, tokens, record.values))
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
        if self.runs.form == "text" and self._banner is None:
            self._banner = banner_in(text)
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


def is_display(text: str) -> bool:
    """Whether a line is the state of a bar, which shows the values of an evaluation until there are others."""
    return _BAR.search(text) is not None
