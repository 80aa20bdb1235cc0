"""Loss scaling, so that small gradients survive float16 (Micikevicius et al., 2017)."""

from __future__ import annotations

from typing import Any

from ..autograd.mode import no_grad
from ..backend import dtypes
from ..errors import CheckpointError, DTypeError, GradError
from ..ops.compare import isfinite
from ..tensor import Tensor
from .optimizer import Optimizer, check

Numbers = dict[str, float]


class GradScaler:
    """The loss times a scale, the gradients divided by it, and no step where one overflowed.

    scaler.scale(loss).backward(); scaler.step(optimizer); scaler.update(). The scale is multiplied
    by `backoff_factor` after an overflow, by `growth_factor` after `growth_interval` steps
    without one. With enabled=False it does nothing but call the optimizer.
    """

    def __init__(
        self, device: str = "cuda", init_scale: float = 65536.0, growth_factor: float = 2.0,
        backoff_factor: float = 0.5, growth_interval: int = 2000, enabled: bool = True,
    ) -> None:  # fmt: skip
        check(
            growth_factor=(growth_factor, growth_factor > 1),
            backoff_factor=(backoff_factor, backoff_factor < 1),
        )
        self._enabled, self._scale, self._growth_tracker = enabled, float(init_scale), 0
        self._growth_factor, self._backoff_factor = growth_factor, backoff_factor
        self._growth_interval = growth_interval
        self.overflowed: dict[int, bool] = {}  # of the optimizers whose gradients are unscaled

    def scale(self, outputs: Any) -> Any:
        """Tensors, also in lists and tuples, times the scale."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, (list, tuple)):
            return type(outputs)([self.scale(x) for x in outputs])
        return outputs * self._scale

    def unscale_(self, optimizer: Optimizer) -> None:
        """Divides the gradients by the scale, once for each step; before clipping them.

        GradError the second time, DTypeError for float16 gradients: parameters must be float32.
        """
        if not self._enabled:
            return
        if id(optimizer) in self.overflowed:
            raise GradError(
                "unscale_() has already been called for this optimizer since the last update()"
            )
        bad: Any = 0
        with no_grad():
            for g in self._gradients(optimizer):
                g.mul_(1.0 / self._scale)  # type: ignore[attr-defined]
                bad = bad + (~isfinite(g)).sum().cpu()
        self.overflowed[id(optimizer)] = bool(bad)

    def _gradients(self, optimizer: Optimizer) -> list[Tensor]:
        found: list[Tensor] = []
        for group in optimizer.param_groups:
            found += [p.grad for p in group["params"] if p.grad is not None]
        if any([g.dtype == dtypes.float16 for g in found]):
            raise DTypeError("GradScaler cannot unscale float16 gradients", "model.float()")
        return found

    def step(self, optimizer: Optimizer, *args: Any, **kwargs: Any) -> Any:
        """optimizer.step(...), unless a gradient is infinite or NaN."""
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if id(optimizer) not in self.overflowed:
            self.unscale_(optimizer)
        return None if self.overflowed[id(optimizer)] else optimizer.step(*args, **kwargs)

    def update(self, new_scale: Any = None) -> None:
        """The next step's scale: `new_scale`, or by what was seen since the last update."""
        if not self._enabled:
            return
        if new_scale is not None:
            self._scale = float(new_scale)
        elif not self.overflowed:
            raise GradError("update() found no step since the last one", "scaler.step(optimizer)")
        elif any(self.overflowed.values()):
            self._scale, self._growth_tracker = self._scale * self._backoff_factor, 0
        else:
            self._growth_tracker += 1
            if self._growth_tracker == self._growth_interval:
                self._scale, self._growth_tracker = self._scale * self._growth_factor, 0
        self.overflowed = {}

    def get_scale(self) -> float:
        return self._scale if self._enabled else 1.0

    def is_enabled(self) -> bool:
        return self._enabled

    def state_dict(self) -> dict[str, Any]:
        """The numbers, under PyTorch's names; empty if not enabled."""
        if not self._enabled:
            return {}
        return {
            "scale": self._scale, "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor, "growth_interval": self._growth_interval,
            "_growth_tracker": self._growth_tracker,
        }  # fmt: skip

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over numbers of state_dict, ours or PyTorch's. CheckpointError if it is empty."""
        if not self._enabled:
            return
        if not state_dict:
            raise CheckpointError("the state is empty: it was saved by a scaler with enabled=False")
        self._scale, self._growth_tracker = state_dict["scale"], state_dict["_growth_tracker"]
        self._growth_factor = state_dict["growth_factor"]
        self._backoff_factor = state_dict["backoff_factor"]
        self._growth_interval = state_dict["growth_interval"]
