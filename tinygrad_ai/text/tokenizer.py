"""The tokenizer: text to ids and back, with Hugging Face's names, arguments and results."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from ..errors import ArgumentError
from ..serialization import FETCHING
from . import files, inputs
from .encoding import BatchEncoding
from .library import built, tokenizers
from .padding import LARGE, UNLIMITED, Plan, pad, plain, plan, side_of
from .vocabulary import NAMED, Vocabulary, check_id

Self = TypeVar("Self", bound="PreTrainedTokenizerFast")
SPACES = {
    " .": ".", " ?": "?", " !": "!", " ,": ",", " ' ": "'", " n't": "n't", " 'm": "'m",
    " 's": "'s", " 've": "'ve", " 're": "'re",
}  # fmt: skip


class PreTrainedTokenizerFast(Vocabulary):
    """A tokenizer of the library `tokenizers`, from a tokenizer.json or an object of the library.

    Settings: the tokens' roles (`pad_token=`, …), `extra_special_tokens`, `model_max_length`,
    `padding_side`, `truncation_side`, `model_input_names`, `clean_up_tokenization_spaces`.
    """

    NAME = "PreTrainedTokenizerFast"
    OPTIONS: tuple[str, ...] = (
        *NAMED, "extra_special_tokens", "model_max_length", "padding_side", "truncation_side",
        "model_input_names", "clean_up_tokenization_spaces",
    )  # fmt: skip
    INPUTS: tuple[str, ...] = ("input_ids", "attention_mask")
    pad_token_type_id = 0
    is_fast = True

    def __init__(
        self, tokenizer_object: Any = None, tokenizer_file: Any = None, *, added_tokens: Any = (),
        name_or_path: str = "", **settings: Any,
    ) -> None:  # fmt: skip
        if (tokenizer_object is None) == (tokenizer_file is None):
            raise ArgumentError(
                "a tokenizer is made of tokenizer_object or tokenizer_file, one of them",
                f"{type(self).__name__}.from_pretrained(folder) reads a folder",
            )
        self._check(settings)
        load = tokenizers().Tokenizer
        if tokenizer_object is None:
            where = f"{tokenizer_file} is missing or damaged"
            tokenizer_object = built(lambda: load.from_file(str(tokenizer_file)), where)
        if added_tokens:
            tokenizer_object.add_tokens(list(added_tokens))
        super().__init__(tokenizer_object, settings, settings.get("extra_special_tokens") or ())
        self.name_or_path = str(name_or_path)
        self.model_max_length = int(settings.get("model_max_length") or UNLIMITED)
        self.padding_side = settings.get("padding_side", "right")
        self.truncation_side = settings.get("truncation_side", "right")
        self.model_input_names = list(settings.get("model_input_names") or self.INPUTS)
        self.clean_up_tokenization_spaces = bool(settings.get("clean_up_tokenization_spaces"))
        self._warned = False
        side_of(self, None)
        if self.truncation_side not in ("left", "right"):
            raise ArgumentError(f"truncation_side is 'left' or 'right', not {self.truncation_side}")

    def _check(self, settings: Iterable[str]) -> None:
        for name in settings:
            if name not in self.OPTIONS:
                near = difflib.get_close_matches(name, self.OPTIONS, 1)
                raise ArgumentError(
                    f"{type(self).__name__} has no setting {name}",
                    f"the nearest is {near[0]}" if near else f"it has {', '.join(self.OPTIONS)}",
                )

    @classmethod
    def from_pretrained(
        cls: type[Self], pretrained_model_name_or_path: Any, **options: Any
    ) -> Self:
        """The tokenizer of a folder; `options` override what its tokenizer_config.json says."""
        folder = files.Folder(pretrained_model_name_or_path)
        options = {k: v for k, v in options.items() if k not in (*FETCHING, "use_fast")}
        settings: dict[str, Any] = {"name_or_path": folder.path, "added_tokens": folder.added()}
        return cls._of(folder, settings | folder.settings(cls.OPTIONS) | options)

    @classmethod
    def _of(cls: type[Self], folder: files.Folder, settings: dict[str, Any]) -> Self:
        return cls(folder.backend(), **settings)

    def save_pretrained(self, save_directory: Any) -> tuple[str, ...]:
        """Writes a folder that `from_pretrained`, ours and transformers', loads."""
        config = {
            **self.special_tokens_map, **self._own(), "tokenizer_class": self.NAME,
            "padding_side": self.padding_side, "truncation_side": self.truncation_side,
            "model_input_names": self.model_input_names,
            "clean_up_tokenization_spaces": self.clean_up_tokenization_spaces,
        }  # fmt: skip
        if self.extra_special_tokens:
            config["extra_special_tokens"] = self.extra_special_tokens
        if self.model_max_length < LARGE:
            config["model_max_length"] = self.model_max_length
        return files.save(save_directory, self.backend_tokenizer, config)

    def _own(self) -> dict[str, Any]:
        """Settings of one kind of tokenizer alone."""
        return {}

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(vocab_size={self.vocab_size}, "
            f"model_max_length={self.model_max_length}, special_tokens={self.special_tokens_map})"
        )

    def __call__(
        self, text: Any, text_pair: Any = None, *, add_special_tokens: bool = True,
        padding: Any = False, truncation: Any = None, max_length: int | None = None,
        stride: int = 0, is_split_into_words: bool = False, pad_to_multiple_of: int | None = None,
        padding_side: str | None = None, return_tensors: str | None = None,
        return_token_type_ids: bool | None = None, return_attention_mask: bool | None = None,
        return_overflowing_tokens: bool = False, return_special_tokens_mask: bool = False,
        return_offsets_mapping: bool = False, return_length: bool = False, verbose: bool = True,
    ) -> BatchEncoding:  # fmt: skip
        """Encodes a text, a list of texts, or pairs of them (a second list, or 2-tuples).

        padding: True or "longest", "max_length", False. truncation: True or "longest_first",
        "only_first", "only_second", False. Lengths count special tokens. The result has lists, or
        tensors of shape (texts, length) with `return_tensors` "ta" or "pt" (ours) or "np". A text
        longer than `model_max_length` warns once: the model will refuse it.
        """
        samples, batched = inputs.samples(text, text_pair, is_split_into_words)
        lengths = plan(self, padding, truncation, max_length, pad_to_multiple_of)
        specials = self.num_special_tokens_to_add(_paired(samples)) if add_special_tokens else 0
        self._set_lengths(lengths, stride, pad_to_multiple_of, padding_side, specials)
        encodings = inputs.encode(
            self.backend_tokenizer, samples, add_special_tokens, is_split_into_words
        )
        names = self.model_input_names
        columns = {
            "input_ids": True,
            "token_type_ids": _wish(return_token_type_ids, "token_type_ids" in names),
            "attention_mask": _wish(return_attention_mask, "attention_mask" in names),
            "special_tokens_mask": return_special_tokens_mask,
            "offset_mapping": return_offsets_mapping,
            "length": return_length,
        }
        data, parts = inputs.columns(encodings, columns, return_overflowing_tokens)
        if verbose and max_length is None:
            self._warn_too_long(data["input_ids"])
        if not batched and return_tensors is None and not return_overflowing_tokens:
            data = {name: rows[0] for name, rows in data.items()}
        return BatchEncoding(data, parts, return_tensors)

    def _set_lengths(
        self, lengths: Plan, stride: int, multiple: int | None, side: str | None, specials: int
    ) -> None:
        backend, length = self.backend_tokenizer, lengths.max_length
        backend.no_truncation()
        backend.no_padding()
        if lengths.truncation != "do_not_truncate":
            room = (length or 0) - specials
            if room < 0 or not (stride == 0 or 0 <= stride < room):
                raise ArgumentError(
                    f"max_length={length} leaves {room} tokens beside {specials} special ones"
                    + (f", stride={stride} must be smaller" if stride else "")
                )
            backend.enable_truncation(
                length, stride=stride, strategy=lengths.truncation, direction=self.truncation_side
            )
        if lengths.padding != "do_not_pad":
            backend.enable_padding(
                direction=side_of(self, side),
                pad_id=self.pad_token_id,
                pad_token=self.pad_token,
                length=length if lengths.padding == "max_length" else None,
                pad_to_multiple_of=multiple,
            )

    def _warn_too_long(self, rows: list[list[int]]) -> None:
        longest = max(map(len, rows), default=0)
        if longest > self.model_max_length and not self._warned:
            self._warned = True
            warnings.warn(
                f"a text has {longest} tokens, the model takes {self.model_max_length}: it will "
                "raise an error; truncation=True cuts the text",
                stacklevel=3,
            )

    def encode(self, text: Any, text_pair: Any = None, **options: Any) -> Any:
        """The ids alone; arguments as in a call."""
        return self(text, text_pair, **options)["input_ids"]

    def tokenize(
        self, text: str, pair: str | None = None, add_special_tokens: bool = False, **options: Any
    ) -> list[str]:
        """The tokens of a text, as strings."""
        return self(text, pair, add_special_tokens=add_special_tokens, **options).tokens()

    def pad(
        self, encoded_inputs: Any, padding: Any = True, max_length: int | None = None,
        pad_to_multiple_of: int | None = None, padding_side: str | None = None,
        return_attention_mask: bool | None = None, return_tensors: str | None = None,
        verbose: bool = True,
    ) -> BatchEncoding:  # fmt: skip
        """Pads what was encoded before: a dictionary, or a list with a dictionary a sample."""
        return pad(
            self, encoded_inputs, padding, max_length, pad_to_multiple_of, padding_side,
            return_attention_mask, return_tensors,
        )  # fmt: skip

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        return self.backend_tokenizer.num_special_tokens_to_add(pair)

    def decode(
        self, token_ids: Any, skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
    ) -> Any:  # fmt: skip
        """The text of ids (a list, an array, a Tensor, one id), or the texts of lists of ids.
        Cleaning up removes the spaces before punctuation; byte-level BPE needs none and ignores it.
        """
        ids = plain(token_ids)
        if isinstance(ids, int):
            ids = [ids]
        if len(ids) and isinstance(ids[0], Sequence):
            return [self.decode(row, skip_special_tokens, clean_up_tokenization_spaces)
                    for row in ids]  # fmt: skip
        for index in ids:
            check_id(index)
        text = self.backend_tokenizer.decode(ids, skip_special_tokens=skip_special_tokens)
        clean = _wish(clean_up_tokenization_spaces, self.clean_up_tokenization_spaces)
        if clean and type(self.backend_tokenizer.model).__name__ != "BPE":
            for spaced, joined in SPACES.items():
                text = text.replace(spaced, joined)
        return text

    def batch_decode(
        self, sequences: Any, skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
    ) -> list[str]:  # fmt: skip
        texts = self.decode(sequences, skip_special_tokens, clean_up_tokenization_spaces)
        return [texts] if isinstance(texts, str) else texts

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        decoder = self.backend_tokenizer.decoder
        return " ".join(tokens) if decoder is None else decoder.decode(tokens)


def _wish(said: bool | None, otherwise: bool) -> bool:
    return otherwise if said is None else said


def _paired(samples: list[Any]) -> bool:
    return any(isinstance(sample, tuple) for sample in samples)
