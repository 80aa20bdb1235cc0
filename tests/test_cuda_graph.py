"""A captured training step: on the stand-in, whose graphs do the work again into the same memory,
with the kernels of the simulator's module, and on a GPU where there is one."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import tests.fakecupy as fakecupy
import tinygrad_ai as ta
import tinygrad_ai.nn.functional as F
from tests.cuda_entries import Recorded
from tests.cuda_programs import module
from tests.fakecupy.capture import capturing
from tests.required import required
from tinygrad_ai import backend, nn
from tinygrad_ai.backend import capture, fused_cuda, fused_cuda_linear
from tinygrad_ai.errors import ArgumentError, CaptureError, InplaceError, ShapeError

ON_A_GPU = required("gpu")


@pytest.fixture(scope="module")
def compiled() -> Any:
    return None if ON_A_GPU else Recorded(module())


@pytest.fixture
def cuda(compiled: Any) -> Iterator[None]:
    if ON_A_GPU:
        backend.cuda.load()
        yield
        return
    with fakecupy.installed():
        fused_cuda.stand_in(backend.on("cuda"), compiled)
        yield
        assert not capturing


@pytest.fixture
def plain_only() -> Iterator[None]:
    """The stand-in without compiled kernels."""
    with fakecupy.installed():
        yield


class Run:
    """A small training, plain or captured, with the same kernels."""

    def __init__(self, make: Callable[[Any], Any], drop: float = 0.0, warmup: int | None = None):
        ta.manual_seed(0)
        layers = [nn.Linear(6, 5), nn.GELU(), nn.Dropout(drop), nn.Linear(5, 3)]
        self.model = nn.Sequential(*layers).cuda()
        self.optimizer = make(self.model.parameters())
        r = np.random.default_rng(0)
        x, y = r.standard_normal((12, 7, 6)).astype("float32"), r.integers(0, 3, (12, 7))
        self.batches = [[ta.tensor(v, device="cuda") for v in xy] for xy in zip(x, y)]
        self.work: Any = self.step
        if warmup is not None:
            self.work = ta.cuda.make_graphed_step(self.step, self.batches[0], warmup)

    def step(self, x: Any, y: Any) -> Any:
        self.optimizer.zero_grad()
        loss = F.cross_entropy(self.model(x), y)
        loss.backward()
        self.optimizer.step()
        return loss

    def losses(self, count: int) -> list[float]:
        found = []
        with fused_cuda_linear.products(True):
            for i in range(count):
                self.optimizer.param_groups[0]["lr"] = 0.05 / (1 + i // 3)
                found.append(self.work(*self.batches[i]))
        return [float(v) for v in found]

    def weights(self) -> list[np.ndarray]:
        return [p.detach().cpu().numpy() for p in self.model.parameters()]


def sgd(params: Any) -> Any:
    return ta.optim.SGD(params, lr=0.1)


OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "sgd": sgd,
    "momentum": lambda p: ta.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    "adam": lambda p: ta.optim.Adam(p, amsgrad=True),
    "adamw": ta.optim.AdamW,
    "rmsprop": lambda p: ta.optim.RMSprop(p, momentum=0.5, centered=True),
}


@pytest.mark.parametrize("drop", [0.0, 0.5])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_captured_step_is_the_plain_one(cuda: None, name: str, drop: float) -> None:
    """Losses, weights, what the optimizer keeps and where the random numbers have come to."""
    plain = Run(OPTIMIZERS[name], drop)
    losses, state = plain.losses(10), ta.cuda.get_rng_state()
    graphed = Run(OPTIMIZERS[name], drop, warmup=2)
    assert losses == graphed.losses(10) and len(set(losses)) == 10
    assert ON_A_GPU or graphed.work.graph.launches == 8
    assert ta.cuda.get_rng_state().tolist() == state.tolist()
    for a, b in zip(plain.weights(), graphed.weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    kept = [r.optimizer.state_dict()["state"] for r in (plain, graphed)]
    for i, slots in kept[0].items():
        for key, value in slots.items():
            if value is not None:
                np.testing.assert_array_equal(value.cpu().numpy(), kept[1][i][key].cpu().numpy())


def test_losses_and_gradients_are_ones_own(cuda: None) -> None:
    """A loss that is kept is not overwritten by the next replay; gradients are the last step's."""
    run, plain = Run(sgd, warmup=1), Run(sgd)
    kept = [run.work(*b) for b in run.batches[:4]]
    assert len({float(v) for v in kept}) == 4 and not kept[-1].requires_grad
    with fused_cuda_linear.products(True):
        for batch in plain.batches[:4]:
            plain.step(*batch)
    for p, q in zip(run.model.parameters(), plain.model.parameters(), strict=True):
        assert p.grad.tolist() == q.grad.tolist()


