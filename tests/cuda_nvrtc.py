"""What the tests of the build without nvcc share: the module, its kernels' names, NVRTC under the
names CuPy gives it, and a driver whose GPU is the simulator.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.cuda_programs import CUDA, KEPT, ROOT, TESTS, built, sources
from tinygrad_ai.backend.nvrtc import Compiler

NVCC = shutil.which(os.environ.get("NVCC", "nvcc"))


# ---- setup.py, in a folder of its own


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


def build(where: Path, *how: str, **environment: str) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("pybind11")
    env = {**os.environ, "TINYGRAD_AI_NATIVE": "0", "TINYGRAD_AI_CUDA_ARCHS": "90a", **environment}
    command = [sys.executable, "setup.py", "--quiet", "build_ext", *(how or ("--inplace",))]
    return subprocess.run(command, cwd=where, env=env, capture_output=True, text=True)


@cache
def launchers() -> Path:
    """The package's backend folder as a wheel has it, the module made by a C++ compiler alone."""
    files = [ROOT / "setup.py", *(p for p in sources() if "csrc" in p.parts)]
    content = b"".join(p.read_bytes() for p in files) + sys.version.encode()
    target = KEPT / f"launchers-{hashlib.sha256(content).hexdigest()[:16]}"
    KEPT.mkdir(parents=True, exist_ok=True)
    with open(KEPT / "launchers.lock", "w") as lock:  # one worker of pytest-xdist builds it
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            for old in KEPT.glob("launchers-*"):
                shutil.rmtree(old)
            where = copy(KEPT / "launchers-unready")
            done = build(where, "--build-lib", "wheel", TINYGRAD_AI_CUDA="require",
                         TINYGRAD_AI_CUDA_ARCHS="nvrtc", NVCC="")  # fmt: skip
            assert done.returncode == 0, done.stderr[-3000:]
            where.rename(target)
    return target / "wheel" / "tinygrad_ai" / "backend"


def library() -> Path:
    (found,) = launchers().glob("_cuda*.so")
    return found


def module() -> Any:
    """The module, imported."""
    spec = importlib.util.spec_from_file_location("_cuda", library())
    assert spec and spec.loader
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


# ---- the kernels that a launcher can ask for


@cache
def kernels() -> dict[str, str]:
    """The symbols of all kernels that a launcher can ask for, and what they declare."""
    if not shutil.which("nm") or not shutil.which("c++filt"):
        pytest.skip("no nm or c++filt to list the kernels with")
    command = ["nm", "-D", "--defined-only", library()]
    said = subprocess.run(command, capture_output=True, text=True)
    symbols = sorted({line.split()[-1] for line in said.stdout.splitlines() if " W " in line})
    said = subprocess.run(["c++filt"], input="\n".join(symbols), capture_output=True, text=True)
    declared = dict(zip(symbols, said.stdout.splitlines(), strict=True))
    defined = set(defined_kernels())
    return {s: d for s, d in declared.items() if name_of(d) in defined}


def name_of(declaration: str) -> str:
    found = re.match(r"(?:void )?tinygrad_ai::cuda::(\w+)[<(]", declaration)
    return found[1] if found else ""


def defined_kernels() -> list[str]:
    """The names of all kernels in the sources, but Hopper's, which this build goes without."""
    texts = [p.read_text() for p in CUDA.glob("*.cuh") if p.stem != "hopper"]
    pattern = (
        r"\n[^\n/#]*(?:__global__|PLAIN_KERNEL) void(?: __launch_bounds__\([^{;]*?\))?\s+(\w+)\("
    )
    return [name for text in texts for name in re.findall(pattern, text)]


def by_header(compiler: Compiler) -> dict[str, dict[str, str]]:
    """The kernels that each header defines."""
    found: dict[str, dict[str, str]] = {}
    for symbol, declaration in kernels().items():
        found.setdefault(compiler.header(declaration), {})[symbol] = declaration
    return found


# ---- a driver for them


