"""A headless Chromium, where there is one."""

from __future__ import annotations

import glob
import os
import shutil

# A closed machine: nothing that Chromium does of its own accord may be mistaken for a request of the page.
QUIET = [
    *("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-quic", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
]


def chromium() -> str | None:
    """Where a Chromium is: of the system, or as playwright installs it."""
    named = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    installed = glob.glob(os.path.expanduser("~/.cache/ms-playwright/chromium-*/chrome-linux*/chrome"))
    return named or (installed[0] if installed else None)
