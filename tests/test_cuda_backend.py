"""The CUDA backend on a stand-in for CuPy: devices, errors, generators, modules, training."""

from __future__ import annotations

import copy
import pickle
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_ai as ta
from tests import fakecupy
from tinygrad_ai import backend, nn
from tinygrad_ai.autograd.gradcheck import gradcheck, gradgradcheck
from tinygrad_ai.autograd.mode import state
from tinygrad_ai.backend import accelerators, cuda, kernels_cuda
from tinygrad_ai.data import DataLoader, TensorDataset
from tinygrad_ai.errors import CheckpointError, DeviceError
from tinygrad_ai.nn import functional as F
from tinygrad_ai.ops.indexing import check_range, prepared
from tinygrad_ai.utils.checkpoint import checkpoint

# ---- not there


@pytest.fixture
def nothing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    cuda.unload()
    monkeypatch.setitem(sys.modules, "cupy", None)
    yield
    cuda.unload()


def test_without_cupy(nothing: None) -> None:
    assert not ta.cuda.is_available() and ta.cuda.device_count() == 0
    said = (
        "expected an available device, got cuda: CuPy is not installed\n"
        "  fix: pip install 'tinygrad-ai[cuda12]', or for CUDA 13 'tinygrad-ai[cuda13]', never both"
    )
    for work in (
        lambda: ta.zeros(2, device="cuda"), lambda: ta.ones(2).cuda(), ta.cuda.current_device,
        lambda: nn.Linear(2, 3).to("cuda"), ta.cuda.synchronize, ta.cuda.empty_cache,
        ta.cuda.memory_allocated, ta.cuda.get_device_name, ta.cuda.current_stream,
        lambda: ta.Generator(device="cuda"), lambda: ta.cuda.set_memory_limit(1),
    ):  # fmt: skip
        with pytest.raises(DeviceError) as error:
            work()
        assert str(error.value).removeprefix("in Linear 2 -> 3: ") == said
    assert accelerators.report()["cuda"] == {"available": False, "reason": "CuPy is not installed"}


def test_without_a_driver() -> None:
    with fakecupy.installed(driver=False):
        assert not ta.cuda.is_available() and ta.cuda.device_count() == 0
        with pytest.raises(DeviceError, match="finds no CUDA driver: cudaErrorInsufficientDriver"):
            ta.zeros(2, device="cuda")
        assert "no CUDA driver" in accelerators.report()["cuda"]["reason"]


def test_without_a_gpu() -> None:
    with fakecupy.installed(devices=0), pytest.raises(DeviceError, match="finds no GPU"):
        ta.zeros(2, device="cuda")


