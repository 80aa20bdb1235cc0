"""All of a run's state in one file, so that a resumed run ends in the same weights, bit for bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..errors import CheckpointError
from ..serialization import load, load_metadata, save
from ..tensor import Tensor
from .loop import Loop

FILE = "checkpoint.safetensors"
PROGRESS = ("epoch", "batch", "seen", "correct", "loss", "seconds", "history")


def save_checkpoint(loop: Loop, run: Path) -> None:
    """Writes RUN/checkpoint.safetensors; the old one stays whole until the new one is complete."""
    tensors = {f"model.{name}": value for name, value in loop.model.state_dict().items()}
    numbers: dict[str, Any] = {name: getattr(loop, name) for name in PROGRESS}
    state = loop.optimizer.state_dict()
    numbers["param_groups"] = state["param_groups"]
    for index, slots in state["state"].items():
        for name, value in slots.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{index}.{name}"] = value
    save(tensors, run / FILE, metadata={"loop": json.dumps(numbers)})


def load_checkpoint(loop: Loop, run: Path) -> None:
    """Puts a loop where the checkpoint was taken; CheckpointError if it does not fit."""
    path = run / FILE
    if not path.exists():
        raise CheckpointError(f"nothing to resume: {path} does not exist", "start without --resume")
    tensors = load(path)
    try:
        numbers = json.loads(load_metadata(path)["loop"])
        progress = {name: numbers[name] for name in PROGRESS}
        groups = numbers["param_groups"]
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"{path} is no checkpoint of this program: {error!r}") from None
    weights: dict[str, Tensor] = {}
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        kind, _, name = key.partition(".")
        if kind == "model":
            weights[name] = value
        else:
            index, _, slot = name.partition(".")
            state.setdefault(int(index), {})[slot] = value
    loop.model.load_state_dict(weights)
    loop.optimizer.load_state_dict({"state": state, "param_groups": groups})
    for name, value in progress.items():
        setattr(loop, name, value)
