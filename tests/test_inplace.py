"""Changes in place: PyTorch's results and rules, and the errors that name both lines."""

from __future__ import annotations

import gc
import inspect
from typing import Any

import numpy as np
import pytest

import tinygrad_ai as ta
from tinygrad_ai.autograd.op import REGISTRY
from tinygrad_ai.backend import storage

torch = pytest.importorskip("torch", reason="PyTorch is the reference of these tests")


def lines(message: str) -> tuple[int, int]:
    """The numbers of the lines an InplaceError names: saved, changed."""
    here = __file__
    saved = next(v for v in message.splitlines() if v.startswith("  saved"))
    changed = next(v for v in message.splitlines() if v.startswith("  changed"))
    assert here in saved and here in changed
    return int(saved.rsplit(":", 1)[1]), int(changed.rsplit(":", 1)[1])


def line() -> int:
    return inspect.stack()[1].lineno


PROGRAMS = [
    lambda lib, x, y: x.mul_(y).add_(1),
    lambda lib, x, y: x.add_(y, alpha=0.5).sub_(y),
    lambda lib, x, y: x.exp_(),
    lambda lib, x, y: x.div_(y * y + 1),
    lambda lib, x, y: x.clamp_(-0.5, 0.5),
    lambda lib, x, y: x.pow_(2),
    lambda lib, x, y: x.copy_(y * y),
    lambda lib, x, y: x.fill_(2.0).mul_(y),
    lambda lib, x, y: x.zero_().add_(y),
    lambda lib, x, y: x.lerp_(y, 0.3),
    lambda lib, x, y: x.addcmul_(y, y, value=0.5).addcdiv_(y, y * y + 1),
    lambda lib, x, y: x.masked_fill_(y > 0, 3.0),
    lambda lib, x, y: x.index_add_(0, lib.tensor([0, 2]), y[:2]),
    lambda lib, x, y: x.tanh_(),
    lambda lib, x, y: x.abs_().neg_(),
    lambda lib, x, y: x.cumsum_(1).relu_(),
    lambda lib, x, y: x.tril_(1).hypot_(y),
    lambda lib, x, y: x.fill_diagonal_(3.0).atan2_(y),
    lambda lib, x, y: x.gt_(y).mul_(y),
    lambda lib, x, y: x.addmm_(y[:, :3], x.detach().clone(), beta=0.5),
    lambda lib, x, y: x.t_().unsqueeze_(0).mul_(y.t()).squeeze_(0).transpose_(0, 1),
    lambda lib, x, y: lib.nn.functional.leaky_relu_(x.mul_(y)),
    lambda lib, x, y: lib.nn.functional.hardswish(x, inplace=True).mul_(y),
    lambda lib, x, y: lib.nn.functional.threshold(x, 0.1, 2.0, inplace=True),
    lambda lib, x, y: lib.nn.functional.elu_(lib.nn.functional.mish(x, inplace=True)),
]


@pytest.mark.parametrize("program", PROGRAMS, ids=range(len(PROGRAMS)))
def test_like_pytorch(program: Any) -> None:
    rng = np.random.default_rng(0)
    start, other = rng.standard_normal((3, 4)), rng.standard_normal((3, 4))
    found = []
    for lib in (ta, torch):
        w, y = (lib.tensor(a, requires_grad=True) for a in (start, other))
        x = w * 2
        out = program(lib, x, y)
        assert out is x
        (x * x).sum().backward()
        found.append([x, w.grad, y.grad])
    for mine, theirs in zip(*found, strict=True):
        a = np.zeros((3, 4)) if mine is None else mine.detach().numpy()
        b = np.zeros((3, 4)) if theirs is None else theirs.detach().numpy()
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_dropout_in_place_keeps_its_memory_and_gradient() -> None:
    w = ta.ones(1000, requires_grad=True)
    x = w * 2
    before = x.data_ptr()
    y = ta.nn.functional.dropout(x, 0.25, inplace=True)
    assert y is x and y.data_ptr() == before
    y.sum().backward()
    assert ta.equal(w.grad, y.detach()) and 700 < (y != 0).sum().item() < 800


def test_fill_diagonal() -> None:
    for shape, again in [((7, 2), False), ((7, 2), True), ((2, 5), False), ((3, 3, 3), False)]:
        mine, theirs = ta.zeros(shape), torch.zeros(shape)
        assert (
            mine.fill_diagonal_(2.0, again).tolist() == theirs.fill_diagonal_(2.0, again).tolist()
        )
    with pytest.raises(ta.errors.ShapeError, match="a matrix or a cube"):
        ta.zeros(2, 3, 4).fill_diagonal_(1.0)


def test_a_leaf_cannot_become_a_view_of_itself() -> None:
    w = ta.ones(2, 3, requires_grad=True)
    with pytest.raises(RuntimeError, match="a leaf that requires a gradient cannot be changed"):
        w.t_()
    assert w.shape == (2, 3)


