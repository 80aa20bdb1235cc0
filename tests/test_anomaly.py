"""detect_anomaly: the first op or rule that gives a NaN, with everything needed to see why."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import tinygrad_ai as ta
from tinygrad_ai import nn
from tinygrad_ai.autograd import detect_anomaly, set_detect_anomaly
from tinygrad_ai.autograd.anomaly import is_anomaly_enabled
from tinygrad_ai.autograd.mode import state
from tinygrad_ai.errors import AnomalyError


def leaf(*values: float) -> Any:
    return ta.tensor(values, requires_grad=True)


def message(error: Any) -> str:
    return re.sub(r"/\S*?(\w+\.py):\d+", r"\1:N", str(error.value))


def source_line(error: Any) -> str:
    """The line of this file that an error names."""
    number = int(re.findall(r"test_anomaly\.py:(\d+)", str(error.value))[-1])
    return Path(__file__).read_text().split("\n")[number - 1].strip()


class Root(nn.Module):
    def forward(self, x: Any) -> Any:
        return ta.sqrt(x)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Identity(), Root())

    def forward(self, x: Any) -> Any:
        return self.body(x) + 1.0


def test_forward_names_the_producer() -> None:
    x = leaf(2.0, -1.0, 0.5)
    with detect_anomaly(), pytest.raises(AnomalyError) as error:
        h = x * 2.0
        y = ta.log(h)
        (y + 1.0).sum()
    assert message(error) == (
        "log made NaN, in the forward pass\n"
        "  x: float32 (3,), min -2, max 4, mean 1\n"
        "  result: float32 (3,), 1 NaN and 0 inf, first at [1], min 0, max 1.38629, mean 0.693147\n"
        "  formula: y = ln x;   gx = g / x\n"
        "  at test_anomaly.py:N\n"
        "  fix: keep the inputs away from where the formula is undefined, say with clamp or an "
        "epsilon"
    )
    assert source_line(error) == "y = ta.log(h)"


def test_backward_names_the_producer() -> None:
    x = leaf(0.0, 4.0)
    with detect_anomaly(), pytest.raises(AnomalyError) as error:
        y = ta.sqrt(x * 1.0)
        (y * ta.tensor([0.0, 1.0])).sum().backward()
    assert message(error) == (
        "the rule of sqrt made NaN, in the backward pass\n"
        "  gradient by x: float32 (2,), 1 NaN and 0 inf, first at [0], min 0.25, max 0.25, "
        "mean 0.25\n"
        "  incoming gradient: float32 (2,), min 0, max 1, mean 0.5\n"
        "  saved y: float32 (2,), min 0, max 2, mean 1\n"
        "  formula: y = √x;   gx = g / 2y\n"
        "  at test_anomaly.py:N\n"
        "  fix: keep the inputs away from where the formula is undefined, say with clamp or an "
        "epsilon"
    )
    assert source_line(error) == "y = ta.sqrt(x * 1.0)"


def test_module_path_forward_and_backward() -> None:
    net = Net()
    with detect_anomaly(), pytest.raises(AnomalyError) as error:
        net(leaf(-1.0))
    assert message(error).startswith("in body.1 (Root): sqrt made NaN, in the forward pass\n")
    with detect_anomaly(), pytest.raises(AnomalyError) as error:
        (net(leaf(0.0)) * 0.0).backward()
    start = "in body.1 (Root): the rule of sqrt made NaN, in the backward pass\n"
    assert message(error).startswith(start)


@pytest.mark.parametrize("made_by", ["data", "function"])
def test_a_nan_from_outside_is_told_from_one_that_was_made(made_by: str) -> None:
    class Broken(ta.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return ta.from_numpy(x.detach().numpy() * float("nan"))

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g

    x = leaf(1.0, float("nan") if made_by == "data" else 2.0)
    with detect_anomaly(), pytest.raises(AnomalyError) as error:
        y = x if made_by == "data" else Broken.apply(x)
        y * 2.0
    text = message(error)
    assert text.startswith("mul was given NaN, in the forward pass\n  a: float32 (2,), ")
    source = {
        "data": "outside: data, a parameter, or something computed without gradients",
        "function": "Broken at test_anomaly.py:N",
    }[made_by]
    assert f"\n  a comes from {source}\n" in text
    assert text.endswith("it was there before any watched op")


def test_a_gradient_given_as_nan() -> None:
    y = leaf(1.0, 2.0).tanh()
    with detect_anomaly(), pytest.raises(AnomalyError, match="the rule of tanh was given NaN"):
        y.backward(ta.tensor([1.0, float("nan")]))


def test_a_function_whose_backward_makes_nan() -> None:
    class Bad(ta.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 1

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * 0 / 0

    with detect_anomaly(), pytest.raises(AnomalyError) as error:
        Bad.apply(leaf(1.0)).backward()
    assert message(error).startswith(
        "the rule of Bad made NaN, in the backward pass\n  gradient by input 0: float32 (1,), 1 NaN"
    )


def test_nan_inside_a_rule_that_it_drops_itself_is_no_anomaly() -> None:
    """The rule of pow takes log a for every a, and keeps it where that makes sense."""
    a, b = leaf(0.0, 2.0), leaf(2.0, 3.0)
    with detect_anomaly():
        (a**b).sum().backward()
        ta.prod(leaf(0.0, 2.0)).backward()
    assert b.grad.tolist()[0] == 0.0


def test_infinity_only_if_asked_for() -> None:
    x = leaf(0.0, 1.0)
    with detect_anomaly():
        1.0 / x
    with (
        detect_anomaly(check_inf=True),
        pytest.raises(AnomalyError, match="true_divide made infinity"),
    ):
        1.0 / x
    with detect_anomaly(check_nan=False):
        ta.log(x - 1.0)


def test_second_order() -> None:
    x = leaf(0.0, 1.0)
    with detect_anomaly(), pytest.raises(AnomalyError, match="in the backward pass"):
        (g,) = ta.grad((x**1.5).sum(), x, create_graph=True)
        ta.grad(g[1], x)


def test_off_it_changes_nothing_and_nobody_observes() -> None:
    assert state.observers == () and state.mode == 1
    x = leaf(-1.0)
    assert str(ta.log(x).item()) == "nan"
    with detect_anomaly():
        assert is_anomaly_enabled() and state.mode == 2
        with detect_anomaly():
            pass
        assert is_anomaly_enabled()
    assert not is_anomaly_enabled() and state.observers == () and state.mode == 1


def test_as_a_decorator_and_after_an_error() -> None:
    @detect_anomaly()
    def bad() -> None:
        ta.log(leaf(-1.0))

    for _ in range(2):
        with pytest.raises(AnomalyError):
            bad()
    assert state.observers == ()


def test_set_detect_anomaly() -> None:
    set_detect_anomaly(True)
    try:
        assert is_anomaly_enabled()
        with set_detect_anomaly(False):
            ta.log(leaf(-1.0))
        assert is_anomaly_enabled()
        set_detect_anomaly(True)
        assert len(state.observers) == 1
    finally:
        set_detect_anomaly(False)
    assert not is_anomaly_enabled()
    with set_detect_anomaly(True), pytest.raises(AnomalyError):
        ta.log(leaf(-1.0))
    assert not is_anomaly_enabled()


def test_a_healthy_network_passes() -> None:
    layers = [nn.Linear(3, 4), nn.ReLU(), nn.LayerNorm(4), nn.Dropout(0.5), nn.Linear(4, 2)]
    net = nn.Sequential(*layers, nn.LogSoftmax(-1))
    with detect_anomaly(check_inf=True):
        loss = nn.CrossEntropyLoss()(net(ta.randn(5, 3)), ta.tensor([0, 1, 0, 1, 1]))
        loss.backward()
    assert all(p.grad is not None for p in net.parameters())
