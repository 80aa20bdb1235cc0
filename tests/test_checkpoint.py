"""Activation checkpointing: same numbers, less memory, PyTorch's calls."""

from __future__ import annotations

import gc
import importlib
import re
import weakref
from typing import Any

import numpy as np
import pytest

import tinygrad_ai as ta
from tests.twins import same
from tinygrad_ai.errors import GradError, GraphFreedError, InplaceError
from tinygrad_ai.utils.checkpoint import checkpoint, checkpoint_sequential


def leaf(T: Any, *values: float) -> Any:
    return T.tensor(values, dtype=T.float64, requires_grad=True)


def theirs(T: Any) -> Any:
    return importlib.import_module(f"{T.__name__}.utils.checkpoint")


def block(w: Any, x: Any) -> Any:
    h = (w * x).tanh()
    return h * h.exp() + x


def test_value_and_gradients_are_pytorchs() -> None:
    def program(T: Any) -> Any:
        w, x = leaf(T, 0.5, -1.0), leaf(T, 1.0, 2.0)
        h = theirs(T).checkpoint(block, w, x * 2, use_reentrant=False)
        y = theirs(T).checkpoint(block, w, h, use_reentrant=False)
        (y * y).sum().backward()
        return y, w.grad, x.grad

    same(program)


@pytest.mark.parametrize("create_graph", [False, True])
def test_same_as_without(create_graph: bool) -> None:
    def gradients(run: Any) -> Any:
        w, x = leaf(ta, 0.5, -1.0), leaf(ta, 1.0, 2.0)
        y = run(block, w, x) * x
        found = ta.grad(y.sum(), (w, x), create_graph=create_graph)
        if create_graph:
            found += ta.grad((found[0] * found[1]).sum(), (w, x))
        return [f.detach().numpy() for f in found]

    plain = gradients(lambda f, *a: f(*a))
    np.testing.assert_allclose(gradients(checkpoint), plain, rtol=1e-14)


def test_parameters_in_closures_and_only_what_was_asked_for() -> None:
    w, x = leaf(ta, 0.5, -1.0), leaf(ta, 1.0, 2.0)
    y = checkpoint(lambda x: block(w, x), x).sum()
    assert ta.grad(y, w)[0].tolist() == ta.grad(block(w, x).sum(), w)[0].tolist()
    checkpoint(lambda: block(w, x)).sum().backward()
    plain = ta.grad(block(w, x).sum(), (w, x))
    assert [w.grad.tolist(), x.grad.tolist()] == [g.tolist() for g in plain]


def test_activations_are_not_kept_and_come_back_for_backward() -> None:
    dead: list[Any] = []

    def remembered(x: Any) -> Any:
        h = x.exp()
        dead.append(weakref.ref(h.array))
        return (h * h).tanh() * h

    gc.collect()
    gc.disable()
    try:
        x = leaf(ta, 0.1, -0.2)
        y = checkpoint(remembered, x)
        assert [d() for d in dead] == [None]
        kept = remembered(x)
        assert dead[1]() is not None
        (y + 0 * kept).sum().backward()
        assert len(dead) == 3 and [d() for d in dead] == [None] * 3
        node = weakref.ref(y.node)
        del y, kept
        assert node() is None
    finally:
        gc.enable()


def test_the_function_runs_once_more_for_each_pass() -> None:
    runs = []

    def counted(x: Any) -> Any:
        runs.append(1)
        return (x.exp() * x).tanh()

    x = leaf(ta, 0.1, -0.2)
    y = checkpoint(counted, x).sum()
    first = ta.grad(y, x, retain_graph=True)[0].tolist()
    second = ta.grad(y, x)[0].tolist()
    assert first == second and len(runs) == 3
    with ta.no_grad():
        checkpoint(counted, x)
    checkpoint(counted, x.detach()).sum()
    assert len(runs) == 5


def test_backward_twice() -> None:
    y = checkpoint(ta.exp, leaf(ta, 1.0))
    y.backward()
    with pytest.raises(GraphFreedError, match="backward through exp a second time"):
        y.backward()


def test_dropout_draws_the_same_and_the_stream_goes_on() -> None:
    def noisy(x: Any) -> Any:
        return (x * ta.rand(1000, dtype=ta.float64)).tanh() * ta.rand(1000, dtype=ta.float64)

    def gradients(run: Any) -> Any:
        ta.manual_seed(3)
        x = ta.ones(1000, dtype=ta.float64, requires_grad=True)
        y = run(noisy, x)
        between = ta.rand(3).tolist()
        y.sum().backward()
        return y.tolist(), x.grad.tolist(), between, ta.rand(3).tolist()

    assert gradients(checkpoint) == gradients(lambda f, x: f(x))
    other = gradients(lambda f, x: checkpoint(f, x, preserve_rng_state=False))
    assert other[1] != gradients(checkpoint)[1]


