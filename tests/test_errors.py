"""Golden messages: what was expected, what came, and one fix."""

from __future__ import annotations

from typing import Any

import pytest

import tinygrad_ai as ta
from tinygrad_ai import nn
from tinygrad_ai.nn import functional as F

X = ta.zeros(2, 3)
W = ta.ones(2, requires_grad=True)
CASES: list[tuple[Any, type[Exception], str]] = [
    (lambda: X + ta.ones(2), RuntimeError, "add expected shapes that broadcast, got (2, 3) and (2,)"),
    (lambda: ta.atan2(X, ta.ones(2)), RuntimeError, "atan2 expected shapes that broadcast, got (2, 3) and (2,)"),
    (lambda: X @ X, RuntimeError, "matmul expected inner sizes to agree, got (2, 3) @ (2, 3)\n  fix: a @ b.mT fits"),
    (lambda: X @ ta.zeros(3).double(), TypeError, "matmul expected tensors of one dtype, got float32 and float64\n  fix: convert one of them with x.to(other.dtype)"),
    (lambda: X.sum(2), IndexError, "expected a dimension from -2 to 1 for 2 dimensions, got 2"),
    (lambda: X.sum((0, 0)), ValueError, "expected each dimension once, got (0, 0)"),
    (lambda: X.reshape(4, 2), RuntimeError, "expected a shape for 6 elements, got (4, 2)"),
    (lambda: X.T.view(6), RuntimeError, "a view of shape (6,) is impossible with strides (4, 12)\n  fix: use x.reshape(...)"),
    (lambda: X.expand(2, 4), RuntimeError, "a tensor of shape (2, 3) cannot be expanded to (2, 4)"),
    (lambda: X[2], IndexError, "cannot index a tensor of shape (2, 3): index 2 is out of bounds for axis 0 with size 2"),
    (lambda: X[::-1], ValueError, "expected a positive step, got -1\n  fix: use x.flip(dim)"),
    (lambda: X.gather(0, ta.tensor([[5, 0, 0]])), IndexError, "gather: index 5 is out of range for size 2"),
    (lambda: X.gather(0, ta.zeros(1, 3)), TypeError, "gather expects integer indices, got float32\n  fix: index.long()"),
    (lambda: ta.cat([X, ta.zeros(2, 2)]), RuntimeError, "cat expects equal sizes except along dim 0, got (2, 3), (2, 2)"),
    (lambda: ta.stack([]), ValueError, "stack expects at least one tensor"),
    (lambda: ta.tensor([[1.0], [2.0, 3.0]]), TypeError, None),
    (lambda: ta.tensor("a"), TypeError, "expected numbers, got data of type <U1"),
    (lambda: ta.tensor([1, 2]).mean(), TypeError, "mean expects a floating-point tensor, got int64\n  fix: x.float().mean()"),
    (lambda: bool(X), ValueError, "the truth of a tensor of shape (2, 3) is ambiguous\n  fix: use .any() or .all()"),
    (lambda: X.item(), ValueError, "item() needs one element, got shape (2, 3)\n  fix: x.tolist()"),
    (lambda: W.numpy(), RuntimeError, "numpy() would lose the history of this tensor\n  fix: use x.detach().numpy()"),
    (lambda: ta.tensor([1, 2], requires_grad=True), RuntimeError, "only floating-point tensors can require gradients, got int64\n  fix: write 2.0 instead of 2, or convert with .float()"),
    (lambda: (W * 2).backward(), RuntimeError, "a gradient can be implied only for one number, got shape (2,)\n  fix: call backward() on a sum or mean, or pass gradient="),
    (lambda: X.sum().backward(), RuntimeError, "backward needs a tensor that requires a gradient; this one has no history\n  fix: requires_grad=True on the inputs, and no detach() or no_grad() on the way"),
    (lambda: F.cross_entropy(ta.zeros(2, 3), ta.tensor([0, 3])), IndexError, "expected labels from 0 to 2, got 3 at position 1\n  fix: the last layer needs as many outputs as there are classes"),
    (lambda: F.cross_entropy(ta.zeros(2, 3), ta.tensor([0, 1, 2])), RuntimeError, "expected one label for each row of scores, got scores (2, 3) and labels (3,)\n  fix: scores (N, C) go with labels (N)"),
    (lambda: F.cross_entropy(ta.zeros(2, 3).long(), ta.tensor([0, 1])), TypeError, "expected floating-point scores, got int64\n  fix: input.float()"),
    (lambda: F.linear(ta.zeros(2, 3), ta.zeros(4, 5)), RuntimeError, "expected x.shape[-1] == 5, got (2, 3)"),
    (lambda: nn.Linear(3, 4, activation="foo"), ValueError, "expected activation to be None or one of relu, leaky_relu, sigmoid, tanh, gelu, gelu_tanh, silu, got 'foo'"),
    (lambda: F.linear(ta.zeros(2, 3), ta.zeros(4, 3), act="foo"), ValueError, "expected act to be None or one of relu, leaky_relu, sigmoid, tanh, gelu, gelu_tanh, silu, got 'foo'"),
    (lambda: F.conv2d(ta.zeros(1, 2, 4, 4), ta.zeros(3, 3, 2, 2)), RuntimeError, "conv2d expected 3 input channels for a weight (3, 3, 2, 2) and 1 groups, got (1, 2, 4, 4)"),
    (lambda: F.embedding(ta.tensor([4]), ta.zeros(3, 2)), IndexError, "embedding: index 4 is out of range for size 3"),
    (lambda: F.layer_norm(X, (3,), ta.ones(2)), RuntimeError, "layer_norm expected a weight of shape (3,), got (2,)"),
    (lambda: F.layer_norm(X, (3,), ta.ones(3), ta.ones(1, 3)), RuntimeError, "layer_norm expected a bias of shape (3,), got (1, 3)"),
    (lambda: F.dropout(X, 1.5), ValueError, "expected a dropout probability in [0, 1], got 1.5"),
    (lambda: F.softmax(X), ValueError, "softmax needs a dim; PyTorch's implicit choice is deprecated\n  fix: dim=-1"),
    (lambda: nn.MultiheadAttention(5, 2), ValueError, "embed_dim 5 does not divide into 2 heads"),
    (lambda: nn.BatchNorm1d(3)(ta.zeros(1, 3)), ValueError, "in BatchNorm1d: batch_norm needs more than one value per channel, got (1, 3)"),
    (lambda: ta.einsum("ij,jk", X, X), RuntimeError, "einsum 'ij,jk': 'j' is both 3 and 2"),
    (lambda: ta.device("tpu"), ValueError, "expected a device 'cpu' or 'cuda[:N]', got 'tpu'"),
    (lambda: ta.set_default_dtype(ta.int64), TypeError, "the default dtype must be floating point, got int64\n  fix: ta.float32"),
    (lambda: ta.multinomial(ta.tensor([0.0, 1.0]), 2), ValueError, "cannot draw 2 without replacement from fewer nonzero weights"),
]  # fmt: skip


@pytest.mark.parametrize(("work", "kind", "message"), CASES, ids=range(len(CASES)))
def test_messages(work: Any, kind: type[Exception], message: str | None) -> None:
    with pytest.raises(kind) as error:
        work()
    assert isinstance(error.value, ta.errors.TinygradError)
    if message is None:
        assert "every row of a nested list must have the same length" in str(error.value)
    else:
        assert str(error.value) == message
