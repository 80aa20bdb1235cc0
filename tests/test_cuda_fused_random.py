"""Random numbers on a GPU: Philox in array code, and the kernels that draw the same bits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tinygrad_ai as ta
import tinygrad_ai.nn.functional as F
from tests.cuda_entries import Entries, compiled_entries
from tinygrad_ai import backend
from tinygrad_ai.backend import random
from tinygrad_ai.backend.kernels_random import Start, long_words

STARTS = [Start(0, 0), Start(1234567890123, 2**32 - 3), Start(2**64 - 1, 2**64 - 2)]


@pytest.fixture
def cuda() -> Iterator[Entries]:
    with compiled_entries() as entries:
        yield entries


def test_the_words_are_those_of_the_generators_authors() -> None:
    """From the test vectors of Random123, as far as our counter reaches."""
    words = backend.numpy.random_words(Start(0, 0), 4)
    assert words.dtype == np.uint32
    assert words.tolist() == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]


def philox(counter: int, key: int) -> list[int]:
    """Four words, in Python's integers."""
    c = [counter & 0xFFFFFFFF, counter >> 32, 0, 0]
    k = [key & 0xFFFFFFFF, key >> 32]
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [b >> 32 ^ c[1] ^ k[0], b & 0xFFFFFFFF, a >> 32 ^ c[3] ^ k[1], a & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
    return c


@pytest.mark.parametrize("start", STARTS)
def test_words_are_a_function_of_key_and_place(start: Start) -> None:
    blocks = [philox((start.block + i) % 2**64, start.key) for i in range(4)]
    words = backend.numpy.random_words(start, 14)
    assert words.tolist() == sum(blocks, [])[:14]


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 257, 3000])
def test_the_kernels_draw_the_same_bits(cuda: Entries, start: Start, count: int) -> None:
    draws: list[tuple[str, Any]] = [
        ("random_words", (count,)),
        ("uniform", ((count,), "float32")),
        ("uniform", ((1, count), "float64")),
        *[("below", ((count, 1), chance)) for chance in (0.0, 0.3, 1 - 2**-34, 1.0)],
    ]
    for name, args in draws:
        cuda.called.clear()
        mine, plain = [e(start, *args).get() for e in (getattr(cuda.be, name), cuda.off[name])]
        assert cuda.called and mine.dtype == plain.dtype and mine.shape == plain.shape
        assert mine.tobytes() == plain.tobytes()
        host = getattr(backend.numpy, name)(start, *args)
        assert host.tobytes() == mine.tobytes()


def test_what_is_made_of_them_is_the_same(cuda: Entries) -> None:
    start = STARTS[1]
    for name, args in [
        ("normal", ((7, 3), "float64")), ("normal", ((5,), "float32")),
        ("exponential", ((9,), 2.0)), ("integers", ((50,), -3, 4)), ("shuffled", (40,)),
    ]:  # fmt: skip
        cuda.called.clear()
        mine, host = (
            getattr(cuda.be, name)(start, *args),
            getattr(backend.numpy, name)(start, *args),
        )
        assert cuda.called and mine.dtype == host.dtype
        np.testing.assert_allclose(mine.get(), host, rtol=1e-6)


def test_moments(cuda: Entries) -> None:
    u = backend.numpy.uniform(Start(5, 0), (100_000,), "float32")
    assert u.min() >= 0 and u.max() < 1
    assert abs(u.mean() - 0.5) < 0.005 and abs(u.var() - 1 / 12) < 0.002
    assert abs(np.corrcoef(u[1:], u[:-1])[0, 1]) < 0.02
    other = backend.numpy.uniform(Start(6, 0), (100_000,), "float32")  # of the next seed
    assert abs(np.corrcoef(u, other)[0, 1]) < 0.02
    longs = long_words(backend.numpy, Start(5, 0), 10_000)
    assert len(set(longs.tolist())) == 10_000 and longs.dtype == np.uint64


def test_a_base_moves_the_numbers(cuda: Entries) -> None:
    """A captured graph reads there how far it has come."""
    base = cuda.far(np.array([3, 0], np.uint64))
    moved = Start(7, 10, cuda.be.address_of(base))
    for name, args in [
        ("random_words", (9,)), ("uniform", ((9,), "float32")), ("uniform", ((9,), "float64")),
        ("below", ((9,), 0.5)), ("normal", ((9,), "float32")), ("integers", ((9,), 0, 100)),
    ]:  # fmt: skip
        draw = getattr(cuda.be, name)
        assert draw(moved, *args).tolist() == draw(Start(7, 13), *args).tolist()
    base[0] = 2**64 - 10  # it wraps around
    assert cuda.be.random_words(moved, 9).tolist() == cuda.be.random_words(Start(7, 0), 9).tolist()
    base[1] = 2**64 - 2  # another key
    assert cuda.be.random_words(moved, 9).tolist() == cuda.be.random_words(Start(5, 0), 9).tolist()
    with pytest.raises(ta.errors.DeviceError, match="in a captured graph"):
        cuda.off["random_words"](moved, 9)


def test_streams(cuda: Entries) -> None:
    g = ta.Generator(device="cuda").manual_seed(3)
    draws = [ta.rand(n, generator=g, device="cuda", dtype=ta.float64) for n in (5, 1, 4)]
    draws += [
        ta.randn(7, generator=g, device="cuda"),
        ta.randint(9, (3,), generator=g, device="cuda"),
    ]
    numbers = sum([d.tolist() for d in draws[:3]], [])
    assert len(set(numbers)) == 10  # no two draws share a number
    assert g.draw.state == {"bit_generator": "philox", "key": 3, "at": 3 + 1 + 2 + 4 + 2}
    state = g.get_state()
    again = ta.rand(5, generator=g, device="cuda").tolist()
    assert ta.rand(5, generator=g.set_state(state), device="cuda").tolist() == again
    other = random.Generator().get_state()
    with pytest.raises(ta.errors.CheckpointError, match="no state of a Generator"):
        g.set_state(other)


def dropped(rate: float) -> Any:
    ta.manual_seed(4)
    x = ta.ones(40, 30, device="cuda", requires_grad=True)
    y = F.dropout(x, rate)
    y.sum().backward()
    return [y.detach().cpu().numpy(), x.grad.cpu().numpy()]


def test_dropout_draws_and_applies_its_mask_by_kernels(cuda: Entries) -> None:
    mine = dropped(0.25)
    assert {"below", "dropout"} <= set(cuda.called)
    for name in ("below", "dropout"):
        setattr(cuda.be, name, cuda.off[name])
    for a, b in zip(mine, dropped(0.25), strict=True):
        np.testing.assert_array_equal(a, b)
    assert abs((mine[0] > 0).mean() - 0.75) < 0.05 and (mine[0] == mine[1]).all()


def test_what_the_bindings_refuse(cuda: Entries) -> None:
    compiled = cuda.compiled
    with pytest.raises(ValueError, match="expected float32 or float64 to draw"):
        compiled.uniform(compiled.Dtype.float16, 0, 0, 0, 0, 0, 0)
    with pytest.raises(ValueError, match="expected no size below 0, got -3"):
        compiled.random_words(0, 0, 0, 0, -3, 0)
