"""What the tests of the CUDA kernels share: builds for the simulator, kept while they hold."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
CUDA = ROOT / "csrc" / "cuda"
TESTS = ROOT / "tests" / "cuda"
KEPT = ROOT / "build" / "cuda-tests"
ONLY_ON_A_GPU = ("device", "hopper")  # what the simulator does not know

CXX = os.environ.get("CXX") or shutil.which("g++") or shutil.which("c++")
FLAGS = ["-std=c++17", "-fPIC", "-Wall", "-Wno-unknown-pragmas", f"-I{TESTS}"]
FLAGS += ["-U_FORTIFY_SOURCE"]  # it takes a jump to another stack for an error
SANITIZERS = {
    "plain": ["-O1"],
    "address": ["-O0", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all",
                "-fno-omit-frame-pointer"],
    "thread": ["-O1", "-g", "-fsanitize=thread"],
}  # fmt: skip


def sources() -> list[Path]:
    return sorted(p for folder in (CUDA, CUDA.parent, TESTS) for p in folder.glob("*.*"))


def run(command: list[str], **options: object) -> None:
    """Runs a compiler; fails the test with what it said."""
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        pytest.fail(f"{' '.join(command)}\n{(done.stdout + done.stderr)[-3000:]}", pytrace=False)


def built(name: str, parts: list[tuple[Path, list[str]]], link: list[str]) -> Path:
    """A program or module of several sources, each with its flags; built once for many tests."""
    if CXX is None:
        pytest.skip("no C++ compiler for the CUDA simulator")
    said = repr((CXX, name, [(str(p), f) for p, f in parts], link, FLAGS)).encode()
    digest = hashlib.sha256(said + b"".join(p.read_bytes() for p in sources())).hexdigest()[:16]
    target = KEPT / digest / name
    KEPT.mkdir(parents=True, exist_ok=True)
    with open(KEPT / f"{name}.lock", "w") as lock:  # two workers of pytest-xdist build it once
        fcntl.flock(lock, fcntl.LOCK_EX)
        if target.exists():
            return target
        for old in KEPT.glob(f"*/{name}"):
            shutil.rmtree(old.parent)
        target.parent.mkdir(exist_ok=True)
        objects = [target.parent / f"{i}.o" for i in range(len(parts))]
        jobs = [
            [CXX, *FLAGS, *flags, "-x", "c++", "-c", str(path), "-o", str(made)]
            for (path, flags), made in zip(parts, objects)
        ]
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(run, jobs))
        unready = target.with_suffix(".part")
        run([CXX, *map(str, objects), *link, "-o", str(unready)])
        unready.rename(target)
    return target


def module_file() -> Path:
    """The extension `_cuda_sim`: all bindings, and all kernels that the simulator can run."""
    pybind11 = pytest.importorskip("pybind11")
    common = ["-O1", "-fvisibility=hidden"]
    python = [f"-I{pybind11.get_include()}", f"-I{sysconfig.get_path('include')}"]
    names = ["-DMODULE=_cuda_sim", "-DSIMULATED"]
    units = [p for p in sorted(CUDA.glob("*.cu")) if p.stem not in ONLY_ON_A_GPU]
    parts = [(path, common) for path in units]
    parts += [(path, [*common, *names, *python]) for path in sorted(CUDA.glob("bindings*.cpp"))]
    plain = [TESTS / "sim_device.cpp", CUDA / "cublaslt.cpp"]
    parts += [(path, common) for path in plain]
    return built("_cuda_sim.so", parts, ["-shared", "-ldl"])


def module() -> Any:
    """It, imported."""
    spec = importlib.util.spec_from_file_location("_cuda_sim", module_file())
    assert spec and spec.loader
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def library_file() -> Path:
    """The stand-in for NVIDIA's libcublasLt."""
    return built("libfake_cublasLt.so", [(TESTS / "fake_cublaslt.cpp", ["-O1"])], ["-shared"])
