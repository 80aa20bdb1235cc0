"""FLOPs of ops on arrays: what moves numbers, sums and extremes, matrix products, decompositions.

For each op a formula of its shapes, for the forward and for the rule. `v` has the op's inputs and
configuration under their names; `v.result` is what the forward made, `v.incoming` the gradient that
the rule was given, `v.needs` which inputs' gradients are computed. A product of (m, k) and (k, n)
is 2 m k n, a sum of n numbers n. Of decompositions the leading term is counted, as in Golub and
Van Loan, Matrix Computations.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..ops.indexing import is_basic


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# They move, choose or compare, and compute no number.
MOVES = words(
    "broadcast_to cast transfer rows getitem setitem select reshape permute flip roll cat split "
    "select_along place_along diagonal undiagonal tril triu clone gather take_along scatter pad "
    "windows embedding eq ne lt le gt ge isnan isinf isfinite isposinf isneginf signbit "
    "logical_not logical_and logical_or logical_xor bitwise_and bitwise_or bitwise_xor "
    "bitwise_not bitwise_left_shift bitwise_right_shift isin heaviside argmax argmin all any"
)
# Their rules do no more.
MOVING_RULES = words(
    "sum sum_to cast transfer rows putitem select reshape permute flip roll cat "
    "split select_along place_along diagonal undiagonal tril triu clone take_along scatter "
    "scatter_add scatter_sum additem pad unwindow sign floor ceil trunc round "
    "floor_div trunc_div"
)


def size(value: Any) -> int:
    """How many numbers; a number is one."""
    return int(getattr(value, "size", 1))


def picked(v: Any) -> int:
    """How many numbers an index chooses; those of a slice are not added to anything."""
    return 0 if is_basic(v.index) else size(v.incoming)


def assigned(v: Any) -> int:
    """What was assigned to several numbers each gets the sum of their gradients."""
    chosen = size(v.incoming[v.index]) if v.needs["v"] else 0
    return chosen if chosen > math.prod(v.v_shape) else 0


def product(a: Any, b: Any, y: Any) -> int:
    """2 m k n for each matrix of y."""
    return 2 * size(y) * int(a.shape[-1])


def matmul_rule(v: Any) -> int:
    return (v.needs["a"] + v.needs["b"]) * 2 * size(v.incoming) * int(v.a.shape[-1])


def contraction(names: list[str], out: str, sizes: dict[str, int]) -> int:
    """An einsum: operands are contracted two at a time, in the order NumPy finds."""
    names = list(names)
    shapes = [np.broadcast_to(np.float32(0), [sizes[c] for c in n]) for n in names]
    equation = ",".join(names) + "->" + out
    order = np.einsum_path(equation, *shapes, optimize=len(names) > 2)[0][1:]
    total = 0
    for places in order:
        chosen = [names[i] for i in places]
        names = [n for i, n in enumerate(names) if i not in places]
        letters = set("".join(chosen))
        kept = letters & set(out + "".join(names))
        points = math.prod([sizes[c] for c in letters])
        total += points * (len(chosen) - 1 + (kept != letters))
        names.append("".join(sorted(kept)))
    return total


def terms(v: Any) -> tuple[list[str], str, dict[str, int]]:
    left, out = v.equation.split("->")
    names = left.split(",")
    return names, out, {c: n for name, x in zip(names, v.xs) for c, n in zip(name, x.shape)}


def einsum(v: Any) -> int:
    return contraction(*terms(v))


def einsum_rule(v: Any) -> int:
    """Each operand's gradient is the einsum of g and the others."""
    names, out, sizes = terms(v)
    total = 0
    for i, name in enumerate(names):
        others = [out, *names[:i], *names[i + 1 :]]
        kept = "".join([c for c in dict.fromkeys(name) if c in "".join(others)])
        total += contraction(others, kept, sizes)
    return total


def cubes(x: Any) -> float:
    """n³ for each (m, n) matrix, n the smaller size; m n² if they differ."""
    *lead, m, n = x.shape
    return math.prod(lead) * max(m, n) * min(m, n) ** 2


def small_cubes(x: Any) -> float:
    *lead, m, n = x.shape
    return math.prod(lead) * min(m, n) ** 3


def outside(x: Any, dim: tuple[int, ...]) -> int:
    """How many numbers are left when `dim` is reduced."""
    return math.prod([n for i, n in enumerate(x.shape) if i not in dim])


