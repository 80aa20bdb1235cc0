"""An exercise: an op with its forward, whose rule is to be written in NumPy.

What is right is what the engine's own rules give, in float64. A solution and known mistakes stand
beside it as text, so that a grade can name the mistake.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...autograd.backward import grad
from ...ops.create import tensor

# Sizes by letter, one row for each trial: no two letters of one row agree by chance.
TRIALS = (
    {"n": 4, "m": 3, "k": 5, "d": 2, "l": 7},
    {"n": 3, "m": 5, "k": 2, "d": 4, "l": 6},
    {"n": 6, "m": 2, "k": 4, "d": 3, "l": 9},
)
CONSTANT = {"labels", "index", "mask", "chances"}  # kinds of input that have no gradient


@dataclass(frozen=True)
class Exercise:
    """`inputs`: a shape in letters for each name, after it a kind ("n m positive"). `forward`,
    `solution` and `mistakes` are the bodies of functions of (g, y and) the inputs."""

    name: str
    inputs: dict[str, str]
    forward: str
    reference: Callable[..., Any]
    hint: str
    solution: str
    mistakes: dict[str, str] = field(default_factory=dict)

    @property
    def differentiable(self) -> list[str]:
        """The names of the inputs whose gradients are asked for."""
        return [n for n, spec in self.inputs.items() if not CONSTANT & set(spec.split())]

    def function(self, body: str, with_gradient: bool = True) -> Callable[..., Any]:
        """A body as a function of (g, y and) the inputs."""
        first = ["g", "y"] if with_gradient else []
        lines = "\n".join(["    " + line for line in body.split("\n")])
        scope: dict[str, Any] = {"np": np}
        head = f"def written({', '.join([*first, *self.inputs])}):\n"
        exec(compile(head + lines, f"<exercise {self.name}>", "exec"), scope)
        return scope["written"]  # type: ignore[no-any-return]


@dataclass
class Trial:
    """One set of numbers: inputs, output, incoming gradient, and the gradients that are right."""

    inputs: dict[str, np.ndarray]
    y: np.ndarray
    g: np.ndarray
    right: list[np.ndarray]
    unweighted: list[np.ndarray]  # the same with a gradient of ones coming in

    def arguments(self) -> list[np.ndarray]:
        """g, y and the inputs, in copies that cannot be written to."""
        found = [np.array(a) for a in (self.g, self.y, *self.inputs.values())]
        for a in found:
            a.setflags(write=False)
        return found


def trials(exercise: Exercise) -> list[Trial]:
    """The same trials every time."""
    return [_trial(exercise, i) for i in range(len(TRIALS))]


def _trial(exercise: Exercise, number: int) -> Trial:
    r = np.random.default_rng([number, *exercise.name.encode()])
    inputs = {n: made(spec, TRIALS[number], r) for n, spec in exercise.inputs.items()}
    y = np.asarray(exercise.function(exercise.forward, False)(*inputs.values()))
    g = r.standard_normal(y.shape)
    ones = np.ones(y.shape)
    return Trial(inputs, y, g, gradients(exercise, inputs, g), gradients(exercise, inputs, ones))


def made(spec: str, sizes: dict[str, int], r: np.random.Generator) -> np.ndarray:
    """Random numbers for an input, as its text says."""
    words = spec.split()
    shape = tuple([sizes[w] for w in words if w in sizes])
    kind = next((w for w in words if w not in sizes), "normal")
    if kind in ("labels", "index"):
        return r.integers(0, sizes["m"], shape)
    if kind == "mask":
        return r.random(shape) < 0.7
    if kind in ("positive", "chances"):
        return r.uniform(0.5, 2.0, shape) if kind == "positive" else r.random(shape)
    found = r.standard_normal(shape)
    if kind == "kinked":
        found.reshape(-1)[::5] = 0.0  # 0 is among them
    return np.asarray(found)


def gradients(exercise: Exercise, inputs: dict[str, Any], g: np.ndarray) -> list[np.ndarray]:
    """What the engine gives."""
    wanted = exercise.differentiable
    given = {n: tensor(np.array(a), requires_grad=n in wanted) for n, a in inputs.items()}
    y = exercise.reference(*given.values())
    found = grad(y, [given[n] for n in wanted], tensor(np.asarray(g)))
    return [np.array(t.numpy()) for t in found if t is not None]  # type: ignore[attr-defined]
