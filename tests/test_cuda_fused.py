"""The compiled CUDA kernels behind the backend's door: the simulator's module, on the stand-in."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import tests.fakecupy as fakecupy
import tinygrad_ai as ta
import tinygrad_ai.nn.functional as F
from tests.cuda_programs import library_file, module
from tinygrad_ai import backend
from tinygrad_ai.backend import cublaslt, fused_cuda, fused_cuda_linear, kernels, native

SHAPES = [((5, 7), 3), ((2, 3, 17), 33), ((1, 1), 1), ((0, 4), 2)]


@pytest.fixture(scope="module")
def compiled() -> Any:
    return module()


@pytest.fixture(params=["cupy", "ours", "cublaslt", "auto"])
def cuda(
    request: pytest.FixtureRequest, compiled: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[str]]:
    """The names of the kernels that were called, with each way to compute products."""
    library = str(library_file())
    monkeypatch.setattr(cublaslt, "places", lambda: [library])
    called: list[str] = []

    class Counted:
        def __getattr__(self, name: str) -> Any:
            called.append(name)
            return getattr(compiled, name)

    with fakecupy.installed(), fused_cuda_linear.products(request.param):
        fused_cuda.stand_in(backend.on("cuda"), Counted())
        called.clear()
        yield called
        assert ("product" in called) == (request.param in ("ours", "auto"))
        assert ("CublasLt" in called) == (request.param in ("cublaslt", "auto"))


def results(device: str, shape: Any, outputs: int, act: str | None, dtype: str) -> list[Any]:
    """The value of a fused layer, and the gradients of x, w and b."""
    r = np.random.default_rng(sum(shape) + outputs)
    arrays = [r.standard_normal(s).astype(dtype) for s in (shape, (outputs, shape[-1]), (outputs,))]
    x, w, b = [ta.tensor(a, device=device, requires_grad=True) for a in arrays]
    y = F.linear(x, w, b, act=act)
    g = ta.tensor(r.standard_normal(y.shape).astype(dtype), device=device)
    y.backward(g)
    return [t.detach().cpu().numpy() for t in (y, x.grad, w.grad, b.grad)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("act", kernels.ACTS)
def test_fused_layers_and_their_gradients(cuda: list[str], act: str | None, dtype: str) -> None:
    for shape, outputs in SHAPES:
        got, wanted = (results(d, shape, outputs, act, dtype) for d in ("cuda", "cpu"))
        for mine, plain in zip(got, wanted, strict=True):
            assert mine.dtype == plain.dtype
            tol = 1e-4 if dtype == "float32" else 1e-11
            np.testing.assert_allclose(mine, plain, rtol=tol, atol=tol)
    assert "act_grad" in cuda


def test_operands_with_gaps(cuda: list[str]) -> None:
    x = ta.ones(6, 4, device="cuda")
    assert F.linear(x, ta.ones(4, 3, device="cuda").T).tolist() == [[4.0] * 3] * 6  # not by rows
    assert (
        F.linear(x.half()[:, :3], ta.ones(2, 3, device="cuda").half()).tolist() == [[3.0] * 2] * 6
    )
    y = ta.arange(4, device="cuda", dtype=ta.float32).requires_grad_()
    F.gelu(y).sum().backward()  # the gradient of a sum has no memory of its own: strides of 0
    assert y.grad.shape == (4,)
    F.linear(x, ta.ones(2, 4, device="cuda"))


def test_why_they_are_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    def missing(*_: Any) -> Any:
        raise ImportError("no module")

    monkeypatch.setattr(fused_cuda, "import_module", missing)
    monkeypatch.setattr(fused_cuda, "NOTE", tmp_path / "cuda.txt")
    assert fused_cuda.load() == (None, "it was not built: no module")
    monkeypatch.setattr(fused_cuda, "import_module", lambda *_: SimpleNamespace(sources="old"))
    assert fused_cuda.load() == (None, native.STALE)
    monkeypatch.setattr(fused_cuda, "import_module", missing)
    (tmp_path / "cuda.txt").write_text("there is no nvcc\n")
    assert fused_cuda.load() == (None, "there is no nvcc")


def test_products_beside_layers(cuda: list[str]) -> None:
    """Matrices and stacks of them, by rows and by columns, in the way that was chosen."""
    r = np.random.default_rng(0)
    for left, right in [((3, 4), (4, 5)), ((2, 3, 4), (4, 5)), ((2, 1, 3, 4), (3, 4, 5)),
                        ((0, 3, 4), (0, 4, 5))]:  # fmt: skip
        a, b = r.standard_normal(left), r.standard_normal(right)
        for ours, x in ((a, a), (a.swapaxes(-1, -2).copy().swapaxes(-1, -2), a)):
            for mine in (b, b.swapaxes(-1, -2).copy().swapaxes(-1, -2)):
                got = [ta.tensor(v, device="cuda") for v in (ours, mine)]
                np.testing.assert_allclose(ta.matmul(*got).cpu().numpy(), x @ b, atol=1e-12)
    F.linear(*[ta.ones(2, 3, device="cuda")] * 2)


def test_stacks_of_nothing(cuda: list[str]) -> None:
    y = ta.matmul(ta.ones(2, 0, 3, device="cuda"), ta.ones(2, 3, 4, device="cuda"))
    assert y.shape == (2, 0, 4)
    F.linear(*[ta.ones(2, 3, device="cuda")] * 2)
