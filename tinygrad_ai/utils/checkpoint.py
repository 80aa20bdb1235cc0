"""PyTorch's address of activation checkpointing; it lives in autograd/checkpoint.py."""

from ..autograd.checkpoint import checkpoint as checkpoint
from ..autograd.checkpoint import checkpoint_sequential as checkpoint_sequential
