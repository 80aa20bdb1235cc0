"""What the tests of the CUDA kernels share: compilers and builds."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import lru_cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = ROOT / "tests" / "cuda"
FLAGS = ["-std=c++17", "-O1", "-g1", "-Wall", "-Wextra", "-Wno-unknown-pragmas", "-Wno-clobbered"]
FLAGS += ["-U_FORTIFY_SOURCE"]  # it takes a jump to another stack for an error

# What a build can find that others cannot. A grid of few blocks walks over its work in steps.
BUILDS = {
    "plain": [],
    "address": ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-DGRID_LIMIT=2"]
    # These take longest to compile, and the first finds what they would.
    + ["-fno-sanitize=null,object-size,vptr"],
    "thread": ["-fsanitize=thread", "-DGRID_LIMIT=6"],
}


@lru_cache
def missing_compiler() -> str | None:
    """Why kernels cannot be run under the simulator here, or None."""
    if os.name != "posix" or not shutil.which("g++"):
        return "no g++ to build kernels with the simulator"
    return None


def build(target: Path, source: str, *flags: str) -> Path:
    command = ["g++", *FLAGS, f"-I{SOURCES}", *flags, str(SOURCES / source), "-o", str(target)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return target


def run(program: Path, order: str = "fwd") -> tuple[int, str]:
    done = subprocess.run(
        [str(program)],
        capture_output=True,
        text=True,
        errors="replace",
        env={**os.environ, "CUSIM_ORDER": order, "TSAN_OPTIONS": "halt_on_error=1"},
    )
    return done.returncode, done.stdout + done.stderr


needs_compiler = pytest.mark.skipif(missing_compiler() is not None, reason=missing_compiler() or "")
