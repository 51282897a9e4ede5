"""Where the words of a chart stand: the first free place of those proposed."""

from __future__ import annotations

import re

import pytest

from convergence_cli.reporters.page.labels import Labels, Spot, at_an_edge, next_to
from convergence_cli.reporters.page.paths import Steps
from convergence_cli.reporters.page.scale import Scale
from convergence_cli.reporters.page.trace import Trace

HEIGHT = 200


def labels(*values: float) -> Labels:
    at = tuple(map(float, range(len(values))))
    trace = Trace("train_loss", "loss", at, at, values, values, values)
    return Labels([trace], Steps(0.0, max(len(values) - 1.0, 1.0)), Scale("linear", 0.0, 1.0), HEIGHT)


def y_of(markup: str) -> int:
    found = re.search(r' y="(-?\d+)"', markup)
    assert found is not None
    return int(found[1])


def test_words_keep_off_the_curve_and_off_one_another() -> None:
    # At the foot of the plot but at its beginning.
    flat = labels(*[0.9] * 3, *[0.02] * 17)
    under, over = Spot(0.5, HEIGHT - 4), Spot(0.5, HEIGHT - 60)
    assert y_of(flat.put("expected", "mark", [under, over])) == over.y
    assert y_of(flat.put("expected", "mark", [over, Spot(0.5, HEIGHT - 90)])) == HEIGHT - 90
    # Where nothing is free the place with fewest words under it is taken, unless the words may be left out.
    assert y_of(flat.put("again", "mark", [over, under])) == under.y
    assert flat.put("not again", "mark", [over, Spot(0.5, HEIGHT - 90)], optional=True) == ""


@pytest.mark.parametrize(("falling", "side"), [(True, 'x="0.00%"'), (False, 'x="100.00%"')])
def test_a_level_is_named_where_the_curve_is_far(falling: bool, side: str) -> None:
    values = [1 - 0.05 * number for number in range(20)]
    curve = labels(*(values if falling else values[::-1]))
    assert side in curve.put("expected", "mark level", at_an_edge(HEIGHT - 6), moves=False)


def test_words_at_the_right_go_to_the_left_and_stay_in_the_plot() -> None:
    assert [spot.end for share in (0.0, 0.4, 0.9) for spot in next_to(share, "since step 300", 15)] == [
        False,
        False,
        True,
    ]
    assert y_of(labels(0.5).put("best", "mark", [Spot(0.1, 4), Spot(0.1, HEIGHT + 20), Spot(0.1, 40)])) == 40
    assert [spot.y for spot in at_an_edge(8)] == [22, 22]
    assert "data-at" not in labels(0.5).put("x", "mark", at_an_edge(90), moves=False)
