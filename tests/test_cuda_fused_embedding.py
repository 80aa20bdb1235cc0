"""Embeddings with the simulator's kernels: what the plain entries give, and in which order."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tinygrad_ai as ta
import tinygrad_ai.nn.functional as F
from tests.cuda_entries import DTYPES, Entries, compiled_entries, dtype_of, normal
from tinygrad_ai import backend
from tinygrad_ai.backend import fused_cuda_rows, kernels

every = pytest.mark.parametrize("dtype", DTYPES)


@pytest.fixture
def cuda() -> Iterator[Entries]:
    with compiled_entries() as entries:
        yield entries


CASES = [(padding, often) for padding in (None, 2) for often in (False, True)]


@every
@pytest.mark.parametrize("padding, by_frequency", CASES)
def test_embedding(cuda: Entries, padding: int | None, by_frequency: bool, dtype: str) -> None:
    w = normal(11, 37, dtype=dtype)
    place = np.random.default_rng(1).integers(0, 9, (20, 15))
    for index in (place, place.astype("int32"), place.T, place[:0], place[0, :1].reshape(())):
        cuda.check("embedding", w, index)
        g = normal(*index.shape, 37, dtype=dtype, seed=2)
        cuda.check("embedding_grad", g, index, padding, by_frequency, 11)


def test_every_16_bit_number_is_copied_as_it_is(cuda: Entries) -> None:
    bits = np.arange(1 << 16, dtype=np.uint16).reshape(1024, 64)
    place = np.arange(1024)[::-1]
    for dtype in ("float16", "bfloat16"):
        w, index = cuda.far(bits.view(dtype_of(dtype))), cuda.far(place)
        y = cuda.be.embedding(w, index).get().view(np.uint16)
        assert (y == bits[::-1]).all()


def test_many_places_are_sorted_elsewhere(cuda: Entries, monkeypatch: pytest.MonkeyPatch) -> None:
    g, index = normal(300, 5), np.random.default_rng(0).integers(0, 7, 300)
    few = cuda.be.embedding_grad(*cuda.far([g, index]), None, False, 7)
    assert cuda.called == ["embedding_order", "embedding_grad"]
    monkeypatch.setattr(fused_cuda_rows, "FEW", 299)
    cuda.called.clear()
    many = cuda.be.embedding_grad(*cuda.far([g, index]), None, False, 7)
    assert cuda.called == ["embedding_grad"] and few.get().tobytes() == many.get().tobytes()


def test_the_order_of_additions_is_that_of_the_places(
    cuda: Entries, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With our kernels from the first place to the last; and without, no atomic addition."""
    g = np.array([[1e8], [3.0], [-1e8], [1.0]], np.float32)
    index = np.array([1, 0, 1, 1])
    found = set()
    for order in ("fwd", "rev", "shuffle:1"):
        monkeypatch.setenv("CUSIM_ORDER", order)
        y = cuda.be.embedding_grad(*cuda.far([g, index]), None, False, 3).get()
        found.add(tuple(y[:, 0].tolist()))
    assert found == {(3, 1, 0)}
    monkeypatch.delattr(sys.modules["cupyx"], "scatter_add")
    for seed, count, rows in [(0, 1, 1), (1, 2, 5), (2, 300, 9), (3, 300, 1), (4, 0, 3)]:
        places = np.random.default_rng(seed).integers(0, rows, count)
        g = normal(count, 4, dtype="float64", seed=seed)
        for padding, often in ((None, False), (0, True)):
            mine = cuda.off["embedding_grad"](*cuda.far([g, places]), padding, often, rows)
            want = kernels.TABLE["embedding_grad"](backend.numpy, g, places, padding, often, rows)
            np.testing.assert_allclose(mine.get(), want, rtol=1e-12, atol=1e-12)


def gradients(device: str) -> list[Any]:
    """An embedding's value, its gradient, and the gradient's."""
    r = np.random.default_rng(0)
    w = ta.tensor(r.standard_normal((7, 5)), device=device, requires_grad=True)
    index = ta.tensor(r.integers(0, 7, (4, 3)), device=device)
    y = F.embedding(index, w, padding_idx=2, scale_grad_by_freq=True)
    (first,) = ta.grad((y * y * y).sum(), w, create_graph=True)
    (second,) = ta.grad((first * first).sum(), w)
    return [t.detach().cpu().numpy() for t in (y, first, second)]


def test_gradients_of_gradients(cuda: Entries) -> None:
    for mine, want in zip(gradients("cuda"), gradients("cpu"), strict=True):
        np.testing.assert_allclose(mine, want, rtol=1e-9, atol=1e-12)
    assert {"embedding", "embedding_grad"} <= set(cuda.called)


def test_an_index_outside_is_an_error(cuda: Entries) -> None:
    w = ta.ones(3, 2, device="cuda")
    with pytest.raises(ta.errors.RangeError):
        F.embedding(ta.tensor([0, 3], device="cuda"), w)
