"""graph(loss): what is behind a loss, with values and gradients, to look at or to save."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ... import backend
from ...autograd.outputs import PICK, Part
from ...errors import ArgumentError, GradError
from ...serialization import write_text
from ...tensor import Node, Tensor
from ..explain import formulas
from ..watched import Recording, names, taken_apart
from . import html, svg, text
from .collect import Item, Tape
from .layers import Level, levels
from .stats import Stats, stats

FAR = 3  # powers of ten
FIRST_VIEW = 24  # modules are open at first as long as not more boxes than this are visible


@dataclass
class Structure:
    """What a tape looks like: its items in forward order, where they stand, and `walk`, the items
    whose rules the backward pass calls, in its order."""

    items: list[Item]
    levels: list[Level]
    walk: list[int]
    classes: dict[str, str]  # of modules, by dotted name

    @cached_property
    def inside(self) -> dict[int, str]:
        """The name of the innermost module that is drawn around each item."""
        return {i: level.name for level in self.levels for i in level.members}

    def signature(self) -> list[Any]:
        return [item.signature() for item in self.items]

    def opened(self) -> set[int]:
        """The modules that are open at first: outer ones before inner, a whole depth at a time."""
        found: set[int] = set()
        shown, last = len(self.levels[0].boxes), [0]
        while inner := [int(b[1:]) for k in last for b in self.levels[k].boxes if b[0] == "g"]:
            shown += sum([len(self.levels[k].boxes) - 1 for k in inner])
            if shown > FIRST_VIEW:
                break
            found |= set(inner)
            last = inner
        return found


@dataclass
class Frame:
    """One step of training: statistics by item, and where NaN and infinities come from.

    `spoilt` holds the items with such a value, `bad` (item, input) where the item's rule gave such
    a gradient to that input. `origin` is the first item it is seen in, and "forward" or "backward".
    """

    step: int
    structure: int
    loss: float | None
    values: list[Stats | None]
    grads: list[Stats | None]
    spoilt: list[int]
    bad: list[tuple[int, int]]
    origin: tuple[int, str] | None


@dataclass
class Graph:
    """One or several recorded steps; `save` writes them, a notebook shows them."""

    title: str
    structures: list[Structure]
    frames: list[Frame]
    history: list[dict[str, Any]] = field(default_factory=list)

    def save(self, path: str | Path) -> Path:
        """Writes .html (a page to explore), .svg, .dot or .gv (Graphviz), .mmd (Mermaid), or
        .json; the pictures show the last step. ArgumentError for another suffix."""
        path = Path(path)
        made: dict[str, Callable[[], str]] = {
            ".html": self.html, ".svg": self.svg, ".dot": self.dot, ".gv": self.dot,
            ".mmd": self.mermaid, ".json": self.json,
        }  # fmt: skip
        if path.suffix not in made:
            raise ArgumentError(f"cannot save a graph as {path.name!r}", f"use {', '.join(made)}")
        write_text(path, made[path.suffix]())
        return path

    def html(self) -> str:
        """One page that needs nothing else: no network, no other file."""
        return html.page(self)

    def svg(self, dark: bool = False) -> str:
        """The last step as a picture, with the modules open that fit."""
        return svg.drawn(self, dark)

    def dot(self) -> str:
        """The last step in Graphviz' language."""
        return text.dot(self)

    def mermaid(self) -> str:
        """The last step in Mermaid's language, as GitHub and documentation pages draw it."""
        return text.mermaid(self)

    def json(self) -> str:
        return html.dumped(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain lists, dictionaries, numbers and strings, for JSON: what is not finite
        is None in statistics, and "NaN", "∞" or "-∞" as a loss."""
        return {
            "title": self.title,
            "structures": [
                {"items": [asdict(i) for i in s.items], "walk": s.walk, "classes": s.classes}
                for s in self.structures
            ],
            "frames": [
                {**vars(f), "loss": html.plain(f.loss),
                 **{k: [s and s.to_dict() for s in getattr(f, k)] for k in ("values", "grads")}}
                for f in self.frames
            ],
            "history": [{k: html.plain(v) for k, v in line.items()} for line in self.history],
        }  # fmt: skip

    def scale(self) -> tuple[int, int]:
        """The powers of ten of the colours: all norms of gradients, over all steps, lie between
        them, but for a smallest twentieth that is far below: it is what rounding left of zeros."""
        logs = self.logarithms()
        most = logs[len(logs) // 20]
        low, high = math.floor(logs[0] if most - logs[0] < FAR else most), math.ceil(logs[-1])
        return low, max(high, low + 1)

    def logarithms(self) -> list[float]:
        """Of the norms of all gradients, in order."""
        norms = [g.norm for f in self.frames for g in f.grads if g and 0 < g.norm < math.inf]
        return sorted([math.log10(n) for n in norms]) or [0.0]

    def _repr_html_(self) -> str:
        return html.framed(self)

    def __repr__(self) -> str:
        items = self.structures[-1].items
        ops, leaves = ([i.kind for i in items].count(k) for k in ("op", "leaf"))
        counts = f"{ops} op{'s' * (ops != 1)}, {leaves} {'leaf' if leaves == 1 else 'leaves'}"
        steps = f", {len(self.frames)} steps" if len(self.frames) > 1 else ""
        return f"<Graph of {self.title}: {counts}{steps}; .save('graph.html')>"


def graph(
    loss: Tensor, model: Any = None, *, calls: Recording | None = None, gradient: Any = None
) -> Graph:
    """The tape behind a loss with values and gradients, before loss.backward() has freed it.

    `model` gives names to parameters and folds its modules. `calls`, from `with record() as
    calls:` around the forward pass, adds what the tape does not keep: all values, and modules
    without parameters. `gradient` as in backward. Changes nothing: no .grad, not the tape.
    GradError without history; GraphFreedError after backward() without retain_graph.
    """
    check(loss, model)
    if not isinstance(calls, (Recording, type(None))):
        text = f"expected the calls of record(), got {type(calls).__name__}"
        raise ArgumentError(text, "with study.record() as calls:")
    known = names(loss, model, depth=2)
    structure, frame = looked_at(loss, model, known, calls, gradient)
    return Graph(title_of(model), [structure], [frame])


def title_of(model: Any) -> str:
    return "loss" if model is None else type(model).__name__


def check(loss: Any, model: Any) -> None:
    """Clear errors for what cannot be drawn."""
    if not isinstance(loss, Tensor):
        raise ArgumentError(f"expected a tensor to start from, got {type(loss).__name__}")
    if model is not None and not hasattr(model, "named_modules"):
        raise ArgumentError(f"expected an nn.Module as the model, got {type(model).__name__}")
    if loss.is_leaf:
        why = "is a leaf" if loss.node is not None else "has no history"
        raise GradError(f"nothing to draw: this tensor {why}", "give the result of a computation")


def looked_at(
    loss: Tensor, model: Any, known: dict[Node, str], calls: Recording | None,
    gradient: Any = None, step: int = 0,
) -> tuple[Structure, Frame]:  # fmt: skip
    """A tape with its statistics."""
    passed = taken_apart(loss, gradient)
    tape = Tape(loss, model, known, calls)
    grads: dict[int, Any] = {tape.index[n]: g for n, g in passed.leaves.items() if n in tape.index}
    walk, bad = [], []
    for pull in passed.pulls:
        if pull.node.op is PICK:
            continue
        i = tape.index[pull.node]
        walk.append(i)
        grads[i] = pull.g
        tape.items[i].formula = "; ".join(formulas(pull, tape.calls)) or tape.items[i].formula
        bad += [(i, k) for k, gx in enumerate(pull.grads) if spoiled(gx)]
    several = {i: g if type(g) is tuple else (g,) for i, g in grads.items()}
    count = range(len(tape.items))
    values = [stats(tape.values[i]) for i in count]
    found = [stats(several.get(i, ())) for i in count]
    named = tape.model.named_modules() if tape.model is not None else ()
    structure = Structure(
        tape.items, levels(tape.items), walk, {name: type(m).__name__ for name, m in named}
    )
    value = float(backend.to_numpy(loss.array).ravel()[0]) if loss.array.size == 1 else None
    wrong = spoilt(tape.items, values)
    frame = Frame(step, 0, value, values, found, wrong, bad, origin(walk, wrong, found, bad))
    return structure, frame


def spoiled(array: Any) -> bool:
    """Whether a rule's result holds a NaN or an infinity."""
    if type(array) is Part:
        array = array.g
    if type(array) not in backend.TABLE or array.dtype.kind != "f":
        return False
    return not bool(backend.of(array).isfinite(array).all())


def spoilt(items: list[Item], values: list[Stats | None]) -> list[int]:
    """The items whose value holds a NaN or an infinity. Minus infinity counts where an op made it
    of finite numbers (the logarithm of 0); else it is a mask, or what came of one."""

    def finite(item: Item) -> bool:
        """Whether no minus infinity went in, as far as that is known."""
        known = [values[i.source] for i in item.inputs if i.source is not None]
        texts = [*[i.text for i in item.inputs], *item.attrs.values()]
        return all([s and not s.minus_inf for s in known]) and "-inf" not in texts

    return [i for i, s in enumerate(values) if s and (
        s.bad_value or (s.minus_inf and items[i].kind == "op" and finite(items[i])))]  # fmt: skip


def origin(
    walk: list[int], spoilt: list[int], grads: list[Stats | None], bad: list[tuple[int, int]]
) -> tuple[int, str] | None:
    """Where the first NaN or infinity is seen: forward, else backward."""
    if spoilt:
        return spoilt[0], "forward"
    makers = {i for i, _ in bad}
    for i in walk:
        g = grads[i]
        if (g is not None and g.bad_grad) or i in makers:
            return i, "backward"
    return None