def test_switched_off(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYGRAD_AI_CUDA", "0")
    with pytest.raises(DeviceError, match="switched off by TINYGRAD_AI_CUDA=0"):
        ta.zeros(2, device="cuda")
    assert not ta.cuda.is_available()


def test_required(nothing: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYGRAD_AI_CUDA", "require")
    with pytest.raises(DeviceError, match="TINYGRAD_AI_CUDA=require, but CuPy is not installed"):
        accelerators.check_required()


def test_cupy_is_loaded_when_asked_for_and_not_before() -> None:
    with fakecupy.installed():
        for name in [n for n in sys.modules if n.startswith("cupy")]:
            sys.modules[name] = None  # type: ignore[assignment]
        (ta.ones(2, 3) @ ta.ones(3, 2)).sum()
        accelerators.check_required()
        assert not cuda.loaded


# ---- the stand-in


def test_the_stand_in_refuses_what_cupy_refuses(cupy: Any) -> None:
    x = cupy.ones((2, 3))
    assert x.sum().shape == () and type(x.sum()) is cupy.ndarray
    assert x[0].base is x and x.T.base is x and (x + 1).base is None and x.get().sum() == 6
    for work in (
        lambda: np.asarray(x), lambda: x + np.ones(3), lambda: np.ones(3) + x,
        lambda: np.add(x, x), lambda: cupy.exp(np.ones(3)), lambda: x[np.array([0])],
        lambda: cupy.sum(x, where=x > 0), lambda: cupy.max(x, initial=0), lambda: x.max(initial=0),
        lambda: cupy.add(x, x, where=x > 0), lambda: x.__setitem__(0, np.ones(3)),
    ):  # fmt: skip
        with pytest.raises(TypeError):
            work()
    for name in ("errstate", "ascontiguous", "sliding_window_view"):
        assert not hasattr(cupy, name)
    for work in (cupy.add.at, cupy.maximum.accumulate, cupy.add.reduceat):
        with pytest.raises(NotImplementedError):
            work(x, 0)
    with cupy.cuda.Device(1), pytest.raises(ValueError, match="array device = 0 while current = 1"):
        x + 1  # noqa: B018


USED = """cuda.Device.mem_info cuda.Device.compute_capability cuda.Device.synchronize cuda.Stream
cuda.Stream.record cuda.Stream.wait_event cuda.Event.done cuda.get_current_stream
cuda.Stream.is_capturing cuda.Event.record cuda.Event.synchronize cuda.get_elapsed_time
cuda.runtime.memcpyAsync cuda.runtime.memcpyDeviceToDevice cuda.runtime.deviceSynchronize
cuda.runtime.getDeviceCount cuda.runtime.getDevice cuda.runtime.getDeviceProperties
cuda.MemoryPool.used_bytes cuda.MemoryPool.total_bytes cuda.MemoryPool.set_limit
cuda.MemoryPool.get_limit cuda.MemoryHook.malloc_postprocess cuda.MemoryHook.free_postprocess
cuda.MemoryPool.free_all_blocks get_default_memory_pool
lib.stride_tricks.as_strided linalg.inv linalg.solve linalg.det linalg.slogdet linalg.cholesky
linalg.qr linalg.eigh linalg.svd ndarray.get ndarray.set ndarray.base ndarray.item ndarray.tolist"""


def named_in_the_sources() -> set[str]:
    """The functions that our code asks of a backend."""
    texts = [p.read_text() for p in Path(ta.__file__).parent.rglob("*.py")]
    return {name for text in texts for name in re.findall(r"\bbe\.(?:xp\.)?(\w+)", text)}


def test_a_real_cupy_has_what_is_used() -> None:
    """Names only: CuPy can be imported without a GPU."""
    real = pytest.importorskip("cupy", reason="CuPy is not installed", exc_type=ImportError)
    routines: Any = import_module("cupy._core._routines_linalg")
    cupyx, special = import_module("cupyx"), import_module("cupyx.scipy.special")
    for name in USED.split():
        assert attrgetter(name)(real) is not None
    missing = {n for n in fakecupy.functions.SPEC if not hasattr(real, n)}
    if (
        int(real.__version__.split(".")[0]) < 14
    ):  # the snapshot is of 14: what is used must be there
        missing &= named_in_the_sources() - set(kernels_cuda.TABLE)
    assert missing == set()
    assert (
        routines.COMPUTE_TYPE_TF32 and routines.COMPUTE_TYPE_DEFAULT and routines.set_compute_type
    )
    assert cupyx.scatter_add and cupyx.empty_pinned and cupyx.errstate(linalg="raise")
    for name in ("erf", "erfc", "erfinv", "gammaln", "digamma", "zeta", "xlogy"):
        assert hasattr(special, name)


def test_entries_are_replaced_and_none_is_added(cupy: Any) -> None:
    be = backend.on("cuda")
    for name in kernels_cuda.TABLE:
        assert hasattr(backend.numpy, name) and getattr(be, name).func is kernels_cuda.TABLE[name]


# ---- devices


def test_devices_of_tensors(cupy: Any) -> None:
    x = ta.tensor([[1.0, 2.0]], device="cuda")
    assert type(x.array) is cupy.ndarray and x.device == "cuda:0" and x.is_cuda
    assert x.get_device() == 0 and (x + 1).device == ta.device("cuda", 0)
    assert repr(x) == "tensor([[1., 2.]], device='cuda:0')".replace("tensor(", "tensor(", 1)
    assert x.cpu().device == "cpu" and x.cpu().cuda().device == "cuda:0"
    assert x.to("cuda") is x and x.to("cuda:0") is x and x.to(ta.device("cuda:0")) is x
    assert x.to("cuda", ta.float64).dtype == ta.float64
    assert x.to(ta.zeros(1, dtype=ta.float64)).device == "cpu"
    assert x.tolist() == [[1, 2]] and x.sum().item() == 3 and float(x.sum()) == 3 and len(x) == 1


def test_factories(gpu: Any) -> None:
    made = [
        ta.zeros(2, device="cuda"), ta.ones(2, device="cuda"), ta.empty(2, device="cuda"),
        ta.full((2,), 3.0, device="cuda"), ta.arange(2, device="cuda"), ta.eye(2, device="cuda"),
        ta.linspace(0, 1, 3, device="cuda"), ta.logspace(0, 1, 3, device="cuda"),
        ta.rand(2, device="cuda"), ta.randn(3, device="cuda"), ta.randperm(3, device="cuda"),
        ta.randint(0, 5, (3,), device="cuda"), ta.as_tensor([1], device="cuda"),
        ta.asarray([1], device="cuda"), ta.scalar_tensor(1, device="cuda"),
        ta.tril_indices(2, 2, device="cuda"), ta.normal(0.0, 1.0, (2,), device="cuda"),
    ]  # fmt: skip
    x = made[0]
    made += [ta.zeros_like(x), ta.rand_like(x), x.new_ones(2), x.new_tensor([1]), ta.tensor(x)]
    made += [ta.zeros_like(ta.zeros(2), device="cuda"), ta.from_dlpack(x.array)]
    assert {str(y.device) for y in made} == {"cuda:0"}
    assert ta.arange(1, 8, 3, device="cuda").tolist() == [1, 4, 7]
    assert ta.linspace(0, 1, 3, device="cuda").tolist() == [0, 0.5, 1]
    assert ta.tensor([ta.ones(1, device="cuda")[0], 2.0]).device == "cpu"


def test_values_leave_the_gpu_only_when_asked(cupy: Any) -> None:
    x = ta.ones(2, device="cuda")
    said = "numpy() needs a tensor in host memory, this one is on cuda:0\n  fix: x.cpu().numpy()"
    for work in (x.numpy, lambda: np.asarray(x)):
        with pytest.raises(DeviceError) as error:
            work()
        assert str(error.value) == said
    assert x.numpy(force=True).tolist() == x.cpu().numpy().tolist() == [1, 1]


def test_mixing_devices(cupy: Any) -> None:
    near, far = ta.ones(2, 3), ta.ones(3, device="cuda")
    said = (
        "expected all tensors on one device, got (2, 3) on cpu and (3,) on cuda:0\n"
        "  fix: x.to('cuda:0')"
    )
    labels = ta.tensor([0, 1])
    for work in (lambda: near + far, lambda: near @ far, lambda: ta.maximum(near, far),
                 lambda: near.sin().mul_(far)):  # fmt: skip
        with pytest.raises(DeviceError) as error:
            work()
        assert str(error.value).replace("(3, 1)", "(3,)") == said
    for work in (
        lambda: F.cross_entropy(near.cuda(), labels), lambda: ta.where(near.cuda() > 0, near, 0.0),
        lambda: ta.where(near > 0, near.cuda(), 0.0), lambda: near[labels.cuda()],
        lambda: near.cuda().gather(0, labels.reshape(1, 2)), lambda: nn.Linear(3, 2)(near.cuda()),
        lambda: F.embedding(labels, near.cuda()), lambda: near.masked_fill(near.cuda() > 0, 1),
        lambda: near.cuda().addcmul(near, near),
    ):  # fmt: skip
        with pytest.raises(DeviceError, match="expected all tensors on one device"):
            work()


def test_single_numbers_and_indices_from_the_cpu_go_everywhere(gpu: Any) -> None:
    x, scale = ta.ones(2, 3, device="cuda", requires_grad=True), ta.tensor(2.0, requires_grad=True)
    y = scale * x * scale
    assert y.device == "cuda:0" and y.tolist() == [[4] * 3] * 2
    y.sum().backward()
    assert x.grad.device == "cuda:0" and scale.grad.device == "cpu" and scale.grad.item() == 24
    index = ta.tensor([1, 0])
    assert x[index].device == "cuda:0" and x[[0, 1]].device == "cuda:0"
    assert x[:, np.array([True, False, True])].shape == (2, 2)
    z = x.detach()
    z[0, 0] = ta.tensor(5.0)
    z[1] = 7
    assert z.tolist() == [[5, 1, 1], [7, 7, 7]]


def test_numbers_of_all_kinds(gpu: Any) -> None:
    x = ta.tensor([-1.0, 2.0], device="cuda")
    assert ta.where(x > 0, 1.0, 0.0).tolist() == [0, 1] and (x > 0).device == "cuda:0"
    assert (x * np.float32(2) + np.int64(1)).tolist() == [-1, 5]
    assert ta.full_like(x, ta.tensor(3.0)).tolist() == [3, 3]
    assert ta.full((2,), x[1], device="cuda").tolist() == [2, 2]
    assert ta.ones(2, dtype=ta.float64).type_as(x).device == "cuda:0"
    with pytest.raises(DeviceError, match="expected all tensors on one device"):
        x * np.ones(2, "f")
    for value in ([5.0, 6.0], np.array([5.0, 6.0]), ta.tensor([5.0, 6.0])):
        x[:] = value
        assert x.tolist() == [5, 6]
    y = ta.randn(3, dtype=ta.float64, device="cuda", requires_grad=True)
    assert gradcheck(lambda v: (v * v.exp()).sum(), (y,)) and gradgradcheck(ta.sin, (y,))


def test_indices_are_checked(gpu: Any) -> None:
    """CuPy would wrap them around."""
    x = ta.zeros(3, 4, device="cuda")
    for index in ([0, 3], (slice(None), [-5]), (Ellipsis, ta.tensor([4])), (None, [9], [0])):
        with pytest.raises(IndexError, match="out of bounds for axis"):
            check_range(x.array, prepared(index, x.array))
        with pytest.raises(IndexError, match=r"cannot index a tensor of shape \(3, 4\)"):
            x[index]
    assert x[[-3, 2]].shape == x[:, [0, 3]][:2].shape[:1] + (4,)


def test_gradients_cross_devices(gpu: Any) -> None:
    x = ta.tensor([1.0, 2.0], requires_grad=True)
    (x.cuda() ** 3).sum().backward()
    assert x.grad.device == "cpu" and x.grad.tolist() == [3, 12]
    (g,) = ta.grad((x.cuda() ** 3).sum(), x, create_graph=True)
    g.sum().backward()
    assert x.grad.tolist() == [9, 24]


def test_copies_and_pickles(gpu: Any) -> None:
    x = ta.ones(2, device="cuda", requires_grad=True)
    for y in (copy.deepcopy(x), pickle.loads(pickle.dumps(x)), x.clone()):
        assert y.device == "cuda:0" and y.requires_grad and y.tolist() == [1, 1]
        assert y.data_ptr() != x.data_ptr()


# ---- several GPUs


def test_several_gpus(cupy: Any) -> None:
    assert ta.cuda.device_count() == 2
    x = ta.ones(2, 3, device="cuda:1", requires_grad=True)
    w = ta.full((4, 3), 2.0, device="cuda:1", requires_grad=True)
    assert x.device == "cuda:1" and ta.cuda.current_device() == 0
    y = F.linear(x, w).relu()
    loss = (y * y + y).mean() + (x - w[:2]).pow(2).sum()
    loss.backward()
    assert {str(t.device) for t in (y, loss, x.grad, w.grad)} == {"cuda:1"}
    assert ta.zeros(2, device="cuda").device == "cuda:0"
    with pytest.raises(DeviceError) as error:
        x + ta.ones(3, device="cuda:0")
    assert "got (2, 3) on cuda:1 and (3,) on cuda:0" in str(error.value)
    z = x.to("cuda:0")
    assert z.device == "cuda:0" and x.cuda(1) is x and x.cpu().tolist() == z.tolist()
    z.sum().backward()
    assert x.grad.device == "cuda:1"
    with pytest.raises(DeviceError, match="got cuda:2\n  fix: use cuda:0 to cuda:1"):
        ta.ones(1, device="cuda:2")


def test_the_current_gpu(cupy: Any) -> None:
    with ta.cuda.device(1):
        assert ta.cuda.current_device() == 1 and ta.ones(2, device="cuda").device == "cuda:1"
    with cupy.cuda.Device(1):
        assert ta.ones(2, device="cuda").device == "cuda:1"
    ta.cuda.set_device("cuda:1")
    x = ta.ones(2).cuda()
    ta.cuda.set_device(0)
    assert x.device == "cuda:1" and (x * 2).device == "cuda:1"


def test_a_model_on_the_second_gpu(cupy: Any) -> None:
    losses = [train("cpu"), train("cuda:1")]
    np.testing.assert_allclose(*losses, rtol=1e-5)


def test_the_guard_goes_with_the_backend() -> None:
    with fakecupy.installed():
        ta.ones(2, device="cuda:1")
        assert state.mode == 2
    assert state.mode == 1 and not state.observers


def test_the_guard_stays_when_blocks_end(cupy: Any) -> None:
    with ta.autocast("cpu"):
        x = ta.ones(2, device="cuda:1")
    with ta.autocast("cuda"), ta.no_grad():
        assert (x * 2).device == "cuda:1"
    assert (x * 2 + x).device == "cuda:1" and len(state.observers) == 1


# ---- random numbers


def test_generators(gpu: Any) -> None:
    g = ta.Generator(device="cuda").manual_seed(3)
    assert g.device == "cuda:0" and g.initial_seed() == 3
    first = ta.randn(1000, generator=g, device="cuda")
    kept = g.get_state()
    second = ta.rand(1000, generator=g, device="cuda")
    g.set_state(kept)
    assert ta.rand(1000, generator=g, device="cuda").tolist() == second.tolist()
    again = ta.randn(1000, generator=ta.Generator("cuda").manual_seed(3), device="cuda")
    assert again.tolist() == first.tolist() and abs(first.mean().item()) < 0.15
    assert 0.9 < first.std().item() < 1.1 and second.min() >= 0 and second.max() < 1
    assert ta.randn(0, device="cuda").shape == (0,) and ta.randn((), device="cuda").ndim == 0
    with pytest.raises(DeviceError, match="expected a generator on cpu, got one on cuda:0"):
        ta.rand(2, generator=g)


def test_manual_seed_seeds_all(cupy: Any) -> None:
    def draws() -> list[Any]:
        ta.manual_seed(5)
        return [ta.rand(3, device=d).tolist() for d in ("cpu", "cuda:0", "cuda:1")]

    first = draws()
    assert draws() == first and first[1] == first[2]
    ta.manual_seed(6)
    assert ta.rand(3, device="cuda").tolist() != first[1]
    ta.cuda.manual_seed_all(5)
    assert ta.rand(3, device="cuda:1").tolist() == first[2]
    kept = ta.cuda.get_rng_state(1)
    again = ta.rand(3, device="cuda:1").tolist()
    ta.cuda.set_rng_state(kept, "cuda:1")
    assert ta.rand(3, device="cuda:1").tolist() == again
    with pytest.raises(CheckpointError, match="no state of a Generator"):
        ta.cuda.set_rng_state(ta.get_rng_state())


def test_draws(gpu: Any) -> None:
    ta.manual_seed(0)
    x = ta.zeros(2000, device="cuda")
    assert sorted(ta.randperm(50, device="cuda").tolist()) == list(range(50))
    low = ta.randint(-3, 4, (2000,), device="cuda")
    assert set(low.tolist()) == set(range(-3, 4)) and low.dtype == ta.int64
    assert abs(x.exponential_(2.0).mean().item() - 0.5) < 0.1
    assert abs(x.uniform_(-1, 1).mean().item()) < 0.1
    assert abs(x.bernoulli_(0.3).mean().item() - 0.3) < 0.05
    assert set(x.random_(0, 3).tolist()) == {0, 1, 2}
    chances = ta.full((2000,), 0.7, device="cuda")
    assert abs(ta.bernoulli(chances).mean().item() - 0.7) < 0.05
    assert abs(ta.poisson(chances * 10).mean().item() - 7) < 0.5
    picks = ta.multinomial(ta.tensor([0.0, 1.0, 3.0], device="cuda"), 2)
    assert sorted(picks.tolist()) == [1, 2] and picks.device == "cuda:0"
    kept = F.dropout(ta.ones(4000, device="cuda"), 0.25)
    assert abs(
        (kept > 0).float().mean().item() - 0.75
    ) < 0.05 and kept.max().item() == pytest.approx(4 / 3)
    assert nn.init.orthogonal_(ta.empty(3, 3, device="cuda")).device == "cuda:0"


# ---- modules, optimizers, files


def make_model() -> nn.Module:
    ta.manual_seed(1)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.BatchNorm1d(8), nn.Linear(8, 3))


def train(device: str, optimizer: Any = ta.optim.SGD, **options: Any) -> list[float]:
    model = make_model().to(device)
    rng = np.random.default_rng(0)
    x = ta.tensor(rng.standard_normal((32, 6)), dtype=ta.float32, device=device)
    labels = ta.tensor(rng.integers(0, 3, 32), device=device)
    steps = optimizer(model.parameters(), lr=0.05, **options)
    losses = []
    for _ in range(5):
        steps.zero_grad()
        loss = F.cross_entropy(model(x), labels)
        loss.backward()
        steps.step()
        losses.append(loss.item())
    return losses


OPTIMIZERS = [
    (ta.optim.SGD, {"momentum": 0.9, "nesterov": True}), (ta.optim.Adam, {"amsgrad": True}),
    (ta.optim.AdamW, {}), (ta.optim.RMSprop, {"centered": True, "momentum": 0.5}),
    (ta.optim.Adagrad, {}), (ta.optim.NAdam, {}), (ta.optim.RAdam, {}), (ta.optim.Adamax, {}),
]  # fmt: skip


@pytest.mark.parametrize(("optimizer", "options"), OPTIMIZERS)
def test_the_same_losses_on_the_gpu(gpu: Any, optimizer: Any, options: dict[str, Any]) -> None:
    near, far = [train(d, optimizer, **options) for d in ("cpu", "cuda")]
    np.testing.assert_allclose(near, far, rtol=1e-4)


LAYERS = [
    (lambda: nn.Conv2d(4, 6, 3, padding=1, groups=2), (2, 4, 5, 5)),
    (lambda: nn.ConvTranspose2d(4, 2, 3, stride=2), (2, 4, 5, 5)),
    (lambda: nn.LayerNorm(8), (3, 8)), (lambda: nn.GroupNorm(2, 8), (3, 8)),
    (lambda: nn.MaxPool2d(2), (2, 3, 6, 6)), (lambda: nn.AvgPool2d(3, padding=1), (2, 3, 6, 6)),
    (lambda: nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0), (5, 2, 8)),
    (lambda: nn.LSTM(8, 4, num_layers=2), (5, 2, 8)), (lambda: nn.GRU(8, 4), (5, 2, 8)),
    (lambda: nn.Upsample(scale_factor=2, mode="bilinear"), (1, 2, 4, 4)),
    (lambda: nn.GELU(), (3, 4)), (lambda: nn.Softmax(-1), (3, 4)),
]  # fmt: skip


