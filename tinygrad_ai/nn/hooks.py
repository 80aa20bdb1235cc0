"""Hooks of modules: functions called before and after forward, and around backward."""

from __future__ import annotations

from typing import Any

from ..autograd.function import Function
from ..hooks import HookHandle
from ..tensor import Tensor


class Hooks:
    """The hooks of one module, by the moment they are called at."""

    def __init__(self) -> None:
        self.before: dict[int, Any] = {}
        self.after: dict[int, Any] = {}
        self.backward: dict[int, Any] = {}


def add(module: Any, moment: str, entry: Any) -> HookHandle:
    if module._hooks is None:
        module.__dict__["_hooks"] = Hooks()
    return HookHandle(getattr(module._hooks, moment), entry)


def call(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """forward with the hooks around it."""
    found: Hooks = module._hooks
    for hook, with_kwargs in list(found.before.values()):
        result = hook(module, args, kwargs) if with_kwargs else hook(module, args)
        if result is not None:
            args, kwargs = result if with_kwargs else (_as_tuple(result), kwargs)
    gate = _Gate(module, list(found.backward.values())) if found.backward else None
    if gate:
        args = gate.enter(args)
    output = module.forward(*args, **kwargs)
    for hook, with_kwargs in list(found.after.values()):
        given = (module, args, kwargs, output) if with_kwargs else (module, args, output)
        result = hook(*given)
        output = output if result is None else result
    return gate.leave(output) if gate else output


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


class _Gate:
    """Two identities on the tape, around a module, where its backward hooks stand."""

    def __init__(self, module: Any, hooks: list[Any]) -> None:
        self.module, self.hooks = module, hooks
        self.grad_output: tuple[Any, ...] = ()

    def enter(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        tensors = [i for i, a in enumerate(args) if isinstance(a, Tensor)]
        if not any(args[i].requires_grad for i in tensors):
            return args
        passed = _as_tuple(_Passage.apply(self.arrived, *[args[i] for i in tensors]))
        fresh = dict(zip(tensors, passed, strict=True))
        return tuple([fresh.get(i, a) for i, a in enumerate(args)])

    def leave(self, output: Any) -> Any:
        outputs = _as_tuple(output)
        if not all(isinstance(y, Tensor) for y in outputs):
            return output
        passed = _Passage.apply(self.begun, *outputs)
        return passed if isinstance(output, tuple) else _as_tuple(passed)[0]

    def begun(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        self.grad_output = grads
        return grads

    def arrived(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        for hook, _ in self.hooks:
            result = hook(self.module, grads, self.grad_output)
            grads = grads if result is None else _as_tuple(result)
        return grads


class _Passage(Function):
    """y = x, and a function sees the gradients on their way back."""

    @staticmethod
    def forward(ctx: Any, seen: Any, *xs: Any) -> Any:
        ctx.seen = seen
        return tuple(x.detach() for x in xs)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return (None, *ctx.seen(grads))
