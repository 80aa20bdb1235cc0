"""The foundation of the tools for study: calls written down, a backward pass taken apart, names."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import tinygrad_ai as ta
from tinygrad_ai import nn
from tinygrad_ai.errors import GradError, GraphFreedError
from tinygrad_ai.study import watched


def test_calls_are_written_down() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.Tanh())
    x = ta.ones(4, 3)
    with watched.record() as r:
        loss = model(x).sum()
        loss.backward()
    outside = x + 1
    assert [c.op.name for c in r.calls] == ["linear", "tanh", "sum"]
    assert outside.shape == (4, 3)
    first = r.calls[0]
    assert first.outputs[0].shape == (4, 2) and first.seconds > 0
    assert watched.dotted(model, first.modules) == "0" and watched.dotted(None, []) == ""
    assert first.place[0].co_filename == __file__
    assert [r.made()[n].op.name for n in r.made()] == ["linear", "tanh", "sum"]


def test_a_backward_pass_taken_apart_changes_nothing() -> None:
    r = np.random.default_rng(0)
    w = ta.tensor(r.standard_normal((3, 2)), requires_grad=True)
    x = ta.tensor(r.standard_normal((4, 3)))
    h = (x @ w).tanh()
    h.retain_grad()
    w.grad = ta.ones(3, 2, dtype=w.dtype)
    loss = (h * h).sum()
    found = watched.taken_apart(loss)
    assert w.grad.tolist() == [[1, 1]] * 3 and h.grad is None
    assert [p.node.op.name for p in found.pulls] == ["sum", "mul", "tanh", "matmul"]
    again = watched.taken_apart(loss)
    (g,) = found.leaves.values()
    np.testing.assert_array_equal(g, next(iter(again.leaves.values())))
    w.grad = None
    loss.backward()
    np.testing.assert_array_equal(g, w.grad.numpy())
    with pytest.raises(GraphFreedError):
        watched.taken_apart(loss)


def test_what_a_rule_gave_is_not_added_to() -> None:
    x = ta.ones(2, requires_grad=True)
    found = watched.taken_apart((x * 2.0 + x * 3.0 + x * 4.0).sum())
    gave = [p.grads[0].tolist() for p in found.pulls if p.node.op.name == "mul"]
    assert sorted(gave) == [[2, 2], [3, 3], [4, 4]]
    assert [g.tolist() for g in found.leaves.values()] == [[9, 9]]


def test_hooks_are_a_part_of_it() -> None:
    x = ta.ones(2, requires_grad=True)
    y = x * 3
    y.register_hook(lambda g: g * 2)
    found = watched.taken_apart(y.sum())
    assert [g.tolist() for g in found.leaves.values()] == [[6, 6]]


def test_several_outputs() -> None:
    x = ta.tensor([[2.0, 1.0], [0.0, 3.0]], requires_grad=True)
    with watched.record() as r:
        q, upper = ta.linalg.qr(x)
    assert r.made()[watched.producer(upper)].op.name == r.made()[watched.producer(q)].op.name
    found = watched.taken_apart(upper.sum())
    assert [p.node.op.name for p in found.pulls][:2] == ["sum", "pick"]
    upper.sum().backward()
    assert [g.tolist() for g in found.leaves.values()] == [x.grad.tolist()]


def test_names() -> None:
    model = nn.Linear(2, 2)
    weight_of_mine = ta.ones(2, requires_grad=True)
    loss = (model(ta.ones(1, 2)) * weight_of_mine * ta.ones(2, requires_grad=True)).sum()
    assert list(watched.names(loss, model).values()) == [
        "weight", "bias", "weight_of_mine", "x1",
    ]  # fmt: skip


def test_no_history() -> None:
    with pytest.raises(GradError, match="no history"):
        watched.taken_apart(ta.ones(1))
    with pytest.raises(GradError, match="requires a gradient"):
        watched.producer(ta.ones(1))


def test_every_name_is_there() -> None:
    import tinygrad_ai.study as study

    for name in study.__all__:
        assert callable(getattr(study, name)), name
    with pytest.raises(AttributeError, match="did you mean record"):
        study.recrod  # noqa: B018


def test_the_package_loads_none_of_it() -> None:
    program = "import sys, tinygrad_ai; assert 'tinygrad_ai.study' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
