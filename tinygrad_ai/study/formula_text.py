"""Formulas written out: as LaTeX, and as NumPy code."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import ArgumentError
from .formula import POWERS, Term, walk

LEVEL = {"+": 1, "-": 1, "negate": 1, "*": 2, "/": 2, "@": 2, "reduce": 2, "apply": 3, "power": 4}

NUMPY = {
    "ln": "np.log", "log₁₀": "np.log10", "log₂": "np.log2", "sin": "np.sin", "cos": "np.cos",
    "tan": "np.tan", "arcsin": "np.arcsin", "arccos": "np.arccos", "arctan": "np.arctan",
    "sinh": "np.sinh", "cosh": "np.cosh", "tanh": "np.tanh", "arsinh": "np.arcsinh",
    "arcosh": "np.arccosh", "artanh": "np.arctanh", "sign": "np.sign", "√": "np.sqrt",
    "floor": "np.floor", "ceil": "np.ceil", "trunc": "np.trunc", "round": "np.round",
    "abs": "np.abs", "max": "np.maximum", "min": "np.minimum", "atan2": "np.arctan2",
    "Σ": "np.sum", "Π": "np.prod", "mean": "np.mean", "σ": "sigmoid", "erf": "erf",
    "erf⁻¹": "erfinv", "Γ": "gamma", "ψ": "digamma",
    **{name: f"np.{name}" for name in (
        "argsort", "copysign", "cumprod", "cumsum", "flip", "fmax", "fmin", "reshape", "roll",
        "sinc", "tril", "triu",
    )},
    "permute": "np.transpose",
}  # fmt: skip
REDUCED = {"max": "np.max", "min": "np.min"}
NAMES = {
    "π": "math.pi",
    "∞": "math.inf",
    "e": "math.e",
    "ε": "eps",
    "α": "alpha",
    "β": "beta",
    "x̂": "xhat",
}
TEX = {"*": r"\,", "@": r"\mathbin{@}", "Σ": r"\sum", "Π": r"\prod", "π": r"\pi", "∞": r"\infty",
       "ε": r"\epsilon", "σ": r"\sigma", "α": r"\alpha", "β": r"\beta", "Γ": r"\Gamma",
       "ψ": r"\psi", "x̂": r"\hat{x}", "<=": r"\le", ">=": r"\ge", "!=": r"\ne"}  # fmt: skip


def wrapped(part: Term, above: int, text: str, ends: tuple[str, str] = ("(", ")")) -> str:
    """A part's text, in parentheses where it binds less than what stands around it."""
    return ends[0] + text + ends[1] if LEVEL.get(part.kind, 5) < above else text


def numpy_code(
    term: Term, axis: str = "axis", name: Callable[[str], str] = str, kept: bool = True
) -> str:
    """An expression of NumPy's; `axis` is the text of the dimension that reductions go along, and
    `name` says what a name of the formula is called in the code. Outermost reductions keep their
    dimension, or not."""

    def code(t: Term, above: int = 0, kept: bool = True) -> str:
        text = _numpy(t, code, axis, name, kept)
        return text if t.kind in ("apply", "reduce") else wrapped(t, above, text)

    return code(term, kept=kept)


