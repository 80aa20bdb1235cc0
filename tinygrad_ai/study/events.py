"""What profile() writes down: pieces of work with their time, their place and what they cost."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """A piece of work: an op, a rule, an optimizer's step, or what lies between them."""

    name: str  # the op's name, or the optimizer's class
    kind: str  # "forward", "backward", "walk", "optimizer", "python"
    start: float  # seconds since the profile began
    seconds: float  # own time, without events inside it
    path: str  # layer, as encoder.layer.0.fc; "" outside of a model
    place: str  # source line, as model.py:18
    flops: int
    bytes: int  # read and written, each array once
    calls: int = 1  # 0 where a piece goes on, after others inside it
