"""The linear layer's CUDA kernels against NumPy: run by the simulator of tests/cuda/cusim.h.

Where there is a GPU and the module is installed, the GPU runs the same tests.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import erf

from tests.cuda_memory import Simulated, gpu
from tests.cuda_nvrtc import module_behind_a_driver
from tests.cuda_programs import module
from tests.required import required

GPU = gpu()
REQUIRED = required("gpu")

SIZES = [(1, 1, 1), (1, 17, 3), (15, 16, 17), (63, 64, 65), (70, 33, 45), (65, 68, 40)]
EMPTY = [(0, 3, 2), (3, 0, 2), (3, 2, 0), (0, 0, 0)]


def relu(z: np.ndarray) -> np.ndarray:
    return np.maximum(z, 0)


def gelu_tanh(z: np.ndarray) -> np.ndarray:
    return z / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3)))


VALUES: dict[str, Any] = {
    "none": lambda z: z,
    "relu": relu,
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": np.tanh,
    "gelu": lambda z: z / 2 * (1 + erf(z / np.sqrt(2))),
    "gelu_tanh": gelu_tanh,
    "silu": lambda z: z / (1 + np.exp(-z)),
}
NEEDS_Z = ("gelu", "gelu_tanh", "silu")
WAYS = [
    ("tiled", "float32", ["nt"]), ("tiled", "float64", ["nt"]),
    ("blocked", "float32", ["nt", "nn", "tn"]), ("blocked", "float64", ["nt", "nn", "tn"]),
    ("tensor_core", "float32", ["nt", "nn", "tn"]),
    ("tensor_core", "bfloat16", ["nt", "nn", "tn"]),
    ("tensor_core", "float16", ["nt", "nn", "tn"]),
]  # fmt: skip
CASES = [(way, dtype, layout) for way, dtype, layouts in WAYS for layout in layouts]


WAYS_TO_RUN = ["simulator", "simulator behind a driver"]


@pytest.fixture(
    scope="module", params=WAYS_TO_RUN if isinstance(GPU, str) else [*WAYS_TO_RUN, "gpu"]
)
def cuda(request: pytest.FixtureRequest) -> Any:
    if request.param == "gpu":
        return GPU
    if request.param == "simulator behind a driver":
        return Simulated(module_behind_a_driver())
    return Simulated(module())


@pytest.mark.gpu
def test_a_gpu_runs_these_tests_too() -> None:
    if isinstance(GPU, str) and not REQUIRED:
        pytest.skip(f"no GPU for the kernels: {GPU}")
    assert not isinstance(GPU, str), GPU


def stored(x: np.ndarray, dtype: str) -> np.ndarray:
    """x as a kernel finds it; bfloat16 as the upper half of a float32, rounded to even."""
    if dtype != "bfloat16":
        return np.ascontiguousarray(x, dtype)
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    high = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
    return np.where(np.isnan(x), 0x7FFF, high).astype(np.uint16)


def read(x: np.ndarray, dtype: str) -> np.ndarray:
    with np.errstate(invalid="ignore"):  # of signalling NaN
        if dtype == "bfloat16":
            return (x.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
        return x.astype(np.float64)


def fresh(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """An array full of NaN, so that what is not written shows."""
    return stored(np.full(shape, np.nan), dtype)


def tolerance(way: str, dtype: str) -> float:
    if way == "tensor_core" and dtype == "float32":
        return 2e-3  # TF32 has float16's mantissa
    return {"float32": 2e-5, "float64": 1e-13, "float16": 2e-3, "bfloat16": 1.6e-2}[dtype]


def near(got: np.ndarray, wanted: np.ndarray, tol: float) -> None:
    assert not np.isnan(got).any()
    scale = max(1.0, float(np.abs(wanted).max(initial=0)))
    np.testing.assert_allclose(got, wanted, rtol=tol, atol=tol * scale)


def matrices(layout: str, m: int, n: int, k: int, dtype: str) -> tuple[np.ndarray, ...]:
    r = np.random.default_rng(m + 10 * n + 100 * k)
    a = r.standard_normal((k, m) if layout == "tn" else (m, k))
    b = r.standard_normal((n, k) if layout == "nt" else (k, n))
    return stored(a, dtype), stored(b, dtype), stored(r.standard_normal(n), dtype)


def product(
    cuda: Any, way: str, layout: str, dtype: str, a: Any, b: Any, bias: Any, act: str = "none"
) -> tuple[np.ndarray, np.ndarray]:
    m, k = a.shape[::-1] if layout == "tn" else a.shape
    n = b.shape[0] if layout == "nt" else b.shape[1]
    c, z = fresh((m, n), dtype), fresh((m, n), dtype)
    kind = getattr(cuda.Dtype, dtype)
    cuda.run(
        "product", getattr(cuda.Way, way), getattr(cuda.Layout, layout), kind, a, b, bias, c,
        z if act in NEEDS_Z else None, m, n, k, getattr(cuda.Act, act), 0,
    )  # fmt: skip
    return read(c, dtype), read(z, dtype)


def meant(layout: str, dtype: str, a: Any, b: Any, bias: Any) -> np.ndarray:
    a, b = read(a, dtype), read(b, dtype)
    z = (a.T if layout == "tn" else a) @ (b.T if layout == "nt" else b)
    return z if bias is None else z + read(bias, dtype)


@pytest.mark.parametrize("way, dtype, layout", CASES)
@pytest.mark.parametrize("m, n, k", SIZES + EMPTY)
def test_product(cuda: Any, way: str, dtype: str, layout: str, m: int, n: int, k: int) -> None:
    a, b, bias = matrices(layout, m, n, k, dtype)
    for given in (bias, None):
        got, _ = product(cuda, way, layout, dtype, a, b, given)
        near(got, meant(layout, dtype, a, b, given), tolerance(way, dtype))


@pytest.mark.parametrize("act", VALUES)
@pytest.mark.parametrize("way, dtype, layout", [c for c in CASES if c[2] == "nt"])
def test_activation(cuda: Any, way: str, dtype: str, layout: str, act: str) -> None:
    a, b, bias = matrices(layout, 18, 20, 5, dtype)
    got, z = product(cuda, way, layout, dtype, a, b, bias, act)
    wanted = meant(layout, dtype, a, b, bias)
    near(got, VALUES[act](wanted), tolerance(way, dtype))
    if act in NEEDS_Z:
        near(z, wanted, tolerance(way, dtype))


@pytest.mark.parametrize("way, dtype, layout", CASES)
def test_nan_stays(cuda: Any, way: str, dtype: str, layout: str) -> None:
    for act in VALUES:
        a, b, bias = matrices(layout, 4, 6, 5, dtype)
        rows = a.T if layout == "tn" else a
        rows[2, 3] = fresh((1,), dtype)[0]
        got, _ = product(cuda, way, layout, dtype, a, b, bias, act)
        assert np.isnan(got[2]).all() and not np.isnan(got[[0, 1, 3]]).any(), act


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("layout", ["nt", "nn", "tn"])
def test_addresses_off_the_alignment(cuda: Any, layout: str, dtype: str) -> None:
    """Lines of whole 16 bytes, but the first begins between two of them."""
    a, b, bias = matrices(layout, 24, 16, 32, dtype)
    shifted = []
    for x in (a, b):
        room = np.zeros(x.size + 1, x.dtype)
        room[1:] = x.ravel()
        shifted.append(room[1:].reshape(x.shape))
    got, _ = product(cuda, "tensor_core", layout, dtype, *shifted, bias)
    near(got, meant(layout, dtype, a, b, bias), tolerance("tensor_core", dtype))


@pytest.mark.parametrize("way, dtype", [
    ("blocked", "float32"), ("tensor_core", "float32"), ("tensor_core", "bfloat16"),
])  # fmt: skip
@pytest.mark.parametrize("layout", ["nt", "nn", "tn"])
def test_the_large_tiles(cuda: Any, way: str, dtype: str, layout: str) -> None:
    """As many tiles of 128 x 128 as the simulated GPU has multiprocessors: a hundred."""
    tiles = 16 if cuda.real else 10
    m, n, k = tiles * 128 - 4, tiles * 128 - 8, 16
    a, b, bias = matrices(layout, m, n, k, dtype)
    got, _ = product(cuda, way, layout, dtype, a, b, bias)
    near(got, meant(layout, dtype, a, b, bias), tolerance(way, dtype))


@pytest.mark.skipif(isinstance(GPU, str), reason="only Hopper has its instructions")
@pytest.mark.parametrize("m, n, k", [(1, 1, 8), (256, 128, 64), (300, 200, 72), (1000, 900, 1024)])
def test_hopper(m: int, n: int, k: int) -> None:
    a, b, bias = matrices("nt", m, n, k, "bfloat16")
    for act in VALUES:
        try:
            got, _ = product(GPU, "hopper", "nt", "bfloat16", a, b, bias, act)
        except GPU.CudaError as error:
            if "NotSupported" in str(error):
                pytest.skip(f"not a Hopper, or not compiled for it: {error}")
            raise
        wanted = VALUES[act](meant("nt", "bfloat16", a, b, bias))
        near(got, wanted, tolerance("hopper", "bfloat16"))


def test_tf32_rounds_its_inputs_and_nothing_else(cuda: Any) -> None:
    a, b, bias = matrices("nt", 33, 40, 64, "float32")

    def rounded(x: np.ndarray) -> np.ndarray:
        return ((x.view(np.uint32) + 0x1000) & np.uint32(0xFFFFE000)).view(np.float32)

    got, _ = product(cuda, "tensor_core", "nt", "float32", a, b, bias)
    near(got, meant("nt", "float32", rounded(a), rounded(b), bias), 1e-6)


def slopes(act: str, z: np.ndarray) -> np.ndarray:
    """f'(z) by central differences of the formulas above; at a kink, what PyTorch answers."""
    step = 1e-6
    if act in ("relu", "leaky_relu"):
        return np.where(z > 0, 1, 0.0 if act == "relu" else 0.01)
    return (VALUES[act](z + step) - VALUES[act](z - step)) / (2 * step)


