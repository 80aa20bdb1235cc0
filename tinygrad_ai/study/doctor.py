"""The doctor of gradients: not only whether a rule is wrong, but how, and whether it is the rule.

report = gradcheck(f, x)
report.verdict     right, wrong, kink, rounding noise or not deterministic
print(report)      the worst entry, its error over step sizes, what the mistake looks like
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from .. import backend
from ..autograd.gradcheck import Case, Tolerance, check_repeats, loose, rows
from ..autograd.gradcheck import gradcheck as plain_gradcheck
from ..autograd.mode import no_grad
from ..backend.dtypes import is_floating
from ..errors import ArgumentError, GradcheckError, TinygradError
from ..ops.random import get_rng_state, set_rng_state
from ..tensor import Tensor, wrap
from .doctor_report import Report, Worst
from .likeness import Likeness
from .mistakes import Block, mistake
from .sweep import EDGE, Found, base_step, curve, judged

TOLERANCES = {8: (1e-7, 1e-5), 4: (1e-3, 1e-3)}  # by the size of a number: atol, rtol
LOOKED_AT = 100  # entries that disagree are looked at one by one, the worst first, up to here
SEVERITY = ("right", "rounding noise", "kink", "wrong")


def gradcheck(
    f: Callable[..., Any], x: Any, *, report: bool = True, atol: float | None = None,
    rtol: float | None = None, eps: float | None = None,
) -> Any:  # fmt: skip
    """Examines the gradients of f at x, a tensor or a tuple of arguments; a Report.

    Floating-point tensors are checked (those with requires_grad, if any has it), in copies; f may
    return one tensor or several. |analytic - numeric| <= atol + rtol |numeric| is good enough; eps
    is the step at which all entries are compared, ∛u max(1, |x|) unless given. Without `report` it
    is autograd.gradcheck: True, or a GradcheckError. ArgumentError for what cannot be checked.
    """
    args = _copies(x)
    if not report:
        given: dict[str, Any] = {"eps": eps, "atol": atol, "rtol": rtol}
        return plain_gradcheck(f, args, **{k: v for k, v in given.items() if v is not None})
    size = min([t.itemsize for t in args if isinstance(t, Tensor) and t.requires_grad])
    usual = TOLERANCES.get(size)
    if usual is None:
        raise ArgumentError("differences of 16-bit numbers say nothing", "x.double()")
    tolerance = Tolerance(eps or 0.0, usual[0] if atol is None else atol,
                          usual[1] if rtol is None else rtol, 0.0)  # fmt: skip
    before = get_rng_state()
    try:
        return _examined(f, args, tolerance)
    finally:
        set_rng_state(before)


def _copies(x: Any) -> tuple[Any, ...]:
    """The arguments, each tensor to be checked in memory of its own."""
    args = tuple(x) if isinstance(x, (tuple, list)) else (x,)
    floats = [a for a in args if isinstance(a, Tensor) and is_floating(a.dtype)]
    if not floats:
        came = ", ".join([type(a).__name__ for a in args]) or "nothing"
        raise ArgumentError(f"expected a floating-point tensor to differentiate by, got {came}")
    asked = [a for a in floats if a.requires_grad] or floats
    for a in asked:
        if not np.isfinite(_host(a.array)).all():
            raise ArgumentError("there is NaN or infinity in the input, where nothing has a slope")
    return tuple([
        wrap(a.array.copy()).requires_grad_() if any(a is b for b in asked) else a for a in args
    ])  # fmt: skip


def _examined(f: Callable[..., Any], args: tuple[Any, ...], tolerance: Tolerance) -> Report:
    case = Case(f, args, tolerance)
    if not case.outputs:
        raise ArgumentError("the function returns no floating-point tensor")
    try:
        check_repeats(case)
        blocks = list(_blocks(case))
    except GradcheckError as error:
        return Report("not deterministic", error.message, 0, 0)
    except TinygradError as error:  # the walk refuses what a rule returned
        shown = Likeness("refused", str(error).split("\n")[0])
        return Report("wrong", "the backward pass raises an error", 0, 0, shown)
    return _report(case, blocks, f)


def _blocks(case: Case) -> Any:
    """The Jacobian of each output by each input: analytic and numeric, rows belong to the input."""
    analytic = [rows(case, y) for y in case.outputs]
    for place, (i, x) in enumerate(case.moving.items()):
        columns = _columns(case, x)
        for o, y in enumerate(case.outputs):
            shape = (x.array.size, y.array.size)
            numeric = np.asarray([c[o] for c in columns], np.float64).reshape(shape)
            a = np.asarray(_host(analytic[o][place]), np.float64).T
            yield Block(o, i, a, numeric, x, y)


def _columns(case: Case, x: Tensor) -> list[list[Any]]:
    """Central differences of all outputs by each element of x."""
    found = []
    with loose(x) as flat:
        for k in range(flat.size):
            start = float(flat[k])
            h = case.tol.eps or base_step(start, x.dtype)
            ends = []
            for to in (start + h, start - h):
                flat[k] = to
                ends.append((float(flat[k]), [_host(y) for y in case.values()]))
            flat[k] = start
            (b, above), (a, below) = ends
            found.append([(p - q).astype(np.float64) / (b - a) for p, q in zip(above, below)])
    return found


def _host(array: Any) -> Any:
    return backend.moved(array, "cpu")


@dataclass
class Entry:
    """An entry of a block that was looked at alone."""

    block: Block
    k: int
    j: int
    found: Found
    steps: Any


def _report(case: Case, blocks: list[Block], f: Callable[..., Any]) -> Report:
    """The verdict over all entries: that of the worst which were looked at."""
    order = sorted(
        [(-ratio, b, k, j) for b, block in enumerate(blocks)
         for ratio, k, j in block.suspects(case.tol)], key=lambda e: e[0]
    )  # fmt: skip
    bad = [e for e in order if e[0] < -1]
    entries: list[Entry] = []
    for _, b, k, j in bad[:LOOKED_AT] or order[:1]:
        entries.append(_looked_at(case, blocks[b], k, j))
        if entries[-1].found.verdict in ("right", "wrong"):
            blocks[b].numeric[k, j] = entries[-1].found.numeric  # better than the first step's
    total = sum([block.numeric.size for block in blocks])
    if not entries:
        return Report("right", "there is nothing to differentiate: no elements", total, 0)
    worst = max(entries, key=lambda e: SEVERITY.index(e.found.verdict))
    made = _worst(worst, case)
    verdict, text = worst.found.verdict, worst.found.text
    if verdict != "wrong" and len(bad) > LOOKED_AT:
        text += f" (the worst {LOOKED_AT} of {len(bad)} that disagree were looked at)"
    if not bad and verdict != "wrong":  # at a kink the rule's choice may be the differences', too
        verdict = "right"
    if verdict != "wrong" and not all([_is_linear(case, block) for block in blocks]):
        verdict, text = "wrong", "right for single outputs, wrong for a mixture of them"
        shown: Likeness | None = Likeness("not linear", "the rule is not linear in g")
    else:
        wrong = verdict == "wrong"
        for entry in entries:
            if entry.found.verdict == "kink":  # says nothing about the rule
                entry.block.without(entry.k, entry.j)
        shown = mistake(case, worst.block, partial(Case, f, case.args, case.tol)) if wrong else None
    return Report(verdict, text, total, len(bad), shown, made, worst.steps)


def _looked_at(case: Case, block: Block, k: int, j: int) -> Entry:
    analytic = float(block.analytic[k, j])
    steps = curve(case, block.x, k, block.output, j, analytic)
    base = case.tol.eps or base_step(float(block.x.array.reshape(-1)[k]), block.x.dtype)
    y = float(block.y.array.reshape(-1)[j])
    if not np.isfinite(y):
        found = Found("kink", f"the function itself is {y} here", analytic)
    elif not any([np.isfinite(s.numeric) for s in steps]):
        found = Found("kink", EDGE, analytic)
    elif not np.isfinite(analytic) and not np.isfinite(block.numeric[k]).all():
        found = Found("kink", EDGE, analytic)  # of another output: 0 times its infinity
    elif not np.isfinite(analytic):
        found = Found("wrong", f"the rule gives {analytic}", float(block.numeric[k, j]))
    else:
        found = judged(steps, analytic, base, case.tol.atol, case.tol.rtol)
    return Entry(block, k, j, found, steps)


def _is_linear(case: Case, block: Block) -> bool:
    """Whether the rule is also right for random weights on the outputs (of the analytic rows, so
    that a kink is not taken for an error)."""
    with no_grad():
        seed = case.weights(block.y)
    place = list(case.moving).index(block.input)
    found = np.asarray(_host(case.pull(block.y, seed)[place]), np.float64)
    weights = np.asarray(_host(seed), np.float64)
    expected, size = block.analytic @ weights, abs(block.analytic) @ abs(weights)
    with np.errstate(invalid="ignore"):
        near = abs(found - expected) <= case.tol.atol + max(case.tol.rtol, 1e-6) * size
    return bool((near | ~np.isfinite(expected)).all())


def _worst(entry: Entry, case: Case) -> Worst:
    block = entry.block
    out, at = [
        tuple([int(v) for v in np.unravel_index(n, t.shape)])
        for n, t in ((entry.j, block.y), (entry.k, block.x))
    ]
    a, n = float(block.analytic[entry.k, entry.j]), entry.found.numeric
    return Worst(block.output, block.input, out, at, a, n, abs(a - n),
                 case.tol.atol + case.tol.rtol * abs(n))  # fmt: skip
