"""The checker, checked: what is right passes, what is wrong is shown where it is."""

from __future__ import annotations

import re
from typing import Any

import pytest

import tinygrad_ai as ta
from tests.twins import torch
from tinygrad_ai.autograd import gradcheck, gradgradcheck, op
from tinygrad_ai.errors import ArgumentError, GradcheckError


def leaf(*values: float, dtype: Any = None) -> Any:
    return ta.tensor(values, dtype=dtype or ta.float64, requires_grad=True)


def wrong(rule: Any, forward: Any = lambda x: x * x) -> Any:
    """An op with any rule."""

    @op
    def mistaken(be: Any, x: Any) -> Any:
        return forward(x)

    mistaken.vjp(rule)
    return mistaken


both = pytest.mark.parametrize("fast", [False, True])


@both
@pytest.mark.parametrize("check", [gradcheck, gradgradcheck])
def test_right_gradients_pass(check: Any, fast: bool) -> None:
    x, y = leaf(0.5, -1.5), leaf(1.0, 2.0)
    assert check(lambda x, y: (x * y).tanh() + x.exp(), (x, y), fast_mode=fast)
    assert check(lambda x, y: (x * y, (x / y).sum()), [x, y], fast_mode=fast)
    assert check(lambda x, n, y: x**n * y, (x, 3, y.detach()), fast_mode=fast)
    assert check(lambda x: x.sum(), x.reshape(2, 1), fast_mode=fast)  # no leaf
    assert check(lambda x: x * 2, ta.zeros(0, 3, dtype=ta.float64).requires_grad_())


def test_the_worst_entry_is_shown() -> None:
    slope = wrong(lambda g, x: g * ta.where(x > 2, 3 * x, 2 * x))
    x = leaf(1.0, 3.0, 5.0)
    with pytest.raises(GradcheckError) as error:
        gradcheck(lambda x: slope(x).reshape(3, 1), x)
    assert str(error.value) == (
        "the gradient of output 0 by input 0 is wrong in 2 of 9 entries\n"
        "  worst at output[2, 0] by input[2]: analytic 15, numeric 10, difference 5, "
        "allowed 0.01\n"
        "  fix: the rule of one of the ops is wrong; check them one by one"
    )
    assert not gradcheck(slope, x, raise_exception=False)


def test_second_of_two_inputs_and_outputs() -> None:
    slope = wrong(lambda g, x: g * x)
    with pytest.raises(GradcheckError, match="gradient of output 1 by input 2 is wrong in 1 of 1"):
        gradcheck(lambda a, n, b: (a * b, slope(b)), (leaf(1.0), 3, leaf(2.0)))


@both
def test_a_small_mistake_is_found(fast: bool) -> None:
    slope = wrong(lambda g, x: g * x * 2.01)
    x = ta.linspace(1, 2, 30, dtype=ta.float64).requires_grad_()
    assert not gradcheck(slope, x, fast_mode=fast, raise_exception=False)
    assert gradcheck(slope, x, rtol=0.02, fast_mode=fast)
    with pytest.raises(GradcheckError, match="is wrong"):
        gradcheck(slope, x, fast_mode=fast)


def test_fast_mode_says_how_to_learn_more() -> None:
    with pytest.raises(GradcheckError) as error:
        gradcheck(wrong(lambda g, x: g * x), leaf(1.0, 2.0), fast_mode=True)
    assert "along a random direction analytic" in str(error.value)
    assert str(error.value).endswith("fix: fast_mode=False shows which entry")


def test_a_rule_right_only_for_uniform_gradients_does_not_pass() -> None:
    """Its answer is the mean of g, spread evenly: right for a gradient of ones."""
    slope = wrong(lambda g, x: g.mean() + 0 * x, lambda x: x + 0)
    ones = ta.grad(slope(x := leaf(1.0, 2.0, 3.0)).sum(), x)[0]
    assert ones.tolist() == [1.0, 1.0, 1.0]
    assert not gradcheck(slope, x, raise_exception=False)


def test_a_rule_that_is_not_linear_in_the_gradient() -> None:
    @op
    def pair(be: Any, x: Any) -> Any:
        return x + 0

    @pair.vjp
    def _(g: Any) -> Any:
        lonely = (ta.count_nonzero(g) == 1).item()
        return g if lonely else 2 * g

    with pytest.raises(GradcheckError) as error:
        gradcheck(pair, leaf(1.0, 2.0))
    assert "is right for single elements, but wrong by" in str(error.value)
    assert str(error.value).endswith("fix: a rule must be linear in the incoming gradient")


def test_a_kink_is_recognised() -> None:
    with pytest.raises(GradcheckError) as error:
        gradcheck(lambda x: x.clamp(min=0.0), leaf(-1.0, 0.0, 2.0))
    assert str(error.value).endswith(
        "fix: there is a kink: the slope is 0 before and 1 after; move the input"
    )


def test_an_output_without_history() -> None:
    with pytest.raises(GradcheckError) as error:
        gradcheck(lambda x: (x * 1, (x * x).detach()), leaf(1.0, 2.0))
    assert str(error.value).startswith("the gradient of output 1 by input 0 is wrong")
    assert "fix: the output has no history" in str(error.value)
    assert gradcheck(lambda x: (x * 1, ta.sign(x), x > 0), leaf(1.0, 2.0))


