"""FLOPs of the ops that layers and losses are made of, fused ones by their formula written out.

As counts_arrays.py: `v` has inputs and configuration under their names, `v.result`, `v.incoming`,
`v.needs`. R is the number of rows, n of all numbers, C of those in a row.
"""

from __future__ import annotations

import math
from typing import Any

from .counts_arrays import product, size

# f(x), g f'(v) and h g f''(v), operations for each element. u is the argument of tanh in gelu_tanh.
VALUE = {
    None: 0,
    "relu": 1,
    "leaky_relu": 1,
    "sigmoid": 4,  # 1 / (1 + exp(-x))
    "tanh": 1,
    "gelu": 5,  # 0.5 x (1 + erf(x / √2))
    "gelu_tanh": 9,  # 0.5 x (1 + tanh u),  u = c (x + k x x x)
    "silu": 4,  # x / (1 + exp(-x))
}
SLOPE = {
    None: 0,
    "relu": 1,
    "leaky_relu": 1,
    "sigmoid": 3,  # g v (1 - v)
    "tanh": 3,  # g (1 - v v)
    "gelu": 11,  # g (0.5 (1 + erf(v / √2)) + v exp(-0.5 v v) c)
    "gelu_tanh": 19,  # g (0.5 (1 + t) + 0.5 v (1 - t t) c (1 + 3k v v)),  t = tanh u
    "silu": 9,  # g s (1 + v (1 - s)),  s = sigmoid v
}
CURVATURE = {
    None: 0,
    "relu": 0,
    "leaky_relu": 0,
    "sigmoid": 4,  # h g (1 - 2 v)
    "tanh": 3,  # h g (-2 v)
    "gelu": 9,  # h g exp(-0.5 v v) (2 - v v) / c
    "gelu_tanh": 23,
    "silu": 13,  # h g s (1 - s) (2 + v (1 - 2 s))
}


def first(value: Any) -> Any:
    """The first that is there, of several results or gradients."""
    return next(a for a in value if a is not None) if type(value) is tuple else value


def linear(v: Any) -> int:
    y = first(v.result)
    bias = size(y) if v.b is not None else 0
    return product(v.x, v.w, y) + bias + VALUE[v.act] * size(y)


def linear_rule(v: Any) -> int:
    """g f'(z) once, a product for x, one for w, a sum for b."""
    g = first(v.incoming)
    products = (v.needs["x"] + v.needs["w"]) * 2 * size(g) * v.w.shape[1]
    return products + size(g) * (SLOPE[v.act] + bool(v.needs.get("b")))


def linear_grad_x(v: Any) -> int:
    return size(v.g) * (SLOPE[v.act] + 2 * v.w.shape[1])


def linear_grad_w(v: Any) -> int:
    return size(v.g) * (SLOPE[v.act] + 2 * v.x.shape[-1] + 1)


def linear_grad_x_rule(v: Any) -> int:
    """d = h wᵀ,  gg = d f'(v),  gv = d g f''(v),  gw = gzᵀ h"""
    by_w = v.needs["w"] * (2 * v.w.shape[1] + SLOPE[v.act])
    inner = 2 * v.w.shape[1] + SLOPE[v.act] + v.needs["v"] * CURVATURE[v.act]
    return size(v.g) * (inner + by_w)


def linear_grad_w_rule(v: Any) -> int:
    """d = x hᵀ + hb,  gg = d f'(v),  gv = d g f''(v),  gx = gz h"""
    by_x = v.needs["x"] * (2 * v.x.shape[-1] + SLOPE[v.act])
    inner = 2 * v.x.shape[-1] + 1 + SLOPE[v.act] + v.needs["v"] * CURVATURE[v.act]
    return size(v.g) * (inner + by_x)


def act_grad_rule(v: Any) -> int:
    by_g, by_v = v.needs["g"] * SLOPE[v.act], v.needs["v"] * CURVATURE[v.act]
    return size(v.incoming) * (by_g + by_v)


# ---- convolution: each output is a sum over the channels of its group and the window


def window(w: Any) -> int:
    """Products for each output: channels of a group times places of the window."""
    return math.prod(w.shape[1:])


def convolve(v: Any) -> int:
    return 2 * size(v.result) * window(v.w)


def convolve_rule(v: Any) -> int:
    return (v.needs["x"] + v.needs["w"]) * 2 * size(v.incoming) * window(v.w)


def convolve_input(v: Any) -> int:
    return 2 * size(v.g) * window(v.w)


def convolve_weight(v: Any) -> int:
    return 2 * size(v.g) * v.x.shape[1] // v.groups * math.prod(v.size)


def convolve_input_rule(v: Any) -> int:
    return (v.needs["g"] + v.needs["w"]) * 2 * size(v.g) * window(v.w)


def convolve_weight_rule(v: Any) -> int:
    return (v.needs["g"] + v.needs["x"]) * 2 * size(v.g) * window(v.incoming)


# ---- attention


def pairs(v: Any) -> int:
    """Scores that are computed: of each query with each key, if causal with those up to its own."""
    *lead, rows, _ = v.q.shape
    keys = v.k.shape[-2]
    seen = sum([min(i + 1, keys) for i in range(rows)]) if v.causal else rows * keys
    return math.prod(lead) * seen


