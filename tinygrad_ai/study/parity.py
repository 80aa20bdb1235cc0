"""Our model beside its PyTorch twin: where do the two part, and why?

    print(parity(model, (x, y), loss=nn.CrossEntropyLoss(), optimizer=ta.optim.Adam, updates=3))

Both run the same batch from the same weights. Activations are compared layer by layer, then the
loss, gradients from the last layer to the first, and the weights after each update. At the first
that differs it stops, and tries the known causes there: one with which it agrees is named.
"""

from __future__ import annotations

from copy import deepcopy
from os import PathLike
from typing import Any

import numpy as np

from ..backend import dtypes
from ..errors import ArgumentError, TinygradError
from ..nn.module import Module
from ..ops.create import tensor
from ..ops.random import get_rng_state, set_rng_state
from ..optim.optimizer import Optimizer
from ..tensor import Tensor
from .parity_causes import causes_of, near_values
from .parity_initial import initial
from .parity_match import fill, fused, matched, values
from .parity_report import Key, Parity, Row, Trace, compared, rows
from .parity_run import Side, quieted, run
from .parity_stored import Stored, read, write
from .parity_torch import Twins, same_random
from .parity_trials import Trial

TOLERANCE = {8: 1e-7, 4: 1e-4, 2: 3e-2}  # by the size of a number
WEIGHTS = ("copy", "own", "initial")


class Setup:
    """What a comparison is made of; gives our side as often as it is needed, in fresh copies."""

    def __init__(
        self, model: Any, batch: Any, loss: Any, updates: int, optimizer: Any, dtype: Any,
        rtol: float | None,
    ) -> None:  # fmt: skip
        if not isinstance(model, Module):
            raise ArgumentError(f"expected a module of tinygrad_ai, got {type(model).__name__}")
        if isinstance(updates, bool) or not isinstance(updates, int) or updates < 0:
            raise ArgumentError(f"expected updates >= 0, a number of steps, got {updates!r}")
        if batch is None:
            raise ArgumentError("no batch to run the model on", "parity(model, batch)")
        self.model, self.updates = model, updates
        self.losses = loss if isinstance(loss, tuple) else (loss, loss)
        if not callable(self.losses[0]) and self.losses[0] is not None:
            raise ArgumentError(f"expected a module or function as the loss, got {loss!r}")
        pair = isinstance(optimizer, tuple)
        self.optimizers = optimizer if pair else (optimizer, None)
        first = next((p.dtype for p in model.parameters()), dtypes.get_default_dtype())
        self.dtype = floating(first if dtype is None else dtype)
        self.rtol = TOLERANCE[self.dtype.itemsize] if rtol is None else rtol
        self.notes: list[str] = []
        self.state: dict[str, Any] | None = None  # replaces the model's own values
        self.unseen: set[str] = set()  # layers whose output is not compared
        self.batch(batch)

    def batch(self, batch: Any) -> None:
        items = list(batch) if isinstance(batch, (tuple, list)) else [batch]
        if len(items) < 1 + (self.losses[0] is not None):
            raise ArgumentError("a loss needs a batch of inputs and a target", "batch=(x, y)")
        self.arrays = [self.array(item) for item in items]

    def array(self, item: Any) -> Any:
        if hasattr(item, "detach"):
            item = item.detach().cpu()
            item = item.double() if item.is_floating_point() else item  # also from bfloat16
        item = item.numpy() if hasattr(item, "numpy") else np.asarray(item)
        return np.array(item, self.dtype if item.dtype.kind == "f" else item.dtype)

    def split(self, made: Any) -> tuple[list[Any], list[Any]]:
        """Inputs and target of the batch, as tensors."""
        items = [made(a) for a in self.arrays]
        cut = len(items) - (self.losses[0] is not None)
        return items[:cut], items[cut:]

    def ours(self, trial: Trial | None = None) -> Side:
        """Our side, changed as a trial wants it."""
        made = self.made
        model = deepcopy(self.model).cpu().to(self.dtype)
        notes = quieted(model)
        self.notes += [n for n in notes if n not in self.notes]
        inputs, target = self.split(made)
        loss = self.losses[0]
        loss = deepcopy(loss).to(self.dtype) if isinstance(loss, Module) else loss
        side = Side(model, inputs, target, loss, None, self.updates, Tensor, made)
        side.unseen = self.unseen
        if self.optimizers[0] is not None:
            side.optimizer = self.optimizer
        if self.state is not None:
            fill(side, self.state)
        if trial is not None:
            trial.change(side)
        return side

    def made(self, array: Any) -> Tensor:
        return tensor(np.asarray(array, self.dtype if array.dtype.kind == "f" else array.dtype))

    def optimizer(self, model: Any) -> Optimizer:
        """Our optimizer over a copy of the model: from a class, a function of the parameters, or
        one over the model itself, whose options and state are taken."""
        given: Any = self.optimizers[0]
        if not isinstance(given, Optimizer):
            other = isinstance(given, type) and not issubclass(given, Optimizer)
            made = given(list(model.parameters())) if callable(given) and not other else None
            if not isinstance(made, Optimizer):
                text = f"optimizer= must give an optimizer of tinygrad_ai.optim, got {given!r}"
                raise ArgumentError(text, "optimizer=(ours, theirs) for a pair")
            return made
        kind: Any = type(given)
        copies = dict(zip([id(p) for p in self.model.parameters()], model.parameters()))
        groups = []
        for group in given.param_groups:
            unknown = [p for p in group["params"] if id(p) not in copies]
            if unknown:
                raise ArgumentError("the optimizer has parameters that the model does not have")
            rest = {k: v for k, v in group.items() if k != "param_names"}
            groups.append({**rest, "params": [copies[id(p)] for p in group["params"]]})
        if len(groups) == 1:
            only = groups[0]
            made = kind(only["params"])
            made.param_groups[0].update(only)
        else:
            made = kind(groups)
        if given.state:
            made.load_state_dict(deepcopy(given.state_dict()))
        return made

    def trace(self, trial: Trial | None = None, until: Key | None = None) -> Trace:
        side = self.ours(trial)
        side.until = until
        return run(side)

    def theirs(self, reference: Any, names: dict[str, str] | None) -> tuple[Side, Side]:
        """Our side and PyTorch's, with names that match."""
        twins = Twins()
        mine = self.ours()
        model = twins.module(self.model) if reference is None else deepcopy(reference)
        if not isinstance(model, twins.torch.nn.Module):
            came = type(reference).__name__
            raise ArgumentError(f"expected a torch module or a stored file, got {came}")
        model = model.cpu().to(getattr(twins.torch, self.dtype.name))
        quieted(model)

        def made(array: Any) -> Any:
            return twins.tensor(self.array(array))

        loss = self.losses[1]
        loss = loss if isinstance(loss, twins.torch.nn.Module) else twins.loss(loss)
        loss = loss.to(getattr(twins.torch, self.dtype.name)) if hasattr(loss, "to") else loss
        inputs, target = self.split(made)
        kind = twins.torch.Tensor
        side = Side(model, inputs, target, loss, None, self.updates, kind, made)
        self.notes += matched(mine, side, names)
        self.unseen = side.unseen = fused(mine, side, twins.torch.nn.Linear)
        if self.unseen:
            text = "the activation is inside the linear layer here: compared behind it"
            self.notes.append(f"{text}: {', '.join(sorted(self.unseen))}")
        if self.optimizers[0] is not None:
            side.optimizer = lambda m: self.their_optimizer(twins, side, m)
        return mine, side

    def their_optimizer(self, twins: Twins, side: Side, model: Any) -> Any:
        if self.optimizers[1] is not None:
            return self.optimizers[1](list(model.parameters()))
        mine = self.ours()
        known = dict(side.parameters())
        made = self.optimizer(mine.model)
        own = {id(p): n for n, p in mine.model.named_parameters()}
        order = [known[own[id(p)]] for group in made.param_groups for p in group["params"]]
        return twins.optimizer(made, order)


