"""Rows for ops/gather.py, ops/scatter.py and ops/padding.py."""

from tests.optable import bools, distinct, ints, nograd, pos, row, t, val

UNIQUE = val([[2, 0, 1], [1, 2, 0]])
TWICE = val([[0, 0, 1], [1, 2, 2]])
REDUCE = ("sum", "prod", "mean", "amax", "amin")
ROWS = [
    row("gather", t(3, 4), 1, ints(4, 3, 2)),
    row("gather", t(3, 4), 0, ints(3, 2, 4)),
    row("index_select", t(3, 4), 0, ints(3, 5)),
    row("index_select", t(3, 4), -1, ints(4, 2)),
    row("take", t(3, 4), ints(12, 2, 3)),
    row("take_along_dim", t(3, 4), ints(4, 3, 2), 1),
    row("take_along_dim", t(3, 4), ints(12, 5)),
    row("take_along_dim", t(3, 4), ints(4, 1, 2), 1),
    row("masked_select", t(3, 4), bools(3, 4)),
    row("masked_select", t(3, 4), bools(4)),
    row("nonzero", bools(3, 4), order=0),
    row("nonzero", ints(2, 3, 4), as_tuple=True, order=0),
    row("argwhere", ints(2, 3, 4), order=0),
    row(
        "places",
        bools(3, 4),
        order=0,
        ours=lambda m: __import__("tinygrad_ai").where(m),
        theirs=lambda m: __import__("torch").where(m),
    ),
    row("searchsorted", val([1.0, 3.0, 5.0]), nograd(2, 3), order=0),
    row(
        "searchsorted",
        val([[1.0, 3.0, 5.0], [2.0, 3.0, 3.0]]),
        val([[3.0], [3.0]]),
        right=True,
        order=0,
    ),
    row("bucketize", nograd(2, 3), val([-1.0, 0.0, 1.0]), order=0),
    row("scatter", t(3, 4), 0, UNIQUE, t(2, 3)),
    row("scatter", t(3, 4), 0, UNIQUE, value=1.5),
    row("scatter_add", t(3, 4), 0, TWICE, t(2, 3)),
    *[
        row("scatter_reduce", pos(3, 4), 0, TWICE, pos(2, 3), r, order=1)
        for r in ("sum", "prod", "mean")
    ],
    *[
        row("scatter_reduce", distinct(3, 4), 0, TWICE, t(2, 3), r, order=1)
        for r in ("amax", "amin")
    ],
    *[
        row(
            "scatter_reduce",
            pos(3, 4),
            0,
            TWICE,
            pos(2, 3),
            r,
            include_self=False,
            kink=r == "prod",
            order=1,
        )
        for r in REDUCE
        if r != "prod"
    ],
    row("index_add", t(3, 4), 0, val([0, 2, 0]), t(3, 4)),
    row("index_add", t(3, 4), 1, val([0, 3]), t(3, 2), alpha=2.0),
    row("index_copy", t(3, 4), 0, val([0, 2]), t(2, 4)),
    row("index_fill", t(3, 4), 1, val([0, 2]), 1.5),
    row("index_put", t(3, 4), (val([0, 2]), val([1, 3])), t(2)),
    row("index_put", t(3, 4), (val([0, 0]), val([1, 1])), t(2), accumulate=True),
    row("masked_fill", t(3, 4), bools(4), 2.5),
    row("masked_scatter", t(3, 4), bools(3, 4), t(12)),
    row("nn.functional.one_hot", ints(4, 2, 3), 5, order=0),
    row("nn.functional.one_hot", val([0, 2, 1]), order=0),
    row("nn.functional.pad", t(2, 3), (1, 2)),
    row("nn.functional.pad", t(2, 3), (1, 2, 0, 1), value=1.5),
    row("nn.functional.pad", t(2, 5), (-1, 2)),
    *[
        row("nn.functional.pad", t(1, 2, 4), (1, 2), mode=m)
        for m in ("reflect", "replicate", "circular")
    ],
    *[
        row("nn.functional.pad", t(1, 2, 3, 4), (1, 2, 2, 1), mode=m)
        for m in ("reflect", "replicate", "circular")
    ],
]
