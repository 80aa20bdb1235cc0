"""Random numbers from a counter, in plain array code: what streams on a GPU are made of."""

from __future__ import annotations

import math
from typing import Any

from .kernels import kernel


@kernel
def mixed(be: Any, start: int, count: int) -> Any:
    """`count` words of 64 random bits: SplitMix64 (Steele et al., 2014), whose state is a counter,
    so that each word is computed by itself."""
    z = be.arange(count, dtype="uint64") * be.uint64(0x9E3779B97F4A7C15) + be.uint64(start)
    z = (z ^ (z >> be.uint64(30))) * be.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> be.uint64(27))) * be.uint64(0x94D049BB133111EB)
    return z ^ (z >> be.uint64(31))


@kernel
def uniform(be: Any, start: int, shape: tuple[int, ...], dtype: Any) -> Any:
    """Uniform in [0, 1), of as many bits as the dtype holds."""
    bits = 53 if be.dtype(dtype).itemsize == 8 else 24
    words = be.mixed(start, math.prod(shape)) >> be.uint64(64 - bits)
    return (words.astype(dtype) * 2.0**-bits).reshape(shape)


@kernel
def normal(be: Any, start: int, shape: tuple[int, ...], dtype: Any) -> Any:
    """Normal, two at a time (Box & Muller, 1958)."""
    count = math.prod(shape)
    half = (count + 1) // 2
    u = be.uniform(start, (2, half), dtype)
    radius, angle = be.sqrt(-2 * be.log(1 - u[0])), 2 * math.pi * u[1]
    both = be.concatenate([radius * be.cos(angle), radius * be.sin(angle)])
    return both[:count].reshape(shape)


@kernel
def exponential(be: Any, start: int, shape: tuple[int, ...], scale: float) -> Any:
    """Exponential with mean `scale`."""
    return -scale * be.log(1 - be.uniform(start, shape, "float64"))


@kernel
def integers(be: Any, start: int, shape: tuple[int, ...], low: int, high: int) -> Any:
    """Integers in [low, high), all but equally likely: ranges are small beside 2⁶⁴."""
    words = be.mixed(start, math.prod(shape)) % be.uint64(high - low)
    return words.astype("int64").reshape(shape) + low


@kernel
def shuffled(be: Any, start: int, n: int) -> Any:
    """The integers 0 to n - 1 in random order."""
    return be.argsort(be.mixed(start, n), kind="stable")


@kernel
def below(be: Any, start: int, shape: tuple[int, ...], chance: float) -> Any:
    """Bools, each true with that chance (rounded to 2⁻³²): half a word decides for each."""
    count, limit = math.prod(shape), round(chance * 2**32)
    if limit == 2**32:
        return be.ones(shape, bool)
    words = be.mixed(start, (count + 1) // 2).view("uint32")
    return (words[:count] < be.uint32(limit)).reshape(shape)
