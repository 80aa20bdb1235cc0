"""One training step: zero_grad, forward, cross entropy, backward, Adam, in float32.

The floor of a step is the time this processor needs at least:

    floor = operations / multiply-add ceiling + bytes / traffic ceiling
    operations = 2 batch (2 in hidden + 3 hidden out)
    bytes      = 4 parameters (3 read + 3 written + 1 read + 1 written)

A layer has three products: y, gw and gx; the first needs no gx, for nobody asks for the gradient of
the data. Adam reads and writes p, m and v, and reads g, which was written before. The two are
added, because the optimizer comes after the gradient. A contender's share of the floor is
floor / measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle

import numpy as np

from .protocol import Settings

NAME, PROOFS, TOLERANCE = "step", 3, 1e-3
CONTENDERS = (
    "tinygrad_ai", "tinygrad_ai-fused", "pytorch", "pytorch-fused", "pytorch-compiled", "jax",
    "numpy",
)  # fmt: skip
FUSED = "tinygrad_ai-fused"  # our best, as pytorch-fused and pytorch-compiled are PyTorch's
LEARNING_RATE = 1e-3
MAIN, TINY = (784, 1024, 10), (4, 16, 2)
BATCHES, TINY_BATCH = (1, 8, 32, 128, 512), 8
SAMPLES = 1024  # at least so many different ones

Sizes = tuple[int, int, int]
Case = tuple[int, int, int, int]  # the sizes, and the batch


def parameters(sizes: Sizes) -> int:
    inside, hidden, outside = sizes
    return (inside + 1) * hidden + (hidden + 1) * outside


PARAMETERS = parameters(MAIN)


def operations(sizes: Sizes, batch: int) -> int:
    """Additions and multiplications of the matrix products of a step."""
    inside, hidden, outside = sizes
    return 2 * batch * (2 * inside * hidden + 3 * hidden * outside)


def traffic(sizes: Sizes) -> int:
    """Bytes that the optimizer must move, and the gradient it is given."""
    return 4 * 8 * parameters(sizes)


def floor(sizes: Sizes, batch: int, rate: float, bandwidth: float) -> float:
    """Seconds a step needs at least, given operations and bytes a second."""
    return operations(sizes, batch) / rate + traffic(sizes) / bandwidth


@dataclass(frozen=True)
class StepData:
    """Start weights under PyTorch's names, and batches of inputs and labels."""

    sizes: Sizes
    batch: int
    weights: dict[str, np.ndarray]
    batches: list[tuple[np.ndarray, np.ndarray]]

    def result(self, loss: float, weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What is compared: the loss, and how far the weights have come."""
        moved = {f"the change of {n}": w - self.weights[n] for n, w in weights.items()}
        return {"the loss": np.asarray(loss), **moved}


def cases(settings: Settings) -> list[Case]:
    main = [(*MAIN, batch) for batch in settings.batches or BATCHES]
    return main if settings.batches else [*main, (*TINY, TINY_BATCH)]


def label(case: Case) -> str:
    return f"{'-'.join(map(str, case[:3]))}, batch {case[3]}"


def parse(label: str) -> tuple[Sizes, int]:
    """The sizes and the batch of a label."""
    sizes, batch = label.split(", batch ")
    inside, hidden, outside = map(int, sizes.split("-"))
    return (inside, hidden, outside), int(batch)


def data(case: Case) -> StepData:
    """The same for everyone.

    Every input comes twice, with labels drawn anew: what cannot be learned by heart keeps gradients
    of a size, and nobody is timed on numbers too small to be normal.
    """
    inside, hidden, outside, batch = case
    rng = np.random.default_rng(784)
    weights = {}
    for name, (rows, columns) in {"fc1": (hidden, inside), "fc2": (outside, hidden)}.items():
        weights[f"{name}.weight"] = rng.uniform(-1, 1, (rows, columns)) / columns**0.5
        weights[f"{name}.bias"] = rng.uniform(-1, 1, rows) / columns**0.5
    count = max(16, SAMPLES // batch)
    x = rng.standard_normal((count, batch, inside), np.float32)
    labels = rng.integers(0, outside, (2 * count, batch))
    start = {n: w.astype(np.float32) for n, w in weights.items()}
    return StepData((inside, hidden, outside), batch, start, list(zip([*x, *x], labels)))


def training(data: StepData, steps: int) -> Iterator[tuple[float, dict[str, np.ndarray]]]:
    """Loss and weights after each step, in float64 and without haste."""
    w = {n: a.astype(np.float64) for n, a in data.weights.items()}
    m, v = ({n: np.zeros_like(a) for n, a in w.items()} for _ in range(2))
    for count, (x, labels) in zip(range(1, steps + 1), cycle(data.batches)):
        loss, grads = loss_and_gradients(w, x, labels)
        for n, g in grads.items():
            m[n] = 0.9 * m[n] + 0.1 * g
            v[n] = 0.999 * v[n] + 0.001 * g * g
            root = np.sqrt(v[n] / (1 - 0.999**count)) + 1e-8
            w[n] = w[n] - LEARNING_RATE * m[n] / (1 - 0.9**count) / root
        yield loss, w


def reference(data: StepData) -> dict[str, np.ndarray]:
    """What everyone must find."""
    found = {}
    for index, (loss, w) in enumerate(training(data, PROOFS)):
        for name, array in data.result(loss, w).items():
            found[f"{name}, run {index + 1}"] = array
    return found


def loss_and_gradients(
    w: dict[str, np.ndarray], x: np.ndarray, labels: np.ndarray
) -> tuple[float, dict[str, np.ndarray]]:
    """Cross entropy of the network's scores, and its gradients."""
    x, rows = x.astype(np.float64), np.arange(len(x))
    h = np.maximum(x @ w["fc1.weight"].T + w["fc1.bias"], 0)
    scores = h @ w["fc2.weight"].T + w["fc2.bias"]
    scores = scores - scores.max(axis=1, keepdims=True)
    chances = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    loss = float(-np.log(chances[rows, labels]).mean())
    g = chances
    g[rows, labels] -= 1
    g /= len(x)
    gh = g @ w["fc2.weight"] * (h > 0)
    grads = {"fc1.weight": gh.T @ x, "fc1.bias": gh.sum(0)}
    return loss, {**grads, "fc2.weight": g.T @ h, "fc2.bias": g.sum(0)}
