"""Batches for the Trainer. Which samples come, in what order and with which random draws depends
on the seed, the epoch and the number of the batch alone: a run can go on in the middle of an epoch,
and worker processes change nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ..data import DataLoader, IterableDataset
from ..data.worker import fetch
from ..errors import ArgumentError, DataError
from ..ops.random import Generator, randperm
from .randomness import mixed, seeded

LABELS = {"label", "label_ids", "labels"}
Order = Callable[[Generator], list[int]]


class Numbered(list[int]):
    """The indices of a batch, and the seed of what is drawn while it is made."""

    seed = 0

    def __reduce__(self) -> Any:  # lists forget attributes on their way to a worker
        return _numbered, (list(self), self.seed)


def _numbered(indices: list[int], seed: int) -> Numbered:
    made = Numbered(indices)
    made.seed = seed
    return made


class Source:
    """A data set that gives whole batches, drawn and collated under the batch's own seed."""

    def __init__(self, dataset: Any, collate: Any) -> None:
        self.dataset, self.collate, self.collator = dataset, collate, inner(collate)

    def __getitems__(self, indices: Numbered) -> Any:
        own = getattr(self.collator, "generator", None)
        if not isinstance(own, Generator):
            with seeded(indices.seed):
                return fetch(self.dataset, list(indices), self.collate)
        self.collator.generator = None  # so that it, too, draws from the batch's streams
        try:
            with seeded(mixed(indices.seed, own.initial_seed())):
                return fetch(self.dataset, list(indices), self.collate)
        finally:
            self.collator.generator = own


class Batches:
    """Batches of a data set that has a length, from any batch of any epoch on."""

    def __init__(
        self, dataset: Any, batch_size: int, collate: Any, order: Order, seed: int,
        drop_last: bool = False, **options: Any,
    ) -> None:  # fmt: skip
        if len(dataset) == 0:
            raise DataError("the data set is empty")
        self.dataset, self.batch_size, self.order, self.seed = dataset, batch_size, order, seed
        self.drop_last, self.options, self.epoch = drop_last, options, 0
        self.source = Source(dataset, collate)
        if len(self) == 0:
            raise DataError(
                f"{len(dataset)} samples fill no batch of {batch_size}, and shorter ones are "
                "dropped (dataloader_drop_last)"
            )

    def __len__(self) -> int:
        full, rest = divmod(len(self.dataset), self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[Any]:
        return self.starting(0)

    def starting(self, first: int) -> Iterator[Any]:
        """The epoch's batches from number `first` on; those before are not even loaded."""
        stream = Generator().manual_seed(mixed(self.seed, self.epoch))
        order = self.order(stream)
        numbers = [
            _numbered(
                order[i * self.batch_size : (i + 1) * self.batch_size],
                mixed(self.seed, self.epoch, i),
            )
            for i in range(first, len(self))
        ]
        loader = DataLoader(self.source, batch_sampler=numbers, collate_fn=same, **self.options)
        return iter(loader)


def same(batch: Any) -> Any:
    return batch


def starting(loader: Any, first: int) -> Iterator[Any]:
    """An iterator over any loader without its first batches."""
    if hasattr(loader, "starting"):
        return loader.starting(first)  # type: ignore[no-any-return]
    batches = iter(loader)
    for _ in range(first):
        next(batches, None)
    return batches


# ---- orders


def sequential(dataset: Any) -> Order:
    return lambda generator: list(range(len(dataset)))


def shuffled(dataset: Any) -> Order:
    return lambda generator: randperm(len(dataset), generator=generator).tolist()  # type: ignore[attr-defined, no-any-return]


def by_length(lengths: list[int], batch_size: int) -> Order:
    """Samples of like length together, as Hugging Face's LengthGroupedSampler puts them: shuffled,
    then sorted in stretches of many batches; the longest sample comes first of all."""

    def order(generator: Generator) -> list[int]:
        stretch = batch_size * max(1, min(len(lengths) // (batch_size * 4), 50))
        indices = randperm(len(lengths), generator=generator).tolist()  # type: ignore[attr-defined]
        groups = [
            sorted(indices[i : i + stretch], key=lambda k: lengths[k], reverse=True)
            for i in range(0, len(indices), stretch)
        ]
        longest = max(range(len(groups)), key=lambda g: lengths[groups[g][0]])
        groups[0][0], groups[longest][0] = groups[longest][0], groups[0][0]
        return [k for group in groups for k in group]

    return order


def lengths_of(dataset: Any, column: str, name: str) -> list[int]:
    """The length of every sample: what it says itself under `column`, or that of its `name`."""
    found = []
    for i in range(len(dataset)):
        sample = dataset[i]
        if not isinstance(sample, Mapping) or (column not in sample and name not in sample):
            raise ArgumentError(
                f"samples grouped by length need {column!r} or {name!r}; sample {i} has neither",
                'train_sampling_strategy="random"',
            )
        found.append(int(sample[column]) if column in sample else len(sample[name]))
    return found


# ---- collators


class UsedColumns:
    """A collator that is handed only what the model's forward takes."""

    def __init__(self, collate: Any, columns: Iterable[str]) -> None:
        self.collate, self.columns = collate, set(columns)

    def __call__(self, features: list[Any]) -> Any:
        if not isinstance(features[0], Mapping):
            return self.collate(features)
        kept = [{k: v for k, v in f.items() if k in self.columns} for f in features]
        if kept[0].keys() < features[0].keys() and not kept[0].keys() - LABELS:
            raise ArgumentError(
                f"no column of the data set ({', '.join(features[0])}) but labels is an argument "
                f"of the model's forward ({', '.join(sorted(self.columns))})",
                "tokenizer(texts) makes input_ids of texts; remove_unused_columns=False keeps all",
            )
        return self.collate(kept)


def inner(collate: Any) -> Any:
    """The user's collator."""
    return collate.collate if isinstance(collate, UsedColumns) else collate


def forward_names(model: Any) -> list[str]:
    return list(inspect.signature(model.forward).parameters)


def is_stream(dataset: Any) -> bool:
    """Whether samples can only be taken as they come."""
    return isinstance(dataset, IterableDataset) or not hasattr(dataset, "__len__")
