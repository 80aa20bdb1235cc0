"""All windows over images, and their sum back: each is the other's rule."""

from __future__ import annotations

from ..autograd.op import op


@op(view=True)
def _windows(be, x, *, size, stride, dilation):
    """y (N, C, out..., size...) = the windows of x (N, C, ...);   gx = g added back"""
    return be.windows(x, size, stride, dilation)


@_windows.vjp
def _(g, x_shape, *, size, stride, dilation):
    return _unwindow(g, size=tuple(x_shape[2:]), stride=stride, dilation=dilation)


@op
def _unwindow(be, w, *, size, stride, dilation):
    """y (N, C, ...) = windows added where they came from;   gw = the windows of g"""
    return be.unwindow(w, (*w.shape[:2], *size), stride, dilation)


@_unwindow.vjp
def _(g, w_shape, *, size, stride, dilation):
    from .indexing import _getitem

    rank = len(stride)
    y = _windows(g, size=tuple(w_shape[2 + rank :]), stride=stride, dilation=dilation)
    return _getitem(y, index=tuple([slice(n) for n in w_shape[: 2 + rank]]))
