"""Random numbers: one generator per stream. On the CPU it is NumPy's PCG64; on a GPU a counter that
is hashed (`kernels_random.random_words`), so that every number is computed by itself and the state
is two integers.

Draws happen when they are called for, in call order; the same seed gives the same numbers. Each
GPU has a default stream of its own, which `manual_seed` starts with the others.
"""

from __future__ import annotations

import json
import math
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..errors import CheckpointError, DeviceError
from . import capture, cuda, moved, on
from .device import device as Device
from .kernels_random import Start


class Generator:
    """A stream of random numbers with its own state, as PyTorch's Generator."""

    draw: Any

    def __init__(self, device: Any = "cpu") -> None:
        self.device = Device(device)
        if self.device.type == "cuda":
            self.device = cuda.full_name(self.device)
        self.manual_seed(67280421310721)

    def manual_seed(self, seed: int) -> Generator:
        """Starts the stream that belongs to `seed`; returns self."""
        self._seed = int(seed)
        known = getattr(self, "draw", None)
        if isinstance(known, Counter):  # the same one: a captured step draws from it
            known.at, known.key = 0, self._seed % 2**64
        elif self.device.type == "cuda":
            self.draw = Counter(self.device, self._seed)
        else:
            self.draw = np.random.Generator(np.random.PCG64(self._seed % 2**64))
        return self

    @property
    def numpy(self) -> np.random.Generator:
        """NumPy's generator behind a stream on the CPU."""
        return self.draw

    def seed(self) -> int:
        """Starts a stream nobody has seen; returns its seed."""
        self.manual_seed(secrets.randbits(63))
        return self._seed

    def initial_seed(self) -> int:
        return self._seed

    def get_state(self) -> Any:
        """The state as bytes (a uint8 array), for a checkpoint."""
        state = json.dumps([self._seed, self.draw.bit_generator.state])
        return np.frombuffer(state.encode(), dtype=np.uint8).copy()

    def set_state(self, state: Any) -> Generator:
        """Goes back to a state of get_state; CheckpointError if it is none."""
        try:
            self._seed, found = json.loads(bytes(np.asarray(state, dtype=np.uint8)).decode())
            self.draw.bit_generator.state = found
        except (ValueError, TypeError, KeyError) as error:
            raise CheckpointError(f"this is no state of a Generator: {error}") from None
        return self


class Counter:
    """A stream on a GPU, with those of NumPy's methods that are used. It is its own
    `bit_generator`: the state is the key and how many blocks of words were drawn.

    While a step is captured, the address on the GPU of two 64-bit numbers goes with each draw. They
    are added to the block's number and the key: so a replay draws what is then to be drawn."""

    def __init__(self, device: Device, seed: int) -> None:
        self.device, self.at, self.key = device, 0, seed % 2**64
        self.bit_generator = self

    @property
    def state(self) -> dict[str, Any]:
        return {"bit_generator": "philox", "key": self.key, "at": self.at}

    @state.setter
    def state(self, state: dict[str, Any]) -> None:
        if state["bit_generator"] != "philox":
            raise ValueError("it was taken on another device, or by another version")
        self.key, self.at = int(state["key"]), int(state["at"])

    def start(self, count: int) -> Start:
        """Where the next `count` numbers of up to 64 bits begin: two from each block."""
        now = capture.active.capture
        base = now.stream(self) if now else 0
        begin = Start(self.key, self.at, base)
        self.at = (self.at + (count + 1) // 2) % 2**64
        return begin

    def host(self) -> np.random.Generator:
        """A generator of NumPy's for what a GPU has no short formula for."""
        return np.random.default_rng(self.start(1)[:2])

    def random(self, shape: Any = (), dtype: Any = np.float64) -> Any:
        return on(self.device).uniform(self.start(math.prod(shape)), shape, dtype)

    def standard_normal(self, shape: Any = (), dtype: Any = np.float64) -> Any:
        return on(self.device).normal(self.start(math.prod(shape) + 1), shape, dtype)

    def exponential(self, scale: float, shape: Any) -> Any:
        return on(self.device).exponential(self.start(math.prod(shape)), shape, scale)

    def integers(self, low: int, high: int, shape: Any) -> Any:
        return on(self.device).integers(self.start(math.prod(shape)), shape, low, high)

    def permutation(self, n: int) -> Any:
        return on(self.device).shuffled(self.start(n), n)

    def poisson(self, rates: Any) -> Any:
        return moved(self.host().poisson(cuda.load().to_host(rates)), self.device)

    def choice(self, n: int, count: int, replacement: bool, p: Any) -> Any:
        return self.host().choice(n, count, replacement, p=p)


default = Generator()
default.seed()
others: dict[str, Generator] = {}  # the default streams of GPUs, by the device's name


def default_on(device: Any) -> Generator:
    """The default stream of a device; a GPU's starts with the seed of the CPU's."""
    wanted = Device(device if device is not None else "cpu")
    if wanted.type == "cpu":
        return default
    name = str(cuda.full_name(wanted))
    if name not in others:
        others[name] = Generator(name).manual_seed(default.initial_seed())
    return others[name]


def manual_seed(seed: int) -> Generator:
    """Starts the default streams of all devices; returns the CPU's."""
    for stream in others.values():
        stream.manual_seed(seed)
    return default.manual_seed(seed)


def states() -> dict[str, Any]:
    """The states of all default streams."""
    return {"cpu": default.get_state(), **{name: g.get_state() for name, g in others.items()}}


@contextmanager
def restored(kept: dict[str, Any] | None) -> Iterator[None]:
    """Inside the block the default streams are as they were; afterwards as they are now."""
    before = states()
    for name, state in (kept or {}).items():
        default_on(name).set_state(state)
    for name in others.keys() - kept.keys() if kept else ():  # not in use yet when states were kept
        others[name].manual_seed(others[name].initial_seed())
    try:
        yield
    finally:
        for name, state in before.items():
            default_on(name).set_state(state)


def chosen(shape: tuple[int, ...], chance: float, device: Any = None) -> Any:
    """An array of bools, each true with that chance (rounded to 2⁻³²), from the default stream.

    Half of a 64-bit word decides for one element: half the time of a uniform float32, and finer.
    """
    draw = of(None, device)
    if isinstance(draw, Counter):
        count = math.prod(shape)
        return on(draw.device).below(draw.start((count + 1) // 2), shape, chance)
    count, limit = math.prod(shape), round(chance * 2**32)
    words = draw.integers(0, 2**64, (count + 1) // 2, np.uint64).view(np.uint32)
    if limit == 2**32:
        return np.ones(shape, bool)
    return (words[:count] < np.uint32(limit)).reshape(shape)


def of(generator: Generator | None, device: Any = None) -> Any:
    """What draws for a device: the generator given, or the device's default stream."""
    if generator is None:
        return default_on(device).draw
    wanted = Device(device if device is not None else "cpu")
    if wanted.type != generator.device.type or wanted.index not in (None, generator.device.index):
        raise DeviceError(
            f"expected a generator on {wanted}, got one on {generator.device}",
            f"Generator(device='{wanted}')",
        )
    return generator.draw
