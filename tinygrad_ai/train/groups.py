"""The Trainer's optimizer: which parameters decay, and which formula an argument names."""

from __future__ import annotations

import re
from typing import Any

from .. import nn, optim
from ..errors import ArgumentError

OPTIMIZERS: dict[str, type[optim.Optimizer]] = {
    "adamw_torch_fused": optim.AdamW,
    "adamw_torch": optim.AdamW,
    "adamw": optim.AdamW,
    "sgd": optim.SGD,
    "adagrad": optim.Adagrad,
    "rmsprop": optim.RMSprop,
}
# Names of parameters that weight decay leaves alone, as Hugging Face has them.
SPARED = re.compile(r"bias|layernorm|rmsnorm|(?:^|\.)norm(?:$|\.)|_norm(?:$|\.)")


def decay_parameter_names(model: nn.Module) -> list[str]:
    """The parameters that weight decay is for: no biases, nothing of a normalisation."""
    norms = tuple(f"{n}." for n, m in model.named_modules() if isinstance(m, nn.LayerNorm))
    return [
        name
        for name, _ in model.named_parameters()
        if not SPARED.search(name.lower()) and not (norms and name.startswith(norms))
    ]


def parameter_groups(
    model: nn.Module, names: list[str], weight_decay: float
) -> list[dict[str, Any]]:
    """Two groups of the parameters that are trained: with weight decay, and without."""
    decayed = set(names)
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    if not trained:
        raise ArgumentError(
            "no parameter of the model requires a gradient", "model.requires_grad_(True)"
        )
    return [
        {"params": [p for n, p in trained if n in decayed], "weight_decay": weight_decay},
        {"params": [p for n, p in trained if n not in decayed], "weight_decay": 0.0},
    ]


def optimizer_class(args: Any) -> tuple[type[optim.Optimizer], dict[str, Any]]:
    """The class that `args.optim` names, and its options."""
    kind = OPTIMIZERS[args.optim]
    options: dict[str, Any] = {"lr": args.learning_rate}
    if kind is optim.AdamW:
        options.update(betas=(args.adam_beta1, args.adam_beta2), eps=args.adam_epsilon)
    return kind, options
