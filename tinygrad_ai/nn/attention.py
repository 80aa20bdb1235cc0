"""Multi-head attention."""

from __future__ import annotations

import math
from typing import Any

from .. import backend
from ..errors import ArgumentError, ShapeError
from ..ops.arguments import raw
from ..ops.create import empty, zeros
from ..ops.joining import cat, chunk
from ..ops.matmul import matmul
from ..ops.reduce import mean
from ..ops.select import where
from ..ops.shape import broadcast_to, reshape, transpose, unsqueeze
from ..tensor import Tensor, wrap
from . import functional as F
from . import init
from .linear import Linear
from .module import Module
from .parameter import Parameter


class MultiheadAttention(Module):
    """Attention in num_heads subspaces of embed_dim (Vaswani et al., 2017).

    query (L, N, E), key (S, N, kdim), value (S, N, vdim), or the batch first; without a batch
    (L, E). Masks are True where attention is forbidden, or numbers that are added. Returns the
    result and, if `need_weights`, the probabilities (N, L, S), averaged over heads if asked.
    """

    def __init__(
        self, embed_dim: int, num_heads: int, dropout: float = 0.0, bias: bool = True,
        add_bias_kv: bool = False, add_zero_attn: bool = False, kdim: int | None = None,
        vdim: int | None = None, batch_first: bool = False, device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if embed_dim % num_heads:
            raise ArgumentError(f"embed_dim {embed_dim} does not divide into {num_heads} heads")
        self.embed_dim, self.num_heads, self.dropout = embed_dim, num_heads, dropout
        self.kdim, self.vdim, self.batch_first = kdim or embed_dim, vdim or embed_dim, batch_first
        self.head_dim = embed_dim // num_heads
        self.add_zero_attn = add_zero_attn
        self._make_parameters(bias, dtype)
        self.out_proj = Linear(embed_dim, embed_dim, bias, dtype=dtype)
        if bias:
            init.zeros_(self.out_proj.bias)
        for name in ("bias_k", "bias_v"):
            added = Parameter(empty(1, 1, embed_dim, dtype=dtype)) if add_bias_kv else None
            self.register_parameter(name, added)
            if added is not None:
                init.xavier_normal_(added)
        if device is not None:
            self.to(device)

    def _make_parameters(self, bias: bool, dtype: Any) -> None:
        """One matrix for the three projections where their inputs have one size, else three."""
        e = self.embed_dim
        if self.kdim == self.vdim == e:
            self.in_proj_weight = Parameter(empty(3 * e, e, dtype=dtype))
            for name in ("q_proj_weight", "k_proj_weight", "v_proj_weight"):
                self.register_parameter(name, None)
        else:
            for letter, width in (("q", e), ("k", self.kdim), ("v", self.vdim)):
                setattr(self, f"{letter}_proj_weight", Parameter(empty(e, width, dtype=dtype)))
            self.register_parameter("in_proj_weight", None)
        for p in self.parameters():
            init.xavier_uniform_(p)
        self.register_parameter(
            "in_proj_bias", Parameter(zeros(3 * e, dtype=dtype)) if bias else None
        )

    def projected(self, query: Any, key: Any, value: Any) -> list[Any]:
        if self.in_proj_weight is not None:
            weights = list(chunk(self.in_proj_weight, 3))
        else:
            weights = [self.q_proj_weight, self.k_proj_weight, self.v_proj_weight]
        biases = [None] * 3 if self.in_proj_bias is None else list(chunk(self.in_proj_bias, 3))
        return [F.linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases)]

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, key_padding_mask: Any = None,
        need_weights: bool = True, attn_mask: Any = None, average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:  # fmt: skip
        if query.ndim == 2:
            at = 0 if self.batch_first else 1
            lifted = [unsqueeze(x, at) for x in (query, key, value)]
            mask = None if key_padding_mask is None else unsqueeze(key_padding_mask, 0)
            y, w = self.forward(
                lifted[0], lifted[1], lifted[2], mask, need_weights, attn_mask, average_attn_weights
            )
            return y.squeeze(at), None if w is None else w[0]  # type: ignore[attr-defined,index]
        q, k, v = self.projected(query, key, value)
        if not self.batch_first:
            q, k, v = [transpose(x, 0, 1) for x in (q, k, v)]
        q, k, v = [self.split(x) for x in (q, k, v)]
        bias = self.bias_from(q, k, key_padding_mask, attn_mask)
        k, v, bias = self.lengthened(k, v, bias)
        p = self.dropout if self.training else 0.0
        if need_weights:
            scores = matmul(q, transpose(k, -2, -1)) / math.sqrt(self.head_dim)
            weights = F.softmax(scores if bias is None else scores + bias, -1)
            weights = F.dropout(weights, p) if p else weights
            y = matmul(weights, v)
        else:
            weights, y = None, F.scaled_dot_product_attention(q, k, v, bias, p)
        y = reshape(transpose(y, 1, 2), (q.shape[0], q.shape[2], self.embed_dim))
        y = self.out_proj(y if self.batch_first else transpose(y, 0, 1))
        return y, mean(weights, 1) if weights is not None and average_attn_weights else weights

    def split(self, x: Any) -> Any:
        """(N, L, E) to (N, heads, L, E / heads)."""
        return transpose(reshape(x, (x.shape[0], x.shape[1], self.num_heads, self.head_dim)), 1, 2)

    def lengthened(self, k: Any, v: Any, bias: Any) -> Any:
        """Keys and values with a learned place (add_bias_kv) and a zero one (add_zero_attn)."""
        ends = []
        if self.bias_k is not None:
            ends.append((self.split(self.bias_k), self.split(self.bias_v)))
        if self.add_zero_attn:
            none = zeros(1, 1, 1, 1, dtype=k.dtype, device=k.device)
            ends.append((none, none))
        for last_k, last_v in ends:
            shape = (*k.shape[:2], 1, self.head_dim)
            k = cat([k, broadcast_to(last_k, shape)], 2)
            v = cat([v, broadcast_to(last_v, shape)], 2)
            bias = None if bias is None else F.pad(bias, (0, 1))
        return k, v, bias

    def bias_from(self, q: Any, k: Any, padding: Any, mask: Any) -> Any:
        """Both masks as one number to add to the scores: (N or 1, heads or 1, L or 1, S)."""
        bias = None
        if mask is not None:
            if mask.ndim == 3:
                mask = reshape(mask, (q.shape[0], self.num_heads, *mask.shape[1:]))
            bias = _additive(mask, q.dtype)
        if padding is not None:
            if tuple(padding.shape) != (k.shape[0], k.shape[2]):
                raise ShapeError(
                    f"expected key_padding_mask {(k.shape[0], k.shape[2])}, "
                    f"got {tuple(padding.shape)}"
                )
            extra = _additive(reshape(padding, (k.shape[0], 1, 1, k.shape[2])), q.dtype)
            bias = extra if bias is None else bias + extra
        return bias


def _additive(mask: Any, dtype: Any) -> Any:
    """A mask as numbers: -inf where a boolean one forbids."""
    if raw(mask).dtype.kind != "b":
        return mask
    return where(mask, -math.inf, wrap(backend.near(raw(mask)).zeros((), dtype)))
