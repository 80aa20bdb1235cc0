"""Changing a tensor where it is: the op, its result written into the storage, a new node.

A leaf that requires a gradient cannot be changed while operations are recorded, nor a view whose
memory something else refers to: the others would keep a history that no longer holds.
"""

from __future__ import annotations

from typing import Any

from .. import backend
from ..autograd.mode import state
from ..backend import dtypes, storage
from ..errors import DTypeError, InplaceError, ShapeError
from ..tensor import Tensor, method, wrap
from . import activation, compare, cumulative, diagonal, matmul, rounding, shape, special
from . import arithmetic as ar
from . import elementwise as ew
from . import trigonometry as trig

__all__: list[str] = []


def overwrite(x: Tensor, result: Tensor, what: str) -> Tensor:
    """Writes `result` into x's memory and gives x its history."""
    tracked = state.grad and (x.node is not None or result.node is not None)
    if tracked:
        refuse(x, what)
    if result.shape != x.shape:
        raise ShapeError(f"{what}: the result of shape {result.shape} does not fit into {x.shape}")
    if dtypes.category(result.dtype) > dtypes.category(x.dtype):
        raise DTypeError(f"{what}: a {result.dtype} result cannot be kept in a {x.dtype} tensor")
    backend.of(x.array).write(x.array, result.array)
    backend.storage.wrote(x.array)
    if tracked:
        x.node = result.node if result.dtype == x.dtype else _as_dtype(result, x).node
    return x


def _as_dtype(result: Tensor, x: Tensor) -> Tensor:
    return result.to(x.dtype)  # type: ignore[attr-defined]


def before(x: Tensor, args: tuple[Any, ...]) -> Tensor:
    """x as the op shall see it: a copy where the op's rule may need the values that go."""
    tracked = [x, *[a for a in args if isinstance(a, Tensor)]]
    if state.grad and any([t.node is not None for t in tracked]):
        return wrap(x.array.copy(), x.node)
    return x


def kept(function: Any, x: Tensor, inplace: bool) -> Tensor:
    """function(x), in x's memory if `inplace`: what PyTorch's argument of that name asks for."""
    return overwrite(x, function(before(x, ())), "inplace=True") if inplace else function(x)


def refuse(x: Tensor, what: str) -> None:
    """Raises InplaceError where a change in place would make gradients wrong."""
    if x.node is not None and x.is_leaf:
        raise InplaceError(
            f"{what}: a leaf that requires a gradient cannot be changed in place",
            "write into a new tensor, or change it under no_grad()",
        )
    if backend.storage.is_shared(x.array):
        raise InplaceError(
            f"{what}: this is a view, and its memory is used by other tensors too",
            "change x.clone(), or build the result with torch-style where() or cat()",
        )


def _in_place(name: str, function: Any) -> None:
    """Attaches `name_`, which keeps the function's result in the tensor."""

    def change(self: Tensor, *args: Any, **options: Any) -> Tensor:
        return overwrite(self, function(before(self, args), *args, **options), f"{name}_")

    change.__name__ = f"{name}_"
    change.__doc__ = f"Keeps the result of {name} in this tensor's memory; returns it."
    setattr(Tensor, change.__name__, change)


_SAME = {
    activation: "relu",
    compare: "bitwise_and bitwise_not bitwise_or bitwise_xor eq ge greater greater_equal gt le "
    "less less_equal logical_and logical_not logical_or logical_xor lt ne not_equal",
    cumulative: "cumprod cumsum",
    diagonal: "tril triu",
    ew: "abs absolute addcdiv addcmul clamp clamp_max clamp_min clip copysign exp2 expm1 heaviside "
    "lerp log10 log1p log2 multiply nan_to_num negative reciprocal rsqrt sgn sigmoid sign square "
    "subtract add sub",
    matmul: "addbmm addmm addmv addr baddbmm",
    rounding: "ceil div divide fix floor floor_divide fmod frac remainder round trunc",
    special: "erf erfc erfinv lgamma digamma logit xlogy",
    trig: "acos acosh arccos arccosh arcsin arcsinh arctan arctan2 arctanh asin asinh atan atan2 "
    "atanh cos cosh deg2rad hypot rad2deg sin sinc sinh tan",
}
for _module, _names in _SAME.items():
    for _name in _names.split():
        _in_place(_name, getattr(_module, _name))
for _op in (ar.true_divide, ar.mul, ar.neg, ar.pow, ar.exp, ar.log, ar.sqrt, ar.tanh):
    _in_place(_op.name, _op)
for _name, _function in {
    "__iadd__": ar.add, "__isub__": ar.sub, "__imul__": ar.mul, "__itruediv__": ar.true_divide,
    "__ipow__": ar.pow,
}.items():  # fmt: skip

    def _change(self: Tensor, other: Any, op: Any = _function) -> Tensor:
        return overwrite(self, op(before(self, (other,)), other), f"x {op.name}= y")

    setattr(Tensor, _name, _change)


def _reshaped(name: str, function: Any) -> None:
    """Attaches `name_`, which gives the tensor another view of its own memory."""

    def change(self: Tensor, *args: Any, **options: Any) -> Tensor:
        if state.grad and self.node is not None and self.is_leaf:
            refuse(self, f"{name}_")
        result = function(self, *args, **options)
        self.array, self.node = result.array, result.node
        return self

    change.__name__ = f"{name}_"
    change.__doc__ = f"Makes this tensor what {name} gives, of the same memory; returns it."
    setattr(Tensor, change.__name__, change)


for _name in ["squeeze", "swapaxes", "swapdims", "t", "transpose", "unsqueeze"]:
    _reshaped(_name, getattr(shape, _name))


@method
def copy_(self: Tensor, src: Any, non_blocking: bool = False) -> Tensor:
    """The values of another tensor, broadcast and converted, in this tensor's memory."""
    source = src if isinstance(src, Tensor) else Tensor(src)
    value = source.to(self.device, self.dtype, non_blocking)  # type: ignore[attr-defined]
    if value.shape != self.shape:
        value = shape.broadcast_to(value, self.shape)
    elif value is source and value.node is None:
        value = source
    return overwrite(self, value, "copy_")


@method
def fill_(self: Tensor, value: Any) -> Tensor:
    """One value everywhere."""
    if isinstance(value, Tensor):
        return copy_(self, value)
    from .create import full_like

    return overwrite(self, full_like(self, value), "fill_")


@method
def fill_diagonal_(self: Tensor, fill_value: float, wrap: bool = False) -> Tensor:
    """One value where all indices are equal; of a tall matrix, with `wrap`, again and again."""
    if self.ndim < 2 or (self.ndim > 2 and len(set(self.shape)) > 1):
        raise ShapeError(f"fill_diagonal_ expects a matrix or a cube, got {tuple(self.shape)}")
    xp = backend.of(self.array).xp
    mask = xp.zeros(self.shape, bool)
    xp.fill_diagonal(mask, True, wrap)
    return self.masked_fill_(mask, fill_value)  # type: ignore[attr-defined]


@method
def zero_(self: Tensor) -> Tensor:
    """Zero everywhere."""
    fill_(self, 0)
    storage.zeroed(self.array)
    return self


@method
def detach_(self: Tensor) -> Tensor:
    """Forgets the history; returns the tensor."""
    self.node = None
    return self
