"""How to look inside: tools that explain and check. Nothing else in the package imports them, and
each is loaded when it is first used."""

from __future__ import annotations

import sys
from difflib import get_close_matches
from importlib import import_module
from types import ModuleType
from typing import Any

NAMES = {  # each name, and the module it is in
    "definitions": "formula",
    "explain": "explain",
    "grade": "exercises.grading",
    "graph": "page.graph",
    "graph_recorder": "page.recorder",
    "lint": "lint",
    "quiz": "exercises.quiz",
    "record": "watched",
    "taken_apart": "watched",
    "to_source": "source",
    "watch": "watch",
    "why": "why",
}
__all__ = sorted(NAMES)


def __getattr__(name: str) -> Any:
    if name not in NAMES:
        near = get_close_matches(name, NAMES, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}")
    return getattr(import_module(f".{NAMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return [*globals(), *NAMES]


class _Study(ModuleType):
    """Where a module has the name of what it is for, as lint.lint, that name means the function:
    import would put the module there."""

    def __setattr__(self, name: str, value: Any) -> None:
        own = isinstance(value, ModuleType) and NAMES.get(name) == name
        super().__setattr__(name, getattr(value, name) if own else value)


sys.modules[__name__].__class__ = _Study
