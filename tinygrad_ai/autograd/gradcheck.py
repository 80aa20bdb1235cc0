"""Are these gradients right? Reverse passes against finite differences.

The whole Jacobian is compared entry by entry, and once more with random, uneven weights on the
outputs: a rule that is right for a gradient of ones only does not pass.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

from .. import backend
from ..backend import dtypes
from ..backend.random import Generator
from ..errors import ArgumentError, GradcheckError
from ..tensor import Tensor, wrap
from .backward import grad
from .mode import enable_grad, no_grad

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]

Function = Callable[..., Any]
DIRECTIONS = 3  # in fast mode


class Tolerance(NamedTuple):
    """eps is the step of the differences; |analytic - n| <= atol + rtol |n| is good enough."""

    eps: float
    atol: float
    rtol: float
    nondet: float


class Case:
    """A function at a point: its arguments, which of them move, and the values around."""

    def __init__(self, func: Function, inputs: Any, tol: Tolerance) -> None:
        self.func, self.tol = func, tol
        self.args = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
        self.moving = {
            i: x for i, x in enumerate(self.args) if isinstance(x, Tensor) and x.requires_grad
        }
        if not self.moving:
            raise ArgumentError("gradcheck needs at least one input with requires_grad=True")
        self.random = Generator().manual_seed(0).numpy
        with enable_grad():
            self.outputs = self.run()

    def run(self) -> list[Tensor]:
        """The floating-point outputs of one call."""
        result = self.func(*self.args)
        results = result if isinstance(result, (tuple, list)) else (result,)
        return [y for y in results if isinstance(y, Tensor) and y.dtype.kind in "fV"]

    def values(self) -> list[Any]:
        """The outputs of one call as flat arrays that nothing will change."""
        with no_grad():
            return [y.array.flatten() for y in self.run()]

    def pull(self, y: Tensor, seed: Any) -> list[Any]:
        """The gradients of one output by every moving input, as flat arrays."""
        xs = list(self.moving.values())
        if not y.requires_grad:
            return [backend.of(x.array).zeros(x.array.size, x.dtype) for x in xs]
        g = wrap(seed.reshape(y.shape))
        found = grad([y], xs, [g], retain_graph=True, allow_unused=True, materialize_grads=True)
        return [g.array.reshape(-1) for g in found]  # type: ignore[union-attr]

    def weights(self, like: Tensor) -> Any:
        """Random numbers, none near zero, no two alike, for each element of a tensor."""
        size, be = like.array.size, backend.of(like.array)
        signs = self.random.choice([-1.0, 1.0], size)
        return be.asarray(signs * self.random.uniform(0.5, 1.5, size), like.dtype)


@contextmanager
def loose(x: Tensor) -> Iterator[Any]:
    """Meanwhile x has memory of its own, given as a flat array, in which it can be moved."""
    before = x.array
    flat = before.flatten()
    x.array = flat.reshape(before.shape)
    try:
        yield flat
    finally:
        x.array = before


def around(case: Case, flat: Any, direction: Any) -> tuple[list[Any], list[Any]]:
    """The outputs one step ahead along a direction, and one step behind."""
    start, found = flat.copy(), []
    for step in (case.tol.eps, -case.tol.eps):
        flat[...] = start + step * direction
        found.append(case.values())
    flat[...] = start
    return found[0], found[1]


def central(case: Case, flat: Any, direction: Any) -> list[Any]:
    """Central differences of the outputs along a direction."""
    pairs = zip(*around(case, flat, direction), strict=True)
    return [(a - b) / (2 * case.tol.eps) for a, b in pairs]


def check_repeats(case: Case) -> None:
    """Raises GradcheckError if the function or its gradient differ from call to call."""
    once, twice = case.values(), case.values()
    for y in case.outputs:
        seed = case.weights(y)
        once, twice = once + case.pull(y, seed), twice + case.pull(y, seed)
    gaps = [abs(a - b) for a, b in zip(once, twice, strict=True)]
    worst = max([float(backend.of(gap).max(gap, initial=0)) for gap in gaps])
    if worst > case.tol.nondet:
        raise GradcheckError(
            f"two calls differ by {worst:.3g} (nondet_tol {case.tol.nondet:g})",
            "seed the random numbers inside the function, or pass nondet_tol=",
        )


def check_dtypes(case: Case) -> None:
    """Raises GradcheckError if a gradient has another dtype than its input."""
    for y in case.outputs:
        grads = case.pull(y, case.weights(y))
        for (i, x), g in zip(case.moving.items(), grads, strict=True):
            if g.dtype != x.dtype:
                raise GradcheckError(f"the gradient by input {i} is {g.dtype}, expected {x.dtype}")


def check_fully(case: Case) -> float:
    """Every entry of the Jacobian, and the outputs weighted at random; the largest error."""
    worst, analytic = 0.0, [rows(case, y) for y in case.outputs]
    for place, (i, x) in enumerate(case.moving.items()):
        be = backend.of(x.array)
        with loose(x) as flat:
            columns = [central(case, flat, e) for e in be.eye(flat.size, dtype=flat.dtype)]
        for o, y in enumerate(case.outputs):
            shape = (flat.size, y.array.size)
            numeric = be.asarray([c[o] for c in columns], y.dtype).reshape(shape)
            worst = max(worst, compare(case, (o, i), analytic[o][place].T, numeric))
            seed = case.weights(y)
            allowed = abs(seed).sum() * case.tol.atol + case.tol.rtol * abs(numeric) @ abs(seed)
            error = abs(case.pull(y, seed)[place] - numeric @ seed)
            if not (error <= allowed).all():
                raise GradcheckError(
                    f"the gradient of output {o} by input {i} is right for single elements, but "
                    f"wrong by {error.max():.3g} for random weights on the output",
                    "a rule must be linear in the incoming gradient",
                )
    return worst


def rows(case: Case, y: Tensor) -> list[Any]:
    """The Jacobian of one output by every input, one gradient for each of its elements."""
    be, size = backend.of(y.array), y.array.size
    found = [case.pull(y, e) for e in be.eye(size, dtype=y.dtype)]
    xs = list(case.moving.values())
    return [
        be.asarray([f[i] for f in found], x.dtype).reshape(size, x.array.size)
        for i, x in enumerate(xs)
    ]


def compare(case: Case, which: tuple[int, int], analytic: Any, numeric: Any) -> float:
    """The largest error, relative where numbers are above 1; rows belong to the input.

    Raises GradcheckError that shows the worst entry if the two disagree.
    """
    error = abs(analytic - numeric)
    bad = ~(error <= case.tol.atol + case.tol.rtol * abs(numeric))
    be = backend.of(error)
    if not bad.any():
        return float(be.max(error / be.maximum(abs(numeric), 1.0), initial=0.0))
    worst = int(be.where(bad, be.nan_to_num(error, nan=float("inf")), -1.0).argmax())
    k, j = divmod(worst, error.shape[1])
    x, y = case.args[which[1]], case.outputs[which[0]]
    places = [tuple(map(int, be.unravel_index(n, t.shape))) for n, t in ((j, y), (k, x))]
    a, n = float(analytic[k, j]), float(numeric[k, j])
    raise GradcheckError(
        f"the gradient of output {which[0]} by input {which[1]} is wrong "
        f"in {int(bad.sum())} of {bad.size} entries\n"
        f"  worst at output{list(places[0])} by input{list(places[1])}: analytic {a:.9g}, "
        f"numeric {n:.9g}, difference {abs(a - n):.3g}, "
        f"allowed {case.tol.atol + case.tol.rtol * abs(n):.3g}",
        advice(case, x, k, which[0], j),
    )


def advice(case: Case, x: Tensor, k: int, o: int, j: int) -> str:
    """What most likely is the matter at one entry."""
    if x.dtype != dtypes.float64:
        return f"check in float64: differences of {x.dtype} numbers say little"
    if not case.outputs[o].requires_grad:
        return "the output has no history: it was made under no_grad, by detach, or has no rule"
    with loose(x) as flat:
        unit = backend.of(flat).eye(flat.size, dtype=flat.dtype)[k]
        (above, below), here = around(case, flat, unit), case.values()
    right, left = [(b[o][j] - a[o][j]) / case.tol.eps for a, b in ((here, above), (below, here))]
    if abs(right - left) > case.tol.atol + 100 * case.tol.rtol * max(abs(right), abs(left)):
        return (
            f"there is a kink: the slope is {left:.4g} before and {right:.4g} after; move the input"
        )
    return "the rule of one of the ops is wrong; check them one by one"


def check_fast(case: Case) -> None:
    """Random combinations of the Jacobian's entries only."""
    for i, x in case.moving.items():
        place = list(case.moving).index(i)
        for _ in range(DIRECTIONS):
            direction = case.weights(x)
            with loose(x) as flat:
                numeric = central(case, flat, direction)
            for o, y in enumerate(case.outputs):
                seed = case.weights(y)
                a, n = float(case.pull(y, seed)[place] @ direction), float(numeric[o] @ seed)
                if not abs(a - n) <= case.tol.atol + case.tol.rtol * abs(n):
                    raise GradcheckError(
                        f"the gradient of output {o} by input {i} is wrong: along a random "
                        f"direction analytic {a:.9g}, numeric {n:.9g}",
                        "fast_mode=False shows which entry",
                    )


