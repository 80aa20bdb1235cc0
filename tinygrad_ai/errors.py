"""The errors a user sees. Each says what was expected, what came, where, and one fix."""

from __future__ import annotations

from typing import Any


class TinygradError(Exception):
    """Base of every error of this package.

    `fix` is one line a user can act on; `path` is filled in by the modules the error passes
    through on its way up, so that the message names the layer.
    """

    def __init__(self, message: str, fix: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        self.path: list[Any] = []  # the modules passed, innermost first

    def __str__(self) -> str:
        where = f"in {_place(self.path)}: " if self.path else ""
        return f"{where}{self.message}" + (f"\n  fix: {self.fix}" if self.fix else "")


def _place(path: list[Any]) -> str:
    """The innermost module by its dotted name and description: fc1 (Linear 784 -> 1024)."""
    names = []
    for inner, outer in zip(path, path[1:], strict=False):
        names.append(next((n for n, m in outer._modules.items() if m is inner), "?"))
    words = path[0].describe()
    return f"{'.'.join(reversed(names))} ({words})" if names else words


class ShapeError(TinygradError, RuntimeError):
    """Shapes that do not fit each other."""


class DTypeError(TinygradError, RuntimeError, TypeError):
    """A data type an operation cannot take."""


class DeviceError(TinygradError, RuntimeError):
    """A device that is not there, or tensors on different devices."""


class RangeError(TinygradError, IndexError):
    """An index, label or dimension outside its range."""


class ArgumentError(TinygradError, ValueError):
    """An argument whose value makes no sense."""


class GradError(TinygradError, RuntimeError):
    """A gradient that was asked for and cannot be had."""


class GraphFreedError(GradError):
    """A second backward pass through a graph whose saved values were freed."""


class InplaceError(TinygradError, RuntimeError):
    """A buffer changed in place where that would make a gradient wrong."""


class AnomalyError(TinygradError, RuntimeError):
    """A NaN or infinity, found by detect_anomaly where it first appeared."""


class GradcheckError(TinygradError, RuntimeError):
    """An analytic gradient that does not match the numeric one."""


class CaptureError(TinygradError, RuntimeError):
    """A step that cannot be captured as a CUDA graph, or no longer fits the one it was."""


class ProfileError(TinygradError, RuntimeError):
    """A profile that is started inside another one, or read before its end."""


class CheckpointError(TinygradError, RuntimeError):
    """A saved file or state that is damaged or does not fit."""


class DataError(TinygradError, ValueError):
    """A data file that is missing, damaged, or not what it should be."""


class LinAlgError(TinygradError, RuntimeError):
    """A matrix that is singular, or not positive definite, where it must not be."""
