"""Where NumPy's arrays get their memory: a cache of freed blocks, so that a loop does not pay for
the same pages in every step. It is part of the compiled module, and bounded: TINYGRAD_AI_CACHE says
how many MiB may wait in it (256; 0 leaves NumPy's own allocator in place).

NumPy keeps its allocator for each context: arrays made in other threads come from NumPy's own
unless `use_cache()` is called there. An array always goes back to where it came from.
"""

from __future__ import annotations

import os

from ..errors import ArgumentError
from .native import module

SWITCH, MOST = "TINYGRAD_AI_CACHE", 1 << 24  # MiB


def limit() -> int:
    """How many MiB may wait in the cache."""
    said = os.environ.get(SWITCH, "256")
    if not said.isdecimal():
        raise ArgumentError(f"expected {SWITCH} to be a number of MiB, got {said!r}")
    return min(int(said), MOST)


def use_cache() -> bool:
    """Lets NumPy's arrays of this thread take their memory from the cache; whether it does."""
    if module is None or not limit():
        return False
    module.serve_numpy(limit() << 20)
    return True


def memory_stats() -> dict[str, int]:
    """Bytes in use, the most so far, bytes that wait, their limit; how many requests were served
    from those that waited (`reused`) and by the system (`fetched`). All 0 without the cache."""
    names = ("used", "most_used", "kept", "limit", "reused", "fetched")
    return dict(zip(names, module.memory_stats() if module else (0,) * 6, strict=True))


def memory_summary() -> str:
    """memory_stats() in words."""
    stats = memory_stats()
    if not stats["limit"]:
        return "the cache is not used: arrays get their memory from NumPy's own allocator"
    mib = {
        name: f"{stats[name] / 2**20:.1f} MiB" for name in ("used", "most_used", "kept", "limit")
    }
    asked = stats["reused"] + stats["fetched"]
    return (
        f"in use {mib['used']} (at most {mib['most_used']} so far), waiting {mib['kept']} "
        f"of {mib['limit']}, {stats['reused'] / max(asked, 1):.0%} of {asked} requests reused"
    )


def empty_cache() -> None:
    """Gives the memory that waits back to the system."""
    if module:
        module.empty_cache()


use_cache()
