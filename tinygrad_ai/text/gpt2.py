"""GPT2Tokenizer: byte-level BPE. Every text has ids, and decoding them gives the text back."""

from __future__ import annotations

from typing import Any, TypeVar

from ..errors import ArgumentError
from .files import Folder
from .library import built, tokenizers
from .tokenizer import PreTrainedTokenizerFast

Self = TypeVar("Self", bound="GPT2Tokenizer")
END = "<|endoftext|>"


class GPT2Tokenizer(PreTrainedTokenizerFast):
    """GPT-2's tokenizer: words with the space before them, as UTF-8 bytes, joined pair by pair in
    the order of the merges. `vocab` and `merges` are what the files hold, or their paths.

    There is no padding token: `tokenizer.pad_token = tokenizer.eos_token` before padding.
    """

    NAME = "GPT2Tokenizer"
    OPTIONS = (
        *PreTrainedTokenizerFast.OPTIONS, "add_prefix_space", "add_bos_token", "errors",
    )  # fmt: skip

    def __init__(
        self, vocab: Any = None, merges: Any = None, errors: str = "replace",
        unk_token: Any = END, bos_token: Any = END, eos_token: Any = END, pad_token: Any = None,
        add_prefix_space: bool = False, *, add_bos_token: bool | None = None,
        vocab_file: Any = None, merges_file: Any = None, post_processor: Any = None,
        **settings: Any,
    ) -> None:  # fmt: skip
        if errors != "replace":
            raise ArgumentError(f"errors={errors!r}: bytes that are no UTF-8 decode as \ufffd only")
        self.add_prefix_space, self.add_bos_token = add_prefix_space, bool(add_bos_token)
        self._check(settings.keys() - {"name_or_path", "added_tokens"})
        vocab = vocab_file if vocab is None else vocab
        backend = self._pairs(vocab, merges_file if merges is None else merges)
        super().__init__(
            backend, unk_token=unk_token, bos_token=bos_token, eos_token=eos_token,
            pad_token=pad_token, **settings,
        )  # fmt: skip
        if post_processor is not None and add_bos_token is None:
            backend.post_processor = post_processor
        else:
            backend.post_processor = self._template()

    def _template(self) -> Any:
        """The text as it is, or with the token of the beginning before it."""
        begin = (f"{self.bos_token}:0 ", f"{self.bos_token}:1 ") if self.add_bos_token else ("", "")
        return tokenizers().processors.TemplateProcessing(
            single=f"{begin[0]}$A:0",
            pair=f"{begin[0]}$A:0 {begin[1]}$B:1",
            special_tokens=[(self.bos_token, self.bos_token_id)] if self.add_bos_token else [],
        )

    def _pairs(self, vocab: Any, merges: Any) -> Any:
        """The library's tokenizer, before it knows the special tokens."""
        library = tokenizers()
        paths = isinstance(vocab, dict), isinstance(merges, (list, tuple))
        if (vocab is None) != (merges is None) or paths[0] != paths[1]:
            raise ArgumentError("vocab and merges are two paths, or a dictionary and a list")
        where = "the vocabulary and the merges"
        if vocab is not None and not paths[0]:
            where = f"{vocab}, {merges}"
            read = library.models.BPE.read_file
            made = built(lambda: read(str(vocab), str(merges)), f"{where} missing or damaged")
            vocab, merges = made
        make = library.models.BPE
        backend = library.Tokenizer(
            built(lambda: make(vocab=vocab or {}, merges=_tuples(merges or []), fuse_unk=False,
                               continuing_subword_prefix="", end_of_word_suffix=""), where)
        )  # fmt: skip
        backend.pre_tokenizer = library.pre_tokenizers.ByteLevel(
            add_prefix_space=self.add_prefix_space
        )
        backend.decoder = library.decoders.ByteLevel()
        return backend

    @classmethod
    def _of(cls: type[Self], folder: Folder, settings: dict[str, Any]) -> Self:
        if not folder.whole:
            return cls(*folder.pairs(), **settings)
        model = folder.model("BPE", cls.__name__)
        post = folder.backend().post_processor
        return cls(model["vocab"], model["merges"], post_processor=post, **settings)

    def _own(self) -> dict[str, Any]:
        return {"add_prefix_space": self.add_prefix_space, "add_bos_token": self.add_bos_token}


def _tuples(merges: Any) -> list[tuple[str, ...]]:
    return [tuple(m.split(" ", 1)) if isinstance(m, str) else tuple(m) for m in merges]


GPT2TokenizerFast = GPT2Tokenizer
