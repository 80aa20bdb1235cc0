"""Learning rates with a warm-up, under Hugging Face's names: factors of LambdaLR."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..errors import ArgumentError
from ..optim import Optimizer
from ..optim.lr_scheduler import LambdaLR, LRScheduler, ReduceLROnPlateau


def warmed(warmup: int, after: Callable[[int], float]) -> Callable[[int], float]:
    """t / warmup at first, then a function of the step."""
    return lambda t: t / max(1, warmup) if t < warmup else after(t)


def progress(t: int, warmup: int, total: int) -> float:
    """How far a step is between the end of the warm-up (0) and that of the training (1)."""
    return (t - warmup) / max(1, total - warmup)


def get_constant_schedule(optimizer: Optimizer, last_epoch: int = -1) -> LambdaLR:
    """The optimizer's own rate throughout."""
    return LambdaLR(optimizer, lambda t: 1.0, last_epoch)


def get_constant_schedule_with_warmup(
    optimizer: Optimizer, num_warmup_steps: int, last_epoch: int = -1
) -> LambdaLR:
    """From 0 to the optimizer's rate, which then stays."""
    return LambdaLR(optimizer, warmed(num_warmup_steps, lambda t: 1.0), last_epoch)


def get_linear_schedule_with_warmup(
    optimizer: Optimizer, num_warmup_steps: int, num_training_steps: int, last_epoch: int = -1
) -> LambdaLR:
    """From 0 to the optimizer's rate, then in a straight line to 0."""
    width = max(1, num_training_steps - num_warmup_steps)
    decay = warmed(num_warmup_steps, lambda t: max(0.0, (num_training_steps - t) / width))
    return LambdaLR(optimizer, decay, last_epoch)


def get_cosine_schedule_with_warmup(
    optimizer: Optimizer, num_warmup_steps: int, num_training_steps: int,
    num_cycles: float = 0.5, last_epoch: int = -1,
) -> LambdaLR:  # fmt: skip
    """From 0 to the optimizer's rate, then (1 + cos(2π · num_cycles · p)) / 2 of it."""

    def decay(t: int) -> float:
        p = progress(t, num_warmup_steps, num_training_steps)
        return max(0.0, 0.5 * (1 + math.cos(math.pi * num_cycles * 2 * p)))

    return LambdaLR(optimizer, warmed(num_warmup_steps, decay), last_epoch)


def get_cosine_with_hard_restarts_schedule_with_warmup(
    optimizer: Optimizer, num_warmup_steps: int, num_training_steps: int,
    num_cycles: int = 1, last_epoch: int = -1,
) -> LambdaLR:  # fmt: skip
    """After the warm-up num_cycles times along the cosine from the full rate to 0."""

    def decay(t: int) -> float:
        p = progress(t, num_warmup_steps, num_training_steps)
        return 0.0 if p >= 1 else max(0.0, 0.5 * (1 + math.cos(math.pi * (num_cycles * p % 1))))

    return LambdaLR(optimizer, warmed(num_warmup_steps, decay), last_epoch)


def get_polynomial_decay_schedule_with_warmup(
    optimizer: Optimizer, num_warmup_steps: int, num_training_steps: int,
    lr_end: float = 1e-7, power: float = 1.0, last_epoch: int = -1,
) -> LambdaLR:  # fmt: skip
    """After the warm-up (rate - lr_end)(1 - p)^power + lr_end."""
    top = optimizer.defaults["lr"]
    if not top > lr_end:
        raise ArgumentError(f"expected lr_end below the learning rate {top}, got {lr_end}")

    def decay(t: int) -> float:
        if t > num_training_steps:
            return lr_end / top
        left = 1 - progress(t, num_warmup_steps, num_training_steps)
        return ((top - lr_end) * left**power + lr_end) / top

    return LambdaLR(optimizer, warmed(num_warmup_steps, decay), last_epoch)


def get_inverse_sqrt_schedule(
    optimizer: Optimizer, num_warmup_steps: int, timescale: int | None = None, last_epoch: int = -1
) -> LambdaLR:
    """After the warm-up as 1 / √t."""
    scale = timescale or num_warmup_steps or 10_000
    decay = warmed(
        num_warmup_steps, lambda t: 1 / math.sqrt((t + scale - num_warmup_steps) / scale)
    )
    return LambdaLR(optimizer, decay, last_epoch)


def get_reduce_on_plateau_schedule(optimizer: Optimizer, **kwargs: Any) -> ReduceLROnPlateau:
    """A rate that is lowered when the watched metric stops improving."""
    return ReduceLROnPlateau(optimizer, **kwargs)


SCHEDULES: dict[str, Callable[..., LRScheduler]] = {
    "linear": get_linear_schedule_with_warmup,
    "cosine": get_cosine_schedule_with_warmup,
    "cosine_with_restarts": get_cosine_with_hard_restarts_schedule_with_warmup,
    "polynomial": get_polynomial_decay_schedule_with_warmup,
    "constant": get_constant_schedule,
    "constant_with_warmup": get_constant_schedule_with_warmup,
    "inverse_sqrt": get_inverse_sqrt_schedule,
    "reduce_lr_on_plateau": get_reduce_on_plateau_schedule,
}


def get_scheduler(
    name: str, optimizer: Optimizer, num_warmup_steps: int | None = None,
    num_training_steps: int | None = None, scheduler_specific_kwargs: dict[str, Any] | None = None,
) -> LRScheduler:  # fmt: skip
    """A schedule by its name; ArgumentError if the name is unknown or a number it needs missing."""
    if name not in SCHEDULES:
        raise ArgumentError(f"expected a schedule of {', '.join(SCHEDULES)}; got {name!r}")
    numbers = {}
    if name not in ("constant", "reduce_lr_on_plateau"):
        numbers["num_warmup_steps"] = num_warmup_steps
    if name in ("linear", "cosine", "cosine_with_restarts", "polynomial"):
        numbers["num_training_steps"] = num_training_steps
    for key, value in numbers.items():
        if value is None:
            raise ArgumentError(f"the schedule {name!r} needs {key}", f"{key}=...")
    return SCHEDULES[name](optimizer, **numbers, **(scheduler_specific_kwargs or {}))
