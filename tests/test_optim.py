"""Optimizers and schedules beside PyTorch's, from tables; every class has a row."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import tinygrad_ai as ta
from tinygrad_ai import nn, optim
from tinygrad_ai.optim import lr_scheduler

torch = pytest.importorskip("torch", reason="PyTorch is the reference of these tests")

OPTIMIZERS = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.1, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    ("SGD", {"lr": 0.1, "maximize": True}),
    ("Adam", {"lr": 0.01}),
    ("Adam", {"lr": 0.01, "weight_decay": 0.1, "amsgrad": True}),
    ("Adam", {"lr": 0.01, "betas": (0.5, 0.9), "eps": 1e-3, "maximize": True}),
    ("AdamW", {"lr": 0.01, "weight_decay": 0.1}),
    ("AdamW", {"lr": 0.01, "amsgrad": True}),
    ("Adamax", {"lr": 0.01, "weight_decay": 0.1}),
    ("NAdam", {"lr": 0.01, "weight_decay": 0.1}),
    ("NAdam", {"lr": 0.01, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("RAdam", {"lr": 0.01, "weight_decay": 0.1}),
    ("RAdam", {"lr": 0.01, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("RMSprop", {"lr": 0.01, "weight_decay": 0.1}),
    ("RMSprop", {"lr": 0.01, "centered": True, "momentum": 0.9}),
    ("Rprop", {"lr": 0.01}),
    (
        "Adagrad",
        {"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.1},
    ),
    ("Adadelta", {"lr": 0.5, "weight_decay": 0.1}),
    ("ASGD", {"lr": 0.1, "weight_decay": 0.1, "t0": 5}),
    ("Adafactor", {"lr": 0.1, "weight_decay": 0.1}),
    ("Muon", {"lr": 0.1}),
    ("Muon", {"lr": 0.1, "nesterov": False, "adjust_lr_fn": "match_rms_adamw"}),
    ("LBFGS", {"lr": 0.5, "max_iter": 4}),
    ("LBFGS", {"max_iter": 5, "history_size": 3, "line_search_fn": "strong_wolfe"}),
]
IDS = [f"{name}-{i}" for i, (name, _) in enumerate(OPTIMIZERS)]


class Problem:
    """A small curved problem with the same start on one library: matrices, a vector unless Muon."""

    def __init__(
        self, ours: bool, name: str, kwargs: dict[str, Any], dtype: str = "float64"
    ) -> None:
        rng = np.random.default_rng(0)
        shapes = [(4, 3), (3, 5)] + ([] if name == "Muon" else [(5,)])
        arrays = [rng.standard_normal(s).astype(dtype) for s in shapes]
        self.goal = rng.standard_normal((4, 5)).astype(dtype)
        lib = ta if ours else torch
        self.lib, self.params = lib, [lib.tensor(a, requires_grad=True) for a in arrays]
        self.optimizer = getattr(lib.optim, name)(self.params, **kwargs)

    def loss(self) -> Any:
        a, b, *rest = self.params
        y = self.lib.tanh(a) @ self.lib.sin(b)
        y = y + rest[0] if rest else y
        return ((y - self.lib.tensor(self.goal)) ** 2).mean() + 0.01 * (a**4).sum()

    def closure(self) -> Any:
        self.optimizer.zero_grad()
        loss = self.loss()
        loss.backward()
        return loss

    def step(self) -> float:
        return float(self.optimizer.step(self.closure).detach())


def same(first: Problem, second: Problem, rtol: float = 1e-9) -> None:
    for a, b in zip(first.params, second.params, strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=rtol, atol=rtol)


@pytest.fixture
def exact_muon(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch's Muon rounds to bfloat16; without that its formula can be compared exactly."""
    monkeypatch.setattr(torch.Tensor, "bfloat16", lambda self: self.clone())


@pytest.mark.usefixtures("exact_muon")
@pytest.mark.parametrize(("name", "kwargs"), OPTIMIZERS, ids=IDS)
def test_fifty_steps_like_pytorch(name: str, kwargs: dict[str, Any]) -> None:
    ours, twin = Problem(True, name, kwargs), Problem(False, name, kwargs)
    # LBFGS takes several steps in one; Muon's Newton-Schulz iteration multiplies rounding errors.
    for _ in range({"LBFGS": 6, "Muon": 20}.get(name, 50)):
        assert ours.step() == pytest.approx(twin.step(), rel=1e-9)
    same(ours, twin)


