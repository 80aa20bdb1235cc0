"""The CUDA kernels of attention, under the simulator, give what the plain kernels give."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests import cuda_help as c
from tests.cuda_help import close, fill, odd, stack
from tests.cuda_nvrtc import launchers_behind_a_driver
from tinygrad_ai.backend import kernels
from tinygrad_ai.backend import numpy as be

pytestmark = c.needs_compiler
FLOATS = [np.float32, np.float64]
both = pytest.mark.parametrize("dtype", FLOATS)


@pytest.fixture(scope="module", params=["simulator", "simulator behind a driver"])
def cuda(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> c.Launchers:
    if request.param == "simulator behind a driver":
        return launchers_behind_a_driver()
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


def attend(
    cuda: c.Launchers, q: Any, k: Any, v: Any, bias: Any, causal: bool, keep: Any, scores: bool
) -> None:
    """Compares both passes with the plain kernels."""
    lead, rows, keys, dtype = q.shape[:-2], q.shape[-2], k.shape[-2], q.dtype
    scale, grow = 0.4, 1.25
    count = int(np.prod(lead))
    shape = fill(c.Lead, ndim=len(lead), count=count)
    shape.size = (c.INDEX * 6)(*lead)
    wide = None if bias is None else np.broadcast_to(bias, (*lead, rows, keys))
    y, lse = empty(q, *lead, rows, v.shape[-1]), empty(q, *lead, rows)
    forward = fill(
        c.Attention, lead=shape, q=stack(q), k=stack(k), v=stack(v), bias=stack(wide),
        keep=stack(keep), y=stack(y), lse=lse, rows=rows, keys=keys, inner=q.shape[-1],
        outer=v.shape[-1], scale=scale, grow=grow, causal=causal,
    )  # fmt: skip
    cuda.attention(dtype, forward)
    for mine, want in zip((y, lse), plain("attention", q, k, v, bias, scale, causal, keep, grow)):
        close(mine, want)
    g = normal(*y.shape, dtype=dtype, seed=9)
    grads = [empty(q), empty(k), empty(v), empty(q, *lead, rows, keys)]
    names = ("gq", "gk", "gv", "gs") if scores else ("gq", "gk", "gv")
    stacks = {name: stack(a) for name, a in zip(names, grads)}
    space = np.full(count * rows, np.nan, dtype)
    cuda.attention_grad(dtype, fill(c.AttentionGrad, forward=forward, g=stack(g), **stacks), space)
    want = plain("attention_grad", g, q, k, v, bias, y, lse, scale, causal, keep, grow, scores)
    for mine, plainly in zip(grads, want):
        close(mine, plainly)


@both
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("dropped", [False, True])
def test_attention(
    cuda: c.Launchers, causal: bool, biased: bool, dropped: bool, dtype: Any
) -> None:
    for rows, keys, inner, outer in [(5, 7, 4, 3), (33, 40, 65, 17), (40, 33, 128, 128)]:
        q, k, v = (
            normal(2, n, 3, d, dtype=dtype, seed=s).swapaxes(1, 2)  # heads as a layer splits them
            for n, d, s in [(rows, inner, 1), (keys, inner, 2), (keys, outer, 3)]
        )
        bias = normal(rows, keys, dtype=dtype) if biased else None
        if biased:
            bias[2] = -np.inf  # no finite score
            bias[3, 1] = -np.inf
        keep = np.random.default_rng(4).random((2, 3, rows, keys)) < 0.8 if dropped else None
        attend(cuda, q, k, v, bias, causal, keep, scores=rows == 33)


@both
def test_a_nan_in_a_query_stays_in_its_row(cuda: c.Launchers, dtype: Any) -> None:
    q, k, v = (normal(1, 9, 4, dtype=dtype, seed=s) for s in (1, 2, 3))
    q[0, 3, 2] = np.nan
    attend(cuda, q, k, v, None, False, None, True)


def test_heads_that_are_too_wide_are_refused(cuda: c.Launchers) -> None:
    with pytest.raises(AssertionError, match=r"\(1, "):
        cuda.attention(np.float32, fill(c.Attention, inner=129, outer=1))
