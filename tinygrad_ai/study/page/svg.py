"""The picture as SVG, still: for papers and slides."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from . import labels
from .colours import BAD, colour, ink
from .coordinates import Box, Edge, picture

if TYPE_CHECKING:
    from .graph import Graph

LIGHT = {"page": "#ffffff", "box": "#f1f3f5", "frame": "#00000008", "line": "#868e96",
         "text": "#1a1c1e", "border": "#adb5bd"}  # fmt: skip
DARK = {"page": "#14171a", "box": "#2a2e33", "frame": "#ffffff0a", "line": "#7d858d",
        "text": "#f1f3f5", "border": "#565d64"}  # fmt: skip
MARGIN, LETTERS = 24, 25
FONT = "font-family='system-ui, sans-serif'"


def drawn(graph: Graph, dark: bool) -> str:
    """The last step; the title of the picture names what it shows."""
    look = DARK if dark else LIGHT
    frame = graph.frames[-1]
    structure = graph.structures[frame.structure]
    boxes, edges = picture(structure.levels, structure.opened())
    right = max([b.x + b.w for b in boxes]) + MARGIN
    bottom = max([b.y + b.h for b in boxes]) + MARGIN
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='{-MARGIN} {-MARGIN} "
        f"{right + MARGIN:.0f} {bottom + MARGIN:.0f}' width='{right + MARGIN:.0f}' "
        f"height='{bottom + MARGIN:.0f}' role='img' {FONT} text-anchor='middle'>",
        f"<title>{escape(repr(graph).split(';')[0].lstrip('<'))}</title>",
        f"<rect x='{-MARGIN}' y='{-MARGIN}' width='100%' height='100%' fill='{look['page']}'/>",
    ]
    parts += [frame_of(graph, b, look) for b in boxes if b.open]
    for e in edges:
        bad = e.source in frame.spoilt or any([(u, k) in frame.bad for u in e.users
                                         for k, s in enumerate(structure.items[u].inputs)
                                         if s.source == e.source])  # fmt: skip
        parts.append(line(e, BAD if bad else look["line"]))
    scale = graph.scale()
    parts += [box_of(graph, b, look, scale) for b in boxes if not b.open]
    return "\n".join([*parts, "</svg>"]) + "\n"


def frame_of(graph: Graph, b: Box, look: dict[str, str]) -> str:
    """An open module: its frame, name and class."""
    name, kind = labels.module(graph.structures[graph.frames[-1].structure], int(b.name[1:]))
    return (
        f"<rect x='{b.x:.1f}' y='{b.y:.1f}' width='{b.w:.1f}' height='{b.h:.1f}' rx='12' "
        f"fill='{look['frame'][:7]}' fill-opacity='{int(look['frame'][7:], 16) / 255:.3f}' "
        f"stroke='{look['border']}' stroke-opacity='0.5'/>"
        f"<text x='{b.x + 12:.1f}' y='{b.y + 17:.1f}' font-size='12' text-anchor='start' "
        f"fill='{look['text']}'><tspan font-weight='600'>{escape(name)}</tspan> "
        f"<tspan fill-opacity='0.7'>{escape(kind)}</tspan></text>"
    )


def box_of(graph: Graph, b: Box, look: dict[str, str], scale: tuple[int, int]) -> str:
    """An item, or a closed module, in the colour of its gradient."""
    frame = graph.frames[-1]
    structure = graph.structures[frame.structure]
    if b.name[0] == "g":
        name, under = labels.module(structure, int(b.name[1:]))
        grad = labels.gradient(structure, frame, int(b.name[1:]))
        third, kind = labels.norms(None, grad), "module"
    else:
        item, grad = structure.items[int(b.name)], frame.grads[int(b.name)]
        name, under, kind = labels.title(structure, int(b.name)), labels.shape(item), item.kind
        third = labels.norms(frame.values[int(b.name)], grad)
    fill = colour(grad, scale) or look["box"]
    text = ink(fill) if grad is not None else look["text"]
    dash = " stroke-dasharray='5 4'" if kind == "data" else ""
    parts = [
        f"<rect x='{b.x:.1f}' y='{b.y:.1f}' width='{b.w:.0f}' height='{b.h:.0f}' "
        f"rx='{29 if kind == 'leaf' else 9}' fill='{fill}' stroke='{look['border']}'{dash}/>"
    ]
    for k, (words, style) in enumerate(
        ((name, "font-size='14' font-weight='600'"), (under, "font-size='11.5'"),
         (third, "font-size='11.5'"))
    ):  # fmt: skip
        short = words if len(words) <= LETTERS else words[: LETTERS - 1] + "…"
        x, y = b.x + b.w / 2, b.y + 20 + 15.5 * k
        parts.append(f"<text x='{x:.1f}' y='{y:.1f}' {style} fill='{text}'>{escape(short)}</text>")
    return "".join(parts)


def line(e: Edge, stroke: str) -> str:
    """An edge as curves that leave and arrive vertically, with a head where it ends."""
    (x, y), *rest = e.points
    path = f"M{x:.1f} {y:.1f}"
    for u, v in rest:
        middle = (y + v) / 2
        path += f"C{x:.1f} {middle:.1f} {u:.1f} {middle:.1f} {u:.1f} {v:.1f}"
        x, y = u, v
    found = f"<path d='{path}' fill='none' stroke='{stroke}' stroke-width='1.4'/>"
    if e.arrow:
        way = 7 if e.points[-2][1] <= y else -7
        head = f"M{x:.1f} {y:.1f}l-4 {-way}h8z"
        found += f"<path d='{head}' fill='{stroke}'/>"
    return found