def act_grad(
    cuda: Any, dtype: str, g: np.ndarray, v: np.ndarray | None, act: str, gz: Any, gb: Any
) -> None:
    kind = getattr(cuda.Dtype, dtype)
    space = np.full(cuda.act_grad_space(kind, *g.shape), 255, np.uint8)
    cuda.run(
        "act_grad", kind, g, v, gz, gb, None if gb is None else space, *g.shape,
        getattr(cuda.Act, act), 0,
    )  # fmt: skip


SHAPES = [(1, 1), (7, 33), (64, 32), (65, 31), (300, 65), (0, 5), (5, 0)]


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
@pytest.mark.parametrize("act", VALUES)
@pytest.mark.parametrize("rows, columns", SHAPES)
def test_act_grad(cuda: Any, rows: int, columns: int, act: str, dtype: str) -> None:
    r = np.random.default_rng(rows)
    g, z = stored(r.standard_normal((rows, columns)), dtype), r.standard_normal((rows, columns))
    z[: rows // 2, : columns // 2] = 0  # the kink
    v = stored(z if act in NEEDS_Z else VALUES[act](z), dtype)
    gz, gb = fresh((rows, columns), dtype), fresh((columns,), dtype)
    act_grad(cuda, dtype, g, None if act == "none" else v, act, gz, gb)
    tol = {"float32": 1e-5, "float64": 1e-8, "float16": 4e-3, "bfloat16": 3e-2}[dtype]
    wanted = read(g, dtype) * slopes(act, z)
    near(read(gz, dtype), wanted, tol)
    near(read(gb, dtype), wanted.sum(0), tol * max(1, rows) ** 0.5)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_act_grad_gives_only_what_is_wanted(cuda: Any, dtype: str) -> None:
    g = stored(np.arange(12.0).reshape(4, 3), dtype)
    gz, gb = fresh((4, 3), dtype), fresh((3,), dtype)
    act_grad(cuda, dtype, g, None, "none", None, gb)
    assert read(gb, dtype).tolist() == [18, 22, 26]
    act_grad(cuda, dtype, g, g, "relu", gz, None)
    assert (gz == g).all()
    act_grad(cuda, dtype, g, g, "tanh", g, None)  # in place
    assert read(g, dtype)[0].tolist() == [0, 0, -6]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_every_16_bit_number_is_read_and_written_as_itself(cuda: Any, dtype: str) -> None:
    g = np.arange(1 << 16, dtype=np.uint16).reshape(-1, 64)
    gz = np.zeros_like(g)
    act_grad(cuda, dtype, g, None, "none", gz, None)
    numbers = g if dtype == "bfloat16" else g.view(np.float16)
    real = ~np.isnan(read(numbers, dtype))
    assert (gz[real] == g[real]).all()
    assert np.isnan(read(gz if dtype == "bfloat16" else gz.view(np.float16), dtype)[~real]).all()


def test_act_grad_keeps_nan(cuda: Any) -> None:
    g, v = np.ones((3, 2), np.float32), np.zeros((3, 2), np.float32)
    g[1, 0] = v[2, 1] = np.nan
    for act in VALUES:
        gz, gb = fresh((3, 2), "float32"), fresh((2,), "float32")
        act_grad(cuda, "float32", g, v, act, gz, gb)
        assert np.isnan(gz[1, 0]) and np.isnan(gb[0]), act
        assert np.isnan(gz[2, 1]) == (act not in ("none", "relu", "leaky_relu")), act


def test_sums_have_the_same_bits_in_any_order_of_threads(
    cuda: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    g = stored(np.random.default_rng(0).standard_normal((500, 40)), "float32")
    found = set()
    for order in ("fwd", "rev", "shuffle:1", "shuffle:2"):
        monkeypatch.setenv("CUSIM_ORDER", order)
        gb = fresh((40,), "float32")
        act_grad(cuda, "float32", g, None, "none", None, gb)
        found.add(gb.tobytes())
    assert len(found) == 1


@pytest.mark.parametrize("copies", ["late", "early"])
@pytest.mark.parametrize("order", ["fwd", "rev", "shuffle:3"])
def test_any_order_of_threads_and_copies(
    cuda: Any, monkeypatch: pytest.MonkeyPatch, order: str, copies: str
) -> None:
    monkeypatch.setenv("CUSIM_ORDER", order)
    monkeypatch.setenv("CUSIM_ASYNC", copies)
    for way, dtype, layout in CASES:
        a, b, bias = matrices(layout, 33, 40, 200, dtype)
        got, _ = product(cuda, way, layout, dtype, a, b, bias)
        near(got, meant(layout, dtype, a, b, bias), tolerance(way, dtype))


def test_what_is_refused(cuda: Any) -> None:
    def call(way: str, layout: str, dtype: str, m: int = 1) -> None:
        cuda.product(
            getattr(cuda.Way, way), getattr(cuda.Layout, layout), getattr(cuda.Dtype, dtype),
            0, 0, 0, 0, 0, m, 1, 1, cuda.Act.none, 0,
        )  # fmt: skip

    with pytest.raises(ValueError, match="expected a way that this dtype has"):
        call("tiled", "nn", "float32")
    with pytest.raises(ValueError, match="expected a way that this dtype has"):
        call("blocked", "nt", "bfloat16")
    with pytest.raises(ValueError, match="expected no size below 0, got -1"):
        call("blocked", "nt", "float32", -1)
    with pytest.raises(cuda.CudaError, match=r"csrc/cuda/linear\.cu:\d+: \w+ \(1\)"):
        call("blocked", "nt", "float32", 1 << 31)
