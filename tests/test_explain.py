"""The backward pass as a trace: what it says is what backward does, and it changes nothing."""

from __future__ import annotations

import json
import re
import sys
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

import tinygrad_ai as ta
from tinygrad_ai import nn, optim
from tinygrad_ai.autograd import Function
from tinygrad_ai.autograd.op import REGISTRY
from tinygrad_ai.errors import ArgumentError, GradError, GraphFreedError
from tinygrad_ai.nn import functional as F
from tinygrad_ai.ops.samples import SAMPLES
from tinygrad_ai.study import explain, lint, profile, record


@pytest.fixture
def model() -> Any:
    ta.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.LayerNorm(4), nn.Linear(4, 2))


X, LABELS = [[1.0, 2.0, -1.0], [0.5, -0.5, 2.0]], [0, 1]


def loss_of(model: Any) -> Any:
    return F.cross_entropy(model(ta.tensor(X)), ta.tensor(LABELS))


def test_steps(model: Any) -> None:
    with record():
        e = explain(loss_of(model), model)
    assert [s.op for s in e.steps] == ["cross_entropy", "linear", "layer_norm", "tanh", "linear"]
    assert [s.path for s in e.steps] == ["", "3", "2", "1", "0"]
    last = e.steps[1]
    assert last.formulas == [
        "y⟨2×2⟩ = x⟨2×4⟩ @ w⟨2×4⟩ᵀ + b⟨2⟩", "gx⟨2×4⟩ = g⟨2×2⟩ @ w⟨2×4⟩",
        "gw⟨2×4⟩ = g⟨2×2⟩ᵀ @ x⟨2×4⟩", "gb⟨2⟩ = g⟨2×2⟩",
    ]  # fmt: skip
    assert [(g.name, g.to, g.step) for g in last.gave] == [
        ("gx", "layer_norm", 3), ("gw", "3.weight", None), ("gb", "3.bias", None),
    ]  # fmt: skip
    assert "test_explain.py:" in last.place and last.line.startswith("return F.cross_entropy(")
    assert last.came[0].shape == (2, 2) and e.steps[0].came[0].norm == 1


def test_it_is_what_backward_does(model: Any) -> None:
    loss = loss_of(model)
    e = explain(loss, model)
    loss.backward()
    assert e.loss == pytest.approx(loss.item())
    assert {leaf.name for leaf in e.leaves} == {n for n, _ in model.named_parameters()}
    for leaf in e.leaves:
        g = dict(model.named_parameters())[leaf.name].grad.numpy()
        assert leaf.size.shape == g.shape
        assert leaf.size.norm == pytest.approx(float(np.linalg.norm(g)), rel=1e-6)
        assert (leaf.size.min, leaf.size.max) == pytest.approx((g.min(), g.max()))
        assert len(leaf.parts) == 1 and leaf.parts[0][1] == pytest.approx(leaf.size.norm)


def test_contributions_of_a_leaf_used_twice() -> None:
    w = ta.tensor([3.0], requires_grad=True)
    e = explain((w * w + 4.0 * w).sum())
    (leaf,) = e.leaves
    assert leaf.name == "w" and leaf.size.norm == 10
    assert sorted([norm for _, norm in leaf.parts]) == [3, 3, 4]


def test_nothing_is_changed(model: Any) -> None:
    optimizer = optim.Adam(model.parameters())
    loss_of(model).backward()
    optimizer.step()

    def everything() -> list[Any]:
        tensors = [*model.parameters(), *[p.grad for p in model.parameters()]]
        state = [v for s in optimizer.state.values() for v in s.values()]
        return [t.tolist() for t in [*tensors, *state, ta.get_rng_state()]]

    loss = loss_of(model)
    before = everything()
    first, second = explain(loss, model), explain(loss, model)
    assert before == everything() and first == second
    loss.backward()


def test_as_text_in_a_notebook(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """There, too, str() gives the text and shows nothing by itself."""
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    loss, optimizer = loss_of(model), optim.SGD(model.parameters(), lr=0.1)
    assert "2 linear" in str(explain(loss, model))
    assert "finding" in str(lint(loss, model, optimizer))
    with profile(model, optimizer, memory=True) as report:
        loss.backward()
    assert "linear" in str(report) and "peak" in str(report.memory)


def test_text_markdown_and_page(model: Any) -> None:
    e = explain(loss_of(model), model)
    text = str(e)
    assert "gw to 3.weight: 2×4, norm" in text and "2 linear" in text and "\x1b" not in text
    marks = e.markdown()
    assert r"\underset{2 \times 4}{g_{x}} = \underset{2 \times 2}{g} \mathbin{@} " in marks
    assert marks.count("$$") == 2 * sum([len(s.tex) for s in e.steps])
    for formula in re.findall(r"\$\$ (.*) \$\$", marks):
        assert formula.count("{") == formula.count("}")
    page = e.html()
    assert "http" not in page and "<script" not in page and "<code>gw⟨2×4⟩ = g⟨2×2⟩ᵀ" in page
    opened: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: Any) -> None:
            opened.extend([tag] if tag not in ("meta", "br") else [])

        def handle_endtag(self, tag: str) -> None:
            assert opened.pop() == tag

    Reader().feed(page)
    assert opened == []
    assert json.loads(json.dumps(e.to_dict()))["steps"][1]["op"] == "linear"


@pytest.mark.parametrize("name", sorted(
    op.name for op in REGISTRY.values()
    if op.differentiable and op.forward.__module__.startswith("tinygrad_ai.")
))  # fmt: skip
def test_every_op(name: str) -> None:
    for call in SAMPLES[name]:
        tensors, attrs = call.made()
        result = REGISTRY[name](*tensors, **attrs)
        ys = [y for y in (result if isinstance(result, tuple) else (result,)) if y.node]
        e = explain(sum([y.square().sum() for y in ys[1:]], ys[0].square().sum()))
        step = next(s for s in e.steps if s.op == name)
        assert step.formulas and len(step.formulas) == len(step.tex)
        assert {"gxs"} | {g.name for g in step.gave} >= {
            f.split("⟨")[0].split(" ")[0] for f in step.formulas if f.startswith("gx") or "gxs" in f
        } - {"gz"}
        assert "⟩" in "".join(step.formulas) or all([g.size.shape == () for g in step.gave])


def test_a_rule_without_a_formula() -> None:
    class Double(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * 2

    x = ta.ones(3, requires_grad=True)
    e = explain(Double.apply(x).sum())
    assert e.steps[1].formulas == [] and e.leaves[0].size.max == 2
    assert "a rule without a formula" in str(e)


def test_numbers_that_are_not_finite() -> None:
    x = ta.tensor([0.0, 4.0], requires_grad=True)
    e = explain(x.sqrt().sum())
    assert e.leaves[0].size.odd == 1 and "1 not finite" in str(e)


def test_errors(model: Any) -> None:
    with pytest.raises(GradError, match="no history"):
        explain(ta.ones(1))
    with pytest.raises(GradError, match="only for one number"):
        explain(model(ta.tensor(X)))
    with pytest.raises(ArgumentError, match="got float"):
        explain(1.0)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="expected a model, got str"):
        explain(loss_of(model), "model")
    loss = loss_of(model)
    loss.backward()
    with pytest.raises(GraphFreedError):
        explain(loss)


def test_the_name_is_the_functions() -> None:
    import tinygrad_ai.study.explain  # noqa: F401

    assert sys.modules["tinygrad_ai.study"].explain is explain
