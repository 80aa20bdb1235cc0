"""The picture for other programs: Graphviz' DOT and Mermaid."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from . import labels
from .colours import colour, ink

if TYPE_CHECKING:
    from .graph import Graph


def dot(graph: Graph) -> str:
    """A digraph with a cluster for each module."""
    frame = graph.frames[-1]
    structure, scale = graph.structures[frame.structure], graph.scale()
    shapes = {"op": "box", "leaf": "ellipse", "data": "note"}

    def node(i: int, indent: str) -> str:
        item = structure.items[i]
        fill = colour(frame.grads[i], scale) or "#f1f3f5"
        label = r"\n".join([dot_text(part) for part in lines(graph, i)])
        return (
            f'{indent}n{i} [label="{label}", shape={shapes[item.kind]}, style=filled, '
            f'fillcolor="{fill}", fontcolor="{ink(fill)}"];'
        )

    def opening(k: int, indent: str) -> str:
        name = " ".join(labels.module(structure, k)).strip()
        return f'{indent}subgraph cluster_{k} {{\n{indent}  label="{dot_text(name)}";'

    body = nested(graph, 0, "  ", node, opening, "}")
    edges = [f"  n{a} -> n{b};" for a, b in pairs(graph)]
    return "\n".join(["digraph {", '  node [fontname="sans-serif"];', *body, *edges, "}"]) + "\n"


def mermaid(graph: Graph) -> str:
    """A flowchart with a subgraph for each module."""
    frame = graph.frames[-1]
    structure = graph.structures[frame.structure]
    ends = {"op": ("[", "]"), "leaf": ("([", "])"), "data": ("[/", "/]")}

    def node(i: int, indent: str) -> str:
        before, after = ends[structure.items[i].kind]
        label = "<br/>".join([mermaid_text(part) for part in lines(graph, i)])
        return f'{indent}n{i}{before}"{label}"{after}'

    def opening(k: int, indent: str) -> str:
        name = " ".join(labels.module(structure, k)).strip()
        return f'{indent}subgraph g{k}["{mermaid_text(name)}"]'

    body = nested(graph, 0, "  ", node, opening, "end")
    edges = [f"  n{a} --> n{b}" for a, b in pairs(graph)]
    scale = graph.scale()
    fills = [(i, colour(g, scale)) for i, g in enumerate(frame.grads)]
    styles = [f"  style n{i} fill:{c},color:{ink(c)}" for i, c in fills if c]
    return "\n".join(["flowchart TD", *body, *edges, *styles]) + "\n"


def lines(graph: Graph, i: int) -> list[str]:
    """What stands in a box, line by line."""
    frame = graph.frames[-1]
    structure = graph.structures[frame.structure]
    third = labels.norms(frame.values[i], frame.grads[i])
    title = labels.title(structure, i)
    return [part for part in (title, labels.shape(structure.items[i]), third) if part]


def nested(
    graph: Graph, number: int, indent: str, node: Callable[[int, str], str],
    opening: Callable[[int, str], str], closing: str,
) -> list[str]:  # fmt: skip
    """A level's items and, inside each other, the modules below it."""
    found = []
    for box in graph.structures[graph.frames[-1].structure].levels[number].boxes:
        if box[0] != "g":
            found.append(node(int(box), indent))
            continue
        found.append(opening(int(box[1:]), indent))
        found += nested(graph, int(box[1:]), indent + "  ", node, opening, closing)
        found.append(indent + closing)
    return found


def pairs(graph: Graph) -> list[tuple[int, int]]:
    """From each input to its user, once."""
    items = graph.structures[graph.frames[-1].structure].items
    found = [(i.source, k) for k, item in enumerate(items) for i in item.inputs]
    return list(dict.fromkeys([(a, b) for a, b in found if a is not None]))


def dot_text(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', r"\"")


def mermaid_text(text: str) -> str:
    """Text for a quoted label: Mermaid's own entities, which begin with a number sign."""
    replaced = text.replace("#", "#35;").replace('"', "#quot;")
    return replaced.replace("<", "#lt;").replace(">", "#gt;")
