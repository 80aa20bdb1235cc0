"""Causes inside a layer or a loss: attributes of modules, and ops done another way at the door."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from ..autograd.anomaly import modules_at_work
from ..ops import activation
from ..ops.arithmetic import sqrt
from ..ops.reduce import mean, sum
from ..ops.shape import transpose
from ..ops.statistics import var
from ..tensor import Tensor
from .parity_report import Row
from .parity_run import WHOLE, Side
from .parity_trials import Trial, recorded, watching
from .watched import dotted

EPS = (1e-5, 1e-6, 1e-8, 1e-12, 1e-3, 1e-7, 1e-4, 1e-2, 1e-10, 0.0)
SLOPES = (0.01, 0.1, 0.2, 0.3, 0.25)
BOTH = (True, False)
ATTRIBUTES: dict[str, tuple[str, tuple[Any, ...]]] = {  # attribute -> cause, values to try
    "eps": ("eps", EPS),
    "training": ("training mode", BOTH),
    "norm_first": ("order of the norm", BOTH),
    "negative_slope": ("slope", SLOPES),
    "alpha": ("alpha", (1.0, 0.1, 0.5, 1e-4)),
    "momentum": ("momentum convention", (0.1, 0.9, 0.01, 0.99)),
    "batch_first": ("batch first", BOTH),
    "padding_mode": ("padding mode", ("zeros", "reflect", "replicate", "circular")),
    "count_include_pad": ("padding counted", BOTH),
    "ceil_mode": ("ceil mode", BOTH),
    "align_corners": ("align corners", BOTH),
    "dim": ("dimension", (-1, 0, 1)),
}
LOSS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "reduction": ("mean/sum reduction", ("mean", "sum", "batchmean")),
    "label_smoothing": ("label smoothing", (0.0, 0.1)),
    "beta": ("beta", (1.0, 0.5, 0.1)),
    "delta": ("delta", (1.0, 0.5, 0.1)),
    "ignore_index": ("ignored label", (-100, 0, -1)),
}
ACTS = ("relu", "gelu", "gelu_tanh", "silu", "tanh", "sigmoid", "leaky_relu")
Alter = Callable[[Any, Any, Any], Any]


class Twist:
    """An observer that does ops of one layer another way: `alter` gives (args, attrs) to run, or
    something to call for the result, or None to leave a call alone."""

    def __init__(self, alter: Alter, inside: Callable[[list[Any]], bool]) -> None:
        self.alter, self.inside, self.depth = alter, inside, 0

    def forward(self, op: Any, run: Any, args: Any, attrs: Any) -> Any:
        if self.depth or not self.inside(modules_at_work()):
            return run(args, attrs)
        self.depth += 1
        try:
            changed = self.alter(op, args, {**op.defaults, **attrs})
            if changed is None:
                return run(args, attrs)
            return changed() if callable(changed) else run(*changed)
        finally:
            self.depth -= 1

    def backward(self, pull: Any, node: Any, g: Any, *rest: Any) -> Any:
        self.depth += 1
        try:
            return pull(node, g, *rest)
        finally:
            self.depth -= 1


def layer_trials(bad: Row, setup: Any) -> Iterator[Iterator[Trial]]:
    """What may be different in the layer of a row; after that in those around it, whose own ops
    stand between their layers."""
    side, calls = recorded(setup, "model")
    layer = bad.name.split("#")[0].split("[")[0]
    if bad.stage == "buffer":
        layer = layer.rpartition(".")[0] or WHOLE
    while True:
        yield _in_layer(side, calls, layer)
        if layer == WHOLE:
            return
        layer = layer.rpartition(".")[0] or WHOLE


def _in_layer(side: Side, calls: list[Any], layer: str) -> Iterator[Trial]:
    yield from _ops([c for c in calls if _inside(side.model, layer, c.modules)], "model", layer)
    for name, module in side.model.named_modules():
        if layer == WHOLE or name == layer or name.startswith(f"{layer}."):
            for attribute, (cause, options) in ATTRIBUTES.items():
                yield from _attribute(name, module, attribute, cause, options)


def _inside(model: Any, layer: str, modules: list[Any]) -> bool:
    name = dotted(model, modules)
    return layer == WHOLE or name == layer or name.startswith(f"{layer}.")


def loss_trials(setup: Any) -> Iterator[Trial]:
    """What may be different in the loss."""
    side, calls = recorded(setup, "loss")
    for attribute, (cause, options) in LOSS.items():
        now = getattr(side.loss, attribute, None)
        for value in options if now is not None else ():
            if value != now:
                text = f"{attribute} is {now!r} here, {value!r} in the reference"
                yield Trial(cause, text, partial(_set_loss, attribute, value))
    yield from _ops(calls, "loss", WHOLE)


def _set_loss(attribute: str, value: Any, side: Side) -> None:
    setattr(side.loss, attribute, value)


def _attribute(
    name: str, module: Any, attribute: str, cause: str, options: tuple[Any, ...]
) -> Iterator[Trial]:
    now = vars(module).get(attribute, module.training if attribute == "training" else None)
    for value in options if now is not None else ():
        if value != now and isinstance(value, bool) == isinstance(now, bool):
            where = f"{type(module).__name__} {name or WHOLE}"
            text = f"{attribute} of {where} is {now!r} here, {value!r} in the reference"
            yield Trial(cause, text, partial(_set, name, attribute, value))


def _set(name: str, attribute: str, value: Any, side: Side) -> None:
    setattr(side.model.get_submodule(name), attribute, value)


def _ops(calls: list[Any], part: str, layer: str) -> Iterator[Trial]:
    """The ops that were called, done another way."""
    for cause, text, alter in _alters(calls, part):

        def change(side: Side, alter: Alter = alter) -> None:
            twist = Twist(alter, lambda m: part == "loss" or _inside(side.model, layer, m))
            side.around = watching(part, twist)

        yield Trial(cause, text, change)


def _alters(calls: list[Any], part: str) -> Iterator[tuple[str, str, Alter]]:
    present = {c.op.name for c in calls}
    acts = {c.attrs.get("act") for c in calls} - {None}
    for act in sorted(acts & {"gelu", "gelu_tanh"}):
        other = "gelu_tanh" if act == "gelu" else "gelu"
        words = {"gelu": "exact (erf)", "gelu_tanh": "its tanh approximation"}
        text = f"gelu is {words[act]} here, {words[other]} in the reference"
        yield "gelu tanh/erf", text, partial(_other, "act", act, other)
    yield from _eps(calls)
    yield from _variance(calls, present)
    yield from _reductions(calls, present, part)
    if present & {"linear", "matmul"}:
        text = "the weight is used the other way round: x W here, x Wᵀ there, or the reverse"
        yield "transposed weight", text, _transposed
    if "convolve" in present:
        yield "flipped kernel", "convolution against cross-correlation: kernel flipped", _flipped
    for act in sorted(acts):
        for other in ACTS:
            if other != act and {act, other} != {"gelu", "gelu_tanh"}:
                text = f"{act} here, {other} in the reference"
                yield "activation", text, partial(_other, "act", act, other)
    if any([c.op.name == "linear" and len(c.args) > 2 and c.args[2] is not None for c in calls]):
        yield "bias", "a bias is added here and not in the reference", _without_bias
    yield from _attention(calls)


def _other(attr: str, now: Any, value: Any, op: Any, args: Any, attrs: Any) -> Any:
    return (args, {**attrs, attr: value}) if attr in attrs and attrs[attr] == now else None


def _eps(calls: list[Any]) -> Iterator[tuple[str, str, Alter]]:
    found = {c.attrs["eps"] for c in calls if c.attrs.get("eps") is not None}
    found |= {c.args[1] for c in calls if c.op.name == "add" and _is_small(c.args)}
    for now in sorted(found):
        for value in EPS:
            if value != now:
                text = f"eps is {now:g} here, {value:g} in the reference"
                yield "eps", text, partial(_with_eps, now, value)
    if any([c.op.name == "layer_norm" for c in calls]):
        text = "√(variance + eps) here, √variance + eps in the reference"
        yield "eps", text, partial(_norm, 0, True)


def _is_small(args: Any) -> bool:
    return len(args) > 1 and isinstance(args[1], float) and 0 < args[1] <= 1e-2


def _with_eps(now: float, value: float, op: Any, args: Any, attrs: Any) -> Any:
    if op.name == "add" and _is_small(args) and args[1] == now:
        return (args[0], value), attrs
    return _other("eps", now, value, op, args, attrs)


def _variance(calls: list[Any], present: set[str]) -> Iterator[tuple[str, str, Alter]]:
    words = {0: "biased (by n)", 1: "unbiased (by n - 1)"}
    for now in sorted({c.attrs.get("correction", 1) for c in calls if c.op.name in ("var", "std")}):
        text = f"the variance is {words.get(now, now)} here, {words[1 - now]} in the reference"
        yield "biased variance", text, partial(_other, "correction", now, 1 - now)
    if "layer_norm" in present:
        text = f"the variance is {words[0]} here, {words[1]} in the reference"
        yield "biased variance", text, partial(_norm, 1, False)
    if "lerp" in present:
        text = "the running variance is unbiased (by n - 1) here, biased in the reference"
        yield "biased variance", text, _running


def _norm(correction: int, outside: bool, op: Any, args: Any, attrs: Any) -> Any:
    """Layer norm by hand, with another variance or eps beside the root."""
    if op.name != "layer_norm":
        return None

    def result() -> Any:
        x, w, b = [*args, None, None][:3]
        v = var(x, -1, correction=correction, keepdim=True)
        root = sqrt(v) + attrs["eps"] if outside else sqrt(v + attrs["eps"])
        y = (x - mean(x, -1, True)) / root
        y = y if w is None else y * w
        return (y if b is None else y + b,)

    return result


def _running(op: Any, args: Any, attrs: Any) -> Any:
    unbiased = op.name == "mul" and isinstance(args[1], float) and 1 < args[1] <= 2
    return ((args[0], 1.0), attrs) if unbiased else None


def _reductions(calls: list[Any], present: set[str], part: str) -> Iterator[tuple[str, str, Alter]]:
    cause = "mean/sum reduction"
    for now in sorted({c.attrs["reduction"] for c in calls if "reduction" in c.attrs}):
        other = "sum" if now == "mean" else "mean"
        text = f"the {now} over the batch here, the {other} in the reference"
        yield cause, text, partial(_other, "reduction", now, other)
    if "mean" in present:
        yield cause, "a mean here, a sum in the reference", partial(_reduced, "mean", sum)
    if "sum" in present:
        yield cause, "a sum here, a mean in the reference", partial(_reduced, "sum", mean)
        text = "a sum here, a sum divided by the batch size in the reference"
        yield cause, text, partial(_reduced, "sum", _batch_mean)


def _reduced(name: str, other: Any, op: Any, args: Any, attrs: Any) -> Any:
    if op.name != name:
        return None
    return lambda: other(args[0], attrs.get("dim"), attrs.get("keepdim", False))


def _batch_mean(x: Any, dim: Any, keepdim: bool) -> Any:
    return sum(x, dim, keepdim) / x.shape[0]


def _transposed(op: Any, args: Any, attrs: Any) -> Any:
    if op.name not in ("linear", "matmul") or not isinstance(args[1], Tensor):
        return None
    w = args[1]
    if w.ndim != 2 or w.shape[0] != w.shape[1]:
        return None
    return (args[0], transpose(w, 0, 1), *args[2:]), attrs


def _flipped(op: Any, args: Any, attrs: Any) -> Any:
    if op.name != "convolve":
        return None
    w: Any = args[1]
    return (args[0], w.flip(*range(2, w.ndim))), attrs


def _without_bias(op: Any, args: Any, attrs: Any) -> Any:
    return ((args[0], args[1], None), attrs) if op.name == "linear" else None


def _attention(calls: list[Any]) -> Iterator[tuple[str, str, Alter]]:
    for c in calls:
        if c.op.name == "attention":
            now, width = c.attrs.get("scale"), c.args[0].shape[-1]
            for value, words in ((1.0, "no scale"), (1 / width, "1/d"), (width**-0.5, "1/√d")):
                if value != now:
                    text = f"scores are scaled by {now:g} here, by {value:g} ({words}) there"
                    yield "attention scale", text, partial(_other, "scale", now, value)
            causal = c.attrs.get("causal")
            text = f"is_causal is {causal} here, {not causal} in the reference"
            yield "causal mask", text, partial(_other, "causal", causal, not causal)
        if c.op.name in ("softmax", "log_softmax"):
            for dim in range(c.args[0].ndim):
                text = f"softmax is along {c.attrs['dim']} here, along {dim} in the reference"
                yield "dimension", text, partial(_other, "dim", c.attrs["dim"], dim)


assert set(ACTS) == {*activation.FROM_INPUT, *activation.FROM_OUTPUT}
