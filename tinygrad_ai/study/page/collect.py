"""The tape behind a loss as a list of items: ops, leaves, and the data that came from outside."""

from __future__ import annotations

import linecache
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from os.path import commonprefix
from pathlib import Path
from typing import Any, NamedTuple

from ... import backend
from ...autograd.anomaly import described
from ...autograd.anomaly import names as input_names
from ...autograd.function import Applied, Function
from ...autograd.graph import history
from ...autograd.op import REGISTRY, Op
from ...autograd.outputs import PICK
from ...backend import storage
from ...tensor import Node, Tensor
from ..watched import Call, Recording, dotted, producer


class Input(NamedTuple):
    """One argument of an op: its name, the item it comes from if there is one, and what it is."""

    name: str
    source: int | None
    text: str


@dataclass
class Item:
    """One box of the picture. Items stand in the order of the forward pass."""

    kind: str  # op, leaf, data
    name: str
    module: str = ""
    shape: Any = ()
    dtype: str = ""
    formula: str = ""
    attrs: dict[str, str] = field(default_factory=dict)
    place: str = ""  # file:line of the user's
    code: str = ""  # the text of that line
    inputs: list[Input] = field(default_factory=list)

    def signature(self) -> tuple[Any, ...]:
        """What has to be the same for two steps to be shown as one picture."""
        return self.kind, self.name, self.module, self.shape, tuple(i.source for i in self.inputs)


class Tape:
    """The items behind a loss, and the arrays known for each.

    Names of leaves are the caller's to give. Values and modules are known for certain of calls
    that were recorded; else values are what the tape saved, and a module is read from the
    parameters that an op uses, or from what is before and behind it.
    """

    def __init__(
        self, loss: Tensor, model: Any, names: dict[Node, str], calls: Recording | None
    ) -> None:
        self.loss = producer(loss)
        self.model, self.names = model, names
        self.nodes = [n for n in reversed(history(loss)) if n.op not in (None, PICK)]
        self.calls = calls.made() if calls else {}
        self.unrecorded = {
            id(t.array): c for c in (calls.calls if calls else []) for t in c.outputs if not t.node
        }
        if model is None and self.calls:  # the outermost module at work, if it is one
            roots = {c.modules[-1] for c in self.calls.values() if c.modules}
            self.model = roots.pop() if len(roots) == 1 else None
        self.items: list[Item] = []
        self.index: dict[Any, int] = {}  # by node, or the id of an array from outside
        self.values: dict[int, list[Any]] = {}
        self.modules = self.found_modules()
        self.known = self.known_values(loss)
        for node in self.nodes:
            self.add_op(node)

    # ---- values

    def known_values(self, loss: Tensor) -> dict[Node, list[Any]]:
        """Arrays by node: those of calls, of parameters, and what the tape saved."""
        found: dict[Node, list[Any]] = {}
        for node in self.nodes:
            for source, value in saved(node):
                found.setdefault(source, [value])
        if self.model is not None:
            found.update({p.node: [p.array] for p in self.model.parameters() if p.node})
        for node, call in self.calls.items():
            found[node] = [t.array for t in call.outputs]
        if loss.node is self.loss:
            found[self.loss] = [loss.array]
        return found

    # ---- items

    def add(self, key: Any, item: Item, values: list[Any]) -> int:
        self.index[key] = len(self.items)
        self.items.append(item)
        self.values[self.index[key]] = values
        return self.index[key]

    def add_op(self, node: Node) -> None:
        call, op = self.calls.get(node), node.op
        inputs = list(self.inputs(node, call))
        values = self.known.get(node, [])
        attrs = {k: described(v) for k, v in node.attrs.items()}
        item = Item("op", op.name, self.modules[node], node.shape, formula=formula(op))
        item.attrs, item.inputs = attrs, inputs
        item.dtype = str(values[0].dtype) if values else ""
        item.place, item.code = source_line(node.place)
        self.add(node, item, values)

    def inputs(self, node: Node, call: Call | None) -> Iterator[Input]:
        constants = dict(unknown_inputs(node))
        if call is not None:
            constants.update({i: a for i, a in enumerate(call.args)})
        for i, (name, parent) in enumerate(
            zip(input_names(node.op, len(node.parents)), node.parents, strict=True)
        ):
            if parent is not None:
                yield Input(name, self.tracked(parent), str(parent.shape))
            elif i in constants and constants[i] is not None:
                array = getattr(constants[i], "array", constants[i])
                large = type(array) in backend.TABLE and array.size > 1
                source = self.outside(array, name) if large else None
                yield Input(name, source, described(array))

    def tracked(self, parent: Node) -> int:
        """The item of an input that has a history."""
        node = parent.parents[0] if parent.op is PICK else parent
        if node not in self.index:
            assert node is not None and node.op is None
            name = self.names.get(node, "leaf")
            item = Item(
                "leaf", name, self.owners.get(node, ""), node.shape, str(node.attrs["dtype"])
            )
            self.add(node, item, self.known.get(node, []))
        return self.index[node]

    def outside(self, array: Any, name: str) -> int:
        """The item of an array without history: data, or made where nothing was recorded."""
        if id(array) not in self.index:
            call = self.unrecorded.get(id(array))
            item = Item("data", name, "", array.shape, str(array.dtype))
            if call is not None:
                item.name, item.formula = call.op.name, formula(call.op)
                item.module = dotted(self.model, call.modules)
                item.place, item.code = source_line(call.place)
            self.add(id(array), item, [array])
        return self.index[id(array)]

    # ---- modules

    def found_modules(self) -> dict[Node, str]:
        """The module of each op: where it was called, if that was recorded; else that of the
        parameters it uses; else the innermost one that holds something before and behind it."""
        sure = {n: dotted(self.model, c.modules) for n, c in self.calls.items()}
        self.owners = self.owned()
        for node in self.nodes:
            owners = [self.owners[p] for p in node.parents if p in self.owners]
            if node not in sure and owners:
                sure[node] = shared(owners)
        above, below = self.around(sure)
        guessed = {}
        for node in self.nodes:
            both = above[node] & below[node]
            guessed[node] = max(both, key=lambda path: (path.count("."), path), default="")
        return {**guessed, **sure}

    def owned(self) -> dict[Node, str]:
        """The module of each parameter, and of what is made of its parameters alone."""
        owners: dict[Node, str] = {}
        if self.model is not None:
            named = self.model.named_parameters()
            owners = {p.node: n.rpartition(".")[0] for n, p in named if p.node}
        for node in self.nodes:
            found = [owners.get(p) for p in parents(node)]
            if found and None not in [*found, *node.parents]:
                owners[node] = shared([f for f in found if f is not None])
        return owners

    def around(self, sure: dict[Node, str]) -> tuple[dict[Node, set[str]], dict[Node, set[str]]]:
        """The modules, and those around them, of the nearest ops before and behind each op."""
        above: dict[Node, set[str]] = defaultdict(set)
        below: dict[Node, set[str]] = defaultdict(set)
        for node in self.nodes:
            for p in parents(node):
                above[node] |= outward(sure[p]) if p in sure else above[p]
        for node in reversed(self.nodes):
            for p in parents(node):
                below[p] |= outward(sure[node]) if node in sure else below[node]
        return above, below


