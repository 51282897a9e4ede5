"""Numbers, places and changes in words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from convergence_cli.model import Remedy, Where
from convergence_cli.reporters._wording import changes, percent, place, value


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (1234567, "1,234,567"),
        (0.000123456, "0.0001235"),
        (1.946e14, "1.946e+14"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (True, "true"),
        (np.int64(1200), "1,200"),
        (np.float64(0.5), "0.5"),
        ([1, 0.25, "x\x1b"], "[1, 0.25, x\\x1b]"),
        ("step\n3", "step\\x0a3"),
    ],
)
def test_values(item: Any, said: str) -> None:
    assert value(item) == said


@pytest.mark.parametrize(("share", "said"), [(0.0, "0 %"), (0.5, "50 %"), (0.999, "99 %"), (1.0, "100 %")])
def test_no_probability_is_rounded_up_to_certainty(share: float, said: str) -> None:
    assert percent(share) == said


def test_a_place_names_its_file_only_where_it_is_another() -> None:
    where = Where("loss", None, 5.0, 9.0, "a.log", 12)
    assert place(where, "a.log") == "loss, steps 5-9, line 12"
    assert place(where, "b.log") == "loss, steps 5-9, a.log:12"
    assert place(Where(layer="fc", first_step=5.0, last_step=5.0), "") == "fc, step 5"
    assert place(Where(), "") == ""


def test_a_change_shows_the_old_value_where_it_is_known() -> None:
    remedy = Remedy("r", "c", {"learning_rate": 0.003, "activation": "relu"}, "why", 0.5, {"learning_rate": 0.01})
    assert changes(remedy) == ["learning_rate: 0.01 -> 0.003", "activation: relu"]
