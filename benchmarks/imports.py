"""Seconds of `import X`: a whole process, less one of Python that imports nothing."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from .protocol import ROOT, Contender, Settings, environment, present
from .results import Key, Results

NAME = "import"
CONTENDERS = ("tinygrad_ai", "numpy", "pytorch", "jax")
LIBRARIES = {"tinygrad_ai": "tinygrad_ai", "numpy": "numpy", "pytorch": "torch", "jax": "jax"}
LIMIT = 0.25  # seconds, ours


def seconds(code: str, env: dict[str, str], runs: int = 3) -> float:
    """The shortest of a few processes."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, env=env, cwd=ROOT)
        times.append(time.perf_counter() - start)
    return min(times)


def run(
    contenders: Sequence[Contender], settings: Settings, results: Results,
    say: Callable[[str], None],
) -> None:  # fmt: skip
    """Measures and adds the figures to the results; the first time Python may have to compile."""
    here = present(contenders, results)
    for contender in here:
        seconds(f"import {LIBRARIES[contender.key]}", environment(settings, contender), 1)
    for index in range(settings.rounds):
        bare = seconds("pass", environment(settings))
        for contender in here:
            say(f"import, round {index + 1} of {settings.rounds}")
            env = environment(settings, contender)
            whole = seconds(f"import {LIBRARIES[contender.key]}", env)
            results.add(Key(NAME, "import", contender.key), "s", whole - bare)
