"""One program, two libraries: run it with tinygrad_ai and with PyTorch, and compare."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import tinygrad_ai as ta

torch = pytest.importorskip("torch", reason="PyTorch is the reference of these tests")


def flat(value: Any) -> Iterator[Any]:
    """The leaves of nested lists and tuples."""
    if isinstance(value, (list, tuple)):
        for v in value:
            yield from flat(v)
    else:
        yield value


def plain(value: Any) -> Any:
    """A tensor as an array, anything else as it is."""
    return value.detach().numpy() if hasattr(value, "detach") else value


def same(program: Callable[[Any], Any], rtol: float = 1e-12) -> None:
    """program(T) gives the same tensors, numbers and None, T being either library."""
    mine, theirs = list(flat(program(ta))), list(flat(program(torch)))
    assert len(mine) == len(theirs)
    assert any(isinstance(m, (ta.Tensor, float)) for m in mine), "a program that computes nothing"
    for m, t in zip(mine, theirs, strict=True):
        a, b = plain(m), plain(t)
        if isinstance(b, np.ndarray):
            assert a.shape == b.shape and a.dtype == b.dtype
            assert m.requires_grad == t.requires_grad
            np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol)
        else:
            assert a == b
