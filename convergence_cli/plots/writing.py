"""Figures as bytes: the same figure gives the same bytes, with fonts as text (SVG) or embedded (PDF)."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.backends.backend_pdf import PdfPages

from convergence_cli.plots.style import styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# In every picture's metadata: what bears it may be drawn again over itself.
MARK = "ctroubleshoot plot"
MAX_MARKED = 64 << 20
# None takes out what matplotlib would add: the time, and versions that change nothing.
_ABOUT: Mapping[str, dict[str, Any]] = {
    "png": {"Software": MARK},
    "svg": {"Date": None, "Creator": MARK},
    "pdf": {"CreationDate": None, "Creator": MARK, "Producer": MARK},
}


def encoded(figure: Figure, format: str) -> bytes:
    """``figure`` as ``png``, ``svg`` or ``pdf``."""
    if format == "pdf":
        return pages([figure])
    sink = io.BytesIO()
    with styled():
        figure.savefig(sink, format=format, metadata=_ABOUT[format])
    return sink.getvalue()


def pages(figures: Sequence[Figure]) -> bytes:
    """One PDF with a page a figure."""
    sink = io.BytesIO()
    with styled(), PdfPages(sink, metadata=_ABOUT["pdf"]) as document:
        for figure in figures:
            figure.savefig(document, format="pdf")
    return sink.getvalue()


def is_ours(path: str) -> bool:
    """Whether the file at ``path`` is a picture that was written here."""
    try:
        if os.path.getsize(path) > MAX_MARKED:
            return False
        with open(path, "rb") as handle:
            return MARK.encode() in handle.read(MAX_MARKED)
    except OSError:
        return False