def floating(dtype: Any) -> np.dtype[Any]:
    """A dtype that NumPy and PyTorch both compute in."""
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = np.dtype(object)
    if found.kind != "f" or found.itemsize not in TOLERANCE:
        text = f"expected a floating-point dtype of NumPy's for both sides, got {dtype}"
        raise ArgumentError(text, "leave dtype out: both compute in float64")
    return found


def parity(
    model: Any, batch: Any = None, reference: Any = None, loss: Any = None, updates: int = 1,
    optimizer: Any = None, *, weights: str = "copy", dtype: Any = "float64",
    rtol: float | None = None, names: dict[str, str] | None = None,
) -> Parity:  # fmt: skip
    """Compares a model with a reference, layer by layer, up to the first difference.

    batch: a tensor, or a tuple of the model's inputs and, with a loss, the target last; arrays of
    NumPy and tensors of either library.
    reference: a torch module; a file of `parity.store`; or None: the twin is built, also for
    classes of yours, whose methods are run with PyTorch's names for ours.
    loss: a module or function of ours or yours, translated; or a pair (ours, theirs). None:
    a weighted sum of the outputs.
    optimizer: a class, a function of the parameters, or an optimizer over the model (its options
    and state are taken): translated; or a pair of functions. `updates` steps of it are compared.
    weights: "copy" ours into the reference; "own" when both have theirs already: they are compared
    first; "initial" also compares how widely fresh ones are spread, then copies.
    dtype: what both compute in; None is the model's own, where rounding may hide small mistakes.
    |ours - theirs| <= rtol (|theirs| + their root mean square), rtol 1e-7 in float64, 1e-4 in
    float32. names: prefixes of dotted names that differ, ours: theirs.

    Works on copies on the CPU: models, gradients, optimizers and random numbers stay as they are.
    Dropout is off on both sides. ArgumentError for what cannot be compared.
    """
    if weights not in WEIGHTS:
        raise ArgumentError(f"expected weights of {', '.join(WEIGHTS)}, got {weights!r}")
    before = get_rng_state()
    try:
        if isinstance(reference, (str, PathLike)):
            stored = read(reference)
            return _with_stored(stored, model, batch, loss, updates, optimizer, weights, rtol)
        setup = Setup(model, batch, loss, updates, optimizer, dtype, rtol)
        return same_random(lambda: _with_torch(setup, reference, weights, names))
    finally:
        set_rng_state(before)


