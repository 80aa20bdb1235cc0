"""A small training run with one fault, to be found with the tools of this room.

run = quiz(seed=3)
print(lint(run.loss(), run.model, run.optimizer))
with watch(run.model, run.optimizer) as report:
    run.train(10)
run.check("no zero_grad")
"""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache

import numpy as np

from ... import nn
from ...data.digits import load_digits
from ...errors import ArgumentError
from ...ops.create import from_numpy
from ...ops.random import get_rng_state, manual_seed, set_rng_state
from ...optim import SGD
from ...tensor import Tensor
from .faults import FAULTS, Bend, Fault

BATCH, LR = 64, 0.1
HEALTHY = Fault("none", "nothing is wrong", "", lambda run: None)


class Quiz:
    """The run: `model`, `optimizer`, `criterion`, `images`, `labels`; step by step."""

    def __init__(self, seed: int, fault: Fault) -> None:
        before = get_rng_state()
        manual_seed(seed)
        self.model = nn.Sequential(
            nn.Linear(784, 32), Bend(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 10)
        )
        set_rng_state(before)
        self.seed, self.steps = seed, 0
        self.images, self.labels = digits()
        self.criterion, self.zeroes = nn.CrossEntropyLoss(), True
        self.optimizer = SGD(self.model.parameters(), lr=LR)
        self._fault = fault
        fault.plant(self)

    @property
    def choices(self) -> dict[str, str]:
        """What the fault may be, by the name that `check` takes."""
        return {f.name: f.text for f in FAULTS}

    def batch(self, step: int = 0) -> tuple[Tensor, Tensor]:
        """The images and labels of a step."""
        chosen = np.random.default_rng([self.seed, step]).choice(len(self.images), BATCH)
        return from_numpy(self.images[chosen]), from_numpy(self.labels[chosen])

    def loss(self) -> Tensor:
        """The loss of the next step, with its history."""
        images, labels = self.batch(self.steps)
        return self.criterion(self.model(images), labels)  # type: ignore[no-any-return]

    def step(self) -> float:
        """One step; returns the loss for a sample."""
        if self.zeroes:
            self.optimizer.zero_grad()
        loss = self.loss()
        loss.backward()  # type: ignore[attr-defined]
        self.optimizer.step()
        self.steps += 1
        count = BATCH if self.criterion.reduction == "sum" else 1
        return float(loss.item()) / count  # type: ignore[attr-defined]

    def train(self, steps: int) -> list[float]:
        """Some steps; returns their losses."""
        return [self.step() for _ in range(steps)]

    def check(self, answer: str) -> bool:
        """Whether that is the fault; ArgumentError for something that is no choice."""
        if answer not in self.choices:
            near = get_close_matches(answer, self.choices, 1) or list(self.choices)[:1]
            raise ArgumentError(f"there is no fault {answer!r}", f"did you mean {near[0]!r}?")
        return answer == self._fault.name

    def reveal(self) -> tuple[str, str]:
        """The fault, and how it can be found."""
        return self._fault.name, self._fault.proof


@cache
def digits() -> tuple[np.ndarray, np.ndarray]:
    """The images to train on, 0 to 1, and their labels; no run writes to them."""
    found = load_digits()
    images = (found.train_images.reshape(-1, 784) / 255).astype(np.float32)
    return images, found.train_labels


def quiz(seed: int = 0) -> Quiz:
    """A training run with a fault that the seed decides."""
    if type(seed) is not int or seed < 0:
        raise ArgumentError(f"expected a seed of 0 or more, got {seed!r}")
    return Quiz(seed, FAULTS[np.random.default_rng(seed).integers(len(FAULTS))])


def healthy(seed: int) -> Quiz:
    """The same run without a fault."""
    return Quiz(seed, HEALTHY)
