"""The CUDA kernels, run on the CPU under the simulator, give what the plain kernels give."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests import cuda_help as c
from tests.cuda_help import close, fill, odd
from tinygrad_ai.backend import kernels
from tinygrad_ai.backend import numpy as be

pytestmark = c.needs_compiler
FLOATS = [np.float32, np.float64]
both = pytest.mark.parametrize("dtype", FLOATS)


@pytest.fixture(scope="module")
def cuda(tmp_path_factory: pytest.TempPathFactory) -> c.Launchers:
    target = tmp_path_factory.mktemp("cuda") / "kernels.so"
    return c.Launchers(c.build(target, "kernels_all.cpp", "-shared", "-fPIC"))


def plain(name: str, *args: Any, **named: Any) -> Any:
    """The plain kernel, in double precision."""
    wide = [a.astype(np.float64) if getattr(a, "dtype", 0) == np.float32 else a for a in args]
    with np.errstate(all="ignore"):
        return kernels.TABLE[name](be, *wide, **named)


def normal(*shape: int, dtype: Any, seed: int = 0) -> np.ndarray:
    return odd(np.random.default_rng(seed).normal(size=shape).astype(dtype))


def empty(like: np.ndarray, *shape: int) -> np.ndarray:
    return odd(np.full(shape or like.shape, np.nan, like.dtype))


def special_rows(dtype: Any, width: int = 37) -> np.ndarray:
    x = normal(7, width, dtype=dtype)
    x[1, 3], x[2, 0], x[3, 5] = np.nan, np.inf, -np.inf
    x[4], x[5], x[6] = -np.inf, 1e30, np.nan
    return x


@both
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax(cuda: c.Launchers, name: str, dtype: Any) -> None:
    shapes = [(3, 1), (70, 10), (5, 33), (2, 1025)]
    for x in [*(3 * normal(*shape, dtype=dtype) for shape in shapes), special_rows(dtype)]:
        x = odd(x)
        y = empty(x)
        getattr(cuda, name)(dtype, fill(c.Rows, x=x, y=y, count=len(x), width=x.shape[1]))
        close(y, plain(name, x, 1))
        g, gx = normal(*x.shape, dtype=dtype, seed=1), empty(x)
        rows = fill(c.RowsGrad, g=g, y=y, gx=gx, count=len(x), width=x.shape[1])
        getattr(cuda, name + "_grad")(dtype, rows)
        close(gx, plain(name + "_grad", g, y, 1))


@both
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy(cuda: c.Launchers, reduction: str, weighted: bool, dtype: Any) -> None:
    for x in (normal(40, 10, dtype=dtype), special_rows(dtype), normal(3, 1100, dtype=dtype)):
        rows, classes = x.shape
        target = np.random.default_rng(2).integers(0, classes, rows)
        target[:1] = -5
        weight = np.abs(normal(classes, dtype=dtype)) if weighted else None
        loss, total = empty(x, rows), empty(x, 1)
        labels = fill(c.Labels, target=target, weight=weight, ignore=-5)
        how = {"labels": labels, "mean": reduction == "mean", "rows": rows, "classes": classes}
        each = reduction == "none"
        cuda.cross_entropy(
            dtype,
            fill(c.CrossEntropy, x=x, loss=loss, total=None if each else total, **how),
        )
        want = plain("cross_entropy", x, target, weight, -5, reduction)
        close(loss if each else total, np.reshape(want, (-1,)))
        g = normal(rows if each else 1, dtype=dtype, seed=3)
        y, space = empty(x), np.zeros(1)
        grad = fill(c.CrossEntropyGrad, g=g, x=x, g_step=int(each), y=y, **how)
        cuda.cross_entropy_grad(dtype, grad, space)
        g = g if each else g[0]
        close(y, plain("cross_entropy_grad", g, x, target, weight, -5, reduction))


@both
def test_a_mean_over_no_row_is_nan_and_its_gradient_0(cuda: c.Launchers, dtype: Any) -> None:
    x, target, one = normal(3, 4, dtype=dtype), np.full(3, -1), np.ones(1, dtype)
    loss, total, y = empty(x, 3), empty(x, 1), empty(x)
    labels = fill(c.Labels, target=target, weight=None, ignore=-1)
    how = {"labels": labels, "mean": True, "rows": 3, "classes": 4}
    cuda.cross_entropy(dtype, fill(c.CrossEntropy, x=x, loss=loss, total=total, **how))
    grad = fill(c.CrossEntropyGrad, g=one, x=x, g_step=0, y=y, **how)
    cuda.cross_entropy_grad(dtype, grad, np.zeros(1))
    assert np.isnan(total[0]) and (y == 0).all()


@both
@pytest.mark.parametrize("act", kernels.ACTS[1:])
def test_activations(cuda: c.Launchers, act: str, dtype: Any) -> None:
    numbers = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-30, -1e-30, 40, -40, 3e4, -3e4]
    x = odd(np.concatenate([normal(300, dtype=dtype), np.array(numbers, dtype)]))
    y, gx, number = empty(x), empty(x), kernels.ACTS.index(act)
    n = len(x)
    how = {"count": n, "act": number, "width": n, "g_row": n, "x_row": n}
    cuda.activate(dtype, fill(c.Elements, x=x, y=y, **how))
    close(y, plain("activate", x, act))
    v = x if "gelu" in act or act == "silu" else y
    v = odd(v[~np.isnan(v)])  # a NaN stays a NaN; the plain slope of relu is 0
    g, gx = normal(len(v), dtype=dtype, seed=1), empty(v)
    how["count"] = len(v)
    cuda.activate_grad(dtype, fill(c.Elements, g=g, x=v, y=gx, **how))
    close(gx, plain("act_grad", g, v, act))


@both
def test_dropout(cuda: c.Launchers, dtype: Any) -> None:
    x = odd(special_rows(dtype).ravel())
    keep, y = np.arange(len(x)) % 3 > 0, empty(x)
    cuda.dropout(dtype, fill(c.Dropout, x=x, keep=keep, y=y, count=len(x), scale=1.5))
    close(y, plain("dropout", x, keep, 1.5))


@both
@pytest.mark.parametrize("shape", [(1, 1), (9, 32), (40, 33), (3, 1030)])
@pytest.mark.parametrize("affine", [False, True])
def test_layer_norm(cuda: c.Launchers, shape: tuple[int, int], affine: bool, dtype: Any) -> None:
    x, g = normal(*shape, dtype=dtype), normal(*shape, dtype=dtype, seed=1)
    x[0, 0] = np.nan if shape == (9, 32) else 2
    rows, width = shape
    w = normal(width, dtype=dtype, seed=2) if affine else None
    b = normal(width, dtype=dtype, seed=3) if affine else None
    y, mean, rstd = empty(x), empty(x, rows, 1), empty(x, rows, 1)
    how = {"x": x, "w": w, "mean": mean, "rstd": rstd, "count": rows, "width": width}
    cuda.layer_norm(dtype, fill(c.LayerNorm, b=b, y=y, eps=1e-3, **how))
    for mine, want in zip((y, mean, rstd), plain("layer_norm", x, w, b, 1e-3)):
        close(mine, want)
    gx, gw, gb = empty(x), empty(x, width), empty(x, width)
    space = np.full(2 * width * 128, np.nan, dtype)
    cuda.layer_norm_grad(dtype, fill(c.LayerNormGrad, g=g, gx=gx, gw=gw, gb=gb, **how), space)
    for mine, want in zip((gx, gw, gb), plain("layer_norm_grad", g, x, w, mean, rstd)):
        close(mine, want)


@both
@pytest.mark.parametrize("padding", [None, 2])
@pytest.mark.parametrize("by_frequency", [False, True])
def test_embedding(cuda: c.Launchers, padding: int | None, by_frequency: bool, dtype: Any) -> None:
    w = normal(11, 37, dtype=dtype)
    place = np.random.default_rng(1).integers(0, 9, 300)
    y = empty(w, 300, 37)
    cuda.embedding(dtype, fill(c.Embedding, w=w, place=place, y=y, count=300, width=37), 11)
    close(y, plain("embedding", w, place))
    g, gw, order = normal(300, 37, dtype=dtype), odd(np.zeros_like(w)), np.zeros(300, np.int64)
    sort = cuda.library.embedding_order
    assert sort(*[ctypes.c_void_p(a.ctypes.data) if a is not None else 300
                  for a in (place, None, order)]) == 0  # fmt: skip
    assert (order == np.argsort(place, kind="stable")).all()
    skip = -1 if padding is None else padding
    grad = fill(c.EmbeddingGrad, g=g, place=place, gw=gw, count=300, width=37, skip=skip)
    cuda.embedding_grad(dtype, grad, 11, order, by_frequency)
    close(gw, plain("embedding_grad", g, place, padding, by_frequency, 11))


@both
@pytest.mark.parametrize("amsgrad", [False, True])
@pytest.mark.parametrize("decay, decoupled", [(0.0, False), (0.1, False), (0.1, True)])
def test_adam(cuda: c.Launchers, amsgrad: bool, decay: float, decoupled: bool, dtype: Any) -> None:
    sizes = [1, 0, 5000, 33]
    p = [normal(n, dtype=dtype, seed=n) for n in sizes]
    states = [[np.zeros(n, dtype) for n in sizes] for _ in range(3)]
    want = [[a.astype(np.float64) for a in arrays] for arrays in (p, *states)]
    numbers = {"beta1": 0.9, "beta2": 0.99, "eps": 1e-8, "weight_decay": decay}
    lr, step = np.array([0.01]), np.zeros(4, np.int64)
    for t in range(1, 4):
        step[:] = t, t, t + 2, t  # one tensor has had more steps
        g = [normal(n, dtype=dtype, seed=10 * t + n) for n in sizes]
        g[3][t] = np.nan
        tensors = (c.AdamTensor * 4)(
            *[
                fill(c.AdamTensor, p=a, g=b, m=m, v=v, v_max=top if amsgrad else None, count=len(a))
                for a, b, m, v, top in zip(p, g, *states)
            ]
        )
        cuda.adam(
            dtype,
            fill(c.AdamList, tensors=ctypes.addressof(tensors), size=4, lr=lr, step=step,
                 step_stride=1, decoupled=decoupled, **numbers),
        )  # fmt: skip
        top = want[3] if amsgrad else [None] * 4
        plain(
            "adam_step", want[0], [a.astype(np.float64) for a in g], *want[1:3], top,
            t=step.tolist(), lr=0.01, decoupled=decoupled, **numbers,
        )  # fmt: skip
    for mine, wanted in zip((p, *states), want):
        for a, b in zip(mine, wanted):
            close(a, b)


@both
@pytest.mark.parametrize("momentum, nesterov", [(0.0, False), (0.9, False), (0.9, True)])
def test_sgd(cuda: c.Launchers, momentum: float, nesterov: bool, dtype: Any) -> None:
    sizes = [33, 0, 5000]
    p = [normal(n, dtype=dtype, seed=n) for n in sizes]
    velocity = [np.zeros(n, dtype) for n in sizes]
    want, moving = ([a.astype(np.float64) for a in x] for x in (p, velocity))
    how = {"momentum": momentum, "dampening": 0 if nesterov else 0.2, "weight_decay": 0.1}
    lr = np.array([0.1])
    for t in range(3):
        g = [normal(n, dtype=dtype, seed=10 * t + n) for n in sizes]
        tensors = (c.SgdTensor * 3)(
            *[
                fill(c.SgdTensor, p=a, g=b, velocity=v if momentum else None, count=len(a),
                     first=t == 0)
                for a, b, v in zip(p, g, velocity)
            ]
        )  # fmt: skip
        cuda.sgd(
            dtype,
            fill(c.SgdList, tensors=ctypes.addressof(tensors), size=3, lr=lr, nesterov=nesterov,
                 **how),
        )  # fmt: skip
        for a, b, v in zip(want, g, moving):
            plain(
                "sgd_step", a, b.astype(np.float64), v if momentum else None, lr=0.1,
                nesterov=nesterov, first=t == 0, **how,
            )  # fmt: skip
    for a, b in zip(p, want):
        close(a, b)


@both
@pytest.mark.parametrize("centered", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_rmsprop(cuda: c.Launchers, centered: bool, momentum: float, dtype: Any) -> None:
    p = normal(5000, dtype=dtype)
    square, mean, velocity = (np.zeros(5000, dtype) for _ in range(3))
    want = [a.astype(np.float64) for a in (p, square, mean, velocity)]
    how = {"alpha": 0.9, "eps": 1e-3, "weight_decay": 0.1, "momentum": momentum}
    lr = np.array([0.01])
    for t in range(3):
        g = normal(5000, dtype=dtype, seed=t + 1)
        tensor = fill(
            c.RmsPropTensor, p=p, g=g, square=square, mean=mean if centered else None,
            velocity=velocity if momentum else None, count=5000,
        )  # fmt: skip
        cuda.rmsprop(
            dtype, fill(c.RmsPropList, tensors=ctypes.addressof(tensor), size=1, lr=lr, **how)
        )
        plain(
            "rmsprop_step", want[0], g.astype(np.float64), want[1],
            want[2] if centered else None, want[3] if momentum else None, lr=0.01, **how,
        )  # fmt: skip
    for mine, wanted in zip((p, square, mean, velocity), want):
        close(mine, wanted)


def layer_norm_sums(cuda: c.Launchers) -> np.ndarray:
    x, g = normal(100, 40, dtype=np.float32), normal(100, 40, dtype=np.float32, seed=1)
    gx, gw, gb, mean, rstd = empty(x), empty(x, 40), empty(x, 40), x[:, 0].copy(), x[:, 1].copy()
    arrays = {"g": g, "x": x, "mean": mean, "rstd": rstd, "gx": gx, "gw": gw, "gb": gb}
    space = np.zeros(2 * 40 * 128, np.float32)
    cuda.layer_norm_grad(np.float32, fill(c.LayerNormGrad, count=100, width=40, **arrays), space)
    return np.concatenate([gx.ravel(), gw, gb])


def total_loss(cuda: c.Launchers) -> np.ndarray:
    x, target = normal(700, 3, dtype=np.float32), np.arange(700) % 3
    loss, lse, total = empty(x, 700), empty(x, 700), empty(x, 1)
    labels = fill(c.Labels, target=target, weight=None, ignore=-1)
    arrays = {"x": x, "loss": loss, "lse": lse, "total": total}
    cuda.cross_entropy(
        np.float32, fill(c.CrossEntropy, labels=labels, mean=True, rows=700, classes=3, **arrays)
    )
    return total


@pytest.mark.parametrize("kernel", [layer_norm_sums, total_loss])
def test_results_do_not_depend_on_the_order_of_the_threads(
    cuda: c.Launchers, kernel: Callable[..., np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    results = []
    for order in ("fwd", "rev", "shuffle:3"):
        monkeypatch.setenv("CUSIM_ORDER", order)
        results.append(kernel(cuda).tobytes())
    assert len(set(results)) == 1
