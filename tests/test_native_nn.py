"""The compiled kernels of layers: on every instruction set the same as the plain ones."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

import tinygrad_ai as ta
import tinygrad_ai.nn.functional as F
from tests.native_help import FLOATS, NATIVE, all_close, both, close, layouts, normal
from tinygrad_ai.backend import native
from tinygrad_ai.backend import numpy as be

pytestmark = NATIVE

SHAPES = [(1, 1), (3, 10), (7, 33), (200, 17), (2, 3, 65), (40, 1000), (9, 130)]
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)
each_float = pytest.mark.parametrize("dtype", FLOATS)


@each_float
@every_shape
def test_softmax_gradients(isa: str, threads: int, shape: Any, dtype: Any) -> None:
    g, x = normal(*shape, dtype=dtype), normal(*shape, dtype=dtype, seed=1) * 5
    for entry in ("softmax", "log_softmax"):
        y = getattr(be, entry)(x, x.ndim - 1)
        close(*both(f"{entry}_grad", g, y, x.ndim - 1))
        close(*both(f"{entry}_grad", g, y, 0))
        close(*both(f"{entry}_grad", np.broadcast_to(dtype(2), shape), y, x.ndim - 1))


def test_gradients_of_what_is_not_finite(isa: str) -> None:
    y = np.array([[0.2, 0.3, 0.5], [0, 0, 1], [0, 0, 1], [np.nan, 0, 0]], np.float32)
    g = np.array([[1, np.nan, 2], [np.inf, 1, 1], [1, 1, -np.inf], [1, 2, 3]], np.float32)
    for entry in ("softmax_grad", "log_softmax_grad"):
        mine, plain = both(entry, np.tile(g, (1, 9)), np.tile(y, (1, 9)), 1)
        np.testing.assert_allclose(mine, plain, rtol=1e-5)


@each_float
@every_shape
def test_layer_norm(isa: str, threads: int, shape: Any, dtype: Any) -> None:
    x, g = normal(*shape, dtype=dtype) + 3, normal(*shape, dtype=dtype, seed=1)
    weight, bias = (normal(shape[-1], dtype=dtype, seed=s) for s in (2, 3))
    for w, b in [(weight, bias), (None, bias), (weight, None), (None, None)]:
        mine, plain = both("layer_norm", x, w, b, 1e-5)
        all_close(mine, plain)
        all_close(*both("layer_norm_grad", g, x, w, *plain[1:]))


@each_float
def test_layouts_of_rows(isa: str, dtype: Any) -> None:
    x, g, w = normal(35, 50, dtype=dtype), normal(35, 50, dtype=dtype, seed=1), normal(100)[::2]
    for a, b in zip(layouts(x), layouts(g)[::-1], strict=True):
        mine, plain = both("layer_norm", a, w.astype(dtype), None, 1e-5)
        all_close(mine, plain)
        all_close(*both("layer_norm_grad", b, a, w.astype(dtype), *plain[1:]))
        close(*both("softmax", a, 1))
        close(*both("softmax_grad", b, be.softmax(a, 1), 1))
        close(*both("activate", a, "gelu"))
        close(*both("act_grad", b, a, "gelu"))
        close(*both("dropout", a, b > 0, 1.5))


@pytest.mark.parametrize("name", ["relu", "gelu", "silu", "leaky_relu", "dropout"])
def test_gradients_of_a_number_without_dimensions(isa: str, name: str) -> None:
    slopes = []
    for start in (2.0, [2.0]):
        ta.manual_seed(1)
        x = ta.tensor(start, dtype=ta.float64, requires_grad=True)
        y = getattr(F, name)(3 * x)
        (y * y).sum().backward()  # the rule of mul gives a scalar of NumPy's
        slopes.append(x.grad.item())
    assert slopes[0] == pytest.approx(slopes[1], rel=1e-12) and slopes[1] != 0


@each_float
@pytest.mark.parametrize("shape", [(3, 7), (1, 1), (5, 1), (1, 5), (0, 3), (200, 257)], ids=str)
def test_activations_of_slices(isa: str, threads: int, shape: Any, dtype: Any) -> None:
    """Rows that lie apart: a half of a matrix, every second row, a step of 0, three dimensions."""
    x = normal(shape[0] * 2, shape[1] * 2, dtype=dtype)
    parts = [x[::2, shape[1] :], x[::2, ::2], x[:0:-2, : shape[1]]]
    parts.append(np.broadcast_to(x[:1, : shape[1]], shape))
    for a in [*parts, *[part[:, None] for part in parts], parts[0][None], parts[0].T]:
        close(*both("activate", a, "silu"))
        for b in (a, a.copy(), np.broadcast_to(dtype(2), a.shape)):
            close(*both("act_grad", a, b, "tanh"))
            close(*both("act_grad", b, a, "silu"))


def test_layer_norm_of_what_is_not_finite(isa: str) -> None:
    x = np.ones((4, 37), np.float32)
    x[1, 3], x[2, 5] = np.nan, np.inf
    mine, plain = both("layer_norm", x, None, None, 1e-5)
    for a, b in zip(mine, plain, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)
    g = normal(4, 37)
    g[0, 0] = np.inf
    for a, b in zip(*both("layer_norm_grad", g, x, None, *plain[1:]), strict=True):
        np.testing.assert_array_equal(np.isnan(a), np.isnan(b))


def attention_inputs(lead: Any, rows: int, keys: int, inner: int, outer: int, dtype: Any) -> Any:
    shapes = [(rows, inner), (keys, inner), (keys, outer)]
    return [normal(*lead, *s, dtype=dtype, seed=i) for i, s in enumerate(shapes)]


# Leading dimensions, queries, keys, inner and outer width: within a block, at its end, beyond it.
ATTENTIONS = [
    ((), 1, 1, 1, 1), ((2,), 3, 5, 4, 2), ((2, 3), 128, 128, 16, 16), ((1,), 129, 300, 33, 7),
    ((2, 1, 2), 5, 257, 3, 65), ((3,), 300, 40, 20, 20),
]  # fmt: skip


@each_float
@pytest.mark.parametrize("size", ATTENTIONS, ids=str)
@pytest.mark.parametrize("causal", [False, True])
def test_attention(isa: str, threads: int, size: Any, causal: bool, dtype: Any) -> None:
    lead, rows, keys = size[:3]
    q, k, v = attention_inputs(*size, dtype)
    forms = [(keys,), (rows, 1), (rows, keys), (*[1] * len(lead), 1, keys), (*lead, rows, keys)]
    for bias in [None, *[normal(*s, dtype=dtype, seed=7) for s in forms]]:
        keep = normal(*lead, rows, keys, seed=9) > -1 if bias is None else None
        mine, plain = both("attention", q, k, v, bias, 0.3, causal, keep, 1.2)
        all_close(mine, plain)
        g = normal(*plain[0].shape, dtype=dtype, seed=8)
        for scores in (False, bias is not None):
            args = (g, q, k, v, bias, *plain, 0.3, causal, keep, 1.2, scores)
            all_close(*both("attention_grad", *args))


@each_float
def test_attention_of_heads_and_odd_layouts(isa: str, dtype: Any) -> None:
    """Heads as transposed views: results come in the same layout. And any steps at all."""
    q, k, v = (normal(2, 20, 3, 8, dtype=dtype, seed=s).swapaxes(1, 2) for s in range(3))
    mine, plain = both("attention", q, k, v, None, 0.3, False, None, 1.0)
    all_close(mine, plain)
    assert mine[0].swapaxes(1, 2).flags.c_contiguous
    grads, plain_grads = both(
        "attention_grad", q, q, k, v, None, *plain, 0.3, False, None, 1.0, False
    )
    all_close(grads, plain_grads)
    assert all(g.swapaxes(1, 2).flags.c_contiguous for g in grads)
    spread = np.broadcast_to(dtype(0.5), plain[0].shape)
    all_close(*both("attention_grad", spread, q, k, v, None, *plain, 0.3, True, None, 1.0, False))
    for a, b, c in zip(*[layouts(normal(30, 40, dtype=dtype, seed=s)) for s in range(3)]):
        mine, plain = both("attention", a, b[:, ::1], c, None, 0.3, True, None, 1.0)
        all_close(mine, plain)
        all_close(*both("attention_grad", c, a, b, c, None, *plain, 0.3, True, None, 1.0, False))
    once = np.broadcast_to(q[:1], q.shape)  # a step of 0
    all_close(*both("attention", once, k, v, None, -0.3, False, None, 1.0))


def test_attention_that_sees_nothing_or_what_is_not_finite(isa: str) -> None:
    q, k, v = attention_inputs((2,), 150, 140, 8, 8, np.float32)
    bias = np.zeros((150, 140), np.float32)
    bias[3], bias[7, :129], bias[149] = -np.inf, -np.inf, -np.inf
    mine, plain = both("attention", q, k, v, bias, 0.3, False, None, 1.0)
    all_close(mine, plain)
    assert (mine[0][:, 3] == 0).all() and (mine[1][:, 3] == 0).all()
    grads = both(
        "attention_grad", v[:, :1] + q * 0, q, k, v, bias, *plain, 0.3, False, None, 1.0, True
    )
    all_close(*grads)
    for odd in (np.nan, np.inf):
        bias[:] = 0
        bias[0, 0], bias[9, 139] = odd, odd
        mine, plain = both("attention", q, k, v, bias, 0.3, False, None, 1.0)
        for a in (mine, plain):
            assert np.isnan(a[0][:, [0, 9]]).all() and np.isfinite(a[0][:, 1:9]).all()


def test_attention_does_not_depend_on_threads() -> None:
    q, k, v = attention_inputs((3,), 300, 270, 16, 24, np.float32)
    before, found = ta.get_num_threads(), []
    for n in (1, 2, 3, 5):
        ta.set_num_threads(n)
        y, lse = be.attention(q, k, v, None, 0.2, True, None, 1.0)
        found.append(
            [y, lse, *be.attention_grad(y + 1, q, k, v, None, y, lse, 0.2, True, None, 1.0, False)]
        )
    ta.set_num_threads(before)
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("causal", [False, True])
def test_attention_keeps_no_matrix_of_scores(causal: bool) -> None:
    """Forward and backward together stay below a quarter of one (L, S) matrix per head."""
    heads, length = 2, 2048
    q, k, v = [ta.randn(heads, length, 16, requires_grad=True) for _ in range(3)]
    tracemalloc.start()
    F.scaled_dot_product_attention(q, k, v, is_causal=causal).sum().backward()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < heads * length * length * 4 / 4


@each_float
@pytest.mark.parametrize("size", [(0, 3), (1, 1), (5, 2), (100, 33), (1000, 130)], ids=str)
def test_embedding_gradient(isa: str, threads: int, size: Any, dtype: Any) -> None:
    g = normal(*size, dtype=dtype)
    index = np.random.default_rng(0).integers(0, 7, size[0])
    for padding in (None, 3):
        for by_frequency in (False, True):
            close(*both("embedding_grad", g, index, padding, by_frequency, 9))
    table = normal(7, size[1], dtype=dtype)
    for w, at in [(table, index), (table[::-1], index), (table, index[None, ::-1])]:
        np.testing.assert_array_equal(*both("embedding", w, at))
    close(*both("embedding_grad", g[:, None], index[:, None], None, False, 9))
    spread = np.broadcast_to(dtype(2), g.shape)
    close(*both("embedding_grad", spread, index[::-1], None, False, 9))


def test_embedding_gradient_refuses_an_index_outside(isa: str) -> None:
    with pytest.raises(IndexError, match=r"index 7 is not in \[0, 7\)"):
        native.module.embedding_grad(normal(1, 2), np.array([7]), np.zeros((7, 2), "f4"), -1)
    with pytest.raises(IndexError, match=r"index -1 is not in \[0, 7\)"):
        native.module.embedding(normal(7, 2), np.array([0, -1]))


@each_float
@pytest.mark.parametrize("size", [0, 1, 7, 64, 1001, 100_000])
def test_dropout(isa: str, threads: int, size: int, dtype: Any) -> None:
    x = normal(size, dtype=dtype)
    x[: size // 4 : 3] = np.nan
    x[1 : size // 4 : 3] = -np.inf
    keep = np.random.default_rng(0).random(size) < 0.5
    np.testing.assert_array_equal(*both("dropout", x, keep, 1.3))
    np.testing.assert_array_equal(*both("dropout", x, keep[:1], 1.3))  # whole blocks: plain


def test_dropout_draws_the_same_with_and_without() -> None:
    x = ta.ones(3, 5, 7)
    ta.manual_seed(3)
    fast = F.dropout(x, 0.3)
    ta.manual_seed(3)
    with native.switched_off(be):
        assert ta.equal(F.dropout(x, 0.3), fast)


# Of a and b: leading dimensions that are equal, broadcast, few and many; sizes of no tile.
BATCHES = [
    ((2, 3, 4), (2, 4, 5)), ((2, 1, 3, 4), (3, 4, 5)), ((3, 4), (2, 4, 5)),
    ((3, 70, 33), (3, 33, 65)), ((50, 7, 9), (50, 9, 3)), ((2, 3, 1), (2, 1, 5)),
    ((0, 2, 3), (0, 3, 4)), ((2, 0, 3), (2, 3, 4)), ((2, 3, 0), (2, 0, 4)), ((1, 2, 3), (5, 3, 1)),
]  # fmt: skip


@each_float
@pytest.mark.parametrize("shapes", BATCHES, ids=str)
def test_stacked_products(isa: str, threads: int, shapes: Any, dtype: Any) -> None:
    a, b = normal(*shapes[0], dtype=dtype), normal(*shapes[1], dtype=dtype, seed=1)
    close(*both("matmul", a, b))
    close(*both("matmul", a.swapaxes(-1, -2).copy().swapaxes(-1, -2), b))
    close(*both("matmul", a, b.swapaxes(-1, -2).copy().swapaxes(-1, -2)))
    close(*both("matmul", a[..., ::-1], b[..., ::-1, :]))
    wide = np.repeat(np.repeat(b, 2, -1), 3, 0)
    close(*both("matmul", a, wide[::3, ..., ::2]))
    odd = np.zeros(b.nbytes + 1, np.uint8)[1:].view(dtype).reshape(b.shape)
    odd[...] = b
    close(*both("matmul", a, odd))


def test_products_left_to_numpy() -> None:
    close(*both("matmul", normal(2, 3, 4), normal(2, 4, 5, dtype=np.float64)))
    whole = np.arange(24).reshape(2, 3, 4)
    np.testing.assert_array_equal(*both("matmul", whole, whole.swapaxes(1, 2)))
    many = normal(*[1] * 7, 2, 3)
    close(*both("matmul", many, many.swapaxes(-1, -2)))
    for lead in ((2, 3), (3, 1)):
        with pytest.raises(ValueError):
            both("matmul", normal(2, 4, 5), normal(*lead, 4, 5))


def step() -> list[np.ndarray]:
    ta.manual_seed(0)
    layer = ta.nn.TransformerEncoderLayer(24, 3, 40, dropout=0.1, batch_first=True)
    table = ta.nn.Embedding(50, 24, padding_idx=0)
    places = ta.randint(0, 50, (4, 9))
    loss = F.log_softmax(layer(table(places)), -1)[..., 0].mean()
    loss.backward()
    return [loss.detach().numpy(), *[p.grad.numpy() for p in (*layer.parameters(), table.weight)]]


def test_a_transformer_with_and_without() -> None:
    fast = step()
    with native.switched_off(be):
        plain = step()
    all_close(fast, plain)
