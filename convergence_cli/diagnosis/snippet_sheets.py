"""A change as lines of code for a framework, put together from the sheets in ``snippets_data``.

A sheet is TOML, one a framework, with the lines of each change key. ``[[keys.KEY]]`` is one way to write a key; the
first that fits is taken: its ``value`` (or one of them) is the new value, all of ``with`` are keys of the change too
(``key=a|b``: with one of these values), all of ``given`` are so in the change or the run's facts, all of ``known`` are
facts, and every ``$name`` of its lines can be filled. Its other entries are lines by **stage**; ``stages`` orders them,
so that several keys give one piece of code: the loop has its backward pass once, and clips after it.

A stage that ``[calls]`` names collects arguments (``$args``) or a body (``$lines``) into one call. An argument that
begins with ``?`` gives way to another of the same name. ``[carry]`` names, for such a stage, settings of the run that
would be lost if the call were written without them. ``[derived]`` has names with the texts that they may stand for: the
first that can be filled. ``[names.KEY]`` has the framework's word for a value, as ``$KEY_name``. ``[default]`` has what
is taken for a setting that is not known. ``[inherits]`` takes keys (or all, ``*``) from another sheet.

Values are written as literals, so no text from a log becomes code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from string import Template
from textwrap import indent
from typing import Any

from convergence_cli.diagnosis.snippet_reading import Entry, Sheet, sheet_of
from convergence_cli.diagnosis.snippet_values import Context, context_of, renamed

WIDTH = 110
_FALLBACK = "pytorch"


def snippet_of(change: Mapping[str, Any], framework: str, facts: Mapping[str, Any] | None = None) -> str | None:
    """The lines that make ``change`` in ``framework``; None where it has no way to. An unknown one is read as PyTorch.

    ``facts``: what is known of the run, under the keys of its config (``learning_rate``, ``optimizer``, ``epochs``,
    ``max_steps``, ``batch_size``), and ``class_counts`` (by class) and ``checkpoint`` (a path). A key of the change
    that the framework has no setting for is left out.
    """
    sheet = sheet_of(framework) or sheet_of(_FALLBACK)
    assert sheet is not None
    change = renamed(change)
    context = context_of(change, facts or {}, sheet)
    entries = [entry for key in change if (entry := _entry(key, sheet, context)) is not None]
    touched = {stage for entry in entries for stage in entry.lines}
    for stage in touched & sheet.carry.keys():
        for key in sheet.carry[stage]:
            if key not in change and key in context.tokens and (more := _entry(key, sheet, context)) is not None:
                entries.append(more)
    gathered: dict[str, list[str]] = {}
    for entry in entries:
        for stage, lines in entry.lines.items():
            texts = gathered.setdefault(stage, [])
            texts += [text for line in lines if (text := _filled(line, context)) is not None and text not in texts]
    parts = [_stage(stage, gathered[stage], sheet, context) for stage in sheet.stages if stage in gathered]
    return "\n".join(part for part in parts if part) or None


def _entry(key: str, sheet: Sheet, context: Context) -> Entry | None:
    return next((entry for entry in sheet.keys.get(key, ()) if _fits(key, entry, context)), None)


def _fits(key: str, entry: Entry, context: Context) -> bool:
    return (
        (not entry.value or context.tokens.get(key) in entry.value)
        and all(_holds(wanted, context.changed) for wanted in entry.with_)
        and all(_holds(wanted, context.tokens) for wanted in entry.given)
        and context.facts.issuperset(entry.known)
        and all(_filled(line, context) is not None for lines in entry.lines.values() for line in lines)
    )


def _holds(wanted: str, tokens: Mapping[str, str]) -> bool:
    key, _, values = wanted.partition("=")
    return key in tokens and (not values or tokens[key] in values.split("|"))


def _filled(line: str, context: Context) -> str | None:
    try:
        return Template(line).substitute(context.texts)
    except KeyError:
        return None


def _stage(stage: str, texts: Sequence[str], sheet: Sheet, context: Context) -> str | None:
    call = sheet.calls.get(stage)
    if call is None:
        # What another text holds already is not said twice: a step within a condition is the step.
        return "\n".join(text for text in texts if not any(text != other and text in other for other in texts))
    if "$lines" in call:
        margin = re.search(r"^( *)\$lines", call, re.MULTILINE)
        body = indent("\n".join(texts), margin[1] if margin else "").lstrip(" ")
        return _filled(call.replace("$lines", body.replace("$", "$$")), context)
    return _called(call, list(_arguments(texts)), context)


def _called(call: str, arguments: Sequence[str], context: Context) -> str | None:
    """The call on one line, or with an argument a line where that is too long."""
    joined = ", ".join(arguments).replace("$", "$$")
    line = _filled(call.replace("$args", joined), context)
    if line is None:
        return None
    line = re.sub(r", ([)}])", r"\1", line)
    if len(line.splitlines()[-1]) <= WIDTH or not arguments:
        return line
    margin = re.search(r"^( *)(?=.*\$args)", call, re.MULTILINE)
    left = margin[1] if margin else ""
    broken = "".join(f"\n{left}    {argument.replace('$', '$$')}," for argument in arguments) + f"\n{left}"
    return _filled(call.replace(" $args", "$args").replace("$args", broken), context)


def _arguments(texts: Sequence[str]) -> Iterator[str]:
    """Each named argument once: the first that insists on it, or else the first that does not."""
    firm = {text.partition("=")[0] for text in texts if not text.startswith("?")}
    seen: set[str] = set()
    for text in texts:
        name = text.removeprefix("?").partition("=")[0]
        if name not in seen and not (text.startswith("?") and name in firm):
            seen.add(name)
            yield text.removeprefix("?")
