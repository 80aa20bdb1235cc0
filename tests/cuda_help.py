"""What the tests of the CUDA kernels share: compilers, builds, and the launchers by ctypes."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
SOURCES = ROOT / "tests" / "cuda"
FLAGS = ["-std=c++17", "-O1", "-g1", "-Wall", "-Wextra", "-Wno-unknown-pragmas", "-Wno-clobbered"]

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


INDEX, POINTER, REAL = ctypes.c_ssize_t, ctypes.c_void_p, ctypes.c_double


def struct(name: str, **fields: Any) -> type[ctypes.Structure]:
    return type(name, (ctypes.Structure,), {"_fields_": list(fields.items())})


def pointers(*names: str) -> dict[str, Any]:
    return dict.fromkeys(names, POINTER)


def sizes(*names: str) -> dict[str, Any]:
    return dict.fromkeys(names, INDEX)


# The structs of csrc/table.h and csrc/cuda/kernels.h, field by field.
Rows = struct("Rows", **pointers("x", "y"), **sizes("count", "width"))
RowsGrad = struct("RowsGrad", **pointers("g", "y", "gx"), **sizes("count", "width"))
Labels = struct("Labels", **pointers("target", "weight"), ignore=ctypes.c_int64)
CrossEntropy = struct(
    "CrossEntropy", x=POINTER, labels=Labels, **pointers("loss", "total"),
    mean=ctypes.c_bool, **sizes("rows", "classes"),
)  # fmt: skip
CrossEntropyGrad = struct(
    "CrossEntropyGrad", **pointers("g", "x"), g_step=INDEX, labels=Labels, y=POINTER,
    mean=ctypes.c_bool, **sizes("rows", "classes"),
)  # fmt: skip
Elements = struct(
    "Elements", **pointers("g", "x", "y"), count=INDEX, act=ctypes.c_int,
    **sizes("width", "g_row", "x_row"),
)  # fmt: skip
Dropout = struct("Dropout", **pointers("x", "keep", "y"), count=INDEX, scale=REAL)
LayerNorm = struct(
    "LayerNorm", **pointers("x", "w", "b", "y", "mean", "rstd"), **sizes("count", "width"), eps=REAL
)
LayerNormGrad = struct(
    "LayerNormGrad", **pointers("g", "x", "w", "mean", "rstd", "gx", "gw", "gb"),
    **sizes("count", "width"),
)  # fmt: skip
Embedding = struct("Embedding", **pointers("w", "place", "y"), **sizes("count", "width"))
EmbeddingGrad = struct(
    "EmbeddingGrad", **pointers("g", "place", "gw"), **sizes("count", "width"),
    skip=ctypes.c_int64,
)  # fmt: skip
AdamTensor = struct("AdamTensor", **pointers("p", "g", "m", "v", "v_max"), count=INDEX)
AdamList = struct(
    "AdamList", tensors=POINTER, size=INDEX, **pointers("lr", "step"), step_stride=INDEX,
    beta1=REAL, beta2=REAL, eps=REAL, weight_decay=REAL, decoupled=ctypes.c_bool,
)  # fmt: skip
SgdTensor = struct("SgdTensor", **pointers("p", "g", "velocity"), count=INDEX, first=ctypes.c_bool)
SgdList = struct(
    "SgdList", tensors=POINTER, size=INDEX, lr=POINTER, momentum=REAL, dampening=REAL,
    weight_decay=REAL, nesterov=ctypes.c_bool,
)  # fmt: skip
RmsPropTensor = struct(
    "RmsPropTensor", **pointers("p", "g", "square", "mean", "velocity"), count=INDEX
)
RmsPropList = struct(
    "RmsPropList", tensors=POINTER, size=INDEX, lr=POINTER,
    **dict.fromkeys(("alpha", "eps", "weight_decay", "momentum"), REAL),
)  # fmt: skip


def odd(x: Any) -> np.ndarray:
    """A copy that is aligned to its own numbers only."""
    x = np.asarray(x)
    copy = np.zeros(x.nbytes + 64, np.uint8)
    skip = -copy.ctypes.data % 32 + x.itemsize
    copy = copy[skip : skip + x.nbytes].view(x.dtype).reshape(x.shape)
    copy[...] = x
    return copy


def fill(kind: type[ctypes.Structure], **fields: Any) -> ctypes.Structure:
    """A struct with arrays as pointers to their numbers, and None as a null pointer."""
    value = kind()
    for name, field in fields.items():
        setattr(value, name, field.ctypes.data if isinstance(field, np.ndarray) else field)
    value.held = fields
    return value


class Launchers:
    """`launchers.softmax(dtype, struct)` calls the launcher for that dtype, or fails the test."""

    def __init__(self, library: Path) -> None:
        self.library = ctypes.CDLL(str(library))
        self.library.last_error.restype = ctypes.c_char_p

    def __getattr__(self, name: str) -> Any:
        def call(dtype: Any, value: ctypes.Structure, *more: Any) -> None:
            function = getattr(self.library, f"{name}_f{8 * np.dtype(dtype).itemsize}")
            arrays = [ctypes.c_void_p(a.ctypes.data) if hasattr(a, "ctypes") else a for a in more]
            status = function(ctypes.byref(value), *arrays)
            assert status == 0, (status, self.library.last_error().decode())

        return call


def close(mine: Any, plain: Any) -> None:
    """Mine against the plain kernel's result, which was computed in double precision."""
    tol = 2e-5 if mine.dtype == np.float32 else 1e-11
    finite = plain[np.isfinite(plain)]
    scale = max(1.0, float(np.abs(finite).max(initial=0)))
    assert mine.shape == plain.shape
    np.testing.assert_allclose(mine, plain, rtol=tol, atol=tol * scale)


needs_compiler = pytest.mark.skipif(missing_compiler() is not None, reason=missing_compiler() or "")
