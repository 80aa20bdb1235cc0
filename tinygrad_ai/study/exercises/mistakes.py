"""Which mistake is it? The likely ones are tried: those of the exercise, then those of every rule.

A mistake is named only if it explains all trials.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from .exercise import Exercise, Trial


def mistake(
    exercise: Exercise, found: list[Trial], written: list[np.ndarray], i: int
) -> str | None:
    """The likely mistake in the gradient of input number i; None if it is right or unknown."""
    if all([same(w, t.right[i]) for w, t in zip(written, found)]):
        return None
    odd = sum([int((~np.isfinite(w)).sum()) for w in written])
    if odd:
        return f"NaN or infinity in {odd} of {sum([w.size for w in written])} elements"
    for text, wrong in candidates(exercise, found, i):
        if all([same(w, a) for w, a in zip(written, map(wrong, found))]):
            return text
    return reshaped(found, written, i) or scaled(found, written, i) or partial(found, written, i)


def same(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=1e-7, atol=1e-9))


def candidates(
    exercise: Exercise, found: list[Trial], i: int
) -> Iterator[tuple[str, Callable[[Trial], np.ndarray]]]:
    """Texts with the gradient that a mistake would give."""
    for text, body in exercise.mistakes.items():
        written = exercise.function(body)

        def own(t: Trial, written: Callable[..., object] = written) -> np.ndarray:
            result = written(*t.arguments())
            return np.asarray(result[i] if isinstance(result, tuple) else result)

        yield text, own
    yield "it is 0 everywhere", lambda t: np.zeros_like(t.right[i])
    yield "the sign is wrong", lambda t: -t.right[i]
    yield "g, what comes in, is not used", lambda t: t.unweighted[i]
    for j, other in enumerate(exercise.differentiable):
        if j != i and found[0].right[j].shape == found[0].right[i].shape:
            text = f"that is g{other}: the gradients are in the wrong order"
            yield text, lambda t, j=j: t.right[j]  # type: ignore[misc]


def reshaped(found: list[Trial], written: list[np.ndarray], i: int) -> str | None:
    """A sum, a repetition or a transposition that is missing."""
    pairs = [(w, t.right[i]) for w, t in zip(written, found)]
    if all([w.ndim == 2 and same(w.T, r) for w, r in pairs]):
        return "it is transposed"
    if all([w.shape != r.shape and same(summed(w, r.shape), r) for w, r in pairs]):
        return "the sum over what the input was repeated along is missing"
    if all([w.shape != r.shape and same(spread(w, r), r) for w, r in pairs]):
        return "it has to be repeated to the input's shape: np.broadcast_to"
    if all([w.size == r.size and same(w.reshape(r.shape), r) for w, r in pairs]):
        return "the numbers are right, their shape is not: reshape"
    return None


def summed(w: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """w summed as if an input of that shape had been broadcast to it."""
    if w.ndim < len(shape):
        return w
    w = w.sum(axis=tuple(range(w.ndim - len(shape))))
    axes = tuple(a for a, n in enumerate(shape) if n == 1 and w.shape[a] != 1)
    return np.asarray(w.sum(axis=axes, keepdims=True) if axes else w)


def spread(w: np.ndarray, right: np.ndarray) -> np.ndarray:
    """w repeated to a shape, from the left or from the right, as it fits."""
    for axis in range(right.ndim):
        column = np.expand_dims(w, axis) if w.ndim == right.ndim - 1 else w
        try:
            full = np.broadcast_to(column, right.shape)
        except ValueError:
            continue
        if same(full, right):
            return full
    return w


def scaled(found: list[Trial], written: list[np.ndarray], i: int) -> str | None:
    """The right gradient times a number, named if it is a size."""
    factors = []
    for w, t in zip(written, found):
        right = t.right[i]
        size = float(np.vdot(right, right))
        factor = float(np.vdot(right, w)) / size if w.shape == right.shape and size else 0.0
        if not factor or not same(w, factor * right):
            return None
        factors.append(factor)
    if np.allclose(factors, factors[0]):
        return f"it is {factors[0]:.6g} times what is right"
    for name, size_of in SIZES.items():
        for power, text in ((1, "too large"), (-1, "too small")):
            if np.allclose(factors, [size_of(t) ** power for t in found]):
                return f"it is {text} by {name}"
    return f"it is the right gradient times {', '.join([f'{f:.4g}' for f in factors])}"


def _first(t: Trial) -> np.ndarray:
    """The first input that is no single number."""
    return next(a for a in t.inputs.values() if a.ndim)


SIZES: dict[str, Callable[[Trial], float]] = {
    "the number of elements": lambda t: float(_first(t).size),
    "the number of rows": lambda t: float(len(_first(t))),
    "the number of columns": lambda t: float(_first(t).shape[-1]),
    "the root of the number of columns": lambda t: math.sqrt(_first(t).shape[-1]),
}


def partial(found: list[Trial], written: list[np.ndarray], i: int) -> str | None:
    """Right at some elements only: where? By the sign of the input, if that tells."""
    good, values = [], []
    for w, t in zip(written, found):
        if w.shape != t.right[i].shape:
            return None
        good.append(np.isclose(w, t.right[i], rtol=1e-7, atol=1e-9).reshape(-1))
        array = list(t.inputs.values())[i]
        values.append(array.reshape(-1) if array.size == w.size else np.full(w.size, np.nan))
    right, x = np.concatenate(good), np.concatenate(values)
    if not right.any():
        return None
    for text, where in (("x > 0", x > 0), ("x < 0", x < 0), ("x = 0", x == 0)):
        if where.any() and (right == ~where).all():
            return f"it is wrong where {text}, and right elsewhere"
    return f"{int(right.sum())} of {right.size} elements are right"
