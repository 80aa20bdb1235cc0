"""Learning rates over time. Each schedule is a formula from the last epoch to the rates.

Rates are computed from the current ones where PyTorch does so, so that schedules can be chained.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable
from typing import Any

from ..errors import ArgumentError
from .optimizer import Optimizer


class LRScheduler:
    """Base class: a subclass gives `get_lr()`, the rate of every group at `last_epoch`."""

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if not isinstance(optimizer, Optimizer):
            raise ArgumentError(f"expected an optimizer, got {type(optimizer).__name__}")
        self.optimizer, self.last_epoch = optimizer, last_epoch
        for group in optimizer.param_groups:
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise ArgumentError("a schedule that goes on needs 'initial_lr' in every group")
        self.base_lrs = [g["initial_lr"] for g in optimizer.param_groups]
        self._begin()

    def _begin(self) -> None:
        """The step that gives the first epoch its rates."""
        self._first = True
        self.step()
        self._first = False

    def restart(self) -> None:
        """Back to the initial rates and the first epoch."""
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        self.last_epoch = -1
        self._begin()

    def get_lr(self) -> list[float]:
        raise NotImplementedError

    def rates(self) -> list[float]:
        """The groups' rates as they are."""
        return [g["lr"] for g in self.optimizer.param_groups]

    def scaled(self, factor: float) -> list[float]:
        return [lr * factor for lr in self.rates()]

    def step(self) -> None:
        """The next epoch's rates."""
        self.last_epoch += 1
        for group, lr in zip(self.optimizer.param_groups, self.get_lr(), strict=True):
            group["lr"] = lr
        self._last_lr = self.rates()

    def get_last_lr(self) -> list[float]:
        return self._last_lr

    def state_dict(self) -> dict[str, Any]:
        """All but the optimizer and functions."""
        return {k: v for k, v in vars(self).items() if k != "optimizer" and not callable(v)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        vars(self).update(state_dict)


class LambdaLR(LRScheduler):
    """base · f(t), f a function or one for each group."""

    def __init__(self, optimizer: Optimizer, lr_lambda: Any, last_epoch: int = -1) -> None:
        count = len(optimizer.param_groups)
        self.lr_lambdas = (
            list(lr_lambda) if isinstance(lr_lambda, (list, tuple)) else [lr_lambda] * count
        )
        if len(self.lr_lambdas) != count:
            raise ArgumentError(f"expected {count} functions, got {len(self.lr_lambdas)}")
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return [base * f(self.last_epoch) for base, f in zip(self.base_lrs, self.lr_lambdas)]

    def state_dict(self) -> dict[str, Any]:
        return {k: v for k, v in super().state_dict().items() if k != "lr_lambdas"}


class MultiplicativeLR(LambdaLR):
    """lr · f(t) at every step."""

    def get_lr(self) -> list[float]:
        if self._first:
            return self.rates()
        return [lr * f(self.last_epoch) for lr, f in zip(self.rates(), self.lr_lambdas)]


class StepLR(LRScheduler):
    """lr · gamma every step_size epochs."""

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        due = self.last_epoch and self.last_epoch % self.step_size == 0
        return self.scaled(self.gamma if due else 1)


class MultiStepLR(LRScheduler):
    """lr · gamma at each milestone."""

    def __init__(
        self, optimizer: Optimizer, milestones: Any, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.milestones, self.gamma = Counter(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return self.scaled(self.gamma ** self.milestones[self.last_epoch])


class ConstantLR(LRScheduler):
    """base · factor for total_iters epochs, then base."""

    def __init__(
        self,
        optimizer: Optimizer,
        factor: float = 1.0 / 3,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not 0 <= factor <= 1:
            raise ArgumentError(f"expected factor in [0, 1], got {factor}")
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self.last_epoch == 0:
            return self.scaled(self.factor)
        return self.scaled(1 / self.factor if self.last_epoch == self.total_iters else 1)


class LinearLR(LRScheduler):
    """base · a factor that goes from start_factor to end_factor in total_iters epochs."""

    def __init__(
        self, optimizer: Optimizer, start_factor: float = 1.0 / 3, end_factor: float = 1.0,
        total_iters: int = 5, last_epoch: int = -1,
    ) -> None:  # fmt: skip
        if not 0 < start_factor <= 1 or not 0 <= end_factor <= 1:
            raise ArgumentError(f"expected factors in (0, 1], got {start_factor} and {end_factor}")
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self.last_epoch == 0:
            return self.scaled(self.start_factor)
        if self.last_epoch > self.total_iters:
            return self.rates()
        rise = self.end_factor - self.start_factor
        before = self.total_iters * self.start_factor + (self.last_epoch - 1) * rise
        return self.scaled(1 + rise / before)


class ExponentialLR(LRScheduler):
    """lr · gamma every epoch."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return self.scaled(self.gamma if self.last_epoch and not self._first else 1)


class PolynomialLR(LRScheduler):
    """base · (1 - t / T)^power"""

    def __init__(
        self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1
    ) -> None:
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        t, total = self.last_epoch, self.total_iters
        if t == 0 or t > total:
            return self.rates()
        return self.scaled(((1 - t / total) / (1 - (t - 1) / total)) ** self.power)


class CosineAnnealingLR(LRScheduler):
    """low + (base - low)(1 + cos(π t / T)) / 2   (Loshchilov & Hutter, 2016)"""

    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        t, total, low = self.last_epoch, self.T_max, self.eta_min
        if t == 0:
            return self.rates()
        if (t - 1 - total) % (2 * total) == 0:  # turning up again: the ratio below would be 0 / 0
            rise = (1 - math.cos(math.pi / total)) / 2
            return [lr + (base - low) * rise for lr, base in zip(self.rates(), self.base_lrs)]
        ratio = (1 + math.cos(math.pi * t / total)) / (1 + math.cos(math.pi * (t - 1) / total))
        return [low + (lr - low) * ratio for lr in self.rates()]


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
        self.eta_min, self.T_cur = eta_min, last_epoch
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        share = (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2
        return [self.eta_min + (base - self.eta_min) * share for base in self.base_lrs]

    def step(self, epoch: float | None = None) -> None:  # type: ignore[override]
        """The next epoch, or any (fractional) one."""
        t = max(self.last_epoch + 1, 0) if epoch is None else epoch
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


class SequentialLR(LRScheduler):
    """Schedules one after the other, each from its milestone."""

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: list[Any],
        milestones: list[int],
        last_epoch: int = -1,
    ) -> None:
        if len(milestones) != len(schedulers) - 1:
            raise ArgumentError(f"expected {len(schedulers) - 1} milestones, got {len(milestones)}")
        self.optimizer, self._schedulers, self._milestones = optimizer, schedulers, milestones
        self.last_epoch = last_epoch + 1
        schedulers[0].restart()  # the others have already made their first step
        self._last_lr = schedulers[0].get_last_lr()

    def step(self) -> None:
        self.last_epoch += 1
        i = bisect_right(self._milestones, self.last_epoch)
        now = self._schedulers[i]
        now.restart() if i > 0 and self._milestones[i - 1] == self.last_epoch else now.step()
        self._last_lr = now.get_last_lr()

    def state_dict(self) -> dict[str, Any]:
        rest = {k: v for k, v in vars(self).items() if k not in ("optimizer", "_schedulers")}
        return {**rest, "_schedulers": [s.state_dict() for s in self._schedulers]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        vars(self).update({k: v for k, v in state_dict.items() if k != "_schedulers"})
        for scheduler, state in zip(self._schedulers, state_dict["_schedulers"], strict=True):
            scheduler.load_state_dict(state)


class ChainedScheduler(SequentialLR):
    """Schedules all at once, each changing the rate the others left."""

    def __init__(self, schedulers: list[Any], optimizer: Optimizer | None = None) -> None:
        if not schedulers:
            raise ArgumentError("ChainedScheduler expects at least one schedule")
        self.optimizer, self._schedulers = optimizer or schedulers[0].optimizer, list(schedulers)
        self._last_lr = self.rates()

    def step(self) -> None:
        for scheduler in self._schedulers:
            scheduler.step()
        self._last_lr = self.rates()


class ReduceLROnPlateau(LRScheduler):
    """lr · factor when a metric has not improved for `patience` epochs."""

    def __init__(
        self, optimizer: Optimizer, mode: str = "min", factor: float = 0.1, patience: int = 10,
        threshold: float = 1e-4, threshold_mode: str = "rel", cooldown: int = 0, min_lr: Any = 0,
        eps: float = 1e-8,
    ) -> None:  # fmt: skip
        if factor >= 1 or mode not in ("min", "max") or threshold_mode not in ("rel", "abs"):
            raise ArgumentError(
                "expected factor < 1, mode 'min' or 'max', threshold_mode 'rel' or 'abs'"
            )
        self.optimizer, self.mode, self.factor, self.patience = optimizer, mode, factor, patience
        self.threshold, self.threshold_mode, self.cooldown, self.eps = (
            threshold,
            threshold_mode,
            cooldown,
            eps,
        )
        self.min_lrs = _each(min_lr, optimizer.param_groups)
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = self.last_epoch = 0
        self._last_lr = self.rates()

    def better(self, value: float) -> bool:
        sign = 1 if self.mode == "min" else -1
        margin = self.threshold * (abs(self.best) if self.threshold_mode == "rel" else 1)
        if math.isinf(self.best):
            return True
        if self.threshold_mode == "rel":
            margin = self.threshold * self.best * sign
        return sign * value < sign * self.best - margin

    def step(self, metrics: Any) -> None:  # type: ignore[override]
        """Takes this epoch's metric."""
        value = float(metrics)
        self.last_epoch += 1
        if self.better(value):
            self.best, self.num_bad_epochs = value, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self.reduce()
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        self._last_lr = self.rates()

    def reduce(self) -> None:
        for group, low in zip(self.optimizer.param_groups, self.min_lrs):
            lr = max(group["lr"] * self.factor, low)
            if group["lr"] - lr > self.eps:
                group["lr"] = lr
