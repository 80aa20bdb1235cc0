"""The tape and the walk: depth, width, sharing, memory, threads."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import weakref
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import tinygrad_ai as ta
from tests.twins import same
from tinygrad_ai.autograd import graph, op
from tinygrad_ai.autograd.mode import state
from tinygrad_ai.autograd.op import REGISTRY


def leaf(values: Any, T: Any = ta) -> Any:
    return T.tensor(values, dtype=T.float64, requires_grad=True)


class Counting:
    """An observer that counts forwards and rules by the name of their op."""

    def __init__(self) -> None:
        self.forwards: Counter[str] = Counter()
        self.rules: Counter[str] = Counter()

    def forward(self, op: Any, run: Any, args: Any, attrs: Any) -> Any:
        self.forwards[op.name] += 1
        return run(args, attrs)

    def backward(self, pull: Any, node: Any, *args: Any) -> Any:
        self.rules[node.name()] += 1
        return pull(node, *args)


@contextmanager
def counted() -> Iterator[Counting]:
    counter = Counting()
    before, state.observers = state.observers, (*state.observers, counter)
    try:
        yield counter
    finally:
        state.observers = before


@contextmanager
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


# ---- depth


def test_a_chain_of_100_000_ops() -> None:
    x = leaf(2.0)
    y = x
    for _ in range(100_000):
        y = y + 1.0
    y.backward()
    assert x.grad.item() == 1.0
    assert len(graph.history(y)) == 100_001


def test_a_deep_chain_is_freed_without_recursion() -> None:
    """In a process of its own with a small stack: overflowing it would be a crash, no error."""
    program = """
import threading, gc
import tinygrad_ai as ta

def build(create_graph):
    x = ta.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(100_000):
        y = y * 1.0
    if create_graph:
        (y,) = ta.grad(y, x, create_graph=True)
    del x
    return y

def run():
    y = build(False)
    del y
    y = build(True)
    del y
    y = build(False)
    y.backward()
    del y
    gc.collect()
    print("alive")