def test_products_of_any_matrices(cuda: None) -> None:
    """Also those of rules: CuPy refuses them all while a step is captured."""
    r = np.random.default_rng(0)
    w = ta.tensor(r.standard_normal((4, 4)), device="cuda", requires_grad=True)
    x = ta.tensor(r.standard_normal((2, 3, 4)), device="cuda")

    def step(x: Any) -> Any:
        w.grad = None
        loss = ((x @ w).tanh() @ (w.T @ w)).pow(2).sum()
        loss.backward()
        return loss, w.grad

    work = ta.cuda.make_graphed_step(step, x, warmup=1)
    found = [[v.tolist() for v in work(x * i)] for i in (1, 2, 3, 4)]
    with fused_cuda_linear.products(True):
        assert found == [[v.tolist() for v in step(x * i)] for i in (1, 2, 3, 4)]


def test_what_a_step_may_return(cuda: None) -> None:
    x = ta.ones(3, device="cuda")
    work = ta.cuda.make_graphed_step(lambda x: {"y": (x + 1, [x * 2, None])}, x, warmup=1)
    for i in range(4):
        found = work(x * i)
        assert found["y"][0].tolist() == [i + 1] * 3 and found["y"][1][0].tolist() == [2 * i] * 3
    work = ta.cuda.make_graphed_step(lambda x: 5, x)
    with pytest.raises(ArgumentError, match="expected the step to return tensors, got int"):
        work(x)


def test_inputs_come_from_anywhere(cuda: None) -> None:
    x = ta.ones(3, device="cuda")
    work = ta.cuda.make_graphed_step(lambda x: x + 1, x, warmup=1)
    far = f"cuda:{ta.cuda.device_count() - 1}"
    for given in (ta.arange(3.0), ta.arange(6.0)[::2], ta.ones(3, device=far)):
        work(given)
        assert work(given).tolist() == (given + 1).tolist()
    with pytest.raises(ShapeError, match=r"float32 \(3,\), got float32 \(2,\)"):
        work(ta.ones(2, device="cuda"))
    with pytest.raises(ShapeError, match="got float64"):
        work(ta.ones(3, device="cuda", dtype=ta.float64))
    with pytest.raises(ArgumentError, match="expected 1 inputs, got 2"):
        work(x, x)
    with pytest.raises(ArgumentError, match="expected tensors, got float"):
        work(1.0)


@pytest.mark.parametrize("samples", [(), (ta.ones(2),), (3.0,)])
def test_sample_inputs_are_on_the_gpu(cuda: None, samples: Any) -> None:
    with pytest.raises(ArgumentError, match="expected tensors on a GPU"):
        ta.cuda.make_graphed_step(lambda x: x, samples)


def test_it_needs_a_warmup_and_the_kernels(cuda: None) -> None:
    with pytest.raises(ArgumentError, match="at least one warm-up step, got 0"):
        ta.cuda.make_graphed_step(lambda x: x, ta.ones(2, device="cuda"), warmup=0)


