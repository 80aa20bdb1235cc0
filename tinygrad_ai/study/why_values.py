"""What happened to the numbers of a gradient on its way: who made the NaN, who gave zeros, which
units are dead or saturated, and what a layer multiplies by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd.op import Op
from ..autograd.outputs import PICK, Part
from ..backend import storage
from ..backend.dtypes import is_floating
from ..errors import ArgumentError
from ..hooks import RETAIN
from ..tensor import Node
from . import meaning
from .causes import Cause
from .watched import Pull

LAYERS = {"linear", "linear_z", "matmul", "convolve", "attention"}
PRODUCTS = LAYERS | {"mul", "square", "pow", "exp", "exp2"}
AMPLIFIED = 1e4  # what one rule that is no layer may multiply a gradient by


def arrays_in(value: Any) -> list[Any]:
    """The arrays of a gradient, as NumPy has them."""
    if type(value) is tuple:
        return [a for v in value if v is not None for a in arrays_in(v)]
    value = value.g if type(value) is Part else value
    return [meaning.host(getattr(value, "array", value))]


def norm(value: Any) -> float:
    squares = [np.sum(a.astype(np.float64) ** 2) for a in arrays_in(value)]
    return float(np.sqrt(sum(squares)))


def finite(value: Any) -> bool:
    return all([bool(np.isfinite(a).all()) for a in arrays_in(value) if is_floating(a.dtype)])


def has_nan(arrays: list[Any]) -> bool:
    return any([bool(np.isnan(a).any()) for a in arrays])


def pulls_on_path(case: Any) -> list[Pull]:
    """The rules between the loss and the tensor, in order."""
    if case.backward is None:
        return []
    return [
        p for p in case.backward.pulls if p.node in case.path and p.node is not case.tensor.node
    ]


def given_on(case: Any, pull: Pull) -> list[tuple[Node, Any]]:
    """What a rule gave towards the tensor."""
    pairs = zip(pull.node.parents, pull.grads)
    return [(n, g) for n, g in pairs if n is not None and g is not None and n in case.path]


def where(case: Any, node: Node) -> str:
    """An op by its place in the model, if that is known."""
    path = case.tape.path(node) if case.tape else ""
    act = node.attrs.get("act") if node.attrs else None
    name = act if node.name() == "activate" and act else node.name()
    return f"{name} ({path})" if path else name


# ---- NaN and infinities


def not_finite(case: Any) -> list[Cause]:
    """The first rule, op or hook that made what is not finite."""
    found = [*hooked(case, "NaN or infinity", lambda g: not finite(g)), *forward_maker(case)]
    pulls = pulls_on_path(case)
    for i, pull in enumerate(pulls):
        bad = [(n, g) for n, g in given_on(case, pull) if not finite(g)]
        if bad and finite(pull.g) and pull.node.op is not PICK:
            if found and not finite(tuple(values_of(case, pull.node)[0])):
                break  # the rule only passes on what the forward pass had
            after = [p for p in pulls[i + 1 :] if not finite(p.g) and p.node.op is not PICK]
            found.append(rule_maker(case, pull, bad[0][1], len(after)))
            break
    return found


def rule_maker(case: Any, pull: Pull, gx: Any, after: int) -> Cause:
    node = pull.node
    kind = "NaN" if has_nan(arrays_in(gx)) else "infinity"
    at = "" if node.name() in LAYERS else point(node, gx)
    text = f"{kind} first made by the rule of {where(case, node)}{at}, passed on by {after} nodes"
    fix = "keep its input away from there, say with clamp or an epsilon"
    return Cause("rule", text, 0.9, {"op": node.name(), "after": after}, node.where(), fix)


def point(node: Node, gx: Any) -> str:
    """The saved number at which a rule broke."""
    g = arrays_in(gx)[0]
    index = tuple(np.argwhere(~np.isfinite(g))[0]) if g.ndim else ()
    for name, value in zip(getattr(node.op, "keep", ()), node.saved or ()):
        if hasattr(value, "dtype") and np.shape(value) == g.shape:
            return f" at {name} = {meaning.host(value)[index]:.4g}"
    return ""


def forward_maker(case: Any) -> list[Cause]:
    """The first op whose result was NaN already, or else infinite."""
    nodes = [n for n in case.tape.nodes if n.op not in (None, PICK)] if case.tape else []
    known = [(n, *values_of(case, n)) for n in nodes]
    for i, (node, ins, outs) in enumerate(known):
        if has_nan(outs):
            made = first_seen(case, node, ins, "NaN", has_nan(ins))
            return [*([] if has_nan(ins) else infinity_maker(case, known[:i])), made]
    return infinity_maker(case, known)


def infinity_maker(case: Any, known: list[tuple[Node, list[Any], list[Any]]]) -> list[Cause]:
    """The first op that made an infinity, or was given one that is no mask."""
    for node, ins, outs in known:
        given = not finite(tuple(ins))
        low = not any([(a == np.inf).any() for a in outs])
        masks = low and (given or not whole(case, node, ins))  # -inf, not made here
        if not finite(tuple(outs)) and not masks:
            return [first_seen(case, node, ins, "infinity", given)]
    return []


def whole(case: Any, node: Node, ins: list[Any]) -> bool:
    """Whether all inputs of an op are known."""
    return node in case.tape.calls or len(ins) >= sum([p is not None for p in node.parents])


def first_seen(case: Any, node: Node, ins: list[Any], kind: str, given: bool) -> Cause:
    """An op with a result that is not finite: it was given it, made it, or nobody can tell."""
    if given:
        return first_given(case, node, kind)
    made = whole(case, node, ins)
    of = "" if finite(tuple(ins)) else " of infinity"
    text = f"{kind} already, first {'made by' if made else 'seen after'} {where(case, node)}{of}"
    fix = "look at its inputs; detect_anomaly() stops there"
    if not made:
        fix = "study.record() around the forward pass finds the op that made it"
    score = 1.0 if made else 0.8
    return Cause("forward", f"the forward pass has {text}", score, {"op": node.name()},
                 node.where(), fix)  # fmt: skip


def first_given(case: Any, node: Node, kind: str) -> Cause:
    """A parameter, or else data, that is not finite itself."""
    arrays, names, numbers = case.tape.arrays, case.tape.names, {"op": node.name()}
    for p in [p for p in node.parents if p is not None and p in arrays and p.op is None]:
        if not finite(arrays[p]):
            last = storage.last_write(arrays[p])
            place = node.where() if last is None else storage.line_of(last.place)
            text = f"{names[p]} has {kind} itself" + ("" if last is None else ", last changed")
            return Cause("leaf", text, 1.0, numbers, place, "look at the step that changed it")
    text = f"the forward pass has {kind} already, first given to {where(case, node)} as data"
    return Cause("forward", text, 1.0, numbers, node.where(), "look at the data: np.isfinite(x)")


def values_of(case: Any, node: Node) -> tuple[list[Any], list[Any]]:
    """What is still known of an op's float inputs and results."""
    call = case.tape.calls.get(node)
    if call is not None:
        ins = [t.array if hasattr(t, "array") else np.asarray(t) for t in call.args
               if hasattr(t, "array") or isinstance(t, float)]  # fmt: skip
        outs = [t.array for t in call.outputs]
    else:
        saved = list(zip(getattr(node.op, "keep", ()), node.saved or ()))
        ins = [v for k, v in saved if k != "y" and hasattr(v, "dtype")]
        outs = [a for k, v in saved if k == "y" for a in (v if type(v) is tuple else (v,))]
        known = case.tape.arrays  # what the rules after it kept
        ins += [known[p] for p in node.parents if p in known]
        outs = outs or ([known[node]] if node in known else [])
        outs = outs or ([case.loss.array] if node is case.loss.node else [])
    floats = [[meaning.host(a) for a in side if is_floating(a.dtype)] for side in (ins, outs)]
    return floats[0], floats[1]


