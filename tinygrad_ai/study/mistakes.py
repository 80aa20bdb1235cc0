"""What a wrong rule most likely does, told from the Jacobian it gives beside the numeric one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from ..autograd.gradcheck import Case, Tolerance, rows
from ..autograd.graph import tensors
from ..autograd.mode import enable_grad, state
from ..backend import storage
from ..errors import TinygradError
from ..tensor import Tensor
from .likeness import Likeness, likeness, number
from .meaning import host
from .watched import observing


@dataclass
class Block:
    """The Jacobian of one output by one input, twice; rows belong to the input's elements."""

    output: int
    input: int
    analytic: Any
    numeric: Any
    x: Tensor
    y: Tensor

    def suspects(self, tol: Tolerance) -> list[tuple[float, int, int]]:
        """Entries as (error / allowed, row, column): all that disagree, and the worst other one."""
        with np.errstate(invalid="ignore", over="ignore"):
            ratio = abs(self.analytic - self.numeric) / (tol.atol + tol.rtol * abs(self.numeric))
        ratio = np.where(self.analytic == self.numeric, 0.0, np.nan_to_num(ratio, nan=np.inf))
        if not ratio.size:
            return []
        found = [*np.flatnonzero(ratio > 1), ratio.argmax()]
        places = {divmod(int(n), ratio.shape[1]) for n in found}
        return [(float(ratio[p]), *p) for p in sorted(places)]

    def without(self, k: int, j: int) -> None:
        """Takes an entry out of what is compared."""
        self.analytic[k, j] = self.numeric[k, j] = 0.0


def mistake(case: Case, block: Block, again: Callable[[], Case]) -> Likeness | None:
    """The likeliest mistake behind a block whose analytic side is wrong; None: no pattern."""
    return _cut(block, again) or next(_patterns(block), None)


def _patterns(block: Block) -> Iterator[Likeness]:
    a, n = block.analytic, block.numeric
    known = likeness(a, n)
    if known and known.name in ("not finite", "detached", "factor", "sign"):
        yield known
    for which, t in ((0, block.x), (1, block.y)):
        if t.ndim >= 2:
            swapped = np.moveaxis(_turned(a, t, which), which, -1)
            if abs(swapped - np.moveaxis(n, which, -1)).max() <= 1e-4 * abs(n).max():
                side = "the gradient by the input" if which == 0 else "the incoming gradient"
                yield Likeness("transposed", f"{side} is transposed")
    if known and known.name == "transposed":
        yield Likeness("transposed", "a matrix is used where its transpose belongs")
    yield from _sums(block)
    yield from _terms(block)
    if known:
        yield known


def _turned(jacobian: Any, t: Tensor, which: int) -> Any:
    """A Jacobian as it would be with the last two dimensions of the input or output swapped."""
    shape = tuple(t.shape)
    turned = (*shape[:-2], shape[-1], shape[-2])
    side = jacobian if which == 0 else jacobian.T
    parts = side.reshape((*turned, -1)).swapaxes(-2, -3).reshape(side.shape)
    return parts if which == 0 else parts.T


def _sums(block: Block) -> Iterator[Likeness]:
    """Entries of the Jacobian that are 0 where others of the same kind are right."""
    a, n = block.analytic, block.numeric
    small = 1e-4 * abs(n).max()
    off = abs(a - n) > small
    if not (abs(a[off]) <= small).all() or off.all():
        return
    lost = np.flatnonzero(off.any(1) & (abs(a) <= small).all(1))
    if lost.size and (off.any(1) == (abs(a) <= small).all(1)).all():
        text = f"{lost.size} of {len(a)} elements of the input get no gradient"
        yield Likeness("missing term", f"{text}: a part of the input is detached or left out")
    text = "elements of the output do not reach all elements of the input that they depend on"
    yield Likeness("missing sum", f"{text}: a sum over them is missing")


def _terms(block: Block) -> Iterator[Likeness]:
    """For functions of single elements: a missing term or factor made of x and y."""
    a, n = np.diagonal(block.analytic), np.diagonal(block.numeric)
    square = block.analytic.shape[0] == block.analytic.shape[1] and np.count_nonzero(n) > 2
    if not square or abs(block.numeric - np.diag(n)).max() > 1e-6 * abs(n).max():
        return
    x, y = [host(t.array).astype(np.float64).reshape(-1) for t in (block.x, block.y)]
    made = {"1": x * 0 + 1, "x": x, "y": y, "x²": x * x, "y²": y * y, "x y": x * y}
    for name, v in made.items():
        c = _multiple(n - a, v)
        if c:
            term = number(c) if name == "1" else f"{number(c)} {name}"
            yield Likeness("missing term", f"a term is missing: {term}")
    for name in ("x", "y", "x²", "y²"):
        for top, below, text in ((a, n * made[name], "too many"), (a * made[name], n, "too few")):
            c = _multiple(top, below)
            if c:
                yield Likeness("factor", f"looks like a factor of {name} {text}")
    for first, second in combinations(made, 2) if len(a) > 5 else ():
        c, d = np.linalg.lstsq(np.stack([made[first], made[second]], 1), n - a)[0]
        if abs(n - a - c * made[first] - d * made[second]).max() <= 1e-4 * abs(n - a).max():
            text = f"terms are missing: {number(c)} {first} and {number(d)} {second}"
            yield Likeness("missing term", text)


def _multiple(a: Any, b: Any) -> float:
    """c where a = c b, else 0."""
    c = float((a * b).sum() / ((b * b).sum() or 1.0))
    return c if abs(a - c * b).max() <= 1e-4 * abs(a).max() and abs(c) > 1e-6 else 0.0


class Attached:
    """An observer that undoes detach() and no_grad(): values that had a history get it back."""

    def __init__(self, inputs: list[Tensor]) -> None:
        self.known = {id(t.array): t for t in inputs}
        self.places: dict[str, None] = {}
        self.depth = 0

    def forward(self, op: Any, run: Any, args: Any, attrs: Any) -> Any:
        if self.depth:
            return run(args, attrs)
        found = [self._with_history(a) for a in args]
        cut = [a for a, b in zip(args, found) if a is not b]
        unrecorded = not state.grad and any([getattr(a, "node", None) for a in args])
        if cut or unrecorded:
            why = "detached" if cut else "under no_grad"
            self.places[f"{why} at {op.name}, {storage.line_of(storage.user_place())}"] = None
        self.depth += 1
        try:
            with enable_grad():
                result = run(tuple(found), attrs)
        finally:
            self.depth -= 1
        self.known.update({id(t.array): t for t in tensors(result) if t.node is not None})
        return result

    def _with_history(self, a: Any) -> Any:
        cut = isinstance(a, Tensor) and a.node is None
        return self.known.get(id(a.array), a) if cut else a

    def backward(self, pull: Any, node: Any, g: Any, *rest: Any) -> Any:
        self.depth += 1
        try:
            return pull(node, g, *rest)
        finally:
            self.depth -= 1


def _cut(block: Block, again: Callable[[], Case]) -> Likeness | None:
    """A value cut off from its history, if with it the gradient agrees."""
    watcher = Attached([block.x])
    try:
        with observing(watcher):
            case = again()
            if not watcher.places:
                return None
            place = list(case.moving).index(block.input)
            found = rows(case, case.outputs[block.output])[place]
    except TinygradError:
        return None
    gap = abs(host(found).astype(np.float64).T - block.numeric)
    if not (gap <= 1e-4 * max(abs(block.numeric).max(), 1e-12)).all():
        return None
    return Likeness("detached term", f"a term is cut off: {'; '.join(watcher.places)}")
