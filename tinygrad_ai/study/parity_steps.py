"""Causes in an optimizer: options, and conventions that have no option."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from ..ops.arithmetic import sqrt
from ..ops.step import advance
from ..optim.adam import Adam
from ..optim.optimizer import Optimizer
from ..optim.rmsprop import RMSprop
from ..optim.sgd import SGD
from .parity_match import values
from .parity_report import Row, Trace
from .parity_run import Side
from .parity_trials import Trial

VALUES: dict[str, tuple[str, tuple[Any, ...]]] = {  # option -> cause, values to try
    "weight_decay": ("weight decay", (0, 1e-2, 1e-4, 5e-4, 0.1)),
    "momentum": ("momentum", (0, 0.9, 0.99, 0.5)),
    "nesterov": ("nesterov", (True, False)),
    "betas": ("betas", ((0.9, 0.999), (0.9, 0.95), (0.9, 0.99), (0.9, 0.98), (0.5, 0.999))),
    "alpha": ("alpha", (0.99, 0.9, 0.95)),
    "eps": ("eps", (1e-8, 1e-7, 1e-6, 1e-10, 1e-5, 1e-4, 1e-3, 0.0)),
    "amsgrad": ("amsgrad", (True, False)),
    "centered": ("centered", (True, False)),
    "maximize": ("sign", (True, False)),
}
Change = Callable[[Any], None]


def step_trials(bad: Row, setup: Any, ours: Trace, theirs: Trace) -> Iterator[Trial]:
    """What may be different in the updates."""
    side = setup.ours()
    assert side.optimizer is not None
    optimizer = side.optimizer(side.model)
    group = optimizer.param_groups[0]
    yield from [_trial(*found) for found in _conventions(optimizer, group)]
    for option, (cause, options) in VALUES.items():
        now = group.get(option)
        for value in options if now is not None else ():
            if value != now:
                text = f"{option} is {now} here, {value} in the reference"
                yield _trial(cause, text, partial(_set, {option: value}))
    yield from _rate(bad, values(side), ours, theirs, group)
    text = "gradients are forgotten before each update here, and add up in the reference"
    yield Trial("gradients add up", text, _kept)


def _trial(cause: str, text: str, change: Change) -> Trial:
    """A trial that changes the optimizer once it is made."""

    def changed(side: Side) -> None:
        make = side.optimizer
        assert make is not None

        def made(model: Any) -> Optimizer:
            optimizer = make(model)
            change(optimizer)
            return optimizer

        side.optimizer = made

    return Trial(cause, text, changed)


def _set(options: dict[str, Any], optimizer: Any) -> None:
    for group in optimizer.param_groups:
        group.update(options)


def _kept(side: Side) -> None:
    side.zeroed = False


def _rate(
    bad: Row, start: dict[str, Any], ours: Trace, theirs: Trace, group: dict[str, Any]
) -> Iterator[Trial]:
    """Another learning rate, where the reference's first step is a multiple of ours."""
    w = start.get(bad.name)
    if bad.stage != "update 1" or w is None:
        return
    factor = _factor(ours[bad.key] - w, theirs[bad.key] - w)
    if factor and factor > 0:
        lr = float(f"{group['lr'] * factor:.6g}")
        text = f"lr is {group['lr']:g} here, {lr:g} in the reference ({factor:.4g} times)"
        yield _trial("learning rate", text, partial(_set, {"lr": group["lr"] * factor}))


def _factor(a: Any, b: Any) -> float | None:
    """c where b = c a."""
    size = float((a * a).sum())
    c = float((a * b).sum()) / size if size else 0.0
    return c if c and abs(b - c * a).max() <= 1e-3 * abs(b).max() else None


