"""The CUDA kernels compile: by nvcc for every GPU without a spill, and by NVRTC as CuPy would.

No GPU is needed. nvcc and NVRTC are looked for where setup.py and CuPy look; what is missing is
skipped with its reason. NVRTC may also be named: NVRTC=/path/to/libnvrtc.so.13.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cuda_programs import CUDA, CXX, KEPT, ROOT, sources

ARCHS = "80;90a;100"
NVCC = shutil.which(os.environ.get("NVCC", "nvcc"))

needs_nvcc = pytest.mark.skipif(NVCC is None, reason="no nvcc: set NVCC, or put it on the PATH")


def copy(to: Path, units: str = "*.cu") -> Path:
    """What setup.py reads, in a folder of its own, with some of the CUDA sources."""
    to.mkdir(parents=True)
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, to)
    shutil.copytree(ROOT / "csrc", to / "csrc", ignore=shutil.ignore_patterns("*.cu"))
    for unit in CUDA.glob(units):
        shutil.copy(unit, to / "csrc" / "cuda")
    for name in ("version.py", "__init__.py"):
        (to / "tinygrad_ai" / "backend").mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "tinygrad_ai" / name, to / "tinygrad_ai")
    return to


def build(where: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("pybind11")
    env = {**os.environ, "TINYGRAD_AI_NATIVE": "0", "TINYGRAD_AI_CUDA_ARCHS": "90a", **environment}
    command = [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace"]
    return subprocess.run(command, cwd=where, env=env, capture_output=True, text=True)


@pytest.fixture(scope="session")
def extension() -> Path:
    """The whole extension for every GPU, built once for these sources; ptxas.log lies beside it."""
    files = [ROOT / "setup.py", *(p for p in sources() if "csrc" in p.parts)]
    content = b"".join(p.read_bytes() for p in files) + f"{NVCC} {ARCHS} {sys.version}".encode()
    target = KEPT / f"extension-{hashlib.sha256(content).hexdigest()[:16]}"
    KEPT.mkdir(parents=True, exist_ok=True)
    with open(KEPT / "extension.lock", "w") as lock:  # one worker of pytest-xdist builds it
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            for old in KEPT.glob("extension-*"):
                shutil.rmtree(old)
            where = copy(KEPT / "extension-unready")
            nvcc = where / "nvcc"  # the same, but it tells what ptxas says
            log = f"{where}/ptxas.$$"
            said = f'{NVCC} "$@" -Xptxas=-v 2>{log}; code=$?; cat {log} >&2; exit $code'
            nvcc.write_text(f"#!/bin/sh\n{said}\n")
            nvcc.chmod(0o755)
            done = build(where, NVCC=str(nvcc), TINYGRAD_AI_CUDA="require",
                         TINYGRAD_AI_CUDA_ARCHS=ARCHS)  # fmt: skip
            said = "".join(p.read_text() for p in where.glob("ptxas.*"))
            assert done.returncode == 0, done.stderr[-1000:] + said[-3000:]
            (where / "ptxas.log").write_text(said)
            where.rename(target)
    return target


KERNEL = re.compile(
    r"Compiling entry function '(\w+)' for '(\w+)'\n.*?(\d+) bytes spill stores, (\d+) bytes spill"
    r" loads\n.*?Used (\d+) registers",
    re.DOTALL,
)


@pytest.mark.slow
@needs_nvcc
def test_every_kernel_compiles_for_every_gpu_without_a_spill(extension: Path) -> None:
    found = [k for k in KERNEL.findall((extension / "ptxas.log").read_text()) if "cuda" in k[0]]
    names = "\n".join(name for name, *_ in found)
    said = subprocess.run(["c++filt"], input=names, capture_output=True, text=True).stdout
    spilled = []
    for name, (_, arch, stores, loads, registers) in zip(said.splitlines(), found):
        short = name.replace("tinygrad_ai::cuda::", "").removeprefix("void ").split(">(")[0]
        line = f"{arch:<8}{registers:>4} registers  {short}>"
        print(line)
        if int(stores) or int(loads):
            spilled.append(line)
    assert {arch for _, arch, *_ in found} == {"sm_80", "sm_90a", "sm_100"}
    for kernel in re.findall(r"(\w+_kernel)\(", "".join(p.read_text() for p in CUDA.glob("*.cuh"))):
        assert kernel in names
    assert not spilled


PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
import _cuda
try:
    print(_cuda.device_count(), "GPUs")
except _cuda.CudaError as error:
    print(error)
print(_cuda.archs, _cuda.runtime_version() > 12000, _cuda.driver_version() >= 0)
"""