# ---- zeros


def zero(case: Any) -> list[Cause]:
    """The rules and hooks that turned a gradient into zeros."""
    if case.backward is None:
        return []
    found = hooked(case, "zeros", lambda g: norm(g) == 0)
    pulls = pulls_on_path(case)
    for pull in pulls:
        given = given_on(case, pull)
        if norm(pull.g) > 0 and given and not any([norm(g) for _, g in given]):
            found.append(killer(case, pull))
    return sorted(found, key=lambda c: -c.score)


def hooked(case: Any, what: str, spoilt: Callable[[Any], bool]) -> list[Cause]:
    """Hooks that were given something and made zeros or NaN of it."""
    if case.backward is None:
        return []
    arrived: dict[Node, float] = {}
    for pull in case.backward.pulls:
        for node, g in given_on(case, pull):
            arrived[node] = arrived.get(node, 0.0) + norm(g)
    after = {p.node: p.g for p in case.backward.pulls} | case.backward.leaves
    for node, size in arrived.items():
        hooks = [h for h in (node.hooks or {}).values() if h is not RETAIN]
        if hooks and 0 < size < np.inf and node in after and spoilt(after[node]):
            code = getattr(hooks[0], "__code__", None)
            place = f"{code.co_filename}:{code.co_firstlineno}" if code else node.where()
            text = f"a hook made {what} of a gradient of norm {size:.4g}"
            return [Cause("hook", text, 1.0, {"norm": size}, place, "handle.remove()")]
    return []


