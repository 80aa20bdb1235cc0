"""The backward pass of a loss as a trace that can be read: each op's formula with the real shapes,
what came in, what went out, and which leaf got what from where."""

from __future__ import annotations

import linecache
import sys
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..autograd.broadcast import fit
from ..autograd.mode import recording
from ..autograd.op import Op
from ..autograd.outputs import PICK
from ..errors import ArgumentError
from ..tensor import Node, Tensor
from . import explain_text, meaning
from .formula import Term
from .formula_text import latex, notation, tex_name
from .tape import Tape, checked
from .watched import Call, Pull, Recording, taken_apart


@dataclass
class Size:
    """How large an array is: shape, norm, smallest and largest number, how many are not finite."""

    shape: tuple[int, ...]
    norm: float
    min: float
    max: float
    odd: int


@dataclass
class Given:
    """What a rule gave to one input: a leaf's name, or the op and number of the step it goes to."""

    name: str
    to: str
    step: int | None  # None: a leaf
    size: Size


@dataclass
class Step:
    """One rule at work."""

    number: int
    op: str
    formulas: list[str]  # in the docstrings' notation, with the real shapes
    tex: list[str]
    came: list[Size]  # one gradient for each result of the op
    gave: list[Given]
    place: str  # file:line
    line: str  # what stands there
    path: str  # where in the model


@dataclass
class Leaf:
    """What arrived at a leaf, and from which steps: (number, norm of its part)."""

    name: str
    size: Size
    parts: list[tuple[int, float]]


@dataclass
class Explanation:
    """A backward pass. Print it (or rich.print it, in colour), or take it as Markdown or HTML."""

    loss: float
    steps: list[Step]
    leaves: list[Leaf]

    def __rich__(self) -> Any:
        return explain_text.tables(self)

    def __str__(self) -> str:
        return explain_text.plain(self)

    def _repr_html_(self) -> str:
        return explain_text.body(self)

    def markdown(self) -> str:
        """A section for each step, with its formulas in LaTeX, and a table of the leaves."""
        return explain_text.markdown(self)

    def html(self) -> str:
        """One page that needs no other file."""
        return explain_text.page(self)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def explain(loss: Tensor, model: Any = None, *, record: Recording | None = None) -> Explanation:
    """The backward pass of a loss, step by step; print the result.

    Call it before loss.backward(), or after one with retain_graph=True. Names are those of the
    model's parameters, else of your variables. Inside `with study.record():`, or given what that
    wrote down, steps say where in the model they are. Nothing is changed: gradients stay as they
    are. Errors as of loss.backward(): GradError, GraphFreedError.
    """
    loss = checked(loss)
    if model is not None and not hasattr(model, "named_parameters"):
        raise ArgumentError(f"expected a model, got {type(model).__name__}", "an nn.Module")
    found = taken_apart(loss)
    tape = Tape(loss, model, record, dict(sys._getframe(1).f_locals))
    pulls = [p for p in found.pulls if p.node.op is not PICK]
    numbers = {p.node: i for i, p in enumerate(pulls, 1)}
    with np.errstate(all="ignore"), recording(False):
        steps = [step_of(p, numbers, tape) for p in pulls]
        leaves = [leaf_of(node, g, tape, steps) for node, g in found.leaves.items()]
    leaves.sort(key=lambda leaf: leaf.parts[0][0] if leaf.parts else 0)
    return Explanation(float(loss.array.reshape(-1)[0]), steps, leaves)


def size_of(array: Any) -> Size:
    a = meaning.host(array).astype(np.float64)
    if not a.size:
        return Size(tuple(a.shape), 0.0, 0.0, 0.0, 0)
    odd = int(a.size - np.isfinite(a).sum())
    norm = float(np.sqrt(np.sum(a * a)))
    return Size(tuple(a.shape), norm, float(a.min()), float(a.max()), odd)


def leaf_of(node: Node, g: Any, tape: Tape, steps: list[Step]) -> Leaf:
    name = tape.names[node]
    parts = [(s.number, w.size.norm) for s in steps for w in s.gave if not w.step and w.to == name]
    return Leaf(name, size_of(g), parts)


