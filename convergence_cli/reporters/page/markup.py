"""Text on its way into HTML. Whatever stems from a log, a config or a saved report passes ``text`` here."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from convergence_cli.printable import printable
from convergence_cli.reporters._wording import MAX_SENTENCE, percent, sentence

if TYPE_CHECKING:
    from convergence_cli.model import Severity

SEVERITY_WORD: Mapping[Severity, str] = {"error": "error", "warning": "warning", "note": "note"}
# What could end a script element, or be read as a line end in old engines.
_UNSAFE_IN_SCRIPT = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026"}


def text(item: object, limit: int = MAX_SENTENCE) -> str:
    """``item`` on one line, without characters that a browser could act on, safe in elements and in attributes."""
    # A number and its per cent sign stay on one line.
    return html.escape(sentence(item, limit), quote=True).replace(" %", "&nbsp;%")


def share(probability: float) -> str:
    """A probability in per cent."""
    return text(percent(probability))


def lines(item: object) -> str:
    """``item`` with its line breaks and indentation, for ``pre``."""
    kept = str(item).expandtabs(4).splitlines()[:60]
    return "\n".join(html.escape(printable(line, 400), quote=True) for line in kept)


def code(item: object, limit: int = 120) -> str:
    """``item`` as a name that was logged."""
    return f"<code>{text(item, limit)}</code>"


def items(found: Iterable[str], kind: str = "") -> str:
    """A list of what is markup already; nothing where it is empty."""
    rows = "".join(f"<li>{item}</li>" for item in found)
    return f"<ul{_class(kind)}>{rows}</ul>" if rows else ""


def facts(found: Iterable[tuple[str, str]], kind: str = "facts") -> str:
    """Names with values, both markup already."""
    rows = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in found)
    return f"<dl{_class(kind)}>{rows}</dl>" if rows else ""


def fold(head: str, body: str, kind: str = "") -> str:
    """``body`` behind ``head``; open where a page is printed."""
    return f"<details{_class(kind)}><summary>{head}</summary>{body}</details>" if body else ""


def table(caption: str, heads: Iterable[str], rows: Iterable[Iterable[str]], kind: str = "") -> str:
    """A table whose first cells name their rows. Everything is markup already; nothing where there is no row."""
    body = "".join(
        f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'
        for first, *cells in rows
    )
    if not body:
        return ""
    head = "".join(f'<th scope="col">{one}</th>' for one in heads)
    return (
        f'<div class="wide" role="group" tabindex="0" aria-label="{caption}"><table{_class(kind)}>'
        f"<caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def pill(severity: Severity) -> str:
    """A severity, told by its word and not by colour alone."""
    return f'<span class="pill {severity}">{SEVERITY_WORD[severity]}</span>'


def data_block(data: Any, kind: str) -> str:
    """``data`` for the page's script, as JSON that cannot end its element."""
    packed = json.dumps(data, separators=(",", ":"), allow_nan=False).translate(_UNSAFE_IN_SCRIPT)
    return f'<script type="application/json" class="{kind}">{packed}</script>'


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""
