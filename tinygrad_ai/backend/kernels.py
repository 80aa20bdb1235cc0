"""The kernels worth accelerating, each in plain array code: this is what they mean.

Every kernel takes the backend first, then arrays, and returns arrays. A compiled version replaces
the entry of the same name and must give the same results.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

TABLE: dict[str, Callable[..., Any]] = {}


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Enters a function into the table of kernels."""
    TABLE[function.__name__] = function
    return function
