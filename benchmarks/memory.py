"""Peak memory of the whole process: the main job, and a program that only imports the library."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from . import main_job, step
from .protocol import ROOT, Broken, Contender, Disagreement, Settings, environment, present
from .results import Key, Results

NAME = "memory"
CONTENDERS = ("tinygrad_ai", "pytorch")
JOB, IMPORT = "main job", "import only"
LIBRARIES = {"tinygrad_ai": "tinygrad_ai", "pytorch": "torch"}
DIGITS = ROOT / "tinygrad_ai" / "data" / "digits.npz"
TOLERANCE = 1e-4  # of the mean loss, relative


def expected(weights: dict[str, np.ndarray]) -> float:
    """The mean loss of the epoch, in float64."""
    images, labels = main_job.digits(str(DIGITS))
    starts = range(0, len(images), main_job.BATCH)
    batches = [(images[i : i + main_job.BATCH], labels[i : i + main_job.BATCH]) for i in starts]
    given = step.StepData(step.MAIN, main_job.BATCH, weights, batches)
    return float(np.mean([loss for loss, _ in step.training(given, len(batches))]))


def child(contender: Contender, settings: Settings, *files: str) -> dict[str, float]:
    """What the program says of itself."""
    command = [sys.executable, str(Path(main_job.__file__)), LIBRARIES[contender.key], *files]
    env = {**environment(settings, contender), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    if done.returncode:
        raise Broken(f"{contender.title} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)


def run(
    contenders: Sequence[Contender], settings: Settings, results: Results,
    say: Callable[[str], None],
) -> None:  # fmt: skip
    """Measures and adds the figures to the results."""
    weights = step.data((*step.MAIN, main_job.BATCH)).weights
    loss = expected(weights)
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "weights.npz")
        np.savez(file, **weights)  # type: ignore[arg-type]
        for index in range(settings.rounds):
            for contender in present(contenders, results):
                say(f"memory, round {index + 1} of {settings.rounds}")
                found = child(contender, settings, str(DIGITS), file)
                if not abs(found["loss"] - loss) <= TOLERANCE * loss:
                    raise Disagreement(
                        f"memory: {contender.title} has the mean loss {found['loss']:.6f}, the "
                        f"float64 reference has {loss:.6f}"
                    )
                results.add(Key(NAME, JOB, contender.key), "B", found["peak"])
                alone = child(contender, settings)["peak"]
                results.add(Key(NAME, IMPORT, contender.key), "B", alone)