@pytest.mark.parametrize(("make", "shape"), LAYERS)
def test_layers(gpu: Any, make: Any, shape: tuple[int, ...]) -> None:
    if make is LAYERS[9][0] and not hasattr(nn, "Upsample"):
        return
    ta.manual_seed(2)
    near = make()
    far = copy.deepcopy(near).cuda()
    x = ta.randn(*shape)
    found = []
    for layer, device in ((near, "cpu"), (far, "cuda")):
        z = x.to(device).detach().requires_grad_()
        y = layer(z)
        y = y[0] if isinstance(y, tuple) else y
        (y * y).sum().backward()
        grads = [z.grad, *[p.grad for p in layer.parameters()]]
        assert {t.device.type for t in grads} == {ta.device(device).type}
        found.append([y.detach().cpu().numpy(), *[g.cpu().numpy() for g in grads]])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)


def test_attention(gpu: Any) -> None:
    ta.manual_seed(3)
    q, k, v = [ta.randn(2, 4, 6, dtype=ta.float64, requires_grad=True) for _ in range(3)]
    for options in ({}, {"is_causal": True}, {"attn_mask": ta.ones(4, 4).tril().bool()}):
        found = []
        for device in ("cpu", "cuda"):
            there = {k: v.to(device) if isinstance(v, ta.Tensor) else v for k, v in options.items()}
            y = F.scaled_dot_product_attention(*[t.to(device) for t in (q, k, v)], **there)
            found.append([y.detach().cpu(), *ta.grad((y * y).sum(), [q, k, v])])
        for a, b in zip(*found, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-9, atol=1e-12)


