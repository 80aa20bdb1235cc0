"""All parameters as one vector."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...errors import ShapeError
from ...ops.joining import cat
from ...ops.shape import numel, reshape
from ...tensor import Tensor


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All parameters one after the other."""
    return cat([reshape(p, (-1,)) for p in parameters])


def vector_to_parameters(vec: Any, parameters: Iterable[Tensor]) -> None:
    """Gives the parameters the values of a vector, in its memory."""
    given, start = list(parameters), 0
    if numel(vec) != sum(numel(p) for p in given):
        raise ShapeError(
            f"the vector has {numel(vec)} elements, the parameters {sum(map(numel, given))}"
        )
    for p in given:
        end = start + numel(p)
        p.data = reshape(vec[start:end], p.shape).detach()
        start = end
