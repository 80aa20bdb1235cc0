"""Functions with a rule of your own, as PyTorch users write them: forward and backward in a class.

    class Cube(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x * x

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return 3 * g * x * x

    y = Cube.apply(x)

A Function at work stands on the tape where an op stands. Knows the tape and no single op.
"""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable
from functools import wraps
from typing import Any

from .. import backend
from ..backend import storage
from ..errors import GradError
from ..tensor import Node, Tensor, wrap
from .mode import no_grad, state
from .outputs import pick
from .promote import cast
from .saved import check_unchanged, freed


class FunctionCtx:
    """`ctx`: what forward leaves for backward. Other attributes may be set freely.

    `needs_input_grad` holds a bool for each input of forward.
    """

    needs_input_grad: tuple[bool, ...] = ()
    _to_save: tuple[Tensor | None, ...] = ()
    _constants: tuple[Tensor, ...] = ()
    _materialize = True
    _node: Callable[[], Node | None] | None = None  # weak: the node holds the ctx

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keeps tensors for backward; a change of one in place in between is an InplaceError.

        Save inputs and outputs of forward. What forward computed on the way has no history, so
        a second derivative would take it for a constant: return it as an output instead.
        """
        for t in tensors:
            if t is not None and not isinstance(t, Tensor):
                raise TypeError(f"save_for_backward takes tensors and None, got {type(t).__name__}")
        self._to_save = tensors

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        """What save_for_backward kept. GraphFreedError once a backward pass has freed it."""
        node = self._node() if self._node else None
        if node is None:
            return self._to_save
        if node.saved is None:
            raise freed(node)
        return tuple([_restored(node, place, kept) for place, kept in enumerate(node.saved)])

    def mark_non_differentiable(self, *outputs: Tensor) -> None:
        """These outputs never require a gradient."""
        self._constants = outputs

    def set_materialize_grads(self, value: bool) -> None:
        """With False, backward gets None instead of zeros for an output nobody used."""
        self._materialize = value

    def mark_dirty(self, *inputs: Tensor) -> None:
        raise GradError(
            "a Function cannot change its inputs in place", "return a new tensor from forward"
        )


class Function:
    """Base of functions with a rule of their own; call them with `apply`.

    `forward(ctx, *inputs)` computes with recording off and returns a Tensor or a tuple.
    `backward(ctx, *grads)` gets a gradient for each output and returns one for each input, None for
    inputs that are no tensors. With `setup_context(ctx, inputs, output)`, forward gets no ctx.
    Made of differentiable operations, backward can itself be differentiated.
    """

    def __init_subclass__(cls) -> None:
        for name in ("forward", "setup_context", "backward"):
            if name in cls.__dict__ and not isinstance(cls.__dict__[name], staticmethod):
                raise TypeError(f"{cls.__name__}.{name} must be a @staticmethod")

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError("a Function needs a static method forward(ctx, ...)")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        raise NotImplementedError("a Function's forward takes ctx unless it has setup_context")

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        raise NotImplementedError("a Function needs a static method backward(ctx, ...)")

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """forward's result, with this Function as its history."""
        ctx = FunctionCtx()
        separate = cls.setup_context is not Function.setup_context
        if separate:
            bound = inspect.signature(cls.forward).bind(*args, **kwargs)
            bound.apply_defaults()
            args, kwargs = bound.args, {}
        ctx.needs_input_grad = tuple([isinstance(a, Tensor) and a.requires_grad for a in args])
        with no_grad():
            result = cls.forward(*args) if separate else cls.forward(ctx, *args, **kwargs)
            if separate:
                cls.setup_context(ctx, args, result)
        results = result if type(result) is tuple else (result,)
        record = state.grad and any(ctx.needs_input_grad)
        made = (
            _record(cls, ctx, args, results, result is results) if record else map(_bare, results)
        )
        return tuple(made) if result is results else next(iter(made))


def _bare(value: Any) -> Any:
    """An output of forward without history."""
    return wrap(value.array) if isinstance(value, Tensor) else value


def _record(function: Any, ctx: FunctionCtx, args: Any, results: Any, several: bool) -> list[Any]:
    """Puts an application on the tape; returns its outputs as Tensors that know their node."""
    node = Node()
    node.op, node.place = Applied(function, ctx, args, results, several), storage.user_place()
    node.parents = tuple([a.node if isinstance(a, Tensor) else None for a in args])
    shapes = tuple([getattr(r, "shape", ()) for r in results])
    node.id, node.shape = storage.tick(), shapes if several else shapes[0]
    made = []
    for index, r in enumerate(results):
        differentiable = isinstance(r, Tensor) and r.dtype.kind in "fV"
        constant = any([r is c for c in ctx._constants])
        keep = differentiable and not constant
        made.append(node.op.output(node, index, r.array) if keep else _bare(r))
    node.saved = tuple([_kept(t, results, made) for t in ctx._to_save])
    ctx._node, ctx._to_save, ctx._constants = weakref.ref(node), (), ()
    return made


