"""x[...] and x[...] = v with random indices of every kind, beside PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_ai as ta

torch = pytest.importorskip("torch", reason="PyTorch is the reference of these tests")


def random_index(rng: np.random.Generator, shape: tuple[int, ...]) -> list[Any]:
    """Numbers, slices, None, an Ellipsis, lists, index arrays and masks, in any order."""
    block = tuple(rng.integers(1, 4, rng.integers(0, 3)))  # of all index arrays
    parts: list[Any] = []
    dim = 0
    while dim < len(shape) and rng.random() < 0.85:
        n, kind = shape[dim], rng.integers(0, 7)
        if kind == 0 and not any(p is Ellipsis for p in parts):
            parts.append(Ellipsis)
            dim += int(rng.integers(0, len(shape) - dim + 1))
            continue
        if kind == 1:
            parts.append(None)
            continue
        low, high = sorted(rng.integers(0, n + 1, 2).tolist())
        some = rng.integers(-n, n, block)
        parts.append(
            {
                2: int(rng.integers(-n, n)),
                3: slice(low, high, int(rng.integers(1, 3))),
                4: some,
                5: some.tolist(),
                6: rng.random(n) < 0.6,
            }.get(int(kind), slice(None))
        )
        dim += 1
    return parts


def results(lib: Any, values: np.ndarray, parts: list[Any], change: bool) -> list[np.ndarray]:
    """x[index], its gradient, x after x[index] = y, and the gradients of that."""
    index = tuple(lib.tensor(p) if isinstance(p, np.ndarray) else p for p in parts)
    x = lib.tensor(values, requires_grad=True)
    y = x[index]
    (y * y).sum().backward()
    found = [y, x.grad]
    if change:
        a = lib.tensor(values, requires_grad=True)
        v = (y.detach() * 2).requires_grad_()
        z = a * 1
        z[index] = v
        (z * z * z).sum().backward()
        found += [z, a.grad, v.grad]
    return [t.detach().numpy() for t in found]


@pytest.mark.parametrize("seed", range(20))
def test_random_indices_like_pytorch(seed: int) -> None:
    rng = np.random.default_rng(seed)
    compared = 0
    for _ in range(60):
        shape = tuple(rng.integers(1, 5, rng.integers(1, 5)).tolist())
        values, parts = rng.standard_normal(shape), random_index(rng, shape)
        # A place written twice keeps the value of either: nothing to compare.
        change = not any(isinstance(p, (list, np.ndarray)) for p in parts)
        try:
            wanted = results(torch, values, parts, change)
        except (IndexError, RuntimeError):
            with pytest.raises((ta.errors.TinygradError, RuntimeError, IndexError)):
                results(ta, values, parts, change)
            continue
        compared += 1
        for mine, theirs in zip(results(ta, values, parts, change), wanted, strict=True):
            assert mine.shape == theirs.shape, (shape, parts)
            np.testing.assert_allclose(mine, theirs, rtol=1e-12)
    assert compared > 30


def test_a_number_beside_an_index_array_only_selects() -> None:
    x = ta.arange(24).reshape(2, 3, 4)
    assert x[0, :, [0, 1]].shape == (3, 2)  # NumPy: (2, 3)
    x[1, :, ta.tensor([0, 2])] = ta.zeros(3, 2, dtype=ta.int64)
    assert x[1].tolist() == [[0, 13, 0, 15], [0, 17, 0, 19], [0, 21, 0, 23]]
