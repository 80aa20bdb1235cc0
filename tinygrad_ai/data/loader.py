"""DataLoader: batches of a data set, in order, loaded here or by worker processes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from itertools import islice
from typing import Any

from .. import cuda
from ..errors import ArgumentError
from ..ops.random import Generator, default_generator
from .collate import default_collate, default_convert, pinned
from .dataset import IterableDataset
from .sampler import BatchSampler, RandomSampler, SequentialSampler
from .worker import END, WorkerError, WorkerInfo, fetch, receive, work


class DataLoader:
    """An iterable of batches, with PyTorch's arguments.

    The order depends on the generator alone, never on the number of workers. An exception in a
    worker is raised here with the worker's traceback. With `pin_memory` and a GPU, batches lie in
    page-locked memory, from where `x.to("cuda", non_blocking=True)` is copied while the program
    goes on; without a GPU it has no effect, nor has `persistent_workers`.
    """

    def __init__(
        self, dataset: Any, batch_size: int | None = 1, shuffle: bool | None = None,
        sampler: Any = None, batch_sampler: Any = None, num_workers: int = 0,
        collate_fn: Any = None, pin_memory: bool = False, drop_last: bool = False,
        timeout: float = 0, worker_init_fn: Any = None, multiprocessing_context: Any = None,
        generator: Any = None, *, prefetch_factor: int | None = None,
        persistent_workers: bool = False, pin_memory_device: str = "", in_order: bool = True,
    ) -> None:  # fmt: skip
        iterable = isinstance(dataset, IterableDataset)
        self._check(iterable, shuffle, sampler, batch_sampler, num_workers, prefetch_factor)
        if batch_sampler is not None and (batch_size != 1 or shuffle or sampler or drop_last):
            raise ArgumentError("batch_sampler excludes batch_size, shuffle, sampler and drop_last")
        self.dataset, self.generator, self.num_workers = dataset, generator, num_workers
        self.drop_last, self.timeout, self.worker_init_fn = drop_last, timeout, worker_init_fn
        self.prefetch_factor, self.pin_memory = prefetch_factor or 2, pin_memory
        self.context, self.passes = multiprocessing_context, 0
        if sampler is None and not iterable:
            sampler = (
                RandomSampler(dataset, generator=generator)
                if shuffle
                else SequentialSampler(dataset)
            )
        self.sampler, self.batch_size = sampler, None if batch_sampler is not None else batch_size
        if batch_sampler is None and batch_size is not None and not iterable:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.batch_sampler = batch_sampler
        batched = batch_sampler is not None or (iterable and batch_size is not None)
        self.collate_fn = collate_fn or (default_collate if batched else default_convert)

    @staticmethod
    def _check(
        iterable: bool, shuffle: Any, sampler: Any, batch_sampler: Any, workers: int, prefetch: Any
    ) -> None:
        if workers < 0:
            raise ArgumentError(f"DataLoader expects num_workers >= 0, got {workers}")
        if prefetch is not None and not workers:
            raise ArgumentError("prefetch_factor needs num_workers > 0")
        if iterable and (shuffle or sampler is not None or batch_sampler is not None):
            raise ArgumentError("an IterableDataset has its own order: no shuffle, no sampler")
        if sampler is not None and shuffle:
            raise ArgumentError("sampler excludes shuffle")

    def __len__(self) -> int:
        if self.batch_sampler is not None:
            return len(self.batch_sampler)
        if self.batch_size is None:
            return len(self.dataset)
        full, rest = divmod(len(self.dataset), self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[Any]:
        batches = self._from_workers() if self.num_workers else self._here()
        return map(pinned, batches) if self.pin_memory and cuda.is_available() else batches

    def _here(self) -> Iterator[Any]:
        if self.batch_sampler is not None:
            for indices in self.batch_sampler:
                yield fetch(self.dataset, indices, self.collate_fn)
        elif not isinstance(self.dataset, IterableDataset):
            for index in self.sampler:
                yield self.collate_fn(self.dataset[index])
        elif self.batch_size is None:
            for sample in self.dataset:
                yield self.collate_fn(sample)
        else:
            stream = iter(self.dataset)
            while batch := list(islice(stream, self.batch_size)):
                if len(batch) == self.batch_size or not self.drop_last:
                    yield self.collate_fn(batch)

    def _tasks(self) -> Iterator[Any]:
        """What the workers are asked for, one task a batch."""
        if self.batch_sampler is not None:
            yield from self.batch_sampler
        elif not isinstance(self.dataset, IterableDataset):
            yield from ([index] for index in self.sampler)
        else:
            while True:
                yield self.batch_size or 1

    def worker_seed(self) -> int:
        """The first worker's seed in this pass. The generator is not moved by it, so that the
        order of samples is the same with and without workers."""
        self.passes += 1
        source = self.generator or default_generator
        copy = Generator(source.device).set_state(source.get_state())
        return int(copy.draw.integers(0, 2**62, ())) + self.passes * 1_000_003

    def _from_workers(self) -> Iterator[Any]:
        pool = _Pool(self)
        try:
            yield from pool.batches(self._tasks())
        finally:
            pool.close()

    def collate_one(self, samples: Any) -> Any:
        """Without batches a task has one sample, which is not wrapped in a list."""
        return self.collate_fn(samples if self._batched() else samples[0])

    def _batched(self) -> bool:
        return self.batch_sampler is not None or self.batch_size is not None


class _Pool:
    """The worker processes of one pass, and the batches in flight."""

    def __init__(self, loader: DataLoader) -> None:
        context: Any = loader.context
        if context is None or isinstance(context, str):
            context = multiprocessing.get_context(context)
        self.loader, self.results = loader, context.Queue()
        base = loader.worker_seed()
        self.tasks = [context.Queue() for _ in range(loader.num_workers)]
        self.processes = []
        for i, tasks in enumerate(self.tasks):
            info = WorkerInfo(i, loader.num_workers, base + i, loader.dataset)
            args = (info, tasks, self.results, loader.collate_one, loader.worker_init_fn)
            process = context.Process(target=work, args=args, daemon=True)
            process.start()
            self.processes.append(process)

    def batches(self, tasks: Iterator[Any]) -> Iterator[Any]:
        """Batches in the order of their tasks; each worker has a few waiting."""
        count, arrived, done = len(self.tasks), {}, set()
        ahead = self.loader.prefetch_factor * count
        numbered = enumerate(tasks)
        sent = 0
        for number, task in islice(numbered, ahead):
            self.tasks[number % count].put((number, task))
            sent += 1
        turn = 0
        while turn < sent:
            if turn % count in done and turn not in arrived:
                turn += 1
                continue
            while turn not in arrived:
                number, failed, result = receive(self.results, self.processes, self.loader.timeout)
                if failed is not None:
                    raise WorkerError(f"in DataLoader worker {failed}:\n{result}")
                arrived[number] = result
            result = arrived.pop(turn)
            if isinstance(result, str) and result == END:
                done.add(turn % count)
            elif not self._short(result, turn):
                yield result
            if len(done) == count:
                return
            for number, task in islice(numbered, 1):
                if number % count not in done:
                    self.tasks[number % count].put((number, task))
                sent += 1
            turn += 1

    def _short(self, result: Any, turn: int) -> bool:
        """Whether drop_last drops this batch of an iterable data set."""
        loader = self.loader
        if not (loader.drop_last and isinstance(loader.dataset, IterableDataset)):
            return False
        first = result[0] if isinstance(result, (list, tuple)) else result
        return len(first) < (loader.batch_size or 1)

    def close(self) -> None:
        """Ends the workers, also when the loop was left early."""
        for tasks in self.tasks:
            tasks.put(None)
        for process in self.processes:
            process.join(timeout=0.2)
            if process.is_alive():
                process.terminate()
                process.join(timeout=5)
        for channel in (*self.tasks, self.results):
            channel.cancel_join_thread()
            channel.close()
