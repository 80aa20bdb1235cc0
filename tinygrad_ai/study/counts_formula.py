"""Operations of a formula: what an elementwise op costs for each element, read from its docstring.

+ - × ÷, a power and every function (exp, ln, tanh, erf, max, ...) count 1. What has no array in it
is computed once and counts 0, as do brackets: comparing and choosing makes no number. What stands
twice is computed once.
"""

from __future__ import annotations

from functools import cache

from ..autograd.op import REGISTRY
from .formula import Term, definitions

COUNTED = {"+", "-", "*", "/", "negate", "power", "apply", "reduce"}


@cache
def operations(op: str, wanted: tuple[str, ...]) -> int:
    """How many operations give these of an op's definitions (y, gx, ...), for each element."""
    op_ = REGISTRY[op]
    known = definitions(op_.__doc__ or "")
    arrays = {*op_.inputs, "g", "y"}
    seen: set[Term] = set()
    found = sum([_count(known[name], known, arrays, seen) for name in wanted])
    return found


def _count(term: Term, known: dict[str, Term], arrays: set[str], seen: set[Term]) -> int:
    """Of a term that is not yet among those seen."""
    if term in seen or term.kind == "bracket" or not has_array(term, known, arrays):
        return 0
    seen.add(term)
    if term.kind == "name":
        beside = term.text in known and term.text not in arrays
        return _count(known[term.text], known, arrays, seen) if beside else 0
    below = sum([_count(part, known, arrays, seen) for part in term.parts])
    return below + (term.kind in COUNTED and not is_choice(term))


def has_array(term: Term, known: dict[str, Term], arrays: set[str]) -> bool:
    """Whether a term is one number for each element, and not one for all."""
    if term.kind == "name" and term.text in known and term.text not in arrays:
        return has_array(known[term.text], known, arrays)
    if term.kind == "name":
        return term.text in arrays
    return any([has_array(part, known, arrays) for part in term.parts])


def is_choice(term: Term) -> bool:
    """[x > 0] a, or [x > 0] a + [x <= 0] b: nothing is computed with the truth value."""
    if term.kind == "*":
        return term.parts[0].kind == "bracket" or term.parts[1].kind == "bracket"
    return term.kind == "+" and all([begins_with_bracket(part) for part in term.parts])


def begins_with_bracket(term: Term) -> bool:
    while term.kind in ("*", "/", "+"):
        term = term.parts[0]
    return term.kind == "bracket"
