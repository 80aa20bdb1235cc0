"""Contenders for the tests of benchmarks/: NumPy's, and ones that go wrong in every way."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.contenders import plain
from benchmarks.step import StepData
from benchmarks.worker import LeftOut, Task


def step(data: StepData, variant: str) -> Task:
    if variant == "left out":
        raise LeftOut("there is no compiler here")
    if variant == "crash":
        raise RuntimeError("out of paper")
    if variant == "wrong":  # one weight of all starts a little off
        weights = {name: w.copy() for name, w in data.weights.items()}
        weights["fc2.weight"][0, 0] += 0.1
        task = plain.step(replace(data, weights=weights), "")
        return Task(task.run, lambda loss: data.result(loss, weights))
    return plain.step(data, "")
