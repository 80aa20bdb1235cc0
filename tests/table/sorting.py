"""Rows for ops/sorting.py and ops/statistics.py."""

from math import nan

import numpy as np

from tests.optable import Input, distinct, ints, nograd, row, t, val

HOLES = val([[1.0, nan, 3.0], [5.0, 4.0, 2.0]])
SHARES = Input(lambda rng: np.array([0.0, 0.25, 1.0]), grad=False)
ROWS = [
    row("median", val(np.zeros((0, 3))), order=0),
    row("mode", val(2.5), order=0),
    row("histc", val(2.5), bins=4, order=0),
    row("sort", distinct(3, 4)),
    row("sort", distinct(3, 4), 0, True),
    row("sort", val([3, 1, 2, 1]), stable=True, order=0),
    row("sort", t()),
    row("argsort", distinct(3, 4), 1, True, order=0),
    row("msort", distinct(3, 4)),
    row("topk", distinct(3, 4), 2),
    row("topk", distinct(3, 4), 2, 0, False),
    row("kthvalue", distinct(3, 4), 2),
    row("kthvalue", distinct(3, 4), 1, 0, True),
    row("median", distinct(3, 4)),
    row("median", distinct(3, 4), 1),
    row("median", distinct(3, 5), 1, True),
    row("median", HOLES, 1, kink=True),
    row("nanmedian", HOLES, 1, kink=True),
    row("nanmedian", HOLES, kink=True),
    row("mode", val([[1, 2, 2, 3], [3, 3, 1, 1]]), order=0),
    row("quantile", distinct(3, 4), 0.3),
    row("quantile", distinct(3, 4), 0.3, 1),
    row("quantile", distinct(3, 4), SHARES, 0),
    row("quantile", distinct(3, 4), 0.6, 0, True),
    *[
        row("quantile", distinct(3, 4), 0.4, 1, interpolation=w)
        for w in ("lower", "higher", "midpoint", "nearest")
    ],
    row("quantile", HOLES, 0.5, 1, order=0),
    row("nanquantile", HOLES, 0.5, 1, kink=True),
    row("unique", ints(4, 10), order=0),
    row("unique", ints(3, 4, 3), return_inverse=True, return_counts=True, order=0),
    row("unique", val([[1, 2], [0, 1], [1, 2]]), dim=0, return_counts=True, order=0),
    row(
        "unique_consecutive", val([1, 1, 2, 2, 1]), return_inverse=True, return_counts=True, order=0
    ),
    row("unique_consecutive", val([[1, 1], [1, 1], [0, 1]]), dim=0, order=0),
    row("bincount", ints(4, 10), order=0),
    row("bincount", ints(4, 10), nograd(10), minlength=6, order=0),
    row("histc", nograd(20), 5, -1.0, 1.0, order=0),
    row("histc", nograd(20), 5, order=0),
    *[row(n, t(3, 4)) for n in ("var", "std")],
    *[row(n, t(3, 4), 1) for n in ("var", "std", "var_mean", "std_mean")],
    *[row(n, t(3, 4), False) for n in ("var", "std")],
    row("var", t(3, 4), dim=(0, 1), correction=0, keepdim=True),
    row("var", t(3, 4), dim=0, correction=2),
    row("std", val([1.0, 1.0]), kink=True, order=1),
    row("cov", t(3, 5)),
    row("corrcoef", t(3, 5)),
]
