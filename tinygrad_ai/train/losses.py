"""Losses as the Trainer computes and averages them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from ..errors import ArgumentError
from ..nn import functional as F
from ..tensor import Tensor

IGNORED = -100  # labels that count for nothing


def fields_of(outputs: Any) -> dict[str, Any] | None:
    """A model's named results; None for a tuple."""
    if isinstance(outputs, Mapping):
        return dict(outputs)
    if hasattr(outputs, "keys"):
        return {name: outputs[name] for name in outputs.keys()}  # noqa: SIM118
    return None


def label_smoothed(
    outputs: Any, labels: Tensor, epsilon: float, shift: bool, num_items: Any = None
) -> Tensor:
    """(1-ε) · mean(-log p[label]) + ε · mean(-log p), over labels that are not -100."""
    named = fields_of(outputs)
    logits: Any = named["logits"] if named is not None else outputs[0]
    targets: Any = labels
    if targets.dtype.kind not in "iu":
        raise ArgumentError(
            f"smoothing spreads the probability of class numbers, got labels of {targets.dtype}",
            "label_smoothing_factor=0",
        )
    if shift:
        logits, targets = logits[..., :-1, :], targets[..., 1:]
    ignored = (targets == IGNORED).unsqueeze(-1)
    surprise = -F.log_softmax(logits, dim=-1)
    chosen = surprise.gather(-1, targets.clamp(min=0).unsqueeze(-1)).masked_fill(ignored, 0.0)
    spread = surprise.sum(-1, keepdim=True).masked_fill(ignored, 0.0)
    count = int((~ignored).sum().item()) if num_items is None else num_items
    return (1 - epsilon) * chosen.sum() / count + epsilon * spread.sum() / (  # type: ignore[no-any-return]
        count * surprise.shape[-1]
    )


def accepts_loss_kwargs(model: Any) -> bool:
    """Whether forward takes num_items_in_batch, to divide the sum of its losses by."""
    if hasattr(model, "accepts_loss_kwargs"):
        return bool(model.accepts_loss_kwargs)
    parameters = inspect.signature(model.forward).parameters.values()
    return any(p.kind is p.VAR_KEYWORD or p.name == "num_items_in_batch" for p in parameters)


def shifts_labels(model: Any) -> bool:
    """Whether the loss compares each place with the next label, as causal language models do."""
    return type(model).__name__.endswith(("LMHeadModel", "ForCausalLM"))


def count_items(batches: list[Any], shift: bool) -> int | None:
    """The labels that count in all batches of one step; None if they have no labels."""
    total = 0
    for batch in batches:
        labels: Any = batch.get("labels") if isinstance(batch, Mapping) else None
        if not isinstance(labels, Tensor):
            return None
        kept: Any = labels[..., 1:] if shift and labels.ndim > 1 else labels  # type: ignore[index]
        total += int((kept != IGNORED).sum().item())
    return total
