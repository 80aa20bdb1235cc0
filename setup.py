"""Builds the kernels: for the CPU where a C++ compiler is, for NVIDIA's GPUs where a driver is.

nvcc compiles the CUDA kernels. Where there is none, a C++ compiler compiles what launches them, and
NVRTC, which CuPy has, compiles each kernel when it is first used; the sources are installed for it.

TINYGRAD_AI_NATIVE: `auto` (default) installs without the CPU kernels if they cannot be built, and
leaves the reason for `python -m tinygrad_ai info`; `require` makes that an error; `0` does not try.
TINYGRAD_AI_CFLAGS adds flags for the compiler and the linker, a sanitizer for instance.

TINYGRAD_AI_CUDA: the same for the CUDA kernels, but that `auto` goes without them only if there is
no NVIDIA driver, or no compiler that compiles a trivial program; what it does not compile of ours
is always an error. `require` needs no driver, but nvcc.
TINYGRAD_AI_CUDA_ARCHS: for which GPUs, "90a" for a Hopper alone; 90+PTX is for GPUs to come.
`nvrtc`: for the one that is there, at first use, also where an nvcc is.
NVCC or CUDA_HOME: which nvcc. On two cores one GPU takes a minute, all of them more than two.

What is built stays in build/kept, and is taken from there until its sources or settings change.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent
WISH = os.environ.get("TINYGRAD_AI_NATIVE", "auto")
CUDA_WISH = os.environ.get("TINYGRAD_AI_CUDA", "auto")
CUDA_ARCHS = os.environ.get("TINYGRAD_AI_CUDA_ARCHS", "80;90a;100;90+PTX")
EXTRA = os.environ.get("TINYGRAD_AI_CFLAGS", "").split()
FLAGS = [
    "-std=c++17", "-O3", "-pthread", "-fvisibility=hidden", "-ffp-contract=fast",
    "-fno-math-errno", "-fno-trapping-math", *EXTRA,
]  # fmt: skip

# The kernels are compiled once for each: a name, the width of its vectors, the flags.
AVX512 = "-mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mprefer-vector-width=512"
ARM = platform.machine() in ("aarch64", "arm64")
SETS = [("neon" if ARM else "portable", 16, "")]
if platform.machine() in ("x86_64", "AMD64"):
    SETS += [("avx2", 32, "-mavx2 -mfma"), ("avx512", 64, AVX512)]


def digest(folder: str) -> str:
    """What the binary was made from; compared at import with what lies beside it."""
    files = sorted([*ROOT.glob("csrc/*.h"), *ROOT.glob(f"csrc/{folder}/*")])
    return hashlib.sha256(b"".join(p.read_bytes() for p in files)).hexdigest()[:16]


class Build(build_ext):
    """Two modules. Neither needs the other, and each leaves word of why it is not there."""

    def run(self) -> None:
        native, cuda = self.extensions
        self.extensions = [*self.native(native), *self.cuda(cuda)]

    def native(self, ext: Extension) -> list[Extension]:
        if WISH == "0":
            return self.leave("native", "it was not built: TINYGRAD_AI_NATIVE=0 at installation")
        try:
            self.build_one(ext)
        except Exception as error:
            if WISH == "require":
                raise
            return self.leave("native", f"it could not be built: {error}")
        self.leave("native", "")
        return [ext]

    def cuda(self, ext: Extension) -> list[Extension]:
        if CUDA_WISH == "0":
            return self.leave("cuda", "it was not built: TINYGRAD_AI_CUDA=0 at installation")
        if CUDA_WISH == "auto" and not has_driver():
            return self.leave("cuda", "it was not built: there is no NVIDIA driver")
        self.toolkit = None
        try:
            if CUDA_ARCHS != NVRTC:
                self.toolkit = Toolkit.found()
        except NoToolkit as error:
            if CUDA_WISH == "require":
                raise
            if not has_compiler():
                return self.leave("cuda", f"it was not built: {error}; no C++ compiler either")
        self.build_one(ext)
        if not self.toolkit and not (self.inplace or self.editable_mode):
            self.take_sources_along()
        self.leave("cuda", "")
        return [ext]

    def build_one(self, ext: Extension) -> None:
        before = self.inplace, self.compiler
        self.extensions = [ext]
        try:
            super().run()
        finally:
            self.inplace, self.compiler = before  # as a run finds them

    def build_extension(self, ext: Extension) -> None:
        """The module, or a copy of it if it was built before from the same: extras of the package
        are installed one by one, and each time pip asks for it again."""
        compiler = os.environ.get("CXX", "c++")
        cuda = ext.name.endswith("_cuda")
        target = Path(self.get_ext_fullpath(ext.name))
        kept = ROOT / "build" / "kept" / self.recipe(compiler, cuda) / target.name
        if not kept.exists():
            for old in kept.parent.parent.glob(f"*/{target.name}"):
                shutil.rmtree(old.parent)
            with tempfile.TemporaryDirectory() as scratch:
                linked = (self.make_cuda if cuda else self.make_native)(compiler, Path(scratch))
                kept.parent.mkdir(parents=True, exist_ok=True)
                shutil.move(linked, kept.with_suffix(".part"))
            kept.with_suffix(".part").rename(kept)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)  # a process may be running the old one
        target.write_bytes(kept.read_bytes())
        target.chmod(0o755)

    def recipe(self, compiler: str, cuda: bool) -> str:
        """A digest of all that a module is made from and with."""
        import pybind11

        with_what = [compiler, EXTRA, pybind11.__version__]
        if cuda:
            with_what += [CUDA_ARCHS, self.toolkit and self.toolkit.nvcc]
        made = f"{Path(__file__).read_text()}{digest('cuda' if cuda else 'cpu')}{with_what}"
        return hashlib.sha256(made.encode()).hexdigest()[:16]

    def make_native(self, compiler: str, scratch: Path) -> Path:
        """One object file for each instruction set, the bindings, and the module of them all."""
        jobs = []
        for name, width, flags in SETS:
            jobs.append([
                compiler, *FLAGS, *flags.split(), "-fPIC", f"-DISA={name}",
                f"-DVEC_BYTES={width}", "-c", str(ROOT / "csrc/cpu/kernels.cpp"),
                "-o", f"{scratch}/{name}.o",
            ])  # fmt: skip
        for name in ("bindings", "memory", "pool"):
            jobs.append([
                compiler, *FLAGS, "-fPIC", f'-DSOURCES="{digest("cpu")}"', *self.includes(), "-c",
                str(ROOT / f"csrc/cpu/{name}.cpp"), "-o", f"{scratch}/{name}.o",
            ])  # fmt: skip
        work(jobs)
        linked = scratch / "module.so"
        last = ["-undefined", "dynamic_lookup"] if sys.platform == "darwin" else []
        objects = [job[-1] for job in jobs]
        work([[compiler, "-shared", "-pthread", *EXTRA, *last, *objects, "-o", str(linked)]])
        return linked

    def make_cuda(self, compiler: str, scratch: Path) -> Path:
        """Kernels and launchers never see Python, the bindings never see a kernel."""
        named, last = [], []
        for file in self.cuda_files("*.cu"):
            if self.toolkit:
                command = [self.toolkit.nvcc, *CUDA_FLAGS, *gencode(CUDA_ARCHS)]
                named.append((file, [*command, f'-DARCHS="{CUDA_ARCHS}"']))
            elif file.stem != "hopper":
                named.append((file, [compiler, *LAUNCHER_FLAGS, "-x", "c++"]))
        for file in self.cuda_files("*.cpp"):
            mode = [] if self.toolkit else ["-DLAUNCHERS_ONLY"]
            command = [compiler, "-std=c++17", "-O2", "-g0", "-fPIC", "-fvisibility=hidden", *mode]
            if not self.toolkit or not file.stem.startswith("driver"):
                named.append((file, [*command, f'-DSOURCES="{digest("cuda")}"', *self.includes()]))
        if self.toolkit:
            last = [*[f"-L{path}" for path in self.toolkit.libraries], "-lcudart_static", "-lrt"]
        objects = [f"{scratch}/{file.stem}.o" for file, _ in named]
        work([[*job, "-c", str(file), "-o", o] for (file, job), o in zip(named, objects)])
        linked = scratch / "module.so"
        last += ["-ldl", "-lpthread", "-o", str(linked)]
        work([[compiler, "-shared", "-Wl,--strip-all", *objects, *last]])
        return linked

    def take_sources_along(self) -> None:
        """Puts what NVRTC will read into the package; an editable one has it beside it."""
        folder = Path(self.build_lib) / "tinygrad_ai" / "backend"
        for file in [*ROOT.glob("csrc/*.h"), *ROOT.glob("csrc/cuda/*.*h")]:
            target = folder / file.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)

    def cuda_files(self, pattern: str) -> list[Path]:
        """From the root: the compiler puts these names into the errors of the launchers."""
        return sorted(p.relative_to(ROOT) for p in ROOT.glob(f"csrc/cuda/{pattern}"))

    def includes(self) -> list[str]:
        import pybind11

        own = [sysconfig.get_path("include"), sysconfig.get_path("platinclude")]
        return [f"-I{p}" for p in [pybind11.get_include(), *self.compiler.include_dirs, *own]]

    def leave(self, name: str, reason: str) -> list[Extension]:
        """Tells the installed package why it has no such kernels; there is nothing to install."""
        folder = ROOT if self.inplace or self.editable_mode else Path(self.build_lib)
        note = folder / "tinygrad_ai" / "backend" / f"{name}.txt"
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(reason)
        if reason:
            kind = "CPU" if name == "native" else "CUDA"
            print(f"tinygrad_ai: no compiled {kind} kernels: {reason}", file=sys.stderr)
        return []


CUDA_FLAGS = [
    "-std=c++17", "-O3", "-cudart=static", "-Xfatbin", "-compress-all",
    "-Xcompiler", "-fPIC,-fvisibility=hidden",
]  # fmt: skip
# Kernels are compiled for their names, which must be seen from outside (csrc/cuda/driver.h).
NVRTC = "nvrtc"
LAUNCHER_FLAGS = ["-std=c++17", "-O1", "-fPIC", "-DLAUNCHERS_ONLY", f'-DARCHS="{NVRTC}"']
PROBE = "#include <cuda_runtime.h>\n#include <string>\n__global__ void k(int *p) { *p = 1; }\n"


def has_driver() -> bool:
    """Whether anything could run what takes nvcc a minute to compile."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


