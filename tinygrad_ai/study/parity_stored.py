"""A reference in a file: what a PyTorch model gave, for where there is no PyTorch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import serialization
from ..errors import ArgumentError, CheckpointError
from ..tensor import wrap
from .parity_report import Trace
from .parity_torch import torch

FORMAT = "tinygrad_ai parity 1"


@dataclass
class Stored:
    """The contents: the weights at the start, the batch, the results in order."""

    path: str
    state: dict[str, Any]
    batch: list[Any]
    trace: Trace
    dtype: str
    updates: int
    version: str
    loss: str | None
    optimizer: str | None

    def check(self, loss: Any, optimizer: Any) -> None:
        """ArgumentError if the reference had a loss or an optimizer and now there is none, or the
        other way round."""
        pairs = (("loss", self.loss, loss), ("optimizer", self.optimizer, optimizer))
        for name, then, now in pairs:
            if (then is None) != (now is None):
                said = f"with {name} {then}" if then else f"without {name}"
                raise ArgumentError(f"{self.path} was stored {said}", f"{name}=...")

    def fits(self, ours: dict[str, Any]) -> None:
        """ArgumentError unless a model has the same parameters."""
        mine = {n: tuple(a.shape) for n, a in ours.items()}
        theirs = {n: tuple(a.shape) for n, a in self.state.items()}
        if mine != theirs:
            differ = sorted(n for n in {*mine, *theirs} if mine.get(n) != theirs.get(n))
            raise ArgumentError(f"{self.path} is of another model: {', '.join(differ[:4])} differ")


def described(value: Any) -> str | None:
    """A loss or an optimizer in words."""
    if value is None:
        return None
    return repr(value) if type(value).__repr__ is not object.__repr__ else type(value).__name__


def write(path: Any, setup: Any, state: dict[str, Any], trace: Trace) -> None:
    arrays = {f"state/{n}": a for n, a in state.items()}
    arrays |= {f"batch/{i}": a for i, a in enumerate(setup.arrays)}
    keys = list(trace)
    arrays |= {f"trace/{i}": trace[k] for i, k in enumerate(keys) if trace[k] is not None}
    about = {
        "format": FORMAT, "keys": keys, "dtype": setup.dtype.name, "updates": setup.updates,
        "torch": str(torch().__version__), "batch": len(setup.arrays),
        "loss": described(setup.losses[0]), "optimizer": described(setup.optimizers[0]),
    }  # fmt: skip
    tensors = {name: wrap(np.asarray(a)) for name, a in arrays.items()}
    serialization.save(tensors, path, {"parity": json.dumps(about)})


def read(reference: Any) -> Stored:
    """A stored reference; CheckpointError for a file that is none."""
    arrays, metadata = serialization.read(Path(reference))
    try:
        about = json.loads(metadata["parity"])
        if about["format"] != FORMAT:
            raise KeyError(about["format"])
        keys = [tuple(k) for k in about["keys"]]
        trace: Trace = {(k[0], k[1]): arrays.get(f"trace/{i}") for i, k in enumerate(keys)}
        batch = [arrays[f"batch/{i}"] for i in range(about["batch"])]
        state = {n.removeprefix("state/"): a for n, a in arrays.items() if n.startswith("state/")}
        return Stored(str(reference), state, batch, trace, about["dtype"], about["updates"],
                      about["torch"], about["loss"], about["optimizer"])  # fmt: skip
    except (KeyError, ValueError, TypeError, IndexError) as error:
        text = f"{reference} is no stored reference of parity.store: {error!r}"
        raise CheckpointError(text) from None
