"""Every op of the table on the stand-in for CuPy: the values and gradients are the CPU's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tinygrad_ai as ta
from tests import fakecupy
from tests.optable import Made, Row
from tests.test_ops import ROWS, Run, assert_close, in_float32
from tinygrad_ai.tensor import Tensor


@pytest.fixture
def cupy() -> Iterator[Any]:
    with fakecupy.installed() as module:
        yield module


def on_cuda(m: Made) -> Tensor:
    return ta.tensor(m.array, device="cuda", requires_grad=m.grad)


def on_cpu(m: Made) -> Tensor:
    return ta.tensor(m.array, requires_grad=m.grad)


class CudaRun(Run):
    """A row run on the GPU."""

    def weight(self, y: Any, rng: np.random.Generator) -> Any:
        return super().weight(y, rng).to(y.device)


def check(row: Row, make: Any, rtol: float) -> None:
    far, near = CudaRun(row, make=make(on_cuda)), Run(row, make=make(on_cpu))
    assert len(far.outputs) == len(near.outputs)
    if not near.outputs:
        assert far.raw == near.raw
    for a, b in zip(far.outputs, near.outputs, strict=True):
        assert a.device == "cuda:0" and a.dtype == b.dtype
        assert_close(a, b, rtol)
    order = min(row.order, 2)
    for first, second in zip(far.gradients(order), near.gradients(order), strict=True):
        for a, b in zip(first, second, strict=True):
            assert a is None or a.device == "cuda:0"
            assert_close(a, b, rtol)


@pytest.mark.parametrize("row", ROWS)
def test_values_and_gradients(row: Row, cupy: Any) -> None:
    check(row, lambda make: make, 1e-9)


@pytest.mark.parametrize("row", ROWS)
def test_in_float32(row: Row, cupy: Any) -> None:
    check(row, in_float32, 2e-4)
