"""The calls and switches of autograd, beside PyTorch's, and what they say about mistakes."""

from __future__ import annotations

import re
from inspect import signature
from typing import Any

import pytest

import tinygrad_ai as ta
from tests.twins import same, torch
from tinygrad_ai.errors import ArgumentError, GradError, GraphFreedError, InplaceError, ShapeError


def leaf(T: Any, *values: float) -> Any:
    return T.tensor(values, dtype=T.float64, requires_grad=True)


def message(error: Any) -> str:
    """An error's text, with the places in this file made comparable."""
    return re.sub(r"/\S*?(\w+\.py):\d+", r"\1:N", str(error.value))


# ---- backward


def test_backward_of_a_scalar_and_accumulation() -> None:
    def program(T: Any) -> Any:
        x = leaf(T, 1.0, 2.0)
        (x * x).sum().backward()
        first = x.grad.clone()
        (x * 3).sum().backward()
        return first, x.grad

    same(program)


def test_accumulation_keeps_the_gradient_tensor() -> None:
    """An optimizer may hold .grad: it is added to, not replaced."""

    def program(T: Any) -> Any:
        x = leaf(T, 1.0, 2.0)
        (x * x).sum().backward()
        held = x.grad
        (x * x).sum().backward()
        assert x.grad is held
        return held

    same(program)


def test_backward_with_a_gradient() -> None:
    def program(T: Any) -> Any:
        x = leaf(T, 1.0, 2.0)
        y = x.exp()
        y.backward(T.tensor([0.5, -3.0], dtype=T.float64))
        return x.grad

    same(program)


def test_backward_of_several_tensors() -> None:
    def program(T: Any) -> Any:
        x = leaf(T, 1.0, 2.0)
        h = x.exp()
        T.autograd.backward([h, (h * x).sum(), h], [T.ones_like(h), None, 2 * T.ones_like(h)])
        return x.grad

    same(program)


def test_backward_inputs_only() -> None:
    def program(T: Any) -> Any:
        a, b, c = leaf(T, 1.0), leaf(T, 2.0), leaf(T, 4.0)
        h = a * b
        (h * h * c).sum().backward(inputs=[b, h], retain_graph=True)
        found = [a.grad, b.grad.clone(), h.grad.clone(), c.grad]
        (h * c).sum().backward(inputs=b)
        return [*found, b.grad]

    same(program)


# PyTorch warns that a recorded .grad and its leaf refer to each other.
@pytest.mark.filterwarnings("ignore:Using backward:UserWarning")
def test_backward_create_graph_leaves_a_gradient_with_history() -> None:
    def program(T: Any) -> Any:
        x = leaf(T, 0.5, 2.0)
        (g,) = T.autograd.grad((x**3).sum(), x, create_graph=True)
        g.sum().backward(create_graph=True)
        second = x.grad
        (third,) = T.autograd.grad(second.sum(), x)
        return second, third

    same(program)


@pytest.mark.filterwarnings("ignore:Using backward:UserWarning")
def test_adding_to_a_recorded_gradient() -> None:
    def program(T: Any) -> Any:
        x = leaf(T, 0.5, 2.0)
        (x**3).sum().backward(create_graph=True)
        (x**2).sum().backward(create_graph=True)
        (second,) = T.autograd.grad(x.grad.sum(), x)
        (x**2).sum().backward()
        return second, x.grad.detach()

    same(program)


# ---- grad


def test_grad_leaves_grad_alone() -> None:
    x = leaf(ta, 1.0, 2.0)
    y = (x * x).sum()
    ta.grad(y, x, retain_graph=True)
    assert x.grad is None
    y.backward()
    held = x.grad.tolist()
    ta.grad((x * x * x).sum(), x)
    assert x.grad.tolist() == held


def test_grad_of_several_outputs_and_inputs() -> None:
    def program(T: Any) -> Any:
        a, b = leaf(T, 1.0, 2.0), leaf(T, 3.0, 4.0)
        h = a * b
        outputs = [h.sum(), (h * h).exp()]
        seeds = [None, T.tensor([1e-3, 1e-7], dtype=T.float64)]
        return T.autograd.grad(outputs, (a, h, b, a), seeds)

    same(program)


