"""The optimizer under a microscope: what its next step would do to one parameter, and why.

The step is taken with copies, so nothing changes: parameters, gradients, state, step counts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from ..autograd.mode import recording
from ..errors import ArgumentError, GradError
from ..ops.norm import vector_norm
from ..tensor import Tensor


@dataclass
class Inspection:
    """The next step of one parameter: its number, or 0 where the optimizer counts none. `state` is
    the optimizer's after it, under its own names, `hats` the moments without their bias; `update`
    is what is added to the parameter."""

    name: str
    step: int
    options: dict[str, Any]
    w: Tensor
    g: Tensor
    state: dict[str, Any]
    hats: dict[str, Tensor]
    update: Tensor

    @property
    def ratio(self) -> float:
        """|update| / |w|: about 1e-3 in a training that goes well; infinite where w is 0."""
        size = _norm(self.w)
        return _norm(self.update) / size if size else math.inf if _norm(self.update) else 0.0

    def rows(self) -> list[tuple[str, Tensor]]:
        """Everything in the parameter's shape, by name, in the order it is computed."""
        kept = [(k, v) for k, v in self.state.items() if isinstance(v, Tensor) and k != "step"]
        state = [(k, v) for k, v in kept if v.shape == self.w.shape]
        return [("w", self.w), ("g", self.g), *state, *self.hats.items(), ("update", self.update)]

    def to_dict(self) -> dict[str, Any]:
        """Norms and extremes, as JSON has them: None for what is not finite."""
        tensors = {name: _finite(_summary(t)) for name, t in self.rows()}
        plain = (int, float, bool, str, tuple)
        options = {k: v for k, v in self.options.items() if isinstance(v, plain)}
        return {"name": self.name, "step": self.step, "options": options,
                **_finite({"ratio": self.ratio}), "tensors": tensors}  # fmt: skip

    def __str__(self) -> str:
        at = f"step {self.step}, " if self.step else ""
        head = f"{self.name} {tuple(self.w.shape)}: {at}lr {self.options['lr']:g}"
        lines = [f"{head}, |update| / |w| = {self.ratio:.2e}"]
        rows = self.rows()
        wide = max([len(name) for name, _ in rows]) + 1
        lines.append(f"{'':{wide}}{'norm':>12}{'smallest':>12}{'largest':>12}  first")
        for name, t in rows:
            s = _summary(t)
            first = " ".join([f"{v:.3g}" for v in t.reshape(-1)[:3].tolist()])
            lines.append(f"{name:{wide}}{s['norm']:12.3e}{s['min']:12.3e}{s['max']:12.3e}  {first}")
        return "\n".join(lines)


def inspect(optimizer: Any, parameter: Any) -> Inspection:
    """What `optimizer.step()` would do to a parameter, given by its name, number or itself.

    Names are known where the optimizer was given model.named_parameters(). ArgumentError for a
    parameter it does not have, GradError for one without a gradient.
    """
    group, p, name = _found(optimizer, parameter)
    if p.grad is None:
        raise GradError(f"{name} has no gradient", "inspect between backward() and step()")
    with recording(False):
        w, g = p.detach().clone(), p.grad.detach().clone()
        state = {k: _copy(v) for k, v in optimizer.state.get(p, {}).items()}
        state = state or optimizer.init(w, group)
        after = w.clone()
        given = -g if group.get("maximize") else g
        try:
            optimizer.update_all([after], [given], [state], group)
        except NotImplementedError:
            kind = type(optimizer).__name__
            raise ArgumentError(f"{kind} takes no step of one parameter alone") from None
        options = {k: v for k, v in group.items() if k not in ("params", "param_names")}
        hats = optimizer.hats(state, group)
        return Inspection(name, _steps(state), options, w, g, state, hats, after - w)


def _found(optimizer: Any, wanted: Any) -> tuple[dict[str, Any], Tensor, str]:
    known: dict[str, tuple[dict[str, Any], Tensor]] = {}
    for group in optimizer.param_groups:
        for i, p in enumerate(group["params"]):
            own = group.get("param_names", [])[i : i + 1]
            name = own[0] if own and own[0] is not None else str(len(known))
            if p is wanted or (type(wanted) is int and wanted == len(known)):
                return group, p, name
            known[name] = group, p
    if isinstance(wanted, Tensor):
        raise ArgumentError(
            f"the optimizer has no such parameter, of shape {tuple(wanted.shape)}",
            "optimizer.add_param_group({'params': [p]})",
        )
    if str(wanted) not in known:
        near = get_close_matches(str(wanted), known, 1) or list(known)[:1]
        fix = f"{near[0]!r}, or give the optimizer model.named_parameters()"
        raise ArgumentError(f"the optimizer knows no parameter {wanted!r}", fix)
    return *known[str(wanted)], str(wanted)


def _copy(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value


def _steps(state: dict[str, Any]) -> int:
    step = state.get("step", 0)
    return int(step.item()) if isinstance(step, Tensor) else int(step)


def _norm(t: Tensor) -> float:
    return float(vector_norm(t.double()).item()) if t.numel() else 0.0


def _finite(numbers: dict[str, float]) -> dict[str, float | None]:
    return {k: v if math.isfinite(v) else None for k, v in numbers.items()}


def _summary(t: Tensor) -> dict[str, float]:
    if not t.numel():
        return {"norm": 0.0, "min": 0.0, "max": 0.0}
    return {"norm": _norm(t), "min": float(t.min().item()), "max": float(t.max().item())}
