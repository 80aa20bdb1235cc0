"""The stand-in's array: it holds a NumPy array and is none."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from .capture import capturing, library, noted, waiting

REFUSED = (
    "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct a "
    "NumPy array explicitly."
)
QUIET = np.errstate(all="ignore")  # a GPU gives infinities and NaN without a word
SCALARS = (bool, int, float, complex, np.generic)


def unwrapped(value: Any, name: str) -> Any:
    """Arguments as NumPy takes them; TypeError for NumPy arrays, ValueError for a wrong GPU."""
    if isinstance(value, ndarray):
        value.check_device()
        return value.held
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type <class 'numpy.ndarray'> (in {name})")
    if type(value) in (tuple, list):
        return type(value)(unwrapped(v, name) for v in value)
    if isinstance(value, slice):
        return slice(*[unwrapped(v, name) for v in (value.start, value.stop, value.step)])
    return value


# What CuPy 14 does with bfloat16, as far as it is used: the rest of its functions lacks it, cupyx
# altogether, and products of stacks of matrices fail.
BFLOAT16 = {
    "add", "subtract", "multiply", "divide", "maximum", "minimum", "negative", "sqrt", "exp",
    "log", "tanh", "equal", "not_equal", "less", "less_equal", "greater", "greater_equal",
    "isnan", "isinf", "isfinite", "sum", "broadcast_to", "expand_dims", "flip", "moveaxis",
    "reshape", "transpose", "ravel", "swapaxes", "squeeze", "diagonal", "take", "astype",
    "copy", "view", "matmul", "eq", "ne", "lt", "le", "gt", "ge", "sub", "mul", "truediv",
    "neg", "getitem", "setitem", "fill", "array", "asarray", "ascontiguousarray", "zeros",
    "ones", "empty", "full", "eye", "as_strided", "zeros_like", "ones_like", "empty_like",
    "iadd", "isub", "imul",
}  # fmt: skip


def narrow(value: Any) -> bool:
    return getattr(getattr(value, "dtype", None), "name", "") == "bfloat16"


def check_bfloat16(name: str, args: Any, world: Any) -> bool:
    """Whether there is bfloat16 among the arguments; TypeError if CuPy has no `name` for it."""
    flat = [v for a in args for v in (a if type(a) in (tuple, list) else (a,))]
    found = [v for v in flat if narrow(v) or getattr(v, "name", "") == "bfloat16"]
    if not found:
        return False
    if world.version < 14:
        raise ValueError("Unsupported dtype bfloat16")
    if name.strip("_") not in BFLOAT16 and name.strip("_").removeprefix("r") not in BFLOAT16:
        raise TypeError(f"No matching signature found: {name} of bfloat16")
    if "matmul" in name and any([v.ndim > 2 for v in found]):
        raise TypeError("_tensordot_core_int_kernel has no bfloat16")
    return True


def in_bfloat16(work: Any, *args: Any, **kwargs: Any) -> Any:
    """As CuPy does it: in float32, and rounded; a Python number does not promote."""
    wide = [a.astype("f4") if narrow(a) else a for a in args]
    y = work(*wide, **kwargs)
    if isinstance(y, (np.ndarray, np.generic)) and y.dtype == np.float32:
        return y.astype(next(a.dtype for a in args if narrow(a)))
    return y


def owner(array: Any) -> Any:
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def wrapped(value: Any, *sources: Any) -> Any:
    """Results as arrays of ours: 0-d ones too; views know the array whose memory they show."""
    if isinstance(value, (tuple, list)) and not isinstance(value, str):
        parts = [wrapped(v, *sources) for v in value]
        return tuple(parts) if isinstance(value, tuple) else parts
    if isinstance(value, np.generic):
        value = np.asarray(value)
    if not isinstance(value, np.ndarray):
        return value
    for source in sources:
        if isinstance(source, ndarray) and source.held is value:
            return source
    for source in sources:
        if isinstance(source, ndarray) and owner(source.held) is owner(value):
            return ndarray.hold(value, source if source.base is None else source.base)
    return ndarray.hold(value)


class ndarray:
    """An array on one of the stand-in's GPUs."""

    __slots__ = ("__weakref__", "_index", "_taken", "base", "held")
    __array_ufunc__ = None
    __hash__ = None  # type: ignore[assignment]
    world: Any = None
    held: np.ndarray

    @classmethod
    def hold(cls, array: np.ndarray, base: Any = None) -> ndarray:
        made = object.__new__(cls)
        made.held, made.base = array, base
        made._index = cls.world.getDevice() if base is None else base._index
        made._taken = array.nbytes if base is None else 0
        cls.world.pools[made._index].take(made._taken)
        if capturing:  # kernels know only its address, and the graph's pool would keep it
            capturing[-1].kept.append(array)
        return made

    def __del__(self) -> None:
        pools = self.world.pools
        if self._taken and self._index < len(pools):
            pools[self._index].give(self._taken)

    def check_device(self) -> None:
        if self._index != self.world.current:
            raise ValueError(
                "Array device must be same as the current device: array device = "
                f"{self._index} while current = {self.world.current}"
            )

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError(REFUSED)

    shape = property(lambda self: self.held.shape)
    dtype = property(lambda self: self.held.dtype)
    ndim = property(lambda self: self.held.ndim)
    size = property(lambda self: self.held.size)
    itemsize = property(lambda self: self.held.itemsize)
    nbytes = property(lambda self: self.held.nbytes)
    strides = property(lambda self: self.held.strides)
    device = property(lambda self: SimpleNamespace(id=self._index))
    data = property(lambda self: SimpleNamespace(ptr=self.held.__array_interface__["data"][0]))
    T = property(lambda self: self.transpose())

    @property
    def flags(self) -> Any:
        found = self.held.flags
        return SimpleNamespace(c_contiguous=found.c_contiguous, f_contiguous=found.f_contiguous)

    def get(self, stream: Any = None, order: str = "C", out: Any = None) -> np.ndarray:
        waiting("get")
        return self.held.copy(order)

    def set(self, arr: Any, stream: Any = None) -> None:
        if type(arr) is not np.ndarray or arr.dtype != self.dtype or arr.shape != self.shape:
            raise TypeError("set() needs a NumPy array of the same shape and dtype")
        waiting("set")
        self.held[...] = arr

    def copy(self, order: str = "C") -> ndarray:
        """From any GPU to the current one, as CuPy does."""
        return ndarray.hold(noted(lambda: self.held.copy(order)))

    def item(self) -> Any:
        waiting("item")
        return self.held.item()

    def tolist(self) -> Any:
        waiting("tolist")
        return self.held.tolist()

    def fill(self, value: Any) -> None:
        self.check_device()
        held, given = self.held, unwrapped(value, "fill")
        noted(lambda: held.fill(given), changes=held)

    def __getitem__(self, index: Any) -> Any:
        self.check_device()
        check_bfloat16("getitem", (self,), self.world)
        held, at = self.held, unwrapped(index, "getitem")
        found = noted(lambda: held[at])
        return wrapped(found, self) if isinstance(found, np.ndarray) else wrapped(found)

    def __setitem__(self, index: Any, value: Any) -> None:
        self.check_device()
        if not isinstance(value, (*SCALARS, ndarray)):
            raise TypeError(f"Unsupported type {type(value)} (in setitem)")
        held, at, given = self.held, unwrapped(index, "setitem"), unwrapped(value, "setitem")
        noted(lambda: held.__setitem__(at, given), changes=held)

    def __len__(self) -> int:
        return len(self.held)

    def __iter__(self) -> Iterator[Any]:
        if not self.ndim:
            raise TypeError("iteration over a 0-d array")
        return iter([self[i] for i in range(len(self.held))])

    def __bool__(self) -> bool:
        waiting("__bool__")
        return bool(self.held)

    def __int__(self) -> int:
        waiting("__int__")
        return int(self.held)

    def __float__(self) -> float:
        waiting("__float__")
        return float(self.held)

    def __index__(self) -> int:
        waiting("__index__")
        return operator.index(self.held)

    def __format__(self, spec: str) -> str:
        waiting("__format__")
        return format(self.held.item() if not self.ndim else self.held, spec)

    def __repr__(self) -> str:
        waiting("__repr__")
        return repr(self.held)