def test_module_moves(cupy: Any) -> None:
    model = make_model()
    model(ta.ones(2, 6)).sum().backward()
    for moved in (model.cuda(), model.to("cuda:0"), model.to(ta.device("cuda"))):
        tensors = [*moved.parameters(), *moved.buffers(), *[p.grad for p in moved.parameters()]]
        assert moved is model and {str(t.device) for t in tensors} == {"cuda:0"}
        assert all(p.is_leaf and p.requires_grad for p in moved.parameters())
    assert {str(p.device) for p in model.cpu().parameters()} == {"cpu"}
    for layer in (nn.LSTM(2, 3, device="cuda"), nn.MultiheadAttention(4, 2, device="cuda"),
                  nn.BatchNorm1d(3, device="cuda"), nn.Conv1d(1, 2, 3, device="cuda"),
                  nn.Embedding(3, 2, device="cuda"), nn.GroupNorm(1, 2, device="cuda"),
                  nn.TransformerDecoderLayer(4, 2, 8, device="cuda")):  # fmt: skip
        assert {str(p.device) for p in layer.state_dict().values()} == {"cuda:0"}


def test_states_and_files(cupy: Any, tmp_path: Path) -> None:
    model, other = make_model().cuda(), make_model()
    ta.save(model.state_dict(), tmp_path / "m.safetensors")
    loaded = ta.load(tmp_path / "m.safetensors")
    assert {t.device.type for t in loaded.values()} == {"cpu"}
    there = ta.load(tmp_path / "m.safetensors", map_location="cuda")
    assert {str(t.device) for t in there.values()} == {"cuda:0"}
    other.cuda().load_state_dict(loaded)  # values are copied to where the parameters are
    assert {str(t.device) for t in other.parameters()} == {"cuda:0"}
    steps = ta.optim.Adam(model.parameters())
    model(ta.ones(2, 6, device="cuda")).sum().backward()
    steps.step()
    state = steps.state_dict()["state"][0]
    assert state["exp_avg"].device == "cuda:0" and state["step"].device == "cpu"
    near = ta.optim.Adam(make_model().parameters())
    near.load_state_dict(steps.state_dict())
    assert near.state_dict()["state"][0]["exp_avg"].device == "cpu"
    steps.load_state_dict(near.state_dict())
    assert steps.state_dict()["state"][0]["exp_avg"].device == "cuda:0"


