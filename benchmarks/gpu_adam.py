"""Adam over many parameters on a GPU: how much of the memory's measured speed it reaches.

A step reads p, g, m and v and writes p, m and v, 28 bytes for each float32 parameter.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .gpu_clock import Clock, Contender, agree, contest, fastest
from .gpu_place import Place
from .targets import Target

COUNT, PARTS = 100_000_000, 10
BYTES = 28  # of traffic for each parameter
COPY = 1 << 30  # bytes of the buffer that is copied
HEAD = 1000  # parameters of each part that are compared
RATE, TOLERANCE, SHARE = 1e-3, 1e-5, 0.85


def moved(g: np.ndarray) -> np.ndarray:
    """What Adam's first step adds: m̂ = g, v̂ = g²."""
    g = g.astype(np.float64)
    return -RATE * g / (np.abs(g) + 1e-8)


def of_ours(count: int, parts: int, place: Place) -> tuple[Contender, dict[str, np.ndarray]]:
    """The optimizer, and what its first step must do to the first parameters of each part."""
    import tinygrad_ai as ta

    params = [
        ta.zeros(count // parts, device=place.ours).requires_grad_() for _ in range(parts)
    ]  # zeros: what is added to large numbers would be rounded away
    for p in params:
        p.grad = ta.randn(count // parts, device=place.ours)
    optimizer = ta.optim.Adam(params, lr=RATE)
    heads = [p.grad[:HEAD].cpu().numpy() for p in params]

    def proof() -> dict[str, np.ndarray]:
        optimizer.step()
        return {f"part {i}": p.detach()[:HEAD].cpu().numpy() for i, p in enumerate(params)}

    expected = {f"part {i}": moved(g) for i, g in enumerate(heads)}
    return Contender("our Adam", lambda i: optimizer.step(), proof), expected


def copies(size: int, place: Place) -> list[Contender]:
    """The two ways to copy memory: a kernel, and the driver's own."""
    xp, runtime = place.be.xp, place.be.xp.cuda.runtime
    source, target = (xp.zeros(size // 4, "float32") for _ in range(2))

    def by_kernel(i: int) -> None:
        xp.add(source, 0, out=target)

    def by_driver(i: int) -> None:
        stream = xp.cuda.get_current_stream().ptr
        kind = runtime.memcpyDeviceToDevice
        runtime.memcpyAsync(target.data.ptr, source.data.ptr, source.nbytes, kind, stream)

    return [Contender("a kernel's copy", by_kernel), Contender("the driver's copy", by_driver)]


def share(
    place: Place, clock: Clock, count: int = COUNT, parts: int = PARTS, size: int = COPY
) -> Iterator[Any]:
    ours, expected = of_ours(count, parts, place)
    agree([ours], expected, TOLERANCE)
    others = copies(size, place)
    times = contest([ours, *others], clock)
    best = fastest(times, [c.name for c in others])
    value = share_of(times[ours.name], times[best], count * BYTES, 2 * size)
    text = f"Adam, {count // 10**6} M parameters: share of {best}"
    yield Target(text, value, SHARE, at_least=True), times


def share_of(ours: list[float], copy: list[float], bytes_ours: int, bytes_copy: int) -> float:
    """Our bytes a second over the copy's: the median of the rounds."""
    rates = [(bytes_ours / a) / (bytes_copy / b) for a, b in zip(ours, copy, strict=True)]
    return float(np.median(rates))


def figures(place: Place) -> dict[str, Any]:
    return {"Adam": lambda: share(place, place.queue_clock())}