@pytest.mark.slow
@needs_nvcc
def test_the_module_imports_without_a_driver(extension: Path) -> None:
    folder = extension / "tinygrad_ai" / "backend"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert re.fullmatch(r"\d+ GPUs|csrc/cuda/device\.cu:\d+: cudaError\w+ \(\d+\): .+", first)
    assert second == f"{ARCHS} True True"
    assert (folder / "cuda.txt").read_text() == ""
    (library,) = folder.glob("_cuda*.so")
    needed = subprocess.run(["ldd", str(library)], capture_output=True, text=True).stdout
    assert "cuda" not in needed.replace("_cuda", "")


def driver(folder: Path) -> dict[str, str]:
    """An environment in which there seems to be a driver."""
    library = folder / "libcuda.so.1"
    subprocess.run([CXX or "c++", "-shared", "-x", "c++", os.devnull, "-o", library], check=True)
    return {"LD_LIBRARY_PATH": str(folder)}


def has_driver() -> bool:
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


@pytest.mark.skipif(has_driver(), reason="there is an NVIDIA driver")
def test_without_a_driver_nothing_is_compiled_unless_required(tmp_path: Path) -> None:
    where = copy(tmp_path / "copy", "device.cu")
    done = build(where, TINYGRAD_AI_CUDA="auto")
    assert done.returncode == 0 and "no compiled CUDA kernels" in done.stderr
    backend = where / "tinygrad_ai" / "backend"
    assert (backend / "cuda.txt").read_text() == "it was not built: there is no NVIDIA driver"
    assert not list(backend.glob("_cuda*.so"))


def test_without_nvcc_the_reason_is_left(tmp_path: Path) -> None:
    where = copy(tmp_path / "copy", "device.cu")
    (tmp_path / "bin").mkdir()
    for name in ("nvcc", "c++", "sh"):  # an nvcc that does not work is as good as none
        tool = tmp_path / "bin" / name
        tool.write_text("#!/bin/sh\necho out of order >&2\nexit 1\n")
        tool.chmod(0o755)
    path = {"PATH": str(tmp_path / "bin"), "NVCC": "", "CUDA_HOME": "", "CUDA_PATH": ""}
    path |= driver(tmp_path)
    done = build(where, TINYGRAD_AI_CUDA="auto", **path)
    assert done.returncode == 0, done.stderr
    note = where / "tinygrad_ai" / "backend" / "cuda.txt"
    assert "does not compile a trivial kernel: out of order" in note.read_text()
    assert "no compiled CUDA kernels" in done.stderr
    done = build(where, TINYGRAD_AI_CUDA="require", **path)
    assert done.returncode != 0 and "does not compile a trivial kernel" in done.stderr
    done = build(where, TINYGRAD_AI_CUDA="0", **path)
    assert done.returncode == 0 and "TINYGRAD_AI_CUDA=0" in note.read_text()


@needs_nvcc
def test_an_error_of_ours_is_never_skipped(tmp_path: Path) -> None:
    where = copy(tmp_path / "copy", "device.cu")
    (where / "csrc" / "cuda" / "broken.cu").write_text("__global__ void k() { no; }\n")
    done = build(where, TINYGRAD_AI_CUDA="auto", **driver(tmp_path))
    assert done.returncode != 0 and "broken.cu" in done.stderr
    assert not (where / "tinygrad_ai" / "backend" / "cuda.txt").exists()


@needs_nvcc
def test_neither_module_needs_the_other(tmp_path: Path) -> None:
    where = copy(tmp_path / "copy", "device.cu")
    (where / "csrc" / "cpu" / "kernels.cpp").write_text("no;\n")
    done = build(where, TINYGRAD_AI_NATIVE="auto", TINYGRAD_AI_CUDA="require")
    assert done.returncode == 0, done.stderr
    backend = where / "tinygrad_ai" / "backend"
    assert "it could not be built" in (backend / "native.txt").read_text()
    assert (backend / "cuda.txt").read_text() == "" and list(backend.glob("_cuda*.so"))


