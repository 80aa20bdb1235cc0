"""Words of the formulas that are no arithmetic, each in a few lines of plain NumPy. to_source
copies those that a script needs, so each uses only NumPy, `math` and other words."""

from __future__ import annotations

from typing import Any

import numpy as np


def sigmoid(x: Any) -> Any:
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


def logsumexp(s: Any) -> Any:
    """ln Σ eˢ along the last dimension; 0 where nothing is left of a row."""
    top = np.max(s, axis=-1, keepdims=True)
    top = np.where(np.isfinite(top), top, 0)
    total = np.sum(np.exp(s - top), axis=-1, keepdims=True)
    return np.log(np.where(total == 0, 1, total)) + top


def future(q: Any, k: Any, causal: bool) -> Any:
    """-∞ for keys after the query's own place."""
    own = np.tri(q.shape[-2], k.shape[-2], dtype=bool)
    return np.where(own | (not causal), 0, -np.inf)


# ---- shapes


def sum_to(g: Any, shape: Any) -> Any:
    """g summed over the axes along which `shape` was broadcast."""
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))
    ones = tuple([i for i, n in enumerate(shape) if n == 1])
    return g.sum(axis=ones, keepdims=True)


def broadcast(x: Any, shape: Any) -> Any:
    return np.broadcast_to(x, shape)


def rows(x: Any) -> Any:
    """x as a matrix of rows."""
    return x.reshape(-1, x.shape[-1])


def down(x: Any) -> Any:
    """Σ x over all rows."""
    return rows(x).sum(axis=0)


def cast(x: Any, dtype: Any) -> Any:
    return np.asarray(x).astype(dtype)


def cat(xs: Any, dim: int) -> Any:
    return np.concatenate(xs, axis=dim)


def split(x: Any, sizes: Any, dim: int) -> Any:
    return tuple(np.split(x, np.cumsum(sizes)[:-1], axis=dim))


def pieces(g: Any, xs: Any, dim: int) -> Any:
    """g cut into parts as long as each x along dim."""
    return split(g, [x.shape[dim] for x in xs], dim)


def stack(xs: Any) -> Any:
    return np.stack(xs)


def unstack(g: Any) -> Any:
    return tuple(g)


def pad(x: Any, widths: Any, value: Any) -> Any:
    return np.pad(x, widths, constant_values=value)


def unpad(g: Any, widths: Any) -> Any:
    """The middle of g."""
    return g[tuple([slice(a, n - b) for (a, b), n in zip(widths, g.shape)])]


def trimmed(x: Any, shape: Any) -> Any:
    """The beginning of x in each dimension."""
    return x[tuple([slice(n) for n in shape])]


def grown(x: Any, shape: Any) -> Any:
    """x with zeros after it in every dimension, up to a shape."""
    return np.pad(x, [(0, n - m) for m, n in zip(x.shape, shape)])


def unroll(g: Any, shifts: Any, dims: Any) -> Any:
    """g rolled back."""
    return np.roll(g, tuple([-s for s in np.atleast_1d(shifts)]), tuple(np.atleast_1d(dims)))


# ---- places


def put(x: Any, index: Any, shape: Any) -> Any:
    """Zeros with x added at an index, as often as each place comes."""
    y = np.zeros(shape, x.dtype)
    np.add.at(y, index, x)
    return y


def assigned(x: Any, index: Any, v: Any) -> Any:
    """x with v at an index."""
    y = x.copy()
    y[index] = v
    return y


def places(index: Any, dim: int) -> Any:
    """The full index of gather and scatter: `index` along dim, its own places elsewhere."""
    grid = list(np.ogrid[tuple([slice(n) for n in index.shape])])
    grid[dim] = index
    return tuple(grid)


def gathered(x: Any, index: Any, dim: int) -> Any:
    return x[places(index, dim)]


def scattered(x: Any, index: Any, dim: int, shape: Any) -> Any:
    """Zeros with x added where gathered would take it from."""
    return put(trimmed(x, index.shape), places(index, dim), shape)


def replaced(x: Any, src: Any, index: Any, dim: int) -> Any:
    """x with src in the places where gathered would take it from."""
    return assigned(x, places(index, dim), trimmed(src, index.shape) if np.ndim(src) else src)


def taken(x: Any, index: Any, dim: int) -> Any:
    return np.take_along_axis(x, index, dim)


def placed(x: Any, index: Any, dim: int, shape: Any) -> Any:
    """Zeros with x where `taken` would take it from."""
    y = np.zeros(shape, x.dtype)
    np.put_along_axis(y, index, x.reshape(index.shape), dim)
    return y


