"""Derivatives of functions at a point: Jacobian, Hessian, and their products with vectors.

Everything is made of reverse passes. A Jacobian-vector product is two of them: the gradient of
uᵀJ by u is J, whatever u is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import backend
from ..errors import ArgumentError, GradError, ShapeError
from ..tensor import Tensor, wrap
from .backward import grad
from .mode import enable_grad
from .op import op

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]

Function = Callable[..., Any]


@op
def rows(be: Any, *xs: Any) -> Any:
    """y = stack(xs);   gxs = unstack(g)"""
    return be.stack(xs)


@rows.vjp
def _(g: Any) -> Any:
    return tuple([g[i] for i in range(g.shape[0])])


class Point:
    """A function evaluated where its derivatives are wanted, everything in tuples.

    With `graph` the inputs keep their history, so that results can be differentiated by them.
    """

    def __init__(self, func: Function, inputs: Any, graph: bool, strict: bool, name: str) -> None:
        self.name, self.graph, self.strict = name, graph, strict
        self.one_input, given = as_tuple(inputs, name, "inputs")
        self.inputs = tuple([self.fresh(x) for x in given])
        with enable_grad():
            result = func(*self.inputs)
        self.one_output, self.outputs = as_tuple(result, name, "outputs of the function")
        for i, y in enumerate(self.outputs):
            if strict and not y.requires_grad:
                raise GradError(f"{name}: output {i} does not depend on the inputs (strict)")

    def fresh(self, x: Tensor) -> Tensor:
        """An input that is no other tensor the function may reach, say through a closure."""
        if self.graph and x.requires_grad:
            return x.view_as(x)  # type: ignore[attr-defined]
        return wrap(x.array).requires_grad_()

    def pull(self, seeds: Any, graph: bool) -> tuple[Tensor, ...]:
        """The gradients of the outputs by the inputs, weighted by seeds."""
        return gradients(self.outputs, self.inputs, seeds, graph, self.strict, self.name)

    def push(self, v: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The derivatives of the outputs along v."""
        seeds = tuple([zeros(y).requires_grad_() for y in self.outputs])
        grads = self.pull(seeds, graph=True)
        return gradients(grads, seeds, v, self.graph, self.strict, self.name)

    def vector(self, v: Any, like: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """v, checked against what it is multiplied with; without it, a single 1."""
        if v is None:
            if len(like) != 1 or like[0].array.size != 1:
                raise ArgumentError(f"{self.name}: v may be left out only for a single number")
            return (wrap(backend.of(like[0].array).ones_like(like[0].array)),)
        _, v = as_tuple(v, self.name, "v")
        if [t.shape for t in v] != [t.shape for t in like]:
            want, came = [" and ".join(str(t.shape) for t in ts) for ts in (like, v)]
            raise ShapeError(f"{self.name}: expected v of shape {want}, got {came}")
        return tuple([t if self.graph else wrap(t.array) for t in v])

    def answer(self, found: tuple[Tensor, ...], single: bool) -> Any:
        """Results as the user asked for them: with history or without, a tuple or one."""
        found = found if self.graph else tuple([wrap(t.array) for t in found])
        return found[0] if single else found


def as_tuple(value: Any, name: str, what: str) -> tuple[bool, tuple[Tensor, ...]]:
    """Whether it is a single tensor, and the tuple of tensors."""
    values = value if isinstance(value, tuple) else (value,)
    for v in values:
        if not isinstance(v, Tensor):
            raise TypeError(
                f"{name}: expected the {what} to be a tensor or a tuple of tensors, "
                f"got {type(v).__name__}"
            )
    return values is not value, values


def zeros(t: Tensor) -> Tensor:
    return wrap(backend.of(t.array).zeros_like(t.array))


def gradients(
    outputs: Any, inputs: Any, seeds: Any, graph: bool, strict: bool, name: str
) -> tuple[Tensor, ...]:
    """grad with zeros for what does not depend on an input, or GradError if strict."""
    pairs = [(y, g) for y, g in zip(outputs, seeds, strict=True) if y.requires_grad]
    found: Any = (None,) * len(inputs)
    if pairs:
        ys, gs = zip(*pairs, strict=True)
        found = grad(ys, inputs, gs, retain_graph=True, create_graph=graph, allow_unused=True)
    for i, g in enumerate(found):
        if strict and (g is None or (graph and not g.requires_grad)):
            what = "the outputs do" if g is None else "the derivative does"
            raise GradError(f"{name}: {what} not depend on input {i} (strict)")
    return tuple([zeros(x) if g is None else g for x, g in zip(inputs, found, strict=True)])


def vjp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """(func(inputs), vᵀJ): the gradients of the outputs weighted by v, shaped like the inputs."""
    at = Point(func, inputs, create_graph, strict, "vjp")
    found = at.pull(at.vector(v, at.outputs), create_graph)
    return at.answer(at.outputs, at.one_output), at.answer(found, at.one_input)


def jvp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """(func(inputs), Jv): the derivative of the outputs along v, shaped like the outputs."""
    at = Point(func, inputs, create_graph, strict, "jvp")
    found = at.push(at.vector(v, at.inputs))
    return at.answer(at.outputs, at.one_output), at.answer(found, at.one_output)


def jacobian(
    func: Function,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """All derivatives: J[i][j] has the shape of output i followed by that of input j.

    A single output or input gives no tuple. One reverse pass is made for each element of the
    outputs; `vectorize` and `strategy` are PyTorch's and change nothing.
    """
    if strategy not in ("forward-mode", "reverse-mode"):
        raise ArgumentError(f"expected 'reverse-mode' or 'forward-mode', got {strategy!r}")
    at = Point(func, inputs, create_graph, strict, "jacobian")
    found = tuple([at.answer(_blocks(at, y), at.one_input) for y in at.outputs])
    return found[0] if at.one_output else found


def _blocks(at: Point, y: Tensor) -> tuple[Tensor, ...]:
    """The Jacobian of one output by every input."""
    be = backend.of(y.array)
    ones = [wrap(row.reshape(y.shape)) for row in be.eye(y.array.size, dtype=y.dtype)]
    grads = [gradients((y,), at.inputs, (u,), at.graph, at.strict, at.name) for u in ones]
    blocks = []
    for j, x in enumerate(at.inputs):
        shape = (*y.shape, *x.shape)
        column = [g[j] for g in grads]
        block = rows(*column).reshape(shape) if column else wrap(be.zeros(shape, x.dtype))
        blocks.append(block)
    return tuple(blocks)


def hessian(
    func: Function,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """All second derivatives of a function with one number as result.

    H[i][j] has the shape of input i followed by that of input j; a single input gives no tuple.
    """
    single, given = as_tuple(inputs, "hessian", "inputs")
    checked = scalar(func, "hessian")

    def slopes(*xs: Tensor) -> Any:
        found = jacobian(lambda *x: checked(*x).reshape(()), xs, create_graph=True, strict=strict)
        return found[0] if single else found

    found = jacobian(slopes, given, create_graph, strict, vectorize, outer_jacobian_strategy)
    return found[0] if single else found


def scalar(func: Function, name: str) -> Function:
    """func, with an error unless it returns one number."""

    def checked(*xs: Tensor) -> Tensor:
        y = func(*xs)
        if not isinstance(y, Tensor) or y.array.size != 1:
            came = y.shape if isinstance(y, Tensor) else type(y).__name__
            raise ShapeError(f"{name}: the function must return one number, got {came}")
        return y

    return checked


def vhp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """(func(inputs), vᵀH) of a function with one number as result."""
    return _with_hessian(Point(scalar(func, "vhp"), inputs, create_graph, strict, "vhp"), v)


def hvp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """(func(inputs), Hv) of a function with one number as result; H is symmetric, so it is vᵀH."""
    return _with_hessian(Point(scalar(func, "hvp"), inputs, create_graph, strict, "hvp"), v)


def _with_hessian(at: Point, v: Any) -> tuple[Any, Any]:
    weights = at.vector(v, at.inputs)
    slopes = at.pull((None,), graph=True)
    found = gradients(slopes, at.inputs, weights, at.graph, at.strict, at.name)
    return at.answer(at.outputs, at.one_output), at.answer(found, at.one_input)
