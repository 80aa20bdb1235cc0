"""The page in a real browser: mouse, keyboard, slider, play, folding, colours, no network."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tinygrad_ai as ta
from tests.page_help import BROWSER, CHROMIUM, FLAGS, Browser, broken, encoder, mlp
from tinygrad_ai import nn, study
from tinygrad_ai.study.page.coordinates import picture
from tinygrad_ai.study.page.graph import Graph

pytestmark = BROWSER


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    folder = tmp_path_factory.mktemp("page")
    with sync_playwright() as p:
        context = p.chromium.launch_persistent_context(
            folder / "profile", executable_path=CHROMIUM, args=FLAGS,
            viewport={"width": 1280, "height": 800},
        )  # fmt: skip
        yield Browser(context, folder)
        context.close()


@pytest.fixture(scope="module")
def trained() -> Graph:
    return mlp()


def test_a_click_opens_the_panel(browser: Browser, trained: Graph) -> None:
    with browser.open(trained) as tab:
        assert "recorded" in tab.text("#panel")
        tab.click("3")
        panel = tab.text("#panel")
        assert panel.startswith("linear")
        for part in ("z = x⟨8×784⟩ @ w⟨32×784⟩ᵀ + b⟨32⟩", "gz = g⟨8×32⟩ relu'(z)",
                     "gw⟨32×784⟩ = gzᵀ @ x⟨8×784⟩", "(8, 32)", "'relu'", "rule 3 of 3",
                     "loss = nn.CrossEntropyLoss()(model(x), labels)", "page_help.py:",
                     "fc1.weight (leaf) (32, 784)", "mean ± std", "zeros"):  # fmt: skip
            assert part in panel
        bars = tab.page.locator("#panel .histogram >> nth=0").locator("rect")
        assert bars.count() == 24
        assert tab.text("#live").startswith("linear in fc1, op, shape (8, 32), gradient norm ")
        tab.page.click("#panel button[data-item='1']")
        assert tab.chosen == "1" and tab.text("#panel h2") == "fc1.weight"
        tab.page.mouse.click(20, 300)
        assert tab.chosen is None and tab.text("#panel h2") == "MLP"


def test_numbers_are_the_engines(browser: Browser, trained: Graph) -> None:
    frame = trained.frames[-1]
    with browser.open(trained) as tab:
        tab.click("1")
        for s in (frame.values[1], frame.grads[1]):
            assert s is not None
            assert f"{s.norm:.3g}" in tab.text("#panel")
        tab.click("7")
        assert f"{frame.loss:.3g}" in tab.text("#panel")


def test_modules_fold_and_unfold(browser: Browser, trained: Graph) -> None:
    with browser.open(trained) as tab:
        assert tab.js("[...page.boxes.keys()]") == [
            "0",
            "g1",
            "1",
            "2",
            "3",
            "g2",
            "4",
            "5",
            "6",
            "7",
        ]
        tab.click("g1")
        assert tab.js("[...page.boxes.keys()]") == ["0", "g1", "g2", "4", "5", "6", "7"]
        assert tab.text("#panel h2") == "fc1" and "25,120 in 2" in tab.text("#panel")
        tab.click("g1")
        assert tab.js("page.boxes.has('3')")
        tab.page.click("#fold")
        assert tab.js("[...page.boxes.keys()]") == ["0", "g1", "g2", "7"]
        tab.page.click("#unfold")
        assert tab.js("page.boxes.size") == 10


def test_the_keyboard_is_enough(browser: Browser, trained: Graph) -> None:
    with browser.open(trained) as tab:
        keys = tab.page.keyboard
        tab.page.focus("#graph")
        keys.press("ArrowDown")
        assert tab.chosen == "0"
        keys.press("ArrowDown")
        assert tab.chosen == "3"  # along the edge, not to the weight that is nearer
        keys.press("ArrowUp")
        assert tab.chosen in ("0", "1", "2")
        tab.js("page.choose('1')")
        keys.press("ArrowRight")
        assert tab.chosen == "2"
        keys.press("ArrowLeft")
        assert tab.chosen == "1"
        keys.press("f")
        assert tab.chosen == "g1" and not tab.js("page.boxes.has('1')")
        keys.press("Enter")
        assert tab.js("page.boxes.has('1')")
        keys.press("f")
        tab.js("page.choose('7')")
        keys.press("Enter")
        assert tab.js("document.activeElement.id") == "panel"
        keys.press("Escape")
        assert tab.chosen is None and tab.js("document.activeElement.id") == "graph"
        before = tab.js("page.canvas.camera.k")
        keys.press("+")
        assert tab.js("page.canvas.camera.k") == pytest.approx(1.25 * before)
        keys.press("-")
        assert tab.js("page.canvas.camera.k") == pytest.approx(before)
        keys.press("+")
        keys.press("0")
        assert tab.js("page.canvas.camera.k") != pytest.approx(1.25 * before)


def test_search(browser: Browser) -> None:
    with browser.open(encoder()) as tab:
        assert not tab.js("page.boxes.has('24')")
        tab.page.keyboard.press("/")
        assert tab.js("document.activeElement.id") == "search"
        tab.page.keyboard.type("layers.1 add")
        assert tab.text("#found") == "2 matches"
        tab.page.keyboard.press("Enter")
        first = tab.chosen
        assert tab.text("#found") == "1 of 2" and tab.text("#panel h2") == "add"
        x, y = tab.where(first)
        assert 0 < x < 920 and 40 < y < 800  # what was folded is open, and in view
        tab.page.keyboard.press("Enter")
        assert tab.text("#found") == "2 of 2" and tab.chosen != first
        tab.page.fill("#search", "nowhere")
        assert tab.text("#found") == "0 matches"


def test_the_slider(browser: Browser, trained: Graph) -> None:
    with browser.open(trained) as tab:
        tab.click("1")
        assert tab.page.get_attribute("#step", "max") == "4"
        assert tab.text("#step-text").startswith("8, loss ")
        seen = {tab.text("#panel")}
        tab.page.focus("#step")
        for at in (3, 2, 1, 0):
            tab.page.keyboard.press("ArrowLeft")
            frame = trained.frames[at]
            assert tab.text("#step-text") == f"{frame.step}, loss {float(f'{frame.loss:.3g}')}"
            assert tab.text("#step-text") in str(tab.page.get_attribute("#step", "aria-valuetext"))
            assert tab.chosen == "1"
            seen.add(tab.text("#panel"))
        assert len(seen) == 5
        assert len(tab.js("document.querySelector('#spark polyline').points")) == 5


def test_steps_of_another_structure(browser: Browser) -> None:
    w = ta.ones(3, requires_grad=True)
    with study.graph_recorder() as rec:
        for step in range(2):
            rec.step(((w * 2).exp() if step else w * 2).sum())
    with browser.open(rec.graph()) as tab:
        assert tab.js("page.boxes.size") == 4
        tab.js("page.show(0)")
        assert tab.js("page.boxes.size") == 3


WATCHED = """page.ticks = [];
const tick = page.tick;
page.tick = () => {
  tick.call(page);
  page.ticks.push([page.ringed, document.getElementById("status").textContent,
    page.lookOf(page.boxes.get("1")).fill, document.getElementById("play").textContent,
    document.querySelector("#panel h2").textContent]);
};
null"""


def test_play_walks_back_in_the_order_of_the_pass(browser: Browser, trained: Graph) -> None:
    walk = [str(i) for i in trained.structures[0].walk]
    with browser.open(trained) as tab:
        full = tab.js("page.lookOf(page.boxes.get('1')).fill")
        tab.js(WATCHED)
        tab.page.click("#play")
        tab.until("page.ticks.length && page.pulled === null")
        rings, texts, fills, buttons, panels = zip(*tab.js("page.ticks"), strict=True)
        assert rings == (*walk, None)
        assert texts[0].startswith("1 / 3  cross_entropy") and texts[1].startswith("2 / 3  linear")
        assert "gw⟨10×32⟩ = g⟨8×10⟩ᵀ @ x⟨8×32⟩" in texts[1] and texts[3] == ""
        assert "gz = g⟨8×32⟩ relu'(z)" in texts[2] and "y⟨8×32⟩ =" not in texts[2]
        assert panels == ("cross_entropy", "linear", "linear", "MLP")  # of the op at work
        assert fills == (None, None, full, full)  # a gradient has its colour once it is there
        assert buttons == ("❚❚ Pause",) * 3 + ("▶ Play backward",)
        tab.page.keyboard.press("p")
        tab.page.keyboard.press("p")
        assert tab.js("page.pulled") >= 1 and tab.js("page.timer") is None
        tab.page.keyboard.press("Escape")
        assert tab.js("page.pulled") is None


def test_the_path_of_a_nan_is_red(browser: Browser) -> None:
    with browser.open(broken()) as tab:
        assert "first seen in the backward pass of sqrt, then in 1 other" in tab.text("#alert")
        red, _, blue = tab.colour("0")
        assert red > 200 and blue < 100
        red, _, blue = tab.colour("1")
        assert red < blue
        strokes = tab.js(
            "page.scene.edges.map(e => [e.source, e.users[0],"
            "page.edgeOf(e).stroke === page.canvas.colours.bad])"
        )
        assert [(a, b) for a, b, bad in strokes if bad] == [(0, 1)]
        tab.page.click("#alert button")
        assert tab.chosen == "1" and "Its rule gives such a gradient to x." in tab.text("#panel")


def test_a_loss_that_is_not_finite(browser: Browser) -> None:
    x = ta.tensor([0.0, 1.0], requires_grad=True)
    with study.graph_recorder() as rec:
        for made in (lambda: x, lambda: x.log() * 0, lambda: x.log() * -1):
            rec.step(made().sum())
    with browser.open(rec.graph()) as tab:
        for at, text in ((0, "0, loss 1"), (1, "1, loss NaN"), (2, "2, loss ∞")):
            tab.js("at => page.show(at)", at)
            assert tab.text("#step-text") == text
            assert tab.page.is_visible("#alert") == (at > 0)
        assert "first seen in the forward pass of log, then" in tab.text("#alert")
        assert len(tab.js("document.querySelector('#spark polyline').points")) == 1
    with browser.open(study.graph((x * 1e38 * 1e38).sum())) as tab:  # nobody kept the products
        assert "pass of sum, then in 2 others (values before it are not known" in tab.text("#alert")


@pytest.mark.parametrize("size", [(1280, 800), (390, 844)])
def test_the_first_view_can_be_read(browser: Browser, size: tuple[int, int]) -> None:
    with browser.open(wide(300)) as tab:
        tab.page.set_viewport_size({"width": size[0], "height": size[1]})
        tab.page.reload()
        tab.until("window.page && page.canvas.drawn > 0")
        assert tab.js("page.canvas.camera.k") >= 0.42
        x, y = tab.where("0")
        assert 0 < x < size[0] and 0 < y < size[1]
        graph, legend = (tab.js(BOUNDS, name) for name in ("graph", "legend"))
        assert graph["bottom"] <= legend["top"] and graph["width"] <= size[0]
        tab.page.click("#fit")
        assert tab.js("page.canvas.camera.k") < 0.42


BOUNDS = """name => {
  const { bottom, top, width } = document.getElementById(name).getBoundingClientRect();
  return { bottom, top, width };
}"""


def test_light_and_dark(browser: Browser, trained: Graph) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    with browser.open(trained, color_scheme="dark") as tab:
        assert tab.js(background) == "rgb(20, 23, 26)"
        tab.page.emulate_media(color_scheme="light")
        tab.until(f"{background} === 'rgb(255, 255, 255)'")
        light = tab.js("page.canvas.colours.stage")
        tab.page.click("#theme")
        assert tab.js(background) == "rgb(20, 23, 26)"
        assert tab.js("page.canvas.colours.stage") != light
        assert tab.page.get_attribute("#theme", "aria-pressed") == "true"
        tab.page.keyboard.press("d")
        assert tab.js(background) == "rgb(255, 255, 255)"


def test_the_table_says_the_same(browser: Browser, trained: Graph) -> None:
    with browser.open(trained) as tab:
        tab.page.keyboard.press("t")
        assert not tab.page.is_visible("#graph")
        rows = tab.js("[...document.querySelectorAll('#table tbody tr')].map(r => r.innerText)")
        assert len(rows) == 8 and rows[1].startswith("fc1.weight\tleaf\tfc1\t(32, 784)\t")
        grad = trained.frames[-1].grads[1]
        assert grad is not None and f"{grad.norm:.3g}" in rows[1]
        tab.page.click("#table button[data-item='3']")
        assert tab.text("#panel h2") == "linear"
        tab.page.keyboard.press("t")
        assert tab.page.is_visible("#graph") and tab.js("document.activeElement.id") == "graph"


def test_screen_readers_have_roles_and_names(browser: Browser, trained: Graph) -> None:
    with browser.open(trained) as tab:
        graph = tab.page.get_by_role("application", name="Graph of MLP, 8 items")
        assert graph.get_attribute("aria-describedby") == "keys"
        for role, name in (("button", "Fold all"), ("button", ".*Play"), ("slider", "Step"),
                           ("searchbox", "Search for an op"), ("complementary", "Details"),
                           ("img", "Colours: the gradient's norm, from 1e")):  # fmt: skip
            assert tab.page.get_by_role(role, name=re.compile(f"^{name}")).count() == 1, name
        unnamed = "[...document.querySelectorAll('button')].filter(b => !b.textContent.trim())"
        assert tab.js(f"{unnamed}.length") == 0
        tab.page.keyboard.press("t")
        assert tab.page.locator("#table").get_by_role("rowheader").count() == 8


def recurrent(steps: int = 4) -> Graph:
    """Weights that every step uses, and a hidden state that ports bring in."""
    cell, h = nn.GRUCell(3, 4), ta.zeros(2, 4)
    for _ in range(steps):
        h = cell(ta.ones(2, 3), h)
    return study.graph(h.sum(), cell)


def test_it_draws_where_python_says(browser: Browser) -> None:
    for found in (encoder(), encoder(calls=True), mlp(1), broken(), recurrent()):
        structure = found.structures[0]
        with browser.open(found) as tab:
            for open in (set(), {1}, structure.opened(), set(range(1, len(structure.levels)))):
                boxes, edges = picture(structure.levels, open)
                theirs = tab.js("open => page.placed(new Set(open))", sorted(open))
                mine = [(b.name, b.x, b.y, b.w, b.h, b.open) for b in boxes]
                keys = ("name", "x", "y", "w", "h", "open")
                assert [tuple(b[k] for k in keys) for b in theirs["boxes"]] == mine
                points = [[list(p) for p in e.points] for e in edges]
                assert [e["points"] for e in theirs["edges"]] == points
                assert [e["users"] for e in theirs["edges"]] == [e.users for e in edges]


def wide(items: int) -> Graph:
    """About `items` items: layers with a skip around each."""
    ta.manual_seed(0)
    layers = nn.ModuleList([nn.Linear(4, 4) for _ in range(items // 6)])
    x = ta.randn(2, 4)
    for layer in layers:
        x = (x + layer(x).tanh()) * 0.5
    return study.graph(x.sum(), layers)


@pytest.mark.parametrize("made", [lambda: wide(1000), lambda: recurrent(60)], ids=["wide", "long"])
def test_a_thousand_items_stay_fluent(made: Any, browser: Browser) -> None:
    found = made()
    items = len(found.structures[0].items)
    assert items >= 900
    with browser.open(found) as tab:
        (first,) = tab.js(
            "performance.getEntriesByName('layout and first paint').map(e => e.duration)"
        )
        assert first < 2000  # milliseconds: about 60 on an idle machine
        took = tab.js("(() => { const t = performance.now(); page.toggleAll(true);"
                      "page.canvas.paint(); return performance.now() - t; })()")  # fmt: skip
        assert tab.js("page.canvas.drawn") >= items - 50 and took < 2000
        tab.js("page.go(500)")
        tab.js("page.canvas.paint()")
        assert tab.js("page.canvas.drawn") < 60  # only what is in view
        frames = tab.js(PANNING)
        assert sorted(frames)[len(frames) // 2] < 50  # milliseconds a frame, the median


PANNING = """async () => {
  page.canvas.fit();
  const times = [];
  for (let k = 0; k < 40; k++) {
    const begin = performance.now();
    page.canvas.pan(3, k % 2 ? 5 : -4);
    page.canvas.paint();
    times.push(performance.now() - begin);
    await new Promise(requestAnimationFrame);
  }
  return times;
}"""


def test_dragging_and_the_wheel(browser: Browser, trained: Graph) -> None:
    with browser.open(trained) as tab:
        x, y = tab.where("3")
        tab.page.mouse.move(x, y)
        tab.page.mouse.down()
        tab.page.mouse.move(x + 50, y + 30, steps=5)
        tab.page.mouse.up()
        assert tab.where("3") == pytest.approx((x + 50, y + 30)) and tab.chosen is None
        before = tab.js("page.canvas.camera.k")
        tab.page.mouse.wheel(0, -200)
        tab.until(f"page.canvas.camera.k > {before}")
        assert tab.where("3") == pytest.approx((x + 50, y + 30), abs=0.5)  # about the pointer


def test_in_a_notebook(browser: Browser, trained: Graph) -> None:
    path = browser.folder / "notebook.html"
    path.write_text(f"<!DOCTYPE html><title>cell</title>{trained._repr_html_()}")
    page = browser.context.new_page()
    asked: list[str] = []
    page.on("request", lambda r: asked.append(r.url))
    page.goto(path.as_uri())
    frame: Any = page.frame_locator("iframe")
    assert frame.locator("#title").inner_text() == "MLP"
    frame.locator("#fold").click()
    assert page.get_attribute("iframe", "title") == "graph of MLP"
    assert [url for url in asked if url not in (path.as_uri(), "about:srcdoc")] == []
    page.close()


def test_what_users_write_is_only_text(browser: Browser, tmp_path: Path) -> None:
    model = nn.Module()
    evil = "<img src=x onerror=alert(1)></script>"
    model._parameters[evil] = nn.Parameter(ta.ones(2))
    found = study.graph(model._parameters[evil].sum(), model)
    with browser.open(found) as tab:
        tab.click("0")
        assert tab.text("#panel h2") == evil
        tab.page.keyboard.press("t")
        assert tab.page.locator("img:not([role])").count() == 0
