"""The same values elsewhere: another dtype or device, a copy, a tensor without history."""

from __future__ import annotations

import inspect
from typing import Any

from .. import backend
from ..autograd.op import op
from ..autograd.promote import cast, transfer
from ..backend import dtypes
from ..backend.device import device as Device
from ..errors import ArgumentError
from ..tensor import Tensor, method, methods, wrap

__all__ = ["clone", "detach", "is_floating_point", "is_nonzero"]


@op
def _clone(be, x):
    """y = x;   gx = g"""
    return be.xp.array(x, order="C")


@_clone.vjp
def _(g):
    return g


def clone(input: Any, *, memory_format: Any = None) -> Any:
    """A copy in memory of its own, with the same history."""
    return _clone(input)


def detach(input: Tensor) -> Tensor:
    """The same memory without history."""
    return wrap(input.array)


def is_floating_point(input: Any) -> bool:
    """Whether the dtype is a float."""
    return dtypes.is_floating(input.dtype)


def is_nonzero(input: Tensor) -> bool:
    """The truth of a tensor with one element."""
    return bool(input)


def _is_dtype(value: Any) -> bool:
    return (hasattr(value, "itemsize") and hasattr(value, "kind")) or inspect.isclass(value)


@method
def to(
    self: Tensor, *args: Any, dtype: Any = None, device: Any = None, copy: bool = False,
    non_blocking: bool = False, memory_format: Any = None,
) -> Tensor:  # fmt: skip
    """`x.to(dtype)`, `x.to(device)`, `x.to(device, dtype)`, `x.to(other)`; x if nothing changes.

    `non_blocking`: a copy from pinned memory to a GPU may go on while the program does.
    DeviceError if the device is not there.
    """
    for value in args:
        if isinstance(value, Tensor):
            dtype, device = value.dtype, value.device
        elif isinstance(value, (str, Device)):
            device = value
        elif _is_dtype(value):
            dtype = value
        elif isinstance(value, bool):
            non_blocking = value
        elif value is not None:
            raise ArgumentError(f"to() expects a dtype, a device or a tensor, got {value!r}")
    x = self
    if dtype is not None and dtypes.named(dtype) != self.dtype:
        x = cast(x, dtype=dtypes.named(dtype))
    if device is not None:
        x = _on(x, Device(device), non_blocking)
    return clone(x) if copy and x is self else x


def _on(x: Tensor, wanted: Device, non_blocking: bool) -> Tensor:
    """x on a device, itself if it is there."""
    here = x.device
    if here == wanted or (wanted.type == "cpu" and here.type == "cpu"):
        return x
    if wanted.type == "cuda":
        wanted = backend.cuda.full_name(wanted)
    if here == wanted:
        return x
    return transfer(x, device=wanted, source=here, non_blocking=non_blocking)


def _converter(name: str, dtype: Any) -> None:
    def convert(self: Tensor, memory_format: Any = None) -> Tensor:
        return to(self, dtype=dtype)

    convert.__name__, convert.__doc__ = name, f"The values as {dtype}."
    setattr(Tensor, name, convert)


for _name, _dtype in {
    "float": dtypes.float32, "double": dtypes.float64, "half": dtypes.float16,
    "long": dtypes.int64, "int": dtypes.int32, "short": dtypes.int16, "char": dtypes.int8,
    "byte": dtypes.uint8, "bool": dtypes.bool_, "bfloat16": "bfloat16",
}.items():  # fmt: skip
    _converter(_name, _dtype)


@method
def type(self: Tensor, dtype: Any = None) -> Any:
    """The values in another dtype; without one, the dtype's name."""
    return str(self.dtype) if dtype is None else to(self, dtype=dtype)


@method
def type_as(self: Tensor, other: Tensor) -> Tensor:
    return to(self, other)


@method
def cpu(self: Tensor) -> Tensor:
    """The tensor in host memory."""
    return to(self, device="cpu")


@method
def cuda(self: Tensor, device: Any = None) -> Tensor:
    """The tensor on a GPU; DeviceError if there is none."""
    return to(self, device=f"cuda:{device}" if isinstance(device, int) else device or "cuda")


@method
def contiguous(self: Tensor, memory_format: Any = None) -> Tensor:
    """Itself if its elements lie in row order, else a copy that does."""
    return self if self.array.flags.c_contiguous else clone(self)


@method
def is_contiguous(self: Tensor) -> bool:
    return bool(self.array.flags.c_contiguous)


@method
def stride(self: Tensor, dim: int | None = None) -> Any:
    """Steps between neighbours, in elements."""
    steps = tuple([n // self.itemsize for n in self.array.strides])
    return steps if dim is None else steps[dim]


@method
def data_ptr(self: Tensor) -> int:
    """The address of the first element."""
    return backend.of(self.array).address_of(self.array)


@method
def element_size(self: Tensor) -> int:
    """Bytes of one element."""
    return int(self.itemsize)


@method
def get_device(self: Tensor) -> int:
    """The index of a GPU, -1 on the CPU."""
    return -1 if self.device.index is None else self.device.index


@method
def pin_memory(self: Tensor, device: Any = None) -> Tensor:
    """A copy in page-locked host memory, from where `.to("cuda", non_blocking=True)` is copied
    while the program goes on. DeviceError if there is no GPU."""
    return wrap(backend.cuda.pinned(backend.to_numpy(self.array)))


methods(clone, detach, is_floating_point, is_nonzero)
methods(is_cuda=property(lambda self: self.device.type == "cuda"))
