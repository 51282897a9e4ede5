"""Gives the site's menu a page for each rule, below its family. Runs inside mkdocs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_RULES = "What it checks"


def on_config(config: Any) -> Any:
    """Puts what ``build.py`` wrote in ``.docs/menu.json`` in the place of the page of all rules."""
    menu = json.loads((Path(config["docs_dir"]) / "menu.json").read_text(encoding="utf-8"))
    config["nav"] = [{_RULES: [one[_RULES], *menu]} if _RULES in one else one for one in config["nav"]]
    return config
