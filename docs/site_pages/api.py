"""The Python API as Markdown: signature, docstring, fields and methods of every public name."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

import convergence_cli

if TYPE_CHECKING:
    from collections.abc import Iterator

MARKER = "<!-- reference: written by make docs -->"
_CODE = re.compile(r"``([^`]+)``")


def reference() -> str:
    """All names of ``convergence_cli.__all__``."""
    names = [name for name in convergence_cli.__all__ if not name.startswith("__")]
    functions = [name for name in names if not inspect.isclass(getattr(convergence_cli, name))]
    classes = [name for name in names if name not in functions]
    parts = ["## Functions\n", *map(_entry, functions), "## Classes\n", *map(_entry, classes)]
    return "\n".join(parts)


def _entry(name: str) -> str:
    item: Any = getattr(convergence_cli, name)
    parts = [f"### {name}\n"]
    if not (inspect.isclass(item) and is_dataclass(item)):
        parts.append(f"```python\n{_signature(name, item)}\n```\n")
    parts.append(f"{_text(_own_doc(item))}\n")
    if inspect.isclass(item):
        parts += [*_fields(item), *_methods(name, item)]
    return "\n".join(parts)


def _signature(name: str, item: Any, *, method: bool = False) -> str:
    """``method``: a function as it stands in its class, whose first parameter is the instance."""
    signature = inspect.signature(item)
    given = list(signature.parameters.values())[1 if method else 0 :]
    kept = [one.replace(annotation=_words(one.annotation)) for one in given]
    result = (
        ""
        if inspect.isclass(item) or signature.return_annotation in (inspect.Signature.empty, None)
        else (f" -> {_words(signature.return_annotation)}")
    )
    one_line = f"{name}({', '.join(map(_parameter, kept))}){result}"
    if len(one_line) <= 88:
        return one_line
    # A bare star stands before the parameters that are given by name only.
    lines, starred = [], False
    for parameter in kept:
        if parameter.kind is parameter.KEYWORD_ONLY and not starred:
            lines.append("*")
            starred = True
        lines.append(_parameter(parameter))
    return f"{name}(\n" + "".join(f"    {line},\n" for line in lines) + f"){result}"


def _parameter(parameter: inspect.Parameter) -> str:
    star = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
    said = "" if parameter.annotation in (parameter.empty, "") else f": {parameter.annotation}"
    default = "" if parameter.default is parameter.empty else f"{' = ' if said else '='}{parameter.default!r}"
    return f"{star}{parameter.name}{said}{default}"


def _words(annotation: Any) -> str:
    if annotation is inspect.Signature.empty:
        return ""
    said = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return re.sub(r"\b(?:convergence_cli|collections|typing)(?:\.\w+)*\.(\w+)", r"\1", said)


def _own_doc(item: Any) -> str:
    """The docstring; not that which a data class without one gets."""
    doc = inspect.cleandoc(item.__doc__ or "")
    return "" if doc.startswith(f"{getattr(item, '__name__', '')}(") else doc


def _text(doc: str) -> str:
    # Indented parts of a docstring are no code.
    lines = [line.strip() if not line.strip().startswith(("-", "*")) else line for line in doc.splitlines()]
    return _CODE.sub(r"`\1`", "\n".join(lines))


def _fields(item: type) -> Iterator[str]:
    if not is_dataclass(item):
        return
    rows = [one for one in fields(item) if not one.name.startswith("_")]
    if rows:
        yield "| field | type |\n| --- | --- |"
        for one in rows:
            said = _words(one.type).replace("|", "\\|")
            yield f"| `{one.name}` | `{said}` |" if "\\|" not in said else f"| `{one.name}` | {_code_cell(said)} |"
        yield ""


def _code_cell(said: str) -> str:
    return f"`{said}`"


def _methods(name: str, item: type) -> Iterator[str]:
    for member, value in vars(item).items():
        if member.startswith("_"):
            continue
        if isinstance(value, property):
            yield f"**`{name}.{member}`**: {_text(inspect.cleandoc(value.__doc__ or ''))}\n"
        elif inspect.isfunction(value) or isinstance(value, (classmethod, staticmethod)):
            function = getattr(item, member)
            yield f"```python\n{name}.{_signature(member, function, method=inspect.isfunction(value))}\n```\n"
            if doc := inspect.cleandoc(function.__doc__ or ""):
                yield f"{_text(doc)}\n"
