"""What the names in an op's formulas stand for in one call, and the formulas of that call: without
what it left out, as a bias, and with its activation by name."""

from __future__ import annotations

import math
from functools import cache
from operator import eq, ge, gt, le, lt, ne
from typing import Any

import numpy as np

from ..errors import ArgumentError
from . import vocabulary, vocabulary_functions, vocabulary_products
from .formula import Term, definitions, walk
from .formula_text import NAMES

MODULES = (vocabulary, vocabulary_functions, vocabulary_products)
WORDS = {
    name: value
    for module in MODULES
    for name, value in vars(module).items()
    if callable(value) and getattr(value, "__module__", "") == module.__name__
}
# What a missing input or setting is in a formula: where it changes nothing.
NEUTRAL: dict[str, float] = {
    "w": 1, "b": 0, "bias": 0, "low": -math.inf, "high": math.inf, "keep": 1, "grow": 1,
    "eps": 0,
}  # fmt: skip
GREEK = {code: name for name, code in NAMES.items()}
ZERO, ONE = Term("number", "0"), Term("number", "1")
ZERO_OF_ZERO = ("transpose", "at", "reduce", "negate")
LINEAR = {"diag", "rows", "down", "mirrored"}  # words that make 0 of 0


@cache
def formulas(op: Any) -> dict[str, Term]:
    """An op's formulas by name. ArgumentError for one without, as a Function of a user's."""
    found = definitions(op.__doc__) if isinstance(getattr(op, "__doc__", None), str) else {}
    if not any([is_output(name) for name in found]):
        raise unreadable(op)
    return found


def unreadable(op: Any) -> ArgumentError:
    return ArgumentError(
        f"{getattr(op, 'name', op)} has no formula that can be read as a program",
        "write an op, with a docstring as the ops have: y = tanh x;   gx = g (1 - y²)",
    )


def is_output(name: str) -> bool:
    return name == "y" or name.startswith("y[")


def incoming(op: Any) -> str:
    """What the formulas of an op call the gradient of its output."""
    return "h" if "g" in op.inputs else "g"


def names(term: Term) -> set[str]:
    return {t.text for t in walk(term) if t.kind == "name"}


def ordered(known: dict[str, Term], wanted: Any) -> dict[str, Term]:
    """The definitions that `wanted` need, each after those it uses itself."""
    found: dict[str, Term] = {}

    def visit(name: str, above: tuple[str, ...]) -> None:
        for key in outputs(known) if name == "y" else [name]:
            if key in above:
                raise ArgumentError(f"a formula needs itself: {' needs '.join((*above, key))}")
            if key in known and key not in found:
                used = names(known[key])
                for other in [k for k in known if k in used or (is_output(k) and "y" in used)]:
                    visit(other, (*above, key))
                found[key] = known[key]

    for name in wanted:
        visit(name, ())
    return found


def outputs(known: Any) -> list[str]:
    """The names y, or y[0], y[1], ..., of what formulas define."""
    return [name for name in known if is_output(name)]


def settings(op: Any, shapes: list[Any], attrs: dict[str, Any]) -> dict[str, Any]:
    """What stands in the formulas besides arrays: configuration, shapes, the dimensions that
    reductions go along (`axis`) and how many numbers are there (`n`)."""
    found: dict[str, Any] = {}
    for name, shape in zip(op.inputs, shapes):
        found[f"{name}_shape"] = shape
    dim = attrs.get("dim", -1)
    axes = dim if isinstance(dim, tuple) else (dim,)
    first = shapes[0] if shapes and shapes[0] is not None else ()
    found["axis"] = dim
    found["n"] = math.prod([first[d] for d in axes if -len(first) <= d < len(first)])
    return {**found, **op.defaults, **attrs}


def constants(op: Any, given: dict[str, Any]) -> dict[str, Term]:
    """The names of a call that are plain numbers at which formulas become simpler."""
    missing = [n for n in NEUTRAL if n in (*op.inputs, *op.attrs) and given.get(n) is None]
    if "keep" in missing and "grow" in op.attrs:
        missing.append("grow")  # nothing is dropped
    found: dict[str, float] = {name: NEUTRAL[name] for name in missing}
    for name in op.inputs:
        value: Any = given.get(name)
        if type(value) in (int, float) and value in range(100):
            found[name] = value
    return {GREEK.get(name, name): number(value) for name, value in found.items()}


def number(value: float) -> Term:
    if math.isinf(value):
        infinity = Term("name", "∞")
        return infinity if value > 0 else Term("negate", "-", (infinity,))
    return Term("number", f"{value:g}")


