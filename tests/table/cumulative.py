"""Rows for ops/cumulative.py."""

from tests.optable import distinct, ints, row, t, val

ZEROS = val([[2.0, 0.0, 3.0, 4.0], [1.0, 2.0, 0.0, 0.0]])
ROWS = [
    row("logcumsumexp", val([0.0, 900.0, -5.0, 900.5]), 0, kink=True),
    row("logcumsumexp", val([[-900.0, 0.0, 3.0], [1.0, 2.0, -700.0]]), 1, kink=True),
    row("cummax", val(2.5), 0, order=0),
    row("diff", val([True, False, True])),
    row("cumsum", t(3, 4), 0),
    row("cumsum", t(3, 4), -1),
    row("cumsum", t(), 0),
    row("cumsum", ints(5, 4), 0, order=0),
    row("cumprod", t(3, 4), 1),
    row("cumprod", ZEROS, 1),
    row("cumprod", ints(5, 4), 0, order=0),
    row("logcumsumexp", t(3, 4), 1),
    row("cummax", distinct(3, 4), 1),
    row("cummin", distinct(3, 4), 0),
    row("cummax", val([1.0, 3.0, 3.0, 2.0]), 0, kink=True),
    row("diff", t(3, 4)),
    row("diff", t(5, 4), 2, 0),
    row("prod", ZEROS, 1, kink=True),
    row("prod", ZEROS, kink=True),
]
