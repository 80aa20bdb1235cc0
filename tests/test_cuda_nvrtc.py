"""The build without nvcc: launchers by a C++ compiler, each kernel by NVRTC at its first launch.

No GPU is needed: NVRTC compiles without one, and a driver whose GPU is the simulator is launched
on. test_cuda_linear.py runs the products that way, too, for their results.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import tests.cuda_nvrtc as n
import tests.fakecupy as fakecupy
import tinygrad_ai as ta
import tinygrad_ai.nn.functional as F
from tests.cuda_help import needs_compiler
from tinygrad_ai.backend import fused_cuda, fused_cuda_linear
from tinygrad_ai.backend.nvrtc import Compiler
from tinygrad_ai.errors import DeviceError

pytestmark = needs_compiler
SOFTMAX = "void tinygrad_ai::cuda::softmax_rows<float, tinygrad_ai::cuda::Team<8> >"
SOFTMAX += "(tinygrad_ai::Rows<float>)"
WORDS = "tinygrad_ai::cuda::draw_words(tinygrad_ai::cuda::Random, unsigned int*, long)"


def run(program: str) -> str:
    """What a new Python prints: the module and the fake driver are told nothing before."""
    n.needs_fake_driver()
    folder = n.launchers()
    done = subprocess.run([sys.executable, "-c", program, folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


START = """
import ctypes, sys
sys.path.insert(0, sys.argv[1])
import _cuda
room = ctypes.create_string_buffer(64)
a = ctypes.addressof(room)
def launch(way=_cuda.Way.tiled):
    try:
        _cuda.product(way, _cuda.Layout.nt, DTYPE, a, a, 0, a, 0, 1, 1, 0, _cuda.Act.none, 0)
    except Exception as error:
        print(type(error).__name__, error)
