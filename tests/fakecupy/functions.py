"""The stand-in's functions: NumPy's, under the names and with the keywords that CuPy has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from .array import QUIET, check_bfloat16, in_bfloat16, ndarray, unwrapped, wrapped
from .capture import library, noted, waiting
from .device import World, empty_pinned

SPEC: dict[str, list[str] | None] = json.loads(
    (Path(__file__).parent / "cupy_spec.json").read_text()
)
FROM_HOST = ("array", "asarray", "ascontiguousarray", "asanyarray", "asfortranarray")
LIBRARY = ("dot", "vdot", "inner", "tensordot", "einsum", "kron")
WAITING = ("nonzero", "flatnonzero", "argwhere", "unique", "bincount", "asnumpy")
ATOMIC = ("int32", "uint32", "uint64", "float16", "float32", "float64")


def sources(args: Any) -> list[Any]:
    """The arrays among arguments, also in tuples and lists."""
    found = []
    for a in args:
        found += sources(a) if type(a) in (tuple, list) else [a]
    return found


def function(name: str, work: Any, keywords: list[str] | None) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        for key in kwargs:
            if keywords is not None and key not in keywords:
                raise TypeError(f"{name}() got an unexpected keyword argument {key!r}")
        if name == "unique" and kwargs.get("axis") is None:
            kwargs.pop("axis", None)
        if name == "argsort":
            kwargs["kind"] = "stable"  # as CuPy's always is
        given = {k: unwrapped(v, name) for k, v in kwargs.items()}
        plain = unwrapped(args, name)
        if name in LIBRARY:
            library(name)
        if name in WAITING:
            waiting(name)
        if name.startswith("empty"):  # nothing is done to its memory
            return wrapped(work(*plain, **given))
        call_of = QUIET(work)
        values = (*args, *kwargs.values())
        if check_bfloat16(name, values, ndarray.world) and name in ("sum", "matmul"):
            call_of = partial(QUIET(in_bfloat16), work)
        made = noted(lambda: call_of(*plain, **given), sources(plain))
        return wrapped(made, *sources(args))

    call.__name__ = name
    return call


def from_host(name: str, work: Any) -> Any:
    def call(obj: Any, *args: Any, **kwargs: Any) -> Any:
        kwargs.pop("blocking", None)
        check_bfloat16(name, (obj, *args, *kwargs.values()), ndarray.world)
        if isinstance(obj, ndarray) and name == "array" and kwargs.get("copy", True) is not False:
            plain = unwrapped(obj, name)
            return wrapped(noted(lambda: np.array(plain, *args, **kwargs)))
        if isinstance(obj, ndarray):
            plain = unwrapped(obj, name)
            return wrapped(noted(lambda: work(plain, *args, **kwargs), [plain]), obj)
        waiting(name)
        if any(isinstance(v, ndarray) for v in obj) if isinstance(obj, (list, tuple)) else False:
            obj = unwrapped(obj, name)
        return wrapped(np.array(obj, *args, **{k: v for k, v in kwargs.items() if k != "copy"}))

    return call


class Ufunc:
    """A function of elements. Of NumPy's methods CuPy has hardly any."""

    def __init__(self, name: str) -> None:
        self.name, self.work = name, getattr(np, name)
        self.nin, self.nout = self.work.nin, self.work.nout

    def __call__(self, *args: Any, out: Any = None, dtype: Any = None, **more: Any) -> Any:
        if more:
            raise TypeError(f"Wrong arguments {sorted(more)} (in cupy_{self.name})")
        for a in args:
            if isinstance(a, (list, tuple)):
                raise TypeError(f"Unsupported type {type(a)} (in cupy_{self.name})")
        work, plain = QUIET(self.work), unwrapped(args, self.name)
        if self.name == "matmul":
            library(self.name)
        if check_bfloat16(self.name, args, ndarray.world):
            work = partial(QUIET(in_bfloat16), self.work)
            if out is None:
                return wrapped(noted(lambda: work(*plain)))
            kept = unwrapped(out, self.name)
            noted(lambda: kept.__setitem__(..., work(*plain)), changes=kept)
            return out
        if out is None:
            return wrapped(noted(lambda: work(*plain, dtype=dtype)))
        kept = unwrapped(out, self.name)
        noted(lambda: work(*plain, out=kept, dtype=dtype), changes=kept)
        return out

    def _missing(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError(f"`cupy_{self.name}` has no such method")

    at = reduce = reduceat = accumulate = outer = _missing


class Grid:
    def __init__(self, name: str) -> None:
        self.work = getattr(np, name)

    def __getitem__(self, key: Any) -> Any:
        return wrapped(self.work[key])


def as_strided(x: ndarray, shape: Any = None, strides: Any = None) -> ndarray:
    """As CuPy's: the view does not know its base."""
    x.check_device()
    return ndarray.hold(np.lib.stride_tricks.as_strided(x.held, shape, strides))


def make_linalg(world: World) -> SimpleNamespace:
    def checked(name: str) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            given = unwrapped(args, name)
            library(name)
            try:
                return wrapped(tuple(r) if isinstance(r := work(*given, **kwargs), tuple) else r)
            except np.linalg.LinAlgError:
                if world.linalg[-1] == "raise":
                    raise
                return wrapped(np.full_like(given[0], np.nan))

        work = getattr(np.linalg, name)
        return call

    names = ("inv", "solve", "det", "slogdet", "cholesky", "qr", "eigh", "svd")
    return SimpleNamespace(**{name: checked(name) for name in names})


def fill_namespace(cupy: ModuleType) -> None:
    """Puts all that a real CuPy has and the stand-in can do into the module."""
    for name, keywords in SPEC.items():
        value = getattr(np, name, None)
        if isinstance(value, np.ufunc):
            setattr(cupy, name, Ufunc(name))
        elif name in ("ogrid", "mgrid"):
            setattr(cupy, name, Grid(name))
        elif name in FROM_HOST:
            setattr(cupy, name, from_host(name, value))
        elif isinstance(value, (type, float, np.dtype)) or value is None or name in ("ndindex",):
            setattr(cupy, name, value)
        elif callable(value):
            setattr(cupy, name, function(name, value, keywords))
    cupy.__dict__.update(
        ndarray=ndarray, linalg=make_linalg(ndarray.world),
        lib=SimpleNamespace(stride_tricks=SimpleNamespace(as_strided=as_strided)),
        asnumpy=lambda a: a.get() if isinstance(a, ndarray) else np.asarray(a),
    )  # fmt: skip


def scatter_add(a: ndarray, slices: Any, value: Any) -> None:
    """CuPy's: not of every dtype, and no masks."""
    if a.dtype.name not in ATOMIC:
        raise TypeError(f"scatter_add does not support {a.dtype}")
    parts = slices if isinstance(slices, tuple) else (slices,)
    if any(getattr(p, "dtype", None) in (np.dtype(bool),) for p in parts):
        raise TypeError("scatter_add takes no masks")
    target, at, given = [unwrapped(v, "scatter_add") for v in (a, slices, value)]
    noted(lambda: np.add.at(target, at, given), changes=target)


def make_cupyx(world: World) -> dict[str, ModuleType]:
    from scipy import special

    @contextmanager
    def errstate(*, linalg: str = "ignore") -> Iterator[None]:
        world.linalg.append(linalg)
        try:
            yield
        finally:
            world.linalg.pop()

    cupyx, scipy = ModuleType("cupyx"), ModuleType("cupyx.scipy")
    functions = ModuleType("cupyx.scipy.special")
    for name in ("erf", "erfc", "erfinv", "gammaln", "digamma", "zeta", "xlogy", "gamma"):
        setattr(functions, name, function(name, getattr(special, name), []))
    cupyx.__dict__.update(scatter_add=scatter_add, errstate=errstate, empty_pinned=empty_pinned)
    return {"cupyx": cupyx, "cupyx.scipy": scipy, "cupyx.scipy.special": functions}
