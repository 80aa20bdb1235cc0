"""What all optimizers share: groups of parameters, their state, and the step over them."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from ..autograd.mode import enable_grad, recording
from ..backend import torch_bits
from ..errors import ArgumentError, CheckpointError
from ..ops.create import tensor, zeros_like
from ..ops.step import begin, fresh_state
from ..tensor import Tensor
from .inspection import Inspection, inspect


class Optimizer:
    """Base class. A subclass gives `init(p, group)`, the state of one parameter, and
    `update(p, g, state, group)`, its formula; both see one Tensor at a time, unrecorded.
    """

    capturable = False  # whether `update` can be captured as a part of a CUDA graph

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self.state: dict[Tensor, dict[str, Any]] = {}
        self.param_groups: list[dict[str, Any]] = []
        if isinstance(params, Tensor):
            raise ArgumentError("expected an iterable of parameters, got one tensor", "[parameter]")
        groups = list(params)
        if not groups:
            raise ArgumentError("the optimizer got an empty parameter list")
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            self.add_param_group(group)

    def init(self, p: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        """The state of a parameter before its first step."""
        return {}

    def update(self, p: Tensor, g: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        """One step for one parameter, in place."""
        raise NotImplementedError

    def update_all(
        self, params: list[Tensor], grads: list[Tensor], states: list[Any], group: dict[str, Any]
    ) -> None:
        """One step for all parameters of a group; one by one, unless a subclass knows better."""
        for p, g, state in zip(params, grads, states, strict=True):
            self.update(p, g, state, group)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Parameters with options of their own; what a group does not say is the default."""
        group = dict(param_group)
        params = group["params"]
        pairs = [p if isinstance(p, tuple) else (None, p) for p in _listed(params)]
        known = {id(p) for g in self.param_groups for p in g["params"]}
        for _, p in pairs:
            if not isinstance(p, Tensor):
                raise ArgumentError(f"expected tensors to optimize, got {type(p).__name__}")
            if not p.is_leaf:
                raise ArgumentError("only leaves can be optimized", "x.detach().requires_grad_()")
            if id(p) in known:
                raise ArgumentError("a parameter appears more than once in the optimizer")
            known.add(id(p))
        group["params"] = [p for _, p in pairs]
        if any(name is not None for name, _ in pairs):
            group["param_names"] = [name for name, _ in pairs]
        self.param_groups.append(
            {**group, **{k: group.get(k, v) for k, v in self.defaults.items()}}
        )

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets all gradients, or sets them to zero."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.grad = None if set_to_none else zeros_like(p.grad)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Updates every parameter that has a gradient; returns what the closure returned."""
        loss = None
        begin(self)
        if closure is not None:
            with enable_grad():
                loss = closure()
        with recording(False):
            for group in self.param_groups:
                grads: list[Any] = [p.grad for p in group["params"]]
                params = [p for p, g in zip(group["params"], grads) if g is not None]
                grads = [g.detach() if g.node else g for g in grads if g is not None]
                if group.get("maximize"):
                    grads = [-g for g in grads]
                states = [self.state_of(p, group) for p in params]
                self.update_all(params, grads, states, group)
        return loss

    def inspect(self, parameter: Any) -> Inspection:
        """What the next step would do to a parameter (its name, number or itself), and from what:
        print it. Nothing changes. See inspection.py."""
        return inspect(self, parameter)

    def hats(self, state: dict[str, Any], group: dict[str, Any]) -> dict[str, Tensor]:
        """The moments in a state without the bias of their start at 0, by name, if it has them."""
        return {}

    def state_of(self, p: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        state = self.state.get(p)
        if state is None:
            fresh_state()
            state = self.state[p] = self.init(p, group)
        return state

    # ---- saving, in PyTorch's layout

    def state_dict(self) -> dict[str, Any]:
        """{"state": {index: {...}}, "param_groups": [...]}, as PyTorch lays it out."""
        order = self._order()
        groups = []
        for group in self.param_groups:
            kept = {k: v for k, v in group.items() if k != "params"}
            groups.append({**kept, "params": [order[id(p)] for p in group["params"]]})
        return {"state": {order[id(p)]: s for p, s in self.state.items()}, "param_groups": groups}

    def _order(self) -> dict[int, int]:
        params = [p for group in self.param_groups for p in group["params"]]
        return {id(p): i for i, p in enumerate(params)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over a state of this class or of PyTorch's. CheckpointError if it does not fit."""
        groups = state_dict["param_groups"]
        sizes = [[len(g["params"]) for g in side] for side in (groups, self.param_groups)]
        if sizes[0] != sizes[1]:
            raise CheckpointError(
                f"the saved state has parameter groups of sizes {sizes[0]}, "
                f"this optimizer {sizes[1]}"
            )
        index = {i: p for g, own in zip(groups, self.param_groups, strict=True)
                 for i, p in zip(g["params"], own["params"], strict=True)}  # fmt: skip
        self.state = {
            index[int(i)]: self._adopted(s, index[int(i)]) for i, s in state_dict["state"].items()
        }
        for saved, own in zip(groups, self.param_groups, strict=True):
            own.update({k: deepcopy(v) for k, v in saved.items() if k != "params"})

    def _adopted(self, saved: dict[str, Any], p: Tensor) -> dict[str, Any]:
        """A saved state as our Tensors, in copies of their own."""
        state = {}
        for name, value in saved.items():
            if hasattr(value, "detach"):
                home = p.device if value.ndim else "cpu"  # counters stay where they are read
                value = tensor(_on_host(value), device=home)
                if name != "step" and value.is_floating_point():
                    value = value.to(p.dtype)
            state[name] = value
        return state

    def __repr__(self) -> str:
        lines = []
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {k}: {group[k]}" for k in sorted(group) if k != "params"]
        return f"{type(self).__name__} (\n" + "\n".join(lines) + "\n)"


def _on_host(value: Any) -> Any:
    """A tensor of ours or PyTorch's as an array in host memory."""
    array = torch_bits(value.detach().cpu())
    return array.numpy() if hasattr(array, "numpy") else array


def _listed(params: Any) -> list[Any]:
    return [params] if isinstance(params, Tensor) else list(params)


def counter() -> Tensor:
    """The number of steps taken, kept as PyTorch keeps it: a 0-d float tensor."""
    return tensor(0.0)


def check(**rules: tuple[Any, bool]) -> None:
    """Raises ArgumentError for the first option whose condition does not hold."""
    for name, (value, holds) in rules.items():
        if not holds:
            raise ArgumentError(f"invalid value for {name}: {value}")
