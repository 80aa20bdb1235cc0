"""Where did this NaN come from? Watches every op and every rule, and stops at the first one.

A hunter stands at the door as an observer; when there is none it costs nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ContextDecorator
from types import FrameType
from typing import Any
from weakref import WeakKeyDictionary

from .. import backend
from ..backend import storage
from ..errors import AnomalyError
from ..tensor import Node, Tensor
from .graph import tensors
from .mode import state
from .outputs import PICK, Part


class Hunter:
    """An observer that raises AnomalyError at the first op or rule that gives a NaN.

    As every earlier result was checked too, an op given a NaN got it from outside: from data, or
    from code that is no op. The message says which of the two it is.
    """

    def __init__(self, check_nan: bool, check_inf: bool) -> None:
        self.nan, self.inf = check_nan, check_inf
        self.rules = 0  # rules at work: inside, a where() may still drop a NaN
        self.modules: WeakKeyDictionary[Node, list[Any]] = WeakKeyDictionary()

    def forward(self, op: Any, run: Callable[..., Any], args: Any, attrs: Any) -> Any:
        result = run(args, attrs)
        if self.rules:
            return result
        self.remember(result)
        if any([self.is_bad(y) for y in tensors(result)]):
            raise self.forward_error(op, args, list(tensors(result)))
        return result

    def backward(
        self, pull: Callable[..., Any], node: Node, g: Any, graph: bool, *rest: Any
    ) -> Any:
        self.rules += 1
        try:
            grads = pull(node, g, graph, *rest)
        finally:
            self.rules -= 1
        for i, gx in enumerate(grads if type(grads) is tuple else (grads,)):
            if type(gx) is not Part and i < len(node.parents) and self.is_bad(gx):
                raise self.backward_error(node, g, i, gx)
        return grads

    def is_bad(self, value: Any) -> bool:
        array = value.array if isinstance(value, Tensor) else value
        if type(array) not in backend.TABLE or array.dtype.kind not in "fV":
            return False
        be = backend.of(array)
        return bool((self.nan and be.isnan(array).any()) or (self.inf and be.isinf(array).any()))

    def remember(self, result: Any) -> None:
        """Notes for a new node the modules it was made in, innermost first."""
        for t in tensors(result):
            node = t.node.parents[0] if t.node is not None and t.node.op is PICK else t.node
            if node is not None and node not in self.modules:
                self.modules[node] = modules_at_work()

    def forward_error(self, op: Any, args: Any, results: list[Tensor]) -> AnomalyError:
        given = [(name, a) for name, a in zip(names(op, len(args)), args, strict=True)]
        sick = [(name, a) for name, a in given if self.is_bad(a)]
        what = f"{op.name} was given" if sick else f"{op.name} made"
        lines = [f"{what} {self.kind(results)}, in the forward pass"]
        lines += [f"  {name}: {described(a)}" for name, a in given if is_number(a)]
        lines += [f"  result: {described(y)}" for y in results]
        lines += [f"  {name} comes from {origin(a)}" for name, a in sick]
        return AnomalyError("\n".join([*lines, *place(op, storage.user_place())]), fix(bool(sick)))

    def backward_error(self, node: Node, g: Any, index: int, gx: Any) -> AnomalyError:
        op, incoming = node.op, g if type(g) is tuple else (g,)
        passed = any([self.is_bad(one) for one in incoming])
        what = f"the rule of {op.name} " + ("was given" if passed else "made")
        name = names(op, len(node.parents))[index]
        lines = [f"{what} {self.kind([gx])}, in the backward pass"]
        lines += [f"  gradient by {name}: {described(gx)}"]
        lines += [f"  incoming gradient: {described(one)}" for one in incoming if is_number(one)]
        saved = zip(getattr(op, "keep", ()), node.saved or (), strict=False)
        lines += [f"  saved {name}: {described(a)}" for name, a in saved if is_number(a)]
        error = AnomalyError("\n".join([*lines, *place(op, node.place)]), fix(passed))
        error.path = list(self.modules.get(node, []))
        return error

    def kind(self, results: Any) -> str:
        nan = any([Hunter(True, False).is_bad(y) for y in results])
        return "NaN" if nan and self.nan else "infinity"


def modules_at_work() -> list[Any]:
    """The modules whose forward is running, innermost first, from the call stack."""
    found: list[Any] = []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        owner = frame.f_locals.get("self") if frame.f_code.co_name == "__call__" else None
        if hasattr(owner, "_modules"):
            found.append(owner)
        frame = frame.f_back
    return found


def names(op: Any, count: int) -> list[str]:
    """What the inputs of an op are called."""
    known = list(getattr(op, "inputs", ()))[:count]
    return known + [f"input {i}" for i in range(len(known), count)]


def is_number(value: Any) -> bool:
    return isinstance(value, (Tensor, *backend.SCALARS, *backend.TABLE))


def described(value: Any) -> str:
    """An array in one line: dtype, shape, NaN and infinities, the range of the rest."""
    array = value.array if isinstance(value, Tensor) else value
    if type(array) not in backend.TABLE:
        return repr(array)
    be, text = backend.of(array), f"{array.dtype} {array.shape}"
    if array.dtype.kind not in "fV" or not array.size:
        return text
    nan, inf, finite = be.isnan(array), be.isinf(array), array[be.isfinite(array)]
    if nan.any() or inf.any():
        first = [int(i) for i in be.argwhere(nan | inf)[0]]
        text += f", {int(nan.sum())} NaN and {int(inf.sum())} inf, first at {first}"
    if not finite.size:
        return text
    low, high, mean = float(finite.min()), float(finite.max()), float(finite.mean())
    return f"{text}, min {low:.6g}, max {high:.6g}, mean {mean:.6g}"


def origin(value: Any) -> str:
    """Where an input was made."""
    node = value.node if isinstance(value, Tensor) else None
    if node is None or node.op is None:
        return "outside: data, a parameter, or something computed without gradients"
    return f"{node.name()} at {node.where()}"


def place(op: Any, where: Any) -> list[str]:
    """The last lines of a message: the op's formula, and the user's line."""
    text = op.__doc__.strip().split("\n\n")[0] if isinstance(op.__doc__, str) else ""
    formula = [f"  formula: {' '.join(map(str.strip, text.splitlines()))}"] if text else []
    return [*formula, f"  at {storage.line_of(where)}"]


def fix(passed: bool) -> str:
    if passed:
        return "look where that value comes from; it was there before any watched op"
    return "keep the inputs away from where the formula is undefined, say with clamp or an epsilon"


class detect_anomaly(ContextDecorator):
    """Within it, or in a function it decorates, every result of an op or a rule is looked at.

    AnomalyError names the first op that gives a NaN (with `check_inf` also an infinity), in the
    forward or the backward pass, with its inputs, its module and the user's line. Slow.
    """

    def __init__(self, check_nan: bool = True, check_inf: bool = False) -> None:
        self.checks = check_nan, check_inf

    def _recreate_cm(self) -> detect_anomaly:
        return type(self)(*self.checks)

    def __enter__(self) -> None:
        self.before, state.observers = state.observers, (*state.observers, Hunter(*self.checks))

    def __exit__(self, *_: object) -> None:
        state.observers = self.before


class set_detect_anomaly:
    """`set_detect_anomaly(mode)`: switches it on or off, for good or for a `with` block."""

    def __init__(self, mode: bool, check_nan: bool = True, check_inf: bool = False) -> None:
        self.before = state.observers
        others = tuple([o for o in self.before if not isinstance(o, Hunter)])
        state.observers = (*others, Hunter(check_nan, check_inf)) if mode else others

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        state.observers = self.before


def is_anomaly_enabled() -> bool:
    """Whether this thread looks for anomalies."""
    return any([isinstance(o, Hunter) for o in state.observers])
