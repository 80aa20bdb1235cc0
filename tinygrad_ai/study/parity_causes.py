"""Why two libraries differ: known causes, each tried on a copy of ours until the row agrees."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import TinygradError
from .likeness import likeness
from .parity_layers import layer_trials, loss_trials
from .parity_report import Cause, Row, Trace, rows
from .parity_steps import step_trials
from .parity_trials import Trial

TRIAL_ERRORS = (TinygradError, ValueError, TypeError, RuntimeError, AttributeError, IndexError)


def causes_of(bad: Row, setup: Any, ours: Trace, theirs: Trace) -> tuple[list[Cause], int]:
    """The causes that explain a bad row, and how many were tried."""
    if not _repeats(bad, setup, ours):
        text = "two runs of ours differ: it draws random numbers (dropout as a function?)"
        return [Cause("random numbers", text)], 1
    stage = bad.stage.split()[0]
    if stage in ("activation", "buffer"):
        groups = layer_trials(bad, setup)
    elif stage == "loss":
        groups = iter([loss_trials(setup)])
    else:
        groups = iter([step_trials(bad, setup, ours, theirs)] if stage == "update" else [])
    found: list[Cause] = []
    tried = 0
    for trials in groups:
        for trial in trials:
            tried += 1
            if _agrees(trial, bad, setup, theirs):
                found.append(Cause(trial.name, trial.text))
        if found:
            return found, tried
    return near_values(bad, ours[bad.key], theirs[bad.key]), tried


def _repeats(bad: Row, setup: Any, ours: Trace) -> bool:
    again = setup.trace(until=bad.key)[bad.key]
    return again is None or np.array_equal(again, ours[bad.key], equal_nan=True)


def _agrees(trial: Trial, bad: Row, setup: Any, theirs: Trace) -> bool:
    """Whether with a change the row agrees, and all before it still do."""
    try:
        changed = setup.trace(trial, bad.key)
    except TRIAL_ERRORS:
        return False
    for row in rows(changed, theirs, setup.rtol):
        if not row.ok:
            return False
        if row.key == bad.key:
            return True
    return False


def together(ours: Trace, theirs: Trace) -> bool:
    return any([key in theirs for key in ours])


def near_values(bad: Row, a: Any, b: Any) -> list[Cause]:
    """What the numbers alone say."""
    if a is None or b is None:
        side = "ours" if a is None else "the reference"
        text = f"{side} has no gradient there: detached, or frozen by requires_grad=False"
        return [Cause("detached", text, False)]
    known = likeness(a, b)
    if known is None:
        return []
    name = "transposed weight" if known.name == "transposed" else known.name
    return [Cause(name, f"ours beside the reference: {known.text}", False)]
