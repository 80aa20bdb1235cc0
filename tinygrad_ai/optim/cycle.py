"""Schedules that go up and down."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..errors import ArgumentError
from .optimizer import Optimizer
from .schedule import LRScheduler


class CosineAnnealingWarmRestarts(LRScheduler):
    """Cosine annealing in periods T_0, T_0 T_mult, ... (Loshchilov & Hutter, 2016)"""

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        if T_0 < 1 or T_mult < 1:
            raise ArgumentError(f"expected T_0 and T_mult >= 1, got {T_0} and {T_mult}")
        self.T_0, self.T_i, self.T_mult = T_0, T_0, T_mult
        self.eta_min = eta_min
        self.T_cur: float = last_epoch
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        share = (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2
        return [self.eta_min + (base - self.eta_min) * share for base in self.base_lrs]

    def step(self, epoch: float | None = None) -> None:  # type: ignore[override]
        """The next epoch, or any (fractional) one."""
        t: float = max(self.last_epoch + 1, 0) if epoch is None else epoch
        if t < 0:
            raise ArgumentError(f"expected an epoch >= 0, got {t}")
        self.T_i, self.T_cur = self.T_0, t
        while self.T_cur >= self.T_i:
            self.T_cur -= self.T_i
            self.T_i *= self.T_mult
        self.last_epoch = math.floor(t) - 1
        super().step()


class OneCycleLR(LRScheduler):
    """Up from max / div_factor to max_lr, then down to nothing; momentum the other way round.

    (Smith & Topin, 2017.) Steps are batches, total_steps of them.
    """

    def __init__(
        self, optimizer: Optimizer, max_lr: Any, total_steps: int | None = None,
        epochs: int | None = None, steps_per_epoch: int | None = None, pct_start: float = 0.3,
        anneal_strategy: str = "cos", cycle_momentum: bool = True, base_momentum: Any = 0.85,
        max_momentum: Any = 0.95, div_factor: float = 25.0, final_div_factor: float = 1e4,
        three_phase: bool = False, last_epoch: int = -1,
    ) -> None:  # fmt: skip
        if total_steps is None and (epochs is None or steps_per_epoch is None):
            raise ArgumentError("OneCycleLR needs total_steps, or epochs and steps_per_epoch")
        if anneal_strategy not in ("cos", "linear") or not 0 <= pct_start <= 1:
            raise ArgumentError(
                "expected anneal_strategy 'cos' or 'linear' and pct_start in [0, 1]"
            )
        self.total_steps = total_steps or (epochs or 0) * (steps_per_epoch or 0)
        self.strategy, self.cycle_momentum = anneal_strategy, cycle_momentum
        self.phases = self._phases(pct_start, three_phase)
        groups = optimizer.param_groups
        for group, top, low, high in zip(
            groups, _each(max_lr, groups), _each(base_momentum, groups), _each(max_momentum, groups)
        ):
            if last_epoch == -1:
                group["initial_lr"], group["max_lr"] = top / div_factor, top
                group["min_lr"] = group["initial_lr"] / final_div_factor
                group["lr"] = group["initial_lr"]
                if cycle_momentum:
                    group["max_momentum"], group["base_momentum"] = high, low
                    _set_momentum(group, high)
        super().__init__(optimizer, last_epoch)

    def _phases(self, share: float, three: bool) -> list[tuple[float, str, str, str, str]]:
        """(last step, rate from, rate to, momentum from, momentum to) of each phase."""
        top = share * self.total_steps - 1
        last = self.total_steps - 1
        up = (top, "initial_lr", "max_lr", "max_momentum", "base_momentum")
        if not three:
            return [up, (last, "max_lr", "min_lr", "base_momentum", "max_momentum")]
        down = (2 * top, "max_lr", "initial_lr", "base_momentum", "max_momentum")
        return [up, down, (last, "initial_lr", "min_lr", "max_momentum", "max_momentum")]

    def between(self, start: float, end: float, share: float) -> float:
        if self.strategy == "linear":
            return (end - start) * share + start
        return end + (start - end) / 2 * (1 + math.cos(math.pi * share))

    def get_lr(self) -> list[float]:
        t, begin = self.last_epoch, 0.0
        if t > self.total_steps:
            raise ArgumentError(f"step {t} is beyond the total of {self.total_steps}")
        for i, phase in enumerate(self.phases):
            if t <= phase[0] or i == len(self.phases) - 1:
                break
            begin = phase[0]
        end, lr0, lr1, m0, m1 = phase
        share = (t - begin) / (end - begin)
        if self.cycle_momentum:
            for group in self.optimizer.param_groups:
                _set_momentum(group, self.between(group[m0], group[m1], share))
        return [self.between(g[lr0], g[lr1], share) for g in self.optimizer.param_groups]


def _each(value: Any, groups: list[Any]) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value] * len(groups)


def _set_momentum(group: dict[str, Any], value: float) -> None:
    """Momentum under either of its names: momentum, or the first beta."""
    if "betas" in group:
        group["betas"] = (value, *group["betas"][1:])
    elif "momentum" in group:
        group["momentum"] = value
    else:
        raise ArgumentError("the optimizer has no momentum to cycle", "cycle_momentum=False")


class CyclicLR(LRScheduler):
    """Up and down between base_lr and max_lr (Smith, 2015)."""

    def __init__(
        self, optimizer: Optimizer, base_lr: Any, max_lr: Any, step_size_up: int = 2000,
        step_size_down: int | None = None, mode: str = "triangular", gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None, scale_mode: str = "cycle",
        cycle_momentum: bool = True, base_momentum: Any = 0.8, max_momentum: Any = 0.9,
        last_epoch: int = -1,
    ) -> None:  # fmt: skip
        if scale_fn is None and mode not in ("triangular", "triangular2", "exp_range"):
            raise ArgumentError(f"unknown mode {mode!r}")
        groups = optimizer.param_groups
        for group, low in zip(groups, _each(base_lr, groups)):
            if last_epoch == -1:
                group["lr"] = low
        self.max_lrs = _each(max_lr, groups)
        down = step_size_up if step_size_down is None else step_size_down
        self.total_size = float(step_size_up + down)
        self.step_ratio, self.mode, self.gamma = step_size_up / self.total_size, mode, gamma
        self.scale_fn = scale_fn
        self.by_cycle = scale_mode == "cycle" if scale_fn else mode != "exp_range"
        self.cycle_momentum = cycle_momentum
        self.base_momentums, self.max_momentums = (
            _each(base_momentum, groups),
            _each(max_momentum, groups),
        )
        if cycle_momentum and last_epoch == -1:
            for group, high in zip(groups, self.max_momentums):
                _set_momentum(group, high)
        super().__init__(optimizer, last_epoch)
        self.base_lrs = _each(base_lr, groups)

    def scale(self, x: float) -> float:
        if self.scale_fn is not None:
            return self.scale_fn(x)
        return {"triangular": 1.0, "triangular2": 1 / 2.0 ** (x - 1), "exp_range": self.gamma**x}[
            self.mode
        ]

    def get_lr(self) -> list[float]:
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1 + self.last_epoch / self.total_size - cycle
        height = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        share = height * self.scale(cycle if self.by_cycle else self.last_epoch)
        if self.cycle_momentum:
            ends = zip(self.optimizer.param_groups, self.base_momentums, self.max_momentums)
            for group, low, high in ends:
                _set_momentum(group, high - (high - low) * share)
        return [low + (high - low) * share for low, high in zip(self.base_lrs, self.max_lrs)]
