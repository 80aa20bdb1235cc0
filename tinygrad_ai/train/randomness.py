"""Every stream of random numbers that a run can draw from: ours, Python's and NumPy's."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..backend import random as streams
from ..errors import CheckpointError
from ..ops.random import manual_seed


def set_seed(seed: int, deterministic: bool = False) -> None:
    """Starts all streams, on all devices. Nothing else is needed for the same results again."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    manual_seed(seed)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Inside the block all streams start from a seed; afterwards they are where they were."""
    python, numpy = random.getstate(), np.random.get_state()
    with streams.restored(None):
        try:
            set_seed(seed)
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


def get_states() -> dict[str, Any]:
    """All streams, as what JSON can hold."""
    version, words, gauss = random.getstate()
    numpy: Any = np.random.get_state(legacy=False)
    key = numpy["state"]["key"].tolist()
    return {
        "tinygrad_ai": {name: bytes(state).decode() for name, state in streams.states().items()},
        "python": [version, list(words), gauss],
        "numpy": {**numpy, "state": {**numpy["state"], "key": key}},
    }


def set_states(states: dict[str, Any]) -> None:
    """Puts all streams where get_states found them; CheckpointError if they cannot be."""
    try:
        version, words, gauss = states["python"]
        random.setstate((version, tuple(words), gauss))
        np.random.set_state(states["numpy"])
        for name, text in states["tinygrad_ai"].items():
            streams.default_on(name).set_state(np.frombuffer(text.encode(), np.uint8))
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"these are no states of random streams: {error!r}") from None


def mixed(*numbers: int) -> int:
    """One seed of several numbers."""
    seed = 0
    for number in numbers:
        seed = (seed * 1_000_003 + number + 1) % 2**63
    return seed
