"""The entries of fused_cuda_pointwise.py with the simulator's kernels: what the plain ones give."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tinygrad_ai as ta
import tinygrad_ai.nn.functional as F
from tests.cuda_entries import DTYPES, Entries, close, compiled_entries, dtype_of, normal, wide
from tinygrad_ai.backend import kernels

every = pytest.mark.parametrize("dtype", DTYPES)


@pytest.fixture
def cuda() -> Iterator[Entries]:
    with compiled_entries() as entries:
        yield entries


@every
@pytest.mark.parametrize("act", kernels.ACTS[1:])
def test_activations(cuda: Entries, act: str, dtype: str) -> None:
    numbers = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-30, -1e-30, 40, -40, 3e4, -3e4]
    x = np.concatenate([normal(300, dtype=dtype), np.array(numbers).astype(dtype_of(dtype))])
    for z in (x, x[:300].reshape(20, 15).T, x[:1].reshape(()), x[:0].reshape(0, 3)):
        y = cuda.check("activate", z, act).get()
        v = z if kernels.ACTS.index(act) >= kernels.ACTS.index("gelu") else y
        cuda.check("act_grad", normal(*z.shape, dtype=dtype, seed=1), v, act)
        assert cuda.called == ["activate_grad"]


def test_activations_that_are_not_for_the_kernels(cuda: Entries) -> None:
    x = cuda.far(np.arange(-2, 3))
    assert cuda.be.activate(x, "relu").tolist() == [0, 0, 0, 1, 2]
    g = cuda.far(normal(5))
    assert cuda.be.act_grad(g, x, "relu").shape == (5,)
    assert not cuda.called


@every
def test_dropout(cuda: Entries, dtype: str) -> None:
    x = normal(7, 37, dtype=dtype)
    x[0, 1], x[0, 2], x[0, 3] = np.inf, np.nan, -np.inf
    keep = np.arange(x.size).reshape(x.shape) % 3 > 0
    cuda.check("dropout", x, keep, 1.5)
    cuda.check("dropout", x.T, keep.T, 1.5)
    cuda.check("dropout", x[:0], keep[:0], 1.5)
    cuda.called.clear()
    row = cuda.far(keep[0])  # one mask for all rows
    close(cuda.be.dropout(cuda.far(x[1:]), row, 2.0).get(), wide(x[1:]) * (2.0 * keep[0]))
    assert not cuda.called


def gradients(device: str) -> list[Any]:
    """What a few ops give, and their gradients, second ones too."""
    x = ta.tensor(normal(4, 5, dtype="float64"), device=device, requires_grad=True)
    loss = (F.gelu(x) * F.silu(x) + ta.tanh(x) * F.relu(x)).sum()
    (first,) = ta.grad(loss, x, create_graph=True)
    (second,) = ta.grad((first * first).sum(), x)
    return [t.detach().cpu().numpy() for t in (loss, first, second)]


def test_gradients_of_gradients(cuda: Entries) -> None:
    for mine, want in zip(gradients("cuda"), gradients("cpu"), strict=True):
        np.testing.assert_allclose(mine, want, rtol=1e-9, atol=1e-12)
    assert {"activate", "activate_grad"} <= set(cuda.called)
