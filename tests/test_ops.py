"""Every op against PyTorch and against finite differences, from the rows of tests/table/."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import tests.table
import tinygrad_ai as ta
from tests.optable import Made, Row, every
from tinygrad_ai.autograd.mode import state
from tinygrad_ai.autograd.op import REGISTRY
from tinygrad_ai.tensor import Tensor

torch = pytest.importorskip("torch", reason="PyTorch is the reference of these tests")


def collect() -> Iterator[Any]:
    for module in pkgutil.iter_modules(tests.table.__path__):
        rows = importlib.import_module(f"tests.table.{module.name}").ROWS
        for number, row in enumerate(rows):
            yield pytest.param(row, id=f"{module.name}-{row.name}-{number}")


ROWS = list(collect())
every_row = pytest.mark.parametrize("row", ROWS)


def our_tensor(m: Made) -> Tensor:
    return ta.tensor(m.array, requires_grad=m.grad)


def their_tensor(m: Made) -> Any:
    return torch.tensor(np.ascontiguousarray(m.array).reshape(m.array.shape), requires_grad=m.grad)


def in_float32(make: Callable[[Made], Any]) -> Callable[[Made], Any]:
    return lambda m: make(Made(m.array.astype("f4"), m.grad) if m.array.dtype == "f8" else m)


def spread_out(m: Made) -> Tensor:
    """A tensor over every second element of a read-only buffer, the axes in reverse order."""
    buffer = np.zeros(tuple(2 * n for n in m.array.shape[::-1]), m.array.dtype)
    view = buffer[(..., *[slice(None, None, 2) for _ in m.array.shape])].T
    view[...] = m.array
    view.setflags(write=False)
    x = ta.from_numpy(view)
    return x.requires_grad_() if m.grad else x


class Run:
    """A row run once: its arguments, its outputs, and the leaves to differentiate by."""

    def __init__(self, row: Row, ours: bool = True, make: Any = None, made: Any = None) -> None:
        make = make or (our_tensor if ours else their_tensor)
        self.args, self.kwargs = self.lift(made or row.make(), make)
        self.kind = Tensor if ours else torch.Tensor
        self.grad = ta.grad if ours else torch.autograd.grad
        leaves = every(self.kind, [self.args, self.kwargs])
        self.leaves = [x for x in leaves if x.requires_grad]
        self.raw = (row.ours if ours else row.theirs)(*self.args, **self.kwargs)
        self.outputs = every(self.kind, self.raw)

    def lift(self, value: Any, make: Callable[[Made], Any]) -> Any:
        """Every Made in a structure as a tensor."""
        if isinstance(value, Made):
            return make(value)
        if isinstance(value, dict):
            return {k: self.lift(v, make) for k, v in value.items()}
        return (
            type(value)(self.lift(v, make) for v in value)
            if type(value) in (list, tuple)
            else value
        )

    def gradients(self, order: int) -> list[Any]:
        """For each order the leaves' gradients of a random weighting of the order below."""
        outputs, found = [y for y in self.outputs if y.requires_grad], []
        rng = np.random.default_rng(11)
        for left in reversed(range(order)):
            if not outputs or not self.leaves:
                break
            seeds = [self.weight(y, rng) for y in outputs]
            options = {"create_graph": left > 0, "retain_graph": True, "allow_unused": True}
            found.append(self.grad(outputs, self.leaves, seeds, **options))
            outputs = [g for g in found[-1] if g is not None and g.requires_grad]
        return found

    def weight(self, y: Any, rng: np.random.Generator) -> Any:
        array = rng.uniform(0.5, 1.5, tuple(y.shape))
        return ta.tensor(array, dtype=y.dtype) if self.kind is Tensor else torch.tensor(array).to(y)


def assert_close(mine: Any, theirs: Any, rtol: float) -> None:
    """Equal up to rounding, relative to the size of the array; a missing gradient is zero."""
    if mine is None or theirs is None:
        known = theirs if mine is None else mine
        assert known is None or not np.any(known.detach().numpy())
        return
    a, b = (x.detach().numpy(force=True) for x in (mine, theirs))
    assert a.shape == b.shape
    if a.dtype.kind == "f":
        rtol = max(rtol, 4 * float(np.finfo(a.dtype).eps))
    size = np.abs(b[np.isfinite(b)]).max(initial=1.0) if b.dtype.kind == "f" else 0
    np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * size)


@every_row
def test_value(row: Row) -> None:
    mine, theirs = Run(row), Run(row, ours=False)
    assert len(mine.outputs) == len(theirs.outputs)
    if not theirs.outputs:
        assert mine.raw == theirs.raw
    for a, b in zip(mine.outputs, theirs.outputs, strict=True):
        assert isinstance(a.array, np.ndarray)
        assert str(a.dtype) == str(b.dtype).removeprefix("torch.")
        assert_close(a, b, row.rtol)


