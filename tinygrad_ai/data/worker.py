"""Worker processes of a DataLoader: each takes tasks, loads batches, and sends them back."""

from __future__ import annotations

import queue
import traceback
from dataclasses import dataclass
from typing import Any

from ..errors import DataError
from ..ops.random import manual_seed
from .dataset import IterableDataset

END = "end"  # what a worker answers when its iterable data set is exhausted


@dataclass
class WorkerInfo:
    """Who this worker is: its number, how many there are, its seed and its data set."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


_info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """In a worker process, who it is; None in the main process."""
    return _info


class WorkerError(DataError):
    """An exception in a worker process, with the traceback it had there."""


def fetch(dataset: Any, indices: list[Any], collate: Any) -> Any:
    """One batch of a data set that is indexed."""
    many = getattr(dataset, "__getitems__", None)
    return collate(many(indices) if many else [dataset[i] for i in indices])


def work(info: WorkerInfo, tasks: Any, results: Any, collate: Any, start: Any) -> None:
    """The life of a worker: until None comes, loads what each task asks for."""
    global _info
    _info = info
    manual_seed(info.seed)
    try:
        if start is not None:
            start(info.id)
        stream = iter(info.dataset) if isinstance(info.dataset, IterableDataset) else None
    except Exception:
        results.put((None, info.id, traceback.format_exc()))
        return
    while (task := tasks.get()) is not None:
        number, indices = task
        try:
            results.put((number, None, _load(info.dataset, stream, indices, collate)))
        except Exception:
            results.put((number, info.id, traceback.format_exc()))


def _load(dataset: Any, stream: Any, indices: Any, collate: Any) -> Any:
    if stream is None:
        return fetch(dataset, indices, collate)
    samples = []
    for _ in range(indices):
        try:
            samples.append(next(stream))
        except StopIteration:
            break
    return collate(samples) if samples else END


def receive(results: Any, processes: list[Any], timeout: float) -> Any:
    """The next result; WorkerError if a worker died or nothing came in time."""
    waited = 0.0
    while True:
        try:
            return results.get(timeout=1.0 if not timeout else min(1.0, timeout))
        except queue.Empty:
            waited += 1.0
            for i, process in enumerate(processes):
                if not process.is_alive():
                    raise WorkerError(
                        f"DataLoader worker {i} died with exit code {process.exitcode}",
                        "num_workers=0 shows the error where it happens",
                    ) from None
            if timeout and waited >= timeout:
                raise WorkerError(f"no batch came within {timeout} seconds") from None
