"""Difficult texts, small tokenizers learnt from them, and transformers to compare with."""

from __future__ import annotations

import os
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tinygrad_ai import text as T

pytest.importorskip("tokenizers", reason="the extra text is not installed")

HARD = [
    "Hello, world! It's a test; isn't it?",
    "Crème brûlée à la façon de Zoë, ÅNGSTRÖM, naïve",
    "cafe\u0301 (combined), ﬁligature, ①②, ＦＵＬＬ width, İstanbul, STRAẞE ß",
    "我爱自然语言处理。你好，世界！ mixed中文and english",
    "日本語のテスト カタカナ、한국어 시험",
    "emoji 😀👩‍👩‍👧‍👦🏳️‍🌈 flags 🇩🇪 end",
    "control \x00\x01\x1f chars\x7f and \ufffd replaced",
    "zero\u200bwidth\u200djoiner\ufeffmark soft\u00adhyphen",
    "tabs\tand\nnew\r\nlines   and\u00a0nbsp\u3000wide",
    "x" * 150 + " and " + "ab" * 60,
    "",
    " ",
    "\u200b",
    "[CLS] special [MASK] tokens [SEP] inside [PAD] <|endoftext|> text [UNK]",
    "$12.50 #hashtag @user http://a.b/c?d=e&f 100% C++ <br/>",
    "עברית وعربي ไทย हिन्दी Ελληνικά Русский",
    "ALL CAPS And MiXeD cAsE",
    " don't we're I've they'll he'd o'clock",
]


@cache
def transformers() -> Any:
    """The reference. It is imported without its warnings, and never uses the network."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import transformers as module
    module.logging.set_verbosity_error()
    return module


def reference(kind: str, *args: Any, **options: Any) -> Any:
    """A tokenizer of transformers: from a folder, if that is the only argument."""
    made = getattr(transformers(), kind)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return made.from_pretrained(*args, **options)


@cache
def wordpiece(lower: bool = True) -> T.BertTokenizer:
    # Half of the texts: of the others some characters are unknown.
    return T.train_wordpiece(
        T.texts(*HARD[::2]), 220, 1, lower, limit_alphabet=120, model_max_length=64
    )


@cache
def bytelevel() -> T.GPT2Tokenizer:
    return T.train_bpe(T.texts(*HARD[::2]), 400, 1)


def saved(tokenizer: Any, folder: Path) -> str:
    tokenizer.save_pretrained(folder)
    return str(folder)


def same(ours: Any, theirs: Any) -> None:
    """Two encodings: the same keys and values, in lists or tensors."""
    assert sorted(ours) == sorted(theirs)
    for key in theirs:
        mine, other = ours[key], theirs[key]
        mine = mine.tolist() if hasattr(mine, "tolist") else mine
        other = other.tolist() if hasattr(other, "tolist") else other
        assert mine == other, key