def test_nested() -> None:
    w, x = leaf(ta, 0.5, -1.0), leaf(ta, 1.0, 2.0)
    runs = []

    def inner(h: Any) -> Any:
        runs.append(1)
        return block(w, h)

    def outer(h: Any) -> Any:
        return checkpoint(inner, checkpoint(inner, h.tanh())) * h

    plain = ta.grad((block(w, block(w, x.tanh())) * x).sum(), (w, x))
    y = checkpoint(outer, x).sum()
    runs.clear()
    found = ta.grad(y, (w, x))
    np.testing.assert_allclose(found[0].numpy(), plain[0].numpy(), rtol=1e-14)
    np.testing.assert_allclose(found[1].numpy(), plain[1].numpy(), rtol=1e-14)
    assert len(runs) == 4  # each once for the outer stretch, and once for itself


def test_keywords_and_structures_and_results_that_are_no_tensors() -> None:
    def program(T: Any) -> Any:
        def function(pair: Any, *, scale: float, name: str) -> Any:
            a, b = pair
            return {"y": [(a * b).tanh() * scale], "z": a.exp()}, name, None

        a, b = leaf(T, 1.0, 2.0), leaf(T, 3.0, 4.0)
        found, name, nothing = theirs(T).checkpoint(
            function, (a, b), scale=2.0, name="both", use_reentrant=False
        )
        (found["y"][0] * found["z"]).sum().backward()
        return found["y"][0], name, nothing, a.grad, b.grad

    same(program)


def test_ops_with_several_outputs_masks_and_functions() -> None:
    class Twice(ta.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return 2 * x, x * x

        @staticmethod
        def backward(ctx: Any, g: Any, h: Any) -> Any:
            return 2 * g + 2 * h * ctx.saved_tensors[0]

    def function(x: Any) -> Any:
        double, square = Twice.apply(x)
        picked = ta.where(double > 0, double * square, square)
        return picked.max(dim=0).values + picked.sum()

    x = leaf(ta, 1.0, -2.0, 0.5)
    plain = ta.grad(function(x), x)[0].tolist()
    assert ta.grad(checkpoint(function, x), x)[0].tolist() == plain


def test_hooks_inside_run_once() -> None:
    seen = []

    def function(x: Any) -> Any:
        h = x * 2
        h.register_hook(lambda g: seen.append(g.tolist()))
        return h.tanh()

    checkpoint(function, leaf(ta, 0.0)).backward()
    assert seen == [[1.0]]


def test_contexts_for_the_two_runs() -> None:
    from contextlib import contextmanager

    entered = []

    @contextmanager
    def noted(name: str) -> Any:
        entered.append(name)
        yield

    y = checkpoint(
        ta.exp,
        leaf(ta, 1.0),
        use_reentrant=False,
        context_fn=lambda: (noted("first"), noted("second")),
        determinism_check="default",
        debug=False,
        early_stop=True,
    )
    assert entered == ["first"]
    y.backward()
    assert entered == ["first", "second"]


def test_sequential() -> None:
    def program(T: Any) -> Any:
        w, x = leaf(T, 0.5, -1.0), leaf(T, 1.0, 2.0)
        steps = [lambda h: block(w, h), T.tanh, lambda h: h * w, T.exp, lambda h: h + x]
        y = theirs(T).checkpoint_sequential(steps, 2, x, use_reentrant=False)
        y.sum().backward()
        return y, w.grad, x.grad

    same(program)
    modules = ta.nn.Sequential(ta.nn.Linear(2, 3), ta.nn.ReLU(), ta.nn.Linear(3, 1))
    x = ta.ones(4, 2, requires_grad=True)
    assert checkpoint_sequential(modules, 3, x).tolist() == modules(x).tolist()


def test_a_function_that_changes_its_mind_is_an_error() -> None:
    calls: list[int] = []

    def moody(x: Any) -> Any:
        calls.append(1)
        return x.exp() * 2 if len(calls) == 1 else x.tanh().tanh()

    y = checkpoint(moody, leaf(ta, 1.0))
    with pytest.raises(GradError) as error:
        y.backward()
    assert str(error.value) == (
        "checkpoint: the function computed something else when it ran again\n"
        "  in forward  <exp (1,)> <mul (1,)>\n"
        "  in backward <tanh (1,)> <tanh (1,)>\n"
        "  fix: it must not depend on anything that changes between the two"
    )
    calls.clear()
    checkpoint(moody, leaf(ta, 1.0), determinism_check="none").backward()


@pytest.mark.parametrize("changed", ["argument", "closure"])
def test_inputs_changed_before_backward_are_an_error(changed: str) -> None:
    w, x = leaf(ta, 0.5, -1.0), leaf(ta, 1.0, 2.0)
    h = x * 1
    y = checkpoint(lambda h: block(w, h), h)
    with ta.no_grad():
        (h if changed == "argument" else w).mul_(2.0)
    with pytest.raises(InplaceError) as error:
        y.sum().backward()
    text = re.sub(r"/\S*?(\w+\.py):\d+", r"\1:N", str(error.value))
    assert text == (
        "checkpoint: a buffer of shape (2,) that the function starts from was changed before "
        "backward ran it again\n"
        "  changed at test_checkpoint.py:N\n"
        "  fix: call backward first, or give the function a clone"
    )


def test_changes_in_place_inside_are_allowed() -> None:
    def function(x: Any) -> Any:
        h = x * 2
        h += 1.0
        return h * h

    x = leaf(ta, 1.0, 2.0)
    checkpoint(function, x).sum().backward()
    assert x.grad.tolist() == [12.0, 20.0]
