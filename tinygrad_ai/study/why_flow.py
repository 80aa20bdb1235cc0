"""Where the way from a loss to a tensor was cut: from the calls that were written down."""

from __future__ import annotations

import linecache
import re
from collections.abc import Iterator
from typing import Any

from ..autograd.graph import tensors
from ..backend import storage
from ..backend.dtypes import is_floating
from ..tensor import Tensor
from .causes import Cause
from .watched import Call

CUTS = re.compile(r"\.detach\(|\.detach_\(|\.data\b|\.numpy\(|\.item\(|\.tolist\(")


def causes_of_none(case: Any) -> list[Cause]:
    """Why there is no gradient at all."""
    tensor, loss = case.tensor, case.loss
    if not is_floating(tensor.array.dtype):
        text = f"{tensor.dtype} tensors have no gradients"
        return [Cause("integer", text, 1.0, fix="x.float().requires_grad_(), and compute with it")]
    cut, last = cut_of(case)
    if tensor.node is None:
        text = "it was made without requires_grad, so nothing computed from it was recorded"
        outside = Cause("outside", text, 0.5, fix="requires_grad=True, or an nn.Parameter")
        return sorted([*made_by(case), outside], key=lambda c: -c.score)
    if loss is None:
        return [no_backward(case)]
    if case.tape is not None and tensor.node in case.tape.nodes:
        if case.freed:
            return [freed_graph(case)]
        if case.backward is not None and (found := withheld(case)):
            return [found]
        if not tensor.is_leaf:
            return [not_retained()]
        return [no_backward(case)]
    unused = Cause("unused", "this loss does not depend on it", 0.4, fix="use it in forward()")
    if last is not None:
        unused.text += f"; it went last into {last.op.name}, whose result no later op was given"
        unused.place = storage.line_of(last.place)
        unused.fix = "compute on with tensors: numpy(), tensor() and writing in place copy numbers"
    elif case.record is None:
        unused.fix += "; study.record() around the forward pass finds where a path was cut"
    return [*cut, unused]


def freed_graph(case: Any) -> Cause:
    node = next(n for n in reversed(case.tape.nodes) if n.op is not None)
    text = "the tape behind this loss was freed by a backward pass"
    fix = "backward(retain_graph=True) the first time, or compute the loss again"
    return Cause("freed", text, 0.9, place=node.where(), fix=fix)


def withheld(case: Any) -> Cause | None:
    """The first rule on the way that gave nothing to an input, as a Function of the user's may."""
    for pull in case.backward.pulls:
        pairs = list(zip(pull.node.parents, pull.grads))
        if any([p in case.path and g is None for p, g in pairs if p is not None]):
            text = f"the rule of {pull.node.name()} gave None for it"
            return Cause("rule", text, 0.9, {"op": pull.node.name()}, pull.node.where(),
                         "return a gradient for each input")  # fmt: skip
    return None


def no_backward(case: Any) -> Cause:
    if not case.tensor.is_leaf:
        return not_retained()
    text = "no backward pass has reached it, or its gradient was set to None since"
    return Cause("no-backward", text, 0.5, fix="loss.backward(), and look before zero_grad()")


def not_retained() -> Cause:
    text = "it is a result, and only leaves keep their gradient"
    return Cause("not-leaf", text, 0.6, fix="y.retain_grad() before backward()")


def made_by(case: Any) -> list[Cause]:
    """The recorded call that made a tensor without history."""
    for call in case.record.calls if case.record else []:
        if any([t is case.tensor for t in call.outputs]):
            found = cause(call, [t for t in tensors(list(call.args)) if t.node is not None])
            return [found] if found else []
    return []


def cause(call: Call, live: list[Tensor]) -> Cause | None:
    """Why an op's result has no history, although an input has one."""
    if not live:
        return None
    place = storage.line_of(call.place)
    if not call.op.differentiable or not any([is_floating(t.array.dtype) for t in call.outputs]):
        text = f"{call.op.name} has no derivative: its result is a choice, or whole numbers"
        fix = "a soft version, as softmax for argmax or sigmoid for a comparison"
        return Cause("no-derivative", text, 0.9, {"op": call.op.name}, place, fix)
    text = f"{call.op.name} was computed under no_grad"
    return Cause("no-grad", text, 0.9, {"op": call.op.name}, place, "compute it outside of no_grad")


def cut_of(case: Any) -> tuple[list[Cause], Call | None]:
    """Follows a tensor's numbers through the recorded calls to the loss; the last call they were
    in, should they not come there."""
    if case.record is None or case.loss is None:
        return [], None
    last: Call | None = None
    state: dict[int, Cause | None] = {place_of(case.tensor): None}  # None: still connected
    for call in case.record.calls:
        given = [t for t in tensors(list(call.args)) if place_of(t) in state]
        indices = [state[id(a)] for a in roots_in(call.attrs) if id(a) in state]
        if not given and not indices:
            continue
        last = call
        reasons = [state[place_of(t)] or detached(t, call) for t in given]
        reasons += [reason or by_index(call) for reason in indices]
        if None in reasons:
            live = [t for t, r in zip(given, reasons) if r is None]
            made = [t for t in call.outputs if t.node is not None]
            reason = None if made else cause(call, live)
        else:
            reason = reasons[0]
        for t in call.outputs:
            state.setdefault(place_of(t), reason)
    found = state.get(place_of(case.loss))
    return ([found] if found else []), None if place_of(case.loss) in state else last


def place_of(t: Tensor) -> int:
    """Which memory a tensor's numbers are in."""
    return id(storage.root(t.array))


def roots_in(value: Any) -> Iterator[Any]:
    """The memory of the arrays in an op's settings, as in an index."""
    if isinstance(value, (dict, tuple, list)):
        for one in value.values() if isinstance(value, dict) else value:
            yield from roots_in(one)
    elif hasattr(value, "dtype") and hasattr(value, "base"):
        yield storage.root(value)


def by_index(call: Call) -> Cause:
    """Numbers that an op was given besides its inputs."""
    text = f"{call.op.name} took it as an index or a setting, which has no derivative"
    return Cause("no-derivative", text, 0.9, {"op": call.op.name}, storage.line_of(call.place))


def detached(t: Tensor, call: Call) -> Cause | None:
    """An input whose numbers depend on the tensor, but which has no history."""
    if t.node is not None:
        return None
    place = storage.line_of(call.place)
    line = line_of_cut(call)
    text = "detached" if line else f"detached before {call.op.name}"
    return Cause("detached", text, 0.95, {"op": call.op.name}, line or place,
                 "take out detach(), .data or numpy() on the way")  # fmt: skip


def line_of_cut(call: Call) -> str:
    """The line in the function at work that cuts, looked for upwards from the call."""
    code, _ = call.place
    file, _, line = storage.line_of(call.place).rpartition(":")
    for number in range(int(line), code.co_firstlineno - 1, -1):
        if CUTS.search(linecache.getline(file, number).split("#")[0]):
            return f"{file}:{number}"
    return ""