DTYPE = _cuda.Dtype.float32
"""


def with_driver(program: str) -> str:
    path = n.fake_driver()._name
    return run(f"import ctypes\nfake = ctypes.CDLL({path!r})\n{START}{program}")


# ---- the module


def test_it_is_imported_without_a_driver() -> None:
    said = run(
        START + "print(_cuda.archs, _cuda.driver_version(), _cuda.runtime_version())"
    ).split()
    assert said == ["nvrtc", "0", "0"]
    needed = subprocess.run(["ldd", str(n.library())], capture_output=True, text=True).stdout
    assert "cuda" not in needed.replace("_cuda", "")


def test_the_package_takes_the_sources_along() -> None:
    inside = {p.relative_to(n.launchers() / "csrc") for p in (n.launchers() / "csrc").rglob("*.*")}
    headers = [*n.CUDA.parent.glob("*.h"), *n.CUDA.glob("*.h"), *n.CUDA.glob("*.cuh")]
    assert inside == {p.relative_to(n.CUDA.parent) for p in headers}


# ---- the names


def test_every_kernel_of_the_sources_has_a_name() -> None:
    assert {n.name_of(d) for d in n.kernels().values()} == set(n.defined_kernels())
    assert SOFTMAX in n.kernels().values() and WORDS in n.kernels().values()


def test_no_two_kernels_are_one_to_the_launchers() -> None:
    said = subprocess.run(
        ["nm", "-D", "--defined-only", n.library()], capture_output=True, text=True
    )
    lines = [line.split() for line in said.stdout.splitlines()]
    addresses = [address for address, _, symbol in lines if symbol in n.kernels()]
    assert len(addresses) == len(set(addresses)) > 100


@pytest.mark.slow
@n.needs_nvrtc
@pytest.mark.parametrize("arch", ["compute_80", "sm_90", "compute_100"])  # PTX takes half as long
def test_nvrtc_compiles_every_kernel_under_the_launchers_name(arch: str) -> None:
    compiler = Compiler(n.Nvrtc(), n.launchers() / "csrc")  # what a wheel has

    def missing(header: str, kernels: dict[str, str]) -> list[str]:
        source = f'#include "{header}"\n'
        for declaration in kernels.values():
            source += compiler.program(declaration).removeprefix(f'#include "{header}"\n')
        image = compiler.compiled(source, header, arch)
        before, after = (b"\0", b"\0") if arch.startswith("sm_") else (b".entry ", b"(")
        return [s for s in kernels if before + s.encode() + after not in image]

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda pair: missing(*pair), n.by_header(compiler).items()))
    assert found == [[]] * len(found) and len(found) > 8


# ---- launches


@pytest.fixture
def launches() -> Iterator[Any]:
    """What was launched since: (kernel, grid, block, shared memory, stream)."""
    n.needs_fake_driver()
    driver = n.fake_driver()
    driver.fake_forget()

    def told() -> list[Any]:
        lines = [line.split() for line in driver.fake_launches().decode().splitlines()]
        rows = [(n.name_of(n.kernels()[symbol]), *map(int, rest)) for symbol, *rest in lines]
        return [(r[0], r[1:4], r[4:7], *r[7:]) for r in rows]

    yield told


def product(
    way: str, m: int, columns: int, k: int, dtype: Any = np.float32, stream: int = 0
) -> Any:
    cuda = n.module_behind_a_driver()
    a, b, c = np.ones((m, k), dtype), np.ones((columns, k), dtype), np.zeros((m, columns), dtype)
    a, b = [np.require(x, requirements="A") for x in (a, b)]
    cuda.product(
        getattr(cuda.Way, way), cuda.Layout.nt, getattr(cuda.Dtype, np.dtype(dtype).name),
        a.ctypes.data, b.ctypes.data, 0, c.ctypes.data, 0, m, columns, k, cuda.Act.none, stream,
    )  # fmt: skip
    assert (c == k).all()


def up(count: int, size: int) -> int:
    return -(-count // size)


@pytest.mark.parametrize("m, columns, k", [(1, 1, 1), (17, 33, 5), (64, 65, 16)])
def test_launches_of_the_products(launches: Any, m: int, columns: int, k: int) -> None:
    product("tiled", m, columns, k, stream=7)
    product("blocked", m, columns, k, np.float64)
    blocks = up(m, 16) * up(columns, 16), up(m, 64) * up(columns, 64)
    assert launches() == [
        ("tiled_kernel", (blocks[0], 1, 1), (16, 16, 1), 2 * 16 * 17 * 4, 7),
        ("blocked_kernel", (blocks[1], 1, 1), (256, 1, 1), 2 * 16 * 68 * 8, 0),
    ]


def test_large_tiles_where_they_fill_the_gpu(launches: Any) -> None:
    product("blocked", 1280, 1280, 1)
    product("blocked", 1280, 1152, 1)  # the fake's GPU has 100 multiprocessors
    shared = 8 * 2 * 132 * 4, 2 * 16 * 68 * 4
    assert launches() == [
        ("blocked_kernel", (100, 1, 1), (256, 1, 1), shared[0], 0),
        ("blocked_kernel", (360, 1, 1), (256, 1, 1), shared[1], 0),
    ]


def test_more_shared_memory_is_asked_for(launches: Any) -> None:
    product("tensor_core", 64, 128, 8)
    assert launches() == [("tensor_core_kernel", (2, 1, 1), (128, 1, 1), 3 * 2 * 64 * 36 * 4, 0)]
    assert launches()[0][3] > 48 * 1024


@pytest.mark.parametrize("rows, columns", [(1, 1), (130, 70), (20000, 5)])
def test_launches_of_act_grad(launches: Any, rows: int, columns: int) -> None:
    cuda = n.module_behind_a_driver()
    g, gb = np.ones((rows, columns), np.float32), np.zeros(columns, np.float32)
    space = np.zeros(cuda.act_grad_space(cuda.Dtype.float32, rows, columns), np.uint8)
    cuda.act_grad(
        cuda.Dtype.float32, g.ctypes.data, 0, 0, gb.ctypes.data, space.ctypes.data, rows, columns,
        cuda.Act.none, 0,
    )  # fmt: skip
    assert (gb == rows).all()
    grid = up(columns, 32), min(up(rows, 64), 256), 1
    assert launches() == [
        ("act_grad_kernel", grid, (32, 8, 1), 8 * 33 * 4, 0),
        ("sum_parts_kernel", (up(columns, 128), 1, 1), (128, 1, 1), 0, 0),
    ]


@pytest.mark.parametrize("width, lanes", [(5, 8), (33, 32), (1025, 256)])
def test_launches_of_rows(launches: Any, width: int, lanes: int) -> None:
    x = np.zeros((70, width), np.float32)
    y = np.empty_like(x)
    cuda = n.module_behind_a_driver()
    cuda.softmax(cuda.Dtype.float32, False, x.ctypes.data, y.ctypes.data, 70, width, 0)
    threads = 256 if lanes == 256 else 128
    assert launches() == [
        ("softmax_rows", (up(70, threads // lanes), 1, 1), (threads, 1, 1), 64, 0)
    ]
    np.testing.assert_allclose(y, 1 / width, rtol=1e-6)


def test_a_thread_that_never_used_a_gpu_has_the_first(launches: Any) -> None:
    thread = threading.Thread(target=product, args=("tiled", 1, 1, 1))
    thread.start()
    thread.join()
    assert [name for name, *_ in launches()] == ["tiled_kernel"]


def test_a_kernel_is_compiled_once() -> None:
    said = with_driver(
        "_cuda.set_compiler(lambda s, d, c: print(s, '|', d, '|', c) or b'image')\n"
        "launch(); launch(); DTYPE = _cuda.Dtype.float64; launch()"
    )
    lines = [line.split(" | ") for line in said.splitlines()]
    assert [n.kernels()[symbol] for symbol, *_ in lines] == [d for _, d, _ in lines]
    assert [d.split("<")[1].split(",")[0] for _, d, _ in lines] == ["float", "double"]
    assert [capability for *_, capability in lines] == ["90", "90"]


# ---- the layers


@n.needs_nvrtc
def test_layers_from_the_source_to_the_gradient(
    launches: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CUPY_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(fused_cuda, "import_module", lambda *_: n.module())
    with fakecupy.installed() as cupy, fused_cuda_linear.products(True):
        cupy.cuda.nvrtc = n.Nvrtc()
        x = ta.ones(3, 4, device="cuda")
        w = ta.ones(2, 4, device="cuda", requires_grad=True)
        F.linear(x, w, act="relu").backward(ta.ones(3, 2, device="cuda"))
        assert w.grad.tolist() == [[3.0] * 4] * 2
        del cupy.cuda.nvrtc
    names = [name for name, *_ in launches()]
    assert names[0] == names[-1] == "blocked_kernel" and "act_grad_kernel" in names


def test_info_says_which_build(monkeypatch: pytest.MonkeyPatch) -> None:
    for archs, said in [
        ("nvrtc", "in use, each compiled by NVRTC at first use"),
        ("80;90a", "in use, compiled by nvcc for 80;90a"),
    ]:
        module = SimpleNamespace(archs=archs, sources=fused_cuda.sources("cuda"))
        monkeypatch.setattr(fused_cuda, "import_module", lambda *_, m=module: m)
        assert fused_cuda.said() == said


# ---- the compiler in Python


class Counting:
    """An NVRTC that compiles nothing, and counts how often."""

    NVRTCError = n.Nvrtc.NVRTCError

    def __init__(self, *archs: int) -> None:
        self.archs, self.options = archs or (80, 90, 100), []

    def getVersion(self) -> tuple[int, int]:
        return 13, 0

    def getSupportedArchs(self) -> tuple[int, ...]:
        return self.archs

    def createProgram(self, *_: Any) -> int:
        return 1

    def compileProgram(self, program: int, options: Any) -> None:
        self.options.append(options)

    def getCUBIN(self, program: int) -> bytes:
        return b"cubin"

    def getPTX(self, program: int) -> bytes:
        return b"ptx"

    def destroyProgram(self, program: int) -> None:
        pass


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sources of one kernel; what is compiled is kept beside them."""
    monkeypatch.setenv("CUPY_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "cuda").mkdir()
    text = "namespace tinygrad_ai::cuda { template <class T> __global__ void k(T *p) { *p = 1; } }"
    (tmp_path / "cuda" / "k.cuh").write_text(text)
    return tmp_path


K = "void tinygrad_ai::cuda::k<float>(float*)"


def test_what_is_compiled_is_kept_in_a_file(folder: Path) -> None:
    nvrtc = Counting()
    for _ in range(2):
        assert Compiler(nvrtc, folder)("_Z", K, 90) == b"cubin"
    assert len(nvrtc.options) == 1
    assert Compiler(nvrtc, folder)("_Z", K, 80) == b"cubin"  # for another GPU
    (folder / "cuda" / "k.cuh").write_text("__global__ void k(float *) {}")
    assert Compiler(nvrtc, folder)("_Z", K, 90) == b"cubin"  # from other sources
    assert len(nvrtc.options) == 3 == len(list((folder / "cache").iterdir()))


def test_a_cache_that_cannot_be_written_is_gone_without(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUPY_CACHE_DIR", str(folder / "cuda" / "k.cuh"))  # a file, no folder
    assert Compiler(Counting(), folder)("_Z", K, 90) == b"cubin"


def test_it_compiles_as_nvcc_does(folder: Path) -> None:
    nvrtc = Counting()
    Compiler(nvrtc, folder)("_Z", K, 90)
    assert {"-ftz=false", "-prec-div=true", "-prec-sqrt=true", "-fmad=true"} < set(nvrtc.options[0])
    assert "--gpu-architecture=sm_90" in nvrtc.options[0]


def test_a_gpu_that_nvrtc_does_not_know(folder: Path) -> None:
    nvrtc = Counting(80, 90)
    assert Compiler(nvrtc, folder)("_Z", K, 120) == b"ptx"
    assert "--gpu-architecture=compute_90" in nvrtc.options[0]
    with pytest.raises(DeviceError, match=r"NVRTC 13\.0 compiles for, got compute capability 6\.1"):
        Compiler(nvrtc, folder)("_Z", K, 61)


@n.needs_nvrtc
def test_an_error_in_a_kernel_is_told_with_nvrtcs_log(folder: Path) -> None:
    (folder / "cuda" / "k.cuh").write_text("__global__ void k(float *p) { no; }")
    with pytest.raises(DeviceError, match=r'cannot compile .*k<float>.*(?s:.*)"no" is undefined'):
        Compiler(n.Nvrtc(), folder)("_Z", K, 90)
    assert not (folder / "cache").exists()


def test_a_kernel_without_a_source(folder: Path) -> None:
    with pytest.raises(DeviceError, match="expected the kernel void .*softmax_rows.* found none"):
        Compiler(Counting(), folder)("_Z", SOFTMAX, 90)


# ---- what can go wrong below


@pytest.mark.skipif(n.has_driver(), reason="there is an NVIDIA driver")
def test_no_driver() -> None:
    said = run(START + "launch()")
    assert said.startswith("CudaError csrc/cuda/linear.cu:")
    assert "cudaErrorInsufficientDriver (35): libcuda.so.1: cannot open shared object" in said


@pytest.mark.parametrize(
    "program, said",
    [
        ("launch()", "RuntimeError no compiler was set for void tinygrad_ai::cuda::tiled_kernel<"),
        ("_cuda.set_compiler(lambda s, d, c: 1 / 0); launch()", "ZeroDivisionError division by"),
        ("_cuda.set_compiler(lambda s, d, c: None); launch()", "RuntimeError Unable to cast"),
        (
            "_cuda.set_compiler(lambda s, d, c: b'no image'); launch()",
            "RuntimeError CUDA_ERROR_OF_THE_FAKE (200) on loading void tinygrad_ai::cuda::tiled",
        ),
        (
            "fake.fake_lose_kernels(); _cuda.set_compiler(lambda s, d, c: b'image'); launch()",
            "RuntimeError what was compiled has no _ZN11tinygrad_ai4cuda12tiled_kernelIfLi16EEE",
        ),
        (
            "DTYPE = _cuda.Dtype.bfloat16; launch(_cuda.Way.hopper)",
            "CudaError csrc/cuda/driver.cpp:",
        ),
    ],
)
def test_what_goes_wrong_is_told(program: str, said: str) -> None:
    assert with_driver(program).startswith(said)


def test_a_launch_that_fails(launches: Any) -> None:
    cuda = n.module_behind_a_driver()
    with pytest.raises(cuda.CudaError, match=r"linear.cu:\d+: CUDA_ERROR_LAUNCH_FAILED \(719\)"):
        n.fake_driver().fake_break()
        product("tiled", 1, 1, 1)
    product("tiled", 1, 1, 1)  # the error was told once
