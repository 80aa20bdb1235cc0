"""A tokenizer learnt from text: the pieces that make it short."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from ..errors import ArgumentError
from .bert import EMPTY, BertTokenizer
from .corpus import listed, read_text
from .gpt2 import END, GPT2Tokenizer
from .library import tokenizers


def train_wordpiece(
    corpus: Any, vocab_size: int = 30522, min_frequency: int = 2,
    do_lower_case: bool = True, limit_alphabet: int = 1000, **settings: Any,
) -> BertTokenizer:  # fmt: skip
    """A BertTokenizer whose vocabulary is learnt from text files, or from texts with
    `texts(...)`: the special tokens, then characters and the pieces they are joined to.

    Characters beyond the `limit_alphabet` most frequent become the unknown token. `settings` are
    those of BertTokenizer, `model_max_length` for example.
    """
    _check(vocab_size, len(EMPTY))
    corpus = list(listed(corpus))  # read twice
    backend = BertTokenizer(do_lower_case=do_lower_case, **settings).backend_tokenizer
    first, later = _letters(backend, corpus, limit_alphabet)
    trainer = tokenizers().trainers.WordPieceTrainer(
        vocab_size=vocab_size, min_frequency=min_frequency, special_tokens=[*EMPTY, *later],
        initial_alphabet=first, limit_alphabet=len(first), continuing_subword_prefix="##",
        show_progress=False,
    )  # fmt: skip
    vocab = _trained(backend, corpus, trainer).get_vocab(with_added_tokens=False)
    return BertTokenizer(vocab, do_lower_case=do_lower_case, **settings)


def _letters(backend: Any, corpus: Any, most: int) -> tuple[list[str], list[str]]:
    """The most frequent characters, and those of them that follow others in a word, with ##.

    The library would number them in the order of a hash table, which differs from run to run, and
    with it the choice between pieces that are equally frequent. Given in order, they are the same.
    """
    words: Counter[str] = Counter()
    for text in _pieces(corpus):
        plain = backend.normalizer.normalize_str(text)
        words.update(word for word, _ in backend.pre_tokenizer.pre_tokenize_str(plain))
    count: Counter[str] = Counter()
    for word, times in words.items():
        for letter in word:
            count[letter] += times
    kept = sorted(sorted(count, key=lambda letter: (-count[letter], letter))[:most])
    later = set().union(*(word[1:] for word in words))
    return kept, [f"##{letter}" for letter in kept if letter in later]


def train_bpe(
    corpus: Any, vocab_size: int = 50257, min_frequency: int = 2, **settings: Any
) -> GPT2Tokenizer:
    """A GPT2Tokenizer whose merges are learnt from text: the 256 bytes, the merges in the order
    they were found, and <|endoftext|> first. `settings` are those of GPT2Tokenizer.
    """
    _check(vocab_size, 257)
    library = tokenizers()
    trainer = library.trainers.BpeTrainer(
        vocab_size=vocab_size, min_frequency=min_frequency, special_tokens=[END],
        initial_alphabet=library.pre_tokenizers.ByteLevel.alphabet(), show_progress=False,
    )  # fmt: skip
    backend = _trained(GPT2Tokenizer(**settings).backend_tokenizer, corpus, trainer)
    model = json.loads(backend.to_str())["model"]
    return GPT2Tokenizer(model["vocab"], model["merges"], **settings)


def _trained(backend: Any, corpus: Any, trainer: Any) -> Any:
    backend.train_from_iterator(_pieces(corpus), trainer=trainer)
    return backend


def _pieces(corpus: Any) -> Iterator[str]:
    return (text for path in listed(corpus) for text in read_text(path))


def _check(vocab_size: int, least: int) -> None:
    if vocab_size < least:
        raise ArgumentError(
            f"vocab_size={vocab_size} is smaller than what every vocabulary has: {least} tokens"
        )
