"""Which accelerators are there, and why one is not. Asked by `info`, and once at import.

The switches TINYGRAD_AI_NATIVE and TINYGRAD_AI_CUDA take `auto` (the default), `require` and `0`.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from ..errors import ArgumentError, DeviceError
from . import cublaslt, cuda, fused_cuda, native

SWITCHES = {"native": "TINYGRAD_AI_NATIVE", "cuda": "TINYGRAD_AI_CUDA"}
CURES = {
    "native": "install a C++ compiler and run pip install -e . again",
    "cuda": "install CuPy",
}


def switch(name: str) -> str:
    """The user's wish for one accelerator."""
    value = os.environ.get(SWITCHES[name], "auto")
    if value not in ("auto", "require", "0"):
        raise ArgumentError(f"expected {SWITCHES[name]} to be auto, require or 0, got {value!r}")
    return value


def reason(name: str) -> str:
    """Why an accelerator is not in use."""
    if switch(name) == "0":
        return f"switched off by {SWITCHES[name]}=0"
    if name == "native":
        return native.reason
    return cuda.reason()


def report() -> dict[str, dict[str, Any]]:
    """For each accelerator whether it is in use, and if not, why. Loads CuPy."""
    return {name: state(name) for name in SWITCHES}


def state(name: str) -> dict[str, Any]:
    """Whether one accelerator is in use, and if not, why."""
    if name == "native" and native.module:
        return {
            "available": True, "instructions": native.module.isa(),
            "threads": native.get_num_threads(), "compiler": native.module.compiler,
        }  # fmt: skip
    why = reason(name)
    if name == "cuda" and not why:
        cupy = cuda.load().xp
        names = [
            cupy.cuda.runtime.getDeviceProperties(i)["name"].decode()
            for i in range(cupy.cuda.runtime.getDeviceCount())
        ]
        return {
            "available": True, "cupy": cupy.__version__, "gpus": ", ".join(names),
            "kernels": fused_cuda.said(),
            "cublaslt": cublaslt.report(fused_cuda.load()[0]),
        }  # fmt: skip
    return {"available": False, "reason": why}


def check_required() -> None:
    """Raises DeviceError if an accelerator that must be there is not: no silent fallback."""
    for name in SWITCHES:
        if switch(name) == "require" and not (found := state(name))["available"]:
            raise DeviceError(
                f"{SWITCHES[name]}=require, but {found['reason']}",
                f"{CURES[name]}, or unset {SWITCHES[name]}",
            )


def blas() -> dict[str, Any]:
    """The BLAS under NumPy: its name, version and number of threads."""
    config: Any = np.show_config(mode="dicts")  # type: ignore[call-overload]
    found = config["Build Dependencies"]["blas"]
    return {"name": found["name"], "version": found["version"], "threads": _threads()}


def _threads() -> Any:
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
            if name in os.environ:
                return int(os.environ[name])
        return os.cpu_count()
    return max((pool["num_threads"] for pool in threadpool_info()), default=1)
