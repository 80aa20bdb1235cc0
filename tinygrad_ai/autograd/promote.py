"""How the door brings inputs of several dtypes to one, and numbers from the CPU to the GPU of the
others: by the ops `cast` and `transfer`, so that it is recorded.
"""

from __future__ import annotations

from typing import Any

from .. import backend
from ..backend import dtypes
from ..errors import DTypeError
from ..tensor import Tensor
from .op import Op, op


@op
def cast(be: Any, x: Any, *, dtype: Any) -> Any:
    """y = cast(x, dtype);   gx = cast(g, x_dtype)"""
    return be.converted(x, dtype)


@cast.vjp
def _(g: Any, x_dtype: Any) -> Any:
    return cast(g, dtype=x_dtype)


@op(view=True)
def transfer(be: Any, x: Any, *, device: Any, source: Any, non_blocking: bool = False) -> Any:
    """y = x;   gx = g"""
    return backend.moved(x, device, non_blocking)


@transfer.vjp
def _(g: Any, *, device: Any, source: Any) -> Any:
    return transfer(g, device=source, source=device)


def align(op: Op, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments in one dtype, as the policy of the op says."""
    values = [a.array if isinstance(a, Tensor) else a for a in args]
    if len({type(v) for v in values if type(v) in backend.TABLE}) > 1:
        return align(op, together(args, backend.common(values)))
    if op.dtypes == "same":
        found = sorted({str(v.dtype) for v in values if backend.is_array(v)})
        if len(found) > 1:
            raise DTypeError(
                f"{op.name} expected tensors of one dtype, got {' and '.join(found)}",
                "convert one of them with x.to(other.dtype)",
            )
        return args
    dtype = dtypes.result_type(*values)
    if op.dtypes == "float" and not dtypes.is_floating(dtype):
        dtype = dtypes.get_default_dtype()
    home = next((v for v in values if type(v) in backend.TABLE), None)
    return tuple([_as(dtype, a, home) for a in args])


def together(args: tuple[Any, ...], be: Any) -> tuple[Any, ...]:
    """The arguments with single numbers on the CPU brought to the GPU of the others."""
    arrays = [a.array if isinstance(a, Tensor) else a for a in args]
    where = backend.device_of(next(v for v in arrays if backend.TABLE.get(type(v)) is be))
    return tuple([_placed(a, where) for a in args])


def _placed(value: Any, where: Any) -> Any:
    here = backend.device_of(value.array if isinstance(value, Tensor) else value)
    if isinstance(value, Tensor) and here.type != where.type:
        return transfer(value, device=where, source=here)
    return backend.moved(value, where) if type(value) in backend.TABLE else value


def _as(dtype: Any, value: Any, home: Any) -> Any:
    """One argument in the dtype the op works in; plain numbers are weak and stay as they are, and
    NumPy's become arrays where `home` is."""
    if isinstance(value, Tensor):
        return value if value.dtype == dtype else cast(value, dtype=dtype)
    if not backend.is_array(value):
        return value
    array = backend.asarray(value, dtype)
    return array if array.ndim or home is None else backend.beside(home, array)