def test_grad_by_an_output_itself() -> None:
    def program(T: Any) -> Any:
        y = (leaf(T, 1.0, 2.0) * 2).sum()
        return T.autograd.grad(y, y), T.autograd.grad(y, y, T.tensor(3.0, dtype=T.float64))

    same(program)


def test_third_derivatives() -> None:
    def program(T: Any) -> Any:
        x = leaf(T, 0.3, -0.8)
        found = []
        for f in (
            lambda x: x**4,
            T.tanh,
            T.exp,
            lambda x: 1 / (x * x),
            lambda x: x.exp().sum() * x,
        ):
            y = f(x)
            for _ in range(3):
                (y,) = T.autograd.grad(y.sum(), x, create_graph=True)
            found.append(y)
        return found

    same(program)


def test_unused_inputs() -> None:
    def program(T: Any) -> Any:
        a, b = leaf(T, 1.0), leaf(T, 2.0)
        y = (a * 2).sum()
        return (
            T.autograd.grad(y, [a, b], retain_graph=True, allow_unused=True),
            T.autograd.grad(y, [a, b], materialize_grads=True),
        )

    same(program)


def test_gradient_penalty() -> None:
    """A gradient inside a loss, as in WGAN-GP."""

    def program(T: Any) -> Any:
        w, x = leaf(T, 0.5, -1.0, 2.0), leaf(T, 1.0, 2.0, 3.0)
        score = (w * x).tanh().sum()
        (g,) = T.autograd.grad(score, x, create_graph=True)
        penalty = ((g * g).sum().sqrt() - 1) ** 2
        (score + 10 * penalty).backward()
        return w.grad, x.grad

    same(program)


# ---- hooks, retain_grad


def test_hooks_run_in_order_and_may_replace_the_gradient() -> None:
    def program(T: Any) -> Any:
        x, seen = leaf(T, 1.0, 2.0), []
        h = x * 3
        h.register_hook(lambda g: seen.append(g.tolist()))
        h.register_hook(lambda g: g * 2)
        h.register_hook(lambda g: seen.append(g.tolist()))
        x.register_hook(lambda g: g + 1)
        (h * h).sum().backward()
        return x.grad, seen

    same(program)


def test_hooks_are_removed() -> None:
    def program(T: Any) -> Any:
        x = leaf(T, 1.0)
        first = x.register_hook(lambda g: g * 10)
        x.register_hook(lambda g: g + 1)
        first.remove()
        (x * 2).sum().backward()
        with x.register_hook(lambda g: g * 100):
            (x * 2).sum().backward()
        (x * 2).sum().backward()
        first.remove()
        return x.grad

    same(program)


def test_a_hook_sees_the_whole_gradient_once() -> None:
    def program(T: Any) -> Any:
        x, seen = leaf(T, 1.0), []
        h = x * 2
        h.register_hook(lambda g: seen.append(g.item()))
        (h * 3 + h * h + h).sum().backward()
        return x.grad, seen

    same(program)


def test_hooks_in_grad_and_of_second_order() -> None:
    def program(T: Any) -> Any:
        x = leaf(T, 0.5, 2.0)
        h = x * x
        h.register_hook(lambda g: g * h)
        (g,) = T.autograd.grad((h * x).sum(), x, create_graph=True)
        (gg,) = T.autograd.grad(g.sum(), x)
        return g, gg

    same(program)


def test_retain_grad_comes_after_hooks_accumulates_and_owns_its_memory() -> None:
    def program(T: Any) -> Any:
        x = leaf(T, 1.0, 2.0)
        h = x * 2
        h.retain_grad()
        h.retain_grad()
        h.register_hook(lambda g: g * 10)
        assert h.retains_grad and not x.retains_grad
        y, seed = h + 0, T.ones(2, dtype=T.float64)
        y.backward(seed, retain_graph=True)
        first = h.grad.clone()
        y.backward(seed)
        with T.no_grad():
            h.grad.fill_(7.0)
        return first, h.grad, x.grad, seed

    same(program)


def test_retain_grad_of_the_output() -> None:
    def program(T: Any) -> Any:
        x = leaf(T, 1.0, 2.0)
        y = (x * x).sum()
        y.retain_grad()
        y.backward()
        return y.grad, x.grad

    same(program)


