"""Random numbers from a counter, in plain array code: what streams on a GPU are made of."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from ..errors import DeviceError
from .kernels import kernel


class Start(NamedTuple):
    """Where a draw begins: the stream's key, and its first block of four words. For a captured
    graph, the address on the GPU of what is added to the block's number each time, else 0."""

    key: int
    block: int
    base: int = 0


@kernel
def random_words(be: Any, start: Start, count: int) -> Any:
    """`count` words of 32 random bits: Philox4x32, ten rounds (Salmon et al., 2011), makes four of
    the key and a block's number: each block is computed by itself."""
    if start.base:
        raise DeviceError("only the compiled CUDA kernels draw random numbers in a captured graph")
    place = be.arange((count + 3) // 4, dtype="uint64") + be.uint64(start.block)
    low, half = be.uint64(0xFFFFFFFF), be.uint64(32)
    c0, c1, c2, c3 = place & low, place >> half, place * 0, place * 0
    key0, key1 = start.key & 0xFFFFFFFF, start.key >> 32
    for _ in range(10):
        a, b = c0 * be.uint64(0xD2511F53), c2 * be.uint64(0xCD9E8D57)
        c0, c1 = (b >> half) ^ c1 ^ be.uint64(key0), b & low
        c2, c3 = (a >> half) ^ c3 ^ be.uint64(key1), a & low
        key0, key1 = (key0 + 0x9E3779B9) % 2**32, (key1 + 0xBB67AE85) % 2**32
    return be.stack([c0, c1, c2, c3], axis=1).reshape(-1)[:count].astype("uint32")


def long_words(be: Any, start: Start, count: int) -> Any:
    """`count` words of 64 bits, each of two of 32, the upper half first."""
    pairs = be.random_words(start, 2 * count).astype("uint64").reshape(count, 2)
    return pairs[:, 0] << be.uint64(32) | pairs[:, 1]


@kernel
def uniform(be: Any, start: Start, shape: tuple[int, ...], dtype: Any) -> Any:
    """Uniform in [0, 1), of as many bits as the dtype holds."""
    count = math.prod(shape)
    if be.dtype(dtype).itemsize == 8:
        words, bits = long_words(be, start, count) >> be.uint64(11), 53
    else:
        words, bits = be.random_words(start, count) >> be.uint32(8), 24
    return (words.astype(dtype) * 2.0**-bits).reshape(shape)


@kernel
def normal(be: Any, start: Start, shape: tuple[int, ...], dtype: Any) -> Any:
    """Normal, two at a time (Box & Muller, 1958)."""
    count = math.prod(shape)
    half = (count + 1) // 2
    u = be.uniform(start, (2, half), dtype)
    radius, angle = be.sqrt(-2 * be.log(1 - u[0])), 2 * math.pi * u[1]
    both = be.concatenate([radius * be.cos(angle), radius * be.sin(angle)])
    return both[:count].reshape(shape)


@kernel
def exponential(be: Any, start: Start, shape: tuple[int, ...], scale: float) -> Any:
    """Exponential with mean `scale`."""
    return -scale * be.log(1 - be.uniform(start, shape, "float64"))


@kernel
def integers(be: Any, start: Start, shape: tuple[int, ...], low: int, high: int) -> Any:
    """Integers in [low, high), all but equally likely: ranges are small beside 2⁶⁴."""
    words = long_words(be, start, math.prod(shape)) % be.uint64(high - low)
    return words.astype("int64").reshape(shape) + low


@kernel
def shuffled(be: Any, start: Start, n: int) -> Any:
    """The integers 0 to n - 1 in random order."""
    return be.argsort(long_words(be, start, n), kind="stable")


@kernel
def below(be: Any, start: Start, shape: tuple[int, ...], chance: float) -> Any:
    """Bools, each true with that chance (rounded to 2⁻³²): a word decides for each."""
    count, limit = math.prod(shape), round(chance * 2**32)
    if limit == 2**32:
        return be.ones(shape, bool)
    return (be.random_words(start, count) < be.uint32(limit)).reshape(shape)
