"""The calls that start a walk: backward, and grad for chosen inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import backend
from ..errors import ArgumentError, GradError, ShapeError
from ..tensor import Node, Tensor, methods, wrap
from .grad import Walk
from .graph import needed_for
from .mode import recording


def _seed(t: Tensor, g: Any, graph: bool) -> Any:
    """The gradient the walk starts with at one output."""
    if t.node is None:
        raise GradError(
            "backward needs a tensor that requires a gradient; this one has no history",
            "requires_grad=True on the inputs, and no detach() or no_grad() on the way",
        )
    if g is None:
        if t.array.size != 1:
            raise GradError(
                f"a gradient can be implied only for one number, got shape {t.shape}",
                "call backward() on a sum or mean, or pass gradient=",
            )
        one = backend.of(t.array).single(1, t.dtype).reshape(t.shape)
        return wrap(one) if graph else one
    if g.shape != t.shape:
        raise ShapeError(f"expected a gradient of shape {t.shape}, got {g.shape}")
    return g if graph else g.array.astype(t.dtype, copy=False)


def _as_list(value: Any) -> list[Any]:
    return [value] if isinstance(value, Tensor) or value is None else list(value)


def _start(outputs: Any, seeds: Any, graph: bool, keep: bool, wanted: Any) -> Walk:
    roots = _as_list(outputs)
    seeds = [None] * len(roots) if seeds is None else _as_list(seeds)
    if len(seeds) != len(roots):
        raise GradError(f"expected a gradient for each of {len(roots)} outputs, got {len(seeds)}")
    pairs = [(t, _seed(t, g, graph)) for t, g in zip(roots, seeds, strict=True)]
    walk = Walk(graph, keep, None if wanted is None else needed_for(roots, wanted))
    for t, g in pairs:
        walk.start(t.node, g)
    return walk


def backward(
    tensors: Tensor | Sequence[Tensor],
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Adds d(tensors)/d(leaf) to `.grad` of every leaf, or of `inputs` only.

    Raises GradError for an output without history or a missing gradient of a non-scalar one,
    GraphFreedError on a second pass without retain_graph.
    """
    keep = create_graph if retain_graph is None else retain_graph
    wanted = None if inputs is None else _wanted(_as_list(inputs))
    with recording(create_graph):
        walk = _start(tensors, grad_tensors, create_graph, keep, wanted)
        walk.run(wanted)
        for node, g in (wanted or {}).items():
            if g is not None:
                walk.gather(node, g)


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of outputs with respect to inputs, as PyTorch's autograd.grad.

    Leaves' `.grad` stays untouched. An input the outputs do not depend on is a GradError unless
    `allow_unused` (it gives None) or `materialize_grads` (it gives zeros). `only_inputs` is, as in
    PyTorch, no longer of effect.
    """
    if is_grads_batched:
        raise ArgumentError("grad takes one gradient for each output", "call it for each of them")
    keep = create_graph if retain_graph is None else retain_graph
    targets = _as_list(inputs)
    if materialize_grads and allow_unused is False:
        raise ArgumentError("materialize_grads=True gives zeros for unused inputs: allow them")
    wanted = _wanted(targets)
    with recording(create_graph):
        walk = _start(outputs, grad_outputs, create_graph, keep, wanted)
        walk.run(wanted)
    return tuple(
        [_answer(walk, t, wanted[t.node], allow_unused, materialize_grads) for t in targets]
    )


def _wanted(inputs: list[Tensor]) -> dict[Node, Any]:
    """The nodes at which gradients were asked for."""
    if not inputs:
        raise GradError("expected at least one input to differentiate by, got none")
    for t in inputs:
        if t.node is None:
            raise GradError(
                "a gradient was asked for by a tensor that does not require one",
                "requires_grad=True when it is made, or x.requires_grad_() before it is used",
            )
    return dict.fromkeys([t.node for t in inputs if t.node])


def _answer(walk: Walk, t: Tensor, g: Any, unused: bool | None, zeros: bool) -> Tensor | None:
    if g is not None:
        return walk.as_tensor(g)
    if zeros:
        return wrap(backend.of(t.array).zeros_like(t.array))
    if not unused:
        raise GradError("an input was not used in computing the outputs", "allow_unused=True")
    return None


def _backward(
    self: Tensor,
    gradient: Tensor | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Adds the gradient of this tensor to its leaves; see autograd.backward."""
    backward(self, gradient, retain_graph, create_graph, inputs)


methods(backward=_backward)
