"""Data sets: samples by index, or one after the other."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any

from ..errors import ArgumentError, RangeError, ShapeError
from ..ops.random import randperm
from ..tensor import Tensor


class Dataset:
    """Samples by index. Subclasses define __getitem__, and __len__ where a sampler needs it."""

    def __getitem__(self, index: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} defines no __getitem__")

    def __add__(self, other: Dataset) -> ConcatDataset:
        return ConcatDataset([self, other])


class IterableDataset(Dataset):
    """Samples one after the other. Subclasses define __iter__."""

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} defines no __iter__")

    def __add__(self, other: Dataset) -> Any:
        return ChainDataset([self, other])


class TensorDataset(Dataset):
    """Rows of tensors that share their first size: a sample is the tuple of their rows."""

    def __init__(self, *tensors: Tensor) -> None:
        if len({len(t) for t in tensors}) > 1:  # type: ignore[arg-type]
            sizes = ", ".join([str(t.shape) for t in tensors])
            raise ShapeError(f"TensorDataset expects one first size for all tensors, got {sizes}")
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Any, ...]:
        return tuple([t[index] for t in self.tensors])  # type: ignore[index]

    def __getitems__(self, indices: list[int]) -> _Rows:
        """Many rows at once: one look-up a tensor instead of one a sample."""
        return _Rows([t[indices] for t in self.tensors])  # type: ignore[index]

    def __len__(self) -> int:
        return len(self.tensors[0])  # type: ignore[arg-type]


class _Rows(list[Any]):
    """A batch that is collated already; default_collate takes it as it is."""


class StackDataset(Dataset):
    """Samples of several data sets side by side: tuples, or dictionaries for keywords."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if bool(args) == bool(kwargs):
            raise ArgumentError("StackDataset takes data sets either by position or by name")
        self.datasets: Any = kwargs or args
        if len({len(d) for d in self._all()}) > 1:
            raise ArgumentError(
                f"expected data sets of one length, got {[len(d) for d in self._all()]}"
            )

    def _all(self) -> list[Any]:
        return list(self.datasets.values() if isinstance(self.datasets, dict) else self.datasets)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(self.datasets, dict):
            return {name: d[index] for name, d in self.datasets.items()}
        return tuple([d[index] for d in self.datasets])

    def __len__(self) -> int:
        return len(self._all()[0])


class ConcatDataset(Dataset):
    """Data sets one after the other, by index."""

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ArgumentError("ConcatDataset expects at least one data set")
        if any(isinstance(d, IterableDataset) for d in self.datasets):
            raise ArgumentError("ConcatDataset cannot index an IterableDataset", "ChainDataset")
        self.cumulative_sizes = list(accumulate(len(d) for d in self.datasets))

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> Any:
        if not -len(self) <= index < len(self):
            raise RangeError(f"index {index} is outside a data set of {len(self)} samples")
        index %= len(self)
        which = bisect_right(self.cumulative_sizes, index)
        return self.datasets[which][index - ([0, *self.cumulative_sizes][which])]


class ChainDataset(IterableDataset):
    """Data sets one after the other, by iteration."""

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)

    def __iter__(self) -> Iterator[Any]:
        for dataset in self.datasets:
            yield from dataset

    def __len__(self) -> int:
        return sum(len(d) for d in self.datasets)


class Subset(Dataset):
    """The samples of a data set at some indices."""

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset, self.indices = dataset, indices

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, list):
            return self.dataset[[self.indices[i] for i in index]]
        return self.dataset[self.indices[index]]

    def __getitems__(self, indices: list[int]) -> Any:
        chosen = [self.indices[i] for i in indices]
        fetch = getattr(self.dataset, "__getitems__", None)
        return fetch(chosen) if fetch else [self.dataset[i] for i in chosen]

    def __len__(self) -> int:
        return len(self.indices)


def random_split(dataset: Any, lengths: Sequence[float], generator: Any = None) -> list[Subset]:
    """Disjoint random subsets of the given sizes, or of given shares that sum to 1."""
    total = len(dataset)
    sizes = [int(n) for n in lengths]
    if (
        math.isclose(sum(lengths), 1)
        and sum(lengths) <= 1 + 1e-9
        and any(n != int(n) or n == 1 for n in lengths)
    ):
        sizes = [math.floor(total * share) for share in lengths]
        for i in range(total - sum(sizes)):
            sizes[i % len(sizes)] += 1
    if sum(sizes) != total:
        raise ArgumentError(f"random_split: the sizes {list(lengths)} do not sum to {total}")
    order = randperm(total, generator=generator).tolist()  # type: ignore[attr-defined]
    ends = list(accumulate(sizes))
    return [Subset(dataset, order[end - n : end]) for end, n in zip(ends, sizes, strict=True)]
