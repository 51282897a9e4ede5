"""Writes the sources of the site into a folder: ``python docs/site_pages/build.py FOLDER``. Then mkdocs builds it.

The Markdown of ``docs/`` is read on code hosts, too: links there lead to files of the repository, and are turned here
into links between pages.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "docs"))

from convergence_cli.reporters.page.skeleton import asset  # noqa: E402
from convergence_cli.rules import Rule, all_rules  # noqa: E402
from site_pages.api import MARKER, reference  # noqa: E402
from site_pages.gallery import gallery  # noqa: E402
from site_pages.notebook import executed, notebook_page  # noqa: E402
from site_pages.rules import causes_page, file_of, index_page, menu, rule_page  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Mapping

# Pages of the site that are files elsewhere in the repository.
ELSEWHERE = {"README.md": "index.md", "SECURITY.md": "security.md", "CHANGELOG.md": "changelog.md",
             "CONTRIBUTING.md": "contributing.md"}  # fmt: skip
# Executed, and so no part of what `pages` gives.
NOTEBOOK, NOTEBOOK_PAGE = "docs/notebook.ipynb", "notebook.md"
_LINK = re.compile(r"(?<=\]\()(?!https?:|#|mailto:)([^)#\s]+)")
_DARK = re.compile(r"@media \(prefers-color-scheme:dark\)\{\.ctr:not\(\.embedded\)\{(.*?)\}\}", re.DOTALL)


def pages() -> dict[str, str]:
    """The Markdown of all pages but those of the single rules, by name."""
    found = {}
    for path in sorted((ROOT / "docs").glob("*.md")):
        found[path.name] = _translated(path)
    for name, page in ELSEWHERE.items():
        found[page] = _translated(ROOT / name)
    found["python.md"] = found["python.md"].replace(MARKER, reference())
    return found | {"rules/index.md": index_page(), "causes-listed.md": causes_page()}


def rule_pages(rules: tuple[Rule, ...] | None = None) -> Mapping[str, str]:
    """The pages of ``rules`` (all of them), by name."""
    return {f"rules/{file_of(rule)}": rule_page(rule) for rule in (all_rules() if rules is None else rules)}


def _translated(path: Path) -> str:
    text = path.read_text(encoding="utf-8").replace("```yml\n", "```yaml\n")

    def page_of(link: re.Match[str]) -> str:
        target = (path.parent / link[1]).resolve().relative_to(ROOT).as_posix()
        if target in ELSEWHERE:
            return ELSEWHERE[target]
        if target == NOTEBOOK:
            return NOTEBOOK_PAGE
        if target.startswith("docs/") and target.endswith(".md"):
            return target.removeprefix("docs/")
        raise ValueError(f"{path.name} links to {link[1]}, which is no page of the site")

    return _LINK.sub(page_of, text)


def stylesheet() -> str:
    """The style of the report's pictures, dark where the site is, and what the site adds."""
    report = asset("style.css")
    dark = _DARK.search(report)
    if dark is None:
        raise ValueError("reporters/page/style.css has no rule for dark any more: say here how the site is to be dark")
    own = (Path(__file__).parent / "site.css").read_text(encoding="utf-8")
    return f'{_DARK.sub("", report)}\n[data-md-color-scheme="slate"] .ctr{{{dark[1]}}}\n{own}'


def main(folder: Path) -> None:
    """Writes everything anew."""
    shutil.rmtree(folder, ignore_errors=True)
    shown, pictures = notebook_page(executed(ROOT / NOTEBOOK))
    whole = pages()
    whole["pictures.md"], drawn = gallery(whole["pictures.md"])
    texts = {
        **whole,
        **rule_pages(),
        NOTEBOOK_PAGE: shown,
        "assets/site.css": stylesheet(),
        "menu.json": json.dumps(menu()),
    }
    for name, data in {**{name: text.encode() for name, text in texts.items()}, **pictures, **drawn}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
