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
    "gradcheck": "doctor",
    "likeness": "likeness",
    "parity": "parity",
    "record": "watched",
    "taken_apart": "watched",
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


class _Room(ModuleType):
    """This package: a name of the table stays the function, though a module has the same name.
    (An import binds the module's name here.)"""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in NAMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Room
