"""Rows for the ops that live in autograd/."""

import torch

from tests.optable import row, t
from tinygrad_ai.autograd import broadcast, functional, promote
from tinygrad_ai.backend.dtypes import float32

ROWS = [
    row("broadcast_to", t(3, 1), (2, 3, 4)),
    row(
        "sum_to",
        t(2, 3, 4),
        ours=lambda x: broadcast.sum_to(x, shape=(3, 1)),
        theirs=lambda x: x.sum((0, 2)).reshape(3, 1),
    ),
    row(
        "cast",
        t(3),
        ours=lambda x: promote.cast(x, dtype=float32),
        theirs=lambda x: x.to(torch.float32),
        rtol=1e-6,  # the value itself is float32
        kink=True,  # rounding makes steps
    ),
    row(
        "transfer",  # to where it is: other devices are the business of test_cuda_backend.py
        t(3),
        ours=lambda x: promote.transfer(x, device="cpu", source="cpu"),
        theirs=lambda x: x.to("cpu") * 1,
    ),
    row(
        "rows",
        t(2, 3),
        t(2, 3),
        ours=lambda *xs: functional.rows(*xs),
        theirs=lambda *xs: torch.stack(xs),
    ),
]