METHODS = (
    "all any argmax argmin argsort astype clip cumprod cumsum diagonal dot flatten max mean min "
    "nonzero prod ravel repeat reshape round searchsorted squeeze std sum swapaxes take trace "
    "transpose var view"
)
OPERATORS = "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift"
COMPARISONS = "neg pos abs invert eq ne lt le gt ge"
LIBRARY = {"matmul": library, "dot": library, "nonzero": waiting}
VIEWS = ("diagonal", "ravel", "reshape", "squeeze", "swapaxes", "transpose", "view")
NO_KEYWORDS = {"initial", "where", "correction", "kind", "mode", "stable"}


def method(name: str) -> Any:
    def call(self: ndarray, *args: Any, **kwargs: Any) -> Any:
        if bad := NO_KEYWORDS & set(kwargs):
            raise TypeError(f"{name}() got an unexpected keyword argument {bad.pop()!r}")
        if name not in VIEWS:
            self.check_device()
        work = QUIET(getattr(self.held, name))
        given = {k: unwrapped(v, name) for k, v in kwargs.items()}
        plain = unwrapped(args, name)
        LIBRARY.get(name, len)(name)
        if check_bfloat16(name, (self, *args, *kwargs.values()), self.world) and name == "sum":
            work = partial(in_bfloat16, getattr(np, name), self.held)
        return wrapped(noted(lambda: work(*plain, **given), (self.held, *plain)), self)

    return call


