"""Activations under Hugging Face's names, each one that our linear layers have built in."""

from __future__ import annotations

from ..errors import ArgumentError

ACTIVATIONS: dict[str, str | None] = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_accurate": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "leaky_relu": "leaky_relu",
    "linear": None,
    "relu": "relu",
    "sigmoid": "sigmoid",
    "silu": "silu",
    "swish": "silu",
    "tanh": "tanh",
}


def check_activation(name: object, key: str) -> None:
    """ArgumentError unless it is the name of an activation."""
    if not isinstance(name, str) or name not in ACTIVATIONS:
        known = ", ".join(ACTIVATIONS)
        raise ArgumentError(f"expected {key} to be one of {known}, got {name!r}")
