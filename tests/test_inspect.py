"""The optimizer under the microscope: closed forms, the step it foretells, nothing changed."""

from __future__ import annotations

import copy
import json
import math
from typing import Any

import numpy as np
import pytest

import tinygrad_ai as ta
from tinygrad_ai import nn
from tinygrad_ai.errors import ArgumentError, GradError

ALL: dict[str, Any] = {
    "SGD": {"momentum": 0.9, "weight_decay": 0.1}, "ASGD": {}, "Adam": {"amsgrad": True},
    "AdamW": {}, "Adamax": {}, "NAdam": {}, "RAdam": {}, "Adagrad": {}, "Adadelta": {},
    "RMSprop": {"centered": True}, "Rprop": {}, "Adafactor": {}, "Muon": {},
}  # fmt: skip


def trained(name: str, steps: int = 2, **options: Any) -> tuple[Any, Any]:
    ta.manual_seed(0)
    model = nn.Linear(3, 4, bias=False)
    optimizer = getattr(ta.optim, name)(model.named_parameters(), **options)
    x = ta.randn(5, 3)
    for i in range(steps + 1):
        optimizer.zero_grad()
        (model(x) ** 2).sum().backward()
        if i < steps:
            optimizer.step()
    return model.weight, optimizer


def snapshot(w: Any, optimizer: Any) -> Any:
    state = {
        k: getattr(v, "tolist", lambda v=v: v)() for k, v in optimizer.state.get(w, {}).items()
    }
    groups = [{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups]
    return copy.deepcopy([w.tolist(), w.grad.tolist(), w._version, state, groups])


@pytest.mark.parametrize("steps", [0, 2])
@pytest.mark.parametrize("name", ALL)
def test_it_foretells_the_step_and_changes_nothing(name: str, steps: int) -> None:
    w, optimizer = trained(name, steps, **ALL[name])
    before = snapshot(w, optimizer)
    found = optimizer.inspect("weight")
    assert snapshot(w, optimizer) == before
    old = w.detach().clone()
    optimizer.step()
    np.testing.assert_array_equal((w.detach() - old).numpy(), found.update.numpy())
    for key, value in optimizer.state[w].items():
        if isinstance(value, ta.Tensor):
            np.testing.assert_array_equal(value.numpy(), found.state[key].numpy())
    assert found.name == "weight" and found.step == (steps + 1) * ("step" in found.state)


def test_closed_forms_of_the_first_step() -> None:
    w, adam = trained("Adam", 0, lr=0.01, eps=0.0)
    found = adam.inspect(w)
    sign = w.grad.sign().numpy()
    np.testing.assert_allclose(found.update.numpy(), -0.01 * sign, rtol=1e-4, atol=1e-8)
    np.testing.assert_allclose(found.hats["m_hat"].numpy(), w.grad.numpy(), rtol=1e-5)
    np.testing.assert_allclose(found.hats["v_hat"].numpy(), w.grad.numpy() ** 2, rtol=1e-4)
    w, sgd = trained("SGD", 0, lr=0.01)
    np.testing.assert_allclose(sgd.inspect(0).update.numpy(), -0.01 * w.grad.numpy(), rtol=1e-4)
    w, rms = trained("RMSprop", 0, lr=0.01, eps=0.0, alpha=0.99)
    np.testing.assert_allclose(
        rms.inspect(0).update.numpy(), -0.1 * w.grad.sign().numpy(), rtol=1e-4
    )


FAMILY = {"Adam": {}, "Adam with amsgrad": {"amsgrad": True}, "AdamW": {"weight_decay": 0.0},
          "Adamax": {}}  # fmt: skip


@pytest.mark.parametrize("name", FAMILY)
def test_the_update_follows_from_the_hats(name: str) -> None:
    w, optimizer = trained(name.split()[0], 3, lr=0.01, **FAMILY[name])
    w.grad.mul_(1e-3)  # v falls, its maximum stays
    found = optimizer.inspect(w)
    below = found.state["exp_inf"] if name == "Adamax" else found.hats["v_hat"].sqrt() + 1e-8
    expected = -0.01 * found.hats["m_hat"] / below
    np.testing.assert_allclose(found.update.numpy(), expected.numpy(), rtol=2e-3, atol=1e-7)


def test_the_ratio() -> None:
    w, sgd = trained("SGD", 0, lr=0.01)
    norms = [np.linalg.norm(v.detach().numpy()) for v in (w.grad, w)]
    assert math.isclose(sgd.inspect(w).ratio, 0.01 * norms[0] / norms[1], rel_tol=1e-4)
    with ta.no_grad():
        w.zero_()
    assert sgd.inspect(w).ratio == math.inf


def test_it_says_it_all() -> None:
    _, adam = trained("Adam", 1)
    found = adam.inspect("weight")
    text = str(found)
    assert text.startswith("weight (4, 3): step 2, lr 0.001, |update| / |w| = ")
    names = [line.split()[0] for line in text.splitlines()[2:]]
    assert names == ["w", "g", "exp_avg", "exp_avg_sq", "m_hat", "v_hat", "update"]
    told = found.to_dict()
    assert told["tensors"]["g"]["norm"] == pytest.approx(np.linalg.norm(found.g.numpy()), rel=1e-6)
    assert told["options"]["eps"] == 1e-8 and told["ratio"] == found.ratio
    assert told["options"]["betas"] == (0.9, 0.999)


def test_an_optimizer_that_counts_no_steps_says_none() -> None:
    _, sgd = trained("SGD", 3, lr=0.1, momentum=0.9)
    lines = str(sgd.inspect("weight")).splitlines()
    assert lines[0].startswith("weight (4, 3): lr 0.1, |update|")
    ends = [line.index("e", line.index(".")) for line in lines[2:]]  # momentum_buffer is long
    assert len(set(ends)) == 1


def test_numbers_that_are_not_finite_are_json_too() -> None:
    w, adam = trained("Adam", 1)
    w.grad.fill_(math.inf)
    told = json.loads(json.dumps(adam.inspect("weight").to_dict(), allow_nan=False))
    assert told["tensors"]["g"]["max"] is None and told["ratio"] is None
    assert "nan" in str(adam.inspect("weight"))


def test_mistakes() -> None:
    w, adam = trained("Adam", 0)
    with pytest.raises(ArgumentError, match="knows no parameter 'wieght'.*\n.*'weight'"):
        adam.inspect("wieght")
    with pytest.raises(ArgumentError, match=r"no such parameter, of shape \(2,\)"):
        adam.inspect(ta.ones(2))
    with pytest.raises(ArgumentError, match="knows no parameter 7"):
        adam.inspect(7)
    _, lbfgs = trained("LBFGS", 0)
    with pytest.raises(ArgumentError, match="LBFGS takes no step of one parameter alone"):
        lbfgs.inspect("weight")
    w.grad = None
    with pytest.raises(GradError, match="weight has no gradient"):
        adam.inspect("weight")
