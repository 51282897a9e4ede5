"""Every page of the built site in headless Chromium: ``make check-docs``. Prints one figure a line.

Looked for: faults that axe finds, in the light and the dark colours; complaints on the console; requests to anywhere
else; pages wider than a phone; files that are missing. Exits 1 where there is any that is more than moderate.
"""

from __future__ import annotations

import sys
from collections import Counter
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

PHONE = {"width": 390, "height": 844}
SCHEMES = ("light", "dark")
MOST_SHOWN = 20


class Quiet(SimpleHTTPRequestHandler):
    """Serves the site and says nothing."""

    def log_message(self, format: str, *args: Any) -> None:
        del format, args


def main(folder: str) -> int:
    """Look at every page below ``folder``."""
    from axe_playwright_python.sync_playwright import Axe
    from playwright.sync_api import sync_playwright

    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from tests.reporters.browser import QUIET, chromium

    pages = sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*.html"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    Thread(target=server.serve_forever, daemon=True).start()
    home = f"http://127.0.0.1:{server.server_port}/"
    found: Counter[str] = Counter()
    told: list[str] = []

    def fault(kind: str, what: str) -> None:
        found[kind] += 1
        told.append(f"{kind}: {what}")

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium(), args=QUIET)
        for scheme in SCHEMES:
            context = browser.new_context(viewport=PHONE, color_scheme=scheme, reduced_motion="reduce")
            page = context.new_page()
            page.on("console", lambda message: message.type == "error" and fault("console", message.text))
            page.on(
                "request",
                lambda one: one.url.startswith(home) or one.url.startswith("data:") or fault("request", one.url),
            )
            page.on("response", lambda one: one.status >= 400 and fault("missing", one.url))
            for name in pages:
                page.goto(home + name)
                if page.evaluate("document.documentElement.scrollWidth") > PHONE["width"]:
                    fault("wide", name)
                for one in Axe().run(page).response["violations"]:
                    for node in one["nodes"]:
                        fault(f"axe-{one['impact']}", f"{name} {scheme} {one['id']} {node['html'][:160]}")
            context.close()
        browser.close()
    server.shutdown()
    print(f"pages {len(pages)}")
    for kind, number in sorted(found.items()):
        print(f"{kind} {number}")
    grave = sum(number for kind, number in found.items() if kind not in ("axe-minor", "axe-moderate"))
    print(f"grave {grave}")
    for line in told[:MOST_SHOWN]:
        print(line, file=sys.stderr)
    return 1 if grave else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
