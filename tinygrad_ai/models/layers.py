"""What the models share: linear layers stored the other way round, attention, masks."""

from __future__ import annotations

import math
from typing import Any

from .. import nn
from ..backend.dtypes import finfo
from ..errors import ArgumentError, ShapeError
from ..nn import functional as F
from ..nn import init
from ..ops.create import arange, empty, zeros
from ..ops.matmul import matmul
from ..ops.select import where
from ..ops.shape import reshape, transpose
from ..tensor import Tensor


class Conv1D(nn.Module):
    """y = f(x W + b) with W (nx, nf): a linear layer whose weight GPT-2 stores transposed."""

    def __init__(self, nf: int, nx: int, activation: str | None = None) -> None:
        super().__init__()
        self.nf, self.nx, self.activation = nf, nx, activation
        self.weight = nn.Parameter(empty(nx, nf))
        self.bias = nn.Parameter(zeros(nf))
        init.normal_(self.weight, std=0.02)

    def forward(self, x: Any) -> Any:
        return F.linear(x, transpose(self.weight, 0, 1), self.bias, act=self.activation)

    def extra_repr(self) -> str:
        return f"nf={self.nf}, nx={self.nx}"

    def describe(self) -> str:
        return f"Conv1D {self.nx} -> {self.nf}"


def heads(x: Any, count: int) -> Any:
    """(N, L, E) to (N, heads, L, E / heads), in the same memory."""
    return transpose(reshape(x, (*x.shape[:2], count, x.shape[2] // count)), 1, 2)


def joined(x: Any) -> Any:
    """(N, heads, L, D) to (N, L, heads D)."""
    y = transpose(x, 1, 2)
    return reshape(y, (*y.shape[:2], y.shape[2] * y.shape[3]))


def attend(
    q: Any, k: Any, v: Any, bias: Any = None, p: float = 0.0, scale: float | None = None,
    causal: bool = False, probabilities: bool = False,
) -> tuple[Any, Any]:  # fmt: skip
    """Attention of heads (N, H, L, D) by blocks; only if the probabilities (N, H, L, S) are asked
    for are they made. p is the chance that one of them is dropped."""
    if not probabilities:
        return F.scaled_dot_product_attention(q, k, v, bias, p, causal, scale), None
    scale = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
    scores = matmul(q, transpose(k, -2, -1)) * scale
    if bias is None:
        weights = F.softmax(scores, -1)
    else:  # a row that sees nothing: no NaN, but 0, as the blocks have it
        weights = F.softmax(scores + bias.clamp(min=float(finfo(q.dtype).min)), -1)
        weights = weights * (bias > -math.inf).any(-1, keepdim=True)
    weights = F.dropout(weights, p) if p else weights
    return matmul(weights, v), weights


def check_tensor(name: str, value: Any) -> None:
    if not isinstance(value, Tensor):
        raise ArgumentError(
            f"expected {name} to be a tensor, got {type(value).__name__}", f"ta.tensor({name})"
        )


def check_mask(mask: Any, rows: int, keys: int) -> None:
    check_tensor("attention_mask", mask)
    if tuple(mask.shape) != (rows, keys):
        raise ShapeError(
            f"expected attention_mask {(rows, keys)}, got {tuple(mask.shape)}",
            "1 for every token, 0 for every place that is padding",
        )


def check_places(length: int, **given: Any) -> None:
    """Segments and places (N or 1, L), a number for each token, where they are given."""
    for name, value in given.items():
        if value is None:
            continue
        check_tensor(name, value)
        if not value.ndim or value.shape[-1] != length:
            raise ShapeError(f"expected {name} (batch, {length}), got {tuple(value.shape)}")


def padding_bias(mask: Any, dtype: Any) -> Any:
    """What is added to scores (N, 1, 1, S): -inf where the mask is 0. None where nothing is
    padded, so that nothing is added."""
    hidden = mask == 0
    return minus_infinity(hidden[:, None, None, :], dtype) if hidden.any() else None


def causal_bias(mask: Any, rows: int, keys: int, dtype: Any, device: Any) -> Any:
    """The same (N or 1, 1, L, S) for queries that are the last `rows` of `keys` places and see
    nothing after their own."""
    own = arange(keys - rows, keys, device=device)[:, None]
    hidden = (arange(keys, device=device)[None, :] > own)[None, None]
    if mask is not None:
        hidden = hidden | (mask == 0)[:, None, None, :]
    return minus_infinity(hidden, dtype)


def minus_infinity(hidden: Any, dtype: Any) -> Any:
    return where(hidden, -math.inf, zeros((), dtype=dtype, device=hidden.device))


def check_inputs(ids: Any, embeds: Any, size: int) -> tuple[int, ...]:
    """(N, L) of ids (N, L), or of the vectors (N, L, size) that stand in their place."""
    if ids is None and embeds is None:
        raise ArgumentError("expected input_ids or inputs_embeds, got neither")
    if embeds is None:
        check_ids(ids)
        return tuple(ids.shape)
    if ids is not None:
        raise ArgumentError("input_ids and inputs_embeds exclude each other: give one of them")
    wanted = isinstance(embeds, Tensor) and embeds.dtype.kind == "f"
    if not wanted or embeds.ndim != 3 or embeds.shape[2] != size:
        raise ShapeError(f"expected inputs_embeds (batch, length, {size}), got {_said(embeds)}")
    return tuple(embeds.shape[:2])


def check_ids(ids: Any) -> None:
    if not isinstance(ids, Tensor) or ids.ndim != 2 or ids.dtype.kind not in "iu":
        raise ShapeError(
            f"expected input_ids (batch, length) of integers, got {_said(ids)}",
            None if isinstance(ids, Tensor) else 'tokenizer(texts, return_tensors="ta")',
        )


def _said(x: Any) -> str:
    if isinstance(x, Tensor):
        return f"{tuple(x.shape)} of {x.dtype}"
    kind = type(x)  # PyTorch's are called Tensor, too
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


def check_length(length: int, most: int, key: str) -> None:
    if length > most:
        raise ShapeError(
            f"expected at most {most} tokens ({key}), got {length}",
            f"tokenizer(texts, truncation=True, max_length={most})",
        )
