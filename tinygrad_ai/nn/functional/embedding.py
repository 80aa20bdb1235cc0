"""Embedding: rows of a table, chosen by index."""

from __future__ import annotations

from typing import Any

from ...autograd.mode import no_grad
from ...errors import ArgumentError
from ...ops.arguments import raw
from ...ops.embedding import _embedding
from ...ops.gather import checked_index
from ...ops.norm import vector_norm

__all__ = ["embedding"]


def embedding(
    input: Any, weight: Any, padding_idx: int | None = None, max_norm: float | None = None,
    norm_type: float = 2.0, scale_grad_by_freq: bool = False, sparse: bool = False,
) -> Any:  # fmt: skip
    """weight[input]: indices (...) to (..., features). RangeError for an index outside.

    `padding_idx` names a row that gets no gradient; `max_norm` shortens, in place, the rows used;
    `scale_grad_by_freq` divides gradients by how often an index occurs. Sparse gradients are not
    supported.
    """
    if sparse:
        raise ArgumentError("sparse gradients are not supported", "sparse=False")
    rows = weight.shape[0]
    index = checked_index(input, rows, "embedding")
    if padding_idx is not None:
        if not -rows <= padding_idx < rows:
            raise ArgumentError(f"padding_idx {padding_idx} is outside a table of {rows} rows")
        padding_idx %= rows
    if max_norm is not None:
        _shorten(weight, index, max_norm, norm_type)
    return _embedding(
        weight, index=raw(index), padding=padding_idx, by_frequency=scale_grad_by_freq
    )


@no_grad()
def _shorten(weight: Any, index: Any, limit: float, order: float) -> None:
    rows = sorted(set(index.reshape(-1).tolist()))
    used = weight.detach()[rows]
    length = vector_norm(used, order, 1, True)
    weight[rows] = used * (limit / (length + 1e-7)).clamp(max=1.0)
