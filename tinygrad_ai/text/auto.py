"""AutoTokenizer: the class of tokenizer that a folder's files are for."""

from __future__ import annotations

from typing import Any

from ..errors import ArgumentError
from .bert import BertTokenizer
from .files import Folder
from .gpt2 import GPT2Tokenizer
from .tokenizer import PreTrainedTokenizerFast

CLASSES: dict[str, type[PreTrainedTokenizerFast]] = {
    "BertTokenizer": BertTokenizer,
    "BertTokenizerFast": BertTokenizer,
    "GPT2Tokenizer": GPT2Tokenizer,
    "GPT2TokenizerFast": GPT2Tokenizer,
}


class AutoTokenizer:
    """`AutoTokenizer.from_pretrained(folder)` makes the tokenizer that tokenizer_config.json or
    config.json names; else the one that vocab.txt, or vocab.json with merges.txt, is for. A
    tokenizer.json of another kind is used as it is.
    """

    def __init__(self) -> None:
        raise ArgumentError("AutoTokenizer is not made", "AutoTokenizer.from_pretrained(folder)")

    @staticmethod
    def from_pretrained(
        pretrained_model_name_or_path: Any, **options: Any
    ) -> PreTrainedTokenizerFast:
        kind = Folder(pretrained_model_name_or_path).kind()
        made = CLASSES.get(kind or "", PreTrainedTokenizerFast)
        return made.from_pretrained(pretrained_model_name_or_path, **options)
