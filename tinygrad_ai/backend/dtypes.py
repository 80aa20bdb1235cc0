"""Data types, and PyTorch's rules for mixing them. Knows NumPy dtypes; knows no Tensor.

bfloat16 is ml_dtypes', loaded when it is first asked for. NumPy knows little of it: it has kind "V"
and mixes by rules of its own, so that what is a float is asked here.
"""

from __future__ import annotations

from functools import lru_cache
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
_CATEGORY = {"b": 0, "u": 1, "i": 1, "f": 2, "V": 2, "c": 3}  # bool < integer < float < complex


@lru_cache
def _bfloat16() -> DType:
    try:
        from ml_dtypes import bfloat16
    except ImportError as error:
        raise DTypeError(
            f"bfloat16 needs the package ml_dtypes: {error}", "pip install 'tinygrad-ai[bfloat16]'"
        ) from None
    return np.dtype(bfloat16)


def __getattr__(name: str) -> Any:
    if name == "bfloat16":
        return _bfloat16()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def named(dtype: Any) -> DType:
    """A dtype from what names one: a dtype, a string, Python's or NumPy's types."""
    return _bfloat16() if isinstance(dtype, str) and dtype == "bfloat16" else np.dtype(dtype)


def known(dtype: Any) -> Any:
    """The same where None may stand for another one."""
    return _bfloat16() if isinstance(dtype, str) and dtype == "bfloat16" else dtype


def is_bfloat16(dtype: DType) -> bool:
    """Of kind "V" there is no other that a tensor can have."""
    return dtype.kind == "V"


def get_default_dtype() -> DType:
    """The dtype of floating-point tensors made without naming one (float32 at the start)."""
    return _default


def set_default_dtype(dtype: Any) -> None:
    """Sets the default floating-point dtype; raises DTypeError for any other kind."""
    global _default
    dtype = named(dtype)
    if not is_floating(dtype):
        raise DTypeError(f"the default dtype must be floating point, got {dtype}", "ta.float32")
    _default = dtype


def category(dtype: DType) -> int:
    """0 bool, 1 integer, 2 floating, 3 complex: the order in which PyTorch promotes."""
    return _CATEGORY[dtype.kind]


def is_floating(dtype: DType) -> bool:
    return dtype.kind in "fV"


def promote_types(a: Any, b: Any) -> DType:
    """The smallest dtype PyTorch allows for both: the higher category wins outright."""
    a, b = named(a), named(b)
    if category(a) == category(b):
        both = {a.name, b.name} == {"bfloat16", "float16"}  # neither holds the other's numbers
        return float32 if both else np.promote_types(a, b)
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


iinfo = np.iinfo


def finfo(dtype: Any = None) -> Any:
    """The limits of a floating dtype (the default one): eps, max, smallest_normal, bits, ..."""
    dtype = named(dtype or _default)
    if not is_bfloat16(dtype):
        return np.finfo(dtype)
    from ml_dtypes import finfo as of_bfloat16

    return of_bfloat16(dtype)
