"""The learner's file: written with the forward and a rule to fill in, and read back."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...errors import ArgumentError, TinygradError
from .exercise import Exercise
from .grading import Grade, LearnerError, grade

UNWRITTEN = "the rule is not written yet"


def template(exercise: Exercise, file: Path) -> str:
    """The file that a learner starts from."""
    inputs, wanted = ", ".join(exercise.inputs), exercise.differentiable
    results = ", ".join([f"g{n}" for n in wanted])
    body = exercise.forward.replace("\n", "\n    ")
    shapes = [f"{n} ({spec or 'a number'})" for n, spec in exercise.inputs.items()]
    what = f"the gradient by {wanted[0]}, in its shape"
    if len(wanted) > 1:
        what = f"the gradients by {', '.join(wanted)}, each in the shape of its input"
    return f'''"""Exercise {exercise.name}: write the rule, in NumPy.

Inputs, with their sizes as letters: {", ".join(shapes)}.
Grade it with: python -m tinygrad_ai exercise {exercise.name} --file {file}
With --hint it also shows the formula.
"""

import numpy as np


def forward({inputs}):
    {body}


def rule(g, y, {inputs}):
    """g is the gradient of the output y. Returns {results}:
    {what}."""
    raise NotImplementedError("{UNWRITTEN}")
'''


def write(exercise: Exercise, file: Path) -> None:
    """Makes the learner's file; ArgumentError if it cannot."""
    try:
        file.write_text(template(exercise, file), encoding="utf-8")
    except OSError as error:
        raise ArgumentError(f"{file} cannot be written: {error.strerror}") from None


def grade_file(exercise: Exercise, file: Path) -> Grade:
    """The grade of the rule in a file; LearnerError, with the line, for what does not run."""
    rule = _run(file, lambda: _loaded(file))
    if not callable(rule):
        raise LearnerError(f"{file} has no function `rule`", f"def rule(g, y, {_names(exercise)}):")
    return _run(file, lambda: grade(exercise.name, rule))  # type: ignore[no-any-return]


def _names(exercise: Exercise) -> str:
    return ", ".join(exercise.inputs)


def _loaded(file: Path) -> Any:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LearnerError(f"{file} cannot be read: {error}") from None
    scope: dict[str, Any] = {"__name__": "exercise", "__file__": str(file)}
    exec(compile(text, str(file), "exec"), scope)
    return scope.get("rule")


def _run(file: Path, work: Callable[[], Any]) -> Any:
    """Runs the learner's code; what it raises is said with its line."""
    try:
        return work()
    except TinygradError:
        raise
    except SyntaxError as error:
        line = (error.text or "").strip()
        raise LearnerError(f"{file}:{error.lineno}: {error.msg}: {line}") from None
    except (Exception, SystemExit) as error:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(file)]
        place = f"{file}:{frames[-1].lineno}" if frames else str(file)
        source = f"\n  {frames[-1].line}" if frames and frames[-1].line else ""
        if isinstance(error, NotImplementedError) and str(error) == UNWRITTEN:
            raise LearnerError(f"{place}: {UNWRITTEN}", "replace the line by the formula") from None
        fix = "make a new array: what the rule is given is shared" if _reads_only(error) else None
        text = f"{place}: {type(error).__name__}: {error}{source}"
        raise LearnerError(text, fix) from None


def _reads_only(error: BaseException) -> bool:
    return isinstance(error, ValueError) and "read-only" in str(error)