def folded(t: Term, known: dict[str, Term], act: str | None = None) -> Term:
    """A term with numbers in place of names, 0 and 1 worked in, and the activation by its name."""
    if t.kind == "at" and f"{t.parts[0].text}[{t.parts[1].text}]" in known:
        return known[f"{t.parts[0].text}[{t.parts[1].text}]"]
    parts = tuple([folded(p, known, act) for p in t.parts])
    if t.kind == "name":
        return known.get(t.text, t)
    if t.kind in ("*", "/", "@", "+", "-"):
        return _two(t, *parts)
    if t.kind in ZERO_OF_ZERO and parts[0] == ZERO:
        return ZERO
    if t.kind == "power" and parts[1] == ONE:
        return parts[0]
    if t.kind == "bracket" and all([p.kind == "number" for p in parts]):
        return _decided(t.text, parts)
    if t.kind == "apply":
        return _applied(t, parts, act)
    return Term(t.kind, t.text, parts)


def _decided(signs: str, parts: tuple[Term, ...]) -> Term:
    """A bracket with nothing but numbers in it."""
    values = [float(p.text) for p in parts]
    tests = {"<": lt, "<=": le, ">": gt, ">=": ge, "=": eq, "!=": ne}
    pairs = zip(signs.split(), values, values[1:])
    holds = all([tests[s](a, b) for s, a, b in pairs]) if signs else values[0] != 0
    return ONE if holds else ZERO


def _two(t: Term, a: Term, b: Term) -> Term:
    if t.kind == "-" and a.kind == b.kind == "number" and float(a.text) >= float(b.text):
        return number(float(a.text) - float(b.text))
    if t.kind in ("*", "@", "/") and ZERO in ((a, b) if t.kind != "/" else (a,)):
        return ZERO
    if (b == ONE and t.kind in "*/") or (b == ZERO and t.kind in "+-"):
        return a
    if (a == ONE and t.kind == "*") or (a == ZERO and t.kind == "+"):
        return b
    if a == ZERO and t.kind == "-":
        return Term("negate", "-", (b,))
    return Term(t.kind, t.text, (a, b))


def _applied(t: Term, parts: tuple[Term, ...], act: str | None) -> Term:
    name = t.text
    if (name in LINEAR and parts == (ZERO,)) or (name == "future" and parts[-1] == ZERO):
        return ZERO
    if name in ("max", "min") and len(parts) == 2:
        nothing = number(-math.inf if name == "max" else math.inf)
        if nothing in parts:
            return parts[0] if parts[1] == nothing else parts[1]
    if name in ("f", "f'", "slope", "curvature"):
        if act is None:
            return {"f": parts[0], "curvature": ZERO}.get(name, ONE)
        end = {"f": "", "f'": "'"}.get(name, f"_{name}")
        return Term("apply", act + end, parts)
    return Term("apply", name, parts)


def of_call(op: Any, given: dict[str, Any], absent: Any = (), at: Any = ()) -> dict[str, Term]:
    """The formulas of one call. `absent` names gradients that nobody asked for, as g[1], and `at`
    what is a name of its own, as y[0]."""
    known = {**{a: Term("name", a) for a in at if a.endswith("]")}, **constants(op, given)}
    known |= dict.fromkeys(absent, ZERO)
    for name, shape in [(n, given.get(n)) for n in given if n.endswith("_shape")]:
        known |= {f"{name}[{i}]": number(n) for i, n in enumerate(shape or ())}
    if given.get("causal") is False:
        known["causal"] = ZERO
    found = {k: folded(t, known, given.get("act")) for k, t in formulas(op).items()}
    return without_aliases(found, [f"g{name}" for name in op.inputs])


def without_aliases(found: dict[str, Term], kept: list[str]) -> dict[str, Term]:
    """Definitions without those that only give another name, as gz = g, or 0, and without z where
    y = z is all that uses it."""
    for key in list(found):
        term = found.get(key)
        if term is None or (term.kind != "name" and term != ZERO):
            continue
        used = [k for k, t in found.items() if term.text in names(t)]
        if is_output(key) and term.text in found and used == [key]:
            found[key] = found.pop(term.text)
        elif key not in kept and not is_output(key):
            del found[key]
            rest = {k: folded(t, {key: term}) for k, t in found.items()}
            return without_aliases(rest, kept)
    return found


def host(array: Any) -> Any:
    """An array as NumPy has it."""
    return array.get() if hasattr(array, "get") else np.asarray(array)
