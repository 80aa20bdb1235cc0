"""BatchEncoding: what a tokenizer gives, a dictionary whose keys are attributes, too."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..errors import ArgumentError, TinygradError
from ..ops.create import tensor
from ..tensor import Tensor

OURS = ("ta", "pt")  # "pt" is what programs written for Hugging Face ask for


class CharSpan(NamedTuple):
    """A stretch of a text: from the first character to the one after the last."""

    start: int
    end: int


class TokenSpan(NamedTuple):
    """A stretch of tokens: from the first to the one after the last."""

    start: int
    end: int


class BatchEncoding(dict[str, Any]):
    """Ids, masks and what else was asked for, of one text or of a batch: `e["input_ids"]`,
    `e.input_ids`, `model(**e)`. What came from a tokenizer also knows where in its text each token
    stands (`word_ids`, `char_to_token`, …): `e[0]` is the library's Encoding of the first text.
    """

    def __init__(
        self, data: Any = None, encoding: Any = None, tensor_type: str | None = None
    ) -> None:
        super().__init__(data or {})
        several = encoding is None or isinstance(encoding, (list, tuple))
        self._encodings = encoding if several else [encoding]
        self.convert_to_tensors(tensor_type)

    def __getattr__(self, name: str) -> Any:
        if name in self:
            return self[name]
        raise AttributeError(f"BatchEncoding has no {name}; it has {', '.join(map(str, self))}")

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, int):
            return self._encoding(key)
        if isinstance(key, slice):
            return {name: value[key] for name, value in self.items()}
        return super().__getitem__(key)

    def __reduce__(self) -> Any:
        return (BatchEncoding, (dict(self), self._encodings))

    @property
    def data(self) -> dict[str, Any]:
        return dict(self)

    @property
    def encodings(self) -> Any:
        return self._encodings

    @property
    def is_fast(self) -> bool:
        return self._encodings is not None

    @property
    def n_sequences(self) -> int | None:
        """1 for texts, 2 for pairs of texts, None where this is not known."""
        return self._encodings[0].n_sequences if self._encodings else None

    def _encoding(self, index: int) -> Any:
        if self._encodings is None:
            raise ArgumentError(
                "this BatchEncoding did not come from a tokenizer's call and knows no words",
                "ask the encoding that tokenizer(texts) gave, before pad",
            )
        if not -len(self._encodings) <= index < len(self._encodings):
            raise ArgumentError(f"no text {index} in a batch of {len(self._encodings)}")
        return self._encodings[index]

    def tokens(self, batch_index: int = 0) -> list[str]:
        return self._encoding(batch_index).tokens

    def word_ids(self, batch_index: int = 0) -> list[int | None]:
        """For each token the number of its word in the text; None for special tokens."""
        return self._encoding(batch_index).word_ids

    def sequence_ids(self, batch_index: int = 0) -> list[int | None]:
        """For each token which text of the pair it is from; None for special tokens."""
        return self._encoding(batch_index).sequence_ids

    def token_to_sequence(self, batch_or_token_index: int, token_index: int | None = None) -> Any:
        """Of which text of the pair a token is. One number means the token of the first text."""
        encoding, token = self._place(batch_or_token_index, token_index)
        return encoding.token_to_sequence(token)

    def token_to_word(self, batch_or_token_index: int, token_index: int | None = None) -> Any:
        encoding, token = self._place(batch_or_token_index, token_index)
        return encoding.token_to_word(token)

    def token_to_chars(self, batch_or_token_index: int, token_index: int | None = None) -> Any:
        """The stretch of the text that a token stands for; None for special tokens."""
        encoding, token = self._place(batch_or_token_index, token_index)
        found = encoding.token_to_chars(token)
        return None if found is None else CharSpan(*found)

    def char_to_token(
        self, batch_or_char_index: int, char_index: int | None = None, sequence_index: int = 0
    ) -> Any:
        """The token that holds a character; None where none does."""
        encoding, char = self._place(batch_or_char_index, char_index)
        return encoding.char_to_token(char, sequence_index)

    def char_to_word(
        self, batch_or_char_index: int, char_index: int | None = None, sequence_index: int = 0
    ) -> Any:
        encoding, char = self._place(batch_or_char_index, char_index)
        return encoding.char_to_word(char, sequence_index)

    def word_to_tokens(
        self, batch_or_word_index: int, word_index: int | None = None, sequence_index: int = 0
    ) -> Any:
        """The stretch of tokens a word was split into; None where the word has none."""
        encoding, word = self._place(batch_or_word_index, word_index)
        found = encoding.word_to_tokens(word, sequence_index)
        return None if found is None else TokenSpan(*found)

    def word_to_chars(
        self, batch_or_word_index: int, word_index: int | None = None, sequence_index: int = 0
    ) -> Any:
        encoding, word = self._place(batch_or_word_index, word_index)
        found = encoding.word_to_chars(word, sequence_index)
        return None if found is None else CharSpan(*found)

    def _place(self, first: int, second: int | None) -> tuple[Any, int]:
        """(text, position), or a position alone, which means the first text."""
        return (self._encoding(0), first) if second is None else (self._encoding(first), second)

    def convert_to_tensors(
        self, tensor_type: str | None = None, prepend_batch_axis: bool = False
    ) -> BatchEncoding:
        """Makes every value a tensor: "ta" and "pt" ours, "np" NumPy's array."""
        if tensor_type is None:
            return self
        for name, value in self.items():
            self[name] = to_tensor([value] if prepend_batch_axis else value, tensor_type, name)
        return self

    def to(self, device: Any, *, non_blocking: bool = False) -> BatchEncoding:
        """Moves the tensors to a device; this object, changed."""
        for name, value in self.items():
            if isinstance(value, Tensor):
                self[name] = value.to(device, non_blocking=non_blocking)
        return self


def to_tensor(value: Any, kind: str, name: str) -> Any:
    """A nested list as a tensor; integers become int64."""
    if kind not in (*OURS, "np"):
        raise ArgumentError(f"return_tensors expects 'pt', 'ta', 'np' or None, got {kind!r}")
    try:
        made = value if isinstance(value, Tensor) else tensor(value)
    except (TinygradError, ValueError, TypeError):
        raise _no_tensor(name, value) from None
    if not made.numel():
        made = made.long()
    return made.numpy() if kind == "np" else made


def _no_tensor(name: str, value: Any) -> ArgumentError:
    items = value if isinstance(value, (list, tuple)) else [value]
    said = next((item for item in items if isinstance(item, str)), None)
    if said is not None:
        return ArgumentError(f"{name} makes no tensor: it holds texts, {said!r}", "numbers from 0")
    return ArgumentError(
        f"{name} makes no tensor: its rows have different lengths, or hold more than numbers",
        "DataCollatorForTokenClassification(tokenizer) pads labels, too"
        if name in ("label", "labels")
        else "padding=True and truncation=True give rows of one length",
    )
