"""What CuPy lacks or does otherwise than NumPy: entries that stand in for NumPy's on a GPU.

CuPy has no `initial` in reductions, hardly any `ufunc.at`, `accumulate` and `reduceat`, no
read-only arrays and no errors of LAPACK's unless they are asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from importlib import import_module
from types import SimpleNamespace
from typing import Any

from ..errors import DTypeError
from .dtypes import float32, is_bfloat16
from .kernels import rows
from .kernels_nn import shares

TABLE: dict[str, Callable[..., Any]] = {}
IN_BFLOAT16 = frozenset({"linear", "linear_grad_w", "linear_grad_x", "linear_z", "matmul"})


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Enters a function into the table of what is different on CuPy."""
    TABLE[function.__name__.strip("_")] = function
    return function


@kernel
def _max(be: Any, x: Any, axis: Any = None, keepdims: bool = False, initial: Any = None) -> Any:
    """`initial` is the answer where there is nothing to choose from."""
    axes = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    if initial is not None and 0 in [x.shape[a] for a in axes]:
        gone = {a % x.ndim for a in axes}
        shape = [1 if i in gone else n for i, n in enumerate(x.shape) if keepdims or i not in gone]
        return be.full(tuple(shape), initial, x.dtype)
    return be.xp.max(x, axis=axis, keepdims=keepdims)


@kernel
def total(be: Any, x: Any, dim: tuple[int, ...], keepdim: bool) -> Any:
    """A GPU adds in a tree, which keeps the digits of long sums."""
    return be.xp.sum(x, axis=dim, keepdims=keepdim)


@kernel
def single(be: Any, value: Any, dtype: Any) -> Any:
    """Written by a kernel, not copied from the host: a graph can hold it."""
    return be.full((), value, dtype)


@kernel
def matmul(be: Any, a: Any, b: Any) -> Any:
    """Tensor cores multiply matrices of bfloat16. Stacks of them CuPy 14 cannot multiply: these go
    through float32."""
    if not is_bfloat16(a.dtype):
        return be.xp.matmul(a, b)
    if b.ndim == 2:
        return be.xp.matmul(rows(a), b).reshape(*a.shape[:-1], b.shape[1])
    return be.xp.matmul(a.astype(float32), b.astype(float32)).astype(a.dtype)


@kernel
def argsort(be: Any, x: Any, axis: int = -1, kind: str | None = None) -> Any:
    """CuPy's sorting is always stable; some versions have no `kind`."""
    return be.xp.argsort(x, axis=axis)


@kernel
def power(be: Any, a: Any, b: Any) -> Any:
    """Integers to negative powers, of which CuPy makes anything, are rounded towards 0."""
    whole = [getattr(v, "dtype", None) is None or v.dtype.kind in "bui" for v in (a, b)]
    if not all(whole) or isinstance(a, float) or isinstance(b, float):
        return be.xp.power(a, b)
    if not hasattr(b, "dtype"):
        if b < 0:
            raise DTypeError(
                f"expected a power >= 0 for a {a.dtype} tensor, got {b}", "x.float() ** b"
            )
        return be.xp.power(a, b)
    below = b < 0
    y = be.xp.power(a, be.xp.where(below, -b % 2, b))
    return be.xp.where(below & (be.abs(be.xp.asarray(a)) != 1), 0, y).astype(y.dtype)


@kernel
def expanded(be: Any, x: Any, shape: tuple[int, ...]) -> Any:
    return be.xp.broadcast_to(x, shape)


@kernel
def dropout(be: Any, x: Any, keep: Any, scale: float) -> Any:
    """The factor in x's dtype: a choice between two numbers alone would be one of halves."""
    return x * (keep.astype(x.dtype) * scale)


@kernel
def put_along_axis(be: Any, y: Any, index: Any, x: Any, axis: int) -> None:
    y[along(be, index, axis)] = x


def along(be: Any, index: Any, dim: int) -> tuple[Any, ...]:
    """`index` along dim, the places' own numbers elsewhere."""
    return tuple(
        [
            index if i == dim else be.arange(n).reshape([-1 if j == i else 1 for j in range(x)])
            for x in (index.ndim,)
            for i, n in enumerate(index.shape)
        ]
    )


@kernel
def scatter_sum(be: Any, y: Any, index: Any, x: Any) -> None:
    """y[index] += x by atomic additions. Signed integers of 64 bits, for which there are none, add
    as unsigned ones; other small dtypes by way of one that has them."""
    index = without_masks(index)
    value = be.xp.asarray(x, dtype=y.dtype)
    add = import_module("cupyx").scatter_add
    if y.dtype.kind in "f" or y.dtype.name in ("int32", "uint32", "uint64"):
        add(y, index, value)
    elif y.dtype.name == "int64":
        add(y.view("uint64"), index, value.view("uint64"))
    else:
        wide = y.astype("int32")
        add(wide, index, value.astype("int32"))
        y[...] = wide.astype(y.dtype)


def without_masks(index: Any) -> Any:
    """An index whose boolean arrays are the places where they hold."""
    parts = index if isinstance(index, tuple) else (index,)
    found: list[Any] = []
    for part in parts:
        mask = hasattr(part, "dtype") and part.dtype.kind == "b" and part.ndim
        found.extend(part.nonzero() if mask else [part])
    return tuple(found)


@kernel
def combine_at(be: Any, y: Any, index: tuple[Any, ...], x: Any, reduce: str) -> None:
    """y[index] = reduce(y[index], x): in rounds, each of which meets every place at most once."""
    combine = {"prod": be.multiply, "amax": be.maximum, "amin": be.minimum}[reduce]
    numbers = be.arange(y.size).reshape(y.shape)[index].reshape(-1)
    if not numbers.size:
        return
    order = be.argsort(numbers)
    ordered = numbers[order]
    turn = be.arange(numbers.size) - be.searchsorted(ordered, ordered)
    flat, values = y.reshape(-1), x.reshape(-1)
    for i in range(int(turn.max()) + 1):
        chosen = order[turn == i]
        place = numbers[chosen]
        flat[place] = combine(flat[place], values[chosen])
    if flat.data.ptr != y.data.ptr:
        y[...] = flat.reshape(y.shape)


