"""Convolution: each product of windows and weights, and its two gradients, are ops of one family.

x (N, C, ...), w (O, C / groups, size...), y (N, O, out...). Padding is done before.
"""

from __future__ import annotations

from ..autograd.op import op

# What stands for an image's dimensions in einsum: outputs a b c, window places p q r.
OUT, IN = "abc", "pqr"


def grouped(be, x, groups):
    """(N, C, ...) as (N, groups, C / groups, ...)."""
    return x.reshape(x.shape[0], groups, x.shape[1] // groups, *x.shape[2:])


@op(dtypes="same")
def _convolve(be, x, w, *, stride, dilation, groups):
    """y = convolve(x, w, stride, dilation, groups);
    gx = convolve_input(g, w, x_shape, stride, dilation, groups),
    gw = convolve_weight(g, x, w_shape, stride, dilation, groups)

    y is Σ of a window of x times w, over channels and window.
    """
    n = len(stride)
    windows = be.windows(x, w.shape[2:], stride, dilation)
    windows = grouped(be, windows, groups)
    weights = w.reshape(groups, w.shape[0] // groups, *w.shape[1:])
    equation = f"ngi{OUT[:n]}{IN[:n]},goi{IN[:n]}->ngo{OUT[:n]}"
    y = be.einsum(equation, windows, weights, optimize=True)
    return y.reshape(x.shape[0], w.shape[0], *y.shape[3:])


@_convolve.vjp
def _(g, x, w, needs, *, stride, dilation, groups):
    o = {"stride": stride, "dilation": dilation, "groups": groups}
    gx = _convolve_input(g, w, size=tuple(x.shape[2:]), **o) if needs[0] else None
    gw = _convolve_weight(g, x, size=tuple(w.shape[2:]), **o) if needs[1] else None
    return gx, gw


@op(dtypes="same")
def _convolve_input(be, g, w, *, size, stride, dilation, groups):
    """y = convolve_input(g, w, size, stride, dilation, groups);
    gg = trimmed(convolve(h, w, stride, dilation, groups), g_shape),
    gw = convolve_weight(g, h, w_shape, stride, dilation, groups)

    The transposed convolution: each g times w, added where its window was.
    """
    n = len(stride)
    weights = w.reshape(groups, w.shape[0] // groups, *w.shape[1:])
    equation = f"ngo{OUT[:n]},goi{IN[:n]}->ngi{OUT[:n]}{IN[:n]}"
    windows = be.einsum(equation, grouped(be, g, groups), weights, optimize=True)
    channels = groups * w.shape[1]
    windows = windows.reshape(g.shape[0], channels, *windows.shape[3:])
    return be.unwindow(windows, (g.shape[0], channels, *size), stride, dilation)


@_convolve_input.vjp
def _(h, g, w, needs, *, size, stride, dilation, groups):
    o = {"stride": stride, "dilation": dilation, "groups": groups}
    gg = _trimmed(_convolve(h, w, **o), g.shape) if needs[0] else None
    gw = _convolve_weight(g, h, size=tuple(w.shape[2:]), **o) if needs[1] else None
    return gg, gw


@op(dtypes="same")
def _convolve_weight(be, g, x, *, size, stride, dilation, groups):
    """y = convolve_weight(g, x, size, stride, dilation, groups);
    gg = trimmed(convolve(x, h, stride, dilation, groups), g_shape),
    gx = convolve_input(g, h, x_shape, stride, dilation, groups)

    y is Σ over samples and places of g times the window of x there.
    """
    n = len(stride)
    windows = be.windows(x, size, stride, dilation)
    inside = tuple([slice(k) for k in g.shape[2:]])
    windows = windows[(slice(None), slice(None)) + inside]
    equation = f"ngo{OUT[:n]},ngi{OUT[:n]}{IN[:n]}->goi{IN[:n]}"
    y = be.einsum(equation, grouped(be, g, groups), grouped(be, windows, groups), optimize=True)
    return y.reshape(g.shape[1], x.shape[1] // groups, *size)


@_convolve_weight.vjp
def _(h, g, x, needs, *, size, stride, dilation, groups):
    o = {"stride": stride, "dilation": dilation, "groups": groups}
    gg = _trimmed(_convolve(x, h, **o), g.shape) if needs[0] else None
    gx = _convolve_input(g, h, size=tuple(x.shape[2:]), **o) if needs[1] else None
    return gg, gx


def _trimmed(y, shape):
    """A transposed convolution may be asked for a size whose last windows it had not."""
    if tuple(y.shape) == tuple(shape):
        return y
    from .indexing import _getitem

    return _getitem(y, index=tuple([slice(n) for n in shape]))