@pytest.mark.usefixtures("exact_muon")
@pytest.mark.parametrize(
    ("name", "kwargs"), [o for o in OPTIMIZERS if o[0] != "LBFGS"], ids=IDS[:-2]
)
def test_state_goes_both_ways(name: str, kwargs: dict[str, Any]) -> None:
    """PyTorch's state loads here, ours loads there, and both go on as if nothing had happened."""
    ours, twin = Problem(True, name, kwargs), Problem(False, name, kwargs)
    for _ in range(5):
        ours.step(), twin.step()
    heir, other = Problem(True, name, kwargs), Problem(False, name, kwargs)
    for target, source in ((heir, twin), (other, ours)):
        for p, q in zip(target.params, source.params, strict=True):
            p.data = target.lib.tensor(q.detach().numpy().copy())
    heir.optimizer.load_state_dict(twin.optimizer.state_dict())
    state = ours.optimizer.state_dict()
    for slots in state["state"].values():
        for key, value in slots.items():
            if isinstance(value, ta.Tensor):
                slots[key] = torch.tensor(value.numpy().copy())
    other.optimizer.load_state_dict(state)
    for _ in range(5):
        twin.step(), heir.step(), other.step()
    same(heir, twin)
    same(other, twin)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop"])
def test_float32_stays_float32(name: str) -> None:
    ours = Problem(True, name, {"lr": 0.01}, "float32")
    ours.step()
    assert all(p.dtype == ta.float32 for p in ours.params)
    tensors = [
        v for s in ours.optimizer.state.values() for v in s.values() if isinstance(v, ta.Tensor)
    ]
    assert all(v.dtype == ta.float32 for v in tensors)


def test_every_optimizer_and_schedule_has_a_row() -> None:
    made = {
        n for n, c in vars(optim).items() if inspect.isclass(c) and issubclass(c, optim.Optimizer)
    }
    assert made - {name for name, _ in OPTIMIZERS} == {"Optimizer"}
    base = lr_scheduler.LRScheduler
    made = {n for n, c in vars(lr_scheduler).items() if inspect.isclass(c) and issubclass(c, base)}
    combined = {"LRScheduler", "SequentialLR", "ChainedScheduler", "ReduceLROnPlateau"}
    assert made - {name for name, _ in SCHEDULES} == combined


SCHEDULES = [
    ("LambdaLR", {"lr_lambda": lambda t: 0.9**t}),
    ("MultiplicativeLR", {"lr_lambda": lambda t: 0.95}),
    ("StepLR", {"step_size": 7, "gamma": 0.5}),
    ("MultiStepLR", {"milestones": [3, 8, 8, 30], "gamma": 0.5}),
    ("ConstantLR", {"factor": 0.5, "total_iters": 6}),
    ("LinearLR", {"start_factor": 0.2, "end_factor": 0.8, "total_iters": 9}),
    ("ExponentialLR", {"gamma": 0.9}),
    ("PolynomialLR", {"total_iters": 20, "power": 2.0}),
    ("CosineAnnealingLR", {"T_max": 11, "eta_min": 0.01}),
    ("CosineAnnealingWarmRestarts", {"T_0": 5, "T_mult": 2, "eta_min": 0.01}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 61}),
    ("OneCycleLR", {"max_lr": 0.5, "epochs": 6, "steps_per_epoch": 10, "three_phase": True,
                    "anneal_strategy": "linear"}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.3, "step_size_up": 4, "step_size_down": 7}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.3, "step_size_up": 5, "mode": "triangular2"}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.3, "step_size_up": 5, "mode": "exp_range",
                  "gamma": 0.98}),
]  # fmt: skip


def twins(name: str = "SGD") -> tuple[Any, Any]:
    kwargs = {"lr": 0.2, "momentum": 0.9} if name == "SGD" else {"lr": 0.2}
    return Problem(True, name, kwargs).optimizer, Problem(False, name, kwargs).optimizer


def rates(optimizer: Any) -> tuple[Any, ...]:
    group = optimizer.param_groups[0]
    return group["lr"], group.get("momentum"), group.get("betas")


@pytest.mark.parametrize("base", ["SGD", "Adam"])
@pytest.mark.parametrize(("name", "kwargs"), SCHEDULES, ids=[n for n, _ in SCHEDULES])
def test_sixty_epochs_like_pytorch(name: str, kwargs: dict[str, Any], base: str) -> None:
    ours, twin = twins(base)
    first = getattr(lr_scheduler, name)(ours, **kwargs)
    second = getattr(torch.optim.lr_scheduler, name)(twin, **kwargs)
    for epoch in range(60):
        a, b = rates(ours), rates(twin)
        assert a[0] == pytest.approx(b[0], rel=1e-12), epoch
        for mine, theirs in zip(a[1:], b[1:], strict=True):
            assert (mine is None and theirs is None) or mine == pytest.approx(theirs, rel=1e-12)
        assert first.get_last_lr() == pytest.approx(second.get_last_lr())
        ours.step(), twin.step(), first.step(), second.step()


def pair(name: str, optimizers: tuple[Any, Any], **kwargs: Any) -> tuple[Any, Any]:
    modules = (lr_scheduler, torch.optim.lr_scheduler)
    return tuple(getattr(m, name)(o, **kwargs) for m, o in zip(modules, optimizers, strict=True))


