"""RMSprop and Rprop: the gradient's size, or only its sign."""

from __future__ import annotations

from typing import Any

from ..ops.create import full_like, zeros_like
from ..ops.elementwise import sign
from ..ops.select import where
from ..ops.step import advance, advance_all, fused_all, rate
from ..tensor import Tensor
from .adam import moments
from .optimizer import Optimizer, check, counter


class RMSprop(Optimizer):
    """s ← ρ s + (1-ρ) g²;  p ← p - α g / (√s + ε)   (Hinton, 2012)

    ρ is `alpha`. centered: s is replaced by s - (mean of g)²; momentum: the step goes through
    b ← μ b + step.
    """

    capturable = True

    def __init__(
        self, params: Any, lr: float = 1e-2, alpha: float = 0.99, eps: float = 1e-8,
        weight_decay: float = 0, momentum: float = 0, centered: bool = False,
        capturable: bool = False, foreach: bool | None = None, maximize: bool = False,
        differentiable: bool = False,
    ) -> None:  # fmt: skip
        check(
            lr=(lr, lr >= 0), eps=(eps, eps >= 0), momentum=(momentum, momentum >= 0),
            weight_decay=(weight_decay, weight_decay >= 0), alpha=(alpha, alpha >= 0),
        )  # fmt: skip
        defaults = {
            "lr": lr, "alpha": alpha, "eps": eps, "weight_decay": weight_decay,
            "momentum": momentum, "centered": centered, "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, defaults)

    def init(self, p: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        names = ["square_avg"]
        names += ["momentum_buffer"] if group["momentum"] else []
        return moments(p, *names, *(["grad_avg"] if group["centered"] else []))

    def update_all(self, params: Any, grads: Any, states: Any, group: dict[str, Any]) -> None:
        advance_all([s["step"] for s in states])
        fused_all(
            "rmsprop_step", params, grads, [s["square_avg"] for s in states],
            [s.get("grad_avg") for s in states], [s.get("momentum_buffer") for s in states],
            lr=rate(group), alpha=group["alpha"], eps=group["eps"],
            weight_decay=group["weight_decay"], momentum=group["momentum"],
        )  # fmt: skip


class Rprop(Optimizer):
    """f = [g g' > 0] η₂ + [g g' = 0] + [g g' < 0] η₁;  s ← min(max(f s, low), high);
    g ← [g g' >= 0] g;  p ← p - s sign g;  g' ← g   (Riedmiller & Braun, 1993)

    g' is the last gradient, η are the `etas`, low and high the `step_sizes`; s begins with `lr`.
    """

    def __init__(
        self, params: Any, lr: float = 1e-2, etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50), *, capturable: bool = False,
        foreach: bool | None = None, maximize: bool = False, differentiable: bool = False,
    ) -> None:  # fmt: skip
        check(lr=(lr, lr >= 0), etas=(etas, 0 < etas[0] < 1 < etas[1]))
        super().__init__(
            params, {"lr": lr, "etas": etas, "step_sizes": step_sizes, "maximize": maximize}
        )

    def init(self, p: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        flat = p.detach()
        return {
            "step": counter(),
            "prev": zeros_like(flat),
            "step_size": full_like(flat, group["lr"]),
        }

    def update(self, p: Tensor, g: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        advance(state["step"])
        (slower, faster), (low, high) = group["etas"], group["step_sizes"]
        turn = g * state["prev"]
        factor = where(turn > 0, faster, where(turn < 0, slower, turn * 0 + 1))
        size = state["step_size"].mul_(factor).clamp_(low, high)
        g = where(turn < 0, 0.0, g)
        p.sub_(sign(g) * size)
        state["prev"].copy_(g)