def expression(declaration: str) -> str:
    """What names a declared kernel in C++: all before its parameters."""
    depth, text = 0, declaration.removeprefix("void ")
    for i, letter in enumerate(text):
        depth += (letter == "<") - (letter == ">")
        if letter == "(" and depth == 0:
            return text[:i]
    raise ValueError(declaration)


@cache
def fake_driver() -> ctypes.CDLL:
    """libcuda.so.1, whose GPU is the simulator; this process finds no other from now on."""
    parts = [(TESTS / "fake_driver.cpp", ["-O1"])]
    folder = KEPT / "fake-driver"
    folder.mkdir(parents=True, exist_ok=True)
    for header, found in by_header(Compiler(None)).items():
        entries = [f'    {{"{s}", run<&{expression(d)}>}},\n' for s, d in found.items()]
        text = f'#include "fake_driver.h"\n#include "{CUDA / header}"\n'
        text += f"static const Enter entries[] = {{\n{''.join(entries)}}};\n"
        path = folder / f"{Path(header).stem}.cpp"
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
        parts.append((path, ["-O1"]))
    made = built("libcuda.so.1", parts, ["-shared", "-Wl,-soname,libcuda.so.1"])
    driver = ctypes.CDLL(str(made))
    driver.fake_launches.restype = driver.fake_fault.restype = ctypes.c_char_p
    return driver


def needs_fake_driver() -> None:
    if has_driver():
        pytest.skip("the driver that is there would be found, not the fake one")


def module_behind_a_driver() -> Any:
    """The module without nvcc on a driver that simulates."""
    needs_fake_driver()
    fake_driver()
    found = module()
    found.set_compiler(lambda symbol, declaration, capability: b"an image")
    return found


@cache
def has_driver() -> bool:
    """Whether a real one would be found."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


# ---- NVRTC


def nvrtc_library() -> Any:
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


LIBRARY = nvrtc_library()
needs_nvrtc = pytest.mark.skipif(
    LIBRARY is None, reason="no libnvrtc: install nvidia-cuda-nvrtc, or set NVRTC"
)


class Nvrtc:
    """cupy.cuda.nvrtc, as far as it is used, for where CuPy is not installed."""

    class NVRTCError(RuntimeError):
        pass

    def do(self, name: str, *arguments: Any) -> None:
        code = getattr(LIBRARY, f"nvrtc{name}")(*arguments)
        if code:
            raise self.NVRTCError(f"NVRTC error {code}")

    def getVersion(self) -> tuple[int, int]:
        major, minor = ctypes.c_int(), ctypes.c_int()
        self.do("Version", ctypes.byref(major), ctypes.byref(minor))
        return major.value, minor.value

    def getSupportedArchs(self) -> tuple[int, ...]:
        count = ctypes.c_int()
        self.do("GetNumSupportedArchs", ctypes.byref(count))
        found = (ctypes.c_int * count.value)()
        self.do("GetSupportedArchs", found)
        return tuple(found)

    def createProgram(self, source: str, name: str, headers: tuple[()], names: tuple[()]) -> int:
        program = ctypes.c_void_p()
        self.do("CreateProgram", ctypes.byref(program), source.encode(), name.encode(), 0, 0, 0)
        return program.value or 0

    def compileProgram(self, program: int, options: tuple[str, ...]) -> None:
        given = (ctypes.c_char_p * len(options))(*[o.encode() for o in options])
        self.do("CompileProgram", ctypes.c_void_p(program), len(options), given)

    def text(self, kind: str, program: int) -> bytes:
        size, at = ctypes.c_size_t(), ctypes.c_void_p(program)
        self.do(f"Get{kind}Size", at, ctypes.byref(size))
        found = ctypes.create_string_buffer(size.value)
        self.do(f"Get{kind}", at, found)
        return found.raw

    def getCUBIN(self, program: int) -> bytes:
        return self.text("CUBIN", program)

    def getPTX(self, program: int) -> bytes:  # as CuPy's
        return self.text("PTX", program)[:-1]

    def getProgramLog(self, program: int) -> str:
        return self.text("ProgramLog", program)[:-1].decode()

    def destroyProgram(self, program: int) -> None:
        self.do("DestroyProgram", ctypes.byref(ctypes.c_void_p(program)))