def test_grad_of_a_tensor_that_is_no_leaf_warns() -> None:
    h = leaf(ta, 1.0) * 2
    with pytest.warns(UserWarning) as caught:
        assert h.grad is None
    assert str(caught[0].message) == (
        "the result of mul keeps no gradient: .grad is filled for leaves\n"
        "  fix: call y.retain_grad() before backward(), or look at the leaf's .grad"
    )
    assert caught[0].filename == __file__
    h.retain_grad()
    assert h.grad is None  # warnings are errors here: none comes


# ---- modes


def test_modes_nest() -> None:
    def program(T: Any) -> Any:
        seen = [T.is_grad_enabled()]
        with T.no_grad():
            seen.append(T.is_grad_enabled())
            with T.enable_grad():
                seen.append(T.is_grad_enabled())
                with T.set_grad_enabled(False):
                    seen.append(T.is_grad_enabled())
                seen.append(T.is_grad_enabled())
            with T.inference_mode(), T.inference_mode(False):
                seen.append(T.is_grad_enabled())
            seen.append(T.is_grad_enabled())
        return 1.0, [*seen, T.is_grad_enabled()]

    same(program)


def test_set_grad_enabled_as_a_call_stays() -> None:
    def program(T: Any) -> Any:
        x = leaf(T, 1.0)
        T.set_grad_enabled(False)
        quiet = x * 2
        T.set_grad_enabled(True)
        return quiet, x * 2

    same(program)


def test_modes_as_decorators() -> None:
    def program(T: Any) -> Any:
        def state() -> Any:
            return T.is_grad_enabled()

        functions = [T.no_grad()(state), T.no_grad(state)]
        functions += [T.enable_grad()(state), T.enable_grad(state)]
        functions += [T.inference_mode()(state), T.inference_mode(False)(state)]
        functions += [T.set_grad_enabled(False)(state)]
        functions += [T.set_grad_enabled(True)(state)]
        outside = [f() for f in functions]
        assert T.is_grad_enabled()
        with T.no_grad():
            inside = [f() for f in functions]
            assert not T.is_grad_enabled()
        return 1.0, outside, inside

    same(program)


def test_a_decorated_function_may_call_itself_and_fail() -> None:
    @ta.no_grad()
    def down(n: int) -> Any:
        """Counts down."""
        if n == 0:
            raise KeyError
        return down(n - 1)

    assert (down.__name__, down.__doc__) == ("down", "Counts down.")
    with pytest.raises(KeyError):
        down(3)
    assert ta.is_grad_enabled()


@pytest.mark.filterwarnings("ignore:the .type, exc, tb.:DeprecationWarning")  # in PyTorch itself
def test_modes_on_generators_hold_inside_only() -> None:
    def program(T: Any) -> Any:
        events: list[Any] = []

        @T.no_grad()
        def steps() -> Any:
            try:
                got = yield T.is_grad_enabled()
                events.append(("sent", got, T.is_grad_enabled()))
                try:
                    yield 1
                except KeyError:
                    events.append(("thrown", T.is_grad_enabled()))
                yield 2
                return 3
            finally:
                events.append(("end", T.is_grad_enabled()))

        g = steps()
        events += [next(g), T.is_grad_enabled(), g.send("hello"), T.is_grad_enabled()]
        events += [g.throw(KeyError()), T.is_grad_enabled()]
        try:
            next(g)
        except StopIteration as end:
            events.append(end.value)
        early = steps()
        next(early)
        early.close()
        events.append(T.is_grad_enabled())
        return 1.0, events

    same(program)


def test_what_no_grad_makes_is_a_leaf() -> None:
    def program(T: Any) -> Any:
        x = leaf(T, 1.0, 2.0)
        with T.no_grad():
            y = x * 2
        assert y.is_leaf and y.grad_fn is None
        y.requires_grad_()
        (y * x).sum().backward()
        return x.grad, y.grad

    same(program)


# ---- leaves


def test_requires_grad_switched_on_and_off() -> None:
    def program(T: Any) -> Any:
        x = T.tensor([1.0, 2.0], dtype=T.float64)
        before = (x * 2).requires_grad
        x.requires_grad = True
        (x * x).sum().backward()
        x.requires_grad_(False)
        frozen = (x * 2).requires_grad
        x.requires_grad_()
        (x * x).sum().backward()
        return x.grad, [before, frozen, x.is_leaf, x.requires_grad]

    same(program)


