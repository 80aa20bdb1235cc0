"""Device names: "cpu", and "cuda" with or without a GPU's number."""

from __future__ import annotations

from typing import Any

from ..errors import ArgumentError


class device:
    """A place where tensors live: `device("cpu")`, `device("cuda")`, `device("cuda", 1)`."""

    __slots__ = ("index", "type")
    type: str
    index: int | None

    def __init__(self, type: Any = "cpu", index: int | None = None) -> None:
        if isinstance(type, device):
            type, index = type.type, type.index
        name, _, number = str(type).partition(":")
        if name not in ("cpu", "cuda") or (number and not number.isdigit()):
            raise ArgumentError(f"expected a device 'cpu' or 'cuda[:N]', got {type!r}")
        self.type = name
        self.index = int(number) if number else index

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            other = device(other)
        return isinstance(other, device) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        return f"device(type={self.type!r}" + (
            ")" if self.index is None else f", index={self.index})"
        )


CPU = device("cpu")