# ---- NVRTC, through which CuPy compiles the same headers


def nvrtc() -> Any:
    """libnvrtc: the one that is named, the toolkit's, or a wheel's; None if there is none."""
    folders = [Path(p) / "nvidia" for p in sys.path if p]
    places = [p for folder in folders for p in sorted(folder.glob("c*/lib/libnvrtc.so.*"))]
    if NVCC:
        said = subprocess.run([NVCC, "-dryrun", "x.cu"], capture_output=True, text=True).stderr
        for top in re.findall(r"#\$ TOP=(.*)", said):
            places += sorted(Path(top.strip()).glob("lib*/libnvrtc.so*"))
    for place in [os.environ.get("NVRTC"), *map(str, places), "libnvrtc.so.13", "libnvrtc.so"]:
        try:
            for part in sorted(Path(place or "").parent.glob("libnvrtc-builtins.so*")):
                ctypes.CDLL(str(part))  # it would be looked for on the system's path alone
            if place:
                return ctypes.CDLL(place)
        except OSError:
            continue
    return None


NVRTC = nvrtc()
UNITS = {
    "linear.cuh": [
        "tiled_kernel<float, 16>(LinearProduct<float>)",
        "blocked_kernel<float, Layout::tn, Blocking<64, 64, 16, 4, 4>>(LinearProduct<float>)",
        "blocked_kernel<double, Layout::nn, Blocking<64, 64, 16, 4, 4>>(LinearProduct<double>)",
    ],
    "rows.cuh": ["softmax_rows<float, Team<8>>(Rows<float>)"],
    "norm.cuh": ["layer_norm_rows<double, Team<256>>(LayerNorm<double>)"],
    "optim.cuh": ["sgd_step<float>(Batch<SgdTensor<float>>, SgdList<float>)"],
    "embedding.cuh": ["embedding_rows<float, Team<32>>(Embedding<float>, index)"],
    "philox.cuh": ["dropout_elements<float>(Dropout<float>)"],  # its own are no templates
    "attention_grad.cuh": ["attend_grad_sums<float>(AttentionGrad<float>, float *)"],
    "act_grad.cuh": [
        "act_grad_kernel<float>(ActGrad<float>, float *, int)",
        "sum_parts_kernel<bf16>(const float *, bf16 *, int, index)",
    ],
    "tensor_core.cuh": [
        f"tensor_core_kernel<{kind}, Layout::{layout}, Shape<64, 64, 32, 32, 32, 3>, {wide}>"
        f"(LinearProduct<{number}>)"
        for kind, number, layout, wide in [
            ("Tf32", "float", "nt", "true"),
            ("Bf16", "bf16", "nn", "false"),
            ("F16", "f16", "tn", "true"),
        ]
    ],
}


@pytest.mark.skipif(NVRTC is None, reason="no libnvrtc: install nvidia-cuda-nvrtc, or set NVRTC")
@pytest.mark.parametrize("arch", ["compute_80", "sm_90a", "sm_100"])
@pytest.mark.parametrize("header", UNITS)
def test_headers_compile_by_nvrtc(header: str, arch: str) -> None:
    program = f'#include "{header}"\nnamespace tinygrad_ai::cuda {{\n'
    program += "".join(f"template __global__ void {kernel};\n" for kernel in UNITS[header]) + "}\n"
    options = [
        f"--gpu-architecture={arch}", "-std=c++17", f"-I{CUDA}", "-ftz=true", "-default-device",
    ]  # fmt: skip
    handle = ctypes.c_void_p()
    create = NVRTC.nvrtcCreateProgram
    assert create(ctypes.byref(handle), program.encode(), b"try.cu", 0, None, None) == 0
    given = (ctypes.c_char_p * len(options))(*[o.encode() for o in options])
    code = NVRTC.nvrtcCompileProgram(handle, len(options), given)
    size = ctypes.c_size_t()
    NVRTC.nvrtcGetProgramLogSize(handle, ctypes.byref(size))
    said = ctypes.create_string_buffer(size.value)
    NVRTC.nvrtcGetProgramLog(handle, said)
    NVRTC.nvrtcDestroyProgram(ctypes.byref(handle))
    assert code == 0, said.value.decode()
