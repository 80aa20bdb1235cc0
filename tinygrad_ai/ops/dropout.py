"""Dropout as one op: a mask of one byte per element, and the same op as its rule."""

from __future__ import annotations

from typing import Any

from .. import backend
from ..autograd.op import op
from ..backend import random as streams
from .arguments import raw


@op
def _dropout(be, x, *, keep, scale):
    """y = [keep] scale x;   gx = [keep] scale g"""
    return be.dropout(x, keep, scale)


@_dropout.vjp
def _(g, *, keep, scale):
    return _dropout(g, keep=keep, scale=scale)


def chosen(shape: tuple[int, ...], chance: float, like: Any) -> Any:
    """An array of bools beside a tensor, each true with that chance, from the default stream."""
    return streams.chosen(shape, chance, backend.device_of(raw(like)))