def scan(be: Any, x: Any, dim: int, combine: Callable[[Any, Any], Any]) -> Any:
    """Running results of an associative function along dim, in log n steps (Hillis & Steele)."""
    y, step, lead = x, 1, (slice(None),) * dim
    while step < x.shape[dim]:
        head = y[lead + (slice(None, step),)]
        tail = combine(y[lead + (slice(step, None),)], y[lead + (slice(None, -step),)])
        y, step = be.concatenate([head, tail], axis=dim), 2 * step
    return y


@kernel
def running(be: Any, x: Any, dim: int, largest: bool) -> Any:
    return scan(be, x, dim, be.maximum if largest else be.minimum)


@kernel
def logcumsumexp(be: Any, x: Any, dim: int) -> Any:
    return scan(be, x, dim, be.logaddexp) if x.ndim else x


@kernel
def embedding_grad(
    be: Any, g: Any, index: Any, padding: int | None, by_frequency: bool, rows: int
) -> Any:
    """CuPy has no `reduceat`, and its `scatter_add` adds in no fixed order: running sums of the
    gradients in the order of their rows (Hillis & Steele), the last of which is the row's."""
    flat, places = shares(be, g, index, by_frequency, rows)
    y = be.zeros((rows, g.shape[-1]), g.dtype)
    order = be.argsort(places)
    ordered, sums, step = places[order], flat[order], 1
    while step < places.size:
        same = (ordered[step:] == ordered[:-step])[:, None]
        more = be.where(same, sums[:-step], 0).astype(g.dtype)
        sums, step = be.concatenate([sums[:step], sums[step:] + more]), 2 * step
    last = be.flatnonzero(be.diff(ordered, append=be.full(1, rows, ordered.dtype)))
    y[ordered[last]] = sums[last]
    if padding is not None:
        y[padding] = 0
    return y


@kernel
def windows(
    be: Any, x: Any, size: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> Any:
    """A copy: a view made from strides does not know whose memory it shows."""
    rank, lead = len(size), x.shape[:2]
    out = [
        (n - d * (k - 1) - 1) // s + 1
        for n, k, s, d in zip(x.shape[2:], size, stride, dilation, strict=True)
    ]
    steps = x.strides[2 : 2 + rank]
    strides = (
        *x.strides[:2], *[a * s for a, s in zip(steps, stride)],
        *[a * d for a, d in zip(steps, dilation)],
    )  # fmt: skip
    view = be.lib.stride_tricks.as_strided(x, (*lead, *out, *size), strides)
    return be.xp.array(view, order="C")


def complete(be: Any) -> None:
    """The entries that are not functions of arrays alone."""
    be.linalg = checked_linalg(be)
    for name in ("activate", "act_grad"):  # what linear layers in bfloat16 need of these
        setattr(be, name, through_float32(getattr(be, name)))
    if int(be.xp.__version__.split(".")[0]) < 14:
        for name in MAKERS:
            setattr(be, name, without_bfloat16(be, getattr(be, name)))
    for name in ("sgd_step", "rmsprop_step", "adam_step"):
        setattr(be, name, stepping(be, getattr(be, name)))


def through_float32(work: Callable[..., Any]) -> Callable[..., Any]:
    """A function of arrays, the same of bfloat16 ones, rounded once."""

    @wraps(work)
    def call(x: Any, *args: Any) -> Any:
        if not is_bfloat16(x.dtype):
            return work(x, *args)
        wide = [a.astype(float32) if hasattr(a, "dtype") else a for a in (x, *args)]
        return work(*wide).astype(x.dtype)

    return call


MAKERS = ("converted", "counted", "empty", "eye", "from_host", "full", "ones", "spaced", "zeros")


def without_bfloat16(be: Any, work: Callable[..., Any]) -> Callable[..., Any]:
    """What makes arrays, on a CuPy that has no bfloat16."""

    @wraps(work)
    def call(*args: Any, **kwargs: Any) -> Any:
        for value in (*args, *kwargs.values()):
            if getattr(getattr(value, "dtype", value), "name", "") == "bfloat16":
                raise DTypeError(
                    f"bfloat16 on a GPU needs CuPy 14, this one is {be.xp.__version__}",
                    "pip install -U 'cupy-cuda12x>=14', or use ta.float16",
                )
        return work(*args, **kwargs)

    return call


def checked_linalg(be: Any) -> SimpleNamespace:
    """cupy.linalg, made to raise for a singular matrix as NumPy does."""

    def checked(function: Any) -> Any:
        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with import_module("cupyx").errstate(linalg="raise"):
                return function(*args, **kwargs)

        return call

    names = ("inv", "solve", "det", "slogdet", "cholesky", "qr", "eigh", "svd")
    found = {name: checked(getattr(be.xp.linalg, name)) for name in names}
    return SimpleNamespace(**found)


def stepping(be: Any, step: Any) -> Any:
    """An optimizer's step with each parameter's own GPU as the current device."""

    def call(p: list[Any], *arrays: Any, **numbers: Any) -> None:
        each = {name: numbers.pop(name) for name in ("t", "first") if name in numbers}
        for i, one in enumerate(p):
            mine = {name: values[i : i + 1] for name, values in each.items()}
            with be.xp.cuda.Device(one.device.id):
                step([one], *[a[i : i + 1] for a in arrays], **mine, **numbers)

    return call
