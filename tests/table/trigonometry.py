"""Rows for ops/trigonometry.py."""

from tests.optable import ints, pos, row, t, unit, val

ROWS = [
    *[row(name, t(3, 4)) for name in ("sin", "cos", "tan", "atan", "sinh", "cosh", "asinh")],
    *[row(name, unit(3, 4)) for name in ("asin", "acos", "atanh", "tan")],
    *[row(name, unit(2)) for name in ("arcsin", "arccos", "arctanh", "arctan", "arcsinh")],
    row("acosh", val([1.5, 2.0, 3.0])),
    row("arccosh", val([1.5])),
    row("atan2", t(3, 4), t(4)),
    row("arctan2", t(3), t(3)),
    row("atan2", val([0.0, 1.0]), val([0.0, 0.0]), kink=True, order=1),
    row("hypot", pos(3, 1), pos(4)),
    row("sinc", t(3, 4)),
    row("sinc", val([0.0, 1.0]), kink=True, order=1),
    row("deg2rad", t(3)),
    row("rad2deg", t(3)),
    row("sin", ints(5, 4), order=0),
    row("cos", t()),
    row("sin", t(0, 3)),
]
