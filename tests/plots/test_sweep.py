"""The picture of a search for a learning rate."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET

import pytest

from convergence_cli.learning_rate import LearningRate, Probe, Refusal
from convergence_cli.plots import sweep

ANSWER = LearningRate(
    0.01,
    window=(0.003, 0.03),
    diverges_at=0.3,
    why="The best of four.",
    start_loss=2.3,
    range_rates=(1e-4, 1e-3, 1e-2, 1e-1),
    range_losses=(2.3, 2.0, 1.0, math.nan),
    probes=(Probe(1e-3, 1.5, 20), Probe(1e-2, 0.5, 20), Probe(1e-2, 0.3, 60), Probe(0.3, None, 60)),
)
REFUSED = LearningRate(None, refused=Refusal("no-gradient", "Nothing <b>$x$\x1b moves.", ""))


def test_what_is_found_is_marked() -> None:
    figure = sweep.figure(ANSWER)
    (axes,) = figure.axes
    lines = {str(line.get_gid()): line for line in axes.get_lines()}
    assert set(lines["rate"].get_xdata()) == {0.01}  # type: ignore[arg-type]
    assert set(lines["diverges"].get_xdata()) == {0.3}  # type: ignore[arg-type]
    assert len([line for line in axes.get_lines() if line.get_gid() == "probes"]) == 2
    assert axes.get_xscale() == "log"
    legend = axes.get_legend()
    assert legend is not None
    assert "after 60 steps" in [text.get_text() for text in legend.get_texts()]


@pytest.mark.parametrize("answer", [ANSWER, REFUSED, LearningRate(0.1)])
@pytest.mark.parametrize("format", ["png", "svg", "pdf", "html"])
def test_every_answer_is_drawn_the_same_each_time(answer: LearningRate, format: str) -> None:
    data = sweep.draw(answer, format)
    assert data == sweep.draw(answer, format)
    if format == "svg":
        ET.fromstring(data)
    if format == "html":
        page = data.decode()
        assert "<script" not in page
        assert "\x1b" not in page
        assert "<b>" not in page
        assert page.count("<svg") == 1