def operation(name: str) -> Any:
    def call(self: ndarray, *others: Any) -> Any:
        for other in others:
            if not isinstance(other, (*SCALARS, ndarray)):
                if other is None or isinstance(other, np.ndarray):
                    raise TypeError(f"Unsupported type {type(other)} (in {name})")
                return NotImplemented
        self.check_device()
        LIBRARY.get(name.removeprefix("__").removesuffix("__"), len)(name)
        work, plain = QUIET(getattr(self.held, name)), unwrapped(others, name)
        if check_bfloat16(name, (self, *others), self.world):
            known = getattr(operator, name, None) or (lambda a, b: getattr(a, name)(b))
            work = partial(QUIET(in_bfloat16), known, self.held)
        return wrapped(noted(lambda: work(*plain)))

    return call


def change(name: str) -> Any:
    def call(self: ndarray, other: Any) -> ndarray:
        if not isinstance(other, (*SCALARS, ndarray)):
            raise TypeError(f"Unsupported type {type(other)} (in {name})")
        self.check_device()
        check_bfloat16(name, (self, other), self.world)
        kept, given = self.held, unwrapped(other, name)
        plain, work = QUIET(getattr(operator, name[1:])), QUIET(getattr(operator, name))
        if kept.ndim:
            noted(lambda: work(kept, given), changes=kept)
        else:
            noted(lambda: kept.__setitem__(..., np.asarray(plain(kept, given))), changes=kept)
        return self

    return call


for _name in METHODS.split():
    setattr(ndarray, _name, method(_name))
for _name in OPERATORS.split():
    setattr(ndarray, f"__{_name}__", operation(f"__{_name}__"))
    setattr(ndarray, f"__r{_name}__", operation(f"__r{_name}__"))
    if _name != "matmul":
        _in_place = f"i{_name}"
        setattr(ndarray, f"__{_in_place}__", change(_in_place))
for _name in COMPARISONS.split():
    setattr(ndarray, f"__{_name}__", operation(f"__{_name}__"))