def test_detach_cuts_the_history_and_shares_memory() -> None:
    def program(T: Any) -> Any:
        x = leaf(T, 1.0, 2.0)
        h = x * 2
        cut = h.detach()
        (h * cut).sum().backward()
        return x.grad, cut

    same(program)
    h = leaf(ta, 1.0) * 2
    assert h.detach().array is h.array


def test_assigning_grad() -> None:
    def program(T: Any) -> Any:
        x = leaf(T, 1.0, 2.0)
        x.grad = T.tensor([10.0, 20.0], dtype=T.float64)
        (x * x).sum().backward()
        kept = x.grad.clone()
        x.grad = None
        (x * x).sum().backward()
        return kept, x.grad

    same(program)


# ---- mistakes, word for word


def test_backward_of_more_than_one_number() -> None:
    with pytest.raises(GradError) as error:
        (leaf(ta, 1.0, 2.0) * 2).backward()
    assert message(error) == (
        "a gradient can be implied only for one number, got shape (2,)\n"
        "  fix: call backward() on a sum or mean, or pass gradient="
    )


def test_backward_without_history() -> None:
    with pytest.raises(GradError) as error:
        ta.tensor(1.0).backward()
    assert message(error) == (
        "backward needs a tensor that requires a gradient; this one has no history\n"
        "  fix: requires_grad=True on the inputs, and no detach() or no_grad() on the way"
    )


@pytest.mark.parametrize("dtype", ["int64", "bool", "complex64"])
def test_gradient_of_what_is_no_real_number(dtype: str) -> None:
    with pytest.raises(GradError) as error:
        ta.ones(2, dtype=getattr(ta, dtype)).requires_grad_()
    assert message(error) == (
        f"only floating-point tensors can require gradients, got {dtype}\n"
        "  fix: write 2.0 instead of 2, or convert with .float()"
    )
    with pytest.raises(GradError, match="only floating-point tensors can require gradients"):
        ta.tensor([1, 2], requires_grad=True)


def test_backward_twice() -> None:
    y = leaf(ta, 1.0).exp().sum()
    y.backward()
    with pytest.raises(GraphFreedError) as error:
        y.backward()
    assert message(error) == (
        "backward through exp a second time: what it saved was freed by the first pass\n"
        "  made at test_autograd.py:N\n"
        "  fix: backward(retain_graph=True) the first time, or build this part inside the loop"
    )
    assert f"{__file__}:" in str(error.value)


def test_change_in_place_of_an_input_that_was_saved() -> None:
    x = leaf(ta, 1.0, 2.0)
    h = x * 1
    y = h * x
    with ta.no_grad():
        h.mul_(2.0)
    with pytest.raises(InplaceError) as error:
        y.sum().backward()
    assert message(error) == (
        "the buffer saved by mul (input a, shape (2,), float64) was changed after the forward "
        "pass\n"
        "  saved   at test_autograd.py:N\n"
        "  changed at test_autograd.py:N\n"
        "  fix: write x = x + 1 instead of x += 1, or change x.clone()"
    )
    lines = [int(n) for n in re.findall(r"test_autograd\.py:(\d+)", str(error.value))]
    assert lines[1] == lines[0] + 2


def test_change_in_place_of_an_output_that_was_saved() -> None:
    y = leaf(ta, 1.0, 2.0).exp()
    y += 1.0
    with pytest.raises(InplaceError, match=r"saved by exp \(output, shape \(2,\), float64\)"):
        y.sum().backward()


def test_change_in_place_through_a_view() -> None:
    x = leaf(ta, 1.0, 2.0)
    w = ta.tensor([3.0, 4.0], dtype=ta.float64)
    y = w * x
    w[0] = 7.0
    with pytest.raises(InplaceError, match=r"saved by mul \(input a"):
        y.sum().backward()


def test_an_optimizer_step_between_forward_and_backward() -> None:
    w, x = leaf(ta, 1.0), leaf(ta, 2.0)
    y = w * x
    y.sum().backward(retain_graph=True)
    ta.optim.SGD([w], lr=0.1).step()
    with pytest.raises(InplaceError, match="saved by mul"):
        y.sum().backward()


