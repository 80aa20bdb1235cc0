"""PyTorch's `utils` namespace, so that a program runs with only its imports changed."""
