"""Two libraries in one process, in turn: what their threads cost each other.

    python -m benchmarks.together tinygrad_ai numpy

A product of matrices by one library, one by the other, and so on. The figure is the time of such a
pair over the sum of what each needs alone: 1 where nobody stands in the other's way.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from .protocol import ROOT, Contender, Settings, environment, present
from .results import Key, Results

NAME = "together"
CONTENDERS = ("tinygrad_ai", "pytorch", "numpy")
SHAPE = (256, 512, 512)  # rows, inner size, columns
LIMIT = 1.35  # ours with another


def product(library: str, x: np.ndarray, w: np.ndarray) -> Callable[[], Any]:
    """x wᵀ by a library."""
    if library == "numpy":
        return lambda: x @ w.T
    if library == "pytorch":
        import torch as lib

        lib.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    else:
        import tinygrad_ai as lib  # type: ignore[no-redef]
    a, b = lib.from_numpy(x), lib.from_numpy(w)
    return lambda: a @ b.T


def median(runs: Sequence[Callable[[], Any]], seconds: float) -> float:
    """Of one pass over all runs."""
    times: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        for run in runs:
            run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def measure(names: Sequence[str], seconds: float) -> float:
    """The time of both in turn over the sum of their times alone."""
    rng = np.random.default_rng(0)
    rows, inner, columns = SHAPE
    x, w = (rng.random(shape, np.float32) for shape in ((rows, inner), (columns, inner)))
    runs = [product(name, x, w) for name in names]
    wanted = x.astype(np.float64) @ w.T.astype(np.float64)
    for name, run in zip(names, runs):
        if not np.allclose(np.asarray(run()), wanted, rtol=1e-4):
            raise ValueError(f"{name} disagrees, so nothing was timed")
    alone = [median([run], seconds) for run in runs]
    return median(runs, seconds) / sum(alone)


def run(
    contenders: Sequence[Contender], settings: Settings, results: Results,
    say: Callable[[str], None],
) -> None:  # fmt: skip
    """Every pair in a process of its own."""
    here = present(contenders, results)
    for index in range(settings.rounds):
        for a, b in combinations(here, 2):
            say(f"together, round {index + 1} of {settings.rounds}")
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.together", a.key, b.key, str(settings.seconds)],
                check=True, env=environment(settings), cwd=ROOT, capture_output=True,
            )  # fmt: skip
            results.add(Key(NAME, f"with {b.title}", a.key), "", json.loads(done.stdout))


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1:3], float(sys.argv[3]))))
