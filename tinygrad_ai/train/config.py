"""What decides the outcome of a training run, in one record that is saved with it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from .. import optim
from ..errors import ArgumentError, CheckpointError
from ..serialization import write_text

OPTIMIZERS = {
    "sgd": optim.SGD,
    "adam": optim.Adam,
    "adamw": optim.AdamW,
    "rmsprop": optim.RMSprop,
}


@dataclass(frozen=True)
class Config:
    """One run. `data` is a folder of IDX files, or None for the digits in the package."""

    epochs: int = 10
    batch_size: int = 64
    lr: float = 1e-3
    optimizer: str = "adam"
    hidden: int = 1024
    seed: int = 0
    device: str = "cpu"
    data: str | None = None

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "hidden"):
            if getattr(self, name) < 1:
                raise ArgumentError(f"expected {name} >= 1, got {getattr(self, name)}")
        if self.optimizer not in OPTIMIZERS:
            known = ", ".join(OPTIMIZERS)
            raise ArgumentError(f"expected an optimizer of {known}, got {self.optimizer!r}")

    def save(self, run: Path) -> None:
        write_text(run / "config.json", json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def load(cls, run: Path) -> Config:
        """Reads RUN/config.json; CheckpointError says what is wrong with it."""
        path = run / "config.json"
        try:
            found = json.loads(path.read_text())
            if "model_type" in found:
                kind = (found.get("architectures") or ["AutoModel"])[0]
                raise CheckpointError(
                    f"{run} holds a model of texts, expected a run of train, for pictures",
                    f"{kind}.from_pretrained({str(run)!r})",
                )
            return cls(**{f.name: found[f.name] for f in fields(cls)})
        except FileNotFoundError:
            raise CheckpointError(f"{run} is no run folder: it has no config.json") from None
        except (ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"{path} is damaged: {error!r}") from None
