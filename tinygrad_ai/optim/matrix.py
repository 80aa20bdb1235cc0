"""Optimizers that look at a matrix as a whole: Adafactor and Muon."""

from __future__ import annotations

import math
from typing import Any

from ..backend.dtypes import finfo
from ..errors import ArgumentError
from ..ops.create import zeros_like, zeros_shaped
from ..ops.elementwise import clamp, lerp, rsqrt
from ..ops.matmul import matmul
from ..ops.norm import vector_norm
from ..ops.reduce import mean
from ..ops.shape import transpose
from ..ops.step import advance
from ..tensor import Tensor
from .optimizer import Optimizer, check, counter


class Adafactor(Optimizer):
    """s = t^decay;  r ← r + s (across(g²) - r);  c ← c + s (down(g²) - c);  v = r @ c / down(r);
    u = g / √v;  α = max(ε₂, rms(p)) min(lr, 1 / √t);  p ← p - α u / max(1, rms(u) / d)

    Adam's second moment as the product of its row and column means (Shazeer & Stern, 2018):
    across is the mean of each row, down that of each column. ε₁ keeps v and the mean of r from 0;
    vectors keep v whole.
    """

    def __init__(
        self, params: Any, lr: float = 1e-2, beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3), d: float = 1.0, weight_decay: float = 0.0,
        *, foreach: bool | None = None, maximize: bool = False,
    ) -> None:  # fmt: skip
        check(
            lr=(lr, lr >= 0), beta2_decay=(beta2_decay, beta2_decay <= 0), d=(d, d >= 1),
            eps=(eps, (eps[0] is None or eps[0] >= 0) and eps[1] >= 0),
            weight_decay=(weight_decay, weight_decay >= 0),
        )  # fmt: skip
        defaults = {
            "lr": lr, "beta2_decay": beta2_decay, "eps": eps, "d": d, "weight_decay": weight_decay,
            "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, defaults)

    def init(self, p: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        flat = p.detach()
        if p.ndim < 2:
            return {"step": counter(), "variance": zeros_like(flat)}
        rows, columns = (*p.shape[:-1], 1), (*p.shape[:-2], 1, p.shape[-1])
        kept = {"row_var": zeros_shaped(flat, rows), "col_var": zeros_shaped(flat, columns)}
        return {"step": counter(), **kept}

    def update(self, p: Tensor, g: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        step = advance(state["step"])
        eps1, eps2 = group["eps"]
        eps1 = float(finfo(p.dtype).eps) if eps1 is None else eps1
        share = step ** group["beta2_decay"]
        alpha = max(eps2, rms(p)) * min(group["lr"], 1 / math.sqrt(step))
        if group["weight_decay"]:
            p.mul_(1 - group["lr"] * group["weight_decay"])
        if p.ndim > 1:
            rows = state["row_var"].lerp_(mean(g * g, -1, True), share)
            columns = state["col_var"].lerp_(mean(g * g, -2, True), share)
            v = matmul(rows, columns) / clamp(mean(rows, -2, True), min=eps1)
        else:
            v = state["variance"].lerp_(g * g, share)
        u = g * rsqrt(clamp(v, min=eps1 * eps1))
        p.add_(u, alpha=-alpha / max(1.0, rms(u) / group["d"]))


def rms(x: Any) -> float:
    """The root of the mean square."""
    return float(vector_norm(x).item()) / math.sqrt(math.prod(x.shape))


class Muon(Optimizer):
    """v ← μ v + (1 - μ) g;  u = g + μ (v - g);  s = √max(1, rows / columns);
    p ← (1 - αλ) p - α s orthogonal(u)   (Jordan, 2024)

    For matrices. Without Nesterov u is v. orthogonal brings all singular values near 1 by a few
    Newton-Schulz steps X ← a X + (b X Xᵀ + c (X Xᵀ)²) X, here in the parameter's own dtype
    (PyTorch uses bfloat16).
    """

    def __init__(
        self, params: Any, lr: float = 1e-3, weight_decay: float = 0.1, momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7, ns_steps: int = 5, adjust_lr_fn: str | None = None,
    ) -> None:  # fmt: skip
        known = (None, "original", "match_rms_adamw")
        check(
            lr=(lr, lr >= 0), momentum=(momentum, momentum >= 0),
            ns_steps=(ns_steps, ns_steps < 100), adjust_lr_fn=(adjust_lr_fn, adjust_lr_fn in known),
            weight_decay=(weight_decay, weight_decay >= 0),
        )  # fmt: skip
        defaults = {
            "lr": lr, "weight_decay": weight_decay, "momentum": momentum, "nesterov": nesterov,
            "ns_coefficients": ns_coefficients, "eps": eps, "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }  # fmt: skip
        super().__init__(params, defaults)
        for group in self.param_groups:
            for p in group["params"]:
                if p.ndim != 2:
                    raise ArgumentError(
                        f"Muon is for matrices, got a parameter of shape {p.shape}", "AdamW"
                    )

    def init(self, p: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        return {"momentum_buffer": zeros_like(p.detach())}

    def update(self, p: Tensor, g: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        v = state["momentum_buffer"].lerp_(g, 1 - group["momentum"])
        v = lerp(g, v, group["momentum"]) if group["nesterov"] else v
        rows, columns = p.shape
        scale = math.sqrt(max(1, rows / columns))
        if group["adjust_lr_fn"] == "match_rms_adamw":
            scale = 0.2 * math.sqrt(max(rows, columns))
        p.mul_(1 - group["lr"] * group["weight_decay"])
        p.add_(orthogonal(v, group), alpha=-group["lr"] * scale)


def orthogonal(x: Any, group: dict[str, Any]) -> Any:
    """x with its singular values brought near 1."""
    a, b, c = group["ns_coefficients"]
    tall = x.shape[0] > x.shape[1]
    x = transpose(x, 0, 1) if tall else x
    x = x / clamp(vector_norm(x), min=group["eps"])
    for _ in range(group["ns_steps"]):
        gram = matmul(x, transpose(x, 0, 1))
        x = a * x + matmul(b * gram + c * matmul(gram, gram), x)
    return transpose(x, 0, 1) if tall else x
