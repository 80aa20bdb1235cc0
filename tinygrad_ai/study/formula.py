"""The formulas in the ops' docstrings, read as programs: so they can be shown, checked and run.

    y = eˣ / Σ eˣ;   gx = y (g - Σ g y)

The notation is that of the docstrings:

- Definitions end with `;` or a comma. y is the output, g its gradient, gx the gradient of x.
- What stands side by side is multiplied, from left to right with `/`; what is written without a
  space between (2y, πx) belongs together. `@` multiplies matrices, ᵀ transposes.
- eˣ, x², aᵇ⁻¹ and e^(y²) are powers. √, ln, sin, sign, ... take what follows: one factor.
- Σ, Π, max, min and mean without a parenthesis reduce all that follows up to the next + or -,
  along the op's dimension.
- [x > 0] is 1 where that holds and 0 elsewhere (Iverson, 1962); x[index] takes elements, and
  x[…, None] adds a dimension, as in NumPy.
- f(x) and f'(x) are the activation named by the attribute `act` and its slope.
- An op with an input g calls its incoming gradient h. Several results are y[0], y[1], ... with
  gradients g[0], g[1], ...; several inputs `*xs` have the gradients gxs.
- Other names are defined beside, wherever they stand, or are words of vocabulary.py.
- The formulas are the docstring's first paragraph; what it says in words stands below.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ..errors import ArgumentError

POWERS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ᵃᵇˣʸᶻᵐᵖⁿᵗᵀ", "0123456789+-abxyzmpntT", strict=True))
FUNCTIONS = {
    "ln", "log₁₀", "log₂", "sin", "cos", "tan", "arcsin", "arccos", "arctan", "sinh", "cosh",
    "tanh", "arsinh", "arcosh", "artanh", "sign", "σ", "erf", "erf⁻¹", "floor", "ceil", "trunc",
    "round", "Γ", "ψ", "softmax", "√",
}  # fmt: skip
REDUCTIONS = {"Σ", "Π", "max", "min", "mean"}
COMPARISONS = ("<=", ">=", "!=", "<", ">", "=")
STARTS = ["word", "number", "(", "[", "|", "√", "Σ", "Π", "¬"]

TOKEN = re.compile(
    r"(?P<space>\s*)(?:(?P<number>\d+(?:\.\d+)?|[…:])|(?P<power>[" + "".join(POWERS) + r"]+)"
    r"|(?P<word>erf⁻¹|log₁₀|log₂|[a-z]\u0302|[A-Za-z_][A-Za-z0-9_]*'*|[α-ωΓ∞][₀-₉]*'*)"
    r"|(?P<mark><=|>=|!=|[-+/@^()\[\]|,=<>√ΣΠ¬]))"
)
DEFINITION = re.compile(r"(?:^|[;,])\s*([^\s=<>;,()]+) = ")


@dataclass(frozen=True)
class Term:
    """A node of an expression: what it is, a name or number, and its parts."""

    kind: str  # number, name, apply, reduce, + - * / @, negate, power, transpose, bracket, at
    text: str
    parts: tuple[Term, ...] = ()


@dataclass(frozen=True)
class Token:
    kind: str
    text: str
    spaced: bool


def definitions(text: str) -> dict[str, Term]:
    """The formulas of a docstring's first paragraph by the name that each defines, in order.

    ArgumentError, with the place, for what is not in this notation.
    """
    line = " ".join(text.strip().split("\n\n")[0].split())
    marks = list(DEFINITION.finditer(line))
    ends = [m.start() for m in marks[1:]] + [len(line)] * bool(marks)
    return {m[1]: expression(line[m.end() : end]) for m, end in zip(marks, ends, strict=True)}


def expression(text: str) -> Term:
    """One expression in the notation above."""
    reader = Reader(tokens(text), text)
    found = reader.sum()
    if reader.rest:
        raise reader.error("an operator")
    return found


def tokens(text: str) -> list[Token]:
    found, at = [], 0
    text = text.rstrip()
    while at < len(text):
        match = TOKEN.match(text, at)
        if match is None:
            raise ArgumentError(f"cannot read {text[at : at + 12]!r} in the formula {text!r}")
        kind = match.lastgroup or ""
        found.append(
            Token(match[kind] if kind == "mark" else kind, match[kind], bool(match["space"]))
        )
        at = match.end()
    return found


class Reader:
    """A recursive descent over the tokens of one expression."""

    def __init__(self, found: list[Token], text: str) -> None:
        self.rest, self.text, self.bars = found[::-1], text, 0

    @property
    def next(self) -> Token:
        return self.rest[-1] if self.rest else Token("", "", True)

    def error(self, expected: str) -> ArgumentError:
        came = " ".join([t.text for t in self.rest[::-1]][:4]) or "its end"
        return ArgumentError(f"expected {expected} at {came!r} in the formula {self.text!r}")

    def take(self, *kinds: str) -> Token:
        if self.next.kind not in kinds:
            raise self.error(" or ".join(kinds))
        return self.rest.pop()

    def sum(self) -> Term:
        left = self.product()
        while self.next.kind in ("+", "-"):
            sign = self.take("+", "-").text
            left = Term(sign, sign, (left, self.product()))
        return left

    def product(self) -> Term:
        if self.next.kind == "-":
            self.take("-")
            return Term("negate", "-", (self.product(),))
        left = self.tight()
        while self.starts() or self.next.kind in ("/", "@"):
            sign = self.take("/", "@").text if self.next.kind in ("/", "@") else "*"
            left = Term(sign, sign, (left, self.tight()))
        return left

    def starts(self) -> bool:
        """Whether a factor begins here: inside | | a bar ends them."""
        return self.next.kind in STARTS and not (self.next.kind == "|" and self.bars)

    def tight(self) -> Term:
        left = self.factor()
        while self.starts() and not self.next.spaced:
            left = Term("*", "*", (left, self.factor()))
        return left

    def factor(self) -> Term:
        found = self.atom()
        while True:
            if self.next.kind == "power":
                found = raised(found, self.take("power").text)
            elif self.next.kind == "^":
                self.take("^")
                found = Term("power", "^", (found, self.atom()))
            elif self.next.kind == "[" and not self.next.spaced:
                self.take("[")
                found = Term("at", "[", (found, *self.several("]")))
            else:
                return found

    def atom(self) -> Term:
        token = self.take(*STARTS)
        if token.kind == "number":
            return Term("number", token.text)
        if token.kind == "(":
            found = self.sum()
            self.take(")")
            return found
        if token.kind == "|":
            self.bars += 1
            found = self.sum()
            self.take("|")
            self.bars -= 1
            return Term("apply", "abs", (found,))
        if token.kind == "[":
            return self.bracket()
        if token.kind == "¬":
            return Term("not", "¬", (self.factor(),))
        return self.word(token.text)

    def word(self, name: str) -> Term:
        if self.next.kind == "(" and not self.next.spaced and name != "√":
            self.take("(")
            parts = self.several(")")
            one = name in REDUCTIONS and len(parts) == 1
            return Term("reduce" if one else "apply", name, parts)
        if name in REDUCTIONS and self.starts():
            return Term("reduce", name, (self.product(),))
        if name in FUNCTIONS:
            return Term("apply", name, (self.tight(),))
        return Term("name", name)

    def several(self, end: str) -> tuple[Term, ...]:
        found = [self.sum()]
        while self.next.kind == ",":
            self.take(",")
            found.append(self.sum())
        self.take(end)
        return tuple(found)

    def bracket(self) -> Term:
        """[a < b <= c]: comparisons in a row."""
        bars, self.bars = self.bars, 0
        parts, signs = [self.sum()], []
        while self.next.kind in COMPARISONS:
            signs.append(self.take(*COMPARISONS).text)
            parts.append(self.sum())
        self.take("]")
        self.bars = bars
        return Term("bracket", " ".join(signs), tuple(parts))


def raised(base: Term, superscript: str) -> Term:
    """A factor with what stands above it."""
    plain = "".join([POWERS[c] for c in superscript])
    if plain == "T":
        return Term("transpose", "T", (base,))
    return Term("power", "^", (base, expression(plain)))


def walk(term: Term) -> Any:
    """The term and all below it."""
    yield term
    for part in term.parts:
        yield from walk(part)
