"""The entries of fused_cuda_rows.py with the simulator's kernels: what the plain ones give."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tinygrad_ai as ta
import tinygrad_ai.nn.functional as F
from tests.cuda_entries import DTYPES, Entries, compiled_entries, dtype_of, normal, special_rows
from tinygrad_ai.backend import capture

every = pytest.mark.parametrize("dtype", DTYPES)


@pytest.fixture
def cuda() -> Iterator[Entries]:
    with compiled_entries() as entries:
        yield entries


@every
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax(cuda: Entries, name: str, dtype: str) -> None:
    shapes = [(3, 1), (70, 10), (2, 5, 33), (2, 1025), (3, 1024), (0, 5), (3, 0), (4,)]
    inputs = [(3 * normal(*s).astype("f8")).astype(dtype_of(dtype)) for s in shapes]
    for x in [*inputs, special_rows(dtype), normal(9, 5, dtype=dtype).T]:
        y = cuda.check(name, x, x.ndim - 1).get()
        g = normal(*x.shape, dtype=dtype, seed=1)
        cuda.check(name + "_grad", g, y, x.ndim - 1)
        assert cuda.called == ["softmax_grad"]
    one = np.broadcast_to(np.ones((), dtype_of(dtype)), y.shape)  # a sum's gradient
    cuda.check(name + "_grad", one, y, 1)


def test_softmax_that_is_not_for_the_kernels(cuda: Entries) -> None:
    x = cuda.far(normal(4, 5))
    for name in ("softmax", "log_softmax"):
        y = getattr(cuda.be, name)(x, 0)
        np.testing.assert_allclose(y.get(), cuda.off[name](x, 0).get())
        cuda.be.log_softmax_grad(y, y, 0)
    assert not cuda.called


HOW = [(r, w) for r in ("none", "sum", "mean") for w in (False, True)]


@every
@pytest.mark.parametrize("reduction, weighted", HOW)
def test_cross_entropy(cuda: Entries, reduction: str, weighted: bool, dtype: str) -> None:
    strided = normal(10, 6, dtype=dtype).T
    for x in (normal(40, 10, dtype=dtype), special_rows(dtype), normal(3, 1100), strided):
        x = x.astype(dtype_of(dtype))
        rows, classes = x.shape
        target = np.random.default_rng(2).integers(0, classes, rows)
        target[:1] = -5
        weight = np.abs(normal(classes, dtype=dtype)) if weighted else None
        how = (target, weight, -5, reduction)
        cuda.check("cross_entropy", x, *how)
        g = normal(rows, dtype=dtype, seed=3) if reduction == "none" else np.ones((), x.dtype)
        cuda.check("cross_entropy_grad", g, x, *how)
        cuda.check("cross_entropy", x, target.astype("int32"), *how[1:])


@every
def test_a_mean_over_no_row_is_nan_and_its_gradient_0(cuda: Entries, dtype: str) -> None:
    x, ignored = normal(3, 4, dtype=dtype), np.full(3, -1)
    assert np.isnan(cuda.check("cross_entropy", x, ignored, None, -1, "mean").item())
    g = np.ones((), dtype_of(dtype))
    y = cuda.check("cross_entropy_grad", g, x, ignored, None, -1, "mean").get()
    assert (y.astype("f4") == 0).all()


def test_no_rows(cuda: Entries) -> None:
    x, target = cuda.far(normal(0, 4)), cuda.far(np.zeros(0, np.int64))
    assert cuda.be.cross_entropy(x, target, None, -1, "sum").item() == 0
    assert cuda.be.cross_entropy(x, target, None, -1, "none").shape == (0,)


@pytest.mark.parametrize("wrong", [4, -2])
def test_labels_are_looked_at_but_not_in_a_captured_graph(
    cuda: Entries, wrong: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, target = normal(3, 4), np.array([1, wrong, -1])
    how = (cuda.far(target), None, -1, "none")
    with pytest.raises(ta.errors.RangeError, match=f"from 0 to 3, got {wrong} at position 1"):
        cuda.be.cross_entropy(cuda.far(x), *how)
    assert not cuda.called
    monkeypatch.setattr(capture.active, "capture", capture.Capture(cuda.be))
    loss = cuda.be.cross_entropy(cuda.far(x), *how).get()
    assert np.isnan(loss).tolist() == [False, True, False]
    g = cuda.be.cross_entropy_grad(cuda.far(np.ones(3, "f4")), cuda.far(x), *how).get()
    assert np.isnan(g).all(1).tolist() == [False, True, False]


@every
@pytest.mark.parametrize("shape", [(1, 1), (9, 32), (4, 10, 33), (3, 1030), (300, 7)])
@pytest.mark.parametrize("affine", [False, True])
def test_layer_norm(cuda: Entries, shape: tuple[int, ...], affine: bool, dtype: str) -> None:
    x, g = normal(*shape, dtype=dtype), normal(*shape, dtype=dtype, seed=1)
    x[0, 0] = np.nan if shape == (9, 32) else 2
    w, b = [normal(shape[-1], dtype=dtype, seed=s) if affine else None for s in (2, 3)]
    _, mean, rstd = [y.get() for y in cuda.check("layer_norm", x, w, b, 1e-3)]
    cuda.check("layer_norm_grad", g, x, w, mean, rstd)
    assert cuda.called == ["layer_norm_grad_space", "layer_norm_grad"]


def test_layer_norms_that_are_not_for_the_kernels(cuda: Entries) -> None:
    x, w = cuda.far(normal(3, 4, dtype="float16")), cuda.far(normal(4))
    y, mean, rstd = cuda.be.layer_norm(x, w, None, 1e-5)  # of two dtypes
    assert y.shape == (3, 4)
    cuda.be.layer_norm_grad(x, x, w, mean, rstd)
    empty = cuda.far(normal(0, 4))
    assert cuda.be.layer_norm(empty, None, None, 1e-5)[1].shape == (0, 1)
    assert not cuda.called


def gradients(device: str) -> list[Any]:
    """What a few ops give, and their gradients, second ones too."""
    r = np.random.default_rng(0)
    x, w = [
        ta.tensor(r.standard_normal(s), device=device, requires_grad=True) for s in ((6, 9), (9,))
    ]
    target = ta.tensor(r.integers(0, 9, 6), device=device)
    y = F.layer_norm(x, (9,), w, w * 2)
    loss = F.cross_entropy(y, target) + (F.softmax(y, -1) * F.log_softmax(x, -1)).sum()
    first = ta.grad(loss, [x, w], create_graph=True)
    second = ta.grad(sum((g * g).sum() for g in first), [x, w])
    return [t.detach().cpu().numpy() for t in (loss, *first, *second)]


def test_gradients_of_gradients(cuda: Entries) -> None:
    for mine, want in zip(gradients("cuda"), gradients("cpu"), strict=True):
        np.testing.assert_allclose(mine, want, rtol=1e-9, atol=1e-12)
    used = {"softmax", "softmax_grad", "cross_entropy", "cross_entropy_grad", "layer_norm_grad"}
    assert used <= set(cuda.called)


def test_results_do_not_depend_on_the_order_of_the_threads(
    cuda: Entries, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, g, target = normal(700, 40), normal(700, 40, seed=1), np.arange(700) % 40
    found = set()
    for order in ("fwd", "rev", "shuffle:3"):
        monkeypatch.setenv("CUSIM_ORDER", order)
        loss = cuda.be.cross_entropy(*cuda.far([x, target]), None, -1, "mean")
        _, mean, rstd = cuda.be.layer_norm(cuda.far(x), None, None, 1e-5)
        sums = cuda.be.layer_norm_grad(*cuda.far([g, x]), None, mean, rstd)
        found.add(b"".join(y.get().tobytes() for y in (loss, *sums)))
    assert len(found) == 1


def test_what_the_bindings_refuse(cuda: Entries) -> None:
    kind = cuda.compiled.Dtype.float32
    with pytest.raises(ValueError, match="expected no size below 0, got -1"):
        cuda.compiled.softmax(kind, False, 0, 0, -1, 4, 0)
    with pytest.raises(TypeError):
        cuda.compiled.softmax("float32", False, 0, 0, 1, 4, 0)
