"""Functions with a rule of the user's own: the same classes run in PyTorch."""

from __future__ import annotations

import gc
import re
import weakref
from typing import Any

import pytest

import tinygrad_ai as ta
from tests.twins import same
from tinygrad_ai.autograd import Function, gradcheck, gradgradcheck, op
from tinygrad_ai.autograd.function import once_differentiable
from tinygrad_ai.errors import GradError, GraphFreedError, InplaceError


def leaf(T: Any, *values: float) -> Any:
    return T.tensor(values, dtype=T.float64, requires_grad=True)


def cube(T: Any) -> Any:
    class Cube(T.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * x * x

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            (x,) = ctx.saved_tensors
            return 3 * g * x * x

    return Cube


def test_value_and_gradients_of_three_orders() -> None:
    def program(T: Any) -> Any:
        x = leaf(T, 1.5, -2.0)
        y = cube(T).apply(x)
        found = [y]
        for _ in range(3):
            (y,) = T.autograd.grad(y.sum(), x, create_graph=True)
            found.append(y)
        return found

    same(program)


def test_output_saved_and_used_in_second_derivative() -> None:
    def program(T: Any) -> Any:
        class Exp(T.autograd.Function):
            @staticmethod
            def forward(ctx: Any, x: Any) -> Any:
                y = x.exp()
                ctx.save_for_backward(y)
                return y

            @staticmethod
            def backward(ctx: Any, g: Any) -> Any:
                return g * ctx.saved_tensors[0]

        x = leaf(T, 0.3, -1.0)
        (g,) = T.autograd.grad(Exp.apply(x).sum(), x, create_graph=True)
        (h,) = T.autograd.grad((g * g).sum(), x)
        return g, h

    same(program)


def test_several_inputs_outputs_and_arguments_that_are_no_tensors() -> None:
    def program(T: Any) -> Any:
        class Both(T.autograd.Function):
            @staticmethod
            def forward(ctx: Any, a: Any, scale: float, b: Any, name: str) -> Any:
                ctx.save_for_backward(a, b)
                ctx.scale = scale
                return a * b * scale, name, a + b

            @staticmethod
            def backward(ctx: Any, g: Any, nothing: Any, h: Any) -> Any:
                assert nothing is None
                a, b = ctx.saved_tensors
                return g * b * ctx.scale + h, None, g * a * ctx.scale + h, None

        a, b = leaf(T, 1.0, 2.0), leaf(T, 3.0, 5.0)
        product, name, total = Both.apply(a, 2.0, b, "both")
        (product * total + product).sum().backward()
        return product, name, total, a.grad, b.grad

    same(program)


def test_second_derivative_through_a_saved_output_of_several() -> None:
    def program(T: Any) -> Any:
        class Pair(T.autograd.Function):
            @staticmethod
            def forward(ctx: Any, x: Any) -> Any:
                first, second = x.exp(), x * 2
                ctx.save_for_backward(x, first, second)
                return first, second

            @staticmethod
            def backward(ctx: Any, g: Any, h: Any) -> Any:
                x, first, second = ctx.saved_tensors
                return g * first + h * second / x

        x = leaf(T, 0.5, 2.0)
        first, second = Pair.apply(x)
        (g,) = T.autograd.grad((first * second).sum(), x, create_graph=True)
        (h,) = T.autograd.grad((g * g).sum(), x)
        return g, h

    same(program)


@pytest.mark.parametrize("materialize", [True, False])
def test_an_unused_output_gives_zeros_or_none(materialize: bool) -> None:
    seen: list[Any] = []

    def program(T: Any) -> Any:
        class Two(T.autograd.Function):
            @staticmethod
            def forward(ctx: Any, x: Any) -> Any:
                ctx.set_materialize_grads(materialize)
                return x * 2, x * 3

            @staticmethod
            def backward(ctx: Any, g: Any, h: Any) -> Any:
                seen.append(None if h is None else h.tolist())
                return 2 * g

        x = leaf(T, 1.0, 2.0)
        Two.apply(x)[0].sum().backward()
        return x.grad

    same(program)
    assert seen == ([[0.0, 0.0]] if materialize else [None]) * 2


def test_setup_context_with_default_arguments() -> None:
    def program(T: Any) -> Any:
        class Scale(T.autograd.Function):
            @staticmethod
            def forward(x: Any, by: float = 3.0) -> Any:
                return x * by

            @staticmethod
            def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
                _, ctx.by = inputs
                ctx.save_for_backward(output)

            @staticmethod
            def backward(ctx: Any, g: Any) -> Any:
                return g * ctx.by + 0 * ctx.saved_tensors[0], None

        x = leaf(T, 1.0, 2.0)
        (Scale.apply(x) + Scale.apply(x, by=5.0)).sum().backward()
        return x.grad

    same(program)


def test_needs_input_grad_says_what_is_asked_for() -> None:
    seen: list[Any] = []

    def program(T: Any) -> Any:
        class Mul(T.autograd.Function):
            @staticmethod
            def forward(ctx: Any, a: Any, b: Any, c: float) -> Any:
                seen.append(ctx.needs_input_grad)
                ctx.save_for_backward(a, b)
                return a * b

            @staticmethod
            def backward(ctx: Any, g: Any) -> Any:
                seen.append(ctx.needs_input_grad)
                a, b = ctx.saved_tensors
                return g * b, g * a, None

        a, b = leaf(T, 2.0), leaf(T, 3.0)
        found = [Mul.apply(a, b.detach(), 1.0).backward(), a.grad]
        return found + list(T.autograd.grad(Mul.apply(a, b, 1.0), b))

    same(program)
    assert (
        seen[:3] == seen[4:7] == [(True, False, False), (True, False, False), (True, True, False)]
    )
    assert seen[3] == (False, True, False), "only b's gradient is asked for; PyTorch does not tell"


def test_non_differentiable_and_integer_outputs() -> None:
    def program(T: Any) -> Any:
        class Largest(T.autograd.Function):
            @staticmethod
            def forward(ctx: Any, x: Any) -> Any:
                value, index = T.max(x, 0)
                mask = x * 0 + 1
                ctx.mark_non_differentiable(index, mask)
                ctx.save_for_backward(index, mask)
                return value, index, mask

            @staticmethod
            def backward(ctx: Any, g: Any, *rest: Any) -> Any:
                index, mask = ctx.saved_tensors
                return (T.arange(3) == index) * g * mask

        x = leaf(T, 3.0, 7.0, 2.0)
        value, index, mask = Largest.apply(x)
        (value * value * mask).sum().backward()
        return value, index, mask, x.grad

    same(program)


def test_an_input_returned_as_it_is_gets_this_history() -> None:
    def program(T: Any) -> Any:
        class Reverse(T.autograd.Function):
            @staticmethod
            def forward(ctx: Any, x: Any) -> Any:
                return x

            @staticmethod
            def backward(ctx: Any, g: Any) -> Any:
                return -g

        x = leaf(T, 1.0, 2.0)
        y = Reverse.apply(x)
        assert y is not x
        (y * 3).sum().backward()
        with T.no_grad():
            assert not Reverse.apply(x).requires_grad
        return y, x.grad

    same(program)


def test_gradient_is_brought_to_shape_and_dtype_of_the_input() -> None:
    def program(T: Any) -> Any:
        class AddTo(T.autograd.Function):
            @staticmethod
            def forward(ctx: Any, x: Any, y: Any) -> Any:
                return x.double() + y

            @staticmethod
            def backward(ctx: Any, g: Any) -> Any:
                return g, g

        x = T.tensor([1.0], dtype=T.float32, requires_grad=True)
        y = leaf(T, 1.0, 2.0, 3.0)
        (AddTo.apply(x, y) * y).sum().backward()
        return x.grad, y.grad

    same(program)


def test_gradcheck_of_both_orders() -> None:
    x = leaf(ta, 0.5, -1.5)
    assert gradcheck(cube(ta).apply, x)
    assert gradgradcheck(cube(ta).apply, x)


def test_no_history_without_need() -> None:
    Cube = cube(ta)
    x = leaf(ta, 1.0)
    assert not Cube.apply(x.detach()).requires_grad
    with ta.no_grad():
        assert not Cube.apply(x).requires_grad
    assert Cube.apply(x).grad_fn.name() == "Cube"


def test_saved_tensors_are_freed_and_say_so() -> None:
    x = leaf(ta, 1.0)
    y = cube(ta).apply(x)
    y.backward()
    with pytest.raises(
        GraphFreedError, match=r"through Cube a second time.*\n  made at .*\.py:\d+"
    ):
        y.backward()
    y = cube(ta).apply(x)
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [9.0]


def test_change_of_a_saved_tensor_in_place_is_an_error() -> None:
    x = leaf(ta, 1.0, 2.0)
    h = x * 1
    y = cube(ta).apply(h)
    with ta.no_grad():
        h.mul_(2.0)
    with pytest.raises(InplaceError) as caught:
        y.sum().backward()
    text = re.sub(r"/\S*?(\w+\.py):\d+", r"\1:N", str(caught.value))
    assert text == (
        "the buffer saved by Cube (saved tensor 0, shape (2,), float64) was changed after the "
        "forward pass\n"
        "  saved   at test_function.py:N\n"
        "  changed at test_function.py:N\n"
        "  fix: write x = x + 1 instead of x += 1, or change x.clone()"
    )


def test_a_gradient_of_the_user_is_never_taken_over() -> None:
    """What backward returns may be any tensor of the user's: .grad must be a copy of it."""
    mine = ta.ones(2, dtype=ta.float64)

    class Constant(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * 1

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return mine

    x = leaf(ta, 1.0, 2.0)
    for _ in range(3):
        Constant.apply(x).sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]
    assert mine.tolist() == [1.0, 1.0]


def test_once_differentiable() -> None:
    class Once(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @once_differentiable
        def backward(ctx: Any, g: Any) -> Any:
            (x,) = ctx.saved_tensors
            assert not (g * x).requires_grad
            return 2 * g * x

    x = leaf(ta, 3.0)
    Once.apply(x).backward()
    assert x.grad.tolist() == [6.0]
    (g,) = ta.grad(Once.apply(x), x, create_graph=True)
    assert g.tolist() == [6.0]
    with pytest.raises(GradError, match="the backward of Once is marked once_differentiable"):
        ta.grad(g, x)


def test_no_cycles_keep_memory() -> None:
    """With the garbage collector off, dropping the result frees what was saved."""

    class Two(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            a, b = x * 2, x * 3
            ctx.save_for_backward(x, a, b)
            return a, b

        @staticmethod
        def backward(ctx: Any, g: Any, h: Any) -> Any:
            x, a, b = ctx.saved_tensors
            return g * b + h * a

    gc.collect()
    gc.disable()
    try:
        x = leaf(ta, 1.0)
        a, b = Two.apply(x)
        dead = weakref.ref(a.array)
        loss = (a * b).sum()
        loss.backward(retain_graph=True)
        del a, b, loss
        assert dead() is None
    finally:
        gc.enable()


class Wrong(Function):
    returns: Any = None

    @staticmethod
    def forward(ctx: Any, a: Any, b: Any) -> Any:
        return a * b

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return Wrong.returns


@pytest.mark.parametrize(
    "returns, message",
    [
        (
            (None,),
            "Wrong.backward gave 1 gradients for 2 inputs\n"
            "  fix: return one for each argument of forward, None for those that are no tensors",
        ),
        ((None, None, 1.0), "Wrong.backward gave 3 gradients for 2 inputs"),
        ((2.0, None), "Wrong.backward must return tensors or None, got float for input 0"),
    ],
)
def test_wrong_results_of_backward(returns: Any, message: str) -> None:
    Wrong.returns = returns
    with pytest.raises(GradError) as caught:
        Wrong.apply(leaf(ta, 1.0), leaf(ta, 1.0)).backward()
    assert str(caught.value).startswith(message)


def test_wrong_shape_of_a_gradient() -> None:
    Wrong.returns = (ta.ones(3), None)
    with pytest.raises(RuntimeError, match=r"the rule of Wrong gave a gradient of shape \(3,\)"):
        Wrong.apply(leaf(ta, 1.0, 2.0), leaf(ta, 1.0)).sum().backward()


def test_mistakes_at_definition() -> None:
    with pytest.raises(TypeError, match="Bad.forward must be a @staticmethod"):

        class Bad(Function):
            def forward(ctx: Any, x: Any) -> Any:  # type: ignore[override,misc]
                return x

    class Forgetful(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(3)

    with pytest.raises(TypeError, match="save_for_backward takes tensors and None, got int"):
        Forgetful.apply(leaf(ta, 1.0))

    class NoRule(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

    with pytest.raises(NotImplementedError, match="needs a static method backward"):
        NoRule.apply(leaf(ta, 1.0)).backward()


def test_mark_dirty_is_refused() -> None:
    class InPlace(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.mark_dirty(x)
            return x

    with pytest.raises(GradError, match="cannot change its inputs in place"):
        InPlace.apply(leaf(ta, 1.0))


# ---- the two-function form


def test_op_form() -> None:
    @op
    def bent(be: Any, x: Any, *, beta: float = 1.0) -> Any:
        """y = log(1 + e^(b x)) / b;   gx = g / (1 + e^(-b x))"""
        return be.log1p(be.exp(beta * x)) / beta

    @bent.vjp
    def _(g: Any, x: Any, *, beta: float) -> Any:
        return g / (1 + ta.exp(-beta * x))

    x = leaf(ta, 0.5, -1.0)
    assert gradcheck(lambda x: bent(x, beta=2.0), x)
    assert gradgradcheck(bent, x)


@pytest.mark.parametrize("wrong", ["z", "x_size", "scale"])
def test_op_rule_with_an_unknown_parameter_fails_at_definition(wrong: str) -> None:
    @op
    def double(be: Any, x: Any) -> Any:
        return x + x

    rules = {
        "z": lambda g, z: g,
        "x_size": lambda g, x, x_size: g,
        "scale": lambda g, *, scale: g * scale,
    }
    expected = f"the rule of op double asks for '{wrong}', which it does not have"
    with pytest.raises(TypeError, match=re.escape(expected)):
        double.vjp(rules[wrong])
