"""Exercises of layers and losses, from an embedding to attention."""

from __future__ import annotations

from typing import Any

from ...nn import functional as F
from .exercise import Exercise

SOFTMAX = "e = np.exp(x - x.max(1, keepdims=True))\n"
P = SOFTMAX + "p = e / e.sum(1, keepdims=True)\n"
LABELLED = "p[np.arange(len(x)), labels] -= 1\n"
NORM = "m = x.mean(1, keepdims=True)\nr = 1 / np.sqrt(x.var(1, keepdims=True) + 1e-5)\n"
NORM += "n = (x - m) * r\nu = g * w\n"
ROWS = "gx = r * (u - u.mean(1, keepdims=True) - n * (u * n).mean(1, keepdims=True))\n"
NORM_END = "return gx, (g * n).sum(0), g.sum(0)"
BATCH = "r = 1 / np.sqrt(x.var(0) + 1e-5)\n"
SCORES = "s = q @ k.T / np.sqrt(q.shape[1])\ne = np.exp(s - s.max(1, keepdims=True))\n"
SCORES += "p = e / e.sum(1, keepdims=True)\n"
INTO = SCORES + "gp = g @ v.T\n"
OUT = "c = np.sqrt(q.shape[1])\nreturn gs @ k / c, gs.T @ q / c, p.T @ g"


def _recurrent(x: Any, h: Any, w: Any, u: Any) -> Any:
    return (x @ w + h @ u).tanh()


