"""What is switched on in this thread: the recording of gradients, and observers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ContextDecorator
from functools import partial, wraps
from inspect import isgeneratorfunction
from typing import Any


class State(threading.local):
    """One per thread. `observers` stand at the door of every op (see Op.__call__)."""

    mode = 1  # what shortcuts ask: 0 not recording, 1 recording, 2 somebody observes
    _grad = True
    _observers: tuple[Any, ...] = ()
    always: tuple[Any, ...] = ()  # of the class: observers that no block takes away

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
        self._observers = (*[o for o in observers if o not in self.always], *self.always)
        self.mode = 2 if self._observers else int(self._grad)


state = State()


class _Mode(ContextDecorator):
    """A grad mode for a `with` block, `@mode` or `@mode()`."""

    mode: bool

    def __new__(cls, function: Any = None) -> Any:
        return super().__new__(cls) if function is None else cls()(function)

    def __call__(self, function: Any) -> Any:
        if isgeneratorfunction(function):
            return _stepwise(self._recreate_cm, function)
        return super().__call__(function)

    def _recreate_cm(self) -> Any:  # a decorated function may call itself
        return type(self)()

    def __enter__(self) -> Any:
        self.before, state.grad = state.grad, self.mode
        return self

    def __exit__(self, *_: object) -> None:
        state.grad = self.before


def _stepwise(mode: Callable[[], Any], function: Callable[..., Any]) -> Callable[..., Any]:
    """A generator function whose body runs in a mode, and leaves it wherever it yields."""

    @wraps(function)
    def generator(*args: Any, **kwargs: Any) -> Any:
        inner = function(*args, **kwargs)
        step = partial(inner.send, None)
        while True:
            try:
                with mode():
                    value = step()
            except StopIteration as end:
                return end.value
            try:
                step = partial(inner.send, (yield value))
            except BaseException as error:  # thrown in by the caller: the body's to handle
                step = partial(inner.throw, error)

    return generator


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


class set_grad_enabled(_Mode):
    """`set_grad_enabled(flag)`: switches recording on or off, for good or for a `with` block."""

    def __new__(cls, mode: bool) -> Any:
        return super().__new__(cls)

    def __init__(self, mode: bool) -> None:
        self.mode = mode
        self.before, state.grad = state.grad, mode

    def __call__(self, function: Any) -> Any:
        state.grad = self.before  # it decorates: nothing was to be switched yet
        return super().__call__(function)

    def _recreate_cm(self) -> Any:
        return enable_grad() if self.mode else no_grad()

    def __enter__(self) -> Any:
        state.grad = self.mode
        return self


class recording:
    """What no_grad and enable_grad do, for the engine's own use: lighter, and no decorator."""

    __slots__ = ("before", "mode")

    def __init__(self, mode: bool) -> None:
        self.mode = mode

    def __enter__(self) -> None:
        self.before, state._grad = state._grad, self.mode
        if state.mode != 2:
            state.mode = int(self.mode)

    def __exit__(self, *_: object) -> None:
        state.grad = self.before


def is_grad_enabled() -> bool:
    """Whether operations are being recorded in this thread."""
    return state.grad
