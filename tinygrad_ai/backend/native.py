"""The compiled CPU kernels: they stand in for NumPy's entries, and hand back what is not theirs.

A compiled function answers None for arrays it is not made for (float16, odd strides, ...); then the
plain kernel does the work. `switched_off` puts the plain ones back for a while.
"""

from __future__ import annotations

import hashlib
import operator
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from . import kernels
from .kernels import rows

PACKAGE = Path(__file__).parent
STALE = "its sources changed since it was built: run pip install -e . again"


def _load() -> tuple[Any, str]:
    """The compiled module, or None and why."""
    if os.environ.get("TINYGRAD_AI_NATIVE") == "0":
        return None, "switched off by TINYGRAD_AI_NATIVE=0"
    try:
        from . import _native
    except ImportError as error:
        note = PACKAGE / "native.txt"
        said = note.read_text().strip() if note.exists() else ""
        return None, said or f"it was not built: {error}"
    return (_native, "") if sources() in ("", _native.sources) else (None, STALE)


def sources(kind: str = "cpu") -> str:
    """A digest of the sources, where they lie beside the package: as setup.py makes it."""
    folder = PACKAGE.parent.parent / "csrc"
    files = sorted([*folder.glob("*.h"), *folder.glob(f"{kind}/*")])
    content = b"".join([p.read_bytes() for p in files])
    return hashlib.sha256(content).hexdigest()[:16] if files else ""


module, reason = _load()
ACTS = {name: getattr(module.Act, name or "none") for name in kernels.ACTS} if module else {}


def get_num_threads() -> int:
    """How many threads the compiled kernels use."""
    return module.get_num_threads() if module else 1


def set_num_threads(n: int) -> None:
    """Sets how many threads the compiled kernels use, 1024 at most; ValueError below 1."""
    count = operator.index(n)
    if count < 1:
        raise ValueError(f"expected at least one thread, got {n}")
    if module:
        module.set_num_threads(min(count, 1024))


def _wide(y: Any, x: Any) -> Any:
    """Rows y in the leading shape of x."""
    return y if x.ndim == 2 else y.reshape(*x.shape[:-1], y.shape[-1])


def linear(plain: Any, x: Any, w: Any, b: Any, act: str | None) -> Any:
    y = module.linear(rows(x), w, b, ACTS[act], False)
    return plain(x, w, b, act) if y is None else _wide(y, x)


def linear_z(plain: Any, x: Any, w: Any, b: Any, act: str) -> Any:
    y = module.linear(rows(x), w, b, ACTS[act], True)
    return plain(x, w, b, act) if y is None else (_wide(y[0], x), _wide(y[1], x))


def linear_grad_x(plain: Any, g: Any, v: Any, w: Any, act: str | None) -> Any:
    y = module.linear_grad_x(rows(g), v if v is None else rows(v), w, ACTS[act])
    return plain(g, v, w, act) if y is None else _wide(y, g)


def linear_grad_w(plain: Any, g: Any, v: Any, x: Any, act: str | None) -> Any:
    y = module.linear_grad_w(rows(g), v if v is None else rows(v), rows(x), ACTS[act])
    return plain(g, v, x, act) if y is None else y


def matmul(plain: Any, a: Any, b: Any) -> Any:
    if b.ndim > 2:
        y = module.products(a, b)
    elif b.ndim == 2 and a.ndim > 1:
        y = module.matmul(rows(a), b)
        y = y if y is None else _wide(y, a)
    else:
        y = None
    return plain(a, b) if y is None else y


def flat(x: Any) -> Any:
    """x in memory without gaps: for the kernels of elements and rows, a copy is soon paid back."""
    return x if x.flags.c_contiguous else x.copy()


def activate(plain: Any, x: Any, act: str) -> Any:
    if x.flags.f_contiguous and not x.flags.c_contiguous:  # as it lies: transposing is slow
        return activate(plain, x.T, act).T
    y = module.activate(x, ACTS[act])
    if y is None and not x.flags.c_contiguous:
        y = module.activate(flat(x), ACTS[act])
    return plain(x, act) if y is None else y


def act_grad(plain: Any, g: Any, v: Any, act: str) -> Any:
    if not g.ndim:  # NumPy's arithmetic made a scalar of it
        return plain(g, v, act)
    y = module.act_grad(g, v, ACTS[act])
    if y is None and not (g.flags.c_contiguous and v.flags.c_contiguous):
        y = module.act_grad(flat(g), flat(v), ACTS[act])
    return plain(g, v, act) if y is None else y


def softmax(plain: Any, x: Any, dim: int) -> Any:
    y = module.softmax(flat(x), False) if dim == x.ndim - 1 else None
    return plain(x, dim) if y is None else y


