"""Exercises of one formula: arithmetic, functions of one variable, sums, moved elements."""

from __future__ import annotations

from ... import ops
from .exercise import Exercise

ELEMENTARY = [
    Exercise(
        "add",
        {"a": "n m", "b": "m"},
        "return a + b",
        lambda a, b: a + b,
        "ga = g,  gb = Σ g over the rows, along which b was repeated",
        "return g, g.sum(0)",
    ),
    Exercise(
        "sub",
        {"a": "n m", "b": "n m"},
        "return a - b",
        lambda a, b: a - b,
        "ga = g,  gb = -g",
        "return g, -g",
    ),
    Exercise(
        "mul",
        {"a": "n m", "b": "n m"},
        "return a * b",
        lambda a, b: a * b,
        "ga = g b,  gb = g a",
        "return g * b, g * a",
    ),
    Exercise(
        "scale",
        {"s": "", "x": "n m"},
        "return s * x",
        lambda s, x: s * x,
        "gs = Σ g x,  gx = g s",
        "return (g * x).sum(), g * s",
    ),
    Exercise(
        "div",
        {"a": "n m", "b": "n m positive"},
        "return a / b",
        lambda a, b: a / b,
        "ga = g / b,  gb = -g a / b²",
        "return g / b, -g * a / b**2",
        {
            "b² has become b": "return g / b, -g * a / b",
            "the numerator a is missing": "return g / b, -g / b**2",
            "the derivative of 1 / b is -1 / b²": "return g / b, g * a * np.log(b)",
        },
    ),
    Exercise(
        "square",
        {"x": "n m"},
        "return x**2",
        lambda x: x**2,
        "gx = 2 g x",
        "return 2 * g * x",
        {"the inner x is missing": "return 2 * g"},
    ),
    Exercise(
        "pow",
        {"a": "n m positive", "b": "n m"},
        "return a**b",
        lambda a, b: a**b,
        "ga = g b aᵇ⁻¹,  gb = g y ln a",
        "return g * b * a ** (b - 1), g * y * np.log(a)",
        {
            "the exponent is not lowered by 1": "return g * b * a**b, g * y",
            "b in front is missing": "return g * a ** (b - 1), g * np.log(a)",
        },
    ),
    Exercise(
        "exp",
        {"x": "n m"},
        "return np.exp(x)",
        lambda x: x.exp(),
        "gx = g y",
        "return g * y",
        {
            "that is the rule of a power: eˣ is its own derivative": "return g * x * np.exp(x - 1)",
            "x where y = eˣ belongs": "return g * x",
        },
    ),
    Exercise(
        "log",
        {"x": "n m positive"},
        "return np.log(x)",
        lambda x: x.log(),
        "gx = g / x",
        "return g / x",
        {"y where x belongs": "return g / y", "multiplied by x, not divided": "return g * x"},
    ),
    Exercise(
        "sqrt",
        {"x": "n m positive"},
        "return np.sqrt(x)",
        lambda x: x.sqrt(),
        "gx = g / 2y",
        "return g / (2 * y)",
        {"x where y = √x belongs": "return g / (2 * x)", "multiplied by y": "return g * y / 2"},
    ),
    Exercise(
        "tanh",
        {"x": "n m"},
        "return np.tanh(x)",
        lambda x: x.tanh(),
        "gx = g (1 - y²)",
        "return g * (1 - y**2)",
        {
            "x where y = tanh x belongs": "return g * (1 - x**2)",
            "the square of y is missing": "return g * (1 - y)",
            "that is the rule of sigmoid": "return g * y * (1 - y)",
            "the term y² is missing": "return g * 1.0",
        },
    ),
    Exercise(
        "sigmoid",
        {"x": "n m"},
        "return 1 / (1 + np.exp(-x))",
        lambda x: x.sigmoid(),
        "gx = g y (1 - y)",
        "return g * y * (1 - y)",
        {
            "x where y = σ(x) belongs": "return g * x * (1 - x)",
            "the factor y is missing": "return g * (1 - y)",
            "the factor 1 - y is missing": "return g * y",
            "that is the rule of tanh": "return g * (1 - y**2)",
        },
    ),
    Exercise(
        "relu",
        {"x": "n m kinked"},
        "return np.maximum(x, 0)",
        lambda x: x.relu(),
        "gx = g where x > 0, else 0",
        "return g * (x > 0)",
        {
            "g passes only where x > 0": "return g * 1.0",
            "the slope is 1, not x": "return g * np.maximum(x, 0)",
            "the slope at 0 is 0, as in PyTorch": "return g * (x >= 0)",
            "the condition is the wrong way round": "return g * (x < 0)",
        },
    ),
    Exercise(
        "abs",
        {"x": "n m kinked"},
        "return np.abs(x)",
        lambda x: x.abs(),
        "gx = g sign x",
        "return g * np.sign(x)",
        {
            "negative x turn the sign of g": "return g * 1.0",
            "the slope is the sign of x, not x": "return g * x",
            "the slope at 0 is 0, as in PyTorch": "return np.where(x >= 0, g, -g)",
        },
    ),
    Exercise(
        "silu",
        {"x": "n m"},
        "return x / (1 + np.exp(-x))",
        lambda x: x * x.sigmoid(),
        "gx = g (s + y (1 - s)), s = σ(x)",
        "s = 1 / (1 + np.exp(-x))\nreturn g * (s + y * (1 - s))",
        {
            "the product rule's second term, x σ'(x), is missing": "return g / (1 + np.exp(-x))",
            "the product rule's first term, σ(x), is missing": (
                "s = 1 / (1 + np.exp(-x))\nreturn g * y * (1 - s)"
            ),
        },
    ),
    Exercise(
        "sum",
        {"x": "n m"},
        "return x.sum(1)",
        lambda x: x.sum(1),
        "gx = g of its row, everywhere",
        "return np.broadcast_to(g[:, None], x.shape)",
        {"g belongs to rows: it was repeated along the wrong axis": (
            "return np.resize(g, x.shape)"
        )},
    ),
    Exercise(
        "mean",
        {"x": "n m"},
        "return x.mean()",
        lambda x: x.mean(),
        "gx = g / n everywhere, n elements",
        "return np.full(x.shape, g / x.size)",
        {"divided by the rows, not by all elements": "return np.full(x.shape, g / len(x))"},
    ),
    Exercise(
        "max",
        {"x": "n m"},
        "return x.max(1)",
        lambda x: x.amax(1),
        "gx = g of its row where x is the largest, else 0",
        "return np.where(x == y[:, None], g[:, None], 0.0)",
        {
            "g belongs to the largest element of each row only": (
                "return np.broadcast_to(g[:, None], x.shape)"
            ),
            "g is multiplied by x": "return np.where(x == y[:, None], g[:, None] * x, 0.0)",
        },
    ),
    Exercise(
        "transpose",
        {"x": "n m"},
        "return x.T",
        lambda x: x.t(),
        "gx = gᵀ",
        "return g.T",
        {"reshape keeps the order of elements, a transpose does not": (
            "return g.reshape(x.shape)"
        )},
    ),
    Exercise(
        "cat",
        {"a": "n m", "b": "k m"},
        "return np.concatenate([a, b])",
        lambda a, b: ops.joining.cat([a, b]),
        "ga = the first rows of g,  gb = the others",
        "return g[: len(a)], g[len(a) :]",
        {"the pieces are taken from the wrong ends": "return g[-len(a) :], g[: len(b)]"},
    ),
    Exercise(
        "cumsum",
        {"x": "n m"},
        "return x.cumsum(0)",
        lambda x: x.cumsum(0),
        "gx[i] = Σ g[i:], since x[i] is in all later sums",
        "return g[::-1].cumsum(0)[::-1]",
        {
            "the sum runs the wrong way: x[i] is in the later outputs": "return g.cumsum(0)",
            "x[i] is in all later outputs, too": "return g * 1.0",
        },
    ),
]  # fmt: skip