def killer(case: Any, pull: Pull) -> Cause:
    """Why a rule gave zeros only."""
    node, name = pull.node, where(case, pull.node)
    state = activation(case, node)
    if state is not None and state.numbers["share"] > 0.5:
        state.score = 0.9
        return state
    if is_flat(node):
        text = f"the derivative of {name} is 0 everywhere"
        return Cause("flat", text, 0.9, {"op": node.name()}, node.where(), "a smooth op instead")
    if any([0 in p.shape for p in node.parents if p is not None]):
        text = f"{name} was given no elements: an empty batch"
        return Cause("empty", text, 0.9, {"op": node.name()}, node.where(), "leave it out")
    zeros = [k for k, v in zip(getattr(node.op, "keep", ()), node.saved or ())
             if hasattr(v, "dtype") and v.size and not meaning.host(v).any()]  # fmt: skip
    inputs = [k for k in zeros if k != "y" or node.name().startswith("exp")]
    if inputs and node.name() in PRODUCTS:
        towards = [k for k, p in zip(node.op.inputs, node.parents) if p in case.path]  # type: ignore
        factor = next((k for k in inputs if k not in towards), inputs[0])
        text = f"{name} multiplies by its {factor}, which is 0 everywhere"
        return Cause("zeros", text, 0.85, {"op": node.name()}, node.where(), "initialise it anew")
    if zeros:
        text = f"the rule of {name} gave zeros, and its {zeros[0]} is 0 everywhere"
        fix = "begin with other values, if its slope is 0 there"
        return Cause("zeros", text, 0.85, {"op": node.name()}, node.where(), fix)
    text = f"the rule of {name} gave zeros for a gradient of norm {norm(pull.g):.4g}"
    return Cause("rule", text, 0.7, {"op": node.name()}, node.where())


def is_flat(node: Node) -> bool:
    """Whether the op's formulas say that its derivative is 0."""
    if not isinstance(node.op, Op):
        return False
    try:
        known = meaning.formulas(node.op)
    except ArgumentError:
        return False
    return all([known.get(f"g{name}") == meaning.ZERO for name in node.op.inputs])


# ---- activations


def activations(case: Any) -> list[Cause]:
    """Dead and saturated units on the way, those of the fullest layer first."""
    nodes = [p.node for p in pulls_on_path(case)]
    found = [c for c in [activation(case, n) for n in nodes] if c is not None]
    return sorted(found, key=lambda c: -c.score)


def activation(case: Any, node: Node) -> Cause | None:
    """How much of an activation lets nothing through."""
    act = (node.attrs or {}).get("act") or node.name()
    if not isinstance(node.op, Op) or act not in ("relu", "sigmoid", "tanh", "softmax"):
        return None
    outs = values_of(case, node)[1]
    if not outs or not outs[0].size:
        return None
    y = outs[0].astype(np.float64)
    name = (
        where(case, node) if node.name() in ("activate", act) else f"{act} of {where(case, node)}"
    )
    if act == "relu":
        axis = 1 if y.ndim == 4 else y.ndim - 1
        rest = tuple([i for i in range(y.ndim) if i != axis])
        share = float(np.mean(~(y > 0).any(axis=rest))) if y.ndim else float(y <= 0)
        code, text = "dead", f"{name} is dead for {share:.0%} of its units"
        fix = "a smaller learning rate or bias, leaky_relu, or another initialisation"
    else:
        if act == "softmax":
            slope = 1 - np.max(y, axis=node.attrs["dim"])
        else:
            slope = y * (1 - y) if act == "sigmoid" else 1 - y * y
        share = float(np.mean(slope < 1e-3))
        code, text = "saturated", f"{name} is saturated for {share:.0%} of its values"
        fix = "smaller inputs: a smaller initialisation, normalised data, or a norm before it"
    return Cause(code, text, 0.9 * share, {"share": share}, node.where(), fix)


# ---- sizes


def gain(case: Any) -> Cause | None:
    """What a layer multiplies the gradient by, from the last layer to the tensor's."""
    if case.backward is None:
        return None
    layers = [p for p in case.backward.pulls if p.node in case.path and p.node.name() in LAYERS]
    sizes = [norm(p.g) for p in layers]
    if len(sizes) < 3 or not sizes[0]:
        return None
    total, count = sizes[-1] / sizes[0], len(sizes) - 1
    each = total ** (1 / count)
    text = f"gain {each:.3g}x a layer over {count} layers"
    fix = "an initialisation that keeps sizes, a normalisation, residual connections, or clipping"
    numbers = {"gain": each, "layers": count, "total": total, "first": sizes[0]}
    return Cause("gain", text, 0.5, numbers, layers[-1].node.where(), fix)


def is_scaled(node: Node) -> bool:
    """A loss times a number, as a GradScaler makes it: it is divided out again."""
    fixed = [p for p in node.parents if p is None]
    return node.name() in ("mul", "true_divide") and node.shape == () and len(fixed) == 1


def amplified(case: Any) -> list[Cause]:
    """Rules that are no layers and multiply a gradient by very much."""
    found = []
    for pull in pulls_on_path(case):
        size, given = norm(pull.g), [norm(g) for _, g in given_on(case, pull)]
        ratio = max(given, default=0.0) / size if size else 0.0
        spread = np.sqrt(
            max([g.size for _, one in given_on(case, pull) for g in arrays_in(one)] or [1])
        )
        if is_scaled(pull.node) or pull.node.name() in LAYERS:
            continue
        if ratio > AMPLIFIED * spread:
            text = f"the rule of {where(case, pull.node)} multiplies the gradient by {ratio:.3g}"
            numbers = {"op": pull.node.name(), "ratio": ratio}
            found.append(Cause("amplified", text, 0.85, numbers, pull.node.where(),
                               "keep its input away from where its slope is large"))  # fmt: skip
    return found
