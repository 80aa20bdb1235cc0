"""cuBLASLt behind the linear layer, without a GPU: the module drives a stand-in for the library,
which computes what the descriptors it is handed say (tests/cuda/fake_cublaslt.cpp)."""

from __future__ import annotations

import ctypes
import gc
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tests.fakecupy as fakecupy
import tinygrad_ai as ta
import tinygrad_ai.nn.functional as F
from tests.cuda_programs import CXX, ROOT, library_file, module
from tests.test_cuda_linear import VALUES, fresh, matrices, read, tolerance
from tinygrad_ai import backend
from tinygrad_ai.backend import cublaslt, fused_cuda, fused_cuda_linear
from tinygrad_ai.errors import ArgumentError

SPACE = np.zeros(cublaslt.WORKSPACE // 1024, np.uint8)
SIZES = [(3, 8, 5), (17, 16, 33), (1, 24, 2)]


@pytest.fixture(scope="module")
def cuda() -> Any:
    return module()


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The stand-in, found in the library's place."""
    file = str(library_file())
    monkeypatch.setattr(cublaslt, "places", lambda: [file])
    library = ctypes.CDLL(file)
    yield library
    library.fake_fail(0)
    library.fake_eat_nan(False)


def address(x: np.ndarray | None) -> int:
    return 0 if x is None else x.ctypes.data


def planned(cuda: Any, layout: str, dtype: str, sizes: Any, arrays: Any, **how: Any) -> Any:
    """A plan for a, b, bias, c, z."""
    library = cuda.CublasLt(str(library_file()))
    return library.plan(
        getattr(cuda.Layout, layout), getattr(cuda.Dtype, dtype), how.get("tf32", False),
        *map(address, arrays), *sizes, getattr(cuda.Act, how.get("act", "none")),
        how.get("workspace", SPACE.nbytes),
    )  # fmt: skip


def product(
    cuda: Any, layout: str, dtype: str, sizes: tuple[int, int, int], **how: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """f(z), z as the library kept it, and z in double precision."""
    m, n, k = sizes
    a, b, bias = matrices(layout, m, n, k, dtype)
    c, z = fresh((m, n), dtype), fresh((m, n), dtype)
    arrays = (a, b, bias if how.get("bias") else None, c, z if how.get("keep") else None)
    plan = planned(cuda, layout, dtype, sizes, arrays, **how)
    plan.run(*map(address, arrays), address(SPACE), 0)
    left = read(a, dtype).T if layout == "tn" else read(a, dtype)
    right = read(b, dtype).T if layout == "nt" else read(b, dtype)
    wanted = left @ right + (read(bias, dtype) if how.get("bias") else 0)
    return read(c, dtype), read(z, dtype), wanted


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("layout", ["nt", "nn", "tn"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_layouts_and_epilogues(
    cuda: Any, fake: Any, dtype: str, layout: str, sizes: tuple[int, int, int]
) -> None:
    acts = ["none", "relu"] + ["gelu_tanh"] * (dtype != "float64")
    for act in acts:
        for bias in (False, True):
            for keep in (False, True)[: 1 + (act == "gelu_tanh")]:
                y, kept, z = product(cuda, layout, dtype, sizes, act=act, bias=bias, keep=keep)
                tol = tolerance("", dtype)
                scale = max(1.0, float(np.abs(z).max()))
                np.testing.assert_allclose(y, VALUES[act](z), rtol=tol, atol=tol * scale)
                assert np.isnan(kept).all() != keep
                if keep:
                    np.testing.assert_allclose(kept, z, rtol=tol, atol=tol * scale)
                name = {"none": 0, "relu": 2, "gelu_tanh": 32}[act] + 4 * bias + 128 * keep
                assert fake.fake_epilogue() == (name or 1)


def test_tf32_only_where_it_was_asked_for(cuda: Any, fake: Any) -> None:
    exact, _, z = product(cuda, "nt", "float32", (9, 8, 64))
    assert fake.fake_compute() == 68
    rounded, _, _ = product(cuda, "nt", "float32", (9, 8, 64), tf32=True)
    assert fake.fake_compute() == 77
    assert np.abs(exact - z).max() < 1e-5 < np.abs(rounded - z).max() < 1e-1
    product(cuda, "nt", "float64", (9, 8, 64), tf32=True)
    assert fake.fake_compute() == 70


def test_a_plan_serves_other_arrays(cuda: Any, fake: Any) -> None:
    """The bias and z of each call, not of the first."""
    m, n, k = 4, 8, 3
    a, b, _ = matrices("nt", m, n, k, "float32")
    first = [a, b, *(np.zeros(s, np.float32) for s in (n, (m, n), (m, n)))]
    plan = planned(cuda, "nt", "float32", (m, n, k), first, act="gelu_tanh")
    other = [a, b, *(np.ones(s, np.float32) for s in (n, (m, n), (m, n)))]
    at = cuda.alignment(*map(address, first))
    if cuda.alignment(*map(address, other)) < at:  # the plan was promised more
        pytest.skip("NumPy aligned the second arrays less than the first")
    plan.run(*map(address, other), address(SPACE), 0)
    np.testing.assert_allclose(other[4], a @ b.T + 1, rtol=1e-5, atol=1e-6)
    assert not first[3].any() and not first[4].any()


def test_nothing_is_left_behind(cuda: Any, fake: Any) -> None:
    gc.collect()
    before = fake.fake_live()
    product(cuda, "nt", "float32", (3, 8, 5), bias=True)
    gc.collect()
    assert fake.fake_live() == before


def test_no_kernel_is_no_plan(cuda: Any, fake: Any) -> None:
    arrays = (*matrices("nt", 3, 8, 5, "float64"), fresh((3, 8), "float64"), None)
    plan = partial(planned, cuda, "nt", "float64", (3, 8, 5), arrays)
    assert plan(act="gelu_tanh") is None  # NOT_SUPPORTED
    assert plan(workspace=100) is None  # no result
    assert plan() is not None


def test_alignments(cuda: Any) -> None:
    assert cuda.alignment(512, 1024, 0, 4096, 0) == 256
    assert cuda.alignment(512, 1024 + 16, 0, 4096, 0) == 16
    assert cuda.alignment(512, 1024, 6, 4096, 0) == 2


def test_errors(cuda: Any, fake: Any, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no-such-library"):
        cuda.CublasLt("no-such-library.so")
    (tmp_path / "empty.c").write_text("int nothing;")
    other = tmp_path / "other.so"
    subprocess.run([CXX, "-shared", "-o", other, tmp_path / "empty.c"], check=True)
    with pytest.raises(RuntimeError, match=r"other\.so has no cublasLtCreate"):
        cuda.CublasLt(str(other))
    arrays = (*matrices("nt", 3, 7, 5, "float32"), *[fresh((3, 7), "float32")] * 2)
    plan = partial(planned, cuda, "nt", "float32")
    with pytest.raises(ValueError, match="an activation that cuBLASLt has"):
        plan((3, 7, 5), (*arrays[:4], None), act="silu")
    with pytest.raises(ValueError, match="gelu_tanh and n a multiple of 8 where z is kept"):
        plan((3, 7, 5), arrays, act="gelu_tanh")
    with pytest.raises(ValueError, match="not empty"):
        plan((3, 0, 5), arrays)
    with pytest.raises(ValueError, match="no size below 0"):
        plan((3, -1, 5), arrays)
    made = plan((3, 7, 5), (*arrays[:4], None))
    fake.fake_fail(13)
    said = (
        r"cublaslt\.cpp:\d+: CUBLAS_STATUS_EXECUTION_FAILED \(13\): the stand-in was told to fail"
    )
    with pytest.raises(cuda.CudaError, match=said):
        made.run(*map(address, (*arrays[:4], None)), address(SPACE), 0)


HEADERS = [Path(folder) / "nvidia/cu13/include" for folder in sys.path]
HEADERS.append(Path(os.environ.get("CUDA_HOME", "/usr/local/cuda")) / "include")


def test_the_values_are_those_of_nvidias_header(tmp_path: Path) -> None:
    """Every enumerator of ours beside the one that cublasLt.h has, where the wheel nvidia-cublas
    or a toolkit brought it; the sizes of what is passed by value."""
    found = [folder for folder in HEADERS if (folder / "cublasLt.h").exists()]
    runtime = [folder for folder in HEADERS if (folder / "library_types.h").exists()]
    if not found or not runtime:
        pytest.skip("no cublasLt.h and CUDA headers: pip install nvidia-cublas (400 MB)")
    source = (ROOT / "csrc/cuda/cublaslt_api.h").read_text()
    names = re.findall(r"\b([A-Z][A-Z0-9_]+) = \d", source)
    theirs = {"R": "CUDA_", "C": "CUBLAS_", "O": "CUBLAS_", "S": "CUBLAS_STATUS_", "I":
              "CUBLAS_STATUS_", "N": "CUBLAS_STATUS_", "D": "CUBLASLT_MATMUL_",
              "E": "CUBLASLT_", "P": "CUBLASLT_MATMUL_"}  # fmt: skip
    lines = [f"static_assert(int({theirs[n[0]]}{n}) == int(ours::{n}));" for n in names]
    lines += [
        "using Theirs = cublasLtMatmulHeuristicResult_t; using Ours = ours::HeuristicResult;",
        "static_assert(sizeof(Theirs) == sizeof(Ours) && sizeof(cublasStatus_t) == sizeof(int));",
        "static_assert(offsetof(Theirs, workspaceSize) == offsetof(Ours, workspace));",
        "static_assert(offsetof(Theirs, state) == offsetof(Ours, state));",
        "static_assert(sizeof(cublasLtMatmulAlgo_t) == sizeof(ours::Algo));",
    ]
    assert len(names) > 25
    program = tmp_path / "compare.cpp"
    program.write_text(
        '#include <cublasLt.h>\n#include "cublaslt_api.h"\n'
        "namespace ours = tinygrad_ai::cuda::lt;\n" + "\n".join(lines) + "\n"
    )
    folders = [f"-I{folder}" for folder in (*found, *runtime, ROOT / "csrc/cuda")]
    done = subprocess.run(
        [str(CXX), "-std=c++17", "-fsyntax-only", *folders, str(program)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert not done.returncode, done.stderr[:3000]


@pytest.fixture
def door(cuda: Any, fake: Any) -> Iterator[Any]:
    """The backend with the module's entries, on the stand-in for CuPy; its class of products."""
    with fakecupy.installed(), fused_cuda_linear.products("auto"):
        be = backend.on("cuda")
        fused_cuda.stand_in(be, cuda)
        yield be.linear.func.__self__


def layer(act: str | None = None, rows: int = 6, inner: int = 5, outer: int = 8) -> Any:
    r = np.random.default_rng(rows)
    shapes = ((rows, inner), (outer, inner), (outer,))
    x, w, b = [
        ta.tensor(r.standard_normal(s).astype("float32"), device="cuda", requires_grad=True)
        for s in shapes
    ]
    return lambda: F.linear(x, w, b, act=act)


def scripted(door: Any, monkeypatch: pytest.MonkeyPatch, **times: float) -> list[str]:
    """The clock shows what the test says for each way; the list tells who was timed."""
    asked: list[str] = []

    def timed(call: Any) -> float:
        call()
        way = getattr(call.func, "__name__", "cupy")
        way = way if way in fused_cuda_linear.WAYS else "cupy"
        asked.append(way)
        return times[way]

    monkeypatch.setattr(door, "timed", timed)
    return asked


@pytest.mark.parametrize("best", ["cupy", "ours", "cublaslt"])
def test_auto_measures_once_and_remembers(
    door: Any, fake: Any, monkeypatch: pytest.MonkeyPatch, best: str
) -> None:
    times = {"cupy": 2.0, "ours": 2.0, "cublaslt": 2.0, best: 1.0}
    asked = scripted(door, monkeypatch, **times)
    called = dict.fromkeys(("cupy", "ours", "cublaslt"), 0)
    forward = layer("relu")
    first = forward().detach().cpu().numpy()
    assert asked == ["ours", "cublaslt", "cupy"] * fused_cuda_linear.TURNS
    assert next(iter(door.ranks.values()))[0] == best
    asked.clear()
    for way in ("ours", "cublaslt"):
        work = getattr(door, way)

        def counted(p: Any, way: str = way, work: Any = work) -> Any:
            called[way] += 1
            return work(p)

        monkeypatch.setattr(door, way, counted)
    np.testing.assert_allclose(forward().detach().cpu().numpy(), first, rtol=1e-6)
    assert not asked and [w for w in called if called[w]] == [w for w in [best] if w != "cupy"]
    layer("relu", rows=7)()  # 4 to 7 rows are one kind
    layer("relu", rows=8)()
    layer(None)()
    assert len(asked) == 2 * 3 * fused_cuda_linear.TURNS and len(door.ranks) == 3


def test_a_way_that_gives_nothing_is_not_timed(door: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cublaslt, "opened", lambda module: (None, "not here"))
    asked = scripted(door, monkeypatch, ours=2.0, cupy=1.0)
    layer("relu")()
    assert asked == ["ours", "cupy"] * fused_cuda_linear.TURNS


def test_the_clock_is_the_gpus(door: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    cuda, told = door.be.xp.cuda, []
    for name in ("record", "synchronize"):
        monkeypatch.setattr(cuda.Event, name, lambda event, name=name: told.append(name))
    monkeypatch.setattr(cuda, "get_elapsed_time", lambda start, end: 2.5)
    assert door.timed(lambda: told.append("call")) == 2.5
    assert told == ["record", *["call"] * fused_cuda_linear.LAUNCHES, "record", "synchronize"]


def captures(door: Any, monkeypatch: pytest.MonkeyPatch, now: bool) -> None:
    """From now on the current stream says whether it is captured."""
    stream = type(door.be.xp.cuda.get_current_stream())
    monkeypatch.setattr(stream, "is_capturing", lambda self: now)


def test_nothing_is_measured_or_made_in_a_capture(
    door: Any, fake: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    capture = partial(captures, door, monkeypatch)
    asked = scripted(door, monkeypatch, cupy=1.0, ours=3.0, cublaslt=2.0)
    forward, unknown = layer("relu"), layer("tanh")
    capture(True)
    wanted = forward().detach().cpu().numpy()  # never measured: ours
    assert not asked and not door.ranks and not door.lt.plans and not door.lt.spaces
    with fused_cuda_linear.products("cublaslt"):  # no plan, and none is made: ours
        np.testing.assert_allclose(forward().detach().cpu().numpy(), wanted, rtol=1e-6)
    assert not door.lt.plans and not door.lt.spaces
    capture(False)
    forward()
    assert asked and next(iter(door.ranks.values()))[0] == "cupy"
    capture(True)
    monkeypatch.setattr(door.be, "matmul", None)  # CuPy refuses, though it was the fastest
    with fused_cuda_linear.capturable():
        np.testing.assert_allclose(forward().detach().cpu().numpy(), wanted, rtol=1e-6)
        assert unknown().shape == (6, 8)


def test_plans_and_workspaces_in_a_capture(
    door: Any, fake: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, c = (door.be.empty((8, 8), "float32") for _ in range(2))
    Layout, Dtype, Act = door.module.Layout, door.module.Dtype, door.module.Act
    kind, at = (Layout.nt, Dtype.float32, False, 8, 8, 8, Act.none), (a, a, None, c, None)
    at = tuple([door.address(array) for array in at])
    capture = partial(captures, door, monkeypatch)
    capture(True)
    assert not door.lt(0, kind, at, 5) and not door.lt.plans
    capture(False)
    assert door.lt(0, kind, at, 5) and door.lt(0, kind, at, 5) and door.lt(0, kind, at, 6)
    assert len(door.lt.plans) == 1 and set(door.lt.spaces) == {(0, 5), (0, 6)}
    assert {space.nbytes for space in door.lt.spaces.values()} == {32 << 20}
    capture(True)
    before = fake.fake_calls()
    assert door.lt(0, kind, at, 7) and fake.fake_calls() == before + 1
    assert set(door.lt.spaces) == {(0, 5), (0, 6)}  # the graph's own is in the graph's pool
    assert door.lt.space(0, 5) is not door.lt.space(0, 5)


def test_what_cublaslt_cannot_do_cupy_does(door: Any, fake: Any) -> None:
    with fused_cuda_linear.products("cublaslt"):
        x = ta.ones(0, 4, device="cuda")
        assert F.linear(x, ta.ones(3, 4, device="cuda")).shape == (0, 3)
        x = ta.ones(2, 4, device="cuda", dtype=ta.float64)
        y = F.linear(x, ta.ones(8, 4, device="cuda", dtype=ta.float64), act="gelu_tanh")
        assert fake.fake_epilogue() == 1  # the product alone
        np.testing.assert_allclose(y.cpu().numpy(), VALUES["gelu_tanh"](np.full((2, 8), 4.0)))


@pytest.mark.parametrize("eats", [False, True])
def test_a_relu_that_eats_nan_is_not_used(door: Any, fake: Any, eats: bool) -> None:
    fake.fake_eat_nan(eats)
    x = np.ones((3, 4), np.float32)
    x[1] = np.nan
    with fused_cuda_linear.products("cublaslt"):
        y = F.linear(ta.tensor(x, device="cuda"), ta.ones(8, 4, device="cuda"), act="relu")
    assert fake.fake_epilogue() == (1 if eats else 2)
    np.testing.assert_array_equal(y.cpu().numpy(), np.where(np.isnan(x[:, :1]), x[:, :1], [4] * 8))


def test_ways_are_checked() -> None:
    said = "expected auto or one of cupy, ours, hopper, cublaslt, got 'fast'"
    with pytest.raises(ArgumentError, match=said), fused_cuda_linear.products("fast"):
        pass


def test_hopper_is_for_hoppers(door: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked of bfloat16 products by rows, with the device and the module that have it."""
    Dtype, Layout = door.module.Dtype, door.module.Layout
    called = []
    monkeypatch.setattr(door, "ours", lambda p, way="": called.append(way) or way)
    monkeypatch.setattr(door, "on_hopper", lambda device: True)
    array = door.be.empty((16,), "float32")
    made = fused_cuda_linear.Product(
        array, array, None, (Layout.nt, Dtype.bfloat16, False, 2, 2, 8), None, False, 0
    )
    assert door.hopper(made) == "hopper"
    for kind in (
        (Layout.nn, *made.kind[1:]), (Layout.nt, Dtype.float16, *made.kind[2:]),
        (*made.kind[:5], 7), (*made.kind[:3], 0, 2, 8),
    ):  # fmt: skip
        assert door.hopper(made._replace(kind=kind)) is None
    monkeypatch.undo()
    assert not door.on_hopper(0)  # the stand-in's capability is 90, but the simulator has no such


def test_where_the_library_is_looked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "nvidia/cu13/lib"
    folder.mkdir(parents=True)
    (folder / "libcublasLt.so.13").touch()
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    monkeypatch.setattr(cublaslt, "_loaded", lambda: "/loaded/libcublasLt.so.12")
    found = cublaslt.places()
    assert found[-4:] == [
        str(folder / "libcublasLt.so.13"), "/loaded/libcublasLt.so.12", *cublaslt.NAMES,
    ]  # fmt: skip


def test_it_is_reported(cuda: Any, fake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cublaslt.report(cuda) == "13.1.0"
    monkeypatch.setattr(cublaslt, "places", lambda: ["no-such-library.so"])
    assert "not used: no-such-library.so" in cublaslt.report(cuda)
    assert cublaslt.report(None) == "not used: it needs the compiled CUDA kernels"


def test_the_library_a_process_has_loaded_is_found(tmp_path: Path) -> None:
    code = f"""import ctypes
from tinygrad_ai.backend import cublaslt
assert cublaslt._loaded() is None
ctypes.CDLL({str(tmp_path / "libcublasLt.so.13")!r})
print(cublaslt._loaded())"""
    shutil.copy(library_file(), tmp_path / "libcublasLt.so.13")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == str(tmp_path / "libcublasLt.so.13"), done.stderr
