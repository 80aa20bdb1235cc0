"""The optimizers' entries with the simulator's kernels: many tensors in a launch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tinygrad_ai as ta
from tests.cuda_entries import REAL, Entries, close, compiled_entries, normal, wide
from tinygrad_ai import backend
from tinygrad_ai.backend import kernels

both = pytest.mark.parametrize("dtype", REAL)
ADAM = {"beta1": 0.9, "beta2": 0.99, "eps": 1e-8}
SIZES = [(1,), (0,), (50, 100), (33,)]


@pytest.fixture
def cuda() -> Iterator[Entries]:
    with compiled_entries() as entries:
        yield entries


class Steps:
    """An entry's steps on tensors of these shapes, beside the plain one's in double precision.
    `state` says which of the lists of states there are; missing ones are Nones."""

    def __init__(self, cuda: Entries, name: str, shapes: Any, dtype: str, state: str) -> None:
        self.cuda, self.name, self.shapes, self.dtype = cuda, name, shapes, dtype
        self.lists: list[list[Any]] = [[normal(*s, dtype=dtype, seed=9) for s in shapes]]
        for kept in state:
            self.lists.append([np.zeros(s, dtype) if kept == "1" else None for s in shapes])
        self.far = [cuda.far(one) for one in self.lists]
        self.want = [wide(one) for one in self.lists]

    def take(self, seed: int, **numbers: Any) -> None:
        g = [normal(*s, dtype=self.dtype, seed=seed + i) for i, s in enumerate(self.shapes)]
        g[-1].flat[seed % g[-1].size] = np.nan
        plain = {k: v.tolist() if hasattr(v, "tolist") else v for k, v in numbers.items()}
        getattr(self.cuda.be, self.name)(self.far[0], self.cuda.far(g), *self.far[1:], **numbers)
        with np.errstate(all="ignore"):
            kernels.TABLE[self.name](backend.numpy, self.want[0], wide(g), *self.want[1:], **plain)

    def compare(self) -> None:
        for mine, want in zip(self.far, self.want, strict=True):
            for a, b in zip(mine, want, strict=True):
                assert (a is None) == (b is None)
                if a is not None:
                    close(a.get(), b)


@both
@pytest.mark.parametrize("there", [False, True], ids=["by value", "on the device"])
@pytest.mark.parametrize("amsgrad", [False, True])
@pytest.mark.parametrize("decay, decoupled", [(0.0, False), (0.1, False), (0.1, True)])
def test_adam(
    cuda: Entries, amsgrad: bool, decay: float, decoupled: bool, there: bool, dtype: str
) -> None:
    steps = Steps(cuda, "adam_step", SIZES, dtype, "111" if amsgrad else "110")
    for seed in (1, 2, 3):
        t: Any = [seed, seed, seed + 2, seed]  # one tensor has had more steps
        lr: Any = 0.01
        if there:
            t, lr = cuda.far(np.array(t)), cuda.far(np.array(lr))
        cuda.called.clear()
        steps.take(seed, t=t, lr=lr, weight_decay=decay, decoupled=decoupled, **ADAM)
        assert cuda.called == ["adam"]
    steps.compare()


@both
@pytest.mark.parametrize("there", [False, True], ids=["by value", "on the device"])
@pytest.mark.parametrize("momentum, nesterov", [(0.0, False), (0.9, False), (0.9, True)])
def test_sgd(cuda: Entries, momentum: float, nesterov: bool, there: bool, dtype: str) -> None:
    how = {"momentum": momentum, "dampening": 0 if nesterov else 0.2, "weight_decay": 0.1}
    steps = Steps(cuda, "sgd_step", SIZES, dtype, "1" if momentum else "0")
    lr = cuda.far(np.array(0.1)) if there else 0.1
    for seed in (1, 2, 3):
        cuda.called.clear()
        first = [seed == 1, False, seed == 1, seed == 2]
        steps.take(seed, lr=lr, first=first, nesterov=nesterov, **how)
        assert cuda.called == ["sgd"]
    steps.compare()


@both
@pytest.mark.parametrize("there", [False, True], ids=["by value", "on the device"])
@pytest.mark.parametrize("state", ["100", "110", "101", "111"])
def test_rmsprop(cuda: Entries, state: str, there: bool, dtype: str) -> None:
    how = {"alpha": 0.9, "eps": 1e-3, "weight_decay": 0.1, "momentum": 0.9}
    steps = Steps(cuda, "rmsprop_step", SIZES, dtype, state)
    for seed in (1, 2, 3):
        cuda.called.clear()
        steps.take(seed, lr=cuda.far(np.array(0.01)) if there else 0.01, **how)
        assert cuda.called == ["rmsprop"]
    steps.compare()


def test_more_tensors_than_a_launch_holds(cuda: Entries) -> None:
    shapes = [(i % 7,) for i in range(120)] + [(3,)]
    steps = Steps(cuda, "adam_step", shapes, "float32", "110")
    numbers = {"lr": 0.01, "weight_decay": 0.0, "decoupled": False, **ADAM}
    steps.take(1, t=list(range(1, 122)), **numbers)
    steps.take(2, t=cuda.far(np.arange(2, 123)), **numbers)
    steps.compare()


def test_the_plain_entry_takes_numbers_on_the_device_too(cuda: Entries) -> None:
    steps = Steps(cuda, "adam_step", SIZES, "float64", "110")
    cuda.be.adam_step = cuda.off["adam_step"]
    t, lr = cuda.far(np.arange(1, 5)), cuda.far(np.array(0.01))
    steps.take(1, t=t, lr=lr, weight_decay=0.1, decoupled=True, **ADAM)
    steps.compare()


def optimized(device: str, kind: Any, **options: Any) -> list[np.ndarray]:
    """Parameters of several dtypes and layouts after three steps."""
    r = np.random.default_rng(0)
    shapes, dtypes = [(4, 3), (5,), (2, 6), (7,)], [ta.float32, ta.float64, ta.float32, ta.float16]
    params = [ta.tensor(r.standard_normal(s), dtype=d, device=device, requires_grad=True)
              for s, d in zip(shapes, dtypes)]  # fmt: skip
    optimizer = kind(params, lr=0.05, **options)
    for _ in range(3):
        for p in params:
            p.grad = ta.tensor(r.standard_normal(p.shape[::-1]), dtype=p.dtype, device=device).T
        optimizer.step()
    return [p.detach().cpu().numpy() for p in params]


OPTIMIZERS = [
    (ta.optim.Adam, {"amsgrad": True, "weight_decay": 0.1}), (ta.optim.AdamW, {}),
    (ta.optim.SGD, {}), (ta.optim.SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    (ta.optim.RMSprop, {"momentum": 0.9, "centered": True}),
]  # fmt: skip


@pytest.mark.parametrize("kind, options", OPTIMIZERS)
def test_optimizers_of_mixed_parameters(cuda: Entries, kind: Any, options: Any) -> None:
    """Halves and what lies otherwise than the gradient go to the plain entry, the rest by dtype."""
    for mine, want in zip(optimized("cuda:0", kind, **options), optimized("cpu", kind, **options)):
        tol = {"float16": 5e-3, "float32": 1e-5, "float64": 1e-11}[str(mine.dtype)]
        np.testing.assert_allclose(mine, want, rtol=tol, atol=tol)
    assert len([n for n in cuda.called if n in ("adam", "sgd", "rmsprop")]) == 6


def test_parameters_here_and_there(cuda: Entries) -> None:
    """On the CPU and on two GPUs at once."""
    for kind in (ta.optim.Adam, ta.optim.SGD, ta.optim.RMSprop):
        params = [ta.ones(3, device=d, requires_grad=True) for d in ("cpu", "cuda:0", "cuda:1")]
        for p in params:
            p.grad = p.detach() * ta.tensor([1.0, -2.0, 3.0], device=p.device)
        kind(params, lr=0.1).step()
        found = [p.detach().cpu().numpy() for p in params]
        np.testing.assert_allclose(found, [found[0]] * 3, rtol=1e-6, atol=1e-6)
        assert (found[0] != 1).all()
    assert [n for n in cuda.called if n in ("adam", "sgd", "rmsprop")] == (
        ["adam"] * 2 + ["sgd"] * 2 + ["rmsprop"] * 2
    )


def test_what_the_bindings_refuse(cuda: Entries) -> None:
    compiled = cuda.compiled
    numbers = (0.1, 0, 0.9, 0.0, 0.0, False, 0)
    with pytest.raises(ValueError, match="expected lists of one length"):
        compiled.sgd(compiled.Dtype.float32, [0], [0], [0, 0], [1], [True], *numbers)
    with pytest.raises(ValueError, match="expected tensors of float32 or float64"):
        compiled.sgd(compiled.Dtype.float16, [0], [0], [0], [1], [True], *numbers)
    with pytest.raises(ValueError, match="expected no size below 0, got -1"):
        compiled.sgd(compiled.Dtype.float32, [0], [0], [0], [-1], [True], *numbers)