def test_checkpoint_draws_the_same(gpu: Any) -> None:
    x = ta.ones(50, device="cuda", requires_grad=True)
    y = checkpoint(lambda v: F.dropout(v, 0.5) * v, x)
    (y.detach() * 1).sum()
    y.sum().backward()
    np.testing.assert_allclose(x.grad.cpu().numpy(), 2 * y.detach().cpu().numpy())


def test_loader_and_pinned_memory(cupy: Any) -> None:
    data = TensorDataset(ta.arange(10.0), ta.arange(10))
    for x, n in DataLoader(data, batch_size=5, pin_memory=True):
        y = x.to("cuda", non_blocking=True)
        assert y.device == "cuda:0" and y.tolist() == x.tolist() == [float(v) for v in n]
    assert ta.ones(2).pin_memory().tolist() == [1, 1]
    assert ta.tensor([1.0], pin_memory=True).array is fakecupy.device.PINNED[-1]


# ---- the namespace


def test_memory(cupy: Any) -> None:
    before = ta.cuda.memory_allocated()
    x = ta.zeros(1000, device="cuda")
    assert ta.cuda.memory_allocated() - before == 4000
    del x
    assert ta.cuda.memory_allocated() == before and ta.cuda.memory_reserved() >= 4000
    ta.cuda.empty_cache()
    assert ta.cuda.memory_reserved() == before
    ta.cuda.set_memory_limit(2**20)
    assert (
        "at most 1.0 MiB" in ta.cuda.memory_summary() and "Stand-in 0" in ta.cuda.memory_summary()
    )
    with pytest.raises(MemoryError):
        ta.zeros(2**20, device="cuda")
    ta.cuda.set_memory_limit(None)
    assert ta.zeros(2**20, device="cuda").numel() == 2**20
    assert ta.cuda.mem_get_info()[1] == 2**30
    with pytest.raises(ValueError, match="fraction"):
        ta.cuda.set_memory_limit(fraction=2)


