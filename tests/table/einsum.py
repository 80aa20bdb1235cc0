"""Rows for ops/einsum.py and ops/diagonal.py."""

import torch

import tinygrad_ai as ta
from tests.optable import row, t


def e(equation, *inputs):
    return row(
        "einsum",
        *inputs,
        ours=lambda *x: ta.einsum(equation, *x),
        theirs=lambda *x: torch.einsum(equation, *x),
    )


ROWS = [
    e("ij,jk->ik", t(2, 3), t(3, 4)),
    e("ij,jk", t(2, 3), t(3, 4)),
    e("bij,bjk->bik", t(2, 3, 4), t(2, 4, 2)),
    e("ii->i", t(3, 3)),
    e("ii", t(3, 3)),
    e("iij->j", t(3, 3, 2)),
    e("ij->ji", t(2, 3)),
    e("ij->", t(2, 3)),
    e("ij->i", t(2, 3)),
    e("i,j->ij", t(2), t(3)),
    e("...ij,...jk->...ik", t(2, 3, 4), t(4, 2)),
    e("i...->...", t(2, 3, 4)),
    e("ij,jk,kl->il", t(2, 3), t(3, 4), t(4, 2)),
    e("ij,ij->i", t(2, 3), t(2, 3)),
    row("tensordot", t(2, 3, 4), t(3, 4, 2)),
    row("tensordot", t(2, 3, 4), t(4, 3), dims=([1, 2], [1, 0])),
    row("tensordot", t(2), t(3), dims=0),
    row("kron", t(2, 3), t(3, 2)),
    row("kron", t(2), t(3, 2)),
    row("trace", t(3, 4)),
    row("tril", t(3, 4)),
    row("tril", t(2, 3, 4), 1),
    row("triu", t(3, 4), -1),
    row("diag", t(3)),
    row("diag", t(3), 1),
    row("diag", t(3, 4), -1),
    row("diagonal", t(2, 3, 4), 1, 0, 2),
    row("diag_embed", t(2, 3)),
    row("diag_embed", t(2, 3), -1, 0, 2),
    row("diagflat", t(2, 2), 1),
    row("diagonal_scatter", t(3, 3), t(3)),
    row("tril_indices", 3, 4, 1, order=0),
    row("triu_indices", 3, 4, -1, order=0),
]
