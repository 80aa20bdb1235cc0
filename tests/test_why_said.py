"""What why must not say: each of these was once told wrong, or not understood."""

from __future__ import annotations

import linecache
from typing import Any

import pytest

import tinygrad_ai as ta
from tinygrad_ai import nn, optim
from tinygrad_ai.amp import GradScaler
from tinygrad_ai.autograd import Function
from tinygrad_ai.errors import ArgumentError, InplaceError
from tinygrad_ai.nn import functional as F
from tinygrad_ai.nn.utils import clip_grad_norm_
from tinygrad_ai.study import explain, gradcheck, record, why
from tinygrad_ai.utils.checkpoint import checkpoint


def texts(found: Any) -> list[tuple[str, str]]:
    return [(c.code, c.text) for c in found.causes]


# ---- sums of gradients


def passes(w: Any, between: Any, count: int = 6) -> Any:
    for _ in range(count):
        between(w)
        (w * w).sum().backward()
    return why(w)


def zeroed(w: Any) -> None:
    if w.grad is not None:
        w.grad.zero_()


def test_a_gradient_that_is_zeroed_in_place_is_no_sum() -> None:
    found = passes(ta.ones(3, requires_grad=True), zeroed)
    assert (found.symptom, found.causes) == ("healthy", []), str(found)


def test_clipping_and_unscaling_are_no_backward_passes() -> None:
    w = ta.ones(3, requires_grad=True)
    found = passes(w, lambda w: w.grad is not None and clip_grad_norm_([w], 0.1), 5)
    assert found.causes[0].numbers == {"steps": 4} and found.symptom == "summed"
    half = ta.ones(4, requires_grad=True)
    passes(half, lambda w: w.grad is not None and w.grad[:2].zero_(), 5)
    assert why(half).symptom == "summed"  # a part that is zeroed leaves the rest


# ---- NaN and infinity


def test_a_weight_that_is_nan_is_the_cause_and_no_rule() -> None:
    ta.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    with ta.no_grad():
        model[0].weight[0, 0] = float("nan")  # the write
    loss = F.cross_entropy(model(ta.randn(5, 4)), ta.tensor([0, 1, 2, 0, 1]))
    for p in model.parameters():
        found = why(p, loss=loss, model=model)
        assert texts(found) == [("leaf", "0.weight has NaN itself, last changed")], str(found)
        file, _, line = found.causes[0].place.rpartition(":")
        assert "# the write" in linecache.getline(file, int(line))


def test_data_that_is_nan_is_the_cause_and_no_rule() -> None:
    model, x = nn.Linear(4, 3), ta.randn(5, 4)
    x[0, 0] = float("nan")
    with record():
        found = why(model.weight, loss=F.cross_entropy(model(x), ta.zeros(5).long()), model=model)
    assert texts(found) == [
        ("forward", "the forward pass has NaN already, first given to linear as data"),
    ]  # fmt: skip


@pytest.mark.parametrize("recorded", [False, True])
def test_a_mask_of_minus_infinity_is_no_cause(recorded: bool) -> None:
    w, hidden = ta.zeros(4, 4, requires_grad=True), ta.triu(ta.ones(4, 4), 1).bool()

    def found() -> Any:
        seen = w.masked_fill(hidden, float("-inf")).softmax(1)
        return why(w, loss=(w + seen * 0).sqrt().sum())

    if recorded:
        with record():
            causes = found().causes
    else:
        causes = found().causes
    assert [c.code for c in causes] == ["rule"] and "sqrt at y = 0" in causes[0].text


def test_a_row_that_is_masked_whole_is_softmaxs() -> None:
    q, mask = ta.randn(2, 4, 8, requires_grad=True), ta.full((4, 4), float("-inf"))
    with record():
        found = why(q, loss=((q @ q.transpose(-1, -2) + mask).softmax(-1) @ q).sum())
    assert texts(found) == [
        ("forward", "the forward pass has NaN already, first made by softmax of infinity"),
    ]  # fmt: skip


def test_infinity_before_the_nan_comes_first() -> None:
    w = ta.tensor([0.0, 1.0], requires_grad=True)
    with record():
        found = why(w, loss=(w.log() * w).sum())
    assert [t.split("first ")[1] for _, t in texts(found)[:2]] == [
        "made by log", "made by mul of infinity",
    ]  # fmt: skip


# ---- no gradient


def test_a_loss_without_history_inside_a_recording() -> None:
    model = nn.Linear(4, 4)
    with record() as r, ta.no_grad():
        loss = model(ta.randn(2, 4)).sum()
    for given in ({"loss": loss}, {}):
        found = why(model.weight, record=r, **given)
        assert texts(found)[0] == ("no-grad", "linear was computed under no_grad")
        assert str(found).startswith("the gradient of model.weight: none")


def test_a_choice_that_became_an_index() -> None:
    w, table = ta.randn(3, 4, requires_grad=True), ta.randn(4, requires_grad=True)
    with record():
        found = why(w, loss=table[w.argmax(1)].sum())
    assert texts(found)[0][1].startswith("argmax has no derivative")
    with record():
        found = why(w, loss=(table[(w[0] * 0).long()] * table).sum())
    assert texts(found)[0][0] == "no-derivative"


# ---- zeros


