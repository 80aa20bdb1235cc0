"""Attention on a GPU, forward and backward: ours beside PyTorch's flash attention."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .gpu_clock import Clock, Contender, agree, contest, ratio
from .gpu_linear import rounded
from .gpu_place import Place
from .targets import Target

TOLERANCE, LIMIT = 2e-2, 1.3
NAMES = ("y", "gq", "gk", "gv")


@dataclass(frozen=True)
class Case:
    batch: int = 4
    heads: int = 16
    length: int = 2048
    size: int = 64
    dtype: str = "bfloat16"

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.batch, self.heads, self.length, self.size)

    @property
    def label(self) -> str:
        return f"attention {self.dtype}, length {self.length}, head {self.size}"


def start(case: Case) -> list[np.ndarray]:
    """q, k, v and the gradient of the result."""
    r = np.random.default_rng(case.length)
    return [rounded(r.standard_normal(case.shape, np.float32), case.dtype) for _ in range(4)]


def reference(arrays: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Of the first head."""
    q, k, v, g = (a[0, 0].astype(np.float64) for a in arrays)
    scale = q.shape[-1] ** -0.5
    p = np.exp(q @ k.T * scale - (q @ k.T * scale).max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    gp = g @ v.T
    gs = p * (gp - (gp * p).sum(1, keepdims=True)) * scale
    return {"y": p @ v, "gq": gs @ k, "gk": gs.T @ q, "gv": p.T @ g}


def contender(name: str, attend: Any, grad: Any, inputs: list[Any]) -> Contender:
    """`inputs`: sets of q, k, v and g."""

    def run(i: int) -> Any:
        *qkv, g = inputs[i % len(inputs)]
        y = attend(*qkv)
        return y, *grad(y, qkv, g)

    def proof() -> dict[str, np.ndarray]:
        found = [t.detach()[0, 0].float().cpu().numpy() for t in run(0)]
        return dict(zip(NAMES, found, strict=True))

    return Contender(name, run, proof)


def sets(lib: Any, arrays: list[np.ndarray], case: Case, device: str, count: int) -> list[Any]:
    dtype = getattr(lib, case.dtype)
    first = [lib.tensor(a).to(device).to(dtype) for a in arrays]
    made = [first, *([t.clone() for t in first] for _ in range(count - 1))]
    return [[*[t.detach().requires_grad_() for t in qkv], g] for *qkv, g in made]


def of_ours(case: Case, arrays: list[np.ndarray], place: Place, count: int) -> Contender:
    import tinygrad_ai as ta
    from tinygrad_ai.nn.functional import scaled_dot_product_attention

    inputs = sets(ta, arrays, case, place.ours, count)
    return contender("ours", scaled_dot_product_attention, ta.autograd.grad, inputs)


def of_pytorch(case: Case, arrays: list[np.ndarray], place: Place, count: int) -> Contender:
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.nn.functional import scaled_dot_product_attention

    def attend(q: Any, k: Any, v: Any) -> Any:
        with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
            return scaled_dot_product_attention(q, k, v)

    inputs = sets(torch, arrays, case, place.pytorch, count)
    return contender("PyTorch's flash attention", attend, torch.autograd.grad, inputs)


def against_pytorch(case: Case, place: Place, clock: Clock) -> Iterator[Any]:
    arrays = start(case)
    count = place.sets(8 * 2 * arrays[0].size)  # q, k, v, g, y and three gradients
    ours, theirs = (make(case, arrays, place, count) for make in (of_ours, of_pytorch))
    agree([ours, theirs], reference(arrays), TOLERANCE)
    times = contest([ours, theirs], clock)
    text = f"{case.label}, forward and backward: {ours.name} / {theirs.name}"
    yield Target(text, ratio(times, ours.name, theirs.name), LIMIT), times


def figures(place: Place) -> dict[str, Any]:
    case = Case()
    return {case.label: lambda: against_pytorch(case, place, place.queue_clock())}
