"""Blocks of lines that mean something only together: quotations, closing summaries, and what Composer prints."""

from __future__ import annotations

import re
from dataclasses import dataclass

# The best round is printed again once boosting has stopped.
_BEST_ROUND = re.compile(r"\b[Bb]est iteration(?: is)?:\s*$")
_SUMMARY = re.compile(r"^\s*\*{5} (?:train|eval|test|predict) metrics \*{5}\s*$")
_SUMMED = re.compile(r"^\s+\w+\s+=\s")
# In a notebook W&B leaves its name out.
_LAST_VALUES = re.compile(r"^\s*Run (?:history|summary):\s*$")
_LAST_VALUE = re.compile(r"^\s*(?:[\w./@-]+\s+\S+\s*)?$")
_COMPOSER = re.compile(r"^\[(?:epoch=(\d{1,9})\]\[)?batch=(\d{1,15})/(\d{1,15})\]:?$|^\[(?:token|sample|iteration)=\d")
_COMPOSER_BATCH = re.compile(r"^\s+(?:Train )?time/batch: (\d{1,15})$")
_FENCE = re.compile(r"^\s{0,8}(?:>\s?){0,3}(?:```|~~~)")
_QUOTE = re.compile(r"^\s{0,3}(?:>\s?){1,3}")
# A scaler of mixed precision skipped a step: DeepSpeed, Apex, fairseq.
_LOSS_SCALE = re.compile(
    r"(?:Attempted loss scale: \S{1,40} reducing to|reducing loss scale to|setting loss scale to:?)"
    r" (\d[\d.]{0,20}(?:e\+?\d{1,3})?)"
)


@dataclass(slots=True)
class Sections:
    """Where in such a block the log is."""

    _skip_next: bool = False
    _summary: re.Pattern[str] | None = None
    _counts_batches: bool = False

    @property
    def open(self) -> bool:
        """Whether the next line may be skipped, whatever it looks like."""
        return self._skip_next or self._summary is not None

    def skips(self, text: str) -> bool:
        """Whether ``text`` repeats what was measured before."""
        if self._skip_next:
            self._skip_next = False
            return True
        if self._summary is not None:
            if self._summary.match(text[:400]) is not None:
                return True
            self._summary = None
        if "est iteration" in text:
            self._skip_next = _BEST_ROUND.search(text[-60:]) is not None
        elif "*****" in text:
            self._summary = _SUMMED if _SUMMARY.match(text[:80]) else None
        elif "Run " in text[:40] and _LAST_VALUES.match(text[:80]):
            self._summary = _LAST_VALUE
        return False

    def place(self, text: str) -> tuple[float | None, float | None] | None:
        """Step and epoch of the block that ``text`` opens, where Composer printed it."""
        if text[:1] == "[":
            found = _COMPOSER.match(text[:120])
            if found is None:
                return None
            self._counts_batches = found[2] is None
            if found[2] is None:
                return None
            epoch = float(found[1]) if found[1] else None
            before = (epoch - 1) * float(found[3]) if epoch else 0.0
            return before + float(found[2]), epoch
        if self._counts_batches and "time/batch: " in text:
            found = _COMPOSER_BATCH.match(text[:120])
            return (float(found[1]) + 1, None) if found else None
        return None


def is_fence(text: str) -> bool:
    """Whether a line opens or closes a block of code in Markdown."""
    return _FENCE.match(text[:40]) is not None


def unquoted(text: str) -> str:
    """``text`` without the ``>`` of a quotation in Markdown."""
    return _QUOTE.sub("", text, count=1)


def loss_scale_in(text: str) -> float | None:
    """The scale that mixed precision falls back to after an overflow; None where the line tells of none."""
    found = _LOSS_SCALE.search(text[:400])
    if found is None or found[1].count(".") > 1:
        return None
    return float(found[1])
