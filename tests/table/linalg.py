"""Rows for ops/decompositions.py and the namespace linalg."""

from math import inf

import numpy as np
import torch

import tinygrad_ai as ta
from tests.optable import Input, row, t, val

L = "linalg."


def spd(*shape: int) -> Input:
    """Symmetric and positive definite."""

    def make(rng: np.random.Generator) -> np.ndarray:
        x = rng.standard_normal(shape)
        return x @ x.swapaxes(-1, -2) + np.eye(shape[-1])

    return Input(make)


def both(name, *inputs, call):
    """The same program on both libraries: results that do not depend on signs of vectors."""
    return row(name, *inputs, ours=lambda *x: call(ta, *x), theirs=lambda *x: call(torch, *x))


def eigen(lib, x):
    w, v = lib.linalg.eigh((x + x.mT) / 2)
    return w, (v * (w * w).unsqueeze(-2)) @ v.mT, (v[..., 0] ** 2)


def singular(lib, x):
    u, s, vh = lib.linalg.svd(x, full_matrices=False)
    return s, (u * (s**3).unsqueeze(-2)) @ vh, u**2, vh**2


def orthogonal(lib, x):
    q, r = lib.linalg.qr(x)
    return q @ r, q**2, r**2


ROWS = [
    row("dist", t(3, 4), t(4)),
    row("dist", t(3, 4), t(3, 4), 3.0),
    row("dist", val([1.0, 2.0]), val([1.0, 2.0]), kink=True, order=1),
    row("cdist", t(3, 4), t(2, 4), order=1),  # PyTorch has no second order
    row("cdist", t(2, 1, 3, 2), t(4, 5, 2), 1.0, order=1),
    row("cdist", t(3, 4), t(2, 4), 3.0, order=1),
    row("cdist", t(3, 4), t(2, 4), inf, order=1),
    row("cross", t(2, 3), t(2, 3), 1),
    row("cross", t(3, 4), t(3, 4), 0),
    row(L + "inv", t(3, 3)),
    row(L + "inv", t(2, 3, 3)),
    row("inverse", t(3, 3)),
    row(L + "det", t(3, 3)),
    row(L + "det", t(2, 3, 3)),
    # PyTorch's gradient at a singular matrix is 0; tests/test_errors_linalg.py has the true one.
    row(L + "det", val([[1.0, 2.0], [2.0, 4.0]]), order=0),
    row("det", t(2, 2)),
    row(L + "slogdet", t(3, 3)),
    row("slogdet", t(2, 3, 3)),
    row("logdet", spd(3, 3)),
    row(L + "solve", t(3, 3), t(3, 2)),
    row(L + "solve", t(3, 3), t(3)),
    row(L + "solve", t(2, 3, 3), t(2, 3, 2)),
    row(L + "solve", t(3, 3), t(2, 3), left=False),
    row(L + "cholesky", spd(3, 3)),
    row("cholesky", spd(2, 3, 3), theirs=torch.linalg.cholesky),
    row(L + "eigvalsh", spd(3, 3)),
    both("orthogonal", t(4, 3), call=orthogonal),
    both("eigh", t(3, 3), call=eigen),
    both("singular", t(4, 3), call=singular),
    both("singular_wide", t(2, 3, 4), call=singular),
    both("torch_svd", t(3, 3), call=lambda lib, x: lib.svd(x)[2] ** 2),
    row(L + "svdvals", t(3, 4)),
    row(L + "pinv", t(4, 3)),
    row(L + "pinv", t(3, 4)),
    row(L + "multi_dot", [t(2, 3), t(3, 4), t(4, 2)]),
    row(L + "multi_dot", [t(3), t(3, 4), t(4)]),
    *[row(L + "matrix_power", t(3, 3), n) for n in (0, 1, 3, 5, -2)],
    row(L + "matrix_rank", val([[1.0, 2.0], [2.0, 4.0]]), order=0),
    row(L + "cross", t(2, 3), t(2, 3)),
    row(L + "diagonal", t(2, 3, 4)),
    row(L + "solve_triangular", t(3, 3), t(3, 2), upper=True),
    row(L + "solve_triangular", t(3, 3), t(3, 2), upper=False, unitriangular=True),
    row(L + "vector_norm", t(3, 4)),
    row(L + "vector_norm", t(3, 4), 3, 1, True),
    *[row(L + "matrix_norm", t(2, 3, 4), o) for o in ("fro", "nuc", inf, -inf, 1, -1, 2, -2)],
    row(L + "matrix_norm", t(3, 4, 2), "fro", (0, 1), True),
    row(L + "norm", t(3, 4)),
    row(L + "norm", t(3, 4), "nuc"),
    row(L + "norm", t(3, 4), 1),
    row(L + "norm", t(4), 3),
    row(L + "norm", t(2, 3, 4), 1, (1, 2)),
]
