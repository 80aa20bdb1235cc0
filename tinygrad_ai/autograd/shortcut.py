"""The common case at the door, written out: one or two float tensors of one dtype, nobody watching.

A shortcut does what Op.__call__ does, and hands everything uncommon to it. Tensor's operators are
shortcuts, so that the engine costs less than PyTorch's on small tensors.
"""

from __future__ import annotations

from collections.abc import Callable
from sys import _getframe
from typing import Any

from .. import backend
from ..backend.dtypes import float32, float64
from ..backend.storage import outside, tick, user_place
from ..tensor import Node, Tensor
from .mode import state
from .op import Op
from .saved import said_clearly

_TABLE = backend.TABLE
_new = object.__new__


def unary(op: Op) -> Callable[[Tensor], Tensor]:
    """A method `x -> op(x)`."""
    forward, saved = op.forward, op.pick

    def method(x: Tensor) -> Tensor:
        array = x.array
        kind, dtype = type(array), array.dtype
        mode = state.mode
        if mode == 2 or (dtype is not float32 and dtype is not float64):
            return op(x)
        y = forward(_TABLE[kind], array)
        if type(y) is not kind:
            return op(x)
        made = _new(Tensor)
        made.array = y
        parent = x.node
        if parent is None or not mode:
            made.node = None
        else:
            made.node = node = Node()
            node.op, node.parents = op, (parent,)
            node.id, node.shape = tick(), y.shape
            if saved is not None:
                node.saved = saved((array, y, node.parents))
            frame = _getframe(1)
            code = frame.f_code
            node.place = (code, frame.f_lasti) if code.co_filename in outside else user_place()
        return made

    return _named(method, op)


def binary(op: Op) -> Callable[[Tensor, Any], Tensor]:
    """A method `a, b -> op(a, b)`."""
    forward, saved = op.forward, op.pick

    def method(a: Tensor, b: Any) -> Tensor:
        x = a.array
        kind, dtype = type(x), x.dtype
        if type(b) is Tensor or isinstance(b, Tensor):
            z, other = b.array, b.node
            if z.dtype is not dtype or type(z) is not kind:
                return op(a, b)
        elif type(b) is float:
            z, other = b, None
        else:
            return op(a, b)
        mode = state.mode
        if mode == 2 or (dtype is not float32 and dtype is not float64):
            return op(a, b)
        try:
            y = forward(_TABLE[kind], x, z)
        except ValueError as error:
            raise said_clearly(error, op.name, [x, z]) from None
        if type(y) is not kind:
            return op(a, b)
        made = _new(Tensor)
        made.array = y
        parent = a.node
        if (parent is None and other is None) or not mode:
            made.node = None
        else:
            made.node = node = Node()
            node.op, node.parents = op, (parent, other)
            node.id, node.shape = tick(), y.shape
            if saved is not None:
                node.saved = saved((x, z, y, node.parents))
            frame = _getframe(1)
            code = frame.f_code
            node.place = (code, frame.f_lasti) if code.co_filename in outside else user_place()
        return made

    return _named(method, op)


def _named(method: Any, op: Op) -> Any:
    method.__name__, method.__doc__ = op.name, op.__doc__
    return method
