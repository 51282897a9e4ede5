"""What mkdocs does not do by itself: a page for each rule in the menu, and names for what a screen reader stops at."""

from __future__ import annotations

import json
import re
from itertools import count
from pathlib import Path
from typing import Any

_RULES = "What it checks"
_TABLE = re.compile(r"<table>.*?</table>", re.DOTALL)
_SCROLLED = '<div class="scrolled" tabindex="0" role="region" aria-label="Table {}">{}</div>'
_SEARCH = 'data-md-component="search" role="dialog"'


def on_config(config: Any) -> Any:
    """Puts what ``build.py`` wrote in ``.docs/menu.json`` in the place of the page of all rules."""
    menu = json.loads((Path(config["docs_dir"]) / "menu.json").read_text(encoding="utf-8"))
    config["nav"] = [{_RULES: [one[_RULES], *menu]} if _RULES in one else one for one in config["nav"]]
    return config


def on_page_content(html: str, **given: Any) -> str:
    """Wide tables scroll, with the keyboard too."""
    del given
    number = count(1)
    return _TABLE.sub(lambda table: _SCROLLED.format(next(number), table[0]), html)


def on_post_template(output: str, **given: Any) -> str:
    """The page for what is not found."""
    return on_post_page(output, **given)


def on_post_page(output: str, **given: Any) -> str:
    """The theme's search is a dialog without a name."""
    del given
    return output.replace(_SEARCH, f'{_SEARCH} aria-label="Search"')
