"""`python -m benchmarks.gpu_smoke`: each kernel of ours once, on small odd sizes.

For NVIDIA's compute-sanitizer, under which everything is a hundred times slower. Every array gets
memory of its own, so that an access past one is not an access to another. No PyTorch.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

import tinygrad_ai as ta
import tinygrad_ai.nn.functional as F
from tinygrad_ai import backend
from tinygrad_ai.backend import fused_cuda, fused_cuda_linear, kernels

ROWS, INNER, OUTER = 37, 45, 70
DEVICE = "cuda"
JOBS: dict[str, Callable[[Any], Any]] = {}  # each takes a dtype and gives tensors


def job(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    JOBS[function.__name__.strip("_")] = function
    return function


def numbers(*shape: int, dtype: Any = None) -> Any:
    """The same each time, and such that a gradient is asked for."""
    r = np.random.default_rng(len(shape) + sum(shape))
    x = ta.tensor(r.standard_normal(shape).astype(np.float32), device=DEVICE)
    return (x if dtype is None else x.to(dtype)).requires_grad_()


def with_gradients(y: Any, *inputs: Any) -> list[Any]:
    """The result, and the gradients of a sum that weighs its parts differently."""
    weights = numbers(*y.shape, dtype=y.dtype).detach()
    (y * weights).sum().backward()
    return [y, *[x.grad for x in inputs]]


@job
def linear(dtype: Any) -> list[Any]:
    found = []
    ways = ["ours", "hopper"] if dtype.itemsize == 2 else ["ours"]
    for way in ways:
        for act in kernels.ACTS:
            inner = 64 if way == "hopper" else INNER  # it wants lines of whole 16 bytes
            args = [numbers(*s, dtype=dtype) for s in ((ROWS, inner), (OUTER, inner), (OUTER,))]
            with fused_cuda_linear.products(way):
                found += with_gradients(F.linear(*args, act=act), *args)
    return found


@job
def tensor_cores(dtype: Any) -> list[Any]:
    """Tiles of every shape, and TF32."""
    found = []
    before = ta.get_float32_matmul_precision()
    ta.set_float32_matmul_precision("high")
    try:
        with fused_cuda_linear.products("ours"):
            for m, n, k in ((129, 130, 67), (256, 264, 64)):
                args = [numbers(*s, dtype=dtype) for s in ((m, k), (n, k), (n,))]
                found += with_gradients(F.linear(*args, act="gelu"), *args)
    finally:
        ta.set_float32_matmul_precision(before)
    return found


@job
def activations(dtype: Any) -> list[Any]:
    found = []
    for act in (F.relu, F.gelu, F.silu, F.sigmoid, F.tanh):
        x = numbers(ROWS, INNER, dtype=dtype)
        found += with_gradients(act(x), x)
    return found


@job
def rows(dtype: Any) -> list[Any]:
    found = []
    for width in (3, INNER, 1100):  # a thread, a warp, a block for a row
        for function in (F.softmax, F.log_softmax):
            x = numbers(5, width, dtype=dtype)
            found += with_gradients(function(x, dim=-1), x)
        x, w, b = (numbers(*s, dtype=dtype) for s in ((5, width), (width,), (width,)))
        found += with_gradients(F.layer_norm(x, (width,), w, b), x, w, b)
        x = numbers(5, width, dtype=dtype)
        labels = ta.tensor([0, 1, 2, 0, 1], device=DEVICE)
        found += with_gradients(F.cross_entropy(x, labels).reshape(1), x)
    return found


@job
def attention(dtype: Any) -> list[Any]:
    found = []
    for causal in (False, True):
        q, k, v = (numbers(2, 3, ROWS, 64, dtype=dtype) for _ in range(3))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
        found += with_gradients(y, q, k, v)
    return found


@job
def embedding(dtype: Any) -> list[Any]:
    w = numbers(11, INNER, dtype=dtype)
    places = ta.tensor([[0, 10, 3], [3, 3, 7]], device=DEVICE)
    return with_gradients(F.embedding(places, w), w)


@job
def dropout(dtype: Any) -> list[Any]:
    x = numbers(ROWS, INNER, dtype=dtype)
    return with_gradients(F.dropout(x, 0.5, training=True), x)


@job
def random(dtype: Any) -> list[Any]:
    draws = (ta.rand, ta.randn)
    found = [draw(ROWS, INNER, device=DEVICE).to(dtype) for draw in draws]
    return [*found, ta.randint(0, 10, (ROWS,), device=DEVICE), ta.randperm(ROWS, device=DEVICE)]


@job
def optimizers(dtype: Any) -> list[Any]:
    makers: list[Callable[[Any], Any]] = [  # an eps that half precision has
        lambda p: ta.optim.Adam(p, amsgrad=True, eps=1e-3),
        lambda p: ta.optim.AdamW(p, eps=1e-3),
        lambda p: ta.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
        lambda p: ta.optim.RMSprop(p, momentum=0.5, centered=True, eps=1e-3),
    ]
    params = [numbers(n, dtype=dtype) for n in (1, 1025)]
    for make in makers:
        for p in params:
            p.grad = numbers(*p.shape, dtype=dtype).detach()
        optimizer = make(params)
        optimizer.step()
        optimizer.step()
    return params


def main() -> int:
    be = backend.on("cuda")
    if why := fused_cuda.load()[1]:
        print(f"no compiled kernels: {why}")
        return 1
    be.xp.cuda.set_allocator(None)
    names = [name for name in ("float32", "float16", "bfloat16") if hasattr(ta, name)]
    return run([getattr(ta, name) for name in names])


def run(dtypes: list[Any]) -> int:
    """Every job with every dtype; the exit code."""
    failed = 0
    for name, function in JOBS.items():
        for dtype in dtypes:
            try:
                found = [t.detach().float().cpu().numpy() for t in function(dtype)]
                said = "ok" if all([np.isfinite(x).all() for x in found]) else "not finite"
            except Exception as error:
                said = f"{type(error).__name__}: {error}"
            failed += said != "ok"
            print(f"{name} {dtype}: {said}", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
