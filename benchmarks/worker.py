"""The process of one contender: proves and times what it is asked for, a line of JSON at a time."""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from importlib import import_module
from itertools import repeat
from typing import Any, NamedTuple

SHORTEST = 10e-6  # seconds: faster runs are timed several at once, or the clock would be measured


class Task(NamedTuple):
    """What a contender made ready."""

    run: Callable[[], Any]  # what is timed
    result: Callable[[Any], dict[str, Any]]  # what a run returned, as named NumPy arrays


class LeftOut(Exception):
    """This contender cannot take part here; the message says why."""


def elapsed(run: Callable[[], Any], count: int) -> float:
    """Seconds of `count` runs."""
    start = time.perf_counter()
    for _ in repeat(None, count):
        run()
    return time.perf_counter() - start


def timed(run: Callable[[], Any], seconds: float) -> dict[str, float]:
    """The median seconds of a run, over about `seconds` after a quarter of that to warm up.

    `cpus` is processor time over time passed: how many processors were at work.
    """
    warm: list[float] = []
    start = time.perf_counter()
    while len(warm) < 3 or time.perf_counter() - start < seconds / 4:
        warm.append(elapsed(run, 1))
    count = max(1, round(SHORTEST / min(warm)))
    samples: list[float] = []
    start, busy = time.perf_counter(), time.process_time()
    while len(samples) < 3 or time.perf_counter() - start < seconds:
        samples.append(elapsed(run, count) / count)
    cpus = (time.process_time() - busy) / (time.perf_counter() - start)
    return {"seconds": statistics.median(samples), "cpus": cpus}


class Server:
    """Answers requests; holds the task in hand."""

    def __init__(self, contender: str, variant: str) -> None:
        self.contender, self.variant = import_module(contender), variant
        self.task: Task | None = None

    def prove(self, job: str, case: Any, file: str) -> dict[str, Any]:
        """Makes the task of a case, runs it a few times, and writes down every result."""
        import numpy as np

        module = import_module(f"benchmarks.{job}")
        self.task = None  # frees the memory of the one before
        task = getattr(self.contender, module.NAME)(module.data(case), self.variant)
        arrays = {}
        for run in range(module.PROOFS):
            for name, array in task.result(task.run()).items():
                arrays[f"{name}, run {run + 1}"] = array
        np.savez(file, **arrays)
        self.task = task
        return {}

    def time(self, seconds: float) -> dict[str, Any]:
        assert self.task is not None
        return dict(timed(self.task.run, seconds))

    def processor(self, parameters: int, seconds: float) -> dict[str, Any]:
        others = self.contender.others()
        return {**others, **(self.contender.ceilings(parameters, seconds) if parameters else {})}

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            return getattr(self, request.pop("do"))(**request)
        except LeftOut as reason:
            return {"left out": str(reason)}


def main(contender: str, variant: str) -> None:
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints goes to the log, not among the answers
    server = Server(contender, variant)
    for line in sys.stdin:
        print(json.dumps(server.answer(json.loads(line))), file=out, flush=True)


if __name__ == "__main__":
    # As the module that contenders import, so that LeftOut is one class.
    from benchmarks import worker

    worker.main(*sys.argv[1:])
