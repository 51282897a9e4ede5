"""The page in headless Chromium: no error, no request, the numbers of the JSON report; hover, zoom and sort work."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from reporters.browser import QUIET, chromium
from reporters.pages import EVIL, full

import convergence_cli
from convergence_cli.model import Report
from convergence_cli.pipeline import analyze_paths
from convergence_cli.reporters import html, render
from convergence_cli.settings import Settings

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")

ROOT = Path(convergence_cli.__file__).parent.parent
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


pytestmark = pytest.mark.skipif(chromium() is None, reason="needs Chromium: apt-get install chromium")


@dataclass
class Opened:
    """A page, and what it did that it must not do."""

    page: Any
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as play:
        try:
            found = play.chromium.launch(executable_path=chromium(), args=QUIET)
        except sync_api.Error as error:
            pytest.skip(f"Chromium does not start here: {error}")
        yield found
        found.close()


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Any]:
    """A function that opens a report; at the end no page has complained or asked for anything."""
    all_opened: list[Opened] = []
    contexts = []

    def open_(report: Report, **options: Any) -> Any:
        path = tmp_path / f"{len(all_opened)}.html"
        path.write_text(render(report, "html"), encoding="utf-8")
        context = browser.new_context(**{"viewport": WIDE, **options})
        contexts.append(context)
        one = Opened(context.new_page())
        all_opened.append(one)
        one.page.on("console", lambda message: one.complaints.append(message.text))
        one.page.on("pageerror", lambda error: one.complaints.append(str(error)))
        one.page.on("dialog", lambda dialog: one.complaints.append(dialog.message))
        one.page.on("request", lambda request: one.requests.append(request.url))
        one.page.goto(path.as_uri())
        return one.page

    yield open_
    for number, one in enumerate(all_opened):
        assert one.complaints == []
        assert one.requests in ([(tmp_path / f"{number}.html").as_uri()], [])
    for context in contexts:
        context.close()


def report_of(*paths: str) -> Report:
    return analyze_paths([str(ROOT / path) for path in paths], Settings())


@pytest.fixture(scope="module")
def demo() -> Report:
    return report_of("convergence_cli/demo/char-rnn")


@pytest.fixture(scope="module")
def dumped() -> Report:
    return report_of("fixtures/tensors/dead-relu")


@pytest.fixture(scope="module")
def many() -> Report:
    return report_of("fixtures/keras", "fixtures/lightning")


def text_of(page: Any) -> str:
    return " ".join(page.evaluate("document.body.textContent").replace("\u00a0", " ").split())


def test_its_numbers_are_those_of_the_json_report(opened: Any, demo: Report) -> None:
    said = text_of(opened(demo))
    run = json.loads(render(demo, "json"))["runs"][0]
    assert run["verdict"]["reason"] in said
    for finding in run["findings"]:
        assert finding["message"] in said
        for name, value in finding["evidence"].items():
            assert name in said
            assert value is None or isinstance(value, str) or number(value) in said
    for remedy in run["remedies"]:
        for value in remedy["change"].values():
            assert (number(value) if isinstance(value, float) else str(value).lower()) in said
    for curve in run["summary"]["curves"].values():
        lowest = min(value for value in curve["low"] if value is not None)
        assert number(lowest) in said


def number(value: float) -> str:
    return f"{int(value):,}" if float(value).is_integer() and abs(value) < 1e9 else f"{value:.4g}"


def test_the_value_under_the_pointer_is_told(opened: Any, demo: Report) -> None:
    page = opened(demo)
    curve = demo.runs[0].summary["curves"]["train_loss"]
    chart = page.locator("figure.main svg.chart")
    box = chart.bounding_box()
    for place in (0.2, 0.5, 0.7):
        page.mouse.move(box["x"] + box["width"] * place, box["y"] + 100)
        tip = page.locator("figure.main .tip")
        assert tip.is_visible()
        lines = tip.inner_text().split("\n")
        step = float(re.sub(r"[^\d.]", "", lines[0]))
        assert step == pytest.approx(1 + 999 * place, abs=25)
        told = re.match(r"train_loss ([\d.e+]+)(?: \(([\d.]+) to ([\d.]+)\))?", lines[1])
        assert told is not None, lines
        at = min(range(len(curve["step"])), key=lambda index: abs(curve["step"][index] - (1 + 999 * place)))
        near = range(max(at - 2, 0), at + 3)
        assert any(float(told[1]) == pytest.approx(curve["mean"][index], rel=1e-3) for index in near)
        assert any(float(told[3]) == pytest.approx(curve["high"][index], rel=1e-3) for index in near)
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + 100)
    assert "not finite" in page.locator("figure.main .tip").inner_text()
    page.mouse.move(5, 5)
    assert not page.locator("figure.main .tip").is_visible()


def test_a_part_is_zoomed_to_in_all_charts_and_left_again(opened: Any, demo: Report) -> None:
    page = opened(demo)
    box = page.locator("figure.main svg.chart").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 80)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + 90, steps=3)
    page.mouse.up()
    views = page.evaluate("[...document.querySelectorAll('svg.plot')].map(one => one.getAttribute('viewBox'))")
    assert len(set(views)) == 1
    first, _, wide, _ = map(float, views[0].split())
    assert (first, wide) == (pytest.approx(5000, abs=30), pytest.approx(2500, abs=30))
    label = page.locator("figure.main svg.chart text.mark", has_text="since step")
    assert float(label.get_attribute("x").rstrip("%")) == pytest.approx(93.4, abs=2)
    page.locator("figure.main button.whole").click()
    assert page.locator("figure.main svg.plot").get_attribute("viewBox") == "0 0 10000 1000"


def test_charts_are_read_with_the_keyboard(opened: Any, demo: Report) -> None:
    page = opened(demo)
    page.locator("figure.main svg.chart").focus()
    page.keyboard.press("Home")
    tip = page.locator("figure.main .tip")
    first = tip.inner_text()
    assert "step 3" in first or "step 1" in first
    page.keyboard.press("PageUp")
    assert tip.inner_text() != first
    page.keyboard.press("+")
    assert page.locator("figure.main svg.plot").get_attribute("viewBox") != "0 0 10000 1000"
    page.keyboard.press("Escape")
    assert page.locator("figure.main svg.plot").get_attribute("viewBox") == "0 0 10000 1000"


def test_the_table_is_sorted_by_any_column(opened: Any, many: Report) -> None:
    page = opened(many)
    rows = page.locator("table.runs tbody tr")
    assert rows.count() == len(many.runs) > 10

    def column(number: int) -> list[str]:
        texts: list[str] = page.locator(f"table.runs tbody tr > :nth-child({number})").all_inner_texts()
        return texts

    page.get_by_role("button", name="best loss").click()
    best = [float(text.split()[0].replace(",", "")) for text in column(3)]
    assert best == sorted(best)
    assert page.locator("table.runs th[aria-sort]").get_attribute("aria-sort") == "ascending"
    page.get_by_role("button", name="best loss").click()
    assert [float(text.split()[0].replace(",", "")) for text in column(3)] == sorted(best, reverse=True)
    page.get_by_role("button", name="run", exact=True).click()
    names = [" ".join(name.split()) for name in column(1)]
    assert names != sorted(names, reverse=True)
    page.get_by_role("button", name="verdict").click()
    assert "converging" not in column(2)[0]


def test_a_row_leads_to_its_section(opened: Any, many: Report) -> None:
    page = opened(many)
    link = page.locator("table.runs tbody a").nth(5)
    target = (link.get_attribute("href") or "").removeprefix("#")
    assert not page.locator(f"#{target} .verdict").is_visible()
    link.click()
    page.locator(f"#{target} .verdict").wait_for(state="visible")


def test_cells_of_a_heat_map_tell_their_value(opened: Any, dumped: Report) -> None:
    page = opened(dumped)
    layers = dumped.runs[0].summary["layers"]
    figure = page.locator('figure.heat[data-measure="gradient_norm"]')
    figure.scroll_into_view_if_needed()
    box = figure.locator("svg.cells svg").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 1.5 / 6, box["y"] + box["height"] / 6)
    told = figure.locator(".tip").inner_text()
    assert told == f"fc1, step 61: {layers['gradient_norm'][0][1]:.4g}"


TICKS = """svg => [...svg.querySelectorAll(".tick.x")].filter(one => one.getAttribute("visibility") !== "hidden")
  .sort((one, two) => one.getBoundingClientRect().x - two.getBoundingClientRect().x).map(one => one.textContent)"""


def zoomed(page: Any, left: float, right: float) -> Any:
    """The main chart, zoomed with the mouse from ``left`` to ``right``."""
    chart = page.locator("figure.main svg.chart")
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    page.mouse.move(box["x"] + box["width"] * left, box["y"] + 80)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * right, box["y"] + 90, steps=3)
    page.mouse.up()
    return chart


def test_the_axis_of_a_part_has_its_ends_and_round_steps_between(opened: Any, demo: Report, dumped: Report) -> None:
    page = opened(demo)
    whole = page.locator("figure.main svg.chart").evaluate(TICKS)
    chart = zoomed(page, 0.5, 0.75)
    first, *between, last = chart.evaluate(TICKS)
    assert int(first.removeprefix("step ")) == pytest.approx(500, abs=4)
    assert int(last) == pytest.approx(750, abs=4)
    assert between == ["550", "600", "650", "700"]
    page.keyboard.press("Escape")
    assert chart.evaluate(TICKS) == whole
    # Few steps: no step is told twice, and none that is not whole.
    page = opened(dumped)
    chart = zoomed(page, 0.5, 0.515)
    told = chart.evaluate(TICKS)
    assert len(set(told)) == len(told) >= 2
    assert all("." not in one for one in told)


def test_the_bars_of_findings_go_along_with_the_curves(opened: Any, dumped: Report) -> None:
    page = opened(dumped)
    bars = page.locator("svg.lanes rect")
    before = [bars.nth(at).bounding_box() for at in range(bars.count())]
    since = next(one.where.first_step for one in dumped.runs[0].findings if one.rule == "AC101")
    chart = zoomed(page, 0.35, 0.65)
    first, wide = (float(chart.locator("svg.plot").get_attribute("viewBox").split()[at]) for at in (0, 2))
    name = page.locator("svg.lanes text", has_text="AC101")
    bar = bars.nth(page.locator("svg.lanes text").all_text_contents().index(name.text_content()))
    share = ((since - 1) / 299 * 10_000 - first) / wide
    box = chart.bounding_box()
    assert bar.bounding_box()["x"] == pytest.approx(box["x"] + share * box["width"], abs=3)
    assert name.bounding_box()["x"] == pytest.approx(bar.bounding_box()["x"] + 8, abs=3)
    # What is over before the view begins has no bar in it.
    assert page.locator("svg.lanes text", has_text="LC102").get_attribute("visibility") == "hidden"
    assert page.evaluate(LABELS) == []
    page.keyboard.press("Escape")
    assert [bars.nth(at).bounding_box() for at in range(bars.count())] == [
        pytest.approx(one, abs=0.5) for one in before
    ]


def test_escape_leaves_a_part_wherever_the_focus_is(opened: Any, demo: Report) -> None:
    page = opened(demo)
    plot = zoomed(page, 0.2, 0.5).locator("svg.plot")
    assert page.evaluate("document.activeElement.tagName") == "BODY"
    assert plot.get_attribute("viewBox") != "0 0 10000 1000"
    assert "Escape" in page.locator("figure.main button.whole").get_attribute("title")
    page.keyboard.press("Escape")
    assert plot.get_attribute("viewBox") == "0 0 10000 1000"
    assert not page.locator("button.whole >> visible=true").count()


def test_a_tap_tells_a_value_until_the_next_tap_elsewhere(opened: Any, demo: Report, dumped: Report) -> None:
    for report, figure in ((demo, "figure.main"), (dumped, "figure.heat >> nth=0"), (dumped, "figure.spread >> nth=0")):
        page = opened(report, viewport=PHONE, has_touch=True, is_mobile=True)
        picture = page.locator(figure).locator("svg.chart, svg.cells")
        picture.scroll_into_view_if_needed()
        box, tip = picture.bounding_box(), page.locator(figure).locator(".tip")
        page.touchscreen.tap(box["x"] + box["width"] * 0.4, box["y"] + 20)
        page.wait_for_timeout(100)
        assert tip.is_visible()
        assert picture.evaluate("one => getComputedStyle(one).outlineStyle") == "none"
        assert picture.evaluate("one => getComputedStyle(one.parentElement).outlineStyle") == "none"
        page.touchscreen.tap(8, box["y"] + 20)
        page.wait_for_timeout(100)
        assert not tip.is_visible()


def test_the_focus_ring_lies_around_a_picture_and_its_labels(opened: Any, dumped: Report) -> None:
    page = opened(dumped, viewport=PHONE)
    for picture in ("figure.main svg.chart", "figure.spread svg.chart", "figure.heat svg.cells"):
        page.keyboard.press("Tab")
        one = page.locator(picture).first
        one.focus()
        assert one.evaluate("one => getComputedStyle(one).outlineStyle") == "none"
        assert one.evaluate("one => getComputedStyle(one.parentElement).outlineStyle") == "solid"
        cut = """one => { const outer = one.parentElement.getBoundingClientRect();
          return [...one.parentElement.querySelectorAll("text")].map(text => [text, text.getBoundingClientRect()])
            .filter(([, box]) => box.width && (box.left < outer.left - 5 || box.right > outer.right + 5 ||
              box.bottom > outer.bottom + 5)).map(([text]) => text.textContent); }"""
        assert one.evaluate(cut) == []


def test_every_chart_tells_its_values(opened: Any, demo: Report, dumped: Report) -> None:
    for report in (demo, dumped):
        page = opened(report)
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        for chart in page.locator("svg.chart").all():
            assert chart.get_attribute("tabindex") == "0"
            chart.hover()
            tip = chart.locator("xpath=ancestor::figure").locator(".tip")
            assert re.match(r"step [\d,]+\n\S", tip.inner_text())


def test_charts_of_layers_and_of_spreads_are_read_with_the_keyboard(opened: Any, dumped: Report) -> None:
    page = opened(dumped)
    summary = dumped.runs[0].summary
    layers, spread = summary["layers"], summary["spreads"][0]
    finding = next(one for one in dumped.runs[0].findings if one.rule == "AC101")
    page.locator("article[id$=AC101] svg.chart").first.focus()
    page.keyboard.press("Home")
    tip = page.locator("article[id$=AC101] .tip").first
    values = layers["dead"][layers["names"].index(finding.where.layer)]
    for step, value in zip(layers["steps"], values, strict=True):
        name = f"{finding.where.layer}: share of dead units"
        assert tip.inner_text() == f"step {number(step)}\n{name} {number(value)}"
        page.keyboard.press("ArrowRight")
    page.locator("figure.spread svg.chart").first.focus()
    page.keyboard.press("End")
    last, step = spread["quantiles"][-1], spread["steps"][-1]
    said = f"median {number(last[len(last) // 2])} ({number(last[0])} to {number(last[-1])})"
    assert page.locator("figure.spread .tip").first.inner_text() == f"step {number(step)}\n{said}"


def test_cells_of_a_heat_map_are_read_with_the_keyboard(opened: Any, dumped: Report) -> None:
    page = opened(dumped)
    layers = dumped.runs[0].summary["layers"]
    figure = page.locator('figure.heat[data-measure="gradient_norm"]')
    figure.locator("svg.cells").focus()
    for key, row, at in (
        ("ArrowRight", 0, 0),
        ("ArrowRight", 0, 1),
        ("ArrowDown", 1, 1),
        ("ArrowLeft", 1, 0),
        ("ArrowLeft", 1, 0),
        ("End", 1, 5),
        ("ArrowUp", 0, 5),
    ):
        page.keyboard.press(key)
        value = number(float(f"{layers['gradient_norm'][row][at]:.4g}"))
        assert figure.locator(".tip").inner_text() == f"fc{row + 1}, step {number(layers['steps'][at])}: {value}"
        frame = figure.locator("rect.here")
        assert (frame.get_attribute("x"), frame.get_attribute("y")) == (str(at), str(row))


def test_cells_without_a_value_say_so(opened: Any, dumped: Report) -> None:
    page = opened(dumped)
    figure = page.locator('figure.heat[data-measure="update_ratio"]')
    figure.locator("svg.cells").focus()
    page.keyboard.press("Home")
    assert figure.locator(".tip").inner_text() == "fc1, step 1: no value"
    assert figure.locator(".legend .gap-key").inner_text() == "no value"
    # No entry of a legend is broken over two lines.
    page.set_viewport_size(PHONE)
    for entry in page.locator(".legend > *").all():
        assert entry.bounding_box()["height"] < 26


def test_on_a_phone_a_run_is_a_card_with_all_that_the_table_tells(opened: Any, many: Report) -> None:
    page = opened(many, viewport=PHONE)
    table = page.locator("table.runs")
    assert table.evaluate("one => [one, ...one.querySelectorAll('tr, th, td, tbody')].every(part => part.role)")
    heads = dict(enumerate(table.locator("thead th").all_inner_texts()))
    for row in table.locator("tbody tr").all():
        for place, cell in enumerate(row.locator("td").all(), 1):
            if cell.inner_text().strip():
                assert cell.is_visible()
                told = cell.evaluate("one => getComputedStyle(one, '::before').content")
                assert place not in (2, 4, 5) or told.split('"')[1] in heads[place]
        assert all(one.is_visible() for one in row.locator(".quiet").all())
    buttons = table.locator("thead button").all()
    assert len(buttons) == 5
    assert all(one.bounding_box()["height"] >= 24 for one in buttons)
    table.get_by_role("button", name="best loss").click()
    best = [float(text.split()[0].replace(",", "")) for text in table.locator("tbody td.n2").all_inner_texts() if text]
    assert best == sorted(best)


def test_runs_in_brief_have_curves_and_no_values_under_the_pointer(
    opened: Any, demo: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(html, "FULL", 0)
    monkeypatch.setattr(html, "BUDGET", 0)
    (run,) = demo.runs
    page = opened(Report((run, replace(run, name="other")), (), "1"))
    chart = page.locator("figure.main svg.chart").first
    box = chart.bounding_box()
    page.mouse.move(box["x"] + 200, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 300, box["y"] + 60)
    page.mouse.up()
    page.keyboard.press("Escape")
    assert page.locator("section.findings li").first.is_visible()


def test_without_script_the_page_is_whole(opened: Any, demo: Report, dumped: Report) -> None:
    for report in (demo, dumped):
        page = opened(report, java_script_enabled=False)
        assert page.locator("figure.main svg.chart").is_visible()
        assert page.locator("article.finding").count() == len({finding.rule for finding in report.runs[0].findings})
        assert page.locator("button").count() == 0


@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
def test_no_page_is_wider_than_its_window(
    opened: Any, demo: Report, dumped: Report, many: Report, viewport: Any
) -> None:
    long = replace(demo.runs[0], name="x" * 190, path="y/" * 90)
    for report in (demo, dumped, many, Report((long, replace(long, name="é" * 100)), (), "1")):
        page = opened(report, viewport=viewport)
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]


# Of each picture the labels that cover one another, and those that stick out of it.
LABELS = """() => [...document.querySelectorAll('figure svg')].flatMap(svg => {
  const figure = svg.closest('figure').getBoundingClientRect();
  const shown = [...svg.querySelectorAll(':scope > text:not([visibility=hidden])')]
    .map(one => [one.textContent, one.getBoundingClientRect()]).filter(([label, box]) => label.trim() && box.width);
  const out = shown.filter(([, box]) => box.left < figure.left - 1 || box.right > figure.right + 1);
  const over = shown.flatMap(([label, a], at) => shown.slice(at + 1).filter(([, b]) =>
    Math.min(a.right, b.right) - Math.max(a.left, b.left) > 2 &&
    Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 4).map(([other]) => [`${label} ~ ${other}`]));
  return [...out, ...over].map(([label]) => label);
})"""


@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
def test_no_label_covers_another_or_sticks_out(opened: Any, demo: Report, dumped: Report, viewport: Any) -> None:
    restarted = report_of("fixtures/mmengine")
    for report in (demo, dumped, restarted):
        page = opened(report, viewport=viewport)
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        assert page.locator("figure svg text").count() > 20
        assert page.evaluate(LABELS) == []


def test_axe_finds_no_fault(opened: Any, demo: Report, dumped: Report) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python").Axe()
    several = Report((*demo.runs, *dumped.runs), (), "1")
    shape = {"rules": {"color-contrast": {"enabled": False}}}
    for report, viewport, scheme, options in (
        (dumped, WIDE, "light", None),
        (several, PHONE, "light", shape),
        (demo, WIDE, "dark", {"runOnly": ["color-contrast"]}),
    ):
        page = opened(report, viewport=viewport, color_scheme=scheme)
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        found = axe.run(page, options=options).response
        assert [(one["id"], one["impact"], one["nodes"][0]["html"][:120]) for one in found["violations"]] == []
        assert found["passes"]


def test_foreign_text_acts_on_nothing(opened: Any) -> None:
    for start in range(0, len(EVIL) - 3, 3):
        page = opened(full(EVIL[start : start + 4]))
        page.wait_for_timeout(50)
        assert page.locator("img").count() == 0
        assert page.evaluate("document.querySelectorAll('script:not([type])').length") == 1
        assert page.evaluate("[...document.querySelectorAll('*')].every(one => !one.getAttributeNames().some("
                             "name => name.startsWith('on')))")  # fmt: skip


def test_it_prints_with_everything_open(opened: Any, demo: Report) -> None:
    page = opened(demo)
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("[...document.querySelectorAll('details')].every(one => one.open)")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert len(page.pdf()) > 20_000
