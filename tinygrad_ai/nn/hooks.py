"""Hooks of modules: functions called before and after forward, and around backward."""

from __future__ import annotations

from typing import Any

from ..autograd.function import Function
from ..errors import GradError
from ..hooks import HookHandle
from ..tensor import Tensor


class Hooks:
    """The hooks of one module, by the moment they are called at."""

    def __init__(self) -> None:
        self.before: dict[int, Any] = {}
        self.after: dict[int, Any] = {}
        self.gradient: dict[int, Any] = {}
        self.backward: dict[int, Any] = {}


def add(module: Any, moment: str, entry: Any, first: bool) -> HookHandle:
    if module._hooks is None:
        module.__dict__["_hooks"] = Hooks()
    hooks = getattr(module._hooks, moment)
    others = {} if not first else dict(hooks)
    if first:
        hooks.clear()
    handle = HookHandle(hooks, entry)
    hooks.update(others)
    return handle


def call(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """forward with the hooks around it."""
    found: Hooks = module._hooks
    waiting = list(found.after.values())
    try:
        for hook, with_kwargs in list(found.before.values()):
            result = hook(module, args, kwargs) if with_kwargs else hook(module, args)
            if result is not None:
                args, kwargs = result if with_kwargs else (_as_tuple(result), kwargs)
        gate = _Gate(module, found) if found.backward or found.gradient else None
        output = module.forward(*(gate.enter(args) if gate else args), **kwargs)
        while waiting:
            output = _after(waiting.pop(0), module, args, kwargs, output)
        return gate.leave(output) if gate else output
    except Exception:
        for entry in waiting:
            if entry[2]:  # always_call
                _after(entry, module, args, kwargs, None)
        raise


def _after(entry: Any, module: Any, args: Any, kwargs: Any, output: Any) -> Any:
    hook, with_kwargs, _ = entry
    result = hook(module, args, kwargs, output) if with_kwargs else hook(module, args, output)
    return output if result is None else result


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


class _Gate:
    """Two identities on the tape, around a module, where its backward hooks stand."""

    def __init__(self, module: Any, hooks: Hooks) -> None:
        self.module = module
        self.before, self.after = list(hooks.gradient.values()), list(hooks.backward.values())
        self.grad_output: tuple[Any, ...] = ()

    def enter(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        self.args = args
        self.wanted = any([isinstance(a, Tensor) and a.requires_grad for a in args])
        return _passed(args, self.arrived) if self.wanted else args

    def leave(self, output: Any) -> Any:
        self.outputs = _as_tuple(output)
        passed = _passed(self.outputs, self.begun)
        return passed if isinstance(output, tuple) else passed[0]

    def begun(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        """The gradients of the output are known: the hooks that come before the module's own."""
        for hook in self.before:
            result = hook(self.module, _spread(grads, self.outputs))
            grads = grads if result is None else _tensors(_as_tuple(result), self.outputs)
        self.grad_output = _spread(grads, self.outputs)
        if not self.wanted:
            self.arrived(())
        return grads

    def arrived(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        """The gradients of the input are known (none, if no input wants one)."""
        for hook in self.after:
            given = _spread(grads, self.args) if self.wanted else (None,) * len(self.args)
            result = hook(self.module, given, self.grad_output)
            if result is not None and not self.wanted:
                raise GradError("a backward hook gave a gradient, but no input requires one")
            grads = grads if result is None else _tensors(_as_tuple(result), self.args)
        return grads


def _passed(values: tuple[Any, ...], seen: Any) -> tuple[Any, ...]:
    """The values with every Tensor among them led through an identity on the tape."""
    tensors = [v for v in values if isinstance(v, Tensor)]
    return _spread(_as_tuple(_Passage.apply(seen, *tensors)), values, values) if tensors else values


def _spread(found: tuple[Any, ...], values: tuple[Any, ...], others: Any = None) -> tuple[Any, ...]:
    """What belongs to the Tensors, at their places; None, or `others`, elsewhere."""
    rest = iter(found)
    fill = others or (None,) * len(values)
    return tuple([next(rest) if isinstance(v, Tensor) else o for v, o in zip(values, fill)])


def _tensors(grads: tuple[Any, ...], values: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple([g for g, v in zip(grads, values) if isinstance(v, Tensor)])


class _Passage(Function):
    """y = x, and a function sees the gradients on their way back."""

    @staticmethod
    def forward(ctx: Any, seen: Any, *xs: Any) -> Any:
        ctx.seen = seen
        return tuple(x.detach() for x in xs)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return (None, *ctx.seen(grads))