def has_compiler() -> bool:
    """Whether there is a C++ compiler that works."""
    command = [os.environ.get("CXX", "c++"), "-x", "c++", "-fsyntax-only", "-"]
    try:
        done = subprocess.run(command, input="#include <string>\n", capture_output=True, text=True)
    except OSError:
        return False
    return done.returncode == 0


class NoToolkit(Exception):
    """There is no CUDA toolkit that works; says which were tried."""


class Toolkit:
    """An nvcc that compiles, and where its libraries lie."""

    def __init__(self, nvcc: str) -> None:
        self.nvcc = nvcc
        said = self.ask("-dryrun", "-x", "cu", "-c", os.devnull, "-o", os.devnull)
        tops = [line[7:].strip() for line in said.splitlines() if line.startswith("#$ TOP=")]
        top = Path(tops[0] if tops else Path(nvcc).resolve().parent.parent).resolve()
        folders = (top / "lib64", top / "lib", top / "targets/x86_64-linux/lib")
        self.libraries = [str(p) for p in folders if (p / "libcudart_static.a").exists()]
        if not self.libraries:
            raise NoToolkit(f"{nvcc}: no libcudart_static.a below {top}")
        with tempfile.TemporaryDirectory() as scratch:
            probe = Path(scratch) / "probe.cu"
            probe.write_text(PROBE)
            self.ask(*CUDA_FLAGS, *gencode(CUDA_ARCHS), "-c", str(probe), "-o", f"{scratch}/p.o")

    def ask(self, *arguments: str) -> str:
        """Runs nvcc; what it says on the second channel."""
        try:
            done = subprocess.run(
                [self.nvcc, *arguments], capture_output=True, text=True, timeout=120
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise NoToolkit(f"{self.nvcc} does not run: {error}") from None
        if done.returncode:
            last = (done.stderr or done.stdout).strip()[-500:]
            raise NoToolkit(f"{self.nvcc} does not compile a trivial kernel: {last}")
        return done.stderr

    @classmethod
    def found(cls) -> Toolkit:
        """The first that works: the user's, the PATH's, then pip's nvidia-cuda-nvcc."""
        homes = [os.environ.get(name) for name in ("CUDA_HOME", "CUDA_PATH")]
        places = [os.environ.get("NVCC"), *[f"{home}/bin/nvcc" for home in homes if home]]
        places += [shutil.which("nvcc")]
        for path in dict.fromkeys([sysconfig.get_path("purelib"), *sys.path]):
            places += [str(p) for p in sorted(Path(path).glob("nvidia/cu1*/bin/nvcc"))]
        refused = []
        for place in filter(None, dict.fromkeys(places)):
            try:
                return cls(place)
            except NoToolkit as error:
                refused.append(str(error))
        raise NoToolkit("; ".join(refused) or "no nvcc was found")


def gencode(archs: str) -> list[str]:
    """nvcc's flags for a list like "80;90a;90+PTX": machine code, or what a driver compiles."""
    flags = []
    for arch in filter(None, archs.split(";")):
        number = arch.removesuffix("+PTX")
        kind = "compute" if arch.endswith("+PTX") else "sm"
        flags.append(f"-gencode=arch=compute_{number},code={kind}_{number}")
    return flags


def work(jobs: list[list[str]]) -> None:
    """Runs commands side by side; raises with the output of the first that fails."""

    def run(job: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            job, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT
        )

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for job, done in zip(jobs, pool.map(run, jobs), strict=True):
            if done.returncode:
                pool.shutdown(cancel_futures=True)
                raise RuntimeError(f"{' '.join(job[:1])} failed:\n{done.stdout[-2000:]}")


setup(
    ext_modules=[
        Extension("tinygrad_ai.backend._native", []),
        Extension("tinygrad_ai.backend._cuda", []),
    ],
    cmdclass={"build_ext": Build},
)
