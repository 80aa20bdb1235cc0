"""Gradients kept from growing too large."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...autograd.mode import no_grad
from ...errors import AnomalyError
from ...ops.create import tensor
from ...ops.elementwise import clamp
from ...ops.joining import stack
from ...ops.norm import vector_norm
from ...tensor import Tensor


def _grads(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    given = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    return [p.grad for p in given if p.grad is not None]


@no_grad()
def get_total_norm(
    tensors: Any, norm_type: float = 2.0, error_if_nonfinite: bool = False, foreach: Any = None
) -> Tensor:
    """The norm of all tensors as one vector."""
    given = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    if not given:
        return tensor(0.0)
    total = vector_norm(stack([vector_norm(g, float(norm_type)) for g in given]), float(norm_type))
    if error_if_nonfinite and not bool(total.isfinite()):
        raise AnomalyError(f"the total norm of the gradients is {total.item()}", "detect_anomaly()")
    return total


@no_grad()
def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0,
    error_if_nonfinite: bool = False, foreach: Any = None,
) -> Tensor:  # fmt: skip
    """Scales all gradients, in place, to a norm of at most max_norm; returns the norm before."""
    grads = _grads(parameters)
    total = get_total_norm(grads, norm_type, error_if_nonfinite)
    factor: Any = clamp(max_norm / (total + 1e-6), max=1.0)
    for g in grads:
        g.mul_(factor.to(g.dtype))
    return total


@no_grad()
def clip_grad_value_(
    parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: Any = None
) -> None:
    """Limits every entry of the gradients, in place, to [-clip_value, clip_value]."""
    for g in _grads(parameters):
        g.clamp_(-clip_value, clip_value)
