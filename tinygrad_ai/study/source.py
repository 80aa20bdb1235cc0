"""A loss as a plain NumPy program: forward and backward, from the formulas in the ops' docstrings.

The program is run while it is written, so that only what needs it is broadcast or summed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ArgumentError, GradError
from ..tensor import Tensor
from . import meaning
from .script import Script
from .tape import Tape, called, checked, variables
from .watched import Recording
from .writer import Writer

EMBEDDED = 32  # arrays with more numbers go into the file beside the script


@dataclass
class Source:
    """A script and the arrays it loads. Print it, or save it and run it."""

    script: Script

    @property
    def text(self) -> str:
        return self.script.text()

    @property
    def arrays(self) -> dict[str, Any]:
        """What the script loads from the .npz file beside it."""
        return self.script.stored

    def save(self, path: Any) -> Path:
        """Writes the script, and beside it, if it has arrays too large for its text, a file of the
        same name that ends with .npz. ArgumentError for a name that does not end with .py."""
        path = Path(path)
        if path.suffix != ".py":
            raise ArgumentError(f"expected a name that ends with .py, got {path.name!r}")
        path.write_text(self.text, encoding="utf-8")
        if self.arrays:
            np.savez(path.with_suffix(".npz"), **self.arrays)
        return path

    def __str__(self) -> str:
        return self.text


def to_source(
    loss: Any, *inputs: Any, model: Any = None, record: Recording | None = None
) -> Source:
    """A NumPy script of a loss and its gradients, that needs nothing of this package.

        to_source(function, x, y).save("step.py")     # function(x, y) is called
        with study.record():
            to_source(loss_of(model(x), y))           # its calls are written down

    Without `record` the tape alone must do: GradError for a value that the tape did not keep.
    ArgumentError for an op whose docstring has no formula. The script's `loss` and `gradients`
    (by the names of the model's parameters, or of your variables) are those of loss.backward().
    """
    known = variables()
    if not isinstance(loss, Tensor) and callable(loss):
        loss, record, own = called(loss, inputs)
        known = {**known, **own}
    elif inputs:
        raise ArgumentError("inputs belong to a function", "to_source(function, *inputs)")
    loss = checked(loss)
    if loss.array.size != 1:
        raise GradError(f"expected one number, got shape {loss.shape}", "loss.sum() or .mean()")
    tape = Tape(loss, model, record, known)
    script = Script(EMBEDDED)
    with np.errstate(all="ignore"):
        Writer(tape, script).write()
    compare(script, meaning.host(loss.array))
    return Source(script)


def compare(script: Script, wanted: Any) -> None:
    """GradError if the script's loss is another one."""
    got, types = script.space["loss"], {a.dtype for a, _ in script.known.values()}
    exact = not any([t.kind != "f" or t.itemsize < 8 for t in types])
    near = 1e-9 if exact and wanted.dtype == np.float64 else 1e-4
    if not np.allclose(got, wanted, rtol=near, atol=near, equal_nan=True):
        raise GradError(
            f"the script gives the loss {np.ravel(got)[0]:.9g}, not {np.ravel(wanted)[0]:.9g}: "
            "a weight or an input was changed since",
            "call to_source before optimizer.step(), or give it the function",
        )
