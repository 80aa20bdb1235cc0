"""Jacobians, Hessians and their products, beside PyTorch's."""

from __future__ import annotations

from typing import Any

import pytest

import tinygrad_ai as ta
from tests.twins import same
from tinygrad_ai.autograd import functional as F
from tinygrad_ai.errors import ArgumentError, GradError, ShapeError


def values(T: Any, *shape: int) -> Any:
    n = 1
    for s in shape:
        n *= s
    return ((T.arange(n, dtype=T.float64) * 0.37).sin() + 0.1).reshape(shape)


def several(x: Any, y: Any) -> Any:
    return (x * y).exp().sum(0), x.sum() * y, x


def number(x: Any, y: Any) -> Any:
    return ((x * x * y).tanh() + y.exp() * x).sum()


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("single", [False, True])
def test_jacobian(create_graph: bool, single: bool) -> None:
    def program(T: Any) -> Any:
        x, y = values(T, 2, 3).requires_grad_(), values(T, 3)
        f = T.autograd.functional
        if single:
            return f.jacobian(lambda x: (x * x).sum(1).exp(), x, create_graph=create_graph)
        return f.jacobian(several, (x, y), create_graph=create_graph)

    same(program)


@pytest.mark.parametrize("options", [{}, {"vectorize": True}, {"strategy": "reverse-mode"}])
def test_jacobian_options_change_nothing(options: Any) -> None:
    same(lambda T: T.autograd.functional.jacobian(several, (values(T, 3), values(T, 3)), **options))


def test_jacobian_strategy_forward_is_the_same_numbers() -> None:
    x = values(ta, 3)
    forward = F.jacobian(lambda x: x.exp() * x.sum(), x, vectorize=True, strategy="forward-mode")
    assert forward.tolist() == F.jacobian(lambda x: x.exp() * x.sum(), x).tolist()
    with pytest.raises(ArgumentError, match="expected 'reverse-mode' or 'forward-mode', got 'up'"):
        F.jacobian(ta.exp, x, strategy="up")


def test_jacobian_can_be_differentiated() -> None:
    def program(T: Any) -> Any:
        x = values(T, 3).requires_grad_()
        jac = T.autograd.functional.jacobian(lambda x: x.exp() * x.sum(), x, create_graph=True)
        (g,) = T.autograd.grad((jac * jac).sum(), x)
        return jac, g

    same(program)


def test_jacobian_of_empty_and_0d() -> None:
    def program(T: Any) -> Any:
        x = T.tensor(2.0, dtype=T.float64)
        return T.autograd.functional.jacobian(lambda x: x * x, x)

    same(program)
    assert F.jacobian(lambda x: x * 3, ta.zeros(2, 0)).shape == (2, 0, 2, 0)


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("single", [False, True])
def test_hessian(create_graph: bool, single: bool) -> None:
    def program(T: Any) -> Any:
        x, y = values(T, 2, 3).requires_grad_(), values(T, 3)
        f = T.autograd.functional
        if single:
            return f.hessian(lambda x: (x.exp() * x).sum(), x, create_graph=create_graph)
        return f.hessian(number, (x, y), create_graph=create_graph)

    same(program)


def test_hessian_of_a_function_of_one_number_kept_as_a_vector() -> None:
    same(lambda T: T.autograd.functional.hessian(lambda x: (x**3).sum(0, True), values(T, 2)))


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("name", ["vjp", "jvp"])
def test_products_with_the_jacobian(name: str, create_graph: bool) -> None:
    def program(T: Any) -> Any:
        x, y = values(T, 2, 3).requires_grad_(), values(T, 3) + 1
        v = several(x, y) if name == "vjp" else (x * 2, y.cos())
        v = tuple(t.detach() for t in v)
        product = getattr(T.autograd.functional, name)
        return product(several, (x, y), v, create_graph=create_graph)

    same(program)


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("name", ["vhp", "hvp"])
def test_products_with_the_hessian(name: str, create_graph: bool) -> None:
    def program(T: Any) -> Any:
        x, y = values(T, 3).requires_grad_(), values(T, 3) + 1
        product = getattr(T.autograd.functional, name)
        return product(number, (x, y), (x.detach() * 2, y.cos()), create_graph=create_graph)

    same(program)