@every_row
def test_gradient(row: Row) -> None:
    """Gradients of every order up to the row's, with random cotangents, against PyTorch's."""
    mine, theirs = Run(row), Run(row, ours=False)
    if row.order:
        assert [y.requires_grad for y in mine.outputs] == [y.requires_grad for y in theirs.outputs]
    ours, twins = mine.gradients(row.order), theirs.gradients(row.order)
    nothing = [None] * len(mine.leaves)
    for step in range(max(len(ours), len(twins))):
        first = ours[step] if step < len(ours) else nothing
        second = twins[step] if step < len(twins) else nothing
        for a, b in zip(first, second, strict=True):
            assert_close(a, b, row.rtol)


class Line:
    """A row as a function of one number: its inputs moved along a random direction."""

    def __init__(self, row: Row) -> None:
        self.row, self.made = row, row.make()
        self.moving = [m for m in every(Made, self.made) if m.grad and m.array.dtype.kind == "f"]
        self.start = [m.array for m in self.moving]
        rng = np.random.default_rng(5)
        self.direction = [rng.standard_normal(a.shape) for a in self.start]

    def value(self, at: float) -> tuple[Any, list[Tensor]]:
        """A random weighting of the outputs, and the leaves it depends on."""
        for m, a, d in zip(self.moving, self.start, self.direction, strict=True):
            m.array = a + at * d
        run, rng = Run(self.row, made=self.made), np.random.default_rng(3)
        outputs = [y for y in run.outputs if y.requires_grad]
        return sum(((y * run.weight(y, rng)).sum() for y in outputs), ta.tensor(0.0)), run.leaves

    def slope(self, at: float, graph: bool = False) -> tuple[Any, list[Tensor]]:
        """The derivative along the direction, by the rules."""
        total, leaves = self.value(at)
        grads = ta.grad(total, leaves, create_graph=graph, allow_unused=True)
        return self.dot(grads), leaves

    def dot(self, grads: Any) -> Any:
        pairs = zip(grads, self.direction, strict=True)
        return sum(((g * ta.tensor(d)).sum() for g, d in pairs if g is not None), ta.tensor(0.0))


@every_row
def test_finite_differences(row: Row) -> None:
    """The derivative, and the derivative of the derivative, along a random direction."""
    line = Line(row)
    if row.kink or not row.order or not line.value(0.0)[0].requires_grad:
        return
    eps = 1e-6
    slope, leaves = line.slope(0.0, graph=row.order > 1)
    numeric = (line.value(eps)[0].item() - line.value(-eps)[0].item()) / (2 * eps)
    assert slope.item() == pytest.approx(numeric, rel=1e-5, abs=1e-5)
    if row.order > 1 and slope.requires_grad:
        bend = line.dot(ta.grad(slope, leaves, allow_unused=True))
        numeric = (line.slope(eps)[0].item() - line.slope(-eps)[0].item()) / (2 * eps)
        assert bend.item() == pytest.approx(numeric, rel=1e-5, abs=1e-5)


@every_row
def test_float32_stays_float32(row: Row) -> None:
    mine = Run(row, make=in_float32(our_tensor))
    theirs = Run(row, ours=False, make=in_float32(their_tensor))
    for a, b in zip(mine.outputs, theirs.outputs, strict=True):
        assert str(a.dtype) == str(b.dtype).removeprefix("torch.")
    for grads in mine.gradients(min(row.order, 1)):
        for leaf, g in zip(mine.leaves, grads, strict=True):
            assert g is None or g.dtype == leaf.dtype


@every_row
def test_non_contiguous_and_read_only(row: Row) -> None:
    """Neither strides nor write protection of the inputs change anything."""
    plain, odd = Run(row), Run(row, make=spread_out)
    for a, b in zip(plain.outputs, odd.outputs, strict=True):
        assert_close(a, b, 1e-12)
    order = min(row.order, 1)
    for first, second in zip(plain.gradients(order), odd.gradients(order), strict=True):
        for a, b in zip(first, second, strict=True):
            assert_close(a, b, 1e-12)


@every_row
def test_method_is_the_function(row: Row) -> None:
    """Where PyTorch has both a function and a method, so have we, with the same result."""
    twin = getattr(torch.Tensor, row.name, None)
    if not inspect.isroutine(twin) or not hasattr(torch, row.name) or not hasattr(ta, row.name):
        return
    run = Run(row)
    if run.args and isinstance(run.args[0], Tensor):
        result = getattr(run.args[0], row.name)(*run.args[1:], **run.kwargs)
        for a, b in zip(every(Tensor, result), run.outputs, strict=True):
            assert_close(a, b, 0)


class Recorder:
    """An observer that notes which ops were used."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def forward(self, op: Any, run: Any, args: Any, attrs: Any) -> Any:
        self.names.add(op.name)
        return run(args, attrs)

    def backward(self, pull: Any, *args: Any) -> Any:
        return pull(*args)


def test_every_op_has_a_row() -> None:
    """A registered op that no row of the table executes is an op nobody has proved."""
    recorder = Recorder()
    before, state.observers = state.observers, (recorder,)
    try:
        for param in ROWS:
            Run(param.values[0]).gradients(param.values[0].order)
    finally:
        state.observers = before
    ours = {n for n, o in REGISTRY.items() if o.forward.__module__.startswith("tinygrad_ai.")}
    assert sorted(ours - recorder.names) == []