def _conventions(optimizer: Any, group: dict[str, Any]) -> Iterator[tuple[str, str, Change]]:
    """Conventions by which libraries and papers differ."""
    decay = group.get("weight_decay")
    words = {False: "coupled (L2, added to the gradient)", True: "decoupled (AdamW)"}
    apart = group.get("decoupled_weight_decay", False)
    if decay:
        text = f"weight decay is {words[apart]} here, {words[not apart]} in the reference"
        change: Change = partial(_set, {"decoupled_weight_decay": not apart})
        if "decoupled_weight_decay" not in group:
            change = _decoupled
        yield "coupled/decoupled weight decay", text, change
    for value in (1e-2, 0.1, 1e-4, 5e-4, 0.05) if "weight_decay" in group else ():
        if not (apart and decay == value):
            text = f"weight decay is {decay:g} here, {value:g} and {words[True]} in the reference"
            yield "weight decay", text, partial(_decay_apart, value)
    if isinstance(optimizer, SGD) and group["momentum"]:
        momentum, now = group["momentum"], group["dampening"]
        for value in (0, momentum):
            text = f"dampening is {now} here, {value} in the reference"
            if value != now:
                yield "momentum/dampening", text, partial(_set, {"dampening": value})
        text = "v starts as g here; as an average from 0, v ← μ v + (1 - μ) g, in the reference"
        yield "momentum/dampening", text, _average
    if isinstance(optimizer, Adam):
        text = "the moments' bias at the start is corrected here, and not in the reference"
        yield "bias correction", text, partial(_adam, False, False)
        text = "√v̂ + ε here, √(v̂ + ε) in the reference"
        yield "eps inside the root", text, partial(_adam, True, True)
    if isinstance(optimizer, RMSprop):
        text = "√v + ε here, √(v + ε) in the reference (TensorFlow's)"
        yield "eps inside the root", text, _rms


def _decay_apart(value: float, optimizer: Any) -> None:
    """AdamW's decay, of this size."""
    _set({"weight_decay": value}, optimizer)
    if "decoupled_weight_decay" in optimizer.param_groups[0]:
        _set({"decoupled_weight_decay": True}, optimizer)
    else:
        _decoupled(optimizer)


def _decoupled(optimizer: Any) -> None:
    """Takes the decay out of the gradient, and shrinks the parameter before the step."""
    plain = optimizer.update_all

    def update_all(params: Any, grads: Any, states: Any, group: dict[str, Any]) -> None:
        for p in params:
            p.mul_(1 - group["lr"] * group["weight_decay"])
        plain(params, grads, states, {**group, "weight_decay": 0})

    optimizer.update_all = update_all


def _by_hand(optimizer: Any, update: Any) -> None:
    """Another formula for one parameter in an optimizer; its weight decay is coupled or not as the
    group says."""

    def update_all(params: Any, grads: Any, states: Any, group: dict[str, Any]) -> None:
        for p, g, state in zip(params, grads, states):
            if group.get("decoupled_weight_decay"):
                p.mul_(1 - group["lr"] * group["weight_decay"])
            elif group["weight_decay"]:
                g = g + group["weight_decay"] * p
            update(p, g, state, group)

    optimizer.update_all = update_all


def _average(optimizer: Any) -> None:
    def update(p: Any, g: Any, state: Any, group: Any) -> None:
        v, mu = state["momentum_buffer"], group["momentum"]
        v = g * (1 - mu) if v is None else v * mu + g * (1 - mu)
        state["momentum_buffer"] = v
        p.sub_(v * group["lr"])

    _by_hand(optimizer, update)


def _adam(corrected: bool, inside: bool, optimizer: Any) -> None:
    def update(p: Any, g: Any, state: Any, group: Any) -> None:
        t, (beta1, beta2), eps = advance(state["step"]), group["betas"], group["eps"]
        m, v = state["exp_avg"], state["exp_avg_sq"]
        m.lerp_(g, 1 - beta1)
        v.mul_(beta2).addcmul_(g, g, value=1 - beta2)
        if corrected:
            m, v = m / (1 - beta1**t), v / (1 - beta2**t)
        root = sqrt(v + eps) if inside else sqrt(v) + eps
        p.sub_(m / root * group["lr"])

    _by_hand(optimizer, update)


def _rms(optimizer: Any) -> None:
    def update(p: Any, g: Any, state: Any, group: Any) -> None:
        v = state["square_avg"]
        v.mul_(group["alpha"]).addcmul_(g, g, value=1 - group["alpha"])
        p.sub_(g / sqrt(v + group["eps"]) * group["lr"])

    _by_hand(optimizer, update)
