"""Data sets, samplers and the DataLoader: order, workers, errors."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tinygrad_ai as ta
from tinygrad_ai import data

X = ta.arange(20.0).reshape(10, 2)
Y = ta.arange(10)


class Squares(data.Dataset):
    def __init__(self, n: int = 10, bad: int | None = None, die: int | None = None) -> None:
        self.n, self.bad, self.die = n, bad, die

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, i: int) -> dict[str, Any]:
        if i == self.bad:
            raise KeyError("sample 7 is broken")
        if i == self.die:
            import os

            os._exit(3)
        return {"x": float(i * i), "name": str(i)}


class Stream(data.IterableDataset):
    def __init__(self, n: int) -> None:
        self.n = n

    def __iter__(self) -> Iterator[int]:
        info = data.get_worker_info()
        yield from range(self.n) if info is None else range(info.id, self.n, info.num_workers)


class Noise(data.Dataset):
    def __len__(self) -> int:
        return 8

    def __getitem__(self, i: int) -> ta.Tensor:
        return ta.rand(1)


def test_batches_of_tensors() -> None:
    loader = data.DataLoader(data.TensorDataset(X, Y), batch_size=4)
    batches = list(loader)
    assert len(loader) == len(batches) == 3
    assert [b[0].shape for b in batches] == [(4, 2), (4, 2), (2, 2)]
    assert ta.equal(ta.cat([b[1] for b in batches]), Y)
    assert len(list(data.DataLoader(data.TensorDataset(X), 4, drop_last=True))) == 2


def test_shuffle_is_a_permutation_and_reproducible() -> None:
    def order() -> list[int]:
        g = ta.Generator().manual_seed(3)
        loader = data.DataLoader(data.TensorDataset(Y), 3, shuffle=True, generator=g)
        return [int(v) for _ in range(2) for (b,) in loader for v in b]

    first = order()
    assert first == order()
    assert sorted(first[:10]) == sorted(first[10:]) == list(range(10))
    assert first[:10] != first[10:]


def test_order_does_not_depend_on_workers() -> None:
    def run(workers: int) -> list[Any]:
        g = ta.Generator().manual_seed(5)
        loader = data.DataLoader(Squares(), 3, shuffle=True, generator=g, num_workers=workers)
        return [b["x"].tolist() for b in loader]

    assert run(0) == run(1) == run(2)


def test_collate_keeps_form() -> None:
    (batch,) = data.DataLoader(Squares(3), 3)
    assert batch["x"].dtype == ta.float64 and batch["name"] == ["0", "1", "2"]
    made = data.default_collate([(1, [2.0, np.ones(2)]), (3, [4.0, np.zeros(2)])])
    assert made[0].tolist() == [1, 3] and made[1][1].shape == (2, 2)
    with pytest.raises(TypeError, match="default_collate cannot batch object"):
        data.default_collate([object()])


def test_workers_report_their_errors() -> None:
    loader = data.DataLoader(Squares(bad=7), 2, num_workers=2)
    with pytest.raises(ValueError) as error:
        list(loader)
    text = str(error.value)
    assert "in DataLoader worker" in text and "KeyError: 'sample 7 is broken'" in text
    assert "in __getitem__" in text  # the worker's own traceback


def test_a_dead_worker_is_noticed() -> None:
    with pytest.raises(ValueError, match="DataLoader worker . died with exit code 3"):
        list(data.DataLoader(Squares(die=5), 2, num_workers=2))


def test_leaving_a_loop_early_ends_the_workers() -> None:
    begin = time.monotonic()
    for _ in data.DataLoader(Squares(1000), 2, num_workers=2):
        break
    assert time.monotonic() - begin < 20
    import multiprocessing

    assert multiprocessing.active_children() == []


def test_workers_draw_different_numbers() -> None:
    g = ta.Generator().manual_seed(1)
    values = [b.item() for b in data.DataLoader(Noise(), 1, num_workers=2, generator=g)]
    assert len(set(values)) == 8


def test_iterable_datasets() -> None:
    assert [b.tolist() for b in data.DataLoader(Stream(5), 2)] == [[0, 1], [2, 3], [4]]
    assert [b.tolist() for b in data.DataLoader(Stream(5), 2, drop_last=True)] == [[0, 1], [2, 3]]
    seen = [v for b in data.DataLoader(Stream(7), 2, num_workers=2) for v in b.tolist()]
    assert sorted(seen) == list(range(7))
    assert list(data.DataLoader(Stream(3), None)) == [0, 1, 2]
    chained = data.ChainDataset([Stream(2), Stream(1)])
    assert list(chained) == [0, 1, 0]


def test_subsets_and_sums() -> None:
    parts = data.random_split(data.TensorDataset(Y), [0.5, 0.3, 0.2], ta.Generator().manual_seed(0))
    assert [len(p) for p in parts] == [5, 3, 2]
    assert sorted(int(p[i][0]) for p in parts for i in range(len(p))) == list(range(10))
    both = Squares(3) + Squares(2)
    assert len(both) == 5 and both[4]["x"] == 1.0 and both[-5]["x"] == 0.0
    with pytest.raises(IndexError, match="index 5 is outside a data set of 5 samples"):
        both[5]
    stacked = data.StackDataset(a=Squares(2), b=Squares(2))
    assert stacked[1]["b"]["name"] == "1" and len(stacked) == 2
    (batch,) = data.DataLoader(data.Subset(data.TensorDataset(X, Y), [3, 1]), 2)
    assert batch[1].tolist() == [3, 1]


def test_samplers() -> None:
    g = ta.Generator().manual_seed(0)
    drawn = list(data.WeightedRandomSampler([0.0, 1.0, 3.0], 4000, generator=g))
    assert 0 not in drawn and drawn.count(2) / drawn.count(1) == pytest.approx(3, rel=0.15)
    assert sorted(data.SubsetRandomSampler([4, 7, 9])) == [4, 7, 9]
    assert len(list(data.RandomSampler(range(3), replacement=True, num_samples=50))) == 50
    assert list(data.BatchSampler(data.SequentialSampler(range(5)), 2, True)) == [[0, 1], [2, 3]]


BAD = [
    (lambda: data.TensorDataset(X, ta.ones(3)), "TensorDataset expects one first size"),
    (lambda: data.DataLoader(Y, 0), "expected a batch size >= 1, got 0"),
    (lambda: data.DataLoader(Y, num_workers=-1), "DataLoader expects num_workers >= 0, got -1"),
    (lambda: data.DataLoader(Stream(3), shuffle=True), "an IterableDataset has its own order"),
    (lambda: data.DataLoader(Y, shuffle=True, sampler=[1]), "sampler excludes shuffle"),
    (lambda: data.random_split(Y, [3, 3]), r"the sizes \[3, 3\] do not sum to 10"),
]


@pytest.mark.parametrize(("make", "message"), BAD)
def test_bad_input(make: Any, message: str) -> None:
    with pytest.raises((ValueError, RuntimeError), match=message):
        make()
