"""Hooks: functions that are called when a gradient is known, and what takes them out again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .backend import storage


def RETAIN(grad: Any) -> Any:
    """The hook by which a node that is no leaf keeps its gradient."""
    return grad


class HookHandle:
    """What registering a hook returns; `remove()` takes the hook out again."""

    def __init__(self, hooks: dict[int, Callable[..., Any]], hook: Callable[..., Any]) -> None:
        self.hooks, self.id = hooks, storage.tick()
        hooks[self.id] = hook

    def remove(self) -> None:
        self.hooks.pop(self.id, None)

    def __enter__(self) -> HookHandle:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()
