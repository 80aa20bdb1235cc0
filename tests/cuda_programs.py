"""What the tests of the CUDA kernels share: builds for the simulator, kept while they hold."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CUDA = ROOT / "csrc" / "cuda"
TESTS = ROOT / "tests" / "cuda"
KEPT = ROOT / "build" / "cuda-tests"

CXX = os.environ.get("CXX") or shutil.which("g++") or shutil.which("c++")
FLAGS = ["-std=c++17", "-fPIC", "-Wall", "-Wno-unknown-pragmas", f"-I{TESTS}"]
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


def module_file(name: str, units: list[str]) -> Path:
    """The extension with its bindings, its kernels compiled for the simulator."""
    pybind11 = pytest.importorskip("pybind11")
    python = [f"-I{pybind11.get_include()}", f"-I{sysconfig.get_path('include')}"]
    parts = [(CUDA / f"{unit}.cu", ["-O1", "-fvisibility=hidden"]) for unit in units]
    parts += [
        (
            CUDA / "bindings.cpp",
            ["-O1", "-fvisibility=hidden", f"-DMODULE={name}", "-DSIMULATED", *python],
        ),
        (TESTS / "sim_device.cpp", ["-O1", "-fvisibility=hidden"]),
    ]
    return built(f"{name}.so", parts, ["-shared"])
