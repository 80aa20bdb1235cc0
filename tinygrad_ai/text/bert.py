"""BertTokenizer: WordPiece. Words are looked up in the vocabulary, or split into pieces of it."""

from __future__ import annotations

import warnings
from typing import Any, TypeVar

from ..errors import CheckpointError
from .files import Folder
from .library import built, tokenizers
from .tokenizer import PreTrainedTokenizerFast

Self = TypeVar("Self", bound="BertTokenizer")
EMPTY = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4}


class BertTokenizer(PreTrainedTokenizerFast):
    """BERT's tokenizer: control characters removed, Chinese characters apart, lower case and no
    accents with `do_lower_case`, then WordPiece; a text becomes [CLS] text [SEP], a pair
    [CLS] text [SEP] pair [SEP]. `vocab` is a vocabulary, or the path of a vocab.txt.
    """

    NAME = "BertTokenizer"
    OPTIONS = (
        *PreTrainedTokenizerFast.OPTIONS, "do_lower_case", "tokenize_chinese_chars",
        "strip_accents",
    )  # fmt: skip
    INPUTS = ("input_ids", "token_type_ids", "attention_mask")

    def __init__(
        self, vocab: Any = None, do_lower_case: bool = True, unk_token: Any = "[UNK]",
        sep_token: Any = "[SEP]", pad_token: Any = "[PAD]", cls_token: Any = "[CLS]",
        mask_token: Any = "[MASK]", tokenize_chinese_chars: bool = True,
        strip_accents: bool | None = None, *, vocab_file: Any = None, **settings: Any,
    ) -> None:  # fmt: skip
        self.do_lower_case, self.strip_accents = do_lower_case, strip_accents
        self.tokenize_chinese_chars = tokenize_chinese_chars
        self._check(settings.keys() - {"name_or_path", "added_tokens"})
        backend = self._pieces(vocab_file if vocab is None else vocab, _content(unk_token))
        super().__init__(
            backend, unk_token=unk_token, sep_token=sep_token, pad_token=pad_token,
            cls_token=cls_token, mask_token=mask_token, **settings,
        )  # fmt: skip
        cls, sep = self.cls_token, self.sep_token
        backend.post_processor = tokenizers().processors.TemplateProcessing(
            single=f"{cls}:0 $A:0 {sep}:0",
            pair=f"{cls}:0 $A:0 {sep}:0 $B:1 {sep}:1",
            special_tokens=[(cls, self.cls_token_id), (sep, self.sep_token_id)],
        )

    def _pieces(self, vocab: Any, unknown: str) -> Any:
        """The library's tokenizer, before it knows the special tokens."""
        library = tokenizers()
        where = "the vocabulary"
        if vocab is None:
            vocab = EMPTY
        elif not isinstance(vocab, dict):
            where = str(vocab)
            read = library.models.WordPiece.read_file
            vocab = built(lambda: read(where), f"{where} is missing or damaged")
        if unknown not in vocab:
            raise CheckpointError(
                f"{where} has no {unknown}, the token for words it does not know",
                "name the one it has: unk_token=",
            )
        make = library.models.WordPiece
        backend = library.Tokenizer(built(lambda: make(vocab, unk_token=unknown), where))
        backend.normalizer = library.normalizers.BertNormalizer(
            clean_text=True,
            handle_chinese_chars=self.tokenize_chinese_chars,
            strip_accents=self.strip_accents,
            lowercase=self.do_lower_case,
        )
        backend.pre_tokenizer = library.pre_tokenizers.BertPreTokenizer()
        backend.decoder = library.decoders.WordPiece(prefix="##")
        return backend

    @classmethod
    def _of(cls: type[Self], folder: Folder, settings: dict[str, Any]) -> Self:
        if not folder.whole:
            return cls(folder.words(), **settings)
        vocab = folder.model("WordPiece", cls.__name__)["vocab"]
        lower = (folder.whole.get("normalizer") or {}).get("lowercase")
        if lower is False and "do_lower_case" not in settings:
            warnings.warn(
                f"{folder.path}/tokenizer.json keeps capitals, and no tokenizer_config.json says "
                "so: BertTokenizer makes them small, as in transformers; do_lower_case=False",
                stacklevel=3,
            )
        return cls(vocab, **settings)

    def _own(self) -> dict[str, Any]:
        names = ("do_lower_case", "tokenize_chinese_chars", "strip_accents")
        return {name: getattr(self, name) for name in names}


def _content(token: Any) -> str:
    return getattr(token, "content", token)


BertTokenizerFast = BertTokenizer
