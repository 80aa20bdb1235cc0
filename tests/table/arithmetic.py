"""Rows for ops/arithmetic.py."""

from tests.optable import ints, pos, row, t, val

ROWS = [
    row("pow", ints(3, 4), val([-1, -2, 0, 3])),
    row("pow", val([1, -1, 2, -1]), val([-1, -3, -1, 2])),
    row("add", t(3, 4), t(3, 4)),
    row("add", t(3, 1), t(4)),
    row("sub", t(3, 4), t()),
    row("mul", t(0, 3), t(3)),
    row("true_divide", t(3, 4), pos(3, 4)),
    row("neg", t(3, 4)),
    row("pow", pos(3, 4), t(3, 4)),
    row("pow", t(3, 4), 3),
    row("pow", val([0.0, 1.0, 2.0]), val([0.0, 2.0, 1.0]), kink=True),
    row("exp", t(3, 4)),
    row("log", pos(3, 4)),
    row("sqrt", pos(3, 4)),
    row("sqrt", val([0.0, 4.0]), kink=True),
    row("tanh", t()),
]