def test_operators_change_in_place() -> None:
    x = ta.ones(2)
    y, before = x, x.data_ptr()
    x += 1
    x *= 3
    x -= 1
    x /= 5
    x **= 2
    assert x is y and x.data_ptr() == before and x.tolist() == [1.0, 1.0] and x._version == 5


def test_a_saved_buffer_that_changed_is_found_with_both_lines() -> None:
    w = ta.ones(2, requires_grad=True)
    h = w * 1
    y, saved = h * h, line()
    h += 1
    changed = line() - 1
    with pytest.raises(RuntimeError) as error:
        y.sum().backward()
    message = str(error.value)
    assert message.startswith("the buffer saved by mul (input a, shape (2,), float32) was changed")
    assert lines(message) == (saved, changed)
    assert message.endswith("fix: write x = x + 1 instead of x += 1, or change x.clone()")


def test_through_a_view_and_for_outputs() -> None:
    x = ta.ones(3)
    w = ta.ones(3, requires_grad=True)
    y = (w * x).exp()
    x[1] = 5.0  # a plain tensor that mul saved
    with pytest.raises(RuntimeError, match=r"saved by mul \(input b"):
        y.sum().backward()
    y = w.exp()
    with ta.no_grad():
        y.add_(1)
    with pytest.raises(RuntimeError, match=r"saved by exp \(output"):
        y.sum().backward()
    base = ta.ones(2, 3)
    y = w * base[0]
    with ta.no_grad():
        base.zero_()
    with pytest.raises(RuntimeError, match="saved by mul"):
        y.sum().backward()


def test_a_change_before_the_save_is_no_error() -> None:
    w, x = ta.ones(2, requires_grad=True), ta.ones(2)
    x.mul_(3)
    (w * x).sum().backward()
    assert w.grad.tolist() == [3.0, 3.0]


def test_entries_vanish_with_their_buffers() -> None:
    gc.collect()
    before = len(storage.written)
    x = ta.ones(2)
    x.add_(1)
    assert len(storage.written) == before + 1
    del x
    assert len(storage.written) == before


def test_rules_of_leaves_and_views() -> None:
    w = ta.ones(3, requires_grad=True)
    for change in (lambda: w.add_(1), lambda: w.__setitem__(0, 1.0), lambda: w.zero_()):
        with pytest.raises(RuntimeError, match="a leaf that requires a gradient cannot be changed"):
            change()
    with ta.no_grad():
        w.add_(1)
    assert w.tolist() == [2.0, 2.0, 2.0] and w.is_leaf
    base = ta.zeros(2, 3)
    view = base[0]
    with pytest.raises(RuntimeError, match="this is a view, and its memory is used by other"):
        view.add_(w)
    view.add_(1)  # nothing is recorded here
    assert base.tolist() == [[1.0] * 3, [0.0] * 3]
    alone = ta.zeros(6).reshape(2, 3)  # nobody else knows this memory
    alone[0] = w
    alone.sum().backward()
    assert w.grad.tolist() == [1.0, 1.0, 1.0]


def test_results_that_do_not_fit() -> None:
    with pytest.raises(TypeError, match="a float32 result cannot be kept in a int64 tensor"):
        ta.tensor([1, 2]).add_(0.5)
    with pytest.raises(
        RuntimeError, match=r"the result of shape \(2, 3\) does not fit into \(3,\)"
    ):
        ta.ones(3).add_(ta.ones(2, 3))
    x = ta.tensor([1, 2])
    x.mul_(2)
    assert x.dtype == ta.int64 and x.tolist() == [2, 4]
    y = ta.ones(2)
    y.copy_(ta.tensor([3, 4]))
    assert y.tolist() == [3.0, 4.0]


def test_setitem_shapes_and_types() -> None:
    x = ta.zeros(2, 3)
    x[:, 1] = ta.tensor([1, 2])
    x[x == 0] = -1.0
    x[[0, 1], [0, 2]] = ta.tensor([5.0, 6.0])
    twin = torch.tensor([[5.0, 1, -1], [-1, 2, 6]])
    assert x.tolist() == twin.tolist()
    with pytest.raises(RuntimeError, match=r"cannot assign to x\[...\] of shape \(2, 3\)"):
        x[0] = ta.ones(5)
    with pytest.raises(IndexError, match=r"cannot index a tensor of shape \(2, 3\)"):
        x[7] = 1.0


def test_a_write_is_seen_through_windows() -> None:
    h = ta.ones(1, 1, 8, requires_grad=True) * 1
    y = REGISTRY["windows"](h, size=(3,), stride=(2,), dilation=(1,)) ** 3.0  # keeps the windows
    with ta.no_grad():
        h.zero_()
    with pytest.raises(ta.errors.InplaceError, match="saved by pow"):
        y.sum().backward()
