"""JAX as its users write it: the whole step one jit, its state given away to be written over."""

from __future__ import annotations

from functools import partial
from itertools import cycle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ..step import LEARNING_RATE, StepData
from ..worker import Task


def loss_of(weights: Any, x: Any, labels: Any) -> Any:
    hidden = jax.nn.relu(x @ weights["fc1.weight"] + weights["fc1.bias"])
    scores = hidden @ weights["fc2.weight"] + weights["fc2.bias"]
    return optax.softmax_cross_entropy_with_integer_labels(scores, labels).mean()


def turned(weights: Any) -> dict[str, Any]:
    """Matrices (in, out) where the others have (out, in), and back; vectors stay."""
    return {name: np.ascontiguousarray(w.T) for name, w in weights.items()}


def step(data: StepData, variant: str) -> Task:
    adam = optax.adam(LEARNING_RATE)

    @partial(jax.jit, donate_argnums=(0, 1))
    def update(weights: Any, state: Any, x: Any, labels: Any) -> Any:
        loss, grads = jax.value_and_grad(loss_of)(weights, x, labels)
        changes, state = adam.update(grads, state, weights)
        return optax.apply_updates(weights, changes), state, loss

    weights = {name: jnp.asarray(w) for name, w in turned(data.weights).items()}
    state = adam.init(weights)
    batches = cycle([(jnp.asarray(x), jnp.asarray(t, jnp.int32)) for x, t in data.batches])

    def run() -> Any:
        nonlocal weights, state
        weights, state, loss = update(weights, state, *next(batches))
        jax.block_until_ready((weights, state, loss))
        return loss

    def result(loss: Any) -> dict[str, Any]:
        held = {name: np.asarray(w) for name, w in weights.items()}
        return data.result(float(loss), turned(held))

    return Task(run, result)