def combined(x: Any, src: Any, index: Any, dim: int, reduce: str) -> Any:
    """The product or extreme of x and all src at a place."""
    y = x.copy()
    how = {"prod": np.multiply, "amax": np.maximum, "amin": np.minimum}[reduce]
    how.at(y, places(index, dim), src)
    return y


def ties(x: Any, src: Any, y: Any, index: Any, dim: int) -> Any:
    """How many of x and src are the extreme y of their place."""
    others = np.where(src == gathered(y, index, dim), 1.0, 0.0)
    return (x == y) + scattered(others, index, dim, x.shape)


def part(x: Any, y: Any, count: Any, reduce: str) -> Any:
    """dy/dx: y / x of a product, for an extreme 1 / count where x is it."""
    return y / x if reduce == "prod" else (x == y) / count


def running(x: Any, dim: int, largest: bool) -> Any:
    """The largest (smallest) so far along dim, and its last index."""
    y = (np.maximum if largest else np.minimum).accumulate(x, axis=dim)
    own = np.arange(x.shape[dim]).reshape([-1 if i == dim else 1 for i in range(x.ndim)])
    return y, np.maximum.accumulate(np.where(x == y, own, 0), axis=dim)


def others(x: Any, axis: Any) -> Any:
    """For each x the product of all others along an axis, without dividing."""
    axes = [a % x.ndim for a in np.atleast_1d(axis)]
    lead = [i for i in range(x.ndim) if i not in axes]
    rows = x.transpose([*lead, *axes]).reshape(*[x.shape[i] for i in lead], -1)
    n = rows.shape[-1]
    one = np.stack([np.prod(np.delete(rows, i, -1), axis=-1) for i in range(n)], axis=-1)
    moved = one.reshape([x.shape[i] for i in [*lead, *axes]])
    return moved.transpose(np.argsort([*lead, *axes]))


def without_each(g: Any, x: Any, dim: int) -> Any:
    """For each k the sum over i >= k of g[i] times the product of x[:i + 1] without x[k]."""
    g, x = np.moveaxis(g, dim, 0), np.moveaxis(x, dim, 0)
    gx = np.zeros_like(x)
    for k in range(len(x)):
        rest = np.concatenate([x[:k], np.ones_like(x[:1]), x[k + 1 :]])
        gx[k] = (g * np.cumprod(rest, axis=0))[k:].sum(axis=0)
    return np.moveaxis(gx, 0, dim)


# ---- labels and tables


def picked(x: Any, target: Any, ignore: int) -> Any:
    """Each row's number at its label, as a column; the first where the label is ignored."""
    return np.take_along_axis(x, np.where(target == ignore, 0, target)[:, None], 1)


def onehot(target: Any, ignore: int, shape: Any) -> Any:
    """Rows with 1 at the label."""
    return np.where(target == ignore, 0, target)[:, None] == np.arange(shape[1])


def row_weights(target: Any, weight: Any, ignore: int, reduction: str) -> Any:
    """Each row's weight as a column: its class's, 0 where it is ignored; for the mean over Σ."""
    one = np.float32(1) if weight is None else weight[np.where(target == ignore, 0, target)]
    w = np.where(target == ignore, 0, one)
    return (w / w.sum() if reduction == "mean" else w)[:, None]


def joined(loss: Any, reduction: str) -> Any:
    """The losses of the rows, or their sum."""
    return loss[:, 0] if reduction == "none" else loss.sum()


def row_sums(g: Any, index: Any, padding: Any, by_frequency: bool, rows: int) -> Any:
    """For each row of a table the sum of g over the places where it was used."""
    flat, index = g.reshape(-1, g.shape[-1]), index.reshape(-1)
    if by_frequency:
        flat = flat / np.bincount(index)[index][:, None]
    used = index != (-1 if padding is None else padding)
    return put(flat[used], index[used], (rows, g.shape[-1]))


def row_uses(h: Any, index: Any, padding: Any, by_frequency: bool) -> Any:
    """h[index], 0 at padding, divided by the index's frequency if asked."""
    y = h[index]
    if by_frequency:
        y = y / np.bincount(index.reshape(-1))[index][..., None]
    return np.where((index == (-1 if padding is None else padding))[..., None], 0, y)


def nan_to_num(x: Any, nan: Any, posinf: Any, neginf: Any) -> Any:
    return np.nan_to_num(x, nan=nan, posinf=posinf, neginf=neginf)
