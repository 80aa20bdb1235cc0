"""The formulas that explain shows are true as they are written: read again and run, they give
what the rules gave, and each shape in them is that of the array."""

from __future__ import annotations

import re
import sys
from typing import Any

import numpy as np
import pytest

import tinygrad_ai as ta
from tests.test_formulas import OPS, evaluated, fitted, names_of
from tinygrad_ai.autograd.op import REGISTRY
from tinygrad_ai.ops.samples import SAMPLES
from tinygrad_ai.study import explain, gradcheck, lint, record, why
from tinygrad_ai.study.formula import expression

SHAPE = re.compile("⟨([^⟩]*)⟩")
SHAPED = re.compile(r"([^\W\d]\w*(?:\[\d\])?)⟨([^⟩]*)⟩")


def explained(name: str, call: Any) -> tuple[Any, dict[str, Any]]:
    """The step of an op, and what the names in its formulas stand for."""
    tensors, attrs = call.made()
    op = REGISTRY[name]
    result = op(*tensors, **attrs)
    outputs = result if isinstance(result, tuple) else (result,)
    losses = [t.square().sum() for t in outputs if t.node]
    step = [s for s in explain(sum(losses[1:], losses[0])).steps if s.op == name][-1]
    ys = tuple([t.array for t in outputs])
    gs = tuple([2 * a if t.node else None for a, t in zip(ys, outputs)])  # of the squares
    y, g = (ys, gs) if isinstance(result, tuple) else (ys[0], gs[0])
    return step, names_of(op, [getattr(t, "array", t) for t in tensors], attrs, y, g)


def run(formulas: list[str], names: dict[str, Any]) -> dict[str, Any]:
    """The formulas one after the other, as they are written."""
    values, found = dict(names), {}
    for text in formulas:
        name, _, right = SHAPE.sub("", text).partition(" = ")
        found[name] = evaluated(expression(right), values)
        if not name.startswith("y"):
            values[name] = found[name]
    return found


def check(name: str, call: Any) -> int:
    """How many of an op's gradients have been compared."""
    step, names = explained(name, call)
    found, compared = run(step.formulas, names), 0
    found |= {f"gx{i}": g for i, g in enumerate(found.pop("gxs", ()))}
    for given in step.gave:
        if given.name in found:
            norm = np.linalg.norm(fitted(found[given.name], given.size.shape))
            assert norm == pytest.approx(given.size.norm, rel=1e-9, abs=1e-12), step.formulas
            compared += 1
    keeps = "keepdim" in REGISTRY[name].attrs  # there y and g stand for arrays of another shape
    for word, shape in SHAPED.findall("\n".join(step.formulas)):
        base, _, k = word.partition("[")
        value = names.get("xs" if base == "gxs" else base)
        value = value[int(k[:-1])] if k else value
        if base in ("xs", "gxs"):
            shapes = ["×".join(map(str, np.shape(v))) for v in value or ()]
            assert shape == ", ".join(shapes), (word, step.formulas)
        if hasattr(value, "shape") and not (keeps and base in ("y", "g")):
            assert "×".join(map(str, np.shape(value))) == shape, (word, step.formulas)
    return compared


@pytest.mark.parametrize("name", OPS)
def test_what_is_shown_is_what_was_done(name: str) -> None:
    for call in SAMPLES[name]:
        assert check(name, call)
        with record():
            assert check(name, call)


@pytest.mark.parametrize(("name", "true", "lie"), [
    ("tanh", "(1 - y", "(1 + y"), ("tanh", "y⟨2", "y⟨5"),
    ("cat", "pieces(g⟨3×3⟩", "pieces(2g⟨3×3⟩"), ("cat", "gxs⟨2×3, 1×3", "gxs⟨2×3"),
])  # fmt: skip
def test_a_lie_is_found(name: str, true: str, lie: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules["tinygrad_ai.study.explain"]
    written = module.sentence
    monkeypatch.setattr(module, "sentence", lambda *a: written(*a).replace(true, lie))
    with pytest.raises(AssertionError):
        test_what_is_shown_is_what_was_done(name)


def test_a_prompt_and_a_notebook_show_what_print_shows() -> None:
    w = ta.tensor([1.0, 4.0], requires_grad=True)
    for found in (explain(w.sqrt().sum()), why(w, loss=w.sqrt().sum()), lint(w.sqrt().sum()),
                  gradcheck(lambda x: x.sqrt(), w.detach().double())):  # fmt: skip
        assert repr(found) == str(found)


def test_a_notebooks_last_result_is_no_name() -> None:
    cell: dict[str, Any] = {"_": None, "__": None, "why": why, "explain": explain, "ta": ta}
    exec("w = ta.ones(2, requires_grad=True)\n_ = __ = w\nloss = (w * w).sum()", cell)
    exec("e = explain(loss)\nfound = why(w, loss=loss)", cell)
    assert cell["e"].leaves[0].name == cell["found"].name == "w"
