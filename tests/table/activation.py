"""Rows for ops/activation.py and nn/functional/activation.py."""

from tests.optable import far, ints, row, t, val

F = "nn.functional."
EDGES = val([-6.0, -3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0, 6.0])
PLAIN = (
    "relu", "relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "mish", "hardtanh",
    "hardswish", "softplus", "softsign", "logsigmoid", "tanhshrink", "softshrink",
    "hardshrink", "sigmoid", "tanh",
)  # fmt: skip
ROWS = [
    row(F + "hardtanh", ints(5, 4), -2.0, 2.0),
    row(F + "relu6", val([-3, 4, 9])),
    *[row(F + name, far(3, 4)) for name in PLAIN],
    *[row(F + name, EDGES, kink=True) for name in PLAIN],
    # PyTorch has no second derivative of hardsigmoid, and rounds its 1/6 to float32.
    row(F + "hardsigmoid", far(3, 4), order=1, rtol=1e-7),
    row(F + "hardsigmoid", EDGES, kink=True, order=1, rtol=1e-7),
    *[row(F + name, t(0, 3)) for name in ("relu", "gelu", "softplus")],
    row("relu", far(5)),
    row("selu", far(5)),
    row("celu", far(5), alpha=0.7, rtol=1e-7),  # PyTorch rounds 1 / alpha to float32
    row(F + "leaky_relu", far(3, 4), 0.3),
    row(F + "elu", far(3, 4), 0.7),
    row(F + "gelu", t(3, 4), approximate="tanh"),
    row(F + "hardtanh", far(3, 4), -0.3, 0.7),
    row(F + "softplus", t(3, 4), 2.0, 1.0),
    row(F + "softplus", val([-800.0, 0.0, 30.0, 800.0]), kink=True),
    row(F + "logsigmoid", val([-800.0, 0.0, 800.0]), kink=True),
    row(F + "softshrink", far(3, 4), 0.2),
    row(F + "hardshrink", far(3, 4), 0.2),
    row(F + "threshold", far(3, 4), 0.1, 20.0),
    row("threshold", far(3), 0.1, 20.0),
    row(F + "prelu", far(3, 4), val([0.3])),
    row(F + "prelu", far(2, 3, 4), val([0.3, 0.2, 0.1])),
    row(F + "glu", t(3, 4)),
    row(F + "glu", t(4, 3), 0),
    row(F + "softmax", t(3, 4), 1),
    row(F + "softmin", t(3, 4), 0),
    row(F + "log_softmax", t(3, 4), 1),
    row("softmax", t(3, 4), 0),
    row("softmax", t(), 0),
    row("softmax", val([[1000.0, -1000.0], [0.0, 0.0]]), 1),
    row("log_softmax", t(2, 3, 4), -2),
    row("log_softmax", val([[1000.0, -1000.0], [0.0, 0.0]]), 1),
]
