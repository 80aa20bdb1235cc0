"""The formulas in the optimizers' docstrings, read as programs, take the steps that they take."""

from __future__ import annotations

import inspect
import math
from typing import Any

import numpy as np
import pytest

import tinygrad_ai as ta
from tinygrad_ai.study.formula_text import NAMES, numpy_code
from tools.docs_math import steps
from tools.docs_text import CITED

HATS = "m̂ ← m / (1 - β₁ᵗ);  v̂ ← v / (1 - β₂ᵗ)"
CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {  # arguments, and their names there
    "SGD": ({"momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1}, {"μ": 0.9, "τ": 0.3}),
    "ASGD": ({"lambd": 0.2, "alpha": 0.6, "t0": 2}, {"λ": 0.2, "κ": 0.6, "t0": 2}),
    "Adagrad": ({"lr_decay": 0.3, "eps": 0.01}, {"η": 0.3}),
    "Adadelta": ({"rho": 0.8, "eps": 0.01}, {"ρ": 0.8}),
    "Adam": ({}, {}),
    "AdamW": ({"weight_decay": 0.1}, {}),
    "Adamax": ({}, {}),
    "NAdam": ({"momentum_decay": 0.1}, {"δ": 0.1}),
    "RAdam": ({}, {}),
    "RMSprop": ({"alpha": 0.7, "eps": 0.01}, {"ρ": 0.7}),
    "Rprop": ({"step_sizes": (0.01, 0.1)}, {"low": 0.01, "high": 0.1}),
    "Adafactor": ({}, {"decay": -0.8, "d": 1, "ε₂": 1e-3}),
    "Muon": ({"momentum": 0.8, "weight_decay": 0.1}, {"μ": 0.8, "rows": 4, "columns": 3}),
}
ADAMS = ("Adam", "AdamW", "Adamax", "NAdam", "RAdam")


def orthogonal(x: Any) -> Any:
    """As the docstring of Muon says it; of a tall matrix."""
    a, b, c = 3.4445, -4.775, 2.0315
    x = x.T / np.linalg.norm(x)
    for _ in range(5):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x.T


WORDS = {
    "across": lambda x: x.mean(1, keepdims=True),
    "down": lambda x: x.mean(0, keepdims=True),
    "rms": lambda x: np.sqrt((x * x).mean()),
    "orthogonal": orthogonal,
}


def formulas(name: str) -> list[Any]:
    first = inspect.cleandoc(getattr(ta.optim, name).__doc__).split("\n\n")[0]
    return steps(CITED.sub("", first))


def program(name: str, t: int) -> list[Any]:
    """The lines of one step, with what the docstring's words change in them."""
    if name == "AdamW":
        return formulas("AdamW") + formulas("Adam")
    lines = formulas(name)
    if name in ("NAdam", "RAdam"):
        lines = lines[:-1] + steps(HATS) + lines[-1:]
    if name == "RAdam" and t < 6:  # ρ is below 5
        lines = [line for line in lines if line[0] not in "rp"] + steps("p ← p - α m̂")
    if name == "SGD" and t == 1:
        lines = steps("v ← g + λ p") + lines[1:]
    return lines


def plain(name: str) -> str:
    """A name that Python takes."""
    name = NAMES.get(name, name)
    return "".join([c if c.isascii() and c.isalnum() else f"_{ord(c)}_" for c in name])


def walked(name: str, p: Any, gs: list[Any]) -> dict[str, Any]:
    given, here = CASES[name]
    eps = given.get("eps", 0.01 if name in ADAMS else 0)
    known: dict[str, Any] = {
        "α": 0.05, "lr": 0.05, "λ": given.get("weight_decay", 0), "ε": eps, "β₁": 0.8, "β₂": 0.9995,
        **dict.fromkeys(["m", "v", "s", "u", "r", "a", "g'"], 0.0), "c": 1.0,
        "η₁": 0.5, "η₂": 1.2, **here, "p": p,
    }  # fmt: skip
    if name == "ASGD":
        known |= {"η": 0.05, "μ": 1.0}
    if name == "Rprop":
        known["s"] = 0.05
    if name == "Adafactor":
        known |= {"r": np.zeros((4, 1)), "c": np.zeros((1, 3))}
    for t, g in enumerate(gs, 1):
        known |= {"g": g, "t": t}
        for left, _, term in program(name, t):
            values = {plain(k): v for k, v in known.items()}
            known[left] = eval(
                numpy_code(term, name=plain), {"np": np, "math": math, **WORDS}, values
            )
    return known


@pytest.mark.parametrize("name", CASES)
def test_the_formula_is_the_step(name: str) -> None:
    random = np.random.default_rng(0)
    start, gs = random.standard_normal((4, 3)), list(random.standard_normal((8, 4, 3)))
    given = {"lr": 0.05, **CASES[name][0]}
    if name in ADAMS:
        given |= {"betas": (0.8, 0.9995), "eps": 0.01}
    if name == "Muon":
        given["nesterov"] = True
    p = ta.tensor(start.copy(), requires_grad=True)
    optimizer = getattr(ta.optim, name)([p], **given)
    for g in gs:
        p.grad = ta.tensor(g)
        optimizer.step()
    found = walked(name, start, gs)
    np.testing.assert_allclose(p.detach().numpy(), found["p"], rtol=1e-6, atol=1e-8)
    if name == "ASGD":
        np.testing.assert_allclose(optimizer.state[p]["ax"].numpy(), found["a"], rtol=1e-6)


def test_a_lie_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    doc = ta.optim.Adam.__doc__ or ""
    monkeypatch.setattr(ta.optim.Adam, "__doc__", doc.replace("√v̂ + ε", "√v + ε"))
    with pytest.raises(AssertionError, match="Not equal"):
        test_the_formula_is_the_step("Adam")


def test_every_optimizer_has_a_formula() -> None:
    names = [n for n in vars(ta.optim) if n[0].isupper() and n not in ("Optimizer", "LBFGS")]
    assert sorted(names) == sorted(CASES)
    assert [left for left, _, _ in formulas("LBFGS")] == ["p"]  # H is told in words