def step_of(pull: Pull, numbers: dict[Node, int], tape: Tape) -> Step:
    node, op = pull.node, pull.node.op
    inputs = list(getattr(op, "inputs", ()))
    if inputs == ["xs"] or len(inputs) < len(node.parents):
        inputs = [f"x{i}" for i in range(len(node.parents))]
    gave = []
    for name, parent, gx in zip(inputs, node.parents, pull.grads):
        if parent is not None and gx is not None:
            fitted = gx if gx.shape == parent.shape else fit(gx, parent, node)
            gave.append(Given(f"g{name}", *destination(parent, numbers, tape), size_of(fitted)))
    came = [size_of(g) for g in (pull.g if type(pull.g) is tuple else (pull.g,)) if g is not None]
    terms, shapes = shown(pull, tape.calls)
    place = node.where()
    return Step(
        numbers[node], node.name(), [sentence(k, t, shapes) for k, t in terms.items()],
        [tex(k, t, shapes) for k, t in terms.items()], came, gave, place, code_at(place),
        tape.path(node),
    )  # fmt: skip


def destination(parent: Node, numbers: dict[Node, int], tape: Tape) -> tuple[str, int | None]:
    if parent.op is None:
        return tape.names[parent], None
    node = parent.parents[0] if parent.op is PICK else parent
    return node.name(), numbers.get(node)  # type: ignore[union-attr, arg-type]


def code_at(place: str) -> str:
    file, _, line = place.rpartition(":")
    return linecache.getline(file, int(line)).strip() if line.isdigit() else ""


def formulas(pull: Pull, calls: dict[Node, Call]) -> list[str]:
    """The formulas of a rule at work with its shapes; none if its docstring has none."""
    terms, shapes = shown(pull, calls)
    return [sentence(k, t, shapes) for k, t in terms.items()]


def shown(
    pull: Pull, calls: dict[Node, Call]
) -> tuple[dict[str, Term], dict[str, tuple[int, ...]]]:
    """The formulas of a step: the op's, and of the gradients that were asked for, with what they
    need; and the shapes that are known of their names."""
    node, op = pull.node, pull.node.op
    if not isinstance(op, Op):
        return {}, {}
    given = given_to(node, calls)
    incoming, several = meaning.incoming(op), type(pull.g) is tuple
    at = [f"{n}[{k}]" for n in ("y", incoming) for k in range(len(node.shape) if several else 0)]
    absent = [f"{incoming}[{k}]" for k in range(4)
              if several and (k >= len(pull.g) or pull.g[k] is None)]  # fmt: skip
    try:
        known = meaning.of_call(op, given, absent, at)
    except ArgumentError:  # prose
        return {}, {}
    several_inputs = op.inputs == ("xs",)
    asked = [f"g{n}" for n, p, g in zip(op.inputs, node.parents, pull.grads)
             if p is not None and g is not None]  # fmt: skip
    order = meaning.ordered(known, ["gxs"] if several_inputs else asked)
    first = {k: t for k, t in known.items() if meaning.is_output(k) and k not in absent}
    shapes = {f"{n}": p.shape for n, p in zip(op.inputs, node.parents) if p is not None}
    shapes |= {n: np.shape(v) for n, v in given.items() if n in op.inputs and hasattr(v, "shape")}
    shapes |= {f"g{n}": s for n, s in shapes.items() if f"g{n}" in asked}
    results = node.shape if several else (node.shape,)
    names = [f"[{k}]" for k in range(len(results))] if several else [""]
    for end, shape in zip(names, results):
        shapes |= {f"y{end}": shape, f"{incoming}{end}": shape}
    return {**meaning.ordered(known, first), **order}, shapes


def given_to(node: Node, calls: dict[Node, Call]) -> dict[str, Any]:
    """What is known of an op's inputs and settings: a recorded call's, or what its rule kept."""
    op, call = node.op, calls.get(node)
    found: dict[str, Any] = {**op.defaults, **node.attrs}
    args = list(call.args) if call and len(call.args) == len(node.parents) else None
    for i, name in enumerate(op.inputs):
        parent = node.parents[i] if i < len(node.parents) else None
        if parent is not None:
            found[name] = parent  # only its shape is asked for
        elif args is not None and i < len(args):
            found[name] = args[i]
        elif name in op.keep and node.saved:
            found[name] = node.saved[op.keep.index(name)]
        else:
            found[name] = None if name in meaning.NEUTRAL else ...
    return found


def sentence(name: str, term: Term, shapes: dict[str, Any]) -> str:
    def written(text: str) -> str:
        shape = shapes.get(text)
        return f"{text}⟨{'×'.join(map(str, shape))}⟩" if shape else text

    return f"{written(name)} = {notation(term, written)}"


def tex(name: str, term: Term, shapes: dict[str, Any]) -> str:
    def written(text: str) -> str:
        base, _, k = text.partition("[")
        plain = tex_name(base) + (f"_{{{k[:-1]}}}" if k else "")
        shape = shapes.get(text)
        below = r" \times ".join(map(str, shape or ()))
        return rf"\underset{{{below}}}{{{plain}}}" if shape else plain

    return f"{written(name)} = {latex(term, name=written)}"