def _kept(t: Tensor | None, results: Any, made: list[Any]) -> Any:
    """An array and its node; for an output its number, as its node would make a cycle."""
    if t is None:
        return None
    for index, r in enumerate(results):
        if r is t:
            return t.array, index if made[index].requires_grad else None
    return t.array, t.node


def _restored(node: Node, place: int, kept: Any) -> Tensor | None:
    """A saved tensor with its history, checked to be what it was."""
    if kept is None:
        return None
    array, source = kept
    check_unchanged(array, f"saved tensor {place}", node)
    return node.op.output(node, source, array) if isinstance(source, int) else wrap(array, source)


class Applied:
    """A Function at work: it stands on its node where an Op stands."""

    plain = False  # the walk calls pull

    def __init__(self, function: Any, ctx: Any, args: Any, results: Any, several: bool) -> None:
        self.function, self.ctx, self.several = function, ctx, several
        self.name, self.keeps_arrays = function.__name__, bool(ctx._to_save)
        self.dtypes = [a.dtype if isinstance(a, Tensor) else None for a in args]
        self.zeros = [_zeros(r) if isinstance(r, Tensor) else None for r in results]

    def output(self, node: Node, index: int, array: Any) -> Tensor:
        return pick(node, index, array) if self.several else wrap(array, node)

    def pull(self, node: Node, g: Any, graph: bool, needs: Any = None) -> tuple[Any, ...]:
        """The user's backward. It sees Tensors; the walk gets what it works with."""
        if node.saved is None:
            raise freed(node)
        self.ctx.needs_input_grad = needs or tuple([p is not None for p in node.parents])
        grads = [self.given(i, one) for i, one in enumerate(g if self.several else (g,))]
        found = self.function.backward(self.ctx, *grads)
        found = tuple(found) if isinstance(found, (tuple, list)) else (found,)
        inputs = len(self.dtypes)
        if len(found) < inputs or any([extra is not None for extra in found[inputs:]]):
            raise GradError(
                f"{self.name}.backward gave {len(found)} gradients for {inputs} inputs",
                "return one for each argument of forward, None for those that are no tensors",
            )
        return tuple([self.taken(i, found[i], graph) for i in range(inputs)])

    def given(self, index: int, g: Any) -> Tensor | None:
        """The gradient of one output as backward gets it."""
        if g is None:
            zeros = self.zeros[index]
            return zeros() if zeros and self.ctx._materialize else None
        return g if isinstance(g, Tensor) else wrap(backend.common((g,)).as_array(g))

    def taken(self, index: int, g: Any, graph: bool) -> Any:
        """One of backward's gradients as the walk takes it."""
        dtype = self.dtypes[index]
        if g is None or dtype is None:
            return None
        if not isinstance(g, Tensor):
            raise GradError(
                f"{self.name}.backward must return tensors or None, "
                f"got {type(g).__name__} for input {index}"
            )
        g = g if g.dtype == dtype else cast(g, dtype=dtype)
        return g if graph else g.array[...]  # a view: the walk must not take it for its own array


def _zeros(t: Tensor) -> Callable[[], Tensor]:
    be, shape, dtype = backend.of(t.array), t.shape, t.dtype
    return lambda: wrap(be.zeros(shape, dtype))


def once_differentiable(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Declares that a backward is not made of differentiable operations.

    Its gradients then raise GradError when they are differentiated again.
    """

    @wraps(backward)
    def guarded(ctx: FunctionCtx, *grads: Tensor | None) -> Any:
        with no_grad():
            found = backward(ctx, *grads)
        node = ctx._node() if ctx._node else None
        if node is None or not state.grad:
            return found
        parents = (*node.parents, *[g.node for g in grads if g is not None])
        several = isinstance(found, (tuple, list))
        guards = [_guard(g, node, parents) for g in (found if several else (found,))]
        return tuple(guards) if several else guards[0]

    return guarded


def _guard(g: Any, origin: Node, parents: tuple[Any, ...]) -> Any:
    """A gradient with a history that cannot be differentiated."""
    if not isinstance(g, Tensor):
        return g
    node = Node()
    node.op, node.parents, node.shape = Once(origin.name()), parents, g.shape
    node.id, node.place = storage.tick(), origin.place
    return wrap(g.array, node)


class Once:
    """Stands on the tape where a second derivative would have to begin."""

    keeps_arrays = False
    plain = False  # the walk calls pull

    def __init__(self, name: str) -> None:
        self.name = name

    def pull(self, node: Node, g: Any, graph: bool, needs: Any = None) -> Any:
        raise GradError(
            f"the backward of {self.name} is marked once_differentiable, "
            f"and was differentiated again\n  made at {node.where()}",
            "make it of differentiable operations and drop the mark",
        )
