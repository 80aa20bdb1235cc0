"""Words of the formulas about products and matrices: convolutions, einsum, decompositions."""

from __future__ import annotations

from typing import Any

import numpy as np

from .vocabulary import others


def windows(x: Any, size: Any, stride: Any, dilation: Any) -> Any:
    """All windows over the last dimensions of x: (N, C, out..., size...)."""
    n = len(stride)
    span = tuple([d * (k - 1) + 1 for k, d in zip(size[-n:], dilation)])
    view = np.lib.stride_tricks.sliding_window_view(x, span, axis=tuple(range(2, 2 + n)))
    steps = [slice(None, None, s) for s in (*stride, *dilation)]
    return view[tuple([slice(None), slice(None), *steps])]


def unwindow(w: Any, size: Any, stride: Any, dilation: Any) -> Any:
    """Windows added back to where they came from: (N, C, ...)."""
    n = len(stride)
    y = np.zeros((*w.shape[:2], *size[-n:]), w.dtype)
    for place in np.ndindex(*w.shape[2 + n :]):
        at = [slice(k * d, k * d + s * (o - 1) + 1, s)
              for k, d, s, o in zip(place, dilation, stride, w.shape[2:])]  # fmt: skip
        y[tuple([slice(None), slice(None), *at])] += w[tuple([..., *place])]
    return y


def grouped(x: Any, groups: int) -> Any:
    """(N, C, ...) as (N, groups, C / groups, ...)."""
    return x.reshape(x.shape[0], groups, x.shape[1] // groups, *x.shape[2:])


def convolve(x: Any, w: Any, stride: Any, dilation: Any, groups: int) -> Any:
    """Σ of a window of x times w, over channels and window."""
    n = len(stride)
    seen = grouped(windows(x, w.shape, stride, dilation), groups)
    w = w.reshape(groups, -1, *w.shape[1:])
    out, inner = "xyz"[:n], "abc"[:n]
    y = np.einsum(f"ngi{out}{inner},goi{inner}->ngo{out}", seen, w, optimize=True)
    return y.reshape(y.shape[0], -1, *y.shape[3:])


def convolve_input(g: Any, w: Any, size: Any, stride: Any, dilation: Any, groups: int) -> Any:
    """Each g times w, added where its window was."""
    n, channels = len(stride), groups * w.shape[1]
    w = w.reshape(groups, -1, *w.shape[1:])
    out, inner = "xyz"[:n], "abc"[:n]
    equation = f"ngo{out},goi{inner}->ngi{out}{inner}"
    seen = np.einsum(equation, grouped(g, groups), w, optimize=True)
    return unwindow(seen.reshape(len(g), channels, *seen.shape[3:]), size, stride, dilation)


def convolve_weight(g: Any, x: Any, size: Any, stride: Any, dilation: Any, groups: int) -> Any:
    """Σ over samples and places of g times the window of x there."""
    n = len(stride)
    inside = [slice(k) for k in g.shape[2:]]
    seen = windows(x, size, stride, dilation)[tuple([slice(None), slice(None), *inside])]
    out, inner = "xyz"[:n], "abc"[:n]
    equation = f"ngo{out},ngi{out}{inner}->goi{inner}"
    w = np.einsum(equation, grouped(g, groups), grouped(seen, groups), optimize=True)
    return w.reshape(-1, *w.shape[2:])


def einsum(equation: str, xs: Any) -> Any:
    return np.einsum(equation, *xs)


def einsum_grads(equation: str, g: Any, xs: Any) -> Any:
    """For each operand g and the others contracted to its letters; a repeated letter is a
    diagonal, and a letter that nobody else has was summed."""
    terms, out = equation.split("->")
    names, grads = terms.split(","), []
    for i, (name, x) in enumerate(zip(names, xs)):
        rest = [(n, a) for j, (n, a) in enumerate(zip(names, xs)) if j != i]
        kept = [c for c in dict.fromkeys(name) if c in out or any([c in n for n, _ in rest])]
        ins = ",".join([out, *[n for n, _ in rest]])
        gx = np.einsum(f"{ins}->{''.join(kept)}", g, *[a for _, a in rest])
        grid = dict(zip(name, np.ogrid[tuple([slice(n) for n in x.shape])]))
        on = np.ones(x.shape, bool)
        for c, own in zip(name, np.ogrid[tuple([slice(n) for n in x.shape])]):
            on = on & (own == grid[c])
        grads.append(np.where(on, gx[tuple([grid[c] for c in kept])] if kept else gx, 0))
    return tuple(grads)


def diagonal(x: Any, offset: int, dim1: int, dim2: int) -> Any:
    return np.diagonal(x, offset, dim1, dim2)


def undiagonal(x: Any, offset: int, dim1: int, dim2: int, shape: Any) -> Any:
    """Zeros with x on a diagonal."""
    y = np.zeros(shape, x.dtype)
    y.reshape(-1)[np.diagonal(np.arange(y.size).reshape(shape), offset, dim1, dim2)] = x
    return y


def diag(v: Any) -> Any:
    """v on the diagonal of a matrix."""
    return v[..., None] * np.eye(v.shape[-1], dtype=v.dtype)


def gaps(v: Any) -> Any:
    """1 / (v_j - v_i), 0 on the diagonal."""
    gap = v[..., None, :] - v[..., None]
    none = np.eye(v.shape[-1], dtype=bool)
    return np.where(none, 0, 1 / np.where(none, 1, gap))


def sym(x: Any) -> Any:
    """The symmetric part."""
    return (x + np.swapaxes(x, -1, -2)) / 2


def half(x: Any) -> Any:
    """The lower triangle, with half of the diagonal."""
    return np.tril(x) - np.tril(np.triu(x)) / 2


def mirrored(x: Any) -> Any:
    """Symmetric, made of the lower triangle."""
    return np.tril(x) + np.swapaxes(np.tril(x, -1), -1, -2)


def det(x: Any) -> Any:
    return np.linalg.det(x)


def cofactors(x: Any) -> Any:
    """The derivative of det, by the singular values: also where x is singular."""
    u, s, w = np.linalg.svd(x)
    return (np.linalg.det(u) * np.linalg.det(w))[..., None, None] * (
        (u * others(s, -1)[..., None, :]) @ w
    )


def inv(x: Any) -> Any:
    return np.linalg.inv(x)


def solve(a: Any, b: Any) -> Any:
    return np.linalg.solve(a, b)


def cholesky(x: Any) -> Any:
    return np.linalg.cholesky(x)


def eigh(x: Any) -> Any:
    return tuple(np.linalg.eigh(x))


def svd(x: Any) -> Any:
    return tuple(np.linalg.svd(x, full_matrices=False))


def qr(x: Any) -> Any:
    return tuple(np.linalg.qr(x))


def slogdet(x: Any) -> Any:
    return tuple(np.linalg.slogdet(x))
