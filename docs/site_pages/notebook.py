"""The example notebook as a page: executed when the site is built, with what its cells show."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_TABLE = re.compile(r"<table.*?</table>", re.DOTALL)
_OURS = '<div class="ctr'


def executed(path: Path) -> Any:
    """The notebook at ``path`` with the outputs of its cells. Raises what a cell raises."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    return notebook


def notebook_page(notebook: Any) -> tuple[str, dict[str, bytes]]:
    """The page of an executed ``notebook`` in Markdown, and its pictures by path."""
    pictures: dict[str, bytes] = {}
    parts: list[str] = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
            continue
        parts.append(f"```python\n{cell.source}\n```")
        for output in cell.outputs:
            parts += _shown(output, pictures)
    return "\n\n".join(parts) + "\n", pictures


def _shown(output: Any, pictures: dict[str, bytes]) -> Iterator[str]:
    if output.output_type == "stream":
        if output.name == "stdout":
            yield f"```text\n{output.text.rstrip()}\n```"
        return
    data = output.data
    if "image/png" in data:
        path = f"assets/notebook-{len(pictures) + 1}.png"
        pictures[path] = base64.b64decode(data["image/png"])
        yield f"![What the cell shows: a picture of the run]({path})"
    elif (html := data.get("text/html", "")).startswith(_OURS):
        # The site has the style. A blank line would end what Markdown takes as HTML.
        yield re.sub(r"<style>.*?</style>|\n\s*(?=\n)", "", html, flags=re.DOTALL)
    elif table := _TABLE.search(html):
        yield re.sub(r"<(table|tr)[^>]*>", r"<\1>", re.sub(r"\n\s*", "", table[0]))
    else:
        yield f"```text\n{data['text/plain']}\n```"
