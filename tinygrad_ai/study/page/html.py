"""One HTML file with everything in it: the picture's data, the style, the program."""

from __future__ import annotations

import html
import json
import math
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import coordinates
from .colours import RAMP
from .labels import digits
from .stats import Stats

if TYPE_CHECKING:
    from .graph import Frame, Graph, Structure

HERE = Path(__file__).parent
SCRIPTS = ("place.js", "canvas.js", "panel.js", "page.js", "events.js")
FRAME_HEIGHT = 640  # pixels, in a notebook


@cache
def source(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def page(graph: Graph) -> str:
    """The whole document."""
    scripts = "\n".join([source(name) for name in SCRIPTS])
    parts = {
        "TITLE": html.escape(graph.title), "STYLE": source("page.css"),
        "DATA": dumped(data(graph)), "SCRIPT": f'"use strict";\n{{\n{scripts}\n}}',
    }  # fmt: skip
    document = source("page.html")
    for name, value in parts.items():
        before, after = document.split(f"<!--{name}-->")
        document = before + value + after
    return document


def framed(graph: Graph) -> str:
    """The document inside a frame, for a notebook's cell."""
    inside = html.escape(page(graph), quote=True)
    title = html.escape(f"graph of {graph.title}", quote=True)
    style = f"width:100%;height:{FRAME_HEIGHT}px;border:0"
    return f'<iframe title="{title}" style="{style}" srcdoc="{inside}"></iframe>'


def dumped(value: Any) -> str:
    """JSON that may stand in a script element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")


def data(graph: Graph) -> dict[str, Any]:
    """What page.js reads. Statistics are rows in the order of Stats' fields."""
    sizes = ("WIDTH", "HEIGHT", "BESIDE", "UNDER", "NARROW", "PORT", "PAD", "TITLE", "SWEEPS",
             "LOOSE")  # fmt: skip
    return {
        "title": graph.title,
        "structures": [_structure(s) for s in graph.structures],
        "frames": [_frame(f) for f in graph.frames],
        "history": [{k: plain(v) for k, v in line.items()} for line in graph.history],
        "scale": graph.scale(),
        "below": graph.logarithms()[0] < graph.scale()[0],
        "ramp": RAMP,
        "sizes": {name: getattr(coordinates, name) for name in sizes},
    }


def _structure(s: Structure) -> dict[str, Any]:
    return {
        "items": [vars(i) for i in s.items],
        "levels": [vars(level) for level in s.levels],
        "walk": s.walk,
        "classes": s.classes,
        "opened": sorted(s.opened()),
    }


def _frame(f: Frame) -> dict[str, Any]:
    return {
        **vars(f),
        "loss": plain(f.loss),
        "values": [row(s) for s in f.values],
        "grads": [row(s) for s in f.grads],
        "bad_grads": [i for i, s in enumerate(f.grads) if s and s.bad_grad],
    }


def plain(value: Any) -> Any:
    """JSON has neither NaN nor infinities: they become words."""
    odd = isinstance(value, float) and not math.isfinite(value)
    return digits(value) if odd else value


def row(s: Stats | None) -> list[Any] | None:
    return None if s is None else list(s.to_dict().values())
