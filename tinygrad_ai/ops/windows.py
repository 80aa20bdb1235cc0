"""All windows over images, and their sum back: each is the other's rule."""

from __future__ import annotations

from ..autograd.op import op


@op(view=True)
def _windows(be, x, *, size, stride, dilation):
    """y = windows(x, size, stride, dilation);   gx = unwindow(g, x_shape, stride, dilation)

    x (N, C, ...) gives y (N, C, out..., size...).
    """
    return be.windows(x, size, stride, dilation)


@_windows.vjp
def _(g, x_shape, *, size, stride, dilation):
    return _unwindow(g, size=tuple(x_shape[2:]), stride=stride, dilation=dilation)


@op
def _unwindow(be, w, *, size, stride, dilation):
    """y = unwindow(w, size, stride, dilation);
    gw = trimmed(windows(g, w_shape, stride, dilation), w_shape)

    Windows added where they came from: y (N, C, ...).
    """
    return be.unwindow(w, (*w.shape[:2], *size), stride, dilation)


@_unwindow.vjp
def _(g, w_shape, *, size, stride, dilation):
    from .indexing import _getitem

    rank = len(stride)
    y = _windows(g, size=tuple(w_shape[2 + rank :]), stride=stride, dilation=dilation)
    return _getitem(y, index=tuple([slice(n) for n in w_shape[: 2 + rank]]))
