"""NVIDIA's cuBLASLt: matrix products with the bias and some activations in the same kernel.

The compiled module opens the library when a product first asks for it; neither is linked to the
other. What the library has no kernel for is left to others, by the answer None.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

WORKSPACE = 32 << 20  # bytes, as NVIDIA advises for Hopper; less for older GPUs would do
NAMES = ("libcublasLt.so.13", "libcublasLt.so.12")
FUSED = (None, "relu", "gelu_tanh")  # its GELU is the approximation by tanh


def places() -> list[str]:
    """Where the library may lie, the likeliest first: what NVIDIA's own finder says, beside pip's
    packages, what the process has loaded already, and where the system looks."""
    found = [_pathfinder()]
    for folder in dict.fromkeys(sys.path):
        for pattern in ("nvidia/cu1*/lib", "nvidia/cublas/lib"):
            found += sorted(map(str, Path(folder).glob(f"{pattern}/libcublasLt.so.1*")))[::-1]
    return list(dict.fromkeys([*filter(None, [*found, _loaded()]), *NAMES]))


def _pathfinder() -> str | None:
    try:
        finder = import_module("cuda.pathfinder")
        return str(finder.load_nvidia_dynamic_lib("cublasLt").abs_path)
    except Exception:  # the package is not there, or it finds nothing, which has many names
        return None


def _loaded() -> str | None:
    maps = Path("/proc/self/maps")
    lines = maps.read_text().splitlines() if maps.exists() else []
    return next((line.split()[-1] for line in lines if "libcublasLt.so" in line), None)


def opened(module: Any) -> tuple[Any, str]:
    """The library, with a handle for the current device; or None and why."""
    if not hasattr(module, "CublasLt"):
        return None, "it needs the compiled CUDA kernels"
    why = []
    for path in places():
        try:
            return module.CublasLt(path), ""
        except RuntimeError as error:
            why.append(str(error))
    return None, "; ".join(why)


def report(module: Any) -> str:
    """Its version, or why it is not used."""
    library, why = opened(module)
    if library is None:
        return f"not used: {why}"
    v = library.version
    return f"{v // 10000}.{v // 100 % 100}.{v % 100}"


def capturing(be: Any) -> bool:
    """Whether what is asked of the current stream goes into a graph, to be done later."""
    return bool(be.xp.cuda.get_current_stream().is_capturing())


class Products:
    """Plans of products, and what they need: a handle for each device, a workspace for each of its
    streams. They are made once: a product whose plan is there can be captured into a graph."""

    def __init__(self, be: Any, module: Any) -> None:
        self.be, self.module = be, module
        self.libraries: dict[int, Any] = {}
        self.plans: dict[Any, Any] = {}
        self.spaces: dict[tuple[int, int], Any] = {}
        self.nan: dict[Any, bool] = {}

    def __call__(
        self, device: int, kind: tuple[Any, ...], at: tuple[int, ...], stream: int
    ) -> bool:
        """Whether it was done. kind: layout, dtype, tf32, m, n, k, act; at: the addresses of
        a, b, bias, c, z. While a graph is captured only by a plan that is there."""
        plan = self.plan(device, kind, at)
        if plan is None:
            return False
        space = self.space(device, stream)
        plan.run(*at, self.be.address_of(space), stream)
        return True

    def plan(self, device: int, kind: tuple[Any, ...], at: tuple[int, ...]) -> Any:
        """The plan for this kind of product; None if the library has none, or was not asked."""
        bias, z = bool(at[2]), bool(at[4])
        key = (device, kind, bias, z, self.module.alignment(*at))
        if key not in self.plans and not capturing(self.be):
            layout, dtype, tf32, *sizes, act = kind
            library = self.library(device)
            self.plans[key] = library and library.plan(
                layout, dtype, tf32, *at, *sizes, act, WORKSPACE
            )
        return self.plans.get(key)

    def space(self, device: int, stream: int) -> Any:
        """A stream's workspace: what runs at the same time must not share one. A graph runs on any
        stream, and its pool keeps what it uses, so it gets one of its own."""
        if capturing(self.be):
            return self.be.empty((WORKSPACE,), "uint8")
        key = (device, stream)
        if key not in self.spaces:
            self.spaces[key] = self.be.empty((WORKSPACE,), "uint8")
        return self.spaces[key]

    def keeps_nan(self, device: int, kind: tuple[Any, ...], dtype: Any, stream: int) -> bool:
        """Whether the library's relu leaves NaN alone, as ours does. It does not say, so it is
        asked once for each kind of number, with a small product whose bias is NaN."""
        key = (device, *kind[1:3])
        if key not in self.nan and not capturing(self.be):
            a, c = (self.be.zeros((16, 16), dtype) for _ in range(2))
            bias = self.be.full((16,), float("nan"), dtype)
            at = tuple([0 if x is None else self.be.address_of(x) for x in (a, a, bias, c, None)])
            small = (self.module.Layout.nt, *kind[1:3], 16, 16, 16, self.module.Act.relu)
            done = self(device, small, at, stream)
            self.nan[key] = done and bool(self.be.isnan(c.astype("float32")).all())
        return self.nan.get(key, False)

    def library(self, device: int) -> Any:
        if device not in self.libraries:
            self.libraries[device] = opened(self.module)[0]
        return self.libraries[device]