def test_the_norm_of_zeros_multiplies_by_nothing() -> None:
    w = ta.zeros(3, requires_grad=True)
    ((code, text),) = texts(why(w, loss=w.norm()))
    assert (code, text) == ("zeros", "the rule of norm2 gave zeros, and its y is 0 everywhere")


def test_what_has_no_elements() -> None:
    w, none = ta.ones(3, 4, requires_grad=True), ta.ones(0, 4, requires_grad=True)
    assert texts(why(none, loss=(none * 2).sum())) == [("empty", "it has no elements")]
    found = why(w, loss=(ta.zeros(0, 4) @ w.T).sum())
    assert texts(found) == [("empty", "sum was given no elements: an empty batch")]


def test_a_checkpointed_softmax() -> None:
    w = ta.tensor([[1e3, 0.0, -1e3]], requires_grad=True)
    loss = (checkpoint(lambda w: w.softmax(1), w) * ta.tensor([1.0, 2.0, 3.0])).sum()
    assert [c.code for c in why(w, loss=loss).causes] == ["rule"]


# ---- what it is given


def test_errors_are_clear() -> None:
    w = ta.ones(3, requires_grad=True)
    loss = (w * w).sum()
    for look in (lambda **given: why(w, loss=loss, **given), lambda **given: why(w, **given),
                 lambda **given: explain(loss, **given)):  # fmt: skip
        with pytest.raises(ArgumentError, match="expected a model, got str"):
            look(model="model")
        with pytest.raises(ArgumentError, match=r"expected a recording, got str\n.*record\(\)"):
            look(record="record")
    with pytest.raises(ArgumentError, match=r"got list\n.*sum of several losses"):
        why(w, loss=[loss, loss])
    loss.backward(retain_graph=True)
    optim.SGD([w], lr=0.1).step()
    with pytest.raises(InplaceError, match=r"fix: look before optimizer.step\(\)"):
        why(w, loss=loss)


def test_bfloat16_has_gradients_too() -> None:
    pytest.importorskip("ml_dtypes")
    w = ta.zeros(3, dtype=ta.bfloat16, requires_grad=True)
    assert texts(why(w))[0][0] == "no-backward"
    assert "rule of sqrt at y = 0" in texts(why(w, loss=w.sqrt().sum()))[0][1]
    with record() as r:
        loss = (w.detach() * ta.ones(3, dtype=ta.bfloat16, requires_grad=True)).sum()
    assert texts(why(w, loss=loss, record=r))[0][0] == "detached"
    assert texts(why((w + 1).relu() * -1 > 0))[0][0] == "integer"
    dead = (w - 9).relu()
    assert "relu is dead for 100%" in texts(why(w, loss=dead.sum()))[0][1]
    with pytest.raises(ArgumentError, match="16-bit numbers say nothing"):
        gradcheck(lambda x: x * 2, w)


# ---- hooks, Functions, branches


def test_a_hook_that_makes_nan() -> None:
    w = ta.ones(3, requires_grad=True)
    h = w * 2.0
    h.register_hook(lambda g: g * float("nan"))
    found = why(w, loss=h.sum())
    assert texts(found) == [("hook", "a hook made NaN or infinity of a gradient of norm 1.732")]


def test_a_function_that_gives_none() -> None:
    class Stingy(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return None

    w = ta.ones(3, requires_grad=True)
    assert texts(why(w, loss=Stingy.apply(w * 3).sum())) == [
        ("rule", "the rule of Stingy gave None for it"),
    ]  # fmt: skip


def test_what_is_multiplied_by_zero_is_named() -> None:
    first, last = nn.Linear(3, 3), nn.Linear(3, 1)
    nn.init.zeros_(last.weight)
    found = why(first.weight, loss=last(first(ta.ones(2, 3))).sum())
    assert texts(found) == [("zeros", "linear multiplies by its w, which is 0 everywhere")]
    layer = nn.Linear(3, 3, bias=False)
    nn.init.zeros_(layer.weight)
    found = why(layer.weight, loss=layer(layer(ta.ones(2, 3))).sum())
    assert texts(found)[0] == ("zeros", "linear multiplies by its x, which is 0 everywhere")


def test_a_branch_that_vanishes_is_not_the_whole_gradient() -> None:
    ta.manual_seed(0)
    model, x = nn.MultiheadAttention(8, 2, batch_first=True), ta.randn(2, 5, 8) * 100
    found = why(model.in_proj_weight, loss=model(x, x, x)[0].sum(), model=model)
    assert found.norm and found.norm > 100 and found.symptom == "healthy", str(found)


def test_several_optimizers() -> None:
    a, b, c = [ta.ones(3, requires_grad=True) for _ in range(3)]
    optimizers = [optim.SGD([a], lr=0.1), optim.Adam([b])]
    loss = (a * b * c).sum()
    assert why(a, optimizers, loss=loss).causes == []
    (cause,) = why(c, optimizers, loss=loss).causes
    assert cause.text == "never given to the optimizer: SGD and Adam have 2 other tensors"
    with pytest.raises(ArgumentError, match="expected an optimizer, got Tensor"):
        why(a, [loss])


def test_a_scaled_loss_explodes_nothing() -> None:
    model = nn.Linear(4, 3)
    loss = F.cross_entropy(model(ta.randn(5, 4)), ta.zeros(5).long())
    found = why(model.weight, loss=GradScaler("cpu").scale(loss))
    assert (found.symptom, found.causes) == ("healthy", []), str(found)
