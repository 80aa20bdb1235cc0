"""setup.py builds the CUDA module: by nvcc for every GPU without a spill, or without nvcc.

No GPU is needed. nvcc is looked for where setup.py does; a test that lacks it is skipped.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cuda_nvrtc import NVCC, build, copy, has_driver
from tests.cuda_programs import CUDA, CXX, KEPT, ROOT, sources

ARCHS = "80;90a;100"

needs_nvcc = pytest.mark.skipif(NVCC is None, reason="no nvcc: set NVCC, or put it on the PATH")


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
    told = (extension / "ptxas.log").read_text()
    assert "warning" not in told, [line for line in told.splitlines() if "warning" in line]
    found = KERNEL.findall(told)
    assert len(found) == told.count("Compiling entry function")
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


def first_bindings(where: Path) -> None:
    """Leaves a copy only the first file of bindings, which links; the others take half a minute."""
    for path in (where / "csrc" / "cuda").glob("bindings_*.cpp"):
        path.unlink()


@needs_nvcc
def test_an_error_of_ours_is_never_skipped(tmp_path: Path) -> None:
    where = copy(tmp_path / "copy", "device.cu")
    first_bindings(where)
    (where / "csrc" / "cuda" / "broken.cu").write_text("__global__ void k() { no; }\n")
    done = build(where, TINYGRAD_AI_CUDA="auto", **driver(tmp_path))
    assert done.returncode != 0 and "broken.cu" in done.stderr
    assert not (where / "tinygrad_ai" / "backend" / "cuda.txt").exists()


@needs_nvcc
def test_neither_module_needs_the_other(tmp_path: Path) -> None:
    where = copy(tmp_path / "copy", "device.cu")
    first_bindings(where)
    for path in (where / "csrc" / "cpu").glob("*.cpp"):
        path.write_text("no;\n")
    done = build(where, TINYGRAD_AI_NATIVE="auto", TINYGRAD_AI_CUDA="require")
    assert done.returncode == 0, done.stderr
    backend = where / "tinygrad_ai" / "backend"
    assert "it could not be built" in (backend / "native.txt").read_text()
    assert (backend / "cuda.txt").read_text() == "" and list(backend.glob("_cuda*.so"))


@pytest.mark.slow
def test_without_nvcc_a_cpp_compiler_builds_the_launchers(tmp_path: Path) -> None:
    where = copy(tmp_path / "copy", "device.cu")
    first_bindings(where)
    nvcc = tmp_path / "bin" / "nvcc"
    nvcc.parent.mkdir()
    nvcc.write_text("#!/bin/sh\nexit 1\n")
    nvcc.chmod(0o755)
    path = {"PATH": f"{nvcc.parent}:{os.environ['PATH']}", "NVCC": "", "CUDA_HOME": ""}
    done = build(where, TINYGRAD_AI_CUDA="auto", CUDA_PATH="", **path, **driver(tmp_path))
    assert done.returncode == 0, done.stderr
    backend = where / "tinygrad_ai" / "backend"
    (library,) = backend.glob("_cuda*.so")
    assert b"set_compiler" in library.read_bytes() and (backend / "cuda.txt").read_text() == ""
    assert not (backend / "csrc").exists()  # the sources lie beside the package


def test_what_was_built_from_the_same_is_kept(tmp_path: Path) -> None:
    where = copy(tmp_path / "copy", "device.cu")
    for path in (where / "csrc" / "cpu").glob("*.cpp"):
        path.write_text(f'extern "C" int {path.stem}_of_no_use() {{ return 1; }}\n')
    (where / "csrc" / "cpu" / "kernels.cpp").write_text("\n")  # linked three times
    compiler, calls = tmp_path / "compiler", tmp_path / "calls"
    compiler.write_text(f'#!/bin/sh\necho >>{calls}\nexec {CXX or "c++"} "$@"\n')
    compiler.chmod(0o755)

    def compiled(**environment: str) -> int:
        """How often the compiler was called to build the CPU's module."""
        calls.write_text("")
        for old in (where / "tinygrad_ai" / "backend").glob("*.so"):
            old.unlink()
        how = {"TINYGRAD_AI_NATIVE": "require", "TINYGRAD_AI_CUDA": "0", "CXX": str(compiler)}
        done = build(where, **how, **environment)
        assert done.returncode == 0, done.stderr
        assert len(list((where / "tinygrad_ai" / "backend").glob("_native*.so"))) == 1
        return len(calls.read_text())

    assert compiled() > 3 and compiled() == 0
    (where / "csrc" / "cpu" / "pool.cpp").write_text("int changed;\n")
    assert compiled() > 3 and compiled() == 0
    assert compiled(TINYGRAD_AI_CFLAGS="-g0") > 3
    kept = list((where / "build" / "kept").rglob("*.so"))
    assert len(kept) == 1  # the last
    kept[0].unlink()
    assert compiled(TINYGRAD_AI_CFLAGS="-g0") > 3
