"""Rows for ops/special.py."""

import numpy as np

from tests.optable import pos, row, t, unit, val

ROWS = [
    row("lgamma", val([-np.inf, np.inf, 2.0]), order=0),
    row("erf", val(np.float16([0.5, -2.0])), order=0),
    row("xlogy", val(np.float32([0.5, 2.0])), 2, order=0),
    row("erf", t(3, 4)),
    row("erfc", t(3, 4)),
    row("erfinv", unit(3, 4)),
    # PyTorch's trigamma and polygamma are right to eight digits; SciPy's agree with mpmath.
    row("lgamma", pos(3, 4), rtol=1e-7),
    row("digamma", pos(3, 4), rtol=1e-7),
    row("polygamma", 1, pos(3, 4), order=1),
    row("polygamma", 2, pos(3), order=1),
    row("mvlgamma", val([3.5, 4.5]), 2),
    row("xlogy", pos(3, 4), pos(4)),
    row("xlogy", val([0.0, 0.0, 1.0]), val([0.0, 2.0, 3.0]), kink=True, order=1),
    row("logit", val([0.2, 0.7])),
    row("logit", val([0.2, 0.7]), eps=0.1),
    row("logit", val([0.01, 0.7, 0.99]), eps=0.1, kink=True),
]
