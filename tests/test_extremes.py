"""Numbers at the edge of what a float holds, as in PyTorch; with compiled kernels and plain."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

import tinygrad_ai as ta
from tinygrad_ai import backend
from tinygrad_ai.backend import native

ROWS = [[1e8, 1e8, 0.0], [1e4, 9990.0, 0.0], [1e6] * 3, [-3e4, -3e4, -3e4], [88.0, -88.0, 0.0]]
INF, NAN = float("inf"), float("nan")


@pytest.fixture(params=["compiled", "plain"], autouse=True)
def kernels(request: pytest.FixtureRequest) -> Iterator[None]:
    if request.param == "compiled":
        yield
        return
    with native.switched_off(backend.numpy):
        yield


def both(data: Any, function: Any, dtype: str = "float32") -> tuple[np.ndarray, ...]:
    """Values and gradients of function(lib, x): ours, then PyTorch's."""
    found = []
    for lib in (ta, torch):
        x = lib.tensor(np.array(data, dtype), requires_grad=True)
        y = function(lib, x)
        y.sum().backward()
        found += [y.detach().numpy(), x.grad.numpy()]
    return found[0], found[1], found[2], found[3]


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("label", [0, 1, 2])
def test_cross_entropy_of_large_scores(label: int, dtype: str, reduction: str) -> None:
    def loss(lib: Any, x: Any) -> Any:
        target = lib.tensor([label] * len(ROWS))
        return lib.nn.functional.cross_entropy(x, target, reduction=reduction)

    y, gx, torch_y, torch_gx = both(ROWS, loss, dtype)
    np.testing.assert_allclose(y, torch_y, rtol=1e-6)
    np.testing.assert_allclose(gx, torch_gx, rtol=1e-5, atol=1e-7)


def test_cross_entropy_does_not_depend_on_a_shift() -> None:
    scores = np.random.default_rng(0).standard_normal((64, 10)).astype("float32")
    shifted = np.float32(4096) + np.round(scores * 512) / 512  # both exact in float32
    label = np.arange(64) % 10
    grads = []
    for x in (np.round(scores * 512) / 512, shifted):
        t = ta.tensor(x, requires_grad=True)
        ta.nn.functional.cross_entropy(t, ta.tensor(label)).backward()
        grads.append(t.grad.numpy())
    np.testing.assert_allclose(grads[0], grads[1], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("data", [[INF, 1.0, -1.0, 0.0], [NAN, -INF, 2.0, -0.0]])
def test_relu_where_nothing_is_finite(data: list[float]) -> None:
    wide = data * 9  # whole vectors, and a part of one
    for function in (
        lambda lib, x: lib.nn.functional.relu(x),
        lambda lib, x: lib.nn.functional.leaky_relu(x),
    ):
        y, gx, torch_y, torch_gx = both(wide, function)
        np.testing.assert_array_equal(y, torch_y)
        np.testing.assert_array_equal(gx, torch_gx)


def test_a_fused_layer_passes_the_gradient_of_an_infinite_output() -> None:
    layer = ta.nn.Linear(1, 1, activation="relu")
    with ta.no_grad():
        layer.weight.fill_(2.0)
        layer.bias.fill_(0.0)
    x = ta.tensor([[INF], [1.0], [-1.0]], requires_grad=True)
    layer(x).sum().backward()
    assert x.grad.tolist() == [[2.0], [2.0], [0.0]]


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop"])
def test_an_infinite_parameter_without_weight_decay_stays_infinite(name: str) -> None:
    found = []
    for lib in (ta, torch):
        p = lib.tensor(np.full(20, INF, "float32"), requires_grad=True)
        p.grad = lib.tensor(np.ones(20, "float32"))
        getattr(lib.optim, name)([p], lr=0.1, weight_decay=0.0).step()
        found.append(p.detach().numpy())
    np.testing.assert_array_equal(*found)


def test_the_mean_over_no_labels_has_no_gradient() -> None:
    def loss(lib: Any, x: Any) -> Any:
        return lib.nn.functional.cross_entropy(x, lib.tensor([-100, -100]))

    y, gx, torch_y, torch_gx = both([[1.0, 2.0], [3.0, -4.0]], loss)
    assert np.isnan(y) and np.isnan(torch_y)
    np.testing.assert_array_equal(gx, torch_gx)
