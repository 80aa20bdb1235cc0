"""Adam and its family: steps scaled by the running moments of the gradient."""

from __future__ import annotations

from typing import Any

from ..backend.dtypes import float32, promote_types
from ..ops.arithmetic import sqrt
from ..ops.create import tensor, zeros_like
from ..ops.elementwise import abs, maximum
from ..ops.step import advance, advance_all, fused_all, rate
from ..tensor import Tensor
from .optimizer import Optimizer, check, counter


def check_common(lr: float, betas: tuple[float, float], eps: float, weight_decay: float) -> None:
    check(
        lr=(lr, lr >= 0), eps=(eps, eps >= 0), weight_decay=(weight_decay, weight_decay >= 0),
        betas=(betas, all(0 <= b < 1 for b in betas)),
    )  # fmt: skip


def moments(p: Tensor, *names: str) -> dict[str, Any]:
    """A step counter and zeros in p's shape under each name."""
    return {"step": counter(), **{name: zeros_like(p.detach()) for name in names}}


def unbiased(state: dict[str, Any], group: dict[str, Any]) -> dict[str, Any]:
    """m̂ and v̂ of a state that has had a step; with amsgrad of the largest v, as the step does."""
    step, (beta1, beta2) = state["step"].item(), group["betas"]
    v = state["max_exp_avg_sq" if group.get("amsgrad") else "exp_avg_sq"]
    return {"m_hat": state["exp_avg"] / (1 - beta1**step), "v_hat": v / (1 - beta2**step)}


