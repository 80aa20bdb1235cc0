"""L-BFGS: a quasi-Newton method whose curvature is remembered as a few steps and gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..autograd.mode import enable_grad, no_grad
from ..errors import ArgumentError
from ..ops.create import zeros_like
from ..ops.elementwise import abs as magnitude
from ..ops.joining import cat
from ..ops.shape import numel, reshape
from .line_search import strong_wolfe
from .optimizer import Optimizer, check


class LBFGS(Optimizer):
    """p ← p - t H @ g   (Liu & Nocedal, 1989)

    H g is made of the last steps and changes of the gradient by the two-loop recursion. t is the
    learning rate, or found by line_search_fn="strong_wolfe". `step(closure)` evaluates the closure
    several times. One parameter group only.
    """

    def __init__(
        self, params: Any, lr: float = 1, max_iter: int = 20, max_eval: int | None = None,
        tolerance_grad: float = 1e-7, tolerance_change: float = 1e-9, history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:  # fmt: skip
        check(
            lr=(lr, lr >= 0),
            line_search_fn=(line_search_fn, line_search_fn in (None, "strong_wolfe")),
        )
        defaults = {
            "lr": lr, "max_iter": max_iter, "max_eval": max_eval or max_iter * 5 // 4,
            "tolerance_grad": tolerance_grad, "tolerance_change": tolerance_change,
            "history_size": history_size, "line_search_fn": line_search_fn,
        }  # fmt: skip
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ArgumentError("LBFGS takes one parameter group")
        self.parameters = self.param_groups[0]["params"]

    @no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Up to max_iter iterations; returns the loss before the first."""
        if closure is None:
            raise ArgumentError("LBFGS.step needs a closure that computes the loss anew")
        run = _Run(self, closure)
        first = run.evaluate()
        if run.flat() or run.iterate():
            run.keep()
        return first


class _Run:
    """One call of step: where it is, and what it remembers in the optimizer's state."""

    def __init__(self, optimizer: LBFGS, closure: Callable[[], Any]) -> None:
        self.parameters, self.closure = optimizer.parameters, closure
        self.group = optimizer.param_groups[0]
        self.state = optimizer.state.setdefault(self.parameters[0], {"func_evals": 0, "n_iter": 0})
        self.evaluations = 0

    def evaluate(self) -> Any:
        """The loss and the gradient here."""
        with enable_grad():
            loss = self.closure()
        self.loss, self.g = float(loss), self.gradient()
        self.evaluations += 1
        self.state["func_evals"] += 1
        return loss

    def gradient(self) -> Any:
        grads = [zeros_like(p) if p.grad is None else p.grad for p in self.parameters]
        return cat([reshape(g, (-1,)).detach() for g in grads])

    def flat(self) -> bool:
        return magnitude(self.g).max().item() <= self.group["tolerance_grad"]

    def move(self, t: float, d: Any) -> None:
        start = 0
        for p in self.parameters:
            end = start + numel(p)
            p.add_(reshape(d[start:end], p.shape), alpha=t)
            start = end

    def iterate(self) -> bool:
        """Iterations until one of the criteria of an end holds."""
        s, group = self.state, self.group
        small = group["tolerance_change"]
        for iteration in range(1, group["max_iter"] + 1):
            s["n_iter"] += 1
            d = s["d"] = self.direction()
            s["prev_flat_grad"], before = self.g, self.loss
            first = s["n_iter"] == 1
            t = group["lr"] * (min(1.0, 1 / magnitude(self.g).sum().item()) if first else 1)
            slope = self.g.dot(d).item()
            s["t"] = t
            if slope > -small:
                break
            last = iteration == group["max_iter"]
            t = s["t"] = self.advance(t, d, slope, last)
            if last or self.evaluations >= group["max_eval"] or self.flat():
                break
            if magnitude(d).max().item() * abs(t) <= small or abs(self.loss - before) < small:
                break
        return True

    def advance(self, t: float, d: Any, slope: float, last: bool) -> float:
        """Moves along d, by t or as far as the line search says; evaluates there."""
        if self.group["line_search_fn"] is None:
            self.move(t, d)
            if not last:
                self.evaluate()
            return t
        start = [p.detach().clone() for p in self.parameters]

        def at(t: float) -> tuple[float, Any]:
            self.move(t, d)
            self.evaluate()
            found = self.loss, self.g
            for p, value in zip(self.parameters, start, strict=True):
                p.copy_(value)
            return found

        room = self.group["max_eval"] - self.evaluations
        t, self.loss, self.g = strong_wolfe(at, d, t, (self.loss, self.g, slope), room)
        self.move(t, d)
        return t

    def direction(self) -> Any:
        """-H g by the two-loop recursion over the remembered pairs."""
        s = self.state
        if s["n_iter"] == 1:
            s.update(old_dirs=[], old_stps=[], ro=[], H_diag=1.0)
            return -self.g
        self.remember(self.g - s["prev_flat_grad"], s["d"] * s["t"])
        q, factors = -self.g, []
        pairs = list(zip(s["old_dirs"], s["old_stps"], s["ro"], strict=True))
        for y, step, rho in reversed(pairs):
            factors.append(step.dot(q).item() * rho)
            q = q - y * factors[-1]
        r = q * s["H_diag"]
        for (y, step, rho), factor in zip(pairs, reversed(factors), strict=True):
            r = r + step * (factor - y.dot(r).item() * rho)
        return r

    def remember(self, y: Any, step: Any) -> None:
        """A pair enters the history if the curvature along it is positive."""
        s, curvature = self.state, y.dot(step).item()
        if curvature <= 1e-10:
            return
        for name, value in (("old_dirs", y), ("old_stps", step), ("ro", 1 / curvature)):
            s[name] = [*s[name], value][-self.group["history_size"] :]
        s["H_diag"] = curvature / y.dot(y).item()

    def keep(self) -> None:
        self.state["prev_loss"] = self.loss
