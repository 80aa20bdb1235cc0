"""The machine: what it is, in words, and what it can do at most."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterable
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from .protocol import SPEED, VARIABLES, Contender, Settings, pinned_to, processors

MEMORY_BYTES = 1 << 28  # of arrays that no cache holds, if the machine does not say more


def processor() -> str:
    """Its name, and the family and model that tell apart what virtual machines call alike."""
    file = Path("/proc/cpuinfo")
    if not file.exists():
        return platform.processor() or platform.machine()
    pairs = [line.split(":", 1) for line in file.read_text().splitlines() if ":" in line]
    told = {name.strip(): value.strip() for name, value in reversed(pairs)}
    name = told.get("model name", platform.machine())
    kind = [
        f"{n} {told[k]}" for n, k in (("family", "cpu family"), ("model", "model")) if k in told
    ]
    return f"{name} ({', '.join(kind)})" if kind else name


def cores() -> int:
    """Physical cores among the processors this process may use."""
    if not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1
    allowed = os.sched_getaffinity(0)
    places = [Path(f"/sys/devices/system/cpu/cpu{cpu}/topology") for cpu in allowed]
    names = ("physical_package_id", "core_id")
    if not all((place / name).exists() for place in places for name in names):
        return len(allowed)
    return len({tuple((place / name).read_text() for name in names) for place in places})


def version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def describe(settings: Settings, contenders: Iterable[Contender]) -> dict[str, Any]:
    """Everything that decides how fast it goes."""
    from tinygrad_ai import __version__
    from tinygrad_ai.backend import accelerators

    native = accelerators.report()["native"]
    libraries = {
        "numpy",
        "jaxlib",
        "transformers",
        *(name for c in contenders for name in c.packages),
    }
    ours = {k: v for k, v in sorted(VARIABLES.items()) if k.startswith("TINYGRAD_AI_")}
    others = {k: v for k, v in sorted(VARIABLES.items()) if k.startswith(SPEED)}
    return {
        "processor": processor(),
        "instructions": native.get("instructions") or f"NumPy's own ({native['reason']})",
        "compiler": native.get("compiler", "none"),
        "cores": cores(),
        "threads": settings.threads,
        "pinned to": pinned_to(settings.threads),
        "system": platform.platform(),
        "python": platform.python_version(),
        "blas": "{name} {version}".format(**accelerators.blas()),
        "versions": {
            "tinygrad_ai": __version__, **{n: v for n in sorted(libraries) if (v := version(n))},
        },
        "variables": {**ours, **others} if settings.keep_variables else ours,
        "not passed on": {} if settings.keep_variables else others,
    }  # fmt: skip


def last_cache() -> int:
    """Bytes of the largest cache that the system tells of; 0 if it does not."""
    files = Path("/sys/devices/system/cpu/cpu0/cache").glob("*/size")
    sizes = [int(f.read_text().strip().removesuffix("K")) for f in files]
    return 1024 * max(sizes, default=0)


def fastest(work: Callable[[], float], seconds: float) -> float:
    """The highest rate of work seen: what else ran on the machine only lowers it."""
    best, end = 0.0, time.perf_counter() + seconds
    while time.perf_counter() < end or not best:
        start = time.perf_counter()
        done = work()
        best = max(best, done / (time.perf_counter() - start))
    return best


def ceilings(parameters: int, seconds: float) -> dict[str, float]:
    """Operations a second, and bytes a second of an optimizer's arrays, here and in main memory.

    Empty without the compiled kernels: nothing that NumPy does comes near.
    """
    from tinygrad_ai.backend import native

    if native.module is None:
        return {}
    module = native.module
    found = {"multiply-adds": fastest(partial(module.multiply_add, 100_000), seconds)}
    far = max(MEMORY_BYTES, 4 * last_cache()) // 16
    for name, count, passes in (("traffic", parameters, 10), ("memory", far, 1)):
        arrays = [np.full(count, 1e-3, np.float32) for _ in range(4)]
        found[name] = fastest(partial(module.stream, *arrays, passes), seconds)
    return found


def ticks() -> tuple[int, int]:
    """Clock ticks of the processors we may use: at work (for a neighbour machine, too), and all."""
    ours = {f"cpu{cpu}" for cpu in processors()}
    lines = [line.split() for line in Path("/proc/stat").read_text().splitlines()]
    counts = [list(map(int, numbers[:8])) for name, *numbers in lines if name in ours]
    every = sum(map(sum, counts))
    return every - sum(idle + wait for _, _, _, idle, wait, *_ in counts), every


def others(seconds: float = 0.25) -> dict[str, float]:
    """How many processors other programs keep busy while we wait; nothing where nobody tells."""
    if not Path("/proc/stat").exists():
        return {}
    busy, every = ticks()
    time.sleep(seconds)
    later, end = ticks()
    return {"others": (later - busy) / max(1, end - every) * len(processors())}
