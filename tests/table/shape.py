"""Rows for ops/shape.py."""

import torch

import tinygrad_ai as ta
from tests.optable import ints, nograd, row, t


def both(name, *inputs, call):
    """One row for a method: the same call on both libraries' tensors."""
    return row(name, *inputs, ours=call, theirs=call)


ROWS = [
    row("reshape", t(2, 6), (3, 4)),
    row("reshape", t(2, 6), (-1,)),
    row("reshape", t(0, 3), (3, 0)),
    row("reshape", t(), (1, 1)),
    both("view", t(2, 6), call=lambda x: x.contiguous().view(3, -1)),
    both("view", t(2, 6), call=lambda x: x.contiguous().view((4, 3))),
    both(
        "view_as",
        t(2, 6),
        nograd(4, 3),
        call=lambda x, y: x.contiguous().view_as(y) * x.reshape_as(y),
    ),
    row("permute", t(2, 3, 4), (2, 0, -2)),
    row("transpose", t(2, 3, 4), 0, -1),
    row("swapaxes", t(2, 3), 0, 1),
    row("swapdims", t(2, 3), 0, 1),
    row("t", t(2, 3)),
    row("t", t(3)),
    both("T", t(2, 3), call=lambda x: x.T),
    both("mT", t(2, 3, 4), call=lambda x: x.mT),
    row("movedim", t(2, 3, 4), 0, 2),
    row("movedim", t(2, 3, 4), (0, 1), (-1, 0)),
    row("moveaxis", t(2, 3, 4), 2, 0),
    row("squeeze", t(1, 3, 1)),
    row("squeeze", t(1, 3, 1), 0),
    row("squeeze", t(1, 3, 1), (0, 2)),
    row("squeeze", t(1, 3, 1), 1),
    row("unsqueeze", t(3, 4), 1),
    row("unsqueeze", t(3, 4), -1),
    row("unsqueeze", t(), 0),
    row("flatten", t(2, 3, 4)),
    row("flatten", t(2, 3, 4), 1),
    row("flatten", t()),
    row("unflatten", t(2, 6), 1, (2, -1)),
    row("ravel", t(2, 3)),
    both("expand", t(3, 1), call=lambda x: x.expand(2, -1, 4)),
    both("expand_as", t(3, 1), nograd(3, 5), call=lambda x, y: x.expand_as(y)),
    row("broadcast_to", t(3, 1), (2, 3, 4)),
    row("broadcast_tensors", t(3, 1), t(4)),
    both("repeat", t(2, 3), call=lambda x: x.repeat(2, 1, 3)),
    row("tile", t(2, 3), (2,)),
    row("tile", t(2, 3), (2, 2, 2)),
    row("repeat_interleave", t(2, 3), 2),
    row("repeat_interleave", t(2, 3), 2, 1),
    row("repeat_interleave", t(2, 3), ints(3, 2), 0),
    row("flip", t(2, 3), (0, 1)),
    row("fliplr", t(2, 3)),
    row("flipud", t(2, 3)),
    row("roll", t(2, 3), 1),
    row("roll", t(2, 3), (1, -1), (0, 1)),
    *[row("rot90", t(2, 3, 4), k, (0, 2)) for k in range(-1, 5)],
    row("atleast_1d", t()),
    row("atleast_2d", t(3)),
    row("atleast_3d", t(2, 3)),
    row("meshgrid", t(2), t(3), indexing="ij"),
    row("meshgrid", t(2), t(3), t(4), indexing="xy"),
    row("numel", nograd(2, 3), order=0),
    row(
        "broadcast_shapes",
        ours=lambda: ta.broadcast_shapes((3, 1), (4,)),
        theirs=lambda: tuple(torch.broadcast_shapes((3, 1), (4,))),
        order=0,
    ),  # fmt: skip
    both("clone", t(2, 3), call=lambda x: x.clone()),
    both("to", t(2, 3), call=lambda x: x.double()),
    both("contiguous", t(2, 3), call=lambda x: x.T.contiguous()),
]