def log_softmax(plain: Any, x: Any, dim: int) -> Any:
    y = module.softmax(flat(x), True) if dim == x.ndim - 1 else None
    return plain(x, dim) if y is None else y


def softmax_grad(plain: Any, g: Any, y: Any, dim: int) -> Any:
    gx = module.softmax_grad(flat(g), flat(y), False) if dim == y.ndim - 1 else None
    return plain(g, y, dim) if gx is None else gx


def log_softmax_grad(plain: Any, g: Any, y: Any, dim: int) -> Any:
    gx = module.softmax_grad(flat(g), flat(y), True) if dim == y.ndim - 1 else None
    return plain(g, y, dim) if gx is None else gx


def layer_norm(plain: Any, x: Any, w: Any, b: Any, eps: float) -> Any:
    y = module.layer_norm(flat(x), w, b, eps)
    return plain(x, w, b, eps) if y is None else y


def layer_norm_grad(plain: Any, g: Any, x: Any, w: Any, mean: Any, rstd: Any) -> Any:
    y = module.layer_norm_grad(flat(g), flat(x), w, mean, rstd)
    return plain(g, x, w, mean, rstd) if y is None else y


def attention(plain: Any, *args: Any) -> Any:
    y = module.attention(*args)
    return plain(*args) if y is None else y


def attention_grad(plain: Any, g: Any, *args: Any) -> Any:
    if g.strides[-1] != g.itemsize:
        g = g.copy()  # of a sum: one number, seen many times
    grads = module.attention_grad(g, *args)
    return plain(g, *args) if grads is None else grads


def embedding(plain: Any, w: Any, index: Any) -> Any:
    y = module.embedding(w, flat(index))
    return plain(w, index) if y is None else y


def embedding_grad(
    plain: Any, g: Any, index: Any, padding: int | None, by_frequency: bool, rows: int
) -> Any:
    if not by_frequency and g.dtype in (np.float32, np.float64):
        y = np.zeros((rows, g.shape[-1]), g.dtype)  # rows that nobody used cost no memory
        if module.embedding_grad(flat(g), flat(index), y, -1 if padding is None else padding):
            return y
    return plain(g, index, padding, by_frequency, rows)


def dropout(plain: Any, x: Any, keep: Any, scale: float) -> Any:
    y = module.dropout(flat(x), keep, scale) if x.ndim else None
    return plain(x, keep, scale) if y is None else y


def cross_entropy(plain: Any, x: Any, *how: Any) -> Any:
    y = module.cross_entropy(x, *how)
    return plain(x, *how) if y is None else y


def cross_entropy_grad(plain: Any, g: Any, *how: Any) -> Any:
    y = module.cross_entropy_grad(np.asarray(g), *how)
    return plain(g, *how) if y is None else y


def adam_step(plain: Any, *lists: Any, **numbers: Any) -> None:
    if not module.adam(*lists, **numbers):
        plain(*lists, **numbers)


def sgd_step(plain: Any, *lists: Any, first: Any, **numbers: Any) -> None:
    for *arrays, begin in zip(*lists, first, strict=True):
        if not module.sgd(*arrays, first=begin, **numbers):
            plain(*[[a] for a in arrays], first=[begin], **numbers)


def rmsprop_step(plain: Any, *lists: Any, **numbers: Any) -> None:
    for arrays in zip(*lists, strict=True):
        if not module.rmsprop(*arrays, **numbers):
            plain(*[[a] for a in arrays], **numbers)


ENTRIES: list[Callable[..., Any]] = [
    linear, linear_z, linear_grad_x, linear_grad_w, matmul, activate, act_grad, softmax,
    log_softmax, softmax_grad, log_softmax_grad, layer_norm, layer_norm_grad, attention,
    attention_grad, embedding, embedding_grad, dropout, cross_entropy, cross_entropy_grad,
    adam_step, sgd_step, rmsprop_step,
]  # fmt: skip


def install(be: Any) -> None:
    """Puts the compiled entries into a backend's table; each keeps the plain one beside it."""
    for entry in ENTRIES if module else ():
        setattr(be, entry.__name__, partial(entry, getattr(be, entry.__name__)))


@contextmanager
def switched_off(be: Any) -> Iterator[None]:
    """Inside the block the backend works with its plain kernels."""
    before = {f.__name__: getattr(be, f.__name__) for f in ENTRIES}
    for name, entry in before.items():
        if getattr(entry, "func", None) in ENTRIES:
            setattr(be, name, entry.args[0])
    try:
        yield
    finally:
        for name, entry in before.items():
            setattr(be, name, entry)
