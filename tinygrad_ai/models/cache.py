"""Keys and values of the places a decoder has read, so that each is computed once."""

from __future__ import annotations

from typing import Any

from ..autograd.mode import is_grad_enabled
from ..ops.create import empty
from ..ops.joining import cat


class KeyValueCache:
    """For each layer keys and values (N, H, S, D), which `update` lengthens.

    They stand in memory with room to spare, so that a step writes its own place and copies nothing;
    while gradients are recorded they are joined instead.
    """

    def __init__(self) -> None:
        self.layers: list[tuple[Any, Any]] = []  # what was read so far, views into the room
        self.room: list[tuple[Any, Any]] = []

    def get_seq_length(self) -> int:
        """How many places have been read."""
        return self.layers[0][0].shape[2] if self.layers else 0

    def update(self, key: Any, value: Any, layer: int) -> tuple[Any, Any]:
        """All keys and values of a layer, with these as the last ones."""
        if layer == len(self.layers):
            self.layers.append((key, value))
            self.room.append((key, value))
        elif is_grad_enabled() and (key.requires_grad or self.layers[layer][0].requires_grad):
            old = self.layers[layer]
            self.layers[layer] = cat([old[0], key], 2), cat([old[1], value], 2)
            self.room[layer] = self.layers[layer]
        else:
            self._write(key, value, layer)
        return self.layers[layer]

    def _write(self, key: Any, value: Any, layer: int) -> None:
        begin = self.layers[layer][0].shape[2]
        end = begin + key.shape[2]
        if end > self.room[layer][0].shape[2]:
            self.room[layer] = (
                _larger(self.layers[layer][0], 2 * end), _larger(self.layers[layer][1], 2 * end),
            )  # fmt: skip
        for room, new in zip(self.room[layer], (key, value)):
            room[:, :, begin:end] = new.detach()
        self.layers[layer] = tuple([room[:, :, :end] for room in self.room[layer]])  # type: ignore[assignment]


def _larger(x: Any, length: int) -> Any:
    """The same in memory for `length` places."""
    room = empty(*x.shape[:2], length, x.shape[3], dtype=x.dtype, device=x.device)
    room[:, :, : x.shape[2]] = x.detach()
    return room
