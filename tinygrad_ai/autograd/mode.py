"""What is switched on in this thread: gradient recording, observers, and the module at work."""

from __future__ import annotations

import threading
from contextlib import ContextDecorator
from typing import Any


class State(threading.local):
    """One per thread. `observers` stand at the door of every op (see Op.__call__)."""

    mode = 1  # what shortcuts ask: 0 not recording, 1 recording, 2 somebody observes
    _grad = True
    _observers: tuple[Any, ...] = ()
    modules: tuple[Any, ...] = ()

    @property
    def grad(self) -> bool:
        """Whether operations are recorded."""
        return self._grad

    @grad.setter
    def grad(self, flag: bool) -> None:
        self._grad = flag
        self.mode = 2 if self._observers else int(flag)

    @property
    def observers(self) -> tuple[Any, ...]:
        return self._observers

    @observers.setter
    def observers(self, observers: tuple[Any, ...]) -> None:
        self._observers = observers
        self.mode = 2 if observers else int(self._grad)


state = State()


class _Mode(ContextDecorator):
    """A grad mode for a `with` block, `@mode` or `@mode()`."""

    mode: bool

    def __new__(cls, function: Any = None) -> Any:
        return super().__new__(cls) if function is None else cls()(function)

    def _recreate_cm(self) -> Any:  # a decorated function may call itself
        return type(self)()

    def __enter__(self) -> Any:
        self.before, state.grad = state.grad, self.mode
        return self

    def __exit__(self, *_: object) -> None:
        state.grad = self.before


class no_grad(_Mode):
    """Operations inside are not recorded: results do not require gradients."""

    mode = False


class enable_grad(_Mode):
    """Operations inside are recorded, also within no_grad."""

    mode = True


class inference_mode(_Mode):
    """As no_grad. PyTorch also forbids later use in recorded operations; here that is allowed."""

    mode = False

    def __new__(cls, mode: Any = True) -> Any:
        if mode is False:
            return enable_grad()
        return super().__new__(cls, None if mode is True else mode)


class set_grad_enabled(ContextDecorator):
    """`set_grad_enabled(flag)`: switches recording on or off, for good or for a `with` block."""

    def __init__(self, mode: bool) -> None:
        self.mode = mode
        self.before, state.grad = state.grad, mode

    def __enter__(self) -> set_grad_enabled:
        state.grad = self.mode
        return self

    def __exit__(self, *_: object) -> None:
        state.grad = self.before


def is_grad_enabled() -> bool:
    """Whether operations are being recorded in this thread."""
    return state.grad