class Adam(Optimizer):
    """m ← β₁m + (1-β₁)g;  v ← β₂v + (1-β₂)g²;  m̂ = m / (1 - β₁ᵗ);  v̂ = v / (1 - β₂ᵗ);
    p ← p - α m̂ / (√v̂ + ε)   (Kingma & Ba, 2014)

    amsgrad: v̂ from the largest v so far. Weight decay is added to the gradient (L2), unless
    `decoupled_weight_decay`.
    """

    capturable = True

    def __init__(
        self, params: Any, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8, weight_decay: float = 0, amsgrad: bool = False, *,
        foreach: bool | None = None, maximize: bool = False, capturable: bool = False,
        differentiable: bool = False, fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:  # fmt: skip
        check_common(lr, betas, eps, weight_decay)
        defaults = {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad,
            "maximize": maximize, "decoupled_weight_decay": decoupled_weight_decay,
        }  # fmt: skip
        super().__init__(params, defaults)

    def init(self, p: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        extra = ("max_exp_avg_sq",) if group["amsgrad"] else ()
        return moments(p, "exp_avg", "exp_avg_sq", *extra)

    def update_all(self, params: Any, grads: Any, states: Any, group: dict[str, Any]) -> None:
        fused_all(
            "adam_step", params, grads, [s["exp_avg"] for s in states],
            [s["exp_avg_sq"] for s in states], [s.get("max_exp_avg_sq") for s in states],
            t=advance_all([s["step"] for s in states]), lr=rate(group), beta1=group["betas"][0],
            beta2=group["betas"][1], eps=group["eps"], weight_decay=group["weight_decay"],
            decoupled=group["decoupled_weight_decay"],
        )  # fmt: skip

    def hats(self, state: dict[str, Any], group: dict[str, Any]) -> dict[str, Any]:
        return unbiased(state, group)


class AdamW(Adam):
    """p ← (1 - αλ) p   (Loshchilov & Hutter, 2017)

    Then as Adam: decoupled weight decay.
    """

    def __init__(
        self, params: Any, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8, weight_decay: float = 1e-2, amsgrad: bool = False, **options: Any,
    ) -> None:  # fmt: skip
        options["decoupled_weight_decay"] = True
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, **options)


class Adamax(Optimizer):
    """m ← β₁m + (1-β₁)g;  u ← max(β₂u, |g| + ε);  p ← p - α m / ((1 - β₁ᵗ) u)

    (Kingma & Ba, 2014)
    """

    def __init__(
        self, params: Any, lr: float = 2e-3, betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8, weight_decay: float = 0, foreach: bool | None = None, *,
        maximize: bool = False, differentiable: bool = False, capturable: bool = False,
    ) -> None:  # fmt: skip
        check_common(lr, betas, eps, weight_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def init(self, p: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        return moments(p, "exp_avg", "exp_inf")

    def update(self, p: Tensor, g: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        step = advance(state["step"])
        beta1, beta2 = group["betas"]
        if group["weight_decay"]:
            g = g + group["weight_decay"] * p
        state["exp_avg"].lerp_(g, 1 - beta1)
        state["exp_inf"].copy_(maximum(state["exp_inf"] * beta2, abs(g) + group["eps"]))
        size = group["lr"] / (1 - beta1**step)
        p.addcdiv_(state["exp_avg"], state["exp_inf"], value=-size)

    def hats(self, state: dict[str, Any], group: dict[str, Any]) -> dict[str, Any]:
        return {"m_hat": state["exp_avg"] / (1 - group["betas"][0] ** state["step"].item())}


class NAdam(Optimizer):
    """m ← β₁m + (1-β₁)g;  v ← β₂v + (1-β₂)g²;  μ = β₁ (1 - 0.96^(t δ) / 2);
    μ' = β₁ (1 - 0.96^((t + 1) δ) / 2);  c ← c μ;
    p ← p - α ((1 - μ) / (1 - c) g + μ' / (1 - c μ') m) / (√v̂ + ε)   (Dozat, 2016)

    Adam with Nesterov momentum: μ' is that of the next step, δ is `momentum_decay`, v̂ is Adam's.
    """

    def __init__(
        self, params: Any, lr: float = 2e-3, betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8, weight_decay: float = 0, momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False, *, foreach: bool | None = None,
        maximize: bool = False, capturable: bool = False, differentiable: bool = False,
    ) -> None:  # fmt: skip
        check_common(lr, betas, eps, weight_decay)
        defaults = {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
            "momentum_decay": momentum_decay, "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, defaults)

    def init(self, p: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        # A product of many factors near 1 needs more than 16 bits.
        product = tensor(1.0, dtype=promote_types(p.dtype, float32))
        return {**moments(p, "exp_avg", "exp_avg_sq"), "mu_product": product}

    def update(self, p: Tensor, g: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        step = advance(state["step"])
        (beta1, beta2), lr = group["betas"], group["lr"]
        if group["weight_decay"] and group["decoupled_weight_decay"]:
            p.mul_(1 - lr * group["weight_decay"])
        elif group["weight_decay"]:
            g = g + group["weight_decay"] * p
        mu, mu_next = [
            beta1 * (1 - 0.5 * 0.96 ** (t * group["momentum_decay"])) for t in (step, step + 1)
        ]
        state["mu_product"] *= mu
        product = state["mu_product"].item()
        m, v = state["exp_avg"].lerp_(g, 1 - beta1), state["exp_avg_sq"]
        v.mul_(beta2).addcmul_(g, g, value=1 - beta2)
        d = sqrt(v / (1 - beta2**step)) + group["eps"]
        p.addcdiv_(g, d, value=-lr * (1 - mu) / (1 - product))
        p.addcdiv_(m, d, value=-lr * mu_next / (1 - product * mu_next))

    def hats(self, state: dict[str, Any], group: dict[str, Any]) -> dict[str, Any]:
        return unbiased(state, group)


class RAdam(Optimizer):
    """m ← β₁m + (1-β₁)g;  v ← β₂v + (1-β₂)g²;  n = 2 / (1 - β₂) - 1;
    ρ = n - 2 t β₂ᵗ / (1 - β₂ᵗ);  r = √((ρ - 4) (ρ - 2) n / ((n - 4) (n - 2) ρ));
    p ← p - α r m̂ √(1 - β₂ᵗ) / (√v + ε)   (Liu et al., 2019)

    Adam whose step is scaled by r, the rectified variance. Until ρ is above 5,
    p ← p - α m̂. m̂ is Adam's.
    """

    def __init__(
        self, params: Any, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8, weight_decay: float = 0, decoupled_weight_decay: bool = False, *,
        foreach: bool | None = None, maximize: bool = False, capturable: bool = False,
        differentiable: bool = False,
    ) -> None:  # fmt: skip
        check_common(lr, betas, eps, weight_decay)
        defaults = {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
            "decoupled_weight_decay": decoupled_weight_decay, "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, defaults)

    def init(self, p: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        return moments(p, "exp_avg", "exp_avg_sq")

    def update(self, p: Tensor, g: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        step = advance(state["step"])
        (beta1, beta2), lr = group["betas"], group["lr"]
        if group["weight_decay"] and group["decoupled_weight_decay"]:
            p.mul_(1 - lr * group["weight_decay"])
        elif group["weight_decay"]:
            g = g + group["weight_decay"] * p
        m, v = state["exp_avg"].lerp_(g, 1 - beta1), state["exp_avg_sq"]
        v.mul_(beta2).addcmul_(g, g, value=1 - beta2)
        correction = 1 - beta2**step
        limit = 2 / (1 - beta2) - 1
        rho = limit - 2 * step * beta2**step / correction
        move = m / (1 - beta1**step)
        if rho > 5:
            rectified = (rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho)
            move = move * ((rectified * correction) ** 0.5 / (sqrt(v) + group["eps"]))
        p.sub_(move * lr)

    def hats(self, state: dict[str, Any], group: dict[str, Any]) -> dict[str, Any]:
        return unbiased(state, group)
