"""The op record: two plain functions that stand together, and the door every op passes.

    @op
    def tanh(be, x):
        '''y = tanh x;   gx = g (1 - y²)'''
        return be.tanh(x)

    @tanh.vjp
    def _(g, y):
        return g * (1 - y * y)

The signatures are the declaration. Positional parameters of the forward function may be
differentiated, keyword-only ones are configuration. The parameter names of the rule say what the
tape keeps: `y` the output, an input's name that input, `x_shape` and `x_dtype` only that. A last
`needs` is true for each input whose gradient is wanted, keyword-only names are configuration.
Knows no single op.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from .. import backend
from ..backend import storage
from ..backend.storage import latest, user_place
from ..tensor import Node, Tensor, wrap
from .mode import state
from .outputs import outputs
from .saved import check_unchanged, freed, picker, said_clearly, taking
from .unwrap import unwrap

REGISTRY: dict[str, Op] = {}


class Op:
    """An operation: its forward on arrays, and the rule from the output's gradient to the inputs'.

    `dtypes` is the policy for mixed inputs: "promote" follows PyTorch's promotion, "float" also
    turns integers into the default float, "same" refuses a mixture, None leaves them alone.
    The result of a `view` op may share its input's memory.
    """

    plain = True  # the walk may call the rule itself
    rule: Callable[..., Any]
    prepared: Callable[..., tuple[Op, Any]]  # wide.py, for mixed inputs: it needs ops itself

    def __init__(self, forward: Callable[..., Any], dtypes: str | None, view: bool) -> None:
        self.name = self.__name__ = forward.__name__.strip("_")
        self.forward, self.dtypes, self.view = forward, dtypes, view
        self.__doc__ = forward.__doc__
        parameters = list(inspect.signature(forward).parameters.values())[1:]
        self.inputs = tuple(p.name for p in parameters if p.kind is not p.KEYWORD_ONLY)
        if "y" in self.inputs:
            raise TypeError(f"op {self.name}: y is the name of the output, not of an input")
        attrs = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
        self.attrs, self.keep = tuple(attrs), tuple[str, ...]()
        self.defaults = {k: v for k, v in attrs.items() if v is not inspect.Parameter.empty}
        self.differentiable = self.asks_needs = False
        self.pick: Callable[[Any], Any] | None = None
        REGISTRY[self.name] = self

    def __repr__(self) -> str:
        return f"<op {self.name}>"

    def vjp(self, rule: Callable[..., Any]) -> Callable[..., Any]:
        """Registers the rule, and reads from its signature what the tape has to keep."""
        parameters = list(inspect.signature(rule).parameters.values())[1:]
        names = tuple(p.name for p in parameters if p.kind is not p.KEYWORD_ONLY)
        self.asks_needs = names[-1:] == ("needs",)
        self.keep = names[:-1] if self.asks_needs else names
        attrs = tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)
        known = {"y", *self.inputs}
        known |= {name + end for name in self.inputs for end in ("_shape", "_dtype")}
        for name in (*(set(self.keep) - known), *(set(attrs) - set(self.attrs))):
            raise TypeError(f"the rule of op {self.name} asks for {name!r}, which it does not have")
        self.sources = [self.source(name) for name in self.keep]
        self.pick = picker([*self.inputs, "y", "needs"], names)
        self.keeps_arrays = any(name == "y" or name in self.inputs for name in self.keep)
        self.rule = rule if set(attrs) == set(self.attrs) else taking(rule, attrs)
        self.differentiable = True
        return rule

    def __call__(self, *args: Any, **attrs: Any) -> Any:
        """The one door. Given Tensors it records; given arrays only, it is just the kernel."""
        if "input" in attrs or "other" in attrs:  # PyTorch's names of the first two inputs
            args = (*args, *(attrs.pop(k) for k in ("input", "other") if k in attrs))
        if state.mode != 2:
            return self.run(args, attrs)
        run = self.run
        for observer in state.observers:
            run = partial(observer.forward, self, run)
        return run(args, attrs)

    def run(self, args: tuple[Any, ...], attrs: dict[str, Any]) -> Any:
        for a in args:
            if isinstance(a, Tensor):
                break
        else:
            be = backend.TABLE.get(type(args[0])) or backend.common(args)
            return self.forward(be, *args, **attrs)
        op, (arrays, parents, be, mixed) = self, unwrap(args)
        if mixed:
            op, (arrays, parents, be) = self.prepared(self, args, (arrays, parents, be))
        try:
            y = op.forward(be, *arrays, **attrs)
        except (ValueError, TypeError, OverflowError) as error:
            raise said_clearly(error, self.name, [*arrays, *attrs.values()]) from None
        if type(y) is tuple:
            y = tuple([be.as_array(a) for a in y])
        elif type(y) not in backend.TABLE:
            y = be.as_array(y)  # NumPy's reductions give scalars
        if self.differentiable and any(parents) and state._grad:
            return op.record(parents, arrays, y, attrs)
        return tuple([wrap(a) for a in y]) if type(y) is tuple else wrap(y)

    def record(self, parents: Any, arrays: list[Any], y: Any, attrs: dict[str, Any]) -> Any:
        """Puts this call on the tape; returns its result as Tensors that know their node."""
        node = Node()
        node.op, node.parents, node.id, node.place = self, parents, storage.tick(), user_place()
        if self.attrs:
            node.attrs = attrs if len(attrs) == len(self.attrs) else {**self.defaults, **attrs}
        if self.pick and len(arrays) == len(self.inputs):
            node.saved = self.pick((*arrays, y, parents))
        elif self.keep or self.asks_needs:
            saved = [self.value(source, arrays, y) for source in self.sources]
            node.saved = (*saved, parents) if self.asks_needs else tuple(saved)
        if type(y) is tuple:
            return outputs(node, y)
        node.shape = y.shape
        return wrap(y, node)

    def source(self, name: str) -> tuple[int, str]:
        """What a name of the rule's signature means: which input (-1 is the output), what of it."""
        part = ""
        if name != "y" and name not in self.inputs:
            name, _, part = name.rpartition("_")
        return self.inputs.index(name) if name in self.inputs else -1, part

    def value(self, source: tuple[int, str], arrays: list[Any], y: Any) -> Any:
        """What the tape keeps."""
        i, part = source
        if i < 0:
            return y
        if self.inputs[i] == "xs":
            return tuple([getattr(a, part) if part else a for a in arrays[i:]])
        array = arrays[i] if i < len(arrays) else None
        return getattr(array, part, ()) if part else array

    def pull(self, node: Node, g: Any, graph: bool, needs: Any = None) -> Any:
        """The rule at work. Fed arrays it is the backward pass; fed Tensors it is recorded."""
        saved = node.saved
        if graph or latest[0] < node.id or saved is None:
            saved = self.examined(node, graph)
        if needs and self.asks_needs:
            saved = (*saved[:-1], needs)
        return self.rule(g, *saved, **node.attrs)

    def examined(self, node: Node, graph: bool) -> tuple[Any, ...]:
        """What a node saved, checked; as Tensors with their history if a graph is wanted."""
        if node.saved is None:
            raise freed(node)
        self.check_fresh(node)
        if not graph:
            return node.saved
        kept = [self.rewrap(k, v, node) for k, v in zip(self.keep, node.saved)]
        return (*kept, node.parents) if self.asks_needs else tuple(kept)

    def rewrap(self, name: str, value: Any, node: Node) -> Any:
        """A saved value as a Tensor with its history, so that the rule can be differentiated."""
        if name == "y":
            return outputs(node, value) if type(value) is tuple else wrap(value, node)
        if name == "xs":
            return tuple([wrap(a, p) for a, p in zip(value, node.parents, strict=True)])
        if name in self.inputs and backend.is_array(value):
            return wrap(value, node.parents[self.inputs.index(name)])
        return value

    def check_fresh(self, node: Node) -> None:
        """Raises InplaceError if something the node saved was written since."""
        for name, value in zip(self.keep, node.saved or ()):
            role = "output" if name == "y" else f"input {name}"
            for array in value if type(value) is tuple else (value,):
                if type(array) in backend.TABLE:
                    check_unchanged(array, role, node)


def op(forward: Any = None, *, dtypes: str | None = None, view: bool = False) -> Any:
    """Makes an Op of a forward function, plainly (@op) or with options (@op(dtypes="float"))."""
    if forward is None:
        return partial(op, dtypes=dtypes, view=view)
    return Op(forward, dtypes, view)