def extras(v: Any) -> int:
    """For each score: the scale, a bias."""
    return 1 + (v.bias is not None)


def attention(v: Any) -> int:
    """q kᵀ, scale and bias, softmax (5), dropout, p v; a sum and a logarithm for each row."""
    each = 2 * v.q.shape[-1] + extras(v) + 5 + (v.keep is not None) + 2 * v.v.shape[-1]
    return pairs(v) * each + 2 * size(v.result[1])


def attention_grad(v: Any) -> int:
    """p again (product, scale, bias, - lse, exp), g vᵀ, pᵀ g, gs (2), gs k and gsᵀ q scaled."""
    return _attention_grad(v, v.g)


def _attention_grad(v: Any, g: Any) -> int:
    each = 6 * v.q.shape[-1] + 4 * v.v.shape[-1] + extras(v) + 2 + 2 + 2 * (v.keep is not None)
    return pairs(v) * each + 2 * size(g) + size(v.q) + size(v.k)


def attention_rule(v: Any) -> int:
    gy, glse = v.incoming
    total = 0 if gy is None else _attention_grad(v, gy)
    if glse is not None:  # p again, p g, and two products
        total += pairs(v) * (6 * v.q.shape[-1] + extras(v) + 3)
    return total


def attention_grad_rule(v: Any) -> int:
    """The rule of attention_grad as its formula says, all three of h given: p again, then
    products for c, t (2), u, gg (2), gq (2), gk (2), gv."""
    e, ev = v.q.shape[-1], v.v.shape[-1]
    return pairs(v) * (2 * (7 * e + 5 * ev) + extras(v) + 2 + 14)


# ---- norms, softmax, losses


def layer_norm(v: Any) -> int:
    """mean, x - m, ², mean, r: 5 n and 5 R; w and b"""
    rows = size(v.result[1])
    return (5 + (v.w is not None) + (v.b is not None)) * size(v.x) + 5 * rows


def layer_norm_grad(v: Any) -> int:
    return _layer_norm_grad(v, v.m)


def _layer_norm_grad(v: Any, m: Any) -> int:
    """x̂ (2), u, gw (2), gb, and gx: mean u, u x̂, its mean, u - mean u - x̂ q (3), times r"""
    return (12 + (v.w is not None)) * size(v.x) + 2 * size(m)


def layer_norm_rule(v: Any) -> int:
    gy, gm, gr = v.incoming
    total = 0 if gy is None else _layer_norm_grad(v, v.y[1])
    if gm is not None or gr is not None:
        total += size(v.x) * (3 + 3 * (gr is not None))
    return total


def cross_entropy(v: Any) -> int:
    """max, - max, exp, Σ; ln, - z[target], times w, Σ for each row"""
    return 4 * size(v.x) + 4 * v.x.shape[0]


def cross_entropy_grad(v: Any) -> int:
    """softmax (5), times w; - 1 at the target and g w for each row"""
    return 6 * size(v.x) + 2 * v.x.shape[0]


def rows_of(x: Any, dim: int) -> int:
    return size(x) // max(x.shape[dim], 1)


FORWARD = {
    "activate": lambda v: VALUE[v.act] * size(v.x),
    "act_grad": lambda v: SLOPE[v.act] * size(v.v),
    "linear": linear,
    "linear_z": linear,
    "linear_grad_x": linear_grad_x,
    "linear_grad_w": linear_grad_w,
    "convolve": convolve,
    "convolve_input": convolve_input,
    "convolve_weight": convolve_weight,
    "attention": attention,
    "attention_grad": attention_grad,
    "layer_norm": layer_norm,
    "layer_norm_grad": layer_norm_grad,
    "softmax": lambda v: 5 * size(v.x),
    "softmax_grad": lambda v: 4 * size(v.g),
    "log_softmax": lambda v: 5 * size(v.x) + rows_of(v.x, v.dim),  # max, -, exp, Σ, -; ln
    "log_softmax_grad": lambda v: 4 * size(v.g),
    "cross_entropy": cross_entropy,
    "cross_entropy_grad": cross_entropy_grad,
    "row_weights": lambda v: 2 * size(v.result) if v.reduction == "mean" else 0,
}
RULES = {
    "activate": lambda v: SLOPE[v.act] * size(v.incoming),
    "act_grad": act_grad_rule,
    "linear": linear_rule,
    "linear_z": linear_rule,
    "linear_grad_x": linear_grad_x_rule,
    "linear_grad_w": linear_grad_w_rule,
    "convolve": convolve_rule,
    "convolve_input": convolve_input_rule,
    "convolve_weight": convolve_weight_rule,
    "attention": attention_rule,
    "attention_grad": attention_grad_rule,
    "layer_norm": layer_norm_rule,
    "layer_norm_grad": lambda v: 34 * size(v.x),  # its formula with all of h
    "softmax": lambda v: 4 * size(v.y),
    "softmax_grad": lambda v: (4 * v.needs["g"] + 8 * v.needs["p"]) * size(v.g),
    "log_softmax": lambda v: 4 * size(v.y),
    "log_softmax_grad": lambda v: 7 * size(v.g),
    "cross_entropy": cross_entropy_grad,
    "cross_entropy_grad": lambda v: 19 * size(v.x),  # its formula: two softmaxes, ...
}
