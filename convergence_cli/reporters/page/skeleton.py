"""The page around the parts: a strict policy, style and script in the page itself; and the frame for a notebook."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path

from convergence_cli.reporters.page.markup import text

_HERE = Path(__file__).parent


@cache
def asset(name: str) -> str:
    """The text of a file beside this one."""
    return (_HERE / name).read_text(encoding="utf-8")


def page(title: str, body: str, *, script: bool = True) -> str:
    """A whole document, in ASCII. Nothing in it reaches the network; no style or script but its own may act."""
    style, code = asset("style.css"), asset("script.js") if script else ""
    allowed = f"script-src '{_hash(code)}'" if script else "script-src 'none'"
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; {allowed}; img-src data:; base-uri 'none'; form-action 'none'"
    )
    document = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n<meta name="color-scheme" content="light dark">\n'
        f'<title>{text(title)}</title>\n<link rel="icon" href="data:,">\n<style>{style}</style>\n</head>\n'
        f'<body class="ctr">\n{body}\n{f"<script>{code}</script>" if script else ""}\n</body>\n</html>\n'
    )
    # Style and script are ASCII, and anywhere else a reference is as good as a character: any output can carry it.
    return document.encode("ascii", "xmlcharrefreplace").decode("ascii")


def embedded(body: str) -> str:
    """``body`` for a notebook: with its style and without script."""
    return f'<div class="ctr embedded"><style>{asset("style.css")}</style>{body}</div>'


def _hash(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
