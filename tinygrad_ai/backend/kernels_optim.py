"""One step of the common optimizers, in place: what the compiled ones must equal."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import Any

from .dtypes import float32, is_bfloat16
from .kernels import kernel


def widely(step: Callable[..., None]) -> Callable[..., None]:
    """Parameters and states of bfloat16 take their step in float32, and are rounded once."""

    @wraps(step)
    def call(be: Any, p: Any, g: Any, *rest: Any, **numbers: Any) -> None:
        if not is_bfloat16(p.dtype):
            return step(be, p, g, *rest, **numbers)
        given = [p, *[a for a in rest if hasattr(a, "dtype")]]
        large = {id(a): a.astype(float32) for a in given}
        rest = tuple([large.get(id(a), a) for a in rest])
        step(be, large[id(p)], g.astype(float32), *rest, **numbers)
        for a in given:
            a[...] = large[id(a)].astype(a.dtype)

    return call


@kernel
def sgd_step(
    be: Any, p: Any, g: Any, velocity: Any, *, first: Any, lr: Any, **numbers: Any
) -> None:
    """Lists of arrays, velocity also of Nones, and whether it is each one's first step.

    v = μ v + (1 - τ) g (v = g at first);   p -= lr v, or lr (g + μ v) for Nesterov.
    """
    for arrays in zip(p, g, velocity, first, strict=True):
        _sgd(be, *arrays, lr=float(lr), **numbers)


@widely
def _sgd(
    be: Any, p: Any, g: Any, velocity: Any, first: bool, *, lr: float, momentum: float,
    dampening: float, weight_decay: float, nesterov: bool,
) -> None:  # fmt: skip
    if weight_decay:
        g = g + weight_decay * p
    if velocity is not None:
        if first:
            velocity[...] = g
        else:
            velocity *= momentum
            velocity += (1 - dampening) * g
        g = g + momentum * velocity if nesterov else velocity
    p -= lr * g


@kernel
def adam_step(
    be: Any, p: Any, g: Any, m: Any, v: Any, v_max: Any, *, t: Any, lr: Any, **numbers: Any
) -> None:
    """Lists of arrays, v_max also of Nones, and how many steps each has had with this one. On a GPU
    t and lr may be arrays there: int64 (n,) and float64 ().

    m = β₁m + (1-β₁)g;  v = β₂v + (1-β₂)g²;  p -= lr m̂ / (√v̂ + ε), hats divide by 1 - βᵗ.
    """
    for arrays in zip(p, g, m, v, v_max, t, strict=True):
        _adam(be, *arrays, lr=float(lr), **numbers)


@widely
def _adam(
    be: Any, p: Any, g: Any, m: Any, v: Any, v_max: Any, step: int, *, lr: float, beta1: float,
    beta2: float, eps: float, weight_decay: float, decoupled: bool,
) -> None:  # fmt: skip
    if weight_decay and decoupled:
        p *= 1 - lr * weight_decay
    elif weight_decay:
        g = g + weight_decay * p
    m += (1 - beta1) * (g - m)
    v *= beta2
    v += (1 - beta2) * (g * g)
    if v_max is not None:
        be.maximum(v_max, v, out=v_max)
        v = v_max
    root = be.sqrt(v)
    step = int(step)
    root /= math.sqrt(1 - beta2**step)
    root += eps
    be.divide(m, root, out=root)
    root *= lr / (1 - beta1**step)
    p -= root


@kernel
def rmsprop_step(
    be: Any, p: Any, g: Any, square: Any, mean: Any, velocity: Any, *, lr: Any, **numbers: Any
) -> None:
    """Lists of arrays, mean and velocity also of Nones.

    s = αs + (1-α)g²;  p -= lr g / (√s + ε); centered: s less the squared mean of g.
    """
    for arrays in zip(p, g, square, mean, velocity, strict=True):
        _rmsprop(be, *arrays, lr=float(lr), **numbers)


@widely
def _rmsprop(
    be: Any, p: Any, g: Any, square: Any, mean: Any, velocity: Any, *, lr: float, alpha: float,
    eps: float, weight_decay: float, momentum: float,
) -> None:  # fmt: skip
    if weight_decay:
        g = g + weight_decay * p
    square *= alpha
    square += (1 - alpha) * (g * g)
    spread = square
    if mean is not None:
        mean += (1 - alpha) * (g - mean)
        spread = square - mean * mean
    move = g / (be.sqrt(spread) + eps)
    if velocity is not None:
        velocity *= momentum
        velocity += move
        move = velocity
    p -= lr * move
