"""Rows of a table by index; the gradient gathers what each row was used for."""

from __future__ import annotations

from ..autograd.op import op


@op
def _embedding(be, w, *, index, padding, by_frequency):
    """y = w[index];   gw = row_sums(g, index, padding, by_frequency, w_shape[0])

    For each row of w the sum of g where it was used, 0 for padding.
    """
    return be.embedding(w, index)


@_embedding.vjp
def _(g, w_shape, *, index, padding, by_frequency):
    return _embedding_grad(
        g, index=index, padding=padding, by_frequency=by_frequency, rows=w_shape[0]
    )


@op
def _embedding_grad(be, g, *, index, padding, by_frequency, rows):
    """y = row_sums(g, index, padding, by_frequency, rows);
    gg = row_uses(h, index, padding, by_frequency)"""
    return be.embedding_grad(g, index, padding, by_frequency, rows)


@_embedding_grad.vjp
def _(h, *, index, padding, by_frequency, rows):
    return _embedding_back(h, index=index, padding=padding, by_frequency=by_frequency)


@op
def _embedding_back(be, h, *, index, padding, by_frequency):
    """y = row_uses(h, index, padding, by_frequency);
    gh = row_sums(g, index, padding, by_frequency, h_shape[0])

    y = h[index], 0 at padding, divided by the index's frequency if asked.
    """
    y = h[index]
    if by_frequency:
        counts = be.bincount(index.reshape(-1))
        y = y / counts[index][..., None].astype(h.dtype)
    if padding is not None:
        y = be.xp.where((index == padding)[..., None], 0, y).astype(h.dtype)
    return y


@_embedding_back.vjp
def _(g, h_shape, *, index, padding, by_frequency):
    return _embedding_grad(
        g, index=index, padding=padding, by_frequency=by_frequency, rows=h_shape[0]
    )