def test_it_needs_the_kernels(plain_only: None) -> None:
    with pytest.raises(CaptureError, match="needs the compiled kernels: it was not built"):
        ta.cuda.make_graphed_step(lambda x: x, ta.ones(2, device="cuda"))


def nothing_lost(run: Run) -> None:
    """After a capture that failed the plain step goes on as if it had not been tried."""
    plain = Run(lambda p: type(run.optimizer)(p, lr=0.05))
    assert run.optimizer.state_dict()["param_groups"][0]["lr"] == 0.05
    with fused_cuda_linear.products(True):
        wanted = [float(plain.step(*b)) for b in plain.batches[:3]]
        assert float(run.step(*run.batches[2])) == wanted[2]


def test_what_waits_for_the_gpu(cuda: None) -> None:
    run = Run(lambda p: ta.optim.Adam(p, lr=0.05))
    plain = run.step

    def step(x: Any, y: Any) -> Any:
        loss = plain(x, y)
        loss.item()
        return loss

    work = ta.cuda.make_graphed_step(step, run.batches[0], warmup=2)
    for batch in run.batches[:2]:
        work(*batch)
    with pytest.raises(CaptureError, match=r"test_cuda_graph.py:\d+: cudaErrorStreamCapture") as e:
        work(*run.batches[2])
    assert "item(), print, int()" in str(e.value)
    nothing_lost(run)


def test_optimizers_that_cannot_be_captured(cuda: None) -> None:
    run = Run(lambda p: ta.optim.NAdam(p, lr=0.05))
    work = ta.cuda.make_graphed_step(run.step, run.batches[0], warmup=2)
    for batch in run.batches[:2]:
        work(*batch)
    with pytest.raises(CaptureError, match="a step of NAdam cannot be captured"):
        work(*run.batches[2])
    nothing_lost(run)


def test_a_state_is_not_made_in_a_capture(cuda: None) -> None:
    ta.manual_seed(0)
    layers = [nn.Linear(4, 4).cuda() for _ in range(2)]
    optimizer = ta.optim.Adam([p for layer in layers for p in layer.parameters()])
    calls = []

    def step(x: Any) -> Any:
        calls.append(1)
        loss = layers[0](x).sum() + (layers[1](x).sum() if len(calls) > 1 else 0)
        loss.backward()
        optimizer.step()
        return loss

    x = ta.ones(2, 4, device="cuda")
    work = ta.cuda.make_graphed_step(step, x, warmup=1)
    work(x)
    with pytest.raises(CaptureError, match="makes the state of a parameter"):
        work(x)