def test_peaks_of_memory(cupy: Any) -> None:
    kept = ta.zeros(100, device="cuda")
    before = ta.cuda.memory_allocated()
    assert "peak" not in ta.cuda.memory_summary() and not fakecupy.device.HOOKS
    with pytest.warns(UserWarning, match="nobody counted until now"):
        assert ta.cuda.max_memory_allocated() == before
    x = ta.zeros(2**18, device="cuda") + 1  # two arrays of 1 MiB at once
    assert ta.cuda.max_memory_allocated() == before + 2**21
    assert "at the peak 2.0 MiB" in ta.cuda.memory_summary()
    del x
    ta.zeros(2**20, device="cuda:1")
    assert ta.cuda.max_memory_allocated("cuda:1") == 2**22
    assert ta.cuda.max_memory_allocated() == before + 2**21 and ta.cuda.memory_allocated() == before
    ta.cuda.empty_cache()
    assert ta.cuda.max_memory_reserved() >= before + 2**21 > ta.cuda.memory_reserved()
    ta.cuda.reset_peak_memory_stats()
    assert ta.cuda.max_memory_allocated() == ta.cuda.max_memory_reserved() == before
    ta.cuda.set_memory_limit(2**20)
    with pytest.raises(MemoryError):
        ta.zeros(2**20, device="cuda")
    assert ta.cuda.max_memory_allocated() == before and kept.numel() == 100


