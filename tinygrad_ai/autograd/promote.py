"""How the door brings inputs of several dtypes to one: by the op `cast`, so that it is recorded."""

from __future__ import annotations

from typing import Any

from .. import backend
from ..backend import dtypes
from ..errors import DTypeError
from ..tensor import Tensor
from .op import Op, op


@op
def cast(be: Any, x: Any, *, dtype: Any) -> Any:
    """y = x in another dtype;   gx = g in x's dtype"""
    return x.astype(dtype)


@cast.vjp
def _(g: Any, x_dtype: Any) -> Any:
    return cast(g, dtype=x_dtype)


def align(op: Op, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments in one dtype, as the policy of the op says."""
    values = [a.array if isinstance(a, Tensor) else a for a in args]
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
    return tuple([_as(dtype, a) for a in args])


def _as(dtype: Any, value: Any) -> Any:
    """One argument in the dtype the op works in; plain numbers are weak and stay as they are."""
    if isinstance(value, Tensor):
        return value if value.dtype == dtype else cast(value, dtype=dtype)
    return backend.asarray(value, dtype) if backend.is_array(value) else value


Op.align = staticmethod(align)
