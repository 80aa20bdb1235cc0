"""Every way to compute a layer's products gives the CPU's results: on a GPU with CuPy and NVIDIA's
library (TINYGRAD_AI_REQUIRE=gpu), else the simulator's kernels on the stand-ins."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tinygrad_ai as ta
import tinygrad_ai.nn.functional as F
from tests import fakecupy
from tests.cuda_programs import library_file, module
from tests.required import required
from tinygrad_ai import backend
from tinygrad_ai.backend import cublaslt, fused_cuda, fused_cuda_linear, kernels

ON_GPU = required("gpu")
WAYS = ("auto", *fused_cuda_linear.WAYS)
SHAPES = [(6, 8, 16), (37, 70, 45)] + ON_GPU * [(256, 512, 1024)]  # rows, outputs, inputs
TOLERANCES = {"float64": 1e-11, "float32": 1e-4, "float16": 1e-2, "bfloat16": 5e-2}
DTYPES = [name for name in TOLERANCES if hasattr(ta, name)]
if not ON_GPU:  # the stand-in for CuPy multiplies no bfloat16
    DTYPES = [name for name in DTYPES if name != "bfloat16"]


@pytest.fixture(scope="module")
def door() -> Iterator[Any]:
    """The object behind the linear layer's entries."""
    if ON_GPU:
        be = backend.on("cuda")
        assert not fused_cuda.load()[1], fused_cuda.load()[1]
        yield be.linear.func.__self__
        return
    with pytest.MonkeyPatch.context() as patch, fakecupy.installed():
        patch.setattr(cublaslt, "places", lambda: [str(library_file())])
        be = backend.on("cuda")
        fused_cuda.stand_in(be, module())
        yield be.linear.func.__self__


def arrays(shape: tuple[int, int, int], dtype: str) -> list[np.ndarray]:
    """x, w, b and a gradient, as numbers that the dtype has."""
    m, n, k = shape
    r = np.random.default_rng(m)
    made = [r.standard_normal((m, k)), r.standard_normal((n, k)) / k**0.5,
            r.standard_normal(n), r.standard_normal((m, n))]  # fmt: skip
    return [ta.tensor(a).to(getattr(ta, dtype)).double().numpy() for a in made]


def results(where: str, given: list[np.ndarray], dtype: str, act: str | None) -> list[np.ndarray]:
    """y, gx, gw and gb."""
    *leaves, g = [ta.tensor(a).to(getattr(ta, dtype)).to(where) for a in given]
    x, w, b = [t.requires_grad_() for t in leaves]
    y = F.linear(x, w, b, act=act)
    y.backward(g)
    return [t.detach().double().cpu().numpy() for t in (y, x.grad, w.grad, b.grad)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("way", WAYS)
def test_every_way_gives_the_same(door: Any, way: str, dtype: str, shape: Any) -> None:
    given = arrays(shape, dtype)
    for act in kernels.ACTS:
        wanted = results("cpu", given, "float64", act)
        with fused_cuda_linear.products(way):
            got = results("cuda", given, dtype, act)
        for mine, plain in zip(got, wanted, strict=True):
            tol = TOLERANCES[dtype]
            scale = max(1.0, float(np.abs(plain).max()))
            np.testing.assert_allclose(mine, plain, rtol=tol, atol=tol * scale)


@pytest.mark.parametrize("way", WAYS)
def test_nan_stays_nan(door: Any, way: str) -> None:
    """Through an epilogue's relu, too."""
    x = np.ones((16, 32), np.float32)
    x[3, 5] = np.nan
    with fused_cuda_linear.products(way):
        for act in ("relu", "gelu_tanh"):
            w = ta.ones(24, 32, device="cuda")
            y = F.linear(ta.tensor(x, device="cuda"), w, ta.zeros(24, device="cuda"), act=act)
            np.testing.assert_array_equal(np.isnan(y.cpu().numpy()).any(1), np.isnan(x).any(1))


@pytest.mark.parametrize("way", ["cublaslt", "ours"])
def test_tf32_when_asked_for(door: Any, way: str) -> None:
    given = arrays((64, 64, 256), "float32")
    wanted = results("cpu", given, "float64", None)[0]
    errors = []
    with fused_cuda_linear.products(way):
        for level in ("highest", "high"):
            ta.set_float32_matmul_precision(level)
            try:
                errors.append(np.abs(results("cuda", given, "float32", None)[0] - wanted).max())
            finally:
                ta.set_float32_matmul_precision("highest")
    assert errors[0] < 2e-5 < errors[1] < 2e-2


@pytest.mark.parametrize("dtype", [name for name in DTYPES if name.endswith("16")])
def test_cublaslt_has_the_epilogues_we_count_on(door: Any, dtype: str) -> None:
    """relu and gelu with a bias, z kept: in 16 bits NVIDIA documents them all."""
    with fused_cuda_linear.products("cublaslt"):
        door.lt.plans.clear()
        for act in ("relu", "gelu_tanh"):
            results("cuda", arrays((64, 64, 64), dtype), dtype, act)
    assert len(door.lt.plans) >= 4 and None not in door.lt.plans.values()
