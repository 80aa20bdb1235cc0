"""Adagrad and Adadelta: steps scaled by all the gradients there have been."""

from __future__ import annotations

from typing import Any

from ..ops.arithmetic import sqrt
from ..ops.create import full_like
from ..ops.step import advance
from ..tensor import Tensor
from .adam import moments
from .optimizer import Optimizer, check, counter


class Adagrad(Optimizer):
    """s ← s + g²;  p ← p - α / (1 + (t-1) η) g / (√s + ε)   (Duchi et al., 2011)

    η is `lr_decay`.
    """

    def __init__(
        self, params: Any, lr: float = 1e-2, lr_decay: float = 0, weight_decay: float = 0,
        initial_accumulator_value: float = 0, eps: float = 1e-10, foreach: bool | None = None, *,
        maximize: bool = False, differentiable: bool = False, fused: bool | None = None,
    ) -> None:  # fmt: skip
        check(
            lr=(lr, lr >= 0), lr_decay=(lr_decay, lr_decay >= 0), eps=(eps, eps >= 0),
            weight_decay=(weight_decay, weight_decay >= 0),
        )  # fmt: skip
        defaults = {
            "lr": lr, "lr_decay": lr_decay, "eps": eps, "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value, "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, defaults)

    def init(self, p: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        start = full_like(p.detach(), group["initial_accumulator_value"])
        return {"step": counter(), "sum": start}

    def update(self, p: Tensor, g: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        step = advance(state["step"])
        if group["weight_decay"]:
            g = g + group["weight_decay"] * p
        lr = group["lr"] / (1 + (step - 1) * group["lr_decay"])
        state["sum"].addcmul_(g, g)
        p.addcdiv_(g, sqrt(state["sum"]) + group["eps"], value=-lr)


class Adadelta(Optimizer):
    """s ← ρs + (1-ρ)g²;  d = g √(u+ε) / √(s+ε);  u ← ρu + (1-ρ)d²;  p ← p - α d   (Zeiler, 2012)"""

    def __init__(
        self, params: Any, lr: float = 1.0, rho: float = 0.9, eps: float = 1e-6,
        weight_decay: float = 0, foreach: bool | None = None, *, capturable: bool = False,
        maximize: bool = False, differentiable: bool = False,
    ) -> None:  # fmt: skip
        check(
            lr=(lr, lr >= 0), rho=(rho, 0 <= rho <= 1), eps=(eps, eps >= 0),
            weight_decay=(weight_decay, weight_decay >= 0),
        )  # fmt: skip
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def init(self, p: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        return moments(p, "square_avg", "acc_delta")

    def update(self, p: Tensor, g: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        advance(state["step"])
        rho, eps = group["rho"], group["eps"]
        if group["weight_decay"]:
            g = g + group["weight_decay"] * p
        s, u = state["square_avg"], state["acc_delta"]
        s.mul_(rho).addcmul_(g, g, value=1 - rho)
        d = g * sqrt(u + eps) / sqrt(s + eps)
        u.mul_(rho).addcmul_(d, d, value=1 - rho)
        p.sub_(d * group["lr"])
