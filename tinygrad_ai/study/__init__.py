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
    "gradcheck": "doctor",
    "grade": "exercises.grading",
    "graph": "page.graph",
    "graph_recorder": "page.recorder",
    "likeness": "likeness",
    "lint": "lint",
    "parity": "parity",
    "profile": "profile",
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
    """A name of the table means the function, though a module has the same name: an import would
    put that module here."""

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, ModuleType) and name in NAMES:
            if NAMES[name] != name:
                return
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Study
