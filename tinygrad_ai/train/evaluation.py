"""Evaluation and prediction for the Trainer: what comes of them, and how batches are joined."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ..ops.create import full
from ..tensor import Tensor

PADDING = -100


class EvalPrediction:
    """What compute_metrics gets: NumPy arrays (or tuples of them) of predictions and labels, and
    inputs and losses if `include_for_metrics` asks for them."""

    def __init__(
        self, predictions: Any, label_ids: Any, inputs: Any = None, losses: Any = None
    ) -> None:
        self.predictions, self.label_ids = predictions, label_ids
        self.inputs, self.losses = inputs, losses
        extra = [x for x in (inputs, losses) if x is not None]
        self.elements = (predictions, label_ids, *extra)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.elements)

    def __getitem__(self, idx: int) -> Any:
        return self.elements[idx]


class EvalLoopOutput(NamedTuple):
    predictions: Any
    label_ids: Any
    metrics: dict[str, float]
    num_samples: int


class PredictionOutput(NamedTuple):
    """predictions and label_ids as NumPy arrays in the order of the data set; metrics by name."""

    predictions: Any
    label_ids: Any
    metrics: dict[str, float]


class TrainOutput(NamedTuple):
    global_step: int
    training_loss: float
    metrics: dict[str, float]


def detached(value: Any) -> Any:
    """Tensors on the CPU without history, also inside tuples, lists and dictionaries."""
    if isinstance(value, Tensor):
        return value.detach().cpu()
    if isinstance(value, Mapping):
        return {k: detached(v) for k, v in value.items()}
    if isinstance(value, (tuple, list)):
        return tuple([detached(v) for v in value])
    return value


def joined(parts: list[Any]) -> Any:
    """The batches' tensors one under the other as NumPy arrays; -100 fills up shorter rows."""
    if not parts:
        return None
    first = parts[0]
    if isinstance(first, tuple):
        return tuple([joined(list(column)) for column in zip(*parts, strict=True)])
    if isinstance(first, dict):
        return {key: joined([part[key] for part in parts]) for key in first}
    if not isinstance(first, Tensor):
        return parts
    rows: list[Any] = [p.reshape(1) if p.ndim == 0 else p for p in parts]  # type: ignore[attr-defined]
    sizes = [max([r.shape[d] for r in rows]) for d in range(1, rows[0].ndim)]
    whole: Any = full((sum([len(r) for r in rows]), *sizes), PADDING, dtype=rows[0].dtype)
    start = 0
    for r in rows:
        place = (slice(start, start + len(r)), *[slice(0, n) for n in r.shape[1:]])
        whole[place] = r
        start += len(r)
    return whole.numpy()


def batch_length(inputs: Any) -> int:
    """How many samples a batch has."""
    if isinstance(inputs, Tensor):
        return int(inputs.shape[0]) if inputs.ndim else 1
    values = inputs.values() if isinstance(inputs, Mapping) else inputs
    return next((batch_length(v) for v in values if isinstance(v, Tensor) and v.ndim), 0)


def plain(value: Any) -> Any:
    """NumPy's numbers and 0-d tensors as Python's, so that JSON can hold them."""
    if isinstance(value, Mapping):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", 1) == 0 else value


def speed(prefix: str, seconds: float, samples: float, steps: float) -> dict[str, float]:
    """Time and throughput under Hugging Face's names."""
    return {
        f"{prefix}_runtime": round(seconds, 4),
        f"{prefix}_samples_per_second": round(samples / max(seconds, 1e-9), 3),
        f"{prefix}_steps_per_second": round(steps / max(seconds, 1e-9), 3),
    }
