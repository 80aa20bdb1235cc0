"""Each cause of a bad gradient has a fixture here, and comes first for it; a good one has none."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

import tinygrad_ai as ta
from tinygrad_ai import nn, optim
from tinygrad_ai.errors import ArgumentError, GradError
from tinygrad_ai.nn import functional as F
from tinygrad_ai.nn.utils import clip_grad_norm_
from tinygrad_ai.study import record, why


def line(text: str) -> str:
    """file:line of the line of this file with a mark."""
    with open(__file__, encoding="utf-8") as file:
        number = next(i for i, one in enumerate(file, 1) if f"# {text}" in one)
    return f"{__file__}:{number}"


class Fixture:
    """A tensor to ask about, what why is given besides, and what it must say first."""

    def __init__(self, tensor: Any, symptom: str, code: str, text: str, place: str = "",
                 **given: Any) -> None:  # fmt: skip
        self.tensor, self.symptom, self.code, self.text = tensor, symptom, code, text
        self.place, self.given = place, given


FIXTURES: list[Callable[[], Fixture]] = []


def fixture(make: Callable[[], Fixture]) -> Callable[[], Fixture]:
    FIXTURES.append(make)
    return make


@fixture
def detached() -> Fixture:
    w = ta.ones(3, requires_grad=True)
    other = ta.ones(3, requires_grad=True)
    with record() as r:
        h = w * 2.0
        h = h.detach()  # the cut
        loss = (h * other).sum()
    return Fixture(w, "none", "detached", "detached", line("the cut"), loss=loss, record=r)


@fixture
def under_no_grad() -> Fixture:
    w, other = ta.ones(3, requires_grad=True), ta.ones(3, requires_grad=True)
    with record() as r:
        with ta.no_grad():
            h = w * 2.0  # without recording
        loss = (h * other).sum()
    return Fixture(
        w, "none", "no-grad", "mul was computed under no_grad", line("without recording"),
        loss=loss, record=r,
    )  # fmt: skip


@fixture
def made_under_no_grad() -> Fixture:
    w = ta.ones(3, requires_grad=True)
    with record() as r, ta.no_grad():
        h = w.exp()  # a result of its own
    return Fixture(h, "none", "no-grad", "exp was", line("a result of its own"), record=r)


@fixture
def a_choice() -> Fixture:
    w, other = ta.rand(4, requires_grad=True), ta.ones(4, requires_grad=True)
    with record() as r:
        chosen = (w > 0.5).float()
        loss = (chosen * other).sum()
    return Fixture(w, "none", "no-derivative", "gt has no derivative", loss=loss, record=r)


@fixture
def whole_numbers() -> Fixture:
    return Fixture(ta.arange(3), "none", "integer", "int64 tensors have no gradients")


@fixture
def made_outside() -> Fixture:
    x = ta.ones(3)
    w = ta.ones(3, requires_grad=True)
    return Fixture(x, "none", "outside", "without requires_grad", loss=(w * x).sum())


@fixture
def unused() -> Fixture:
    w, other = ta.ones(3, requires_grad=True), ta.ones(3, requires_grad=True)
    return Fixture(w, "none", "unused", "does not depend on it", loss=(other * 2.0).sum())


@fixture
def copied_out() -> Fixture:
    w, other = ta.ones(3, requires_grad=True), ta.ones(3, requires_grad=True)
    with record() as r:
        h = w.exp()  # the last op
        loss = (ta.tensor(h.tolist()) * other).sum()
    return Fixture(w, "none", "unused", "it went last into exp", line("the last op"),
                   loss=loss, record=r)  # fmt: skip


@fixture
def nan_nobody_kept() -> Fixture:
    """Without a recording the rule is named, and who saw the NaN first."""
    w = ta.zeros(3, requires_grad=True)
    return Fixture(w, "nan", "rule", "infinity first made by the rule of true_divide at a = 0",
                   loss=((w / w) + 1.0).sum())  # fmt: skip


@fixture
def nan_of_a_recording() -> Fixture:
    w = ta.zeros(3, requires_grad=True)
    with record() as r:
        loss = ((w / w) + 1.0).sum()
    return Fixture(w, "nan", "forward", "first made by true_divide", loss=loss, record=r)


@fixture
def a_result() -> Fixture:
    w = ta.ones(3, requires_grad=True)
    y = w * 2.0
    y.sum().backward()
    return Fixture(y, "none", "not-leaf", "only leaves keep their gradient")


@fixture
def no_backward_yet() -> Fixture:
    w = ta.ones(3, requires_grad=True)
    return Fixture(w, "none", "no-backward", "no backward pass has reached it")


@fixture
def freed() -> Fixture:
    w = ta.ones(3, requires_grad=True)
    loss = (w * w).sum()  # the freed line
    loss.backward()
    w.grad = None
    return Fixture(w, "none", "freed", "was freed by a backward pass", line("the freed line"),
                   loss=loss)  # fmt: skip


def dead_network(alive: int) -> Any:
    ta.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 100), nn.ReLU(), nn.Linear(100, 1))
    with ta.no_grad():
        model[0].bias.fill_(-50.0)
        model[0].bias[:alive] = 50.0
    return model


@fixture
def dead_relu() -> Fixture:
    model = dead_network(0)
    with record():
        loss = model(ta.randn(8, 4)).sum()  # all dead
        found = Fixture(model[0].weight, "zero", "dead", "relu (1) is dead for 100% of its units",
                        line("all dead"), loss=loss, model=model)  # fmt: skip
        found.given["record"] = ta.study.watched.state.observers[-1]
    return found


@fixture
def mostly_dead_relu() -> Fixture:
    model = dead_network(3)
    loss = model(ta.randn(8, 4)).sum()
    return Fixture(model[0].weight, "mostly zero", "dead", "is dead for 97% of its units",
                   loss=loss, model=model)  # fmt: skip


@fixture
def saturated_softmax() -> Fixture:
    w = ta.tensor([[1e3, 0.0, -1e3], [0.0, 1e3, 2e3]], requires_grad=True)
    loss = (w.softmax(1) * ta.tensor([1.0, 2.0, 3.0])).sum()
    return Fixture(w, "zero", "saturated", "softmax is saturated for 100%", loss=loss)


@fixture
def saturated_sigmoid() -> Fixture:
    w = ta.tensor([200.0, 300.0], requires_grad=True)
    return Fixture(w, "zero", "saturated", "sigmoid is saturated", loss=w.sigmoid().sum())


@fixture
def saturated_tanh() -> Fixture:
    """Vanishing, and not by the size of the weights alone."""
    ta.manual_seed(0)
    layers = [part for _ in range(6) for part in (nn.Linear(8, 8), nn.Tanh())]
    model = nn.Sequential(*layers)
    with ta.no_grad():
        for layer in list(model)[::2]:
            layer.weight.mul_(30.0)
    loss = model(ta.randn(4, 8)).sum()
    return Fixture(model[0].weight, "vanishing", "saturated", "tanh is saturated", loss=loss)


@fixture
def a_hook() -> Fixture:
    w = ta.ones(3, requires_grad=True)
    h = w * 2.0
    h.register_hook(lambda g: g * 0)  # the hook
    return Fixture(w, "zero", "hook", "a hook made zeros", line("the hook"), loss=h.sum())


@fixture
def a_flat_op() -> Fixture:
    w = ta.tensor([1.5, 2.5], requires_grad=True)
    return Fixture(w, "zero", "flat", "floor is 0 everywhere", loss=(w.floor() * 2.0).sum())


@fixture
def times_zero() -> Fixture:
    w = ta.tensor([1.5, 2.5], requires_grad=True)
    return Fixture(w, "zero", "zeros", "mul multiplies by its b", loss=(w * ta.zeros(2)).sum())


@fixture
def outside_of_a_clamp() -> Fixture:
    w = ta.tensor([1.5, 2.5], requires_grad=True)
    return Fixture(w, "zero", "rule", "the rule of clamp gave zeros", loss=w.clamp(0, 1).sum())


@fixture
def nan_by_sqrt() -> Fixture:
    h = w = ta.tensor([3.0, 1.0], requires_grad=True)
    for factor in (2.0, 2.0, 2.0, 2.0, 0.0):
        h = h * factor
    h = h.square()  # infinity times 0 is NaN here
    loss = h.sqrt().sum()  # the root
    return Fixture(
        w, "nan", "rule", "infinity first made by the rule of sqrt at y = 0, passed on by 6 nodes",
        line("the root"), loss=loss,
    )  # fmt: skip


@fixture
def nan_in_the_forward() -> Fixture:
    w = ta.tensor([-1.0, 1.0], requires_grad=True)
    loss = (w.log() * w).sum()  # the logarithm
    return Fixture(w, "nan", "forward", "has NaN already, first made by log",
                   line("the logarithm"), loss=loss)  # fmt: skip


@fixture
def infinite() -> Fixture:
    w = ta.tensor([0.0, 1.0], requires_grad=True)
    return Fixture(w, "infinite", "rule", "infinity first made by the rule of sqrt at y = 0",
                   loss=w.sqrt().sum())  # fmt: skip


def deep(scale: float) -> Any:
    ta.manual_seed(0)
    model = nn.Sequential(*[nn.Linear(16, 16) for _ in range(13)])
    with ta.no_grad():
        for layer in model:
            layer.weight.copy_(ta.eye(16) * scale)
    return model


@fixture
def exploding() -> Fixture:
    model = deep(3.1)
    return Fixture(model[0].weight, "exploding", "exploding", "gain 3.1x a layer over 12 layers",
                   loss=model(ta.randn(2, 16)).mean(), model=model)  # fmt: skip


@fixture
def vanishing() -> Fixture:
    model = deep(0.25)
    return Fixture(model[0].weight, "vanishing", "vanishing", "gain 0.25x a layer over 12 layers",
                   loss=model(ta.randn(2, 16)).mean(), model=model)  # fmt: skip


@fixture
def amplified() -> Fixture:
    w = ta.tensor([1e-9, 1.0], requires_grad=True)
    return Fixture(w, "exploding", "amplified", "the rule of log multiplies the gradient",
                   loss=w.log().sum())  # fmt: skip


@fixture
def not_zeroed() -> Fixture:
    w = ta.ones(3, requires_grad=True)
    optimizer = optim.SGD([w], lr=0.01)
    for _ in range(41):
        (w * w).sum().backward()
        optimizer.step()
    return Fixture(w, "summed", "not-zeroed", "not zeroed for 40 steps", optimizer=optimizer)


@fixture
def never_given_to_the_optimizer() -> Fixture:
    w, other = ta.ones(3, requires_grad=True), ta.ones(3, requires_grad=True)
    optimizer = optim.SGD([other], lr=0.1)
    return Fixture(w, "not-optimized", "not-optimized", "never given to the optimizer: SGD has 1",
                   loss=(w * other).sum(), optimizer=optimizer)  # fmt: skip


@pytest.mark.parametrize("make", FIXTURES, ids=lambda make: make.__name__)
def test_the_cause_comes_first(make: Callable[[], Fixture]) -> None:
    case = make()
    found = why(case.tensor, **case.given)
    assert found.symptom == case.symptom, str(found)
    assert found.causes, str(found)
    first = found.causes[0]
    assert (first.code, case.text in first.text) == (case.code, True), str(found)
    if case.place:
        assert first.place == case.place
    assert all([a.score >= b.score for a, b in zip(found.causes, found.causes[1:])])
    assert first.text in str(found) and json.dumps(found.to_dict())


def healthy_networks() -> list[tuple[Any, Any]]:
    ta.manual_seed(0)
    mlp = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 32), nn.Tanh(),
                        nn.Linear(32, 3))  # fmt: skip
    labels = ta.tensor([0, 1, 2, 1])
    conv = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                         nn.Linear(36, 3))  # fmt: skip
    block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    deep = nn.Sequential(*[p for _ in range(10) for p in (nn.Linear(32, 32), nn.LayerNorm(32),
                                                          nn.GELU())])  # fmt: skip
    return [
        (mlp, lambda: F.cross_entropy(mlp(ta.randn(4, 20)), labels)),
        (conv, lambda: F.cross_entropy(conv(ta.randn(4, 1, 8, 8)), labels)),
        (block, lambda: block(ta.randn(2, 5, 8)).square().mean()),
        (deep, lambda: deep(ta.randn(4, 32)).square().mean()),
    ]


@pytest.mark.parametrize("number", range(4))
def test_a_healthy_gradient_has_no_cause(number: int) -> None:
    model, loss_of = healthy_networks()[number]
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(3):
        optimizer.zero_grad()
        with record() as r:
            loss = loss_of()
        loss.backward(retain_graph=True)
        clip_grad_norm_(model.parameters(), 1.0)
        for name, p in model.named_parameters():
            if "in_proj_bias" in name:  # a key's bias moves no softmax: its gradient is 0
                continue
            for given in ({}, {"loss": loss}, {"record": r}, {"loss": loss, "model": model}):
                found = why(p, optimizer, **given)  # type: ignore[arg-type]
                assert (found.symptom, found.causes) == ("healthy", []), f"{name}: {found}"
        optimizer.step()


def test_nothing_is_changed() -> None:
    model = dead_network(3)
    optimizer = optim.Adam(model.parameters())
    model(ta.randn(8, 4)).sum().backward()
    optimizer.step()

    def everything() -> list[Any]:
        tensors = [*model.parameters(), *[p.grad for p in model.parameters()]]
        state = [v for s in optimizer.state.values() for v in s.values()]
        return [t.tolist() for t in [*tensors, *state, ta.get_rng_state()]]

    with record() as r:
        loss = model(ta.randn(8, 4)).sum()
    before = everything()
    calls = len(r.calls)
    first = why(model[0].weight, optimizer, loss=loss, model=model, record=r)
    assert str(first) == str(why(model[0].weight, optimizer, loss=loss, model=model, record=r))
    assert before == everything() and len(r.calls) == calls
    loss.backward()


def test_without_a_loss_it_says_what_would_help() -> None:
    w = ta.tensor([0.0, 1.0], requires_grad=True)
    w.sqrt().sum().backward()
    found = why(w)
    assert found.symptom == "infinite" and found.causes == []
    assert found.note.startswith("why(tensor, loss=loss)") and found.note in str(found)
    assert str(found).startswith("the gradient of w: infinite, norm inf")


def test_errors() -> None:
    w = ta.ones(3, requires_grad=True)
    with pytest.raises(ArgumentError, match="expected a tensor, got float"):
        why(1.0)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="expected an optimizer, got Tensor"):
        why(w, (w * 2).sum())
    with pytest.raises(GradError, match="no history"):
        why(w, loss=ta.ones(1))


def test_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    found = why(ta.arange(3))
    assert capsys.readouterr().out == ""
    Console(width=100).print(found)
    assert "integer" in capsys.readouterr().out
