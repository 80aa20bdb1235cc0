"""BERT with a classifier in NumPy and float64, without haste: scores, loss, gradients, AdamW.

Every function gives its result and a function that turns the gradient of the result into the
gradients of what went in; those of parameters are added up in `Reference.grads`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import erf

Back = Callable[[np.ndarray], Any]


def gelu(x: np.ndarray) -> tuple[np.ndarray, Back]:
    below = 0.5 * (1 + erf(x / np.sqrt(2)))
    density = np.exp(-0.5 * x * x) / np.sqrt(2 * np.pi)
    return x * below, lambda g: g * (below + x * density)


def tanh(x: np.ndarray) -> tuple[np.ndarray, Back]:
    y = np.tanh(x)
    return y, lambda g: g * (1 - y * y)


def attention(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, mask: np.ndarray, heads: int
) -> tuple[np.ndarray, Back]:
    """Of all places to all that the mask leaves, in each head."""
    n, length, size = q.shape

    def split(x: np.ndarray) -> np.ndarray:
        return x.reshape(n, length, heads, -1).transpose(0, 2, 1, 3)

    def joined(x: np.ndarray) -> np.ndarray:
        return x.transpose(0, 2, 1, 3).reshape(n, length, size)

    def turned(x: np.ndarray) -> np.ndarray:
        return x.swapaxes(-1, -2)

    q, k, v = split(q), split(k), split(v)
    scale = (size // heads) ** -0.5
    scores = np.where(mask[:, None, None, :] == 1, scale * (q @ turned(k)), -np.inf)
    p = np.exp(scores - scores.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)

    def back(g: np.ndarray) -> tuple[np.ndarray, ...]:
        g = split(g)
        gp = g @ turned(v)
        gs = scale * p * (gp - (gp * p).sum(-1, keepdims=True))
        return joined(gs @ k), joined(turned(gs) @ q), joined(turned(p) @ g)

    return joined(p @ v), back


def cross_entropy(scores: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    """The mean, and its gradient."""
    rows = np.arange(len(scores))
    scores = scores - scores.max(1, keepdims=True)
    chances = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    loss = float(-np.log(chances[rows, labels]).mean())
    chances[rows, labels] -= 1
    return loss, chances / len(scores)


class Reference:
    """A BertForSequenceClassification without dropout, and its AdamW."""

    def __init__(self, weights: dict[str, np.ndarray], config: dict[str, Any]) -> None:
        self.p = {name: w.astype(np.float64) for name, w in weights.items()}
        self.grads: dict[str, np.ndarray] = {}
        self.m, self.v = ({n: np.zeros_like(w) for n, w in self.p.items()} for _ in range(2))
        self.config, self.count = config, 0

    def collect(self, name: str, g: np.ndarray) -> None:
        self.grads[name] = self.grads.get(name, 0) + g

    def linear(self, name: str, x: np.ndarray) -> tuple[np.ndarray, Back]:
        w, b = self.p[f"{name}.weight"], self.p[f"{name}.bias"]

        def back(g: np.ndarray) -> np.ndarray:
            flat = g.reshape(-1, len(w))
            self.collect(f"{name}.weight", flat.T @ x.reshape(len(flat), -1))
            self.collect(f"{name}.bias", flat.sum(0))
            return g @ w

        return x @ w.T + b, back

    def norm(self, name: str, x: np.ndarray) -> tuple[np.ndarray, Back]:
        w, b = self.p[f"{name}.weight"], self.p[f"{name}.bias"]
        away = x - x.mean(-1, keepdims=True)
        deviation = np.sqrt((away**2).mean(-1, keepdims=True) + self.config["layer_norm_eps"])
        y = away / deviation

        def back(g: np.ndarray) -> np.ndarray:
            self.collect(f"{name}.weight", (g * y).reshape(-1, len(w)).sum(0))
            self.collect(f"{name}.bias", g.reshape(-1, len(w)).sum(0))
            g = g * w
            return (g - g.mean(-1, keepdims=True) - y * (g * y).mean(-1, keepdims=True)) / deviation

        return y * w + b, back

    def embeddings(self, ids: np.ndarray) -> tuple[np.ndarray, Back]:
        """Words, places, and one segment."""
        tables = [f"bert.embeddings.{n}_embeddings.weight" for n in ("word", "position")]
        segment = "bert.embeddings.token_type_embeddings.weight"
        words, places = (self.p[name] for name in tables)
        length = ids.shape[1]
        x = words[ids] + places[:length] + self.p[segment][0]
        y, through = self.norm("bert.embeddings.LayerNorm", x)

        def back(g: np.ndarray) -> None:
            g = through(g)
            gradients = [np.zeros_like(self.p[name]) for name in (*tables, segment)]
            np.add.at(gradients[0], ids, g)
            gradients[0][self.config["pad_token_id"]] = 0
            gradients[1][:length], gradients[2][0] = g.sum(0), g.sum((0, 1))
            for name, gradient in zip((*tables, segment), gradients):
                self.collect(name, gradient)

        return y, back

    def layer(self, name: str, x: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, Back]:
        parts = [self.linear(f"{name}.attention.self.{n}", x) for n in ("query", "key", "value")]
        q, k, v = [y for y, _ in parts]
        seen, attended = attention(q, k, v, mask, self.config["num_attention_heads"])
        y, dense = self.linear(f"{name}.attention.output.dense", seen)
        y, first = self.norm(f"{name}.attention.output.LayerNorm", y + x)
        z, wide = self.linear(f"{name}.intermediate.dense", y)
        z, active = gelu(z)
        z, narrow = self.linear(f"{name}.output.dense", z)
        z, second = self.norm(f"{name}.output.LayerNorm", z + y)

        def back(g: np.ndarray) -> np.ndarray:
            g = second(g)
            g = first(g + wide(active(narrow(g))))
            inner = attended(dense(g))
            return g + sum(back(gi) for (_, back), gi in zip(parts, inner))

        return z, back

    def scores(self, ids: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, Back]:
        x, embedded = self.embeddings(ids)
        backs = []
        for i in range(self.config["num_hidden_layers"]):
            x, back = self.layer(f"bert.encoder.layer.{i}", x, mask)
            backs.append(back)
        y, dense = self.linear("bert.pooler.dense", x[:, 0])
        y, bent = tanh(y)
        y, head = self.linear("classifier", y)

        def whole(g: np.ndarray) -> None:
            first = dense(bent(head(g)))
            g = np.zeros_like(x)
            g[:, 0] = first
            for back in reversed(backs):
                g = back(g)
            embedded(g)

        return y, whole

    def step(self, ids: np.ndarray, mask: np.ndarray, labels: np.ndarray, lr: float) -> float:
        """A step of AdamW with its usual numbers; `grads` keeps the gradients."""
        self.grads = {}
        scores, back = self.scores(ids, mask)
        loss, g = cross_entropy(scores, labels)
        back(g)
        self.count += 1
        for name, g in self.grads.items():
            m, v = self.m[name], self.v[name]
            m += 0.1 * (g - m)
            v += 0.001 * (g * g - v)
            root = np.sqrt(v / (1 - 0.999**self.count)) + 1e-8
            self.p[name] *= 1 - lr * 0.01
            self.p[name] -= lr * m / (1 - 0.9**self.count) / root
        return loss
