"""The linear layer with ReLU, forward and backward, over shapes m x k x n: x (m, k), w (n, k)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .protocol import Settings

NAME, PROOFS, TOLERANCE = "linear", 1, 1e-5
CONTENDERS = ("tinygrad_ai", "tinygrad_ai-plain", "pytorch")
PARAMETERS = 784 * 1024

SHAPES = (
    *[(m, 784, 1024) for m in (1, 8, 32, 128, 512)],  # the main job
    *[(m, 1024, 10) for m in (1, 8, 32, 128, 512)],
    (128, 768, 768), (128, 768, 3072), (128, 3072, 768), (512, 768, 768),  # BERT
    (64, 64, 64), (256, 256, 256), (1024, 1024, 1024),
    (4096, 64, 64), (16, 4096, 16), (7, 33, 130), (1000, 17, 3), (1, 4096, 4096),
)  # fmt: skip
WAYS = {"forward": 1, "backward": 2}  # products of each way

Case = tuple[str, int, int, int]


@dataclass(frozen=True)
class LinearData:
    """Inputs, and the gradient of the output."""

    way: str
    x: np.ndarray
    w: np.ndarray
    b: np.ndarray
    g: np.ndarray


def cases(settings: Settings) -> list[Case]:
    return [(way, *shape) for shape in SHAPES for way in WAYS]


def label(case: Case) -> str:
    way, m, k, n = case
    return f"{way} {m}x{k}x{n}"


def operations(label: str) -> int:
    """Additions and multiplications of the products of a case."""
    way, shape = label.split()
    m, k, n = map(int, shape.split("x"))
    return 2 * m * k * n * WAYS[way]


def data(case: Case) -> LinearData:
    """Where an output is nearly 0 no gradient comes in: which side of ReLU's kink is it on?"""
    way, m, k, n = case
    rng = np.random.default_rng(m + k + n)
    x = rng.standard_normal((m, k), np.float32)
    w = rng.standard_normal((n, k), np.float32) / np.float32(k**0.5)
    b, g = rng.standard_normal(n, np.float32), rng.standard_normal((m, n), np.float32)
    g[np.abs(x @ w.T + b) < 1e-4] = 0
    return LinearData(way, x, w, b, g)


def reference(data: LinearData) -> dict[str, np.ndarray]:
    x, w, b, g = (a.astype(np.float64) for a in (data.x, data.w, data.b, data.g))
    y = np.maximum(x @ w.T + b, 0)
    if data.way == "forward":
        return {"y, run 1": y}
    gz = g * (y > 0)
    return {"gx, run 1": gz @ w, "gw, run 1": gz.T @ x, "gb, run 1": gz.sum(0)}
