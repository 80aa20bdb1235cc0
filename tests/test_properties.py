"""What holds for every shape: gradients of broadcasting and of reductions, at random."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hn

import tinygrad_ai as ta
from tests.twins import torch
from tinygrad_ai.autograd.broadcast import sum_to

often = settings(deadline=None, max_examples=60, database=None)

floats = st.floats(-2, 2, allow_nan=False, width=64)
shapes = hn.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3)


def arrays(shape: Any) -> st.SearchStrategy[np.ndarray]:
    return hn.arrays(np.float64, shape, elements=floats)


@st.composite
def broadcastable(draw: Any) -> Any:
    """Two arrays whose shapes broadcast, and a cotangent for the result."""
    found = draw(hn.mutually_broadcastable_shapes(num_shapes=2, min_dims=0, max_dims=4, max_side=3))
    return (*[draw(arrays(s)) for s in found.input_shapes], draw(arrays(found.result_shape)))


@st.composite
def reduced(draw: Any) -> Any:
    """An array, some of its axes (negative ones too, or none, or all), and keepdim."""
    x = draw(shapes.flatmap(arrays))
    axes = draw(st.lists(st.integers(0, max(x.ndim - 1, 0)), unique=True)) if x.ndim else []
    signed = tuple(a - x.ndim if draw(st.booleans()) else a for a in axes)
    return x, draw(st.sampled_from([signed, None])) if x.ndim else None, draw(st.booleans())


def gradients(T: Any, function: Any, inputs: Any, seed: Any) -> tuple[Any, list[Any]]:
    """The value, and first and second-order gradients with uneven cotangents."""
    make = ta.tensor if T is ta else torch.tensor
    xs = [make(x, requires_grad=True) for x in inputs]
    y = function(*xs)
    first = T.autograd.grad(y, xs, make(seed), create_graph=True)
    total = sum(((g * g * (i + 1)).sum() for i, g in enumerate(first)), (y * 0).sum())
    second = T.autograd.grad(total, xs, allow_unused=True, materialize_grads=True)
    return y.detach().numpy(), [g.detach().numpy() for g in (*first, *second)]


def agree(function: Any, inputs: Any, seed: Any) -> None:
    (mine, ours), (value, theirs) = [gradients(T, function, inputs, seed) for T in (ta, torch)]
    assert mine.shape == value.shape
    np.testing.assert_allclose(mine, value, rtol=1e-12, atol=1e-12)
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)


@often
@given(broadcastable(), st.sampled_from(["add", "sub", "mul", "div", "chain"]))
def test_broadcasting(case: Any, name: str) -> None:
    functions = {
        "add": lambda a, b: a + b,
        "sub": lambda a, b: a - b,
        "mul": lambda a, b: a * b,
        "div": lambda a, b: a / (b * b + 1),
        "chain": lambda a, b: (a * b + a).tanh() * b,
    }
    a, b, seed = case
    agree(functions[name], (a, b), seed)


@often
@given(reduced(), st.sampled_from(["sum", "mean", "amax"]))
def test_reductions(case: Any, name: str) -> None:
    x, dim, keepdim = case
    if x.size == 0 and name == "amax":
        return
    if dim == () and name == "amax":
        dim = None

    def function(x: Any) -> Any:
        reduce = getattr(x * x, name)
        if name == "amax":
            return reduce(dim=() if dim is None else dim, keepdim=keepdim)
        return reduce(dim=dim, keepdim=keepdim)

    x = x + np.linspace(0, 0.1, x.size).reshape(x.shape)  # no ties
    with torch.no_grad():
        shape = tuple(function(torch.tensor(x)).shape)
    seed = np.linspace(0.5, 1.5, int(np.prod(shape))).reshape(shape)
    agree(function, (x,), seed)


@often
@given(broadcastable())
def test_sum_to_undoes_broadcast_to(case: Any) -> None:
    """<broadcast(a), g> = <a, sum_to(g)>: each is the other's adjoint."""
    a, _, g = case
    wide = np.broadcast_to(a, g.shape)
    narrow = sum_to(g, shape=a.shape)
    assert narrow.shape == a.shape
    np.testing.assert_allclose((wide * g).sum(), (a * narrow).sum(), rtol=1e-12, atol=1e-12)


@often
@given(shapes.flatmap(arrays), st.lists(st.sampled_from("+*-t"), min_size=1, max_size=12))
def test_random_programs_have_linear_gradients(x: np.ndarray, program: list[str]) -> None:
    """The gradient is linear in the cotangent, and a retained graph gives it again, bit for bit."""
    leaf = ta.tensor(x, requires_grad=True)
    values = [leaf, leaf * 0.5]
    for i, step in enumerate(program):
        a, b = values[-1], values[i % len(values)]
        values.append({"+": a + b, "*": a * b * 0.5, "-": a - b, "t": a.tanh()}[step])
    y = values[-1]
    first, second = [ta.tensor(np.cos(np.arange(x.size) * k).reshape(x.shape)) for k in (1, 2)]
    pull = [ta.grad(y, leaf, s, retain_graph=True)[0].numpy() for s in (first, second, first)]
    both = ta.grad(y, leaf, first + 3.0 * second)[0].numpy()
    assert np.array_equal(pull[0], pull[2])
    np.testing.assert_allclose(both, pull[0] + 3 * pull[1], rtol=1e-9, atol=1e-9)
