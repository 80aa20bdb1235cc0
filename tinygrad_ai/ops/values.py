"""A tensor's values outside the graph: as numbers, lists, NumPy arrays, text, and copies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .. import backend
from ..backend import dtypes
from ..errors import ArgumentError, DeviceError, DTypeError, GradError
from ..tensor import Tensor, leaf, method, wrap


@method
def numpy(self: Tensor, *, force: bool = False) -> Any:
    """The values as a NumPy array that shares this tensor's memory. DeviceError for a tensor on a
    GPU; `force` copies it."""
    if self.node is not None and not force:
        raise GradError("numpy() would lose the history of this tensor", "use x.detach().numpy()")
    if not force and backend.of(self.array) is not backend.numpy:
        raise DeviceError(
            f"numpy() needs a tensor in host memory, this one is on {self.device}",
            "x.cpu().numpy()",
        )
    return backend.to_numpy(self.array)


@method
def __array__(self: Tensor, dtype: Any = None, copy: bool | None = None) -> Any:
    array = numpy(self)
    if dtype is not None and array.dtype != dtype:
        return array.astype(dtype)
    return array.copy() if copy else array


@method
def item(self: Tensor) -> Any:
    """The only element, as a Python number."""
    if self.array.size != 1:
        raise ArgumentError(f"item() needs one element, got shape {self.shape}", "x.tolist()")
    return self.array.item()


@method
def tolist(self: Tensor) -> Any:
    """The values as nested Python lists."""
    return self.array.tolist()


@method
def __len__(self: Tensor) -> int:
    if not self.shape:
        raise DTypeError("a 0-d tensor has no length", "x.item() gives its number")
    return int(self.shape[0])


@method
def __iter__(self: Tensor) -> Iterator[Any]:
    return iter([self[i] for i in range(__len__(self))])  # type: ignore[index]


@method
def __bool__(self: Tensor) -> bool:
    if self.array.size != 1:
        raise ArgumentError(
            f"the truth of a tensor of shape {self.shape} is ambiguous", "use .any() or .all()"
        )
    return bool(self.array.item())


@method
def __float__(self: Tensor) -> float:
    return float(item(self))


@method
def __int__(self: Tensor) -> int:
    return int(item(self))


@method
def __index__(self: Tensor) -> int:
    if self.array.size != 1 or self.array.dtype.kind not in "bui":
        raise DTypeError(f"only one integer can be an index, got {self.dtype} {self.shape}")
    return int(self.array.item())


@method
def __format__(self: Tensor, spec: str) -> str:
    return format(item(self), spec) if self.ndim == 0 else object.__format__(self, spec)


@method
def __repr__(self: Tensor) -> str:
    text = backend.text_of(backend.to_numpy(self.array))
    if self.device.type != "cpu":
        text += f", device='{self.device}'"
    if self.dtype not in (dtypes.get_default_dtype(), dtypes.int64, dtypes.bool_):
        text += f", dtype={self.dtype}"
    if self.node is not None:
        text += ", requires_grad=True" if self.is_leaf else f", grad_fn=<{self.node.name()}>"
    return f"tensor({text})"


@method
def __deepcopy__(self: Tensor, memo: dict[int, Any]) -> Tensor:
    if not self.is_leaf:
        raise GradError("only leaves can be deep-copied", "use x.detach().clone()")
    made = _rebuild(type(self), backend.copied(self.array), self.requires_grad)
    if self.grad is not None:
        made.grad = wrap(backend.copied(self.grad.array))
    memo[id(self)] = made
    return made


@method
def __reduce_ex__(self: Tensor, protocol: int) -> Any:
    if not self.is_leaf:
        raise GradError("only leaves can be pickled", "use x.detach()")
    host, device = backend.to_numpy(self.array), str(self.device)
    return _rebuild, (type(self), host, self.requires_grad, device)


def _rebuild(kind: type[Tensor], array: Any, requires_grad: bool, device: str = "") -> Tensor:
    made = kind.__new__(kind)
    array = backend.moved(array, device) if device.startswith("cuda") else array
    made.array, made.node = array, leaf(array) if requires_grad else None
    return made


@method
def __dlpack__(self: Tensor, **options: Any) -> Any:
    if self.node is not None:
        raise GradError("cannot export a tensor that requires a gradient", "use x.detach()")
    if dtypes.is_bfloat16(self.dtype) and self.device.type == "cpu":
        raise DTypeError(
            "NumPy exports no bfloat16 through DLPack", "x.view(ta.int16), or x.float()"
        )
    return self.array.__dlpack__(**options)


@method
def __dlpack_device__(self: Tensor) -> Any:
    return self.array.__dlpack_device__()
