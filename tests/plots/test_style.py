"""Colours that are told apart in grey, text that cannot harm, and settings that are left as they were."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET
from itertools import pairwise
from typing import TYPE_CHECKING

import matplotlib as mpl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from PIL import Image

from convergence_cli.plots import style, writing
from convergence_cli.plots.ticks import figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HOSTILE = 'a$\\frac{1}{0}$ <script>alert(1)</script> "\u202e\x1b[31m ሴ\U0001f600'


def lightness(color: str) -> float:
    """CIE L* of an sRGB colour, 0 to 100."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(color)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return 116 * luminance ** (1 / 3) - 16 if luminance > 0.008856 else 903.3 * luminance


def test_neighbours_of_the_palette_differ_in_lightness() -> None:
    assert abs(lightness(style.SERIES[0].color) - lightness(style.SERIES[1].color)) > 20
    assert all(abs(lightness(a.color) - lightness(b.color)) > 5 for a, b in pairwise(style.SERIES))
    tones = [lightness(str(tone)) for tone in style.TONES.values()]
    assert abs(tones[0] - tones[1]) > 15


def test_each_series_has_a_colour_a_dash_and_a_marker_of_its_own() -> None:
    for name in ("color", "dash", "marker"):
        assert len({str(getattr(look, name)) for look in style.SERIES}) == len(style.SERIES)


def test_every_line_is_seen_on_white() -> None:
    assert all(lightness(look.color) < 75 for look in style.SERIES)


def test_settings_of_the_user_are_neither_used_nor_changed() -> None:
    with mpl.rc_context({"axes.facecolor": "black", "font.size": 30, "text.usetex": True}):
        before = dict(mpl.rcParams)

        @style.picture
        def draw() -> Figure:
            figure = style.sheet(100, 40, "bold", "under")
            figure.add_subplot().plot([1, 2])
            return figure

        figure = draw()
        data = writing.encoded(figure, "png")
        assert dict(mpl.rcParams) == before
    assert figure.axes[0].get_facecolor() == (1, 1, 1, 1)
    assert data == writing.encoded(draw(), "png")


@pytest.mark.parametrize("format", ["png", "svg", "pdf"])
def test_hostile_text_is_drawn_as_it_is(format: str) -> None:
    with style.styled():
        figure = style.sheet(120, 40, HOSTILE, HOSTILE)
        axes = figure.add_subplot()
        axes.plot([1, 2], label=style.shown(HOSTILE))
        axes.legend()
    data = writing.encoded(figure, format)
    assert writing.MARK.encode() in data
    if format == "png":
        Image.open(io.BytesIO(data)).verify()
    elif format == "svg":
        root = ET.fromstring(data)
        assert not [one for one in root.iter() if one.tag.endswith("script")]
        words = "".join("".join(one.itertext()) for one in root.iter() if one.tag.endswith("}text"))
        assert "$\\frac" in words
        assert "\u202e" not in words
        assert b"<dc:date>" not in data
    else:
        assert data.startswith(b"%PDF")
        assert b"/CreationDate" not in data
        assert b"/CIDFontType2" in data or b"/TrueType" in data
        assert b"/Type3" not in data


@given(st.text())
def test_shown_text_has_glyphs_only(text: str) -> None:
    assert style.shown(text).isprintable()
    assert all(ord(char) in style._glyphs() for char in style.shown(text))


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_a_tick_is_short_and_means_its_value(value: float) -> None:
    text = figures(value)
    assert 0 < len(text) <= 12
    raised = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻−", "0123456789--")
    if 1e-300 <= abs(value) <= 1e300:
        plain = text.translate(raised).replace(",", "")
        for unit, factor in (("k", "e3"), ("M", "e6")):
            plain = plain.replace(unit, factor)
        at = next((place for place, char in enumerate(text) if char in "⁰¹²³⁴⁵⁶⁷⁸⁹⁻"), None)
        if at is not None:
            mantissa = plain[:at].removesuffix("10").removesuffix("×")
            plain = f"{ {'': '1', '-': '-1'}.get(mantissa, mantissa) }e{plain[at:]}"
        assert float(plain) == pytest.approx(value, rel=0.006)


def test_names_keep_what_tells_them_apart() -> None:
    names = [f"transformer.h.{number}.attn.c_proj_of_a_long_name" for number in (1, 12)]
    assert style.short_names(names, 40) == ["1.attn.c_proj_of_a_long_name", "12.attn.c_proj_of_a_long_name"]
    assert style.short_names(["0", "3"]) == ["layer 0", "layer 3"]
    assert style.short_names(["only.one"]) == ["only.one"]
    assert list(style.evenly(10, 4)) == [0, 3, 6, 9]
    assert list(style.evenly(3, 4)) == [0, 1, 2]


def test_short_names_stay_apart() -> None:
    names = [f"model.layers.{number}.self_attention.{part}_projection.adapter" for number in (0, 1) for part in "qv"]
    assert style.short_names(names, 18) == ["0…q_projection", "0…v_projection", "1…q_projection", "1…v_projection"]
    assert style.short_names(["a.b.c", "a.b.d"]) == ["c", "d"]
    ragged = ["encoder.first_long_name.weight_of_this_layer", "second_long_name.weight_of_this_layer"]
    assert len(set(style.short_names(ragged, 16))) == 2
    assert style.short_names(["same", "same"]) == ["same", "same"]
    assert style.short_names([]) == []


def test_figures_of_values_that_are_drawn_divided() -> None:
    assert [figures(value, 10) for value in (1.7e298, -1e298, 0.0, 5e-11, 1e-10)] == [
        "1.7×10³⁰⁸",
        "−10³⁰⁸",
        "0",
        "0.5",
        "1",
    ]