def _numpy(
    t: Term, code: Callable[..., str], axis: str, name: Callable[[str], str], kept: bool
) -> str:
    if t.kind == "number":
        return "..." if t.text == "…" else t.text
    if t.kind == "name":
        text = NAMES.get(t.text, t.text)
        return text if text.startswith("math.") else name(text)
    if t.kind == "negate":
        return "-" + code(t.parts[0], 2, kept)
    if t.kind in ("*", "/") and (conditions := _conditions(t)):
        return _where(t, conditions, code)
    if t.kind in ("+", "-", "*", "/", "@"):
        level = LEVEL[t.kind]
        right = code(t.parts[1], level + 1, kept)
        return f"{code(t.parts[0], level, kept)} {t.kind} {right}"
    if t.kind == "power":
        if t.parts[0] == Term("name", "e"):
            return f"np.exp({code(t.parts[1], 0, kept)})"
        return f"{code(t.parts[0], 5, kept)} ** {code(t.parts[1], 4, kept)}"
    if t.kind == "transpose":
        return f"np.swapaxes({code(t.parts[0])}, -1, -2)"
    if t.kind == "at":
        return f"{code(t.parts[0], 5)}[{', '.join([code(p) for p in t.parts[1:]])}]"
    if t.kind == "bracket":
        return f"np.where({_brackets([t], code)}, 1.0, 0.0)"
    if t.kind == "not":
        return f"~{code(t.parts[0], 5)}"
    if t.kind == "reduce":
        function = REDUCED.get(t.text) or NUMPY[t.text]
        return f"{function}({code(t.parts[0])}, axis={axis}{', keepdims=True' if kept else ''})"
    if t.kind == "apply":
        known = "d" + t.text[:-1] if t.text.endswith("'") else NUMPY.get(t.text, t.text)
        if all([u.text in ("π", "e") for u in walk(t) if u.kind == "name"]):
            known = known.replace("np.", "math.")
        return f"{known}({', '.join([code(p, 0, kept) for p in t.parts])})"
    raise ArgumentError(f"no code for {t.kind}")


def flat(t: Term, scalars: set[str]) -> bool:
    """Whether outside of reductions there are numbers only: then none has to keep its dimension."""
    if t.kind == "reduce":
        return True
    if t.kind == "name":
        return t.text in scalars or t.text in NAMES
    return t.kind not in ("bracket", "at") and all([flat(p, scalars) for p in t.parts])


def _chain(t: Term) -> list[tuple[str, Term]]:
    """The factors of a product with their signs."""
    return [*_chain(t.parts[0]), (t.kind, t.parts[1])] if t.kind in ("*", "/") else [("*", t)]


def _conditions(t: Term) -> list[Term]:
    return [part for sign, part in _chain(t) if part.kind == "bracket" and sign == "*"]


def _where(t: Term, conditions: list[Term], code: Callable[..., str]) -> str:
    """0 where a condition does not hold, whatever stands beside it: 0 times infinity too."""
    rest = [(sign, part) for sign, part in _chain(t) if part not in conditions]
    signs = ["" if i == 0 and sign == "*" else sign for i, (sign, _) in enumerate(rest)]
    texts = [f"{sign} {code(part, 3)}".strip() for sign, (_, part) in zip(signs, rest)]
    both = _brackets(conditions, code)
    value = " ".join(texts) or "1.0"
    return f"np.where({both}, {'1 ' + value if value[0] == '/' else value}, 0)"


def _brackets(conditions: list[Term], code: Callable[..., str]) -> str:
    """Comparisons in a row, each of which must hold."""
    tests = []
    for t in conditions:
        signs = ["==" if s == "=" else s for s in t.text.split()]
        texts = [code(p, 1) for p in t.parts]
        pairs = [f"{a} {s} {b}" for a, s, b in zip(texts, signs, texts[1:])]
        tests += pairs or texts
    return " & ".join([f"({test})" for test in tests]) if len(tests) > 1 else tests[0]


SUPERSCRIPTS = {plain: above for above, plain in POWERS.items()}


def notation(t: Term, name: Callable[[str], str] = str, above: int = 0) -> str:
    """An expression in the docstrings' notation; `name` says how a name is written."""
    text = _notation(t, lambda part, level=0: notation(part, name, level), name)
    return wrapped(t, above, text)


def ends_open(t: Term) -> bool:
    """Whether what stands behind a term would be taken into its last reduction."""
    if t.kind == "reduce":
        return True
    return t.kind in ("*", "/", "@") and ends_open(t.parts[1])


