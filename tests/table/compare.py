"""Rows for ops/compare.py."""

from math import inf, nan

import torch

import tinygrad_ai as ta
from tests.optable import bools, ints, nograd, row, t, val


def pick(x, condition, other):
    """The method: its tensor is what is taken where the condition holds."""
    return x.where(condition, other)


ODD = val([nan, inf, -inf, 0.0, -0.0, 1.0])
PAIR = (val([1.0, 2.0, nan]), val([1.0, 3.0, nan]))
ROWS = [
    *[row(n, ints(3, 4, 2), ints(3, 2), order=0) for n in ("eq", "ne", "lt", "le", "gt", "ge")],
    *[
        row(n, ints(3, 4), 1.5, order=0)
        for n in ("not_equal", "less", "less_equal", "greater", "greater_equal")
    ],
    *[
        row(n, ODD, order=0)
        for n in ("isnan", "isinf", "isfinite", "isposinf", "isneginf", "signbit", "logical_not")
    ],
    *[row(n, bools(6), bools(6), order=0) for n in ("logical_and", "logical_or", "logical_xor")],
    *[
        row(n, ints(9, 6), ints(9, 6), order=0)
        for n in ("bitwise_and", "bitwise_or", "bitwise_xor")
    ],
    row("bitwise_and", bools(6), bools(6), order=0),
    row("bitwise_not", ints(9, 6), order=0),
    row("bitwise_not", bools(4), order=0),
    row("bitwise_left_shift", ints(9, 6), ints(3, 6), order=0),
    row("bitwise_right_shift", ints(9, 6), ints(3, 6), order=0),
    row("isclose", *PAIR, order=0),
    row("isclose", *PAIR, equal_nan=True, order=0),
    row("allclose", *PAIR, order=0),
    row("allclose", *PAIR, rtol=1.0, equal_nan=True, order=0),
    row("equal", nograd(3), nograd(3), order=0),
    row("isin", ints(5, 6), ints(5, 2), order=0),
    row("logical_and", val([0.0, 1.0, 2.0]), val([1, 0, 3]), order=0),
    row("where", nograd(3, 4), bools(3, 4), nograd(4), ours=pick, theirs=pick, order=0),
    row("choice", bools(3, 4), t(3, 4), t(4), ours=ta.where, theirs=torch.where),
    row("choice", bools(3), t(3), 1.5, ours=ta.where, theirs=torch.where),
]