def settle(case: Case, raises: bool, same_dtypes: bool, fast: bool) -> bool:
    """Makes the checks; whether they passed."""
    for i, x in case.moving.items():
        if x.dtype != dtypes.float64:
            warnings.warn(
                f"gradcheck: input {i} is {x.dtype}; differences need float64 (x.double())",
                stacklevel=3,
            )
    try:
        check_repeats(case)
        if same_dtypes:
            check_dtypes(case)
        (check_fast if fast else check_fully)(case)
    except GradcheckError:
        if raises:
            raise
        return False
    return True


def gradcheck(
    func: Function,
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Compares the gradients of func at `inputs` with central differences.

    inputs: a tensor or a tuple, float64 with requires_grad=True where they are to be checked. The
    arguments are PyTorch's. Outputs are differentiated one at a time, which is what
    `check_undefined_grad` asks for; `masked` changes nothing without sparse tensors.
    Returns True. Raises GradcheckError that shows the worst entry, or returns False without
    `raise_exception`; ArgumentError for forward-mode and batched gradients, which are not here.
    """
    if (
        check_batched_grad
        or check_batched_forward_grad
        or check_forward_ad
        or not check_backward_ad
    ):
        raise ArgumentError("gradcheck checks reverse-mode gradients, unbatched, and nothing else")
    case = Case(func, inputs, Tolerance(eps, atol, rtol, nondet_tol))
    return settle(case, raise_exception, check_grad_dtypes, fast_mode)


def gradgradcheck(
    func: Function,
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    fast_mode: bool = False,
    masked: bool = False,
) -> bool:
    """As gradcheck, for the gradients as functions of the inputs and of the outputs' gradients.

    `grad_outputs` are random and uneven unless given.
    """
    if check_fwd_over_rev or check_batched_grad or not check_rev_over_rev:
        raise ArgumentError("gradgradcheck checks reverse over reverse, unbatched, nothing else")
    case = Case(func, inputs, Tolerance(eps, atol, rtol, nondet_tol))
    both = derivative(case, grad_outputs, gen_non_contig_grad_outputs)
    return settle(both, raise_exception, check_grad_dtypes, fast_mode)


def derivative(case: Case, seeds: Any = None, spaced: bool = False) -> Case:
    """The gradients of a case as a case of their own, by its inputs and its outputs' weights."""
    if seeds is None:
        seeds = [_seed(case, y, spaced) for y in case.outputs if y.requires_grad]
    seeds = seeds if isinstance(seeds, (tuple, list)) else (seeds,)
    return Case(partial(slopes, case), (*case.args, *seeds), case.tol)


def slopes(case: Case, *args: Any) -> tuple[Any, ...]:
    """The gradients of the function of a case, at other inputs and weights of its outputs."""
    inputs, seeds = args[: len(case.args)], args[len(case.args) :]
    ys = [y for y in Case(case.func, inputs, case.tol).outputs if y.requires_grad]
    xs = [inputs[i] for i in case.moving]
    found = grad(ys, xs, seeds, create_graph=True, allow_unused=True)
    return tuple([g for g in found if g is not None])


def _seed(case: Case, y: Tensor, spaced: bool) -> Tensor:
    """A random gradient of an output, to be differentiated by; in spaced-out memory or not."""
    be = backend.of(y.array)
    array = case.weights(y).reshape(y.shape)
    if spaced:
        array, values = be.zeros((*y.shape, 2), y.dtype)[..., 0], array
        array[...] = values
    return wrap(array).requires_grad_()
