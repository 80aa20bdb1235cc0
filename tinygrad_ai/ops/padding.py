"""Borders around tensors."""

from __future__ import annotations

from typing import Any

from .. import backend
from ..autograd.op import op
from ..errors import ArgumentError, ShapeError
from .arguments import raw
from .indexing import _getitem

__all__: list[str] = []


@op(dtypes="promote")
def _pad(be, x, *, widths, value):
    """y = pad(x, widths, value);   gx = unpad(g, widths)"""
    return be.pad(x, widths, constant_values=value)


@_pad.vjp
def _(g, x_shape, *, widths):
    index = tuple([slice(a, a + n) for (a, _), n in zip(widths, x_shape, strict=True)])
    return _getitem(g, index=index)


def grown(x: Any, shape: tuple[int, ...]) -> Any:
    """x with zeros after it in every dimension, up to a shape."""
    widths = tuple([(0, n - m) for m, n in zip(x.shape, shape, strict=True)])
    return _pad(x, widths=widths, value=0.0) if any(b for _, b in widths) else x


MODES = ("constant", "reflect", "replicate", "circular")


def pad(input: Any, pad: Any, mode: str = "constant", value: float | None = None) -> Any:
    """A border of (left, right) pairs, the last dimension first; negative widths cut away.

    Modes: "constant" (of `value`), "reflect" (without the edge), "replicate", "circular".
    """
    if mode not in MODES:
        raise ArgumentError(f"expected mode of {', '.join(MODES)}, got {mode!r}")
    if len(pad) % 2 or len(pad) > 2 * input.ndim:
        raise ShapeError(f"pad expects pairs for at most {input.ndim} dimensions, got {tuple(pad)}")
    pairs = [tuple(pad[i : i + 2]) for i in range(0, len(pad), 2)][::-1]
    widths = [(0, 0)] * (input.ndim - len(pairs)) + pairs
    if mode != "constant":
        return _by_index(input, widths, mode)
    cut = tuple(
        [slice(max(-a, 0), n - max(-b, 0)) for (a, b), n in zip(widths, input.shape, strict=True)]
    )
    x = _getitem(input, index=cut) if any(a < 0 or b < 0 for a, b in widths) else input
    outside = tuple([(max(a, 0), max(b, 0)) for a, b in widths])
    return _pad(x, widths=outside, value=value or 0)


def _by_index(x: Any, widths: list[tuple[int, int]], mode: str) -> Any:
    """The border is made of x's own elements: an index for each dimension."""
    for dim, (left, right) in enumerate(widths):
        n = x.shape[dim]
        if not (left or right):
            continue
        limit = {"reflect": n - 1, "circular": n, "replicate": max(left, right)}[mode]
        if max(left, right) > limit:
            raise ShapeError(f"{mode} padding of {max(left, right)} is too wide for size {n}")
        place = backend.numpy.arange(-left, n + right)
        if mode == "replicate":
            place = place.clip(0, n - 1)
        elif mode == "circular":
            place = place % n
        else:
            place = abs(place)
            place = backend.numpy.where(place >= n, 2 * (n - 1) - place, place)
        place = backend.beside(raw(x), place)
        x = _getitem(x, index=(slice(None),) * dim + (place,))
    return x
