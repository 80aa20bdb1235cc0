"""Whole networks. They know layers; they know nothing of gradients or arrays."""

from .mlp import MLP as MLP