def test_nan_is_wrong() -> None:
    slope = wrong(lambda g, x: g * x * float("nan"))
    assert not gradcheck(slope, leaf(1.0), raise_exception=False)
    assert not gradcheck(slope, leaf(1.0), raise_exception=False, fast_mode=True)
    with pytest.raises(GradcheckError, match="worst at output.0. by input.0.: analytic nan"):
        gradcheck(slope, leaf(1.0))


def test_second_order_mistakes_are_found_by_gradgradcheck_only() -> None:
    """Its rule stops the history: first derivatives are right, second ones lack a term."""
    slope = wrong(lambda g, x: g * 2 * getattr(x, "detach", lambda: x)())
    x = leaf(1.0, 2.0)
    assert gradcheck(slope, x)
    with pytest.raises(GradcheckError, match="gradient of output 0 by input 0 is wrong"):
        gradgradcheck(slope, x)
    assert not gradgradcheck(slope, x, raise_exception=False, fast_mode=True)


def test_gradgradcheck_with_given_and_spaced_out_cotangents() -> None:
    x, seed = leaf(1.0, 2.0), leaf(0.5, -2.0)
    assert gradgradcheck(ta.exp, x, seed)
    assert gradgradcheck(lambda x: (x.exp(), x * x), x, [seed, ta.ones(2, dtype=ta.float64)])
    assert gradgradcheck(ta.exp, x, gen_non_contig_grad_outputs=True)


def test_functions_that_differ_from_call_to_call() -> None:
    with pytest.raises(GradcheckError) as error:
        gradcheck(lambda x: x * ta.rand(2, dtype=ta.float64), leaf(1.0, 2.0))
    assert re.match(r"two calls differ by \d\S* \(nondet_tol 0\)\n  fix: seed", str(error.value))

    noise = iter(range(10**6))
    shaky = wrong(lambda g, x: 2 * g * x + 1e-9 * next(noise))
    with pytest.raises(GradcheckError, match="two calls differ by"):
        gradcheck(shaky, leaf(1.0))
    assert gradcheck(shaky, leaf(1.0), nondet_tol=1e-6)


def test_dtypes_of_gradients() -> None:
    x = leaf(1.0, 2.0)
    wide = wrong(lambda g, x: (2 * g * x).astype("float32").astype("float64"))
    assert gradcheck(wide, x, check_grad_dtypes=True)
    narrow = wrong(lambda g, x: (2 * g * x).astype("float32"))
    with pytest.raises(
        GradcheckError, match="the gradient by input 0 is float32, expected float64"
    ):
        gradcheck(
            lambda x: narrow(x * 1), (x * 1).detach().requires_grad_(), check_grad_dtypes=True
        )


def test_float32_inputs_warn_and_explain() -> None:
    x = leaf(1.0, 2.0, dtype=ta.float32)
    with pytest.warns(UserWarning, match=r"gradcheck: input 0 is float32; .* \(x.double\(\)\)"):
        ok = gradcheck(lambda x: x * 1e-3 + x**3, x, raise_exception=False)
    assert not ok
    with pytest.warns(UserWarning), pytest.raises(GradcheckError, match="check in float64"):
        gradcheck(lambda x: x * 1e-3 + x**3, x)
    with pytest.warns(UserWarning):
        assert gradcheck(lambda x: x * 2 + x**3, x, eps=1e-2, atol=1e-2, rtol=1e-2)


def test_inputs_are_left_as_they_were() -> None:
    x = leaf(1.0, 2.0)
    view = ta.ones(2, 1, dtype=ta.float64).expand(2, 3).detach().requires_grad_()
    array = x.array
    ta.manual_seed(5)
    expected = ta.rand(3).tolist()
    ta.manual_seed(5)
    assert gradcheck(lambda x, v: x.sum() * v, (x, view))
    assert not gradcheck(wrong(lambda g, x: g), x, raise_exception=False)
    assert x.array is array and x.tolist() == [1.0, 2.0] and x.grad is None
    assert ta.rand(3).tolist() == expected


def test_parameters_reached_by_a_closure() -> None:
    """As in PyTorch, the tensors themselves are moved: a module finds its parameters changed."""
    w, x = leaf(0.5, -1.0), leaf(1.0, 2.0).detach()
    assert gradcheck(lambda *_: (w * x).tanh(), (w,))


@pytest.mark.parametrize(
    "call, text",
    [
        (lambda x: gradcheck(ta.exp, x.detach()), "gradcheck needs at least one input with"),
        (lambda x: gradcheck(ta.exp, x, check_forward_ad=True), "gradcheck checks reverse-mode"),
        (lambda x: gradcheck(ta.exp, x, check_batched_grad=True), "gradcheck checks reverse-mode"),
        (lambda x: gradgradcheck(ta.exp, x, check_fwd_over_rev=True), "gradgradcheck checks rev"),
    ],
)
def test_mistakes(call: Any, text: str) -> None:
    with pytest.raises(ArgumentError) as error:
        call(leaf(1.0))
    assert str(error.value).startswith(text)


@pytest.mark.parametrize("name", ["gradcheck", "gradgradcheck"])
def test_signature_is_pytorchs(name: str) -> None:
    from inspect import signature

    theirs = signature(getattr(torch.autograd, name)).parameters
    ours = signature(getattr(ta.autograd, name)).parameters
    assert list(ours) == list(theirs)
    assert [p.default for p in ours.values()] == [p.default for p in theirs.values()]
    assert [p.kind for p in ours.values()] == [p.kind for p in theirs.values()]