def outward(path: str) -> set[str]:
    """A module's name and those of all around it."""
    parts = path.split(".")
    return {".".join(parts[:k]) for k in range(1, len(parts) + 1)} - {""}


def parents(node: Node) -> list[Node]:
    """The nodes of an op's inputs, past those that pick one of several outputs."""
    return [p.parents[0] if p.op is PICK else p for p in node.parents if p]  # type: ignore[misc]


def shared(paths: list[str]) -> str:
    """The innermost module that holds all of these."""
    return ".".join(commonprefix([p.split(".") for p in paths])) if paths else ""


def saved(node: Node) -> Iterator[tuple[Node, Any]]:
    """The arrays that a node saved, each with the node whose value it is."""
    op = node.op
    for name, value in zip(getattr(op, "keep", ()), node.saved or (), strict=False):
        if name == "y" and type(value) in backend.TABLE:
            yield node, value
        elif name == "xs":
            yield from [(p, a) for p, a in zip(node.parents, value) if p and backend.is_array(a)]
        elif name in op.inputs and type(value) in backend.TABLE:
            at = op.inputs.index(name)
            if at < len(node.parents) and node.parents[at] is not None:
                yield node.parents[at], value  # type: ignore[misc]


def unknown_inputs(node: Node) -> Iterator[tuple[int, Any]]:
    """The inputs without history that a node saved, by position."""
    op = node.op
    for name, value in zip(getattr(op, "keep", ()), node.saved or (), strict=False):
        if name == "xs":
            yield from enumerate(value)
        elif name != "y" and name in op.inputs:
            yield op.inputs.index(name), value


def formula(op: Any) -> str:
    """The first paragraph of an op's docstring: its formula and its rule."""
    if isinstance(op, Applied):
        own = op.function.__doc__
        text = None if own == Function.__doc__ else own
    else:
        known = op if isinstance(op, Op) else REGISTRY.get(op.name)
        text = known.__doc__ if known else None
    return " ".join((text or "").strip().split("\n\n")[0].split())


def source_line(place: storage.Place | None) -> tuple[str, str]:
    """The user's line, as file:line below the working directory, and its text."""
    where = storage.line_of(place)
    file, _, line = where.rpartition(":")
    if not line.isdigit():
        return "", ""
    text = linecache.getline(file, int(line)).strip()
    here = str(Path.cwd()) + "/"
    return f"{file.removeprefix(here)}:{line}", text
