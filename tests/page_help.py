"""What the tests of the page share: models with something to see, and the browser."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import tinygrad_ai as ta
from tests.required import required
from tinygrad_ai import nn, study
from tinygrad_ai.models import MLP
from tinygrad_ai.study.page.graph import Graph

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
REQUIRED = required("chromium")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


def missing() -> str:
    """Why there is no browser to test in; empty if there is one."""
    if not Path(CHROMIUM).exists():
        return "chromium is not installed"
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError as error:
        return f"playwright cannot be imported: {error}"
    return ""


BROWSER = [
    pytest.mark.chromium,
    pytest.mark.skipif(bool(missing()) and not REQUIRED, reason=missing() or "there"),
]


def mlp(steps: int = 5, hidden: int = 32) -> Graph:
    """Some steps of a small MLP, as a page shows them."""
    ta.manual_seed(0)
    model = MLP(hidden=hidden)
    x, labels = ta.rand(8, 28, 28), ta.randint(0, 10, (8,))
    adam = ta.optim.Adam(model.parameters())
    with study.graph_recorder(model, every=2) as rec:
        for _ in range(2 * steps):
            loss = nn.CrossEntropyLoss()(model(x), labels)
            rec.step(loss)
            adam.zero_grad()
            loss.backward()
            adam.step()
    return rec.graph()


def encoder(layers: int = 3, calls: bool = False) -> Graph:
    """A transformer's encoder: modules in modules in modules."""
    ta.manual_seed(0)
    layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
    model = nn.TransformerEncoder(layer, layers)
    with study.record() as r:
        loss = (model(ta.randn(2, 5, 16)) ** 3).mean()
    return study.graph(loss, model, calls=r if calls else None)


def broken() -> Graph:
    """A gradient that is NaN: sqrt's rule at 0, times 0."""
    w = ta.tensor([[0.0, 4.0], [1.0, 2.0]], requires_grad=True)
    loss = (w.sqrt() * ta.tensor([[0.0, 1.0], [1.0, 1.0]])).sum() + w.mean()
    return study.graph(loss)


PIXEL = """name => {
  const { canvas } = page, box = page.boxes.get(name), copy = new OffscreenCanvas(1, 1);
  canvas.paint();
  const scale = canvas.camera.k * devicePixelRatio;
  const x = (box.x + 12 - canvas.camera.x) * scale;
  const y = (box.y + box.h / 2 - canvas.camera.y) * scale;
  const context = copy.getContext("2d", { willReadFrequently: true });
  context.drawImage(canvas.element, x, y, 1, 1, 0, 0, 1, 1);
  return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
}"""


class Tab:
    """An open page; every request but the file itself is refused and remembered."""

    def __init__(self, page: Any, path: Path) -> None:
        self.page, self.said, self.asked = page, list[str](), list[str]()
        page.on("console", lambda m: self.said.append(m.text))
        page.on("pageerror", lambda e: self.said.append(str(e)))

        def route(r: Any) -> None:
            if r.request.url == path.as_uri():
                r.continue_()
            else:
                self.asked.append(r.request.url)
                r.abort()

        page.route("**/*", route)
        page.goto(path.as_uri())
        self.until("window.page && page.canvas.drawn > 0")

    def js(self, program: str, argument: Any = None) -> Any:
        return self.page.evaluate(program, argument)

    def until(self, condition: str, seconds: float = 20) -> None:
        """Waits for it. (Playwright's own function evaluates text, which the page forbids.)"""
        end = time.monotonic() + seconds
        while not self.js(f"Boolean({condition})"):
            assert time.monotonic() < end, f"never came: {condition}"
            self.page.wait_for_timeout(20)

    def where(self, box: str) -> tuple[float, float]:
        """The middle of a box, in pixels; of an open module its title's."""
        at = self.js(
            "n => { const b = page.boxes.get(n);"
            "return page.canvas.where(b.open ? {...b, h: page.data.sizes.TITLE} : b); }",
            box,
        )
        return at["x"], at["y"]

    def click(self, box: str) -> None:
        self.page.mouse.click(*self.where(box))

    def colour(self, box: str) -> tuple[int, ...]:
        """What is painted in a box's left part, between its border and its text."""
        return tuple(self.js(PIXEL, box))

    def text(self, selector: str) -> str:
        return str(self.page.inner_text(selector))

    @property
    def chosen(self) -> Any:
        return self.js("page.chosen")


class Browser:
    """One Chromium for several tests."""

    def __init__(self, context: Any, folder: Path) -> None:
        self.context, self.folder = context, folder

    @contextmanager
    def open(self, graph: Graph, **media: Any) -> Iterator[Tab]:
        path = graph.save(self.folder / "graph.html")
        page = self.context.new_page()
        page.emulate_media(color_scheme="light", reduced_motion="no-preference")
        page.emulate_media(**media)
        tab = Tab(page, path)
        yield tab
        page.close()
        assert (tab.said, tab.asked) == ([], [])