def _notation(t: Term, text: Callable[..., str], name: Callable[[str], str]) -> str:
    parts = t.parts
    if t.kind == "number":
        return t.text
    if t.kind == "name":
        return name(t.text)
    if t.kind == "negate":
        return "-" + text(parts[0], 2)
    if t.kind in ("+", "-"):
        return f"{text(parts[0], 1)} {t.kind} {text(parts[1], 2)}"
    if t.kind in ("*", "/", "@"):
        left, right = text(parts[0], 3 if ends_open(parts[0]) else 2), text(parts[1], 3)
        return f"{left} {right}" if t.kind == "*" else f"{left} {t.kind} {right}"
    if t.kind == "power":
        plain = "".join([SUPERSCRIPTS.get(c, "?") for c in text(parts[1]).replace(" ", "")])
        base = text(parts[0], 5)
        return f"{base}^({text(parts[1])})" if "?" in plain else base + plain
    if t.kind == "transpose":
        return text(parts[0], 5) + "ᵀ"
    if t.kind == "not":
        return "¬" + text(parts[0], 5)
    inside = ", ".join([text(p) for p in parts])
    if t.kind == "bracket":
        signs = [*t.text.split(), ""]
        return "[" + " ".join([f"{text(p)} {s}".strip() for p, s in zip(parts, signs)]) + "]"
    if t.kind == "at":
        return f"{text(parts[0], 5)}[{', '.join([text(p) for p in parts[1:]])}]"
    if t.kind == "reduce":
        return f"{t.text} {text(parts[0], 2)}"
    return f"|{inside}|" if t.text == "abs" else f"{t.text}({inside})"


def latex(term: Term, above: int = 0, name: Callable[[str], str] | None = None) -> str:
    """An expression in LaTeX; `name` says how a name is written."""
    text = _latex(term, lambda t, level=0: latex(t, level, name), name or tex_name)
    if term.kind == "/" and above <= LEVEL["apply"]:  # the bar holds it together
        return text
    return wrapped(term, above, text, (r"\left(", r"\right)"))


def tex_name(text: str) -> str:
    return TEX.get(text) or (text if len(text) == 1 else gradient_name(text))


def _latex(t: Term, text: Callable[..., str], name: Callable[[str], str]) -> str:
    parts = t.parts
    if t.text == "…":
        return r"\ldots"
    if t.kind in ("number", "name"):
        return name(t.text) if t.kind == "name" else t.text
    if t.kind == "negate":
        return "-" + text(parts[0], 2)
    if t.kind == "/":
        return rf"\frac{{{text(parts[0])}}}{{{text(parts[1])}}}"
    if t.kind in ("+", "-", "*", "@"):
        level = LEVEL[t.kind]
        left = text(parts[0], 3 if ends_open(parts[0]) else level)
        return f"{left} {TEX.get(t.kind, t.kind)} {text(parts[1], level + 1)}"
    if t.kind == "power":
        return f"{text(parts[0], 5)}^{{{text(parts[1])}}}"
    if t.kind == "transpose":
        return f"{text(parts[0], 5)}^\\top"
    if t.kind == "not":
        return rf"\neg {text(parts[0], 5)}"
    if t.kind == "reduce":
        word = TEX.get(t.text) or rf"\operatorname{{{t.text}}}"
        return f"{word} {text(parts[0], 2)}"
    inside = [text(p) for p in parts]
    if t.kind == "at":
        return f"{text(parts[0], 5)}[{', '.join(inside[1:])}]"
    if t.kind == "bracket":
        signs = [TEX.get(s, s) for s in t.text.split()] + [""]
        row = " ".join([f"{p} {s}".strip() for p, s in zip(inside, signs)])
        return rf"\left[{row}\right]"
    return _applied(t.text, inside)


def _applied(word: str, inside: list[str]) -> str:
    if word == "√":
        return rf"\sqrt{{{inside[0]}}}"
    if word == "abs":
        return rf"\left|{inside[0]}\right|"
    name = TEX.get(word) or (word if word.rstrip("'") == "f" else None)
    plain = word.replace("⁻¹", "^{-1}").replace("_", r"\_")
    name = name or rf"\operatorname{{{plain}}}"
    return rf"{name}\left({', '.join(inside)}\right)"


def is_gradient(name: str) -> bool:
    """Whether a name of a formula is that of a gradient: gx, of x."""
    return name[0] == "g" and name[1:].isalpha() and name not in ("grow", "groups")


def gradient_name(name: str) -> str:
    """gx as g with x below; other words upright."""
    if is_gradient(name):
        return f"g_{{{TEX.get(name[1:], name[1:])}}}"
    return rf"\mathrm{{{name}}}".replace("_", r"\_")