NETWORKS = [
    Exercise(
        "embedding",
        {"w": "m d", "index": "l index"},
        "return w[index]",
        lambda w, index: F.embedding(index, w),
        "gw = for each row the sum of g where it was used",
        "gw = np.zeros_like(w)\nnp.add.at(gw, index, g)\nreturn gw",
        {"a row that was used twice keeps only the last g": (
            "gw = np.zeros_like(w)\ngw[index] = g\nreturn gw"
        )},
    ),
    Exercise(
        "matmul",
        {"a": "n k", "b": "k m"},
        "return a @ b",
        lambda a, b: a @ b,
        "ga = g bᵀ,  gb = aᵀ g",
        "return g @ b.T, a.T @ g",
    ),
    Exercise(
        "linear",
        {"x": "n k", "w": "m k", "b": "m"},
        "return x @ w.T + b",
        F.linear,
        "gx = g w,  gw = gᵀ x,  gb = Σ g",
        "return g @ w, g.T @ x, g.sum(0)",
        {"a mean over the batch where the sum belongs": (
            "return g @ w / len(x), g.T @ x / len(x), g.mean(0)"
        )},
    ),
    Exercise(
        "linear_relu",
        {"x": "n k", "w": "m k", "b": "m"},
        "return np.maximum(x @ w.T + b, 0)",
        lambda x, w, b: F.linear(x, w, b).relu(),
        "gz = g where y > 0,  gx = gz w,  gw = gzᵀ x,  gb = Σ gz",
        "gz = g * (y > 0)\nreturn gz @ w, gz.T @ x, gz.sum(0)",
        {"relu's slope is missing": "return g @ w, g.T @ x, g.sum(0)"},
    ),
    Exercise(
        "dropout",
        {"x": "n m", "keep": "n m mask"},
        "return x * keep / 0.7",
        lambda x, keep: x * keep / 0.7,
        "gx = g keep / 0.7",
        "return g * keep / 0.7",
        {
            "the scale 1 / 0.7 is missing": "return g * keep",
            "the mask is missing": "return g / 0.7",
        },
    ),
    Exercise(
        "softmax",
        {"x": "n m"},
        P + "return p",
        lambda x: F.softmax(x, 1),
        "gx = y (g - Σ g y), the sum over each row",
        "return y * (g - (g * y).sum(1, keepdims=True))",
        {
            "the term Σ g y, by which the row's sum stays 1, is missing": "return g * y",
            "only the diagonal of the Jacobian": "return g * y * (1 - y)",
            "Σ g y is over all rows, not over each": "return y * (g - (g * y).sum())",
            "Σ g y is down the columns": "return y * (g - (g * y).sum(0))",
            "Σ g where Σ g y belongs": "return y * (g - g.sum(1, keepdims=True))",
            "the factor y is missing": "return g - (g * y).sum(1, keepdims=True)",
        },
    ),
    Exercise(
        "log_softmax",
        {"x": "n m"},
        P + "return np.log(p)",
        lambda x: F.log_softmax(x, 1),
        "gx = g - eʸ Σ g, the sum over each row",
        "return g - np.exp(y) * g.sum(1, keepdims=True)",
        {
            "the term eʸ Σ g is missing": "return g * 1.0",
            "y where eʸ, the probability, belongs": "return g - y * g.sum(1, keepdims=True)",
            "Σ g is missing: the output may be weighted": "return g - np.exp(y)",
            "Σ g is over all rows, not over each": "return g - np.exp(y) * g.sum()",
            "that is the rule of softmax": "return y * (g - (g * y).sum(1, keepdims=True))",
        },
    ),
    Exercise(
        "logsumexp",
        {"x": "n m"},
        "return np.log(np.exp(x).sum(1))",
        lambda x: x.logsumexp(1),
        "gx = g eˣ⁻ʸ, y and g of the row",
        "return g[:, None] * np.exp(x - y[:, None])",
        {
            "eˣ is not divided by its sum": "return g[:, None] * np.exp(x)",
            "softmax is missing": "return np.broadcast_to(g[:, None], x.shape)",
        },
    ),
    Exercise(
        "mse_loss",
        {"a": "n m", "b": "n m"},
        "return ((a - b) ** 2).mean()",
        lambda a, b: F.mse_loss(a, b),
        "ga = 2 g (a - b) / n,  gb = -ga, n elements",
        "d = 2 * g * (a - b) / a.size\nreturn d, -d",
        {"divided by the rows, not by all elements": (
            "d = 2 * g * (a - b) / len(a)\nreturn d, -d"
        )},
    ),
    Exercise(
        "cross_entropy",
        {"x": "n m", "labels": "n labels"},
        P + "return -np.log(p[np.arange(len(x)), labels]).mean()",
        lambda x, labels: F.cross_entropy(x, labels),
        "gx = g (softmax x - onehot) / n, n rows",
        P + LABELLED + "return g * p / len(x)",
        {
            "1 at the labels is not taken away": P + "return g * p / len(x)",
            "divided by all elements, not by the rows": P + LABELLED + "return g * p / x.size",
        },
    ),
    Exercise(
        "binary_cross_entropy",
        {"x": "n m", "t": "n m chances"},
        "return (np.log1p(np.exp(x)) - t * x).mean()",
        lambda x, t: F.binary_cross_entropy_with_logits(x, t),
        "gx = g (σ(x) - t) / n, n elements",
        "return g * (1 / (1 + np.exp(-x)) - t) / x.size",
        {
            "the target is not taken away": "return g / (1 + np.exp(-x)) / x.size",
            "x where σ(x) belongs": "return g * (x - t) / x.size",
        },
    ),
    Exercise(
        "batch_norm",
        {"x": "n m"},
        "return (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)",
        lambda x: F.batch_norm(x, None, None, training=True),
        "gx = r (g - mean g - y mean(g y)) down each column, r = 1 / √(var + ε)",
        BATCH + "return r * (g - g.mean(0) - y * (g * y).mean(0))",
        {
            "mean and variance depend on x, too": BATCH + "return r * g",
            "the variance depends on x, too: - y mean(g y) is missing": (
                BATCH + "return r * (g - g.mean(0))"
            ),
            "the mean depends on x, too: - mean g is missing": (
                BATCH + "return r * (g - y * (g * y).mean(0))"
            ),
            "sums where means belong": BATCH + "return r * (g - g.sum(0) - y * (g * y).sum(0))",
        },
    ),
    Exercise(
        "layer_norm",
        {"x": "n m", "w": "m", "b": "m"},
        "m = x.mean(1, keepdims=True)\n"
        "return (x - m) / np.sqrt(x.var(1, keepdims=True) + 1e-5) * w + b",
        lambda x, w, b: F.layer_norm(x, x.shape[1:], w, b),
        "u = g w,  gx = r (u - mean u - x̂ mean(u x̂)) along each row,  gw = Σ g x̂,  gb = Σ g",
        NORM + ROWS + NORM_END,
        {
            "mean and variance depend on x, too": NORM + "gx = r * u\n" + NORM_END,
            "the variance depends on x, too: - x̂ mean(u x̂) is missing": (
                NORM + "gx = r * (u - u.mean(1, keepdims=True))\n" + NORM_END
            ),
            "the weight w is missing": (
                NORM + "u = g\n" + ROWS + NORM_END
            ),
            "x where the normalised x̂ belongs": NORM + ROWS + "return gx, (g * x).sum(0), g.sum(0)",
            "the output y where the normalised x̂ belongs": (
                NORM + ROWS + "return gx, (g * y).sum(0), g.sum(0)"
            ),
        },
    ),
    Exercise(
        "conv1d",
        {"x": "l", "w": "m"},
        "return np.correlate(x, w, 'valid')",
        lambda x, w: F.conv1d(x.reshape(1, 1, -1), w.reshape(1, 1, -1)).reshape(-1),
        "gx[i] = Σ g[i - j] w[j],  gw[j] = Σ x[i + j] g[i]",
        "return np.convolve(g, w), np.correlate(x, g, 'valid')",
        {
            "the kernel is not turned round": (
                "return np.convolve(g, w[::-1]), np.convolve(x, g, 'valid')"
            ),
        },
    ),
    Exercise(
        "rnn",
        {"x": "n k", "h": "n d", "w": "k d", "u": "d d"},
        "return np.tanh(x @ w + h @ u)",
        _recurrent,
        "gz = g (1 - y²),  gx = gz wᵀ,  gh = gz uᵀ,  gw = xᵀ gz,  gu = hᵀ gz",
        "gz = g * (1 - y**2)\nreturn gz @ w.T, gz @ u.T, x.T @ gz, h.T @ gz",
        {
            "tanh's slope is missing": "return g @ w.T, g @ u.T, x.T @ g, h.T @ g",
            "u is not transposed": (
                "gz = g * (1 - y**2)\nreturn gz @ w.T, gz @ u, x.T @ gz, h.T @ gz"
            ),
        },
    ),
    Exercise(
        "attention",
        {"q": "n d", "k": "m d", "v": "m k"},
        SCORES + "return p @ v",
        lambda q, k, v: F.softmax(q @ k.t() / q.shape[1] ** 0.5, 1) @ v,
        "p = softmax(q kᵀ / √d),  gv = pᵀ g,  gs = p (g vᵀ - Σ p (g vᵀ)),  gq = gs k / √d,  "
        "gk = gsᵀ q / √d",
        INTO + "gs = p * (gp - (gp * p).sum(1, keepdims=True))\n" + OUT,
        {
            "softmax's second term, Σ p (g vᵀ), is missing": INTO + "gs = p * gp\n" + OUT,
            "softmax's rule is missing": INTO + "gs = gp\n" + OUT,
            "Σ p (g vᵀ) is over all rows, not over each": (
                INTO + "gs = p * (gp - (gp * p).sum())\n" + OUT
            ),
        },
    ),
]  # fmt: skip
