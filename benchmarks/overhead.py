"""What the engine itself costs: 4x4 tensors, where arithmetic takes no time. Always one thread."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .protocol import Settings

NAME, PROOFS, TOLERANCE = "overhead", 1, 1e-5
CONTENDERS = ("tinygrad_ai", "pytorch")
PARAMETERS = 0
LIMITS = {"a + b": 1.0, "a + b, recorded": 1.0, "chain of 100, both ways": 0.6}


@dataclass(frozen=True)
class OverheadData:
    """What to do, with which numbers."""

    name: str
    a: np.ndarray
    b: np.ndarray
    links: int = 50  # of a chain: a product and a sum each


def cases(settings: Settings) -> list[str]:
    return list(LIMITS)


def label(case: str) -> str:
    return case


def data(case: str) -> OverheadData:
    a = np.random.default_rng(4).uniform(0.2, 0.9, (4, 4)).astype(np.float32)
    return OverheadData(case, a, np.ascontiguousarray(a.T))


def reference(data: OverheadData) -> dict[str, np.ndarray]:
    a, b = data.a.astype(np.float64), data.b.astype(np.float64)
    found = b**data.links if "chain" in data.name else a + (b if data.name == "a + b" else a)
    return {"result, run 1": found}
