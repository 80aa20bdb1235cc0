"""Random numbers on a GPU: the numbers of kernels_random.py, bit for bit, in one pass each."""

from __future__ import annotations

import math
from typing import Any

from .fused_cuda import Fused, group
from .kernels_random import Start


@group
class RandomNumbers(Fused):
    """What all other draws are made of."""

    entries = ("random_words", "uniform", "below")

    def random_words(self, plain: Any, start: Start, count: int) -> Any:
        y = self.be.empty((count,), "uint32")
        self.module.random_words(*start, self.address(y), count, self.stream())
        return y

    def uniform(self, plain: Any, start: Start, shape: tuple[int, ...], dtype: Any) -> Any:
        y = self.be.empty(shape, dtype)
        if str(y.dtype) not in ("float32", "float64"):
            return plain(start, shape, dtype)
        self.module.uniform(self.dtype(y), *start, self.address(y), y.size, self.stream())
        return y

    def below(self, plain: Any, start: Start, shape: tuple[int, ...], chance: float) -> Any:
        y = self.be.empty(shape, bool)
        limit = round(chance * 2**32)
        self.module.below(*start, limit, self.address(y), math.prod(shape), self.stream())
        return y