threading.stack_size(1024 * 1024)  # the smallest default of the systems CPython runs on
t = threading.Thread(target=run)
t.start()
t.join()
"""
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (0, "alive\n"), found.stderr


def test_create_graph_over_a_deep_chain() -> None:
    x = leaf(1.0)
    y = x
    for _ in range(5_000):
        y = y * 1.001
    y = y * y
    (g,) = ta.grad(y, x, create_graph=True)
    (h,) = ta.grad(g, x)
    assert h.item() == pytest.approx(2 * 1.001**10_000, rel=1e-9)


# ---- sharing


def test_a_diamond() -> None:
    x = leaf(2.0)
    h = x * 3.0
    a, b = h * 2.0, h + h * 4.0
    (a + b).backward()
    assert x.grad.item() == 21.0


def test_a_diamond_visits_every_node_once() -> None:
    x = leaf(2.0)
    h = x.exp()
    for _ in range(30):  # walked path by path this would be 2^30 visits
        h = h * 0.5 + h * 0.5
    with counted() as counter:
        h.backward()
    assert counter.rules == {"exp": 1, "mul": 60, "add": 30}
    assert x.grad.item() == pytest.approx(np.exp(2.0), rel=1e-12)


def test_the_same_tensor_twice_in_one_op() -> None:
    x = leaf([1.0, 2.0])
    (x * x + x / x + (x - x) + x**x).sum().backward()
    expected = 2 * np.array([1.0, 2.0]) + np.array([1.0, 4.0 * (np.log(2) + 1)])
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-12)


def test_5_000_uses_take_linear_work() -> None:
    """Rules and additions are counted, in an ordinary pass and in a recorded one."""
    for create_graph in (False, True):
        x = leaf([1.0, 2.0])
        total = x * 0.0
        for i in range(5_000):
            total = total + x * float(i)
        with counted() as counter:
            (g,) = ta.grad(total.sum(), x, create_graph=create_graph)
        assert sum(counter.rules.values()) == 10_002
        assert sum(counter.forwards.values()) <= 21_000
        assert g.tolist() == [sum(range(5_000))] * 2


def test_memory_of_wide_fan_in_is_not_copied_for_every_use() -> None:
    """After the first sum the walk adds in place: the gradient keeps its array."""
    x = leaf(np.ones(1000))
    seen = []
    for _ in range(4):
        y = sum((x * 2.0 for _ in range(50)), x * 0.0)
        y.sum().backward()
        seen.append(x.grad.array)
    assert all(a is seen[0] for a in seen)


# ---- a graph used again


def test_second_backward_over_a_retained_graph_gives_the_same() -> None:
    x = leaf([0.5, -1.5])
    h = (x * 2).tanh()
    y = (h * h + h.exp() * h).sum()
    first = ta.grad(y, x, retain_graph=True)[0].tolist()
    second = ta.grad(y, x, retain_graph=True)[0].tolist()
    y.backward(retain_graph=True)
    assert first == second == x.grad.tolist()
    y.backward()
    assert x.grad.tolist() == [2 * g for g in first]


def test_a_pass_frees_only_what_it_walked() -> None:
    def program(T: Any) -> Any:
        x = leaf([0.5, -1.5], T)
        h = x.exp()
        loss = (h * h).sum()
        (gh,) = T.autograd.grad(loss, h)
        h.backward(gh)  # h's own rule was not run by the first pass
        return gh, x.grad

    same(program)


def test_ops_that_save_nothing_can_be_walked_twice() -> None:
    x = leaf([1.0, 2.0])
    y = (x + x).sum()
    y.backward()
    y.backward()
    assert x.grad.tolist() == [4.0, 4.0]


# ---- only what was asked for


def test_rules_of_branches_nobody_asked_for_do_not_run() -> None:
    a, b = leaf([1.0]), leaf([2.0])
    y = (a.exp() * b.tanh()).sum()
    with counted() as counter:
        ta.grad(y, a)
    assert counter.rules == {"sum": 1, "mul": 1, "exp": 1}


def test_rules_below_an_intermediate_target_do_not_run() -> None:
    a = leaf([1.0])
    h = a.exp()
    y = (h.tanh() * 2.0).sum()
    with counted() as counter:
        ta.grad(y, h)
    assert counter.rules == {"sum": 1, "mul": 1, "tanh": 1}


def test_needs_tells_a_rule_what_to_compute() -> None:
    asked = []

    @op
    def product_of_three(be: Any, a: Any, b: Any, c: Any) -> Any:
        return a * b * c

    @product_of_three.vjp
    def _(g: Any, a: Any, b: Any, c: Any, needs: Any) -> Any:
        asked.append([bool(n) for n in needs])
        return g * b * c, g * a * c, g * a * b

    a, b, c = leaf([1.0]), leaf([2.0]), leaf([3.0])
    product_of_three(a, b.detach(), c).backward()
    ta.grad(product_of_three(a, b, c), [c, a])
    ta.grad(product_of_three(a, b, 3.0), b)
    assert asked == [[True, False, True], [True, False, True], [False, True, False]]


# ---- several outputs


@op
def parts(be: Any, x: Any) -> Any:
    """y = (2x, number of elements, 3x)"""
    return 2 * x, be.asarray(x.size), 3 * x


@parts.vjp
def _(g: Any, x_shape: Any) -> Any:
    first, count, second = g
    assert count is None
    terms = [f * s for f, s in ((2, first), (3, second)) if s is not None]
    return terms[0] if len(terms) == 1 else terms[0] + terms[1]


def test_one_of_several_outputs() -> None:
    x = leaf([1.0, 2.0])
    first, count, second = parts(x)
    assert count.item() == 2 and not count.requires_grad
    assert ta.grad(second.sum(), x, retain_graph=True)[0].tolist() == [3.0, 3.0]
    assert ta.grad(first.sum(), x, retain_graph=True)[0].tolist() == [2.0, 2.0]
    assert ta.grad((first + second * first).sum(), x)[0].tolist() == [2 + 12.0, 2 + 24.0]


def test_several_outputs_are_walked_once_and_by_second_order() -> None:
    x = leaf([1.0, 2.0])
    first, _, second = parts(x)
    with counted() as counter:
        (g,) = ta.grad((first * first * second + first).sum(), x, create_graph=True)
    assert counter.rules["parts"] == 1
    (h,) = ta.grad(g.sum(), x)
    assert g.tolist() == [36.0 + 2, 144.0 + 2] and h.tolist() == [72.0, 144.0]


# ---- whose memory is it


@op
def passes(be: Any, x: Any) -> Any:
    """y = (x, x); the rule hands on what it was given"""
    return x + 0, x + 0


@passes.vjp
def _(g: Any) -> Any:
    return g[0]


def passed(x: Any) -> Any:
    return passes(x)[0]


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize(
    "function",
    [
        lambda a, b: a + b,
        lambda a, b: a - b,
        lambda a, b: a * b,
        lambda a, b: a * b.exp() + a,
        lambda a, b: ta.where(ta.tensor([True, False]), a, b),
        lambda a, b: a.reshape(1, 2) + b.reshape(2, 1).T,
        lambda a, b: ta.stack([a, b, a]),
        lambda a, b: passed(a) + passed(b),
        lambda a, b: a.tanh() + b.tanh() * 1.0,
    ],
)
def test_gradients_share_memory_with_nothing(function: Any, create_graph: bool) -> None:
    """Writing into one gradient changes no other, no input, no seed, and no saved buffer."""
    a, b = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    y = function(a, b)
    seed = ta.ones_like(y)
    y.backward(seed, retain_graph=True, create_graph=create_graph)
    kept = {"a.grad": a.grad, "b.grad": b.grad, "a": a, "b": b, "seed": seed, "y": y}
    saved = [s for n in graph.history(y) for s in n.saved or () if isinstance(s, np.ndarray)]
    for name in ("a.grad", "b.grad"):
        others = [t.array for other, t in kept.items() if other != name] + saved
        assert not any(np.shares_memory(kept[name].array, other) for other in others)


def test_accumulating_does_not_write_into_the_users_seed() -> None:
    x, seed = leaf([1.0, 2.0]), ta.ones(2, dtype=ta.float64)
    for _ in range(3):
        passed(x).backward(seed)
    assert x.grad.tolist() == [3.0, 3.0] and seed.tolist() == [1.0, 1.0]


def test_a_gradient_kept_by_a_hook_stays_what_it_was() -> None:
    x, kept = leaf([1.0, 2.0]), []
    x.register_hook(lambda g: kept.append(g))
    for _ in range(2):
        (x * 2.0).sum().backward()
    assert x.grad.tolist() == [4.0, 4.0]
    assert [g.tolist() for g in kept] == [[2.0, 2.0], [2.0, 2.0]]


def test_backward_inputs_give_gradients_of_their_own() -> None:
    a, b = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    seed = ta.ones(2, dtype=ta.float64)
    (a + b).backward(seed, inputs=[a, b])
    a.grad.array[...] = 7.0
    assert b.grad.tolist() == [1.0, 1.0] and seed.tolist() == [1.0, 1.0]


def test_a_gradient_that_is_an_attribute_stays_its_owners() -> None:
    w = np.array([1.0, 2.0, 3.0])

    @op
    def weighed(be: Any, x: Any, *, w: Any) -> Any:
        """y = Σ w x;   gx = g w"""
        return be.sum(x * w)

    @weighed.vjp
    def _(g: Any, *, w: Any) -> Any:
        return w if g == 1 else g * w

    try:
        x = leaf([1.0, 1.0, 1.0])
        for _ in range(2):
            weighed(x, w=w).backward()
        assert x.grad.tolist() == [2.0, 4.0, 6.0] and w.tolist() == [1.0, 2.0, 3.0]
    finally:
        del REGISTRY["weighed"]


# ---- memory


def test_saved_arrays_die_with_the_backward_pass() -> None:
    with no_collector():
        x = leaf(np.ones(10))
        h = x * 2.0
        saved = h.exp()
        dead = [weakref.ref(h.array), weakref.ref(saved.array)]
        loss = saved.sum()
        del h, saved
        assert dead[1]() is not None
        loss.backward()
        assert [d() for d in dead] == [None, None]


def test_activations_nobody_saved_die_at_once() -> None:
    with no_collector():
        x = leaf(np.ones(10))
        h = x + 1.0
        dead = weakref.ref(h.array)
        y = h + 1.0
        del h
        assert dead() is None and y.requires_grad


@pytest.mark.parametrize("create_graph", [False, True])
def test_dropping_the_loss_frees_the_graph_without_the_collector(create_graph: bool) -> None:
    with no_collector():
        x = leaf(np.ones(10))
        first, _, second = parts(x.tanh())
        y = (first * second).exp().sum() + x.amax()
        (g,) = ta.grad(y, x, create_graph=create_graph, retain_graph=True)
        nodes = [weakref.ref(n) for n in graph.history(y, g) if n.op is not None]
        assert len(nodes) > 5
        del first, _, second, y, g
        assert [n() for n in nodes if n() is not None] == []


def test_a_training_loop_makes_no_garbage() -> None:
    w = leaf(np.ones((3, 3)))
    with no_collector():
        for _ in range(3):
            loss = ((w @ w).tanh() * w).sum()
            loss.backward()
            w.grad = None
            del loss
        assert gc.collect() == 0


# ---- threads


def in_threads(count: int, work: Any) -> None:
    errors = []

    def guarded(i: int) -> None:
        try:
            work(i)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(i,)) for i in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert errors == []


def test_no_grad_in_one_thread_leaves_others_alone() -> None:
    inside, done = threading.Event(), threading.Event()

    def quiet() -> None:
        with ta.no_grad():
            inside.set()
            done.wait(10)

    t = threading.Thread(target=quiet)
    t.start()
    assert inside.wait(10)
    x = leaf([1.0])
    assert ta.is_grad_enabled() and (x * 2).requires_grad
    done.set()
    t.join()

    with ta.no_grad():
        in_threads(1, lambda i: [None][not ta.is_grad_enabled()])


def test_backward_in_several_threads_over_one_retained_graph() -> None:
    x = leaf(np.linspace(-1, 1, 50))
    y = ((x * 3).tanh() * x.exp()).sum()
    expected = ta.grad(y, x, retain_graph=True)[0].tolist()
    found: dict[int, Any] = {}

    def work(i: int) -> None:
        for _ in range(20):
            found[i] = ta.grad(y, x, retain_graph=True)[0].tolist()

    in_threads(8, work)
    assert len(found) == 8 and all(f == expected for f in found.values())


def test_threads_add_to_one_leaf_without_losing_any() -> None:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(20):
            x = leaf(np.zeros(3))
            gate = threading.Barrier(8)

            def work(i: int, x: Any = x, gate: Any = gate) -> None:
                gate.wait()
                for _ in range(10):
                    (x * 1.0).sum().backward()

            in_threads(8, work)
            assert x.grad.tolist() == [80.0] * 3
    finally:
        sys.setswitchinterval(before)


# ---- dtypes


def test_gradients_have_the_dtype_of_their_leaves() -> None:
    def program(T: Any) -> Any:
        a = T.tensor([1.5, 2.5], dtype=T.float32, requires_grad=True)
        b = leaf([3.0, 4.0], T)
        h = a * 2
        h.retain_grad()
        ((h * b).exp() * b + h).sum().backward()
        return h, h.grad, a.grad, b.grad

    same(program, rtol=1e-6)


def test_float32_stays_float32_on_the_way_back() -> None:
    x = ta.tensor([1.5, 2.5], requires_grad=True)
    seen = []
    h = x * 2.0
    h.register_hook(lambda g: seen.append(g.dtype))
    (h.tanh() / 3 + h**2).sum().backward()
    assert seen == [ta.float32] and x.grad.dtype == ta.float32


# ---- looking at it


def test_history_is_newest_first_and_can_stop_at_a_tick() -> None:
    x = leaf([1.0])
    h = x * 2.0
    y = (h + x).exp()
    assert [n.name() for n in graph.history(y)] == ["exp", "add", "mul", "leaf"]
    assert [n.name() for n in graph.history(y, after=h.node.id)] == ["exp", "add"]
    assert graph.history(ta.ones(2)) == []


def test_increment_version_tells_of_a_write() -> None:
    x = leaf([1.0, 2.0])
    h = x * 1.0
    y = h * h
    h.array[0] = 5.0
    graph.increment_version(h)
    assert h._version == 1
    with pytest.raises(RuntimeError, match="changed after the forward pass"):
        y.sum().backward()
