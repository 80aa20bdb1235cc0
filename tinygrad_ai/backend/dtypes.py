"""Data types, and PyTorch's rules for mixing them. Knows NumPy dtypes; knows no Tensor."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import DTypeError

DType = np.dtype

bool_ = np.dtype("bool")
uint8, int8 = np.dtype("uint8"), np.dtype("int8")
int16, int32, int64 = np.dtype("int16"), np.dtype("int32"), np.dtype("int64")
float16, float32, float64 = np.dtype("float16"), np.dtype("float32"), np.dtype("float64")
complex64, complex128 = np.dtype("complex64"), np.dtype("complex128")

_default = float32
_CATEGORY = {"b": 0, "u": 1, "i": 1, "f": 2, "c": 3}  # bool < integer < floating < complex


def get_default_dtype() -> DType:
    """The dtype of floating-point tensors made without naming one (float32 at the start)."""
    return _default


def set_default_dtype(dtype: Any) -> None:
    """Sets the default floating-point dtype; raises DTypeError for any other kind."""
    global _default
    dtype = np.dtype(dtype)
    if dtype.kind != "f":
        raise DTypeError(f"the default dtype must be floating point, got {dtype}", "ta.float32")
    _default = dtype


def category(dtype: DType) -> int:
    """0 bool, 1 integer, 2 floating, 3 complex: the order in which PyTorch promotes."""
    return _CATEGORY[dtype.kind]


def is_floating(dtype: DType) -> bool:
    return dtype.kind == "f"


def promote_types(a: Any, b: Any) -> DType:
    """The smallest dtype PyTorch allows for both: the higher category wins outright."""
    a, b = np.dtype(a), np.dtype(b)
    if category(a) == category(b):
        return np.promote_types(a, b)
    return a if category(a) > category(b) else b


def scalar_dtype(value: Any) -> DType:
    """The dtype a bare Python number stands for: bool, int64, the default, or complex."""
    if isinstance(value, (bool, np.bool_)):
        return bool_
    if isinstance(value, (int, np.integer)):
        return int64
    if isinstance(value, (float, np.floating)):
        return _default
    if isinstance(value, (complex, np.complexfloating)):
        return complex64 if _default == float32 else complex128
    raise DTypeError(f"expected a number, got {type(value).__name__}")


def result_type(*values: Any) -> DType:
    """PyTorch's dtype for an operation on these arrays and numbers.

    Arrays with dimensions decide; 0-d arrays, and after them Python numbers, matter only where
    they are of a higher category (an int tensor and 0.5 give the default float).
    """
    levels: list[DType | None] = [None, None, None]  # arrays with dimensions, 0-d arrays, numbers
    for v in values:
        if v is None:
            continue
        if hasattr(v, "ndim") and not isinstance(v, np.generic):
            level, dtype = (0 if v.ndim else 1), v.dtype
        else:
            level, dtype = 2, scalar_dtype(v)
        known = levels[level]
        levels[level] = dtype if known is None else promote_types(known, dtype)
    result: DType | None = None
    for dtype_ in levels:
        if dtype_ is not None and (result is None or category(dtype_) > category(result)):
            result = dtype_
    if result is None:
        raise DTypeError("result_type needs at least one tensor or number")
    return result


finfo, iinfo = np.finfo, np.iinfo
