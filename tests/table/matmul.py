"""Rows for ops/matmul.py and ops/linear.py."""

import torch

from tests.optable import row, t

A = {
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "silu": torch.nn.functional.silu,
}
A["gelu"] = torch.nn.functional.gelu
A["gelu_tanh"] = lambda x: torch.nn.functional.gelu(x, approximate="tanh")
A["leaky_relu"] = torch.nn.functional.leaky_relu


def fused(act):
    import tinygrad_ai as ta

    return {
        "ours": lambda x, w, b=None: ta.nn.functional.linear(x, w, b, act=act),
        "theirs": lambda x, w, b=None: A[act](torch.nn.functional.linear(x, w, b)),
    }


ROWS = [
    row("matmul", t(3, 4), t(4, 2)),
    row("matmul", t(4), t(4, 2)),
    row("matmul", t(3, 4), t(4)),
    row("matmul", t(4), t(4)),
    row("matmul", t(2, 3, 4), t(4, 5)),
    row("matmul", t(2, 3, 4), t(2, 4, 5)),
    row("matmul", t(2, 1, 3, 4), t(3, 4, 5)),
    row("matmul", t(3, 4), t(2, 4, 5)),
    row("matmul", t(2, 3, 4), t(4)),
    row("matmul", t(0, 4), t(4, 2)),
    row("matmul", t(3, 0), t(0, 2)),
    row("mm", t(3, 4), t(4, 2)),
    row("bmm", t(2, 3, 4), t(2, 4, 5)),
    row("mv", t(3, 4), t(4)),
    row("dot", t(4), t(4)),
    row("vdot", t(4), t(4)),
    row("inner", t(2, 4), t(3, 4)),
    row("outer", t(3), t(4)),
    row("ger", t(3), t(4)),
    row("addmm", t(2), t(3, 4), t(4, 2), beta=0.5, alpha=2.0),
    row("addmv", t(3), t(3, 4), t(4), beta=0.5, alpha=2.0),
    row("addr", t(3, 4), t(3), t(4), beta=0.5, alpha=2.0),
    row("baddbmm", t(2, 3, 5), t(2, 3, 4), t(2, 4, 5), beta=0.5, alpha=2.0),
    row("addbmm", t(3, 5), t(2, 3, 4), t(2, 4, 5), beta=0.5, alpha=2.0),
    row("nn.functional.linear", t(5, 3), t(4, 3), t(4)),
    row("nn.functional.linear", t(5, 3), t(4, 3)),
    row("nn.functional.linear", t(2, 5, 3), t(4, 3), t(4)),
    row("nn.functional.linear", t(3), t(4, 3), t(4)),
    row("nn.functional.linear", t(0, 3), t(4, 3), t(4)),
    row("nn.functional.linear", t(5, 3), t(3)),
    *[row(f"linear_{act}", t(5, 3), t(4, 3), t(4), **fused(act)) for act in A],
    *[row(f"linear_{act}", t(2, 5, 3), t(4, 3), **fused(act)) for act in ("relu", "gelu")],
]