def test_combined_schedules_like_pytorch() -> None:
    for kind in ("SequentialLR", "ChainedScheduler"):
        both = twins()
        warm = pair("LinearLR", both, start_factor=0.1, total_iters=5)
        fall = pair("ExponentialLR", both, gamma=0.9)
        made = []
        for module, o, a, b in zip(
            (lr_scheduler, torch.optim.lr_scheduler), both, warm, fall, strict=True
        ):
            sequential = kind == "SequentialLR"
            made.append(
                getattr(module, kind)(o, [a, b], [5])
                if sequential
                else getattr(module, kind)([a, b])
            )
        for _ in range(20):
            assert rates(both[0])[0] == pytest.approx(rates(both[1])[0], rel=1e-12)
            for o, s in zip(both, made, strict=True):
                o.step(), s.step()


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
def test_plateau_like_pytorch(mode: str, threshold_mode: str) -> None:
    both = twins()
    made = pair("ReduceLROnPlateau", both, mode=mode, patience=2, factor=0.5, cooldown=1,
                threshold=0.05, threshold_mode=threshold_mode)  # fmt: skip
    for value in [3, 2, 2, 1.99, 2, 2, 2, 5, 1, -1, -1, -1.01, -1, -1, -1, -1, -4, -4, -4, -4, -4]:
        for s in made:
            s.step(value)
        assert rates(both[0])[0] == rates(both[1])[0]


def test_schedule_state_round_trip() -> None:
    (a, _), (b, _) = twins(), twins()
    first = lr_scheduler.CosineAnnealingLR(a, 11)
    for _ in range(4):
        first.step()
    second = lr_scheduler.CosineAnnealingLR(b, 11)
    second.load_state_dict(first.state_dict())
    b.load_state_dict(a.state_dict())
    for _ in range(20):
        first.step(), second.step()
        assert rates(a) == rates(b)


def test_groups_have_options_of_their_own() -> None:
    w, b = ta.ones(2, requires_grad=True), ta.ones(2, requires_grad=True)
    o = optim.SGD([{"params": [w]}, {"params": b, "lr": 1.0}], lr=0.1)
    (w.sum() + b.sum()).backward()
    o.step()
    assert w.tolist() == pytest.approx([0.9, 0.9]) and b.tolist() == [0.0, 0.0]
    o.zero_grad()
    assert w.grad is None


def test_named_parameters_are_kept() -> None:
    m = nn.Linear(2, 2)
    o = optim.SGD(m.named_parameters(), lr=0.1)
    assert o.state_dict()["param_groups"][0]["param_names"] == ["weight", "bias"]


def test_an_optimizer_step_counts_as_a_change() -> None:
    w = ta.ones(2, requires_grad=True)
    o = optim.SGD([w], lr=0.1)
    loss = (w * w).sum()
    loss.backward(retain_graph=True)
    o.step()
    with pytest.raises(
        RuntimeError, match=r"saved by mul \(input a.*changed after the forward pass"
    ):
        loss.backward()


BAD = [
    (lambda w: optim.SGD([w], lr=-1.0), "invalid value for lr: -1.0"),
    (lambda w: optim.SGD([], lr=0.1), "the optimizer got an empty parameter list"),
    (
        lambda w: optim.SGD(w, lr=0.1),
        "expected an iterable of parameters, got one tensor\n  fix: [parameter]",
    ),
    (lambda w: optim.SGD([w, w], lr=0.1), "a parameter appears more than once in the optimizer"),
    (
        lambda w: optim.SGD([w * 2], lr=0.1),
        "only leaves can be optimized\n  fix: x.detach().requires_grad_()",
    ),
    (lambda w: optim.SGD([w], lr=0.1, nesterov=True), "invalid value for nesterov: True"),
    (lambda w: optim.Adam([w], betas=(1.0, 0.9)), "invalid value for betas: (1.0, 0.9)"),
    (
        lambda w: optim.Muon([w]),
        "Muon is for matrices, got a parameter of shape (2,)\n  fix: AdamW",
    ),
    (lambda w: optim.LBFGS([w]).step(), "LBFGS.step needs a closure that computes the loss anew"),
    (lambda w: lr_scheduler.StepLR(w, 1), "expected an optimizer, got Tensor"),
]


@pytest.mark.parametrize(("make", "message"), BAD, ids=[m[:20] for _, m in BAD])
def test_bad_input(make: Any, message: str) -> None:
    with pytest.raises(ValueError) as error:
        make(ta.ones(2, requires_grad=True))
    assert str(error.value) == message


def test_a_state_of_another_shape_is_refused() -> None:
    a, b = (
        optim.SGD([ta.ones(1, requires_grad=True)]),
        optim.SGD([ta.ones(1, requires_grad=True) for _ in "ab"]),
    )
    with pytest.raises(
        RuntimeError, match=r"parameter groups of sizes \[1\], this optimizer \[2\]"
    ):
        b.load_state_dict(a.state_dict())
