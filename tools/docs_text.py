"""Docstrings as Markdown."""

from __future__ import annotations

import html
import inspect
import re
from functools import partial
from typing import Any

from tinygrad_ai.autograd.op import Op
from tinygrad_ai.errors import ArgumentError
from tools import docs_math

CITED = re.compile(r"\s+\(([^()]*\b\d{4})\)$")


def paragraphs(value: Any) -> list[str]:
    """A docstring's paragraphs; none where a class has only inherited one."""
    if isinstance(value, Op):
        text = inspect.cleandoc(value.__doc__ or "")
    elif isinstance(value, partial):
        text = inspect.getdoc(value.func) or ""
    else:
        text = inspect.cleandoc(getattr(value, "__doc__", None) or "")
    return text.split("\n\n") if text else []


def prose(text: str) -> str:
    """Docstring to Markdown: what is indented is code, and outside `code` no sign is markup."""
    if text and all([line.startswith("    ") for line in text.splitlines()]):
        return "```text\n" + inspect.cleandoc(text) + "\n```"
    parts = text.split("`")
    parts[::2] = [escaped(part) for part in parts[::2]]
    return "`".join(parts)


def steps(paragraph: str) -> list[str]:
    """A paragraph: formulas, with who found them, or words."""
    cited = CITED.search(paragraph)
    try:
        block = docs_math.block(CITED.sub("", paragraph))
    except ArgumentError:
        return [prose(paragraph)]
    return [block, "", prose(cited[1]) + "."] if cited else [block]


def escaped(text: str) -> str:
    return re.sub(r"([\\*_\[\]])", r"\\\1", html.escape(text, quote=False))
