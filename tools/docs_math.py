"""Formulas of docstrings as MathML, which browsers show without a script or a font of ours."""

from __future__ import annotations

import html
import re

from tinygrad_ai.errors import ArgumentError
from tinygrad_ai.study.formula import FUNCTIONS, Term, expression
from tinygrad_ai.study.formula_text import LEVEL, ends_open, is_gradient

STEP = re.compile(r"(?:^|[;,])\s*([^\s=<>;,()]+) (=|←) ")
SIGNS = {"Σ": "∑", "Π": "∏", "<=": "≤", ">=": "≥", "!=": "≠", "-": "−"}
SPACE = '<mspace width="0.2em"/>'


def block(text: str) -> str:
    """Definitions as a block of lines, with the signs of equality below each other.

    ArgumentError for what is no formula.
    """
    rows = []
    for left, equal, right in steps(text):
        cells = [mathml(expression(left)), f"<mo>{equal}</mo>", mathml(right)]
        rows.append("<mtr>" + "".join([f"<mtd>{cell}</mtd>" for cell in cells]) + "</mtr>")
    table = f'<mtable class="formulas" displaystyle="true">{"".join(rows)}</mtable>'
    return f'<div class="formula"><math display="block">{table}</math></div>'


def steps(text: str) -> list[tuple[str, str, Term]]:
    """What each line defines (=) or changes (←), and into what, in order."""
    line = " ".join(text.split())
    marks = list(STEP.finditer(line))
    if not any([m[2] == "←" or is_gradient(m[1]) for m in marks]) or marks[0].start():
        raise ArgumentError(f"neither a derivative nor a step: {text!r}")
    ends = [m.start() for m in marks[1:]] + [len(line)]
    return [(m[1], m[2], expression(line[m.end() : end])) for m, end in zip(marks, ends)]


def mathml(t: Term, above: int = 0) -> str:
    """An expression; in parentheses where it binds less than what stands around it."""
    if t.kind == "apply":
        return applied(t, [mathml(p) for p in t.parts], alone=above < 2)
    text, held = _mathml(t), t.kind == "/" and above <= LEVEL["apply"]  # by the fraction's bar
    return fenced(text) if LEVEL.get(t.kind, 5) < above and not held else text


def _mathml(t: Term) -> str:
    parts = t.parts
    if t.kind == "number":
        return f"<mn>{t.text}</mn>"
    if t.kind == "name":
        return name(t.text)
    if t.kind == "negate":
        return sign("-", "prefix") + mathml(parts[0], 2)
    if t.kind == "/":
        return f"<mfrac>{row(mathml(parts[0]))}{row(mathml(parts[1]))}</mfrac>"
    if t.kind in ("+", "-", "*", "@"):
        level = LEVEL[t.kind]
        left = mathml(parts[0], 3 if ends_open(parts[0]) else level)
        return left + (SPACE if t.kind == "*" else sign(t.kind)) + mathml(parts[1], level + 1)
    if t.kind == "power":
        return raised(mathml(parts[0], 5), row(mathml(parts[1])))
    if t.kind == "transpose":
        return raised(mathml(parts[0], 5), "<mi>⊤</mi>")
    if t.kind == "not":
        return "<mo>¬</mo>" + mathml(parts[0], 5)
    if t.kind == "reduce":
        word = sign(t.text, "prefix") if t.text in SIGNS else f"<mi>{t.text}</mi>{SPACE}"
        return word + mathml(parts[0], 2)
    inside = [mathml(p) for p in parts]
    if t.kind == "at":
        return mathml(parts[0], 5) + fenced(listed(inside[1:]), "[]")
    signs = [sign(s) for s in t.text.split()] + [""]  # of a bracket
    return fenced("".join([p + s for p, s in zip(inside, signs)]), "[]")


def raised(base: str, above: str) -> str:
    if base.startswith("<msub>"):
        return base.replace("msub>", "msubsup>").removesuffix("</msubsup>") + above + "</msubsup>"
    return f"<msup>{row(base)}{above}</msup>"


def applied(t: Term, inside: list[str], alone: bool) -> str:
    """ln x, or ln(x) where something stands beside it."""
    if t.text == "√":
        return f"<msqrt>{inside[0]}</msqrt>"
    if t.text == "abs":
        return fenced(inside[0], "||")
    plain = alone and len(inside) == 1 and t.parts[0].kind in ("name", "number")
    if plain and t.text in FUNCTIONS:
        return name(t.text) + SPACE + inside[0]
    return name(t.text) + fenced(listed(inside))


def name(text: str) -> str:
    """gx is g with x below, m̂ has its hat above, β₁ its number below; words are upright."""
    if text.endswith("\u0302"):
        return f'<mover accent="true">{name(text[:-1])}<mo stretchy="false">ˆ</mo></mover>'
    if text.endswith("'"):
        return row(name(text[:-1]) + "<mo lspace='0' rspace='0'>'</mo>")
    base = text.rstrip("₀₁₂₃₄₅₆₇₈₉")
    if base != text:
        below = "".join([str("₀₁₂₃₄₅₆₇₈₉".index(c)) for c in text[len(base) :]])
        return f"<msub>{name(base)}<mn>{below}</mn></msub>"
    if is_gradient(text):
        return f"<msub><mi>g</mi>{name(text[1:])}</msub>"
    if text.endswith("⁻¹"):
        return f"<msup>{name(text[:-2])}<mn>−1</mn></msup>"
    return f"<mi>{html.escape(text)}</mi>"


def sign(text: str, form: str = "infix") -> str:
    return f'<mo form="{form}" largeop="false">{html.escape(SIGNS.get(text, text))}</mo>'


def listed(parts: list[str]) -> str:
    return "<mo>,</mo>".join(parts)


def fenced(text: str, ends: str = "()") -> str:
    high = str("<mfrac>" in text).lower()
    left, right = [f'<mo stretchy="{high}" form="' + form for form in ("prefix", "postfix")]
    return row(f'{left}">{ends[0]}</mo>{text}{right}">{ends[1]}</mo>')


def row(text: str) -> str:
    return f"<mrow>{text}</mrow>"
