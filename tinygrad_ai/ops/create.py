"""New tensors: from data, filled, counted. Nothing here has a gradient of its own."""

from __future__ import annotations

import math
from typing import Any

from .. import backend
from ..backend import dtypes
from ..errors import ArgumentError, DTypeError
from ..tensor import Tensor, leaf, methods, wrap
from .arguments import raw, sizes

__all__ = [
    "arange", "as_tensor", "asarray", "empty", "empty_like", "eye", "from_dlpack", "from_numpy",
    "full", "full_like", "is_tensor", "linspace", "logspace", "ones", "ones_like", "scalar_tensor",
    "tensor", "zeros", "zeros_like",
]  # fmt: skip


def made(array: Any, requires_grad: bool = False) -> Tensor:
    """A fresh array as a Tensor, a leaf if gradients are wanted."""
    return wrap(array, leaf(array) if requires_grad else None)


def _bare(data: Any) -> Any:
    """Nested lists that may hold Tensors as something NumPy understands."""
    if isinstance(data, Tensor):
        return data.array
    if isinstance(data, (list, tuple)) and any(isinstance(v, (Tensor, list, tuple)) for v in data):
        return [backend.to_numpy(v.array) if isinstance(v, Tensor) else _bare(v) for v in data]
    return data


def tensor(
    data: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """A new tensor with a copy of the data: numbers, nested lists, arrays or a tensor.

    Python floats become the default dtype, ints int64; typed data keeps its dtype. DTypeError for
    anything but numbers in a regular nesting.
    """
    array = backend.asarray(_bare(data), dtype, device, copy=True)
    return made(backend.cuda.pinned(array) if pin_memory else array, requires_grad)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """The data as a tensor, shared where it is an array or tensor already of that dtype."""
    if isinstance(data, Tensor):
        return data.to(device, dtype)  # type: ignore[attr-defined]
    return wrap(backend.asarray(_bare(data), dtype, device))


def asarray(
    obj: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    copy: bool | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """As as_tensor, with a choice about copying."""
    array = backend.asarray(_bare(obj), dtype, device, copy=copy)
    return made(array, requires_grad)


def from_numpy(ndarray: Any) -> Tensor:
    """A tensor in the array's own memory: a change of one is a change of the other."""
    if type(ndarray) is not backend.numpy.ndarray:
        raise DTypeError(
            f"from_numpy expects a NumPy array, got {type(ndarray).__name__}", "ta.tensor(...)"
        )
    return wrap(backend.asarray(ndarray, copy=False))


CUDA_MEMORY = 2  # what DLPack calls the memory of a GPU


def from_dlpack(ext_tensor: Any) -> Tensor:
    """A tensor in the memory of another library's, without a copy, through DLPack.

    Changes go both ways, as in PyTorch; a read-only NumPy array stays read-only.
    """
    if isinstance(ext_tensor, Tensor):
        return ext_tensor
    if type(ext_tensor) in backend.TABLE and type(ext_tensor) is not backend.numpy.ndarray:
        return wrap(ext_tensor)
    if getattr(ext_tensor, "__dlpack_device__", lambda: (1, 0))()[0] == CUDA_MEMORY:
        return wrap(backend.on("cuda").from_dlpack(ext_tensor))
    array = backend.torch_bits(ext_tensor)
    if type(array) is backend.numpy.ndarray and array is not ext_tensor:
        return wrap(array)
    array = backend.numpy.from_dlpack(ext_tensor)
    # NumPy takes memory that comes through DLPack before 1.0, which has no such mark, as
    # read-only; only an array of its own says whether it is.
    if getattr(getattr(ext_tensor, "flags", None), "writeable", True):
        array = backend.numpy.asarray(WritableMemory(array))
    return wrap(array)


class WritableMemory:
    """An array's memory, offered for writing; NumPy keeps the array alive with it."""

    def __init__(self, array: Any) -> None:
        self.array = array
        self.__array_interface__ = {**array.__array_interface__, "data": (array.ctypes.data, False)}


def is_tensor(obj: Any) -> bool:
    """Whether obj is a Tensor."""
    return isinstance(obj, Tensor)


def scalar_tensor(s: Any, *, dtype: Any = None, device: Any = None) -> Tensor:
    """A number as a tensor without dimensions."""
    return full((), s, dtype=dtype or dtypes.get_default_dtype(), device=device)


def full(
    size: Any,
    fill_value: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor of one value; its dtype follows from the value."""
    fill = raw(fill_value)
    dtype = dtypes.known(dtype) or (
        fill.dtype if hasattr(fill, "dtype") else dtypes.scalar_dtype(fill)
    )
    array = backend.on(device).full(sizes((size,)), _number(fill), dtype=dtype)
    return made(array, requires_grad)


def _number(value: Any) -> Any:
    """The one number of a tensor or array from wherever it is; a number as it is."""
    return value.item() if hasattr(value, "item") else value


def _filled(name: str, doc: str) -> Any:
    def create(
        *size: Any,
        dtype: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        pin_memory: bool = False,
    ) -> Tensor:
        fill = getattr(backend.on(device), name)
        return made(
            fill(sizes(size), dtypes.known(dtype) or dtypes.get_default_dtype()), requires_grad
        )

    create.__name__, create.__doc__ = name, doc
    return create


zeros = _filled("zeros", "A tensor of zeros, by default of the default dtype.")
ones = _filled("ones", "A tensor of ones, by default of the default dtype.")
empty = _filled("empty", "A tensor whose values are whatever was in its memory.")


def full_like(
    input: Any,
    fill_value: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Any:
    """A tensor of one value in the shape, dtype and device of another (also of a raw array)."""
    source = raw(input)
    be = backend.near(source) if device is None else backend.on(device)
    array = be.full(source.shape, _number(fill_value), dtype=dtypes.known(dtype) or source.dtype)
    return made(array, requires_grad) if isinstance(input, Tensor) else array


def zeros_shaped(like: Any, shape: tuple[int, ...]) -> Any:
    """Zeros of another shape in the dtype and kind (Tensor or array) of `like`."""
    source = raw(like)
    array = backend.near(source).zeros(shape, source.dtype)
    return wrap(array) if isinstance(like, Tensor) else array


def zeros_like(input: Any, **options: Any) -> Any:
    """Zeros in the shape, dtype and device of another tensor."""
    return full_like(input, 0, **options)


def ones_like(input: Any, **options: Any) -> Any:
    """Ones in the shape, dtype and device of another tensor."""
    return full_like(input, 1, **options)


def empty_like(input: Any, **options: Any) -> Any:
    """Memory as it comes, in the shape, dtype and device of another tensor."""
    return zeros_like(input, **options)


def arange(
    start: Any,
    end: Any = None,
    step: Any = 1,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """start, start + step, ... below end: ceil((end - start) / step) values."""
    start, end, step = [v.item() if hasattr(v, "item") else v for v in (start, end, step)]
    if end is None:
        start, end = 0, start
    if step == 0 or (end - start) / step < 0:
        raise ArgumentError(f"arange cannot go from {start} to {end} in steps of {step}")
    floating = any(isinstance(v, float) for v in (start, end, step))
    dtype = dtypes.known(dtype) or (dtypes.get_default_dtype() if floating else dtypes.int64)
    count = math.ceil((end - start) / step)
    return made(backend.on(device).counted(start, step, count, dtype), requires_grad)


def linspace(
    start: Any,
    end: Any,
    steps: int,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """`steps` evenly spaced values from start to end, both included."""
    if steps < 0:
        raise ArgumentError(f"linspace expects steps >= 0, got {steps}")
    dtype = dtypes.known(dtype) or dtypes.get_default_dtype()
    values = backend.on(device).spaced(float(start), float(end), steps, dtype)
    return made(values, requires_grad)


def logspace(
    start: Any, end: Any, steps: int, base: float = 10.0, *, dtype: Any = None, device: Any = None
) -> Tensor:
    """base to the power of linspace(start, end, steps)."""
    values = backend.numpy.logspace(float(start), float(end), steps, base=base)
    dtype = dtypes.known(dtype) or dtypes.get_default_dtype()
    return made(backend.moved(values.astype(dtype), device or "cpu"))


def eye(
    n: int,
    m: int | None = None,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """The (n, m) matrix with ones on the diagonal."""
    dtype = dtypes.known(dtype) or dtypes.get_default_dtype()
    return made(backend.on(device).eye(n, m, dtype=dtype), requires_grad)


def _new(self: Tensor, create: Any, *args: Any, dtype: Any = None, **options: Any) -> Tensor:
    return create(*args, dtype=dtype or self.dtype, device=self.device, **options)


methods(new_zeros=lambda self, *size, **k: _new(self, zeros, *size, **k))
methods(new_ones=lambda self, *size, **k: _new(self, ones, *size, **k))
methods(new_empty=lambda self, *size, **k: _new(self, empty, *size, **k))
methods(new_full=lambda self, *args, **k: _new(self, full, *args, **k))
methods(new_tensor=lambda self, data, **k: _new(self, tensor, data, **k))
