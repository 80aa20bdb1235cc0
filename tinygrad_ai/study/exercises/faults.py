"""The faults of the quiz: each changes a training run in one place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ... import nn
from ...autograd.function import Function
from ...autograd.mode import no_grad
from ...tensor import Tensor


class Fault(NamedTuple):
    """What it is called, what it says as a choice, how it can be found, and how it is planted."""

    name: str
    text: str
    proof: str
    plant: Callable[[Any], None]


class Bend(nn.Module):
    """tanh, by a rule that is written here."""

    def __init__(self) -> None:
        super().__init__()
        self.sign = 1.0

    def forward(self, x: Tensor) -> Tensor:
        return _Bend.apply(x, self.sign)


class _Bend(Function):
    @staticmethod
    def forward(ctx: Any, x: Any, sign: float) -> Any:
        y = x.tanh()
        ctx.save_for_backward(y)
        ctx.sign = sign
        return y

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        (y,) = ctx.saved_tensors
        return ctx.sign * g * (1 - y * y), None


def _wrong_rule(run: Any) -> None:
    run.model[1].sign = -1.0


def _no_zero_grad(run: Any) -> None:
    run.zeroes = False


def _summed_loss(run: Any) -> None:
    run.criterion = nn.CrossEntropyLoss(reduction="sum")


def _dead_relu(run: Any) -> None:
    with no_grad():
        run.model[2].bias.fill_(-8.0)


def _shuffled_labels(run: Any) -> None:
    run.labels = run.labels[np.random.default_rng(run.seed).permutation(len(run.labels))]


def _lr_too_large(run: Any) -> None:
    run.optimizer.param_groups[0]["lr"] *= 100


def _lr_too_small(run: Any) -> None:
    run.optimizer.param_groups[0]["lr"] /= 10_000


def _softmax_twice(run: Any) -> None:
    run.model.append(nn.Softmax(dim=1))


def _forgotten_layer(run: Any) -> None:
    group = run.optimizer.param_groups[0]
    group["params"] = [p for p in group["params"] if p is not run.model[0].weight]


def _raw_pixels(run: Any) -> None:
    run.images = run.images * 255


FAULTS = [
    Fault(
        "wrong rule",
        "the rule of one layer is wrong",
        "gradcheck(quiz.model[1].double(), x) fails: its gradient has the wrong sign",
        _wrong_rule,
    ),
    Fault(
        "no zero_grad",
        "gradients are not zeroed between steps",
        "watch reports TG001",
        _no_zero_grad,
    ),
    Fault(
        "summed loss",
        "the loss is summed over the batch, not averaged",
        "quiz.loss() starts at 64 log 10, not at log 10, for a batch of 64",
        _summed_loss,
    ),
    Fault(
        "dead relu",
        "a layer was initialised so that its relu is dead",
        "lint reports TG009",
        _dead_relu,
    ),
    Fault(
        "shuffled labels",
        "labels do not belong to their images",
        "the loss stays at log 10 while gradients and steps are healthy: look at a few images",
        _shuffled_labels,
    ),
    Fault(
        "lr too large",
        "the learning rate is 100 times too large",
        "quiz.optimizer.inspect(0).ratio is far above 1e-3",
        _lr_too_large,
    ),
    Fault(
        "lr too small",
        "the learning rate is 10,000 times too small",
        "lint reports TG010: a step is far below 1e-3 of the weights",
        _lr_too_small,
    ),
    Fault(
        "softmax twice",
        "the model ends in a softmax, and the loss has one inside",
        "lint reports TG002",
        _softmax_twice,
    ),
    Fault(
        "forgotten layer",
        "the optimizer was not given one of the layers",
        "lint reports TG003",
        _forgotten_layer,
    ),
    Fault(
        "raw pixels",
        "the images are not normalised",
        "lint reports TG012",
        _raw_pixels,
    ),
]
