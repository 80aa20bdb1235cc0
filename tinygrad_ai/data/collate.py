"""From a list of samples to a batch of Tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import DTypeError
from ..ops.create import tensor
from ..ops.joining import stack
from ..tensor import Tensor
from .dataset import _Rows


def default_collate(batch: Any) -> Any:
    """Tensors, arrays and numbers are stacked; tuples, lists and dictionaries keep their form."""
    if isinstance(batch, _Rows):
        return list(batch)
    first = batch[0]
    if isinstance(first, Tensor):
        return stack(batch)
    if isinstance(first, (np.ndarray, np.generic)):
        return tensor(np.stack(batch))
    if isinstance(first, float):
        return tensor(np.array(batch, dtype=np.float64))
    if isinstance(first, int):
        return tensor(batch)
    if isinstance(first, (str, bytes)):
        return list(batch)
    if isinstance(first, Mapping):
        return {key: default_collate([sample[key] for sample in batch]) for key in first}
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*[default_collate(column) for column in zip(*batch, strict=True)])
    if isinstance(first, (tuple, list)):
        if len({len(sample) for sample in batch}) > 1:
            raise DTypeError("default_collate expects samples of one length in a batch")
        columns = [default_collate(list(column)) for column in zip(*batch, strict=True)]
        return columns
    raise DTypeError(f"default_collate cannot batch {type(first).__name__}", "collate_fn=...")


def default_convert(data: Any) -> Any:
    """A single sample as it is, its arrays as Tensors."""
    if isinstance(data, (np.ndarray, np.generic)):
        return tensor(data)
    if isinstance(data, Mapping):
        return {key: default_convert(value) for key, value in data.items()}
    if isinstance(data, (tuple, list)) and not hasattr(data, "_fields"):
        return type(data)([default_convert(value) for value in data])
    return data


def pinned(batch: Any) -> Any:
    """A batch whose tensors lie in page-locked memory; those on a GPU stay there."""
    if isinstance(batch, Tensor):
        return batch.pin_memory() if batch.device.type == "cpu" else batch
    if isinstance(batch, Mapping):
        return {key: pinned(value) for key, value in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*[pinned(value) for value in batch])
    if isinstance(batch, (tuple, list)):
        return type(batch)([pinned(value) for value in batch])
    return batch
