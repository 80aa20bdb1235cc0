"""Rows for ops/indexing.py: x[...] as a value, and x[...] = v on a copy."""

from tests.optable import bools, ints, row, t, val


def get(*inputs, index):
    return row("getitem", *inputs, ours=index, theirs=index)


def put(*inputs, assign):
    def run(x, *rest):
        y = x * 1
        assign(y, *rest)
        return y

    return row("setitem", *inputs, ours=run, theirs=run)


def first(x, v):
    x[0] = v


def block(x, v):
    x[1:, ::2] = v


def number(x):
    x[:, 1] = 3


def masked(x, mask, v):
    x[mask] = v


def picked(x, rows, v):
    x[rows] = v


def everything(x, v):
    x[...] = v


ROWS = [
    get(t(3, 4), index=lambda x: x[1]),
    get(t(3, 4), index=lambda x: x[-1, 2]),
    get(t(3, 4), index=lambda x: x[1:, ::2]),
    get(t(3, 4), index=lambda x: x[:, None, 1:3]),
    get(t(2, 3, 4), index=lambda x: x[..., 0]),
    get(t(2, 3, 4), index=lambda x: x[0, ..., 1:]),
    get(t(3, 4), index=lambda x: x[[0, 2, 0]]),
    get(t(3, 4), index=lambda x: x[:, [1, 1]]),
    get(t(3, 4), index=lambda x: x[[0, 1], [2, 3]]),
    get(t(3, 4), ints(3, 5), index=lambda x, i: x[i]),
    get(t(3, 4), ints(4, 2, 2), index=lambda x, i: x[1, i]),
    get(t(3, 4), ints(3, 2), index=lambda x, i: x[i, 1:]),
    get(t(3, 4), bools(3, 4), index=lambda x, m: x[m]),
    get(t(3, 4), bools(3), index=lambda x, m: x[m]),
    get(t(3, 4), val(2), index=lambda x, i: x[i]),
    get(t(3, 4), index=lambda x: x[()]),
    get(t(3, 4), index=lambda x: x[3:]),
    get(t(3, 4), index=lambda x: x[[]]),
    get(t(3), index=lambda x: x[True]),
    get(t(2, 3, 4), ints(2, 3), index=lambda x, i: x[i, :, i]),
    get(t(), index=lambda x: x[None]),
    get(t(3), index=lambda x: sum(v * v for v in x)),
    put(t(3, 4), t(4), assign=first),
    put(t(3, 4), t(), assign=first),
    put(t(3, 4), t(2, 2), assign=block),
    put(t(3, 4), t(1, 2), assign=block),
    put(t(3, 4), assign=number),
    put(t(3, 4), bools(3, 4), t(), assign=masked),
    put(t(3, 4), val([2, 0]), t(2, 4), assign=picked),
    put(t(3, 4), val([2, 0]), t(4), assign=picked),
    put(t(3, 4), t(3, 4), assign=everything),
]