def test_peaks_need_a_gpu() -> None:
    with fakecupy.installed(driver=False):
        for work in (ta.cuda.max_memory_allocated, ta.cuda.reset_peak_memory_stats):
            with pytest.raises(ta.errors.DeviceError, match="no CUDA driver"):
                work()


def test_streams_and_names(cupy: Any) -> None:
    own = ta.cuda.Stream()
    assert ta.cuda.current_stream().cuda_stream == 0
    with ta.cuda.stream(own):
        assert ta.cuda.current_stream().cuda_stream == own.cuda_stream
        assert (ta.ones(2, device="cuda") * 2).tolist() == [2, 2]
    own.wait_stream(ta.cuda.current_stream())
    own.synchronize()
    ta.cuda.synchronize()
    assert ta.cuda.get_device_name(1) == "Stand-in 1" and ta.cuda.get_device_capability() == (9, 0)
    assert accelerators.report()["cuda"]["gpus"] == "Stand-in 0, Stand-in 1"


def test_matmul_precision(cupy: Any) -> None:
    routines = sys.modules["cupy._core._routines_linalg"]
    assert ta.get_float32_matmul_precision() == "highest"
    try:
        ta.ones(1, device="cuda")
        assert routines.chosen == {ta.float32: 1}
        ta.set_float32_matmul_precision("high")
        assert routines.chosen == {ta.float32: 7} and ta.get_float32_matmul_precision() == "high"
    finally:
        ta.set_float32_matmul_precision("highest")
    assert routines.chosen == {ta.float32: 1}
    with pytest.raises(ValueError, match="expected one of highest, high, medium, got 'low'"):
        ta.set_float32_matmul_precision("low")
