"""Tokens and their ids: the half of a tokenizer that knows no text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..errors import ArgumentError
from .library import added

NAMED = (
    "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token",
)  # fmt: skip


def _token(name: str) -> Any:
    """The property that gives the token of this role, or None, and sets it."""

    def get(self: Vocabulary) -> str | None:
        return self._named.get(name)

    def put(self: Vocabulary, token: Any) -> None:
        text = None if token is None else getattr(token, "content", token)
        if text is not None and not isinstance(text, str):
            raise ArgumentError(f"{name} must be a string, got {type(text).__name__}")
        if text is not None and self.backend_tokenizer.token_to_id(text) is None:
            raise ArgumentError(
                f"{name}: the vocabulary has no {text!r}",
                f"tokenizer.add_special_tokens({{{name!r}: {text!r}}}) adds it at the end; "
                "the model's embedding must then be made larger, too",
            )
        self._named[name] = text

    return property(get, put)


def _token_id(name: str) -> Any:
    """The property that gives and sets the id of the token of this role."""

    def get(self: Vocabulary) -> int | None:
        token = self._named.get(name)
        return None if token is None else self.backend_tokenizer.token_to_id(token)

    def put(self: Vocabulary, index: int | None) -> None:
        token = None if index is None else self.convert_ids_to_tokens(index)
        if index is not None and token is None:
            raise ArgumentError(f"{name}_id: the vocabulary has no id {index}")
        setattr(self, name, token)

    return property(get, put)


class Vocabulary:
    """Tokens to ids and back, and the tokens with a role: padding, start, end, mask, unknown."""

    bos_token, bos_token_id = _token("bos_token"), _token_id("bos_token")
    eos_token, eos_token_id = _token("eos_token"), _token_id("eos_token")
    unk_token, unk_token_id = _token("unk_token"), _token_id("unk_token")
    sep_token, sep_token_id = _token("sep_token"), _token_id("sep_token")
    pad_token, pad_token_id = _token("pad_token"), _token_id("pad_token")
    cls_token, cls_token_id = _token("cls_token"), _token_id("cls_token")
    mask_token, mask_token_id = _token("mask_token"), _token_id("mask_token")

    def __init__(self, backend_tokenizer: Any, named: dict[str, Any], extra: Iterable[Any]) -> None:
        self.backend_tokenizer = backend_tokenizer
        self._named: dict[str, str | None] = dict.fromkeys(NAMED)
        self.extra_special_tokens: list[str] = []
        self.add_special_tokens({name: named[name] for name in NAMED if named.get(name)})
        self.add_special_tokens({"extra_special_tokens": list(extra)})

    @property
    def vocab_size(self) -> int:
        """Tokens of the vocabulary, without those added later; `len(tokenizer)` has both."""
        return self.backend_tokenizer.get_vocab_size(with_added_tokens=False)

    def __len__(self) -> int:
        return self.backend_tokenizer.get_vocab_size(with_added_tokens=True)

    def __bool__(self) -> bool:
        return True

    def get_vocab(self) -> dict[str, int]:
        """Every token with its id."""
        return self.backend_tokenizer.get_vocab(with_added_tokens=True)

    vocab = property(get_vocab)

    def get_added_vocab(self) -> dict[str, int]:
        """The tokens that are found in a text before it is split, in the order of their ids."""
        known = self.backend_tokenizer.get_added_tokens_decoder()
        return {token.content: index for index, token in sorted(known.items())}

    @property
    def special_tokens_map(self) -> dict[str, str]:
        return {name: token for name, token in self._named.items() if token is not None}

    @property
    def all_special_tokens(self) -> list[str]:
        return list(dict.fromkeys([*self.special_tokens_map.values(), *self.extra_special_tokens]))

    @property
    def all_special_ids(self) -> list[int]:
        return [self.backend_tokenizer.token_to_id(token) for token in self.all_special_tokens]

    def add_tokens(self, new_tokens: Any, special_tokens: bool = False) -> int:
        """Adds tokens at the end of the vocabulary; gives how many were not there."""
        tokens = new_tokens if isinstance(new_tokens, (list, tuple)) else [new_tokens]
        add = self.backend_tokenizer.add_tokens
        before = len(self)
        add([added(token, special=True) if special_tokens else token for token in tokens])
        return len(self) - before

    def add_special_tokens(self, special_tokens_dict: dict[str, Any]) -> int:
        """Gives tokens their roles ({"pad_token": "[PAD]"}), and adds those that are not in the
        vocabulary at its end; gives how many were added.
        """
        before, present = len(self), set(self.get_added_vocab())
        for role, value in special_tokens_dict.items():
            several = role in ("extra_special_tokens", "additional_special_tokens")
            if not several and role not in NAMED:
                raise ArgumentError(
                    f"{role} is no role of a token",
                    f"the roles are {', '.join(NAMED)}, extra_special_tokens",
                )
            tokens = [added(token, special=True) for token in (value if several else [value])]
            self.backend_tokenizer.add_tokens([t for t in tokens if t.content not in present])
            if several:
                self.extra_special_tokens = [token.content for token in tokens]
            else:
                setattr(self, role, tokens[0])
        return len(self) - before

    def convert_tokens_to_ids(self, tokens: Any) -> Any:
        """The id of a token, or the ids of several. An unknown one gets the unknown token's id."""
        if isinstance(tokens, str):
            index = self.backend_tokenizer.token_to_id(tokens)
            return self.unk_token_id if index is None else index
        return [self.convert_tokens_to_ids(token) for token in tokens]

    def convert_ids_to_tokens(self, ids: Any, skip_special_tokens: bool = False) -> Any:
        """The token of an id, or those of several; None for an id outside the vocabulary."""
        ids = ids.tolist() if hasattr(ids, "tolist") else ids
        if isinstance(ids, int):
            check_id(ids)
            return self.backend_tokenizer.id_to_token(ids)
        skipped = set(self.all_special_ids) if skip_special_tokens else set()
        return [self.convert_ids_to_tokens(i) for i in ids if i not in skipped]

    def get_special_tokens_mask(
        self, token_ids_0: Any, token_ids_1: Any = None, already_has_special_tokens: bool = False
    ) -> list[int]:
        """1 where the id is a special token's, else 0, for ids that have their special tokens."""
        if not already_has_special_tokens or token_ids_1 is not None:
            raise ArgumentError(
                "get_special_tokens_mask takes one list of ids that has its special tokens",
                "already_has_special_tokens=True; or tokenizer(text, "
                "return_special_tokens_mask=True)",
            )
        special = set(self.all_special_ids)
        return [int(int(i) in special) for i in token_ids_0]


def check_id(index: int) -> None:
    if not 0 <= index < 2**32:
        raise ArgumentError(
            f"a token's id cannot be {index}",
            "labels hold -100 where nothing is to be learnt: replace it before decoding",
        )
