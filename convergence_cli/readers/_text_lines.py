"""Clean lines out of a console log: escape sequences, progress bars, logger and rank prefixes, numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass

from convergence_cli.readers._text_rewrite import reworded

MAX_LINE = 1 << 14

# Every alternative starts with a different character and nothing nests, so the time is linear in the line.
NUMBER = re.compile(
    r"(?<![\w.@])(?<!\w-)([-+]?(?:1\.#(?:IND|QNAN|SNAN|INF)\w*"
    r"|\d{1,3}(?:,\d{3})+(?![\d,])(?:\.\d*)?"
    r"|\d+\.?\d*(?:[eE][-+]?\d+)?"
    r"|\.\d+(?:[eE][-+]?\d+)?"
    r"|(?:[nN][aA][nN]|[iI][nN][fF](?:[iI][nN][iI][tT][yY])?)(?![\w.])))"
)
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_]|$)")
_CONTROL = re.compile(r"[\x00\x07\x08\x7f]+")
_GLOG = re.compile(r"^\s*[IWEF]\d{4,8} [\d:.]{8,20} +\d+ [\w./-]{1,200}:\d+\] ?")
# What container runtimes and many loggers put before a line; "stderr F" is Kubernetes' (CRI).
STAMP = re.compile(
    r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:[.,]\d{1,12})?(?:Z|[+-]\d\d:?\d\d)?[ \t]+(?:std(?:out|err) [FP] )?",
    re.MULTILINE,
)
_BRACKETED = re.compile(r"^\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:[.,]\d{1,12})?(?:Z|[+-]\d\d:?\d\d)?\][ \t]*")
_RANK = re.compile(
    r"^\s*(?:\[(?:default|rank|Rank|RANK|GPU|gpu|trainer\d{0,3}\|)[ :]?(\d{1,5})\](?::\s?|\s)"
    r"|\[?(?:default|rank|Rank|RANK|GPU|gpu)[ :]?(\d{1,5})\]?[:\]]?\s"
    # mpirun --tag-output, and Amazon's launcher
    r"|\[\d{1,3},(?:mpirank:)?(\d{1,5})(?:,algo-\d{1,4})?\]<std(?:out|err)>: ?)"
)
# Ray puts the worker's process before what it printed; the process stands for the rank.
_WORKER = re.compile(r"^\((?:\w{1,60}|\w{1,60}\(\w{0,60}\)) pid=(\d{1,9})(?:, ip=[\d.:a-f]{1,45})?\)\s")
# "srun --label" puts the task before the line; a line that names no step may itself begin with one.
_TASK = re.compile(r"^\s*(\d{1,5}):\s+(?=[^\d]{0,80}\b(?:step|iter|iteration|epoch)\b)", re.IGNORECASE)
_CODE = re.compile(
    r"^\s*(?:def |class |import |from [\w.]+ import |return\b|elif |else:|@\w|if .*:$|for .*:$|while .*:$|with .*:$|"
    r"[\w.]+\(\s*$|\)[,;]?$)"
    r"|print\w{0,2}\(|\bf\"|\bf'| == | [-+*/]= |\bself\.|\blambda\b|\{[A-Za-z_][\w.\[\]]*(?:[:!][^ }]*)?\}"
    r"|%[.\d]*[dfgs]\b"
)
_HEADLINE = re.compile(r"^\s*([=*#~-])\1{2,} .*\1{3,}\s*$")
# Printed by programs when they start afresh.
_HEADER = re.compile(
    r"^\W{0,8}(?:trial|seed|fold|run|experiment)\b\W{0,3}\d"
    r"|^\s*([=*#~-])\1{2,} *(?:trial|seed|fold|run|experiment)\b"
    r"|Namespace\(|Initializing solver|Starting Optimization|Running PyTorch|Start(?:ing)? training"
    r"|Training started|^={20,}$|\bargs:|\bArguments\b|number of parameters",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Line:
    """One cleaned state of a line, and the rank of the process that printed it (None where not said).

    ``text`` is in words of the general reading, ``shown`` as printed behind the prefixes.
    """

    text: str
    rank: int | None = None
    shown: str = ""


def states(raw: str) -> list[str]:
    """The states a line went through on the terminal (``\\r`` overwrites), escapes removed, in order."""
    if "\x1b" in raw:
        raw = _ESCAPE.sub("", raw)
    if "\x00" in raw or "\x08" in raw or "\x07" in raw or "\x7f" in raw:
        raw = _CONTROL.sub("", raw)
    if "\r" not in raw:
        return [raw] if raw and not raw.isspace() else []
    shown = raw.split("\r")
    return [state for state, before in zip(shown, ["", *shown], strict=False) if state != before and state.strip()]


def clean(state: str) -> Line:
    """``state`` without what a logger or launcher puts before the message, cut to 16 KiB."""
    text = state[:MAX_LINE]
    if (text[10:11] == "T" and (match := STAMP.match(text))) or (
        text[11:12] == "T" and (match := _BRACKETED.match(text))
    ):
        text = text[match.end() :]
    if text[:1] in "IWEF " and (match := _GLOG.match(text)):
        text = text[match.end() :]
    match = _RANK.match(text[:64]) or _TASK.match(text[:160])
    if match is None and text[:1] == "(":
        match = _WORKER.match(text[:200])
    if match is None:
        return Line(reworded(text), None, text)
    text = text[match.end() :]
    return Line(reworded(text), int(match[match.lastindex or 1]), text)


def is_code(text: str) -> bool:
    """Whether a line is program source that the log repeats, not something measured."""
    return _CODE.search(text) is not None


def is_headline(text: str) -> bool:
    """Whether a line is set off by rulers, as ``=== run B lr=10 ===`` is."""
    return _HEADLINE.match(text[:400]) is not None


def is_glog(state: str) -> bool:
    """Whether a line as printed begins as Google's logger begins it, which Caffe uses."""
    return state[:1] in "IWEF" and _GLOG.match(state) is not None


def is_header(text: str) -> bool:
    """Whether a line is what programs print when a run starts."""
    return _HEADER.search(text[:400]) is not None


def to_float(token: str) -> float:
    """The value of a token that ``NUMBER`` matched."""
    try:
        return float(token)
    except ValueError:
        if "#" not in token:
            return float(token.replace(",", ""))
        sign = -1.0 if token.startswith("-") else 1.0
        return sign * (float("inf") if "#INF" in token else float("nan"))
