"""Texts on their way into the library, and what it gives on the way out."""

from __future__ import annotations

from typing import Any

from ..errors import ArgumentError


def samples(text: Any, pair: Any, words: bool) -> tuple[list[Any], bool]:
    """The texts as a list, pairs as tuples; and whether they came as a batch.

    With `words` a text is a list of words. As in Hugging Face, an empty second text given for a
    single first one counts as none.
    """
    single = isinstance(text, str)
    if words:
        single = isinstance(text, (list, tuple)) and not (
            text and isinstance(text[0], (list, tuple))
        )
    if single:
        one: Any = (text, pair) if pair else text
        return [_checked(one, words, "the text")], False
    if not isinstance(text, (list, tuple)):
        raise ArgumentError(
            f"expected a text or a list of texts, got {type(text).__name__}",
            "list(texts) makes a list of an array or a column",
        )
    if pair is not None:
        if not isinstance(pair, (list, tuple)) or len(pair) != len(text):
            got = f"{len(pair)}" if isinstance(pair, (list, tuple)) else type(pair).__name__
            raise ArgumentError(f"{len(text)} texts need a list of as many second texts, got {got}")
        text = list(zip(text, pair))
    return [_checked(one, words, f"text {i}") for i, one in enumerate(text)], True


def _checked(sample: Any, words: bool, where: str) -> Any:
    """A text as the library takes it, a pair of texts as a tuple."""
    if isinstance(sample, tuple) and len(sample) == 2 and not _text(sample, words):
        parts: Any = sample
    elif isinstance(sample, list) and len(sample) == 2 and not _text(sample, words):
        parts = tuple(sample)
    else:
        parts = (sample,)
    for part in parts:
        if not _text(part, words):
            wanted = "a list of words" if words else "a string"
            raise ArgumentError(f"{where} is {_named(part)}, expected {wanted} or a pair of them")
    if words:
        parts = tuple(list(part) for part in parts)
    return parts if len(parts) == 2 else parts[0]


def _text(value: Any, words: bool) -> bool:
    if not words:
        return isinstance(value, str)
    return isinstance(value, (list, tuple)) and all(isinstance(word, str) for word in value)


def _named(value: Any) -> str:
    return "None" if value is None else f"{type(value).__name__} {value!r}"[:60]


def encode(backend: Any, texts: list[Any], special: bool, words: bool) -> list[Any]:
    """The library's encodings. Its own errors, plain Exceptions, become ours."""
    try:
        return backend.encode_batch(texts, add_special_tokens=special, is_pretokenized=words)
    except Exception as error:
        for number, text in enumerate(texts):
            _check_characters(text, number)
        fix = None
        if "Truncation error" in str(error):
            fix = "a larger max_length, or truncation=True, which shortens the longer text"
        raise ArgumentError(f"the texts cannot be encoded: {error}", fix) from None


def _check_characters(text: Any, number: int) -> None:
    if not isinstance(text, str):
        for part in text:
            _check_characters(part, number)
        return
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ArgumentError(
            f"text {number} has half a character at position {error.start}: {error.reason}",
            "text.encode('utf-8', 'replace').decode() replaces it",
        ) from None


def columns(
    encodings: list[Any], wanted: dict[str, bool], overflow: bool
) -> tuple[dict[str, Any], list[Any]]:
    """A row for each encoding (and, with `overflow`, for each of the parts it was cut into), in a
    column for each value that is wanted.
    """
    parts, sources = [], []
    for number, encoding in enumerate(encodings):
        found = [encoding, *encoding.overflowing] if overflow else [encoding]
        parts += found
        sources += [number] * len(found)
    field = {"input_ids": "ids", "token_type_ids": "type_ids", "offset_mapping": "offsets"}
    data: dict[str, Any] = {
        name: [len(e) if name == "length" else getattr(e, field.get(name, name)) for e in parts]
        for name, asked in wanted.items()
        if asked
    }
    if overflow:
        data["overflow_to_sample_mapping"] = sources
    return data, parts