FORWARD = {
    "putitem": lambda v: 0 if is_basic(v.index) else size(v.x),
    "additem": lambda v: size(v.v),
    "scatter_sum": lambda v: size(v.index),
    "scatter_add": lambda v: size(v.index),
    "combine": lambda v: size(v.index),
    "sum_to": lambda v: size(v.x),
    "sum": lambda v: size(v.x),
    "mean": lambda v: size(v.x) + size(v.result),
    "prod": lambda v: size(v.x),
    "amax": lambda v: size(v.x),
    "amin": lambda v: size(v.x),
    "count_nonzero": lambda v: size(v.x),
    "logsumexp": lambda v: 4 * size(v.x) + 2 * size(v.result),  # max, -, exp, Σ; ln, +
    "cumsum": lambda v: size(v.x),
    "cumprod": lambda v: size(v.x),
    "logcumsumexp": lambda v: 3 * size(v.x),  # exp, +, ln
    "running": lambda v: size(v.x),
    "norm2": lambda v: 2 * size(v.x) + size(v.result),
    "norm_p": lambda v: 3 * size(v.x) + size(v.result),
    "var": lambda v: 4 * size(v.x) + 2 * size(v.result),  # Σ, -, ², Σ; / n, / (n - c)
    "std": lambda v: 4 * size(v.x) + 3 * size(v.result),
    "unwindow": lambda v: size(v.w),
    "embedding_grad": lambda v: size(v.g) * (1 + bool(v.by_frequency)),
    "embedding_back": lambda v: size(v.result) * bool(v.by_frequency),
    "clamp": lambda v: ((v.low is not None) + (v.high is not None)) * size(v.result),
    "isclose": lambda v: 5 * size(v.result),  # |a - b| <= atol + rtol |b|
    "matmul": lambda v: product(v.a, v.b, v.result),
    "einsum": einsum,
    "inv": lambda v: 2 * cubes(v.x),
    "solve": lambda v: 2 * cubes(v.a) / 3 + 2 * size(v.result) * v.a.shape[-1],
    "det": lambda v: 2 * cubes(v.x) / 3,
    "slogdet": lambda v: 2 * cubes(v.x) / 3,
    "cholesky": lambda v: cubes(v.x) / 3,
    "qr": lambda v: 4 * cubes(v.x) - 4 * small_cubes(v.x) / 3,
    "eigh": lambda v: 9 * cubes(v.x),
    "svd": lambda v: 14 * cubes(v.x) + 8 * small_cubes(v.x),
}
RULES = {
    "broadcast_to": lambda v: size(v.incoming),
    "getitem": picked,
    "setitem": assigned,
    "gather": lambda v: size(v.incoming),
    "mean": lambda v: size(v.incoming),
    "prod": lambda v: size(v.x) + size(v.y),  # g y / x
    "amax": lambda v: 2 * size(v.x),  # how many are equal, g / that
    "amin": lambda v: 2 * size(v.x),
    "logsumexp": lambda v: 3 * size(v.x),
    "cumsum": lambda v: size(v.incoming),
    "cumprod": lambda v: 3 * size(v.x),
    "logcumsumexp": lambda v: 7 * size(v.x),
    "running": lambda v: size(v.incoming[0]),
    "norm2": lambda v: 2 * size(v.x),
    "norm_p": lambda v: 6 * size(v.x),
    "var": lambda v: 3 * size(v.x) + 2 * outside(v.x, v.dim),  # mean, -, *; / n, g 2 / (n - c)
    "std": lambda v: 5 * size(v.x) + outside(v.x, v.dim),
    "combine": lambda v: 2 * size(v.x) + (1 if v.reduce == "prod" else 2) * size(v.src),
    "windows": lambda v: size(v.incoming),
    "embedding": lambda v: size(v.incoming) * (1 + bool(v.by_frequency)),
    "embedding_grad": lambda v: size(v.index) * v.incoming.shape[-1] * bool(v.by_frequency),
    "embedding_back": lambda v: size(v.incoming) * (1 + bool(v.by_frequency)),
    "clamp": lambda v: 0,
    "matmul": matmul_rule,
    "einsum": einsum_rule,
    "inv": lambda v: 4 * cubes(v.y) + size(v.y),
    "solve": lambda v: 2 * cubes(v.a) / 3 + 4 * size(v.y) * v.a.shape[-1] + size(v.a),
    "det": lambda v: 2 * cubes(v.x) + 2 * size(v.x),
    "slogdet": lambda v: 2 * cubes(v.x) + size(v.x),
    "cholesky": lambda v: 8 * cubes(v.y),  # three products, an inverse
    "qr": lambda v: 6 * cubes(v.y[0]) + 4 * small_cubes(v.y[1]),
    "eigh": lambda v: 6 * cubes(v.y[1]),
    "svd": lambda v: 12 * cubes(v.y[0]) + 12 * cubes(v.y[2]),
}
