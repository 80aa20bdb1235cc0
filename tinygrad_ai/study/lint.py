"""The silent mistakes of training loops, each with a code, an explanation and a fix.

    print(lint(loss, model, optimizer))     # at one moment, before loss.backward()

    with watch(model, optimizer) as report: # around a loop
        ...
    print(report)

They look and change nothing: no gradient, no state of an optimizer, no random number. The codes
are in findings.py; what is seen on the tape in lint_tape.py, what in the model and the optimizer in
lint_state.py, and what over several steps in watch.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..errors import ArgumentError, GradError, GraphFreedError, InplaceError
from ..tensor import Tensor
from .findings import Finding, Report, here
from .lint_state import (
    Subject,
    leftover,
    modes,
    paces,
    stale,
    strangers,
    unreached,
    update_ratios,
)  # fmt: skip
from .lint_tape import tape_findings
from .watched import taken_apart


def lint(loss: Any, model: Any = None, optimizer: Any = None) -> Report:
    """What is wrong with a training step, seen from its loss, before `loss.backward()`.

    Without a model or an optimizer (or a list of them) only what the others show. GradError for a
    loss without history, GraphFreedError after backward().
    """
    if not isinstance(loss, Tensor):
        raise ArgumentError(f"expected a loss, a Tensor, got {type(loss).__name__}")
    if loss.node is None:
        raise GradError("expected a loss that requires a gradient", "compute it outside no_grad()")
    subject = Subject(model, optimizer)
    report = Report()
    for finding in _findings(loss, subject, here()):
        report.add(finding)
    return report


def _findings(loss: Tensor, subject: Subject, place: str) -> Iterator[Finding]:
    assert loss.node is not None
    named = subject.named()
    carried = list(stale(loss.node, named))
    leaves = _leaves(loss, bool(carried))
    yield from tape_findings(loss.node, subject.untrained())
    yield from carried
    yield from strangers(subject, place)
    yield from modes(subject, place)
    if leaves is not None:
        yield from unreached([n for p, n in subject.expected() if p.node not in leaves], place)
        yield from leftover(leaves, named, place)
        yield from paces(update_ratios(subject, leaves), place)


def _leaves(loss: Tensor, carried: bool) -> dict[Any, Any] | None:
    """What would arrive at each leaf; None where a graph reaches back and cannot be walked."""
    try:
        return taken_apart(loss).leaves
    except GraphFreedError as error:
        raise GraphFreedError(error.message, "lint(loss, ...) before loss.backward()") from None
    except InplaceError:
        if carried:
            return None
        raise
