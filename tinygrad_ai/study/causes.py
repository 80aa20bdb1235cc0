"""A cause: what was found, how sure it is, and what to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Cause:
    """One reason. `score` from 0 to 1 orders several; `numbers` are those in the text."""

    code: str
    text: str
    score: float
    numbers: dict[str, Any] = field(default_factory=dict)
    place: str = ""  # file:line
    fix: str = ""

    def __str__(self) -> str:
        at = f" at {self.place}" if self.place else ""
        return f"{self.text}{at}" + (f"\n     fix: {self.fix}" if self.fix else "")
