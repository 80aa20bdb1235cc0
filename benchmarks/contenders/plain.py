"""NumPy by hand, as a careful person writes it: no memory allocated in a step, Adam in place."""

from __future__ import annotations

from itertools import cycle
from typing import Any

import numpy as np

from ..step import LEARNING_RATE, StepData
from ..worker import Task


class Adam:
    """All parameters in one vector, so that each operation is one call."""

    def __init__(self, p: np.ndarray, beta1: float = 0.9, beta2: float = 0.999) -> None:
        self.p, self.beta1, self.beta2 = p, beta1, beta2
        self.m, self.v, self.a, self.b = (np.zeros_like(p) for _ in range(4))
        self.count = 0

    def step(self, g: np.ndarray, lr: float, eps: float = 1e-8) -> None:
        m, v, a, b = self.m, self.v, self.a, self.b
        self.count += 1
        m *= self.beta1
        m += np.multiply(g, 1 - self.beta1, out=a)
        v *= self.beta2
        np.multiply(g, g, out=a)
        a *= 1 - self.beta2
        v += a
        np.sqrt(v, out=a)
        a *= (1 - self.beta2**self.count) ** -0.5
        a += eps
        np.divide(m, a, out=b)
        b *= lr / (1 - self.beta1**self.count)
        self.p -= b


class Net:
    """Two layers, with room for everything that a step computes."""

    def __init__(self, data: StepData) -> None:
        (_, hidden, outside), batch = data.sizes, data.batch
        count = sum(w.size for w in data.weights.values())
        self.p, self.g = np.empty(count, np.float32), np.empty(count, np.float32)
        self.weights, self.grads = self.views(self.p, data), self.views(self.g, data)
        for name, w in data.weights.items():
            self.weights[name][...] = w
        self.h, self.gh = (np.empty((batch, hidden), np.float32) for _ in range(2))
        self.y = np.empty((batch, outside), np.float32)
        self.on = np.empty((batch, hidden), bool)
        self.row, self.rows = np.empty((batch, 1), np.float32), np.arange(batch)

    @staticmethod
    def views(flat: np.ndarray, data: StepData) -> dict[str, np.ndarray]:
        """Each parameter's part of a vector."""
        ends = np.cumsum([w.size for w in data.weights.values()])[:-1]
        parts = np.split(flat, ends)
        return {n: part.reshape(w.shape) for (n, w), part in zip(data.weights.items(), parts)}

    def loss_and_gradient(self, x: np.ndarray, labels: np.ndarray) -> float:
        """Fills the gradients; afterwards y has the gradient of the scores."""
        w, g, h, gh, y = self.weights, self.grads, self.h, self.gh, self.y
        np.matmul(x, w["fc1.weight"].T, out=h)
        h += w["fc1.bias"]
        np.maximum(h, 0, out=h)
        np.matmul(h, w["fc2.weight"].T, out=y)
        y += w["fc2.bias"]
        y -= np.max(y, axis=1, keepdims=True, out=self.row)
        right = y[self.rows, labels]
        np.exp(y, out=y)
        total = np.sum(y, axis=1, keepdims=True, out=self.row)
        loss = float(np.mean(np.log(total[:, 0]) - right))
        y /= total
        y[self.rows, labels] -= 1
        y /= len(y)
        np.matmul(y.T, h, out=g["fc2.weight"])
        np.sum(y, axis=0, out=g["fc2.bias"])
        np.matmul(y, w["fc2.weight"], out=gh)
        gh *= np.greater(h, 0, out=self.on)
        np.matmul(gh.T, x, out=g["fc1.weight"])
        np.sum(gh, axis=0, out=g["fc1.bias"])
        return loss


def step(data: StepData, variant: str) -> Task:
    net = Net(data)
    adam = Adam(net.p)
    batches = cycle(data.batches)

    def run() -> Any:
        loss = net.loss_and_gradient(*next(batches))
        adam.step(net.g, LEARNING_RATE)
        return loss

    return Task(run, lambda loss: data.result(loss, net.weights))
