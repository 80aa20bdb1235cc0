"""Random numbers: one generator per stream, NumPy's PCG64 underneath.

Draws happen when they are called for, in call order; the same seed gives the same numbers.
"""

from __future__ import annotations

import json
import math
import secrets
from typing import Any

import numpy as np

from ..errors import CheckpointError
from .device import device as Device
from .device import require


class Generator:
    """A stream of random numbers with its own state, as PyTorch's Generator."""

    def __init__(self, device: Any = "cpu") -> None:
        self.device: Device = require(device)
        self.manual_seed(67280421310721)

    def manual_seed(self, seed: int) -> Generator:
        """Starts the stream that belongs to `seed`; returns self."""
        self._seed = int(seed)
        self.numpy = np.random.Generator(np.random.PCG64(self._seed % 2**64))
        return self

    def seed(self) -> int:
        """Starts a stream nobody has seen; returns its seed."""
        self.manual_seed(secrets.randbits(63))
        return self._seed

    def initial_seed(self) -> int:
        return self._seed

    def get_state(self) -> Any:
        """The state as bytes (a uint8 array), for a checkpoint."""
        state = json.dumps([self._seed, self.numpy.bit_generator.state])
        return np.frombuffer(state.encode(), dtype=np.uint8).copy()

    def set_state(self, state: Any) -> Generator:
        """Goes back to a state of get_state; CheckpointError if it is none."""
        try:
            self._seed, found = json.loads(bytes(np.asarray(state, dtype=np.uint8)).decode())
            self.numpy.bit_generator.state = found
        except (ValueError, TypeError, KeyError) as error:
            raise CheckpointError(f"this is no state of a Generator: {error}") from None
        return self


def chosen(shape: tuple[int, ...], chance: float) -> Any:
    """An array of bools, each true with that chance (rounded to 2⁻³²), from the default stream.

    Half of a 64-bit word decides for one element: half the time of a uniform float32, and finer.
    """
    count, limit = math.prod(shape), round(chance * 2**32)
    words = default.numpy.integers(0, 2**64, (count + 1) // 2, np.uint64).view(np.uint32)
    if limit == 2**32:
        return np.ones(shape, bool)
    return (words[:count] < np.uint32(limit)).reshape(shape)


default = Generator()
default.seed()


def of(generator: Generator | None) -> np.random.Generator:
    """NumPy's generator behind ours, or behind the default one."""
    return (generator or default).numpy