@pytest.mark.parametrize("name", ["vjp", "jvp", "vhp", "hvp"])
def test_v_may_be_left_out_for_one_number(name: str) -> None:
    def program(T: Any) -> Any:
        return getattr(T.autograd.functional, name)(lambda x: x**3, values(T, 1))

    same(program)


@pytest.mark.parametrize("name", ["vjp", "jvp", "hvp"])
def test_products_can_be_differentiated(name: str) -> None:
    def program(T: Any) -> Any:
        x = values(T, 3).requires_grad_()
        v = (values(T, 3) + 1).requires_grad_()

        def f(x: Any) -> Any:
            return (x.exp() * x).sum() if name == "hvp" else x.exp() * x.sum()

        _, product = getattr(T.autograd.functional, name)(f, x, v, create_graph=True)
        return product, T.autograd.grad((product * product).sum(), (x, v))

    same(program)


def test_outputs_that_depend_on_nothing_give_zeros() -> None:
    def program(T: Any) -> Any:
        f, x, y = T.autograd.functional, values(T, 2), values(T, 3)
        constant = T.ones(2, dtype=T.float64)
        return (
            f.jacobian(lambda x, y: (constant, x * 2), (x, y)),
            f.vjp(lambda x, y: x * 2, (x, y), x),
            f.jvp(lambda x, y: (x * 2, constant), (x, y), (x, y)),
            f.hessian(lambda x: x.sum(), x),
        )

    same(program)


def test_inputs_are_not_touched() -> None:
    x = values(ta, 2).requires_grad_()
    (x * x).sum().backward()
    before = x.grad.tolist()
    F.jacobian(ta.exp, x, create_graph=True)
    F.hvp(lambda x: x.exp().sum(), x, x)
    assert x.grad.tolist() == before
    with ta.no_grad():  # they need recording, and switch it on for themselves
        assert F.jacobian(ta.exp, x).shape == (2, 2)


def test_the_function_may_reach_the_same_tensor_by_a_closure() -> None:
    """What is taken from outside is a constant of the function."""

    def program(T: Any) -> Any:
        x = values(T, 2).requires_grad_()
        return T.autograd.functional.jacobian(lambda z: z * x, x, create_graph=True)

    same(program)


STRICT = [
    ("jacobian", lambda x: ta.ones(2), "jacobian: output 0 does not depend on the inputs (strict)"),
    ("vjp", lambda x, y: x * 2, "vjp: the outputs do not depend on input 1 (strict)"),
    ("hessian", lambda x: x.sum(), "the derivative does not depend on input 0 (strict)"),
]


@pytest.mark.parametrize("name, function, text", STRICT)
def test_strict(name: str, function: Any, text: str) -> None:
    x = values(ta, 2)
    inputs = (x, x) if name == "vjp" else x
    more = {"v": x} if name == "vjp" else {}
    with pytest.raises(GradError) as error:
        getattr(F, name)(function, inputs, strict=True, **more)
    assert text in str(error.value)


@pytest.mark.parametrize(
    "call, error, text",
    [
        (
            lambda x: F.jacobian(ta.exp, [x]),
            TypeError,
            "jacobian: expected the inputs to be a tensor or a tuple of tensors, got list",
        ),
        (
            lambda x: F.vjp(lambda x: 3.0, x),
            TypeError,
            "vjp: expected the outputs of the function to be a tensor or a tuple of tensors",
        ),
        (lambda x: F.vjp(ta.exp, x), ArgumentError, "vjp: v may be left out only for a single"),
        (
            lambda x: F.jvp(ta.exp, x, ta.ones(3)),
            ShapeError,
            "jvp: expected v of shape (2,), got (3,)",
        ),
        (
            lambda x: F.vjp(lambda x: (x, x), x, x),
            ShapeError,
            "vjp: expected v of shape (2,) and (2,), got (2,)",
        ),
        (
            lambda x: F.hessian(ta.exp, x),
            ShapeError,
            "hessian: the function must return one number, got (2,)",
        ),
        (
            lambda x: F.hvp(lambda x: (x, x), x, x),
            ShapeError,
            "hvp: the function must return one number, got tuple",
        ),
    ],
)
def test_mistakes(call: Any, error: Any, text: str) -> None:
    with pytest.raises(error) as caught:
        call(values(ta, 2))
    assert str(caught.value).startswith(text)
