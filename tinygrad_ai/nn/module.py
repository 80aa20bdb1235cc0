"""Module: a tree of parameters, buffers and submodules with a forward function.

What is assigned as an attribute and is a Parameter or a Module is registered under that name, in
the order of assignment. Knows Tensors, not how a gradient is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from difflib import get_close_matches
from typing import Any, NamedTuple

from ..autograd.mode import no_grad
from ..errors import ArgumentError, CheckpointError, TinygradError
from ..hooks import HookHandle
from ..ops.create import zeros_like
from ..tensor import Tensor
from . import hooks
from .parameter import Parameter


class IncompatibleKeys(NamedTuple):
    """What load_state_dict could not match."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Module:
    """Base of all layers. Subclasses call super().__init__() first and define forward."""

    training: bool = True

    def __init__(self) -> None:
        own = self.__dict__
        own["_parameters"], own["_buffers"], own["_modules"] = {}, {}, {}
        own["_transient"] = set()  # buffers that are not saved
        own["_hooks"] = None  # made by the first hook, see hooks.py

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} defines no forward")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            if self._hooks is None:
                return self.forward(*args, **kwargs)
            return hooks.call(self, args, kwargs)
        except TinygradError as error:
            error.path.append(self)
            raise

    # ---- attributes

    def __setattr__(self, name: str, value: Any) -> None:
        tables = self.__dict__.get("_parameters")
        if tables is None and isinstance(value, (Parameter, Module)):
            raise ArgumentError(f"call super().__init__() before assigning {name}")
        if isinstance(value, Parameter):
            self._take_out(name, self._parameters)
            self._parameters[name] = value
        elif isinstance(value, Module):
            self._take_out(name, self._modules)
            self._modules[name] = value
        elif tables is not None and name in self._buffers:
            self._buffers[name] = value
        elif tables is not None and value is None and name in self._parameters:
            self._parameters[name] = None
        elif tables is not None and value is None and name in self._modules:
            self._modules[name] = None
        else:
            object.__setattr__(self, name, value)
            return
        self.__dict__[name] = value  # so that reading an attribute costs nothing extra

    def _take_out(self, name: str, keep: Any = None) -> None:
        """From all tables but one, where what is assigned again keeps its place."""
        for table in (self._parameters, self._buffers, self._modules):
            if table is not keep:
                table.pop(name, None)

    def __delattr__(self, name: str) -> None:
        self._take_out(name)
        object.__delattr__(self, name)

    def __getattr__(self, name: str) -> Any:  # only called for what is missing
        known = [n for n in object.__dir__(self) if not n.startswith("_")]
        near = get_close_matches(name, known, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}{hint}")

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        self._parameters[name] = param
        self.__dict__[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """A tensor that belongs to the state but is not trained; saved if persistent."""
        self._buffers[name] = tensor
        self.__dict__[name] = tensor
        (self._transient.discard if persistent else self._transient.add)(name)

    def register_module(self, name: str, module: Module | None) -> None:
        self._modules[name] = module
        self.__dict__[name] = module

    add_module = register_module

    # ---- the tree

    def named_children(self) -> Iterator[tuple[str, Module]]:
        return iter([(n, m) for n, m in self._modules.items() if m is not None])

    def children(self) -> Iterator[Module]:
        return iter([m for _, m in self.named_children()])

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module and all below it, each once, with dotted names."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, child in self.named_children():
            yield from child.named_modules(memo, _dotted(prefix, name), remove_duplicate)

    def modules(self) -> Iterator[Module]:
        return iter([m for _, m in self.named_modules()])

    def _named(
        self, table: str, prefix: str, recurse: bool, once: bool
    ) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        owners = (
            self.named_modules(prefix=prefix, remove_duplicate=once)
            if recurse
            else [(prefix, self)]
        )
        for path, module in owners:
            for name, value in getattr(module, table).items():
                if value is not None and id(value) not in seen:
                    if once:
                        seen.add(id(value))
                    yield _dotted(path, name), value

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """All parameters with their dotted names; shared ones once."""
        return self._named("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        return iter([p for _, p in self.named_parameters(recurse=recurse)])

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        return self._named("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        return iter([b for _, b in self.named_buffers(recurse=recurse)])

    def get_submodule(self, target: str) -> Module:
        """The module at a dotted path."""
        module = self
        for name in target.split(".") if target else []:
            if name not in module._modules or module._modules[name] is None:
                raise AttributeError(
                    f"{type(module).__name__} has no submodule {name!r} ({target})"
                )
            module = module._modules[name]
        return module

    def get_parameter(self, target: str) -> Parameter:
        path, _, name = target.rpartition(".")
        return self.get_submodule(path)._parameters[name]

    def get_buffer(self, target: str) -> Tensor:
        path, _, name = target.rpartition(".")
        return self.get_submodule(path)._buffers[name]

    # ---- state

    def state_dict(
        self, destination: dict[str, Any] | None = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Any]:
        """Parameters and persistent buffers by dotted name, without history, in their memory."""
        found = {} if destination is None else destination
        for table, skip in ((self._parameters, set()), (self._buffers, self._transient)):
            for name, value in table.items():
                if value is not None and name not in skip:
                    found[prefix + name] = value if keep_vars else value.detach()
        for name, child in self.named_children():
            child.state_dict(found, f"{prefix}{name}.", keep_vars)
        return found

    def load_state_dict(
        self, state_dict: dict[str, Any], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Copies values into this module. CheckpointError lists keys that are missing, unexpected
        (with strict) or of the wrong shape; then nothing has been changed.
        """
        own = self.state_dict(keep_vars=True)
        missing = [k for k in own if k not in state_dict]
        unexpected = [k for k in state_dict if k not in own]
        shapes = [
            f"{k}: expected {own[k].shape}, got {tuple(state_dict[k].shape)}"
            for k in own
            if k in state_dict and tuple(state_dict[k].shape) != own[k].shape
        ]
        if shapes or (strict and (missing or unexpected)):
            raise CheckpointError(
                _mismatch(type(self).__name__, missing, unexpected, shapes, list(own), strict)
            )
        with no_grad():
            for name, target in own.items():
                if name in state_dict and assign:
                    target.data = state_dict[name]
                elif name in state_dict:
                    target.copy_(state_dict[name])
        return IncompatibleKeys(missing, unexpected)

    # ---- all parameters at once

    def train(self, mode: bool = True) -> Any:
        """Training mode for this module and all below; returns self."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Any:
        """Evaluation mode: dropout off, running statistics used."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        for p in self.parameters():
            p.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets the gradients of all parameters, or sets them to zero."""
        for p in self.parameters():
            if p.grad is not None:
                p.grad = None if set_to_none else zeros_like(p.grad)

    def _apply(self, change: Callable[[Tensor], Tensor]) -> Any:
        """Replaces the memory of every parameter, its gradient, and every buffer."""
        for p in self.parameters():
            grad = p.grad
            p.data = change(p.data)
            p.grad = None if grad is None else change(grad)
        for module in self.modules():
            for name, buffer in module._buffers.items():
                if buffer is not None:
                    module._buffers[name] = module.__dict__[name] = change(buffer)
        return self

    def to(self, *args: Any, **kwargs: Any) -> Any:
        """Moves and converts: `m.to(device)`, `m.to(dtype)`; integers keep their dtype."""
        where = {k: v for k, v in kwargs.items() if k != "dtype"}
        rest = [a for a in args if not hasattr(a, "itemsize")]
        return self._apply(
            lambda x: x.to(*args, **kwargs) if x.is_floating_point() else x.to(*rest, **where)
        )

    def float(self) -> Any:
        return self._apply(lambda x: x.float() if x.is_floating_point() else x)

    def double(self) -> Any:
        return self._apply(lambda x: x.double() if x.is_floating_point() else x)

    def half(self) -> Any:
        return self._apply(lambda x: x.half() if x.is_floating_point() else x)

    def bfloat16(self) -> Any:
        return self._apply(lambda x: x.bfloat16() if x.is_floating_point() else x)

    def cpu(self) -> Any:
        return self.to("cpu")

    def cuda(self, device: Any = None) -> Any:
        return self._apply(lambda x: x.cuda(device))

    def apply(self, fn: Callable[[Module], Any]) -> Any:
        """Calls fn on every module, children first; returns self."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    # ---- hooks

    def register_forward_pre_hook(
        self, hook: Any, *, prepend: bool = False, with_kwargs: bool = False
    ) -> HookHandle:
        """hook(module, args) before forward; it may return other args."""
        return hooks.add(self, "before", (hook, with_kwargs), prepend)

    def register_forward_hook(
        self, hook: Any, *, prepend: bool = False, with_kwargs: bool = False,
        always_call: bool = False,
    ) -> HookHandle:  # fmt: skip
        """hook(module, args, output) after forward; it may return another output.

        `always_call`: also if forward raised, with None as the output.
        """
        return hooks.add(self, "after", (hook, with_kwargs, always_call), prepend)

    def register_full_backward_pre_hook(self, hook: Any, prepend: bool = False) -> HookHandle:
        """hook(module, grad_output) before the module's backward; may return another one."""
        return hooks.add(self, "gradient", hook, prepend)

    def register_full_backward_hook(self, hook: Any, prepend: bool = False) -> HookHandle:
        """hook(module, grad_input, grad_output); it may return another grad_input."""
        return hooks.add(self, "backward", hook, prepend)

    # ---- text

    def extra_repr(self) -> str:
        """What stands in the parentheses of repr."""
        return ""

    def describe(self) -> str:
        """A few words for error messages, e.g. Linear 784 -> 1024."""
        return type(self).__name__

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        children = [f"({n}): {_indented(repr(m))}" for n, m in self._modules.items()]
        if not children and len(lines) <= 1:
            return f"{type(self).__name__}({extra})"
        return f"{type(self).__name__}(\n  " + "\n  ".join(lines + children) + "\n)"


def _dotted(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name


def _indented(text: str) -> str:
    return text.replace("\n", "\n  ")


def _mismatch(
    kind: str,
    missing: list[str],
    unexpected: list[str],
    shapes: list[str],
    known: list[str],
    strict: bool,
) -> str:
    """The message of a state that does not fit."""
    lines = [f"the state does not fit {kind}:"]
    if strict and missing:
        lines.append(f"  missing: {', '.join(missing)}")
    for key in unexpected if strict else []:
        near = get_close_matches(key, known, 1)
        lines.append(f"  unexpected: {key}" + (f" (nearest: {near[0]})" if near else ""))
    return "\n".join(lines + [f"  wrong shape: {s}" for s in shapes])