CHANGES: dict[str, tuple[Callable[[Run], Any], str]] = {
    "momentum": (lambda r: r.optimizer.param_groups[0].update(momentum=0.5), "momentum changed"),
    "params": (lambda r: r.optimizer.param_groups[0]["params"].pop(), "params changed"),
    "state": (lambda r: r.optimizer.load_state_dict(r.optimizer.state_dict()), "another state"),
    "moments": (lambda r: r.optimizer.state.clear(), "another state"),
    "memory": (lambda r: setattr(r.model[0].weight, "data", ta.ones(5, 6).cuda()), "other memory"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_must_not_change(cuda: None, name: str) -> None:
    run = Run(OPTIMIZERS["momentum"], warmup=1)
    for batch in run.batches[:3]:
        run.work(*batch)
    before = run.weights()[1:]
    change, said = CHANGES[name]
    change(run)
    with pytest.raises(CaptureError, match=said):
        run.work(*run.batches[3])
    for a, b in zip(before, run.weights()[1:], strict=True):
        np.testing.assert_array_equal(a, b)


def test_another_seed_after_the_capture(cuda: None) -> None:
    """The random numbers are those of a plain loop that was given the seed then."""
    found = []
    for warmup in (None, 1):
        run = Run(sgd, drop=0.5, warmup=warmup)
        run.losses(3)
        for seed in (1, 2, 1):
            ta.manual_seed(seed)
            found.append(run.losses(2))
        state = ta.cuda.get_rng_state()
        ta.manual_seed(9)
        ta.cuda.set_rng_state(state)
        found.append(run.losses(2))
    assert found[:4] == found[4:]


def test_numbers_of_the_host(cuda: None) -> None:
    x = ta.ones(3, device="cuda")
    work = ta.cuda.make_graphed_step(lambda x: x * ta.tensor([1.0, 2, 3], device="cuda"), x, 1)
    work(x)
    with pytest.raises(CaptureError, match="numbers of the host go to the GPU"):
        work(x)


def test_a_capture_is_one_threads(cuda: None) -> None:
    """A loader may prepare batches in its thread meanwhile."""
    told: list[Any] = []

    def beside() -> None:
        told.append(capture.may_wait())
        told.append(ta.tensor([1.0, 2.0]).sum().item())
        told.append((fused_cuda_linear.choice.way, fused_cuda_linear.choice.cupy_may))

    def step(x: Any) -> Any:
        if not capture.may_wait():
            thread = threading.Thread(target=beside)
            thread.start()
            thread.join()
        return (x * 2).sum()

    with fused_cuda_linear.products("ours"):
        graphed = ta.cuda.make_graphed_step(step, [ta.ones(3, device="cuda")], warmup=1)
        sums = [graphed(ta.ones(3, device="cuda")).item() for _ in range(3)]
    assert told == [True, 3.0, ("auto", True)] and sums == [6, 6, 6]


def test_a_capture_that_is_stopped(cuda: None) -> None:
    run, stops = Run(lambda p: ta.optim.Adam(p, lr=0.05)), [0, 0, 1]
    plain = run.step

    def step(x: Any, y: Any) -> Any:
        loss = plain(x, y)
        if stops.pop(0):
            raise KeyboardInterrupt
        return loss

    work = ta.cuda.make_graphed_step(step, run.batches[0], warmup=2)
    for batch in run.batches[:2]:
        work(*batch)
    with pytest.raises(KeyboardInterrupt):
        work(*run.batches[2])
    assert run.model[0].weight.grad is None
    nothing_lost(run)


def test_a_replay_counts_as_a_change(cuda: None) -> None:
    run = Run(sgd, warmup=1)
    for batch in run.batches[:3]:
        run.work(*batch)
    loss = run.model(run.batches[0][0]).sum()
    run.work(*run.batches[3])
    with pytest.raises(InplaceError):
        loss.backward()


def test_what_is_read_past_the_ops_is_kept(cuda: None) -> None:
    """In a tuple of indices, and as the source of a copy."""
    held = [ta.tensor([2, 0], device="cuda"), ta.full((3,), 5.0, device="cuda")]
    alive = [weakref.ref(t.array) for t in held]
    x, out = ta.arange(12.0).reshape(3, 4).cuda(), ta.zeros(3, device="cuda")

    def step(x: Any) -> Any:
        out.copy_(held[1])
        return x[held[0], 1] + out.sum()

    work = ta.cuda.make_graphed_step(step, x, warmup=1)
    wanted = [work(x).tolist(), work(x).tolist()][1]
    held[:] = [ta.zeros(1), ta.zeros(1)]
    gc.collect()
    assert all([a() is not None for a in alive]) and work(x).tolist() == wanted


def test_what_the_graph_reads_is_kept(cuda: None) -> None:
    holder = [ta.full((3,), 2.0, device="cuda")]
    alive = weakref.ref(holder[0].array)
    x = ta.ones(3, device="cuda")
    work = ta.cuda.make_graphed_step(lambda x: x * holder[0], x, warmup=1)
    work(x), work(x)
    holder[0] = ta.zeros(3, device="cuda")
    gc.collect()
    assert alive() is not None and work(x).tolist() == [2.0] * 3
