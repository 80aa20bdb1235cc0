"""The table of ops: a row names a function and sample inputs, and PyTorch's twin is implied.

Rows live in tests/table/*.py; tests/test_ops.py makes every test of every op from them.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

import tinygrad_ai as ta


@dataclass(frozen=True)
class Input:
    """A recipe for one tensor: `make(rng)` gives its values, float64 ones are differentiated."""

    make: Callable[[np.random.Generator], np.ndarray]
    grad: bool = True


def t(*shape: int) -> Input:
    """Normally distributed."""
    return Input(lambda rng: rng.standard_normal(shape))


def pos(*shape: int) -> Input:
    """Between 0.2 and 2."""
    return Input(lambda rng: rng.uniform(0.2, 2.0, shape))


def unit(*shape: int) -> Input:
    """Between -0.9 and 0.9."""
    return Input(lambda rng: rng.uniform(-0.9, 0.9, shape))


def far(*shape: int) -> Input:
    """Normal, but no closer than 0.1 to zero, where a kink may be."""

    def make(rng: np.random.Generator) -> np.ndarray:
        x = rng.standard_normal(shape)
        return np.asarray(x + np.where(x < 0, -0.1, 0.1))

    return Input(make)


def distinct(*shape: int) -> Input:
    """No two values closer than 0.1, in random order: for sorting and maxima."""

    def make(rng: np.random.Generator) -> np.ndarray:
        n = int(np.prod(shape))
        return (rng.permutation(n) * 0.1 - n * 0.05).reshape(shape)

    return Input(make)


def ints(high: int, *shape: int) -> Input:
    """Integers in [0, high)."""
    return Input(lambda rng: rng.integers(0, high, shape), grad=False)


def bools(*shape: int) -> Input:
    return Input(lambda rng: np.asarray(rng.random(shape) < 0.5), grad=False)


def val(values: Any, dtype: Any = None) -> Input:
    """Exactly these values; differentiated if they are floats."""
    array = np.asarray(values, dtype)
    return Input(lambda rng: array.copy(), grad=array.dtype.kind == "f")


def nograd(*shape: int) -> Input:
    """Normally distributed, not differentiated."""
    return Input(lambda rng: rng.standard_normal(shape), grad=False)


def weights(*shape: int) -> Input:
    """Between 0.2 and 2, not differentiated."""
    return Input(lambda rng: rng.uniform(0.2, 2.0, shape), grad=False)


@dataclass(eq=False)
class Made:
    """An input as made: its values, and whether it is differentiated."""

    array: np.ndarray
    grad: bool


@dataclass
class Row:
    name: str
    inputs: tuple[Any, ...]
    ours: Callable[..., Any]
    theirs: Callable[..., Any]
    kwargs: dict[str, Any]
    kink: bool
    order: int
    rtol: float

    def make(self) -> tuple[Any, Any]:
        """Arguments and keywords with every recipe made; the same values each time."""
        rng = np.random.default_rng(zlib.crc32(f"{self.name}{sorted(self.kwargs)}".encode()))
        return _make(list(self.inputs), rng), _make(self.kwargs, rng)


def _make(value: Any, rng: np.random.Generator) -> Any:
    if isinstance(value, Input):
        return Made(np.asarray(value.make(rng)), value.grad)
    if isinstance(value, dict):
        return {k: _make(v, rng) for k, v in value.items()}
    return type(value)(_make(v, rng) for v in value) if type(value) in (list, tuple) else value


def every(kind: Any, value: Any) -> list[Any]:
    """The objects of a kind in nested lists, tuples and dictionaries, in order."""
    if isinstance(value, kind):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [x for v in value for x in every(kind, v)] if isinstance(value, (list, tuple)) else []


def row(
    name: str,
    *inputs: Any,
    ours: Callable[..., Any] | None = None,
    theirs: Callable[..., Any] | None = None,
    kink: bool = False,
    order: int = 2,
    rtol: float = 1e-10,
    **kwargs: Any,
) -> Row:
    """One row. `name` is looked up in tinygrad_ai and in torch unless functions are given.

    `kink`: finite differences make no sense here, compare with PyTorch only. `order`: how often
    the function is differentiated. `rtol`: only for functions PyTorch itself computes less
    exactly; say why beside the row.
    """
    mine = ours or (lambda *a, **k: reduce(getattr, name.split("."), ta)(*a, **k))
    twin = theirs or (lambda *a, **k: reduce(getattr, name.split("."), _torch())(*a, **k))
    return Row(name, inputs, mine, twin, kwargs, kink, order, rtol)


def _torch() -> Any:
    import torch

    return torch
