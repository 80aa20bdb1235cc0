"""Silent mistakes that can be read from the tape behind a loss, with what its nodes saved."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..autograd.graph import history
from ..autograd.op import Op
from ..backend.dtypes import float64
from ..tensor import Node, wrap
from .findings import Finding

SHAPES = {"reshape", "permute", "cast", "clone", "pick", "broadcast_to"}  # the same numbers
TAKEN = ("add", "clamp", "getitem", "gather")  # some of the numbers, kept away from 0
SAMPLES = 8  # fewer say nothing about a layer
DEAD = 0.5  # share of units that may give 0 for a whole batch
CHANCE = 1.0  # how far above log C the first loss may be; below, half of log C
SCALE = (1e-3, 10.0)  # root mean square of data that layers are made for


def host(array: Any) -> np.ndarray:
    """An array in NumPy, wherever it lives."""
    return np.asarray(wrap(array).cpu().array)


def saved(node: Node, name: str) -> Any:
    """What a node saved under a name of its rule; None if it did not, or no longer has it."""
    keep = getattr(node.op, "keep", ())
    return node.saved[keep.index(name)] if node.saved and name in keep else None


def origin(node: Node | None) -> Node | None:
    """The op that made the numbers, past those that only give them another shape."""
    while node is not None and node.name() in SHAPES:
        node = node.parents[0]
    return node


def made_by(node: Node | None, *names: str) -> bool:
    found = origin(node)
    return found is not None and found.op is not None and found.name() in names


def tape_findings(root: Node, first: bool) -> Iterator[Finding]:
    """All mistakes behind a loss; `first`: nothing has been trained yet."""
    nodes = [n for n in reversed(history(wrap(None, root))) if isinstance(n.op, Op)]
    nodes = [n for n in nodes if n.saved is not None]  # the others a backward pass has freed
    loud = list(unnormalised(nodes))
    yield from loud
    for look in CHECKS:
        for node in nodes:
            yield from look(node)
    yield from chances(nodes)
    yield from creeping(nodes)
    if first and not loud:  # unnormalised data is the cause then
        for node in nodes:
            yield from start(node)


def squashed(node: Node) -> Iterator[Finding]:
    """TG002: softmax, then a loss with softmax inside; the same for sigmoid."""
    name, inside = node.name(), "softmax"
    if name == "cross_entropy":
        x = host(saved(node, "x"))
        found = made_by(node.parents[0], "softmax") or probabilities(x)
    elif name == "log_softmax":
        found = made_by(node.parents[0], "softmax")
    elif name == "softplus" and made_by(node.parents[0], "neg"):
        inside = "sigmoid"
        found = made_by(origin(node.parents[0]).parents[0], "sigmoid")  # type: ignore[union-attr]
    else:
        return
    if found:
        what = {"softplus": "binary_cross_entropy_with_logits"}.get(name, name)
        text = f"{what} was given the result of {inside}"
        yield Finding("TG002", text, node.where(), {"loss": what, "inside": inside})


def probabilities(x: np.ndarray) -> bool:
    """Whether all rows are probabilities: too much of a chance for scores."""
    enough = x.ndim == 2 and x.shape[0] >= 2 and x.shape[1] >= 2
    return bool(enough and (x >= 0).all() and np.allclose(x.sum(1), 1, atol=1e-3))


def logged(node: Node) -> Iterator[Finding]:
    """TG011: log(softmax(x)) or of some of it, with or without a small number added; log(1 - p)."""
    if node.name() not in ("log", "log2", "log10"):
        return
    below = origin(node.parents[0])
    while below is not None and (below.name() in TAKEN or is_rest(below)):
        below = origin(next((p for p in below.parents if p is not None), None))
    if below is not None and below.saved and below.name() in ("softmax", "sigmoid"):
        smallest = float(host(saved(below, "y")).min())
        text = f"{node.name()} of {below.name()}, whose smallest result is {smallest:.3g}"
        yield Finding("TG011", text, node.where(), {"smallest": smallest})


def is_rest(node: Node) -> bool:
    """1 - p, with a number that has no history."""
    return node.name() == "sub" and node.parents[0] is None


def labelled(node: Node) -> Iterator[Finding]:
    """TG007: labels that index from the end, or are all ignored."""
    if node.name() == "cross_entropy":
        labels, ignore = host(node.attrs["target"]), node.attrs["ignore"]
        if labels.size and (labels == ignore).all():
            text = f"all {labels.size} labels are {ignore}, which is ignored"
            yield Finding("TG007", text, node.where(), {"ignored": labels.size})
    elif node.name() == "getitem":
        yield from indexed(node)


def indexed(node: Node) -> Iterator[Finding]:
    """log_softmax(x)[rows, labels] with a negative label."""
    index = node.attrs["index"]
    labels = host(index[-1]) if isinstance(index, tuple) and hasattr(index[-1], "dtype") else None
    if labels is None or labels.dtype.kind not in "iu" or not made_by(
        node.parents[0], "log_softmax", "log"
    ):  # fmt: skip
        return
    classes, wrong = node.parents[0].shape[-1], labels[labels < 0]  # type: ignore[union-attr]
    if wrong.size:
        text = f"{wrong.size} of {labels.size} labels are negative, the first {wrong[0]}"
        numbers = {"classes": classes, "wrong": wrong.size, "least": int(labels.min())}
        yield Finding("TG007", f"{text}; there are {classes} classes", node.where(), numbers)


def chances(nodes: list[Node]) -> Iterator[Finding]:
    """TG007: targets of the binary cross entropies that are no probabilities."""
    scores = [logits(n) for n in nodes]
    for node in nodes:
        a = saved(node, "a")
        if node.name() != "mul" or node.parents[0] is not None or not hasattr(a, "dtype"):
            continue
        p = node.parents[1]
        if p in scores and p is not None:  # (1 - t) x
            target = 1 - host(a)
        elif p is not None and p.name() == "select" and made_by(p.parents[0], "log"):  # t log p
            target = host(a)
        else:
            continue
        wrong = target[(target < 0) | (target > 1)]
        if wrong.size:
            text = f"{wrong.size} of {target.size} targets are outside [0, 1]: {wrong[0]:g}"
            yield Finding("TG007", text, node.where(), {"wrong": wrong.size})
            return


def logits(node: Node) -> Node | None:
    """x of softplus(-x), which is how a binary cross entropy is computed from scores."""
    negated = node.parents[0] if node.name() == "softplus" else None
    return negated.parents[0] if negated is not None and negated.name() == "neg" else None


def dead(node: Node) -> Iterator[Finding]:
    """TG009: a relu whose units are 0 for the whole batch."""
    if node.name() not in ("activate", "linear") or node.attrs.get("act") != "relu":
        return
    y = host(saved(node, "y"))
    if y.ndim < 2:
        return
    axis = 1 if y.ndim == 4 else y.ndim - 1  # channels of a picture, else features
    units, samples = y.shape[axis], y.size // max(y.shape[axis], 1)
    silent = int((y.max(axis=tuple(i for i in range(y.ndim) if i != axis)) <= 0).sum())
    if samples >= SAMPLES and silent > DEAD * units:
        text = f"{silent} of {units} units are 0 for all {samples} samples"
        yield Finding("TG009", text, node.where(), {"dead": silent, "units": units})


def unnormalised(nodes: list[Node]) -> Iterator[Finding]:
    """TG012: data, which has no history, of an unusual size in front of a layer."""
    for node in nodes:
        name = {"matmul": "a"}.get(node.name(), "x")
        if node.name() not in ("linear", "linear_z", "matmul", "convolve") or node.parents[0]:
            continue
        x = host(saved(node, name)).astype(np.float64)
        size = float(np.sqrt(np.mean(x * x))) if x.size else 0.0
        if size and np.isfinite(size) and not SCALE[0] <= size <= SCALE[1]:
            text = f"data of {x.min():.4g} to {x.max():.4g}, mean {x.mean():.4g}, std {x.std():.4g}"
            numbers = {"mean": float(x.mean()), "std": float(x.std())}
            yield Finding("TG012", f"{text}, into {node.name()}", node.where(), numbers)


def creeping(nodes: list[Node]) -> Iterator[Finding]:
    """TG013: the first float32 that was made float64 to fit another tensor."""
    for node in nodes:
        if node.name() != "cast" or node.attrs["dtype"] != float64:
            continue
        before = saved(node, "x_dtype")
        if before != float64:
            text = f"{before} {tuple(node.shape)} became float64"
            yield Finding("TG013", text, node.where(), {"shape": list(node.shape)})
            return


def start(node: Node) -> Iterator[Finding]:
    """TG008: a mean cross entropy that is not near log C, before anything was trained."""
    if node.name() == "cross_entropy":
        x, labels = host(saved(node, "x")).astype(np.float64), host(node.attrs["target"])
        x, labels = x[labels != node.attrs["ignore"]], labels[labels != node.attrs["ignore"]]
        top = x.max(1, keepdims=True)
        logs = x - top - np.log(np.exp(x - top).sum(1, keepdims=True))
    elif node.name() == "getitem" and made_by(node.parents[0], "log_softmax"):
        index = node.attrs["index"]
        logs = saved(origin(node.parents[0]), "y")  # type: ignore[arg-type]
        if logs is None or not isinstance(index, tuple) or not hasattr(index[-1], "dtype"):
            return
        logs, labels = host(logs), host(index[-1])
    else:
        return
    if len(labels) < SAMPLES or logs.shape[1:] == (1,) or logs.ndim != 2:
        return
    if logs.shape[1] == len(labels) == len(set(labels.tolist())):
        return  # contrasted with each other, samples are no classes
    mean, chance = float(-logs[np.arange(len(labels)), labels].mean()), float(np.log(logs.shape[1]))
    if mean > chance + CHANCE or mean < chance / 2:
        text = f"the first loss is {mean:.3g}, and log {logs.shape[1]} = {chance:.3g}"
        numbers = {"loss": mean, "log C": chance, "classes": logs.shape[1]}
        yield Finding("TG008", text, node.where(), numbers)


CHECKS: list[Callable[[Node], Iterator[Finding]]] = [squashed, logged, labelled, dead]
