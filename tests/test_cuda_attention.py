"""Attention's CUDA kernels: against the plain ones in float64, and behind the backend's door.

The simulator of tests/cuda/cusim.h runs them; where there is a GPU and the module is installed, the
GPU runs the first part, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tests.fakecupy as fakecupy
import tinygrad_ai as ta
import tinygrad_ai.nn.functional as F
from tests.cuda_memory import Simulated, gpu
from tests.cuda_nvrtc import module_behind_a_driver
from tests.cuda_programs import module
from tests.test_cuda_linear import WAYS_TO_RUN, fresh, read, stored
from tinygrad_ai import backend, nn
from tinygrad_ai.backend import fused_cuda, kernels

GPU = gpu()
DTYPES = ["float32", "float64", "float16", "bfloat16"]
TOLERANCE = {"float32": 2e-5, "float64": 1e-11, "float16": 4e-3, "bfloat16": 3e-2}
SIZES = [(5, 7, 4, 3), (33, 40, 65, 17), (70, 33, 64, 64)]


@pytest.fixture(scope="module")
def compiled() -> Any:
    return module()


@pytest.fixture(
    scope="module", params=WAYS_TO_RUN if isinstance(GPU, str) else [*WAYS_TO_RUN, "gpu"]
)
def cuda(request: pytest.FixtureRequest) -> Any:
    if request.param == "gpu":
        return GPU
    if request.param == "simulator behind a driver":
        return Simulated(module_behind_a_driver())
    return Simulated(request.getfixturevalue("compiled"))


def normal(*shape: int, dtype: str, seed: int, size: float = 1.0) -> np.ndarray:
    return stored(np.random.default_rng(seed).normal(0, size, shape), dtype)


def placed(x: np.ndarray | None, swapped: bool = False) -> tuple[Any, list[int]]:
    """An array as a stack: swapped, its heads are the dimension after the next in memory."""
    if x is None:
        return None, []
    steps = [step // x.itemsize for step in x.strides]
    if swapped:
        steps[-3], steps[-2] = steps[-2], steps[-3]
    return x, steps


def seen(x: np.ndarray) -> np.ndarray:
    return np.swapaxes(x, -3, -2)


class Trial:
    """Heads as a layer splits them: in memory (batch, rows, heads, width)."""

    lead, scale, grow = (2, 2), 0.2, 1.25

    def __init__(self, dtype: str, sizes: tuple[int, ...], causal: bool = False) -> None:
        rows, keys, inner, outer = self.sizes = sizes
        self.dtype, self.causal = dtype, causal
        wide = "float64" if dtype == "float64" else "float32"
        self.q = normal(2, rows, 2, inner, dtype=dtype, seed=1)
        self.k = normal(2, keys, 2, inner, dtype=dtype, seed=2)
        self.v = normal(2, keys, 2, outer, dtype=dtype, seed=3)
        self.g = normal(2, rows, 2, outer, dtype=dtype, seed=4, size=outer**-0.5)
        self.bias = self.keep = None
        self.y, self.lse = fresh(self.g.shape, dtype), fresh((2, 2, rows), wide)
        self.grads = [fresh(x.shape, dtype) for x in (self.q, self.k, self.v)]
        self.gs = fresh((2, 2, rows, keys), dtype)

    def hide(self) -> None:
        """A bias for all heads, with a row that sees nothing and one that does not see all."""
        self.bias = normal(*self.sizes[:2], dtype=self.dtype, seed=5)
        hidden = stored(np.array([-np.inf]), self.dtype)[0]
        self.bias[2], self.bias[3, 1] = hidden, hidden

    def drop(self) -> None:
        self.keep = np.random.default_rng(6).random((2, 2, *self.sizes[:2])) < 0.8

    def arguments(self, cuda: Any) -> tuple[Any, ...]:
        bias = placed(self.bias)
        if self.bias is not None:
            bias = (bias[0], [0, 0, *bias[1]])
        return (
            getattr(cuda.Dtype, self.dtype), list(self.lead),
            *[placed(x, True) for x in (self.q, self.k, self.v)], bias, placed(self.keep),
            placed(self.y, True), self.lse, list(self.sizes), self.scale, self.causal, self.grow,
        )  # fmt: skip

    def run(self, cuda: Any) -> None:
        cuda.run("attention", *self.arguments(cuda), 0)
        kind = getattr(cuda.Dtype, self.dtype)
        space = np.full(cuda.attention_grad_space(kind, 4, self.sizes[0]), 255, np.uint8)
        cuda.run(
            "attention_grad", *self.arguments(cuda), placed(self.g, True),
            *[placed(x, True) for x in self.grads], placed(self.gs), space, 0,
        )  # fmt: skip

    def results(self) -> list[np.ndarray]:
        swapped = [seen(read(x, self.dtype)) for x in (self.y, *self.grads)]
        return [swapped[0], self.lse.astype(np.float64), *swapped[1:], read(self.gs, self.dtype)]

    def wanted(self) -> list[np.ndarray]:
        q, k, v, g = [seen(read(x, self.dtype)) for x in (self.q, self.k, self.v, self.g)]
        bias = None if self.bias is None else read(self.bias, self.dtype)
        with np.errstate(all="ignore"):
            y, lse = kernels.TABLE["attention"](
                backend.numpy, q, k, v, bias, self.scale, self.causal, self.keep, self.grow
            )
            grads = kernels.TABLE["attention_grad"](
                backend.numpy, g, q, k, v, bias, y, lse, self.scale, self.causal, self.keep,
                self.grow, True,
            )  # fmt: skip
        return [y, lse, *grads]


def close(got: list[np.ndarray], wanted: list[np.ndarray], tol: float) -> None:
    for name, mine, plain in zip(("y", "lse", "gq", "gk", "gv", "gs"), got, wanted, strict=True):
        scale = max(1.0, float(np.abs(plain[np.isfinite(plain)]).max(initial=0)))
        np.testing.assert_allclose(mine, plain, rtol=tol, atol=tol * scale, err_msg=name)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("dropped", [False, True])
def test_both_passes(cuda: Any, dtype: str, causal: bool, biased: bool, dropped: bool) -> None:
    for sizes in SIZES:
        trial = Trial(dtype, sizes, causal)
        if biased:
            trial.hide()
        if dropped:
            trial.drop()
        trial.run(cuda)
        close(trial.results(), trial.wanted(), TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_nan_in_a_query_stays_in_its_row(cuda: Any, dtype: str) -> None:
    trial = Trial(dtype, (9, 20, 8, 8))
    trial.q[0, 3, 1, 2] = fresh((1,), dtype)[0]
    trial.run(cuda)
    got, wanted = trial.results(), trial.wanted()
    assert np.isnan(got[0][0, 1, 3]).all() and np.isnan(got[0]).sum() == 8
    close(got, wanted, TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_large_scores_and_long_rows(cuda: Any, dtype: str) -> None:
    """The maximum moves from tile to tile, by more than any number holds."""
    trial = Trial(dtype, (16, 300, 16, 8))
    growing = read(trial.k, dtype) * np.linspace(1, 60, 300)[None, :, None, None]
    trial.k = stored(growing, dtype)
    trial.run(cuda)
    got, wanted = trial.results(), trial.wanted()
    for mine, plain in zip(got[:2], wanted[:2]):
        np.testing.assert_allclose(mine, plain, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_same_bits_in_any_order_of_threads(
    cuda: Any, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = set()
    for order in ("fwd", "rev", "shuffle:1"):
        monkeypatch.setenv("CUSIM_ORDER", order)
        monkeypatch.setenv("CUSIM_ASYNC", "early" if order == "rev" else "late")
        trial = Trial(dtype, (70, 80, 16, 16), causal=True)
        trial.drop()
        trial.run(cuda)
        found.add(b"".join([x.tobytes() for x in (trial.y, trial.lse, *trial.grads, trial.gs)]))
    assert len(found) == 1


def test_what_is_refused(cuda: Any) -> None:
    def call(
        inner: int = 8, rows: int = 4, lead: int = 2, steps: int = 4, dtype: Any = None
    ) -> Any:
        here = (64, [1] * steps)
        cuda.attention(
            cuda.Dtype.bfloat16 if dtype is None else dtype, [1] * lead, here, here, here, (0, []),
            (0, []), here, 64, [rows, 4, inner, 8], 1.0, False, 1.0, 0,
        )  # fmt: skip

    for dtype in DTYPES:
        with pytest.raises(cuda.CudaError, match=r"csrc/cuda/attention\w*\.cuh?:\d+: \w+ \(1\)"):
            call(inner=129, dtype=getattr(cuda.Dtype, dtype))
    with pytest.raises(cuda.CudaError, match=r"\(1\)"):
        call(rows=1 << 31)
    with pytest.raises(ValueError, match="expected a step for each leading dimension"):
        call(steps=3)
    with pytest.raises(ValueError, match="at most 6 leading dimensions"):
        call(lead=7, steps=9)
    with pytest.raises(ValueError, match="expected no size below 0, got -1"):
        call(rows=-1)


# ---- behind the door: the simulator's module on the stand-in for CuPy


@pytest.fixture
def called(compiled: Any) -> Iterator[list[str]]:
    """The names of the kernels that were called; tensors on "cuda" go to them."""
    names: list[str] = []

    class Counted:
        def __getattr__(self, name: str) -> Any:
            names.append(name)
            return getattr(compiled, name)

    with fakecupy.installed():
        fused_cuda.stand_in(backend.on("cuda"), Counted())
        names.clear()
        yield names


HOW: list[dict[str, Any]] = [
    {}, {"is_causal": True}, {"attn_mask": "float"}, {"attn_mask": "bool"}, {"scale": -0.5},
    {"attn_mask": "learned"},
]  # fmt: skip


def attended(device: str, dtype: str, how: dict[str, Any], lead: tuple[int, ...]) -> list[Any]:
    """The value, and the gradients of query, key, value and, if it is learned, of the mask."""
    r = np.random.default_rng(0)
    shapes = [(*lead, 6, 8), (*lead, 9, 8), (*lead, 9, 4)]
    leaves = [
        ta.tensor(r.standard_normal(s).astype(dtype), device=device, requires_grad=True)
        for s in shapes
    ]
    how = dict(how)
    kind, numbers = how.get("attn_mask"), r.standard_normal((6, 9))
    numbers[1, 3] = -np.inf
    if kind == "bool":
        how["attn_mask"] = ta.tensor(numbers > -0.5, device=device)
    elif kind:
        mask = ta.tensor(numbers.astype(dtype), device=device, requires_grad=kind == "learned")
        how["attn_mask"] = mask
        leaves += [mask] if kind == "learned" else []
    y = F.scaled_dot_product_attention(*leaves[:3], **how)
    y.backward(ta.tensor(r.standard_normal(y.shape).astype(dtype), device=device))
    return [t.detach().cpu().numpy() for t in (y, *[leaf.grad for leaf in leaves])]


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("how", HOW, ids=str)
def test_scaled_dot_product_attention(called: list[str], how: dict[str, Any], dtype: str) -> None:
    for lead in [(2, 3), (4,), ()]:
        got = attended("cuda", dtype, how, lead)
        wanted = attended("cpu", "float64", how, lead)
        for mine, plain in zip(got, wanted, strict=True):
            assert mine.dtype == dtype
            tol = {"float32": 1e-5, "float64": 1e-12, "float16": 1e-2}[dtype]
            np.testing.assert_allclose(mine, plain, rtol=tol, atol=tol)
    assert {"attention", "attention_grad"} <= set(called)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_layer_with_dropout_and_padding(called: list[str], dtype: str) -> None:
    def run(device: str, dtype: str) -> list[np.ndarray]:
        ta.manual_seed(0)
        layer = nn.MultiheadAttention(16, 2, batch_first=True).to(dtype=getattr(ta, dtype))
        r = np.random.default_rng(1)
        layer = layer.to(device)
        x = ta.tensor(r.standard_normal((3, 7, 16)).astype(dtype), device=device)
        x.requires_grad_()
        padding = ta.tensor(np.arange(7) > np.array([[6], [4], [2]]), device=device)
        y, _ = layer(x, x, x, key_padding_mask=padding, need_weights=False)
        y.sum().backward()
        tensors = [y, x.grad, *[p.grad for p in layer.parameters()]]
        return [t.detach().cpu().numpy() for t in tensors]

    for mine, plain in zip(run("cuda", dtype), run("cpu", "float64"), strict=True):
        tol = {"float32": 1e-4, "float16": 3e-2}[dtype]
        np.testing.assert_allclose(mine, plain, rtol=tol, atol=tol)
    assert {"attention", "attention_grad"} <= set(called)


def test_dropout_keeps_what_the_mask_says(called: list[str]) -> None:
    ta.manual_seed(3)
    q = ta.randn(2, 5, 8, device="cuda").half().requires_grad_()
    y = F.scaled_dot_product_attention(q, q, ta.ones(2, 5, 8, device="cuda").half(), dropout_p=0.5)
    y.sum().backward()
    rows = y.detach().cpu().numpy().astype(np.float64)
    assert np.ptp(rows[0, :, 0]) > 0.05  # the kept probabilities of a row, doubled, sum to anything
    assert abs(rows.mean() - 1) < 0.5 and q.grad.shape == q.shape
    assert "attention" in called


def test_second_order_in_half_precision(called: list[str]) -> None:
    q = ta.tensor(np.linspace(-1, 1, 12).reshape(3, 4).astype("float16"), device="cuda")
    q.requires_grad_()
    y = F.scaled_dot_product_attention(q, q, q)
    (first,) = ta.autograd.grad(y.sum(), [q], create_graph=True)
    (second,) = ta.autograd.grad((first * first).sum(), [q])
    assert first.dtype == second.dtype == ta.float16
    wide = q.detach().cpu().double().requires_grad_()
    (first,) = ta.autograd.grad(F.scaled_dot_product_attention(wide, wide, wide).sum(), [wide],
                                create_graph=True)  # fmt: skip
    (wanted,) = ta.autograd.grad((first * first).sum(), [wide])
    np.testing.assert_allclose(second.cpu().numpy(), wanted.numpy(), rtol=2e-2, atol=2e-2)


def test_what_the_kernels_are_not_made_for(called: list[str]) -> None:
    wide = ta.ones(1, 2, 129, device="cuda", requires_grad=True)
    y = F.scaled_dot_product_attention(wide, wide, wide)
    y.sum().backward()
    assert y.tolist() == [[[1.0] * 129] * 2] and wide.grad.shape == wide.shape
    none = F.scaled_dot_product_attention(*[ta.ones(2, 0, 4, device="cuda")] * 3)
    assert none.shape == (2, 0, 4)
    deep = ta.ones(1, 1, 1, 1, 1, 1, 1, 2, 4, device="cuda")
    assert F.scaled_dot_product_attention(deep, deep, deep).shape == deep.shape
    assert "attention" not in called and "attention_grad" not in called


def test_a_gpu_with_little_shared_memory(
    called: list[str], compiled: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = {
        dtype: compiled.attention_shared(getattr(compiled.Dtype, dtype), 128, 128)
        for dtype in ("float32", "float64")
    }
    tile, words = 32, 2 * 129 + 2 * 129 + 2 * 32  # rows of q, k, g, v; two tiles of scores
    assert shared == {"float32": 4 * tile * words, "float64": 8 * tile * words}
    attributes = {"MaxSharedMemoryPerBlockOptin": 99 << 10}  # compute capability 8.6 and 8.9
    monkeypatch.setattr(backend.on("cuda").xp.cuda.Device, "attributes", attributes)
    for dtype in ("float64", "float32"):
        called.clear()
        x = ta.ones(2, 3, 128, device="cuda", dtype=getattr(ta, dtype), requires_grad=True)
        y = F.scaled_dot_product_attention(x, x, x)
        y.sum().backward()
        np.testing.assert_allclose(y.detach().cpu().numpy(), 1, rtol=1e-6)
        assert ("attention" in called) == ("attention_grad" in called) == (dtype == "float32")


def test_gradients_without_memory_of_their_own(called: list[str]) -> None:
    q = ta.ones(2, 3, 4, device="cuda", requires_grad=True)
    F.scaled_dot_product_attention(q, q, q).sum().backward()  # strides of 0
    assert np.allclose(q.grad.cpu().numpy(), 1) and "attention_grad" in called
