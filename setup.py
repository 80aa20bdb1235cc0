"""Builds the compiled CPU kernels where a C++ compiler is. Metadata lives in pyproject.toml.

TINYGRAD_AI_NATIVE: `auto` (default) installs without them if they cannot be built, and leaves the
reason for `python -m tinygrad_ai info`; `require` makes that an error; `0` does not try.
TINYGRAD_AI_CFLAGS adds flags for the compiler and the linker, a sanitizer for instance.
"""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent
WISH = os.environ.get("TINYGRAD_AI_NATIVE", "auto")
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


def sources() -> list[Path]:
    return sorted([*ROOT.glob("csrc/*.h"), *ROOT.glob("csrc/cpu/*")])


def digest() -> str:
    """What the binary was made from; compared at import with what lies beside it."""
    return hashlib.sha256(b"".join(p.read_bytes() for p in sources())).hexdigest()[:16]


class Build(build_ext):
    """One object file for each instruction set, the bindings, and the module of them all."""

    def run(self) -> None:
        if WISH == "0":
            return self.leave("it was not built: TINYGRAD_AI_NATIVE=0 at installation")
        try:
            super().run()
            self.leave("")
        except Exception as error:
            if WISH == "require":
                raise
            self.leave(f"it could not be built: {error}")

    def build_extension(self, ext: Extension) -> None:
        import pybind11

        compiler = os.environ.get("CXX", "c++")
        target = Path(self.get_ext_fullpath(ext.name))
        target.parent.mkdir(parents=True, exist_ok=True)
        include = [pybind11.get_include(), *self.compiler.include_dirs, *self.python_includes()]
        with tempfile.TemporaryDirectory() as scratch:
            objects, jobs = [], []
            for name, width, flags in SETS:
                objects.append(f"{scratch}/{name}.o")
                jobs.append([
                    compiler, *FLAGS, *flags.split(), "-fPIC", f"-DISA={name}",
                    f"-DVEC_BYTES={width}", "-c", str(ROOT / "csrc/cpu/kernels.cpp"),
                    "-o", objects[-1],
                ])  # fmt: skip
            for name in ("bindings", "memory", "pool"):
                objects.append(f"{scratch}/{name}.o")
                jobs.append([
                    compiler, *FLAGS, "-fPIC", f'-DSOURCES="{digest()}"',
                    *[f"-I{path}" for path in include], "-c",
                    str(ROOT / f"csrc/cpu/{name}.cpp"), "-o", objects[-1],
                ])  # fmt: skip
            work(jobs)
            linked = f"{scratch}/module.so"
            last = ["-undefined", "dynamic_lookup"] if sys.platform == "darwin" else []
            work([[compiler, "-shared", "-pthread", *EXTRA, *last, *objects, "-o", linked]])
            target.unlink(missing_ok=True)  # a process may be running the old one
            target.write_bytes(Path(linked).read_bytes())
            target.chmod(0o755)

    def python_includes(self) -> list[str]:
        import sysconfig

        return [sysconfig.get_path("include"), sysconfig.get_path("platinclude")]

    def leave(self, reason: str) -> None:
        """Tells the installed package why it has no kernels."""
        folder = ROOT if self.inplace or self.editable_mode else Path(self.build_lib)
        note = folder / "tinygrad_ai" / "backend" / "native.txt"
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(reason)
        if reason:
            print(f"tinygrad_ai: no compiled CPU kernels: {reason}", file=sys.stderr)


def work(jobs: list[list[str]]) -> None:
    """Runs commands side by side; raises with the output of the first that fails."""
    running = [
        subprocess.Popen(job, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for job in jobs
    ]
    outputs = [process.communicate()[0] for process in running]
    for process, output, job in zip(running, outputs, jobs, strict=True):
        if process.returncode:
            raise RuntimeError(f"{' '.join(job[:1])} failed:\n{output[-2000:]}")


setup(
    ext_modules=[Extension("tinygrad_ai.backend._native", [])],
    cmdclass={"build_ext": Build},
)