def _with_torch(setup: Setup, reference: Any, weights: str, names: Any) -> Parity:
    mine, theirs = setup.theirs(reference, names)
    first: list[Row] = []
    a, b = values(mine), values(theirs)
    if weights == "own":
        first = [compared(("weights", n), a[n], b[n], setup.rtol, 0.0) for n in a if n in b]
        bad = next((row for row in first if not row.ok), None)
        if bad:
            kept = first[: first.index(bad) + 1]
            return Parity(kept, near_values(bad, a[bad.name], b[bad.name]), 0, setup.notes)
    if weights == "initial":
        first, causes = initial(a, b)
        if causes:
            return Parity(first, causes, len(causes), setup.notes)
    if weights != "own":
        fill(theirs, a)
    ours = setup.trace()  # first: a mistake of the model's is not the twin's
    return _compared(setup, ours, _run(theirs, reference), first)


def _run(theirs: Side, reference: Any) -> Trace:
    """The reference's trace. A twin that was built here is ours to answer for."""
    try:
        return run(theirs)
    except TinygradError:
        raise
    except Exception as error:
        if reference is not None:
            raise
        text = f"the twin that was built does not run: {type(error).__name__}: {error}"
        raise ArgumentError(text, "write it for PyTorch, and pass reference=") from error


def _with_stored(
    stored: Stored, model: Any, batch: Any, loss: Any, updates: int, optimizer: Any, weights: str,
    rtol: float | None,
) -> Parity:  # fmt: skip
    if weights != "copy":
        raise ArgumentError("a stored reference brings its weights", "leave out weights=")
    stored.check(loss, optimizer)
    given = stored.batch if batch is None else batch
    if updates > stored.updates and optimizer is not None:
        raise ArgumentError(f"{stored.path} has {stored.updates} updates, not {updates}")
    setup = Setup(model, given, loss, updates, optimizer, stored.dtype, rtol)
    same = len(setup.arrays) == len(stored.batch)
    if not same or not all([np.array_equal(a, b) for a, b in zip(setup.arrays, stored.batch)]):
        text = "this is not the batch that the reference was stored with"
        raise ArgumentError(text, "leave the batch out: the file has it")
    stored.fits(values(setup.ours()))
    setup.state = stored.state
    setup.notes.append(f"reference stored with PyTorch {stored.version}")
    return _compared(setup, setup.trace(), stored.trace, [])


def _compared(setup: Setup, ours: Trace, theirs: Trace, first: list[Row]) -> Parity:
    """Our trace beside the reference's, and what explains the first difference."""
    found, bad = list(first), None
    for row in rows(ours, theirs, setup.rtol):
        found.append(row)
        if not row.ok:
            bad = row
            break
    alone = [n for stage, n in ours if stage == "activation" and (stage, n) not in theirs]
    if alone:
        few = ", ".join(alone[:4]) + (f" and {len(alone) - 4} more" if len(alone) > 4 else "")
        setup.notes.append(f"not compared, as the reference has no namesake: {few}")
    if not any([key in theirs for key in ours]):
        raise ArgumentError("the two have no layer, loss or gradient in common", "names={...}")
    if bad is None:
        return Parity(found, notes=setup.notes)
    causes, tried = causes_of(bad, setup, ours, theirs)
    return Parity(found, causes, tried, setup.notes)


def store(
    path: Any, model: Any, batch: Any, reference: Any = None, loss: Any = None, updates: int = 1,
    optimizer: Any = None, *, weights: str = "copy", dtype: Any = "float64",
    names: dict[str, str] | None = None,
) -> None:  # fmt: skip
    """Runs the reference with PyTorch, and writes what `parity(model, reference=path)` compares
    with where there is none: values, batch and results, in a .safetensors or .npz file with a
    description in JSON. Arguments as for parity; weights "own" keeps the reference's.
    """
    if weights not in ("copy", "own"):
        raise ArgumentError(f"expected weights 'copy' or 'own', got {weights!r}")
    before = get_rng_state()
    setup = Setup(model, batch, loss, updates, optimizer, dtype, None)

    def work() -> None:
        mine, theirs = setup.theirs(reference, names)
        if weights == "copy":
            fill(theirs, values(mine))
        state = values(theirs)
        setup.trace()
        write(path, setup, state, _run(theirs, reference))

    try:
        same_random(work)
    finally:
        set_rng_state(before)


parity.store = store
