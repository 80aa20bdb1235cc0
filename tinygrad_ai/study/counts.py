"""What an op's forward or its rule costs: FLOPs by formula, and bytes of the arrays it touches.

FLOPs: + - × ÷ and every function (exp, ln, tanh, erf, max, ...) count 1 for each element, a product
of (m, k) and (k, n) 2 m k n; comparing, choosing and moving count 0. Bytes: each input is read
once and each new result written once, in their real dtypes; a view costs nothing, and of what an
index chooses from only what it chooses is read.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

from .. import backend
from ..backend.storage import root
from ..tensor import Node, Tensor
from . import counts_arrays, counts_layers
from .counts_arrays import MOVES, MOVING_RULES, size, words
from .counts_formula import operations

ELEMENTWISE = words(
    "add sub mul true_divide neg pow exp log sqrt tanh abs sign exp2 expm1 log2 log10 log1p rsqrt "
    "reciprocal square sigmoid maximum minimum fmax fmin lerp logaddexp logaddexp2 addcmul addcdiv "
    "nan_to_num copysign elu softplus floor ceil trunc round frac floor_div trunc_div remainder "
    "fmod erf erfc erfinv lgamma digamma polygamma xlogy logit sin cos tan asin acos atan atan2 "
    "sinh cosh asinh acosh atanh hypot sinc deg2rad rad2deg dropout"
)
FORWARD = {**counts_arrays.FORWARD, **counts_layers.FORWARD}
RULES = {**counts_arrays.RULES, **counts_layers.RULES}

# What a rule reads of what was saved, where that depends on which gradients are needed.
READS = {
    "mul": {"a": "b", "b": "a"},
    "true_divide": {"a": "b", "b": "ab"},
    "pow": {"a": "ab", "b": "yab"},
    "xlogy": {"a": "ab", "b": "ab"},
    "matmul": {"a": "b", "b": "a"},
    "linear": {"x": "yw", "w": "yx", "b": "y"},
    "linear_z": {"x": "yw", "w": "yx", "b": "y"},
    "convolve": {"x": "w", "w": "x"},
}
OTHER_RESULTS = {"linear_z", "layer_norm"}  # of their results the rule reads all but the first
GATHERS = {"getitem", "gather", "select_along", "take_along", "embedding", "embedding_back"}
GATHERING_RULES = {"putitem", "place_along", "scatter_sum", "scatter_add", "additem"}


def is_counted(op: Any) -> bool:
    """Whether it is known what an op costs: an op of the user's has no formula here."""
    return op.name in MOVES or op.name in FORWARD or op.name in ELEMENTWISE


def forward(op: Any, args: Any, attrs: Any, result: Any) -> tuple[int, int]:
    """FLOPs and bytes of a call."""
    given, made = plain(args), plain(result)
    v = SimpleNamespace(**{**op.defaults, **plain(attrs), "result": made})
    vars(v).update(zip(op.inputs, (given,) if op.inputs == ("xs",) else given))
    for name in op.inputs[len(given) :]:
        setattr(v, name, None)
    return forward_flops(op.name, v), forward_bytes(op.name, given, attrs, made)


def forward_flops(name: str, v: Any) -> int:
    if name in ELEMENTWISE:
        return operations(name, ("y",)) * size(v.result)
    return int(FORWARD[name](v)) if name in FORWARD else 0


def forward_bytes(name: str, given: Any, attrs: Any, made: Any) -> int:
    written = fresh(made, given)
    if not written:
        return 0
    if name in GATHERS:
        return extent(arrays(attrs)) + 2 * extent(written)
    return extent(arrays((given, plain(attrs)))) + extent(written)


def backward(node: Node, g: Any, needs: Any, grads: Any) -> tuple[int, int]:
    """FLOPs and bytes of a rule that was run, given what came in and which gradients were needed;
    its node must have what it saved."""
    op, incoming, made = node.op, plain(g), plain(grads)
    saved = dict(zip(op.keep, node.saved or ()))
    asked = needs or [p is not None for p in node.parents]
    names = op.inputs if op.inputs != ("xs",) else ()
    wanted = {n: not op.asks_needs or bool(a) for n, a in zip(names, asked)}
    v = SimpleNamespace(**{**node.attrs, **saved, "incoming": incoming, "needs": wanted})
    return rule_flops(op, v), rule_bytes(op, node.attrs, saved, v, made)


def rule_flops(op: Any, v: Any) -> int:
    if op.name in RULES:
        return int(RULES[op.name](v))
    if op.name in ELEMENTWISE and op.name not in MOVING_RULES:
        names = tuple([f"g{name}" for name in op.inputs if v.needs.get(name)])
        return operations(op.name, names) * size(v.incoming)
    return 0


def rule_bytes(op: Any, attrs: Any, saved: dict[str, Any], v: Any, made: Any) -> int:
    read = dict(saved)
    if op.name in OTHER_RESULTS:
        read["y"] = read["y"][1:]
    if op.name in READS:
        wanted = {name for n, names in READS[op.name].items() if v.needs.get(n) for name in names}
        wanted -= {"y"} if getattr(v, "act", "") is None else set()
        read = {name: a for name, a in read.items() if name in wanted}
    given = (v.incoming, *read.values())
    written = fresh(made, given)
    if not written:
        return 0
    if op.name in GATHERING_RULES:
        return extent(arrays(attrs)) + 2 * extent(written)
    return extent(arrays((given, attrs))) + extent(written)


# ---- arrays


def plain(value: Any) -> Any:
    """Tensors as their arrays, also inside of tuples and dictionaries."""
    if isinstance(value, Tensor):
        return value.array
    if type(value) is dict:
        return {k: plain(a) for k, a in value.items()}
    return tuple([plain(a) for a in value]) if isinstance(value, (tuple, list)) else value


def arrays(value: Any) -> list[Any]:
    """The arrays in a value, wherever they stand."""
    found, waiting = [], [value]
    while waiting:
        one = waiting.pop()
        kind = type(one)
        if kind is tuple or kind is list:
            waiting.extend(one)
        elif kind is dict:
            waiting.extend(one.values())
        elif isinstance(one, Tensor):
            found.append(one.array)
        elif backend.is_array(one):
            found.append(one)
    return found


def fresh(made: Any, given: Any) -> list[Any]:
    """The results that are in memory of their own, each once."""
    known = {id(root(a)) for a in arrays(given)}
    return [a for a in arrays(made) if id(root(a)) not in known]


def extent(found: Iterable[Any]) -> int:
    """Bytes of arrays, each once, and of a broadcast one what there is of it."""
    return sum([_extent(a) for a in {id(a): a for a in found}.values()])


def _extent(array: Any) -> int:
    if not array.size:
        return 0
    span = sum([(n - 1) * abs(s) for n, s in zip(array.shape, array.strides)]) + array.itemsize
    return int(min(span, array.size * array.itemsize))