def test_a_change_of_what_nobody_saved_is_allowed() -> None:
    def program(T: Any) -> Any:
        x = leaf(T, 1.0, 2.0)
        h = x + 1
        y = h + h
        with T.no_grad():
            h.mul_(5.0)
        y.sum().backward()
        return x.grad

    same(program)


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda x, y: y.backward(ta.ones(3)), ShapeError, "expected a gradient of shape (2,)"),
        (lambda x, y: y.sum().backward(inputs=[]), GradError, "expected at least one input"),
        (lambda x, y: ta.grad(y.sum(), []), GradError, "expected at least one input"),
        (
            lambda x, y: ta.grad(y.sum(), ta.ones(2)),
            GradError,
            "a gradient was asked for by a tensor that does not require one\n"
            "  fix: requires_grad=True when it is made, or x.requires_grad_() before it is used",
        ),
        (
            lambda x, y: ta.grad(y.sum(), [x, leaf(ta, 1.0)]),
            GradError,
            "an input was not used in computing the outputs\n  fix: allow_unused=True",
        ),
        (
            lambda x, y: ta.grad(y.sum(), x, allow_unused=False, materialize_grads=True),
            ArgumentError,
            "materialize_grads=True gives zeros for unused inputs",
        ),
        (
            lambda x, y: ta.grad(y, x, ta.ones(3, 2), is_grads_batched=True),
            ArgumentError,
            "grad takes one gradient for each output\n  fix: call it for each of them",
        ),
        (
            lambda x, y: ta.grad([y, y], x, [ta.ones(2)]),
            GradError,
            "expected a gradient for each of 2 outputs, got 1",
        ),
        (lambda x, y: y.requires_grad_(False), GradError, "only leaves can stop requiring"),
        (lambda x, y: ta.ones(2).retain_grad(), GradError, "retain_grad needs a tensor that"),
        (lambda x, y: ta.ones(2).register_hook(print), GradError, "register_hook needs a tensor"),
        (
            lambda x, y: setattr(x, "grad", ta.ones(3)),
            GradError,
            "expected a gradient of shape (2,) or None, got (3,)",
        ),
    ],
)
def test_mistakes(call: Any, error: Any, text: str) -> None:
    x = leaf(ta, 1.0, 2.0)
    with pytest.raises(error) as caught:
        call(x, x * 2)
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize(
    "returned, came", [(lambda g: 3.0, "float"), (lambda g: ta.ones(3), "(3,)")]
)
def test_a_hook_that_returns_no_gradient(returned: Any, came: str) -> None:
    x = leaf(ta, 1.0, 2.0)
    x.register_hook(returned)
    with pytest.raises(GradError) as error:
        x.sum().backward()
    assert message(error) == f"a hook must return a gradient of shape (2,) or None, got {came}"


def test_a_rule_that_gives_a_wrong_shape() -> None:
    @ta.autograd.op
    def halves(be: Any, x: Any) -> Any:
        return x[::2]

    @halves.vjp
    def _(g: Any) -> Any:
        return g

    with pytest.raises(ShapeError) as error:
        halves(leaf(ta, 1.0, 2.0, 3.0, 4.0)).sum().backward()
    assert message(error) == (
        "the rule of halves gave a gradient of shape (2,) for an input of shape (4,)"
    )


def test_signatures_are_pytorchs() -> None:
    for name in ("grad", "backward"):
        theirs = dict(signature(getattr(torch.autograd, name)).parameters)
        theirs.pop("grad_variables", None)  # the old name of grad_tensors
        ours = signature(getattr(ta.autograd, name)).parameters
        assert list(ours) == list(theirs)
        assert [p.default for p in ours.values()] == [p.default for p in theirs.values()]


def test_namespace_has_pytorchs_names() -> None:
    outdated = {"Variable", "variable", "NestedIOFunction", "grad_mode"}
    about_its_engine = {"set_multithreading_enabled", "enforce_grad_layout_policy"}
    public = set(torch.autograd.__all__) - outdated - about_its_engine
    assert public - set(dir(ta.autograd)) == set()
    assert {"functional", "graph", "op"} <= set(dir(ta.autograd))
