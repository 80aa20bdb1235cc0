"""Sums of products over named dimensions."""

from __future__ import annotations

import string
from typing import Any

from ..autograd.op import op
from ..errors import ArgumentError, ShapeError
from ..tensor import methods
from .diagonal import _undiagonal
from .matmul import matmul
from .shape import broadcast_to, permute, reshape

__all__ = ["einsum", "kron", "tensordot"]


@op(dtypes="promote")
def _einsum(be, *xs, equation):
    """y = einsum(equation, xs);   gxs = einsum_grads(equation, g, xs)

    Each gx is the einsum of g and the others.
    """
    return be.einsum(equation, *xs, optimize=len(xs) > 2)


@_einsum.vjp
def _(g, xs, *, equation):
    terms, out = equation.split("->")
    names = terms.split(",")
    return tuple([_pullback(g, xs, names, out, i) for i in range(len(xs))])


def _pullback(g: Any, xs: Any, names: list[str], out: str, i: int) -> Any:
    """g and the other operands contracted to the letters of operand i; letters only operand i
    has were summed, so the gradient is the same along them."""
    others = [(n, x) for j, (n, x) in enumerate(zip(names, xs)) if j != i]
    present = set(out).union(*[n for n, _ in others])
    letters = list(dict.fromkeys(names[i]))  # a repeated letter is a diagonal
    kept = "".join([c for c in letters if c in present])
    equation = ",".join([out, *[n for n, _ in others]]) + "->" + kept
    gx = _einsum(g, *[x for _, x in others], equation=equation)
    size = dict(zip(names[i], xs[i].shape))
    gx = reshape(gx, [size[c] if c in kept else 1 for c in letters])
    gx = broadcast_to(gx, [size[c] for c in letters])
    return gx if len(letters) == len(names[i]) else _on_diagonals(gx, names[i], letters)


def _on_diagonals(gx: Any, name: str, letters: list[str]) -> Any:
    """Repeated letters get their dimensions back, zero off the diagonal."""
    order = list(letters)
    for c in letters:
        for _ in range(name.count(c) - 1):
            i = order.index(c)
            gx = permute(gx, [*[k for k in range(len(order)) if k != i], i])
            order = [*[v for k, v in enumerate(order) if k != i], c, c]
            n, shape = len(order), (*gx.shape, gx.shape[-1])
            gx = _undiagonal(gx, offset=0, dim1=n - 2, dim2=n - 1, shape=tuple(shape))
    places = []
    for c in name:
        places.append(order.index(c))
        order[places[-1]] = ""
    return permute(gx, places)


def einsum(equation: Any, *operands: Any) -> Any:
    """Einstein summation: `einsum("bij,bjk->bik", a, b)`. Repeated letters are diagonals, an
    ellipsis stands for the dimensions not named, without -> the letters that occur once remain.
    """
    given = (
        operands[0] if len(operands) == 1 and isinstance(operands[0], (list, tuple)) else operands
    )
    text = equation.replace(" ", "")
    terms, arrow, out = text.partition("->")
    names = terms.split(",")
    if len(names) != len(given):
        raise ArgumentError(
            f"einsum: {len(names)} terms in {equation!r}, but {len(given)} operands"
        )
    names, dots = _without_ellipsis(names, given)
    if arrow:
        out = out.replace("...", dots)
    else:
        letters = "".join(names)
        out = dots + "".join(sorted(c for c in set(letters) - set(dots) if letters.count(c) == 1))
    _check(equation, names, out, given)
    return _einsum(*given, equation=",".join(names) + "->" + out)


def _without_ellipsis(names: list[str], operands: Any) -> tuple[list[str], str]:
    """The terms with letters in place of "...", aligned at the right."""
    free = [c for c in string.ascii_letters if c not in "".join(names)]
    extra = [
        x.ndim - len(n.replace("...", "")) if "..." in n else 0 for n, x in zip(names, operands)
    ]
    dots = "".join(free[: max(extra, default=0)])
    return [n.replace("...", dots[len(dots) - k :]) for n, k in zip(names, extra)], dots


def _check(equation: str, names: list[str], out: str, operands: Any) -> None:
    sizes: dict[str, int] = {}
    for name, x in zip(names, operands):
        if len(name) != x.ndim:
            raise ShapeError(
                f"einsum {equation!r}: term {name!r} does not fit shape {tuple(x.shape)}"
            )
        for c, n in zip(name, x.shape):
            if sizes.setdefault(c, n) != n:
                raise ShapeError(f"einsum {equation!r}: {c!r} is both {sizes[c]} and {n}")
    if set(out) - set(sizes) or len(set(out)) < len(out):
        raise ArgumentError(
            f"einsum {equation!r}: the result names {out!r} are not in the terms, once each"
        )


def tensordot(a: Any, b: Any, dims: Any = 2) -> Any:
    """Products summed over the last `dims` dimensions of a and the first of b, or over pairs."""
    if isinstance(dims, int):
        left, right = list(range(a.ndim - dims, a.ndim)), list(range(dims))
    else:
        left, right = [[d % x.ndim for d in side] for side, x in zip(dims, (a, b))]
    if [a.shape[d] for d in left] != [b.shape[d] for d in right]:
        raise ShapeError(
            f"tensordot: sizes differ along {left} of {tuple(a.shape)} "
            f"and {right} of {tuple(b.shape)}"
        )
    rows = [d for d in range(a.ndim) if d not in left]
    columns = [d for d in range(b.ndim) if d not in right]
    inner = 1
    for d in left:
        inner *= a.shape[d]
    x = reshape(permute(a, rows + left), (-1, inner) if inner else (_product(a, rows), 0))
    y = reshape(permute(b, right + columns), (inner, _product(b, columns)))
    return reshape(matmul(x, y), [a.shape[d] for d in rows] + [b.shape[d] for d in columns])


def _product(x: Any, dims: list[int]) -> int:
    count = 1
    for d in dims:
        count *= x.shape[d]
    return count


def kron(input: Any, other: Any) -> Any:
    """The Kronecker product."""
    rank = max(input.ndim, other.ndim)
    a = reshape(input, (1,) * (rank - input.ndim) + tuple(input.shape))
    b = reshape(other, (1,) * (rank - other.ndim) + tuple(other.shape))
    wide = reshape(a, [k for n in a.shape for k in (n, 1)]) * reshape(
        b, [k for n in b.shape for k in (1, n)]
    )
    return reshape(wide, [m * n for m, n in zip(a.shape, b.shape)])


methods(kron)
