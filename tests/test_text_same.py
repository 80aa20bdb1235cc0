"""The same ids, masks, type ids and texts as transformers' tokenizers, over many options."""

from __future__ import annotations

import warnings
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.text_help import HARD, bytelevel, reference, same, saved, wordpiece
from tinygrad_ai import text as T
from tinygrad_ai.errors import ArgumentError

KINDS = ("bert", "cased", "gpt2")
PAIRS = HARD[3:] + HARD[:3]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, Any]]:
    """For each kind our tokenizer and transformers', from one folder."""
    made: dict[str, tuple[Any, Any]] = {}
    for kind in KINDS:
        own = bytelevel() if kind == "gpt2" else wordpiece(kind == "bert")
        name = "GPT2Tokenizer" if kind == "gpt2" else "BertTokenizer"
        folder = saved(own, tmp_path_factory.mktemp(kind))
        options = {"pad_token": "<|endoftext|>"} if kind == "gpt2" else {}
        ours = getattr(T, name).from_pretrained(folder, **options)
        made[kind] = ours, reference(name, folder, **options)
    return made


def calls() -> list[dict[str, Any]]:
    """Options of a call: each way to pad with each way to cut, sides and extras in turn."""
    paddings: list[dict[str, Any]] = [
        {}, {"padding": True}, {"padding": "max_length"}, {"padding": "longest",
        "pad_to_multiple_of": 4}, {"padding": True, "padding_side": "left"},
        {"padding": "do_not_pad"},
    ]  # fmt: skip
    cuts: list[dict[str, Any]] = [
        {}, {"truncation": True, "max_length": 12}, {"truncation": "longest_first",
        "max_length": 8}, {"truncation": "only_first", "max_length": 200},
        {"truncation": "do_not_truncate"}, {"max_length": 16, "truncation": True, "stride": 3,
        "return_overflowing_tokens": True}, {"max_length": 20},
    ]  # fmt: skip
    extras: list[dict[str, Any]] = [
        {"return_special_tokens_mask": True, "return_length": True},
        {"add_special_tokens": False, "return_offsets_mapping": True},
        {"return_token_type_ids": True, "return_attention_mask": False},
    ]
    return [p | c | extras[i % 3] for i, (p, c) in enumerate(product(paddings, cuts))]


@pytest.mark.parametrize("kind", KINDS)
def test_every_option_gives_what_transformers_gives(both: Any, kind: str) -> None:
    (ours, theirs), compared = both[kind], 0
    for options in calls():
        for args in ((HARD,), (HARD, PAIRS), (list(zip(HARD, PAIRS)),)):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    expected = theirs(*args, verbose=False, **options)
                except Exception as error:  # the first text is shorter than what must go
                    assert "too short" in str(error)
                    with pytest.raises(ArgumentError, match="too short"):
                        ours(*args, verbose=False, **options)
                    continue
                got = ours(*args, verbose=False, **options)
            compared += 1
            same(got, expected)
            for i in range(len(expected["input_ids"])):
                assert got.word_ids(i) == expected.word_ids(i)
                assert got.sequence_ids(i) == expected.sequence_ids(i)
                assert got.tokens(i) == expected.tokens(i)
    assert compared >= 100


@pytest.mark.parametrize("kind", KINDS)
def test_one_text_alone(both: Any, kind: str) -> None:
    ours, theirs = both[kind]
    for text, pair in zip(HARD, PAIRS):
        same(ours(text, verbose=False), theirs(text, verbose=False))
        same(ours(text, pair, verbose=False), theirs(text, pair, verbose=False))
        assert ours.encode(text, verbose=False) == theirs.encode(text, verbose=False)
        assert ours.tokenize(text, verbose=False) == theirs.tokenize(text, verbose=False)
        tensors = theirs(text, return_tensors="np", verbose=False)
        same(ours(text, return_tensors="pt", verbose=False), tensors)
        same(ours(text, return_tensors="np", verbose=False), tensors)
        words = text.split()
        if words:
            expected = theirs(words, is_split_into_words=True, verbose=False)
            same(ours(words, is_split_into_words=True, verbose=False), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_decoding(both: Any, kind: str) -> None:
    ours, theirs = both[kind]
    rows = theirs(HARD, verbose=False)["input_ids"]
    for skip, clean in product((False, True), (None, False, True)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = [theirs.decode(row, skip, clean_up_tokenization_spaces=clean)
                        for row in rows]  # fmt: skip
        assert ours.batch_decode(rows, skip, clean) == expected
        assert [ours.decode(row, skip, clean) for row in rows] == expected
    assert ours.decode(ours(HARD[0], return_tensors="ta")["input_ids"][0]) == theirs.decode(rows[0])
    assert ours.decode(rows[0][1]) == theirs.decode(rows[0][1])
    if kind == "gpt2":
        assert ours.batch_decode(rows, True)[:10] == HARD[:10]
    tokens = theirs.convert_ids_to_tokens(rows[0])
    assert ours.convert_ids_to_tokens(rows[0]) == tokens
    assert ours.convert_tokens_to_string(tokens) == theirs.convert_tokens_to_string(tokens)
    assert ours.convert_tokens_to_ids([*tokens, "nonesuch"]) == theirs.convert_tokens_to_ids(
        [*tokens, "nonesuch"]
    )


@pytest.mark.parametrize("kind", KINDS)
def test_the_vocabulary(both: Any, kind: str) -> None:
    ours, theirs = both[kind]
    for name in ("bos", "eos", "unk", "sep", "pad", "cls", "mask"):
        assert getattr(ours, f"{name}_token") == getattr(theirs, f"{name}_token")
        assert getattr(ours, f"{name}_token_id") == getattr(theirs, f"{name}_token_id")
    assert (len(ours), ours.vocab_size) == (len(theirs), theirs.vocab_size)
    assert ours.get_vocab() == theirs.get_vocab()
    assert ours.get_added_vocab() == theirs.get_added_vocab()
    assert ours.special_tokens_map == theirs.special_tokens_map
    assert ours.all_special_ids == theirs.all_special_ids
    assert ours.model_input_names == theirs.model_input_names
    assert ours.model_max_length == theirs.model_max_length
    ids = ours(HARD[13])["input_ids"]
    mask = ours.get_special_tokens_mask(ids, already_has_special_tokens=True)
    assert mask == theirs.get_special_tokens_mask(ids, already_has_special_tokens=True)
    for pair in (False, True):
        assert ours.num_special_tokens_to_add(pair) == theirs.num_special_tokens_to_add(pair)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_of_what_was_encoded(both: Any, kind: str) -> None:
    ours, theirs = both[kind]
    rows = ours(HARD, return_special_tokens_mask=True, verbose=False)
    samples = [{key: rows[key][i] for key in rows} | {"labels": i} for i in range(len(HARD))]
    for options in (
        {}, {"padding": "max_length", "max_length": 250}, {"pad_to_multiple_of": 16},
        {"padding": False}, {"padding_side": "left"}, {"padding": "longest", "max_length": 3},
    ):  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            same(ours.pad(samples, **options), theirs.pad(samples, **options))
            same(ours.pad(dict(rows), **options), theirs.pad(dict(rows), **options))
            one = {"input_ids": [5, 6, 7]}
            same(ours.pad(dict(one), **options), theirs.pad(dict(one), **options))
    bare = [{"input_ids": row} for row in rows["input_ids"]]
    for wish in (True, False, None):
        same(
            ours.pad(bare, return_attention_mask=wish), theirs.pad(bare, return_attention_mask=wish)
        )
    same(ours.pad(samples, return_tensors="pt"), theirs.pad(samples, return_tensors="np"))


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None)
@given(
    texts=st.lists(st.text(max_size=40), min_size=1, max_size=4),
    pairs=st.none() | st.lists(st.text(max_size=20), min_size=4, max_size=4),
    padding=st.sampled_from([False, True, "max_length"]),
    truncation=st.sampled_from([False, True, None]),
    length=st.none() | st.integers(6, 40),
    special=st.booleans(),
    side=st.sampled_from(["left", "right"]),
)
def test_any_text(
    both: Any, kind: str, texts: Any, pairs: Any, padding: Any, truncation: Any, length: Any,
    special: bool, side: str,
) -> None:  # fmt: skip
    ours, theirs = both[kind]
    options = {"padding": padding, "truncation": truncation, "max_length": length,
               "add_special_tokens": special, "padding_side": side, "verbose": False}  # fmt: skip
    seconds = pairs and pairs[: len(texts)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = theirs(texts, seconds, **options)
    got = ours(texts, seconds, **options)
    same(got, expected)
    assert ours.batch_decode(got["input_ids"]) == theirs.batch_decode(expected["input_ids"])


@pytest.mark.parametrize("direction", ["left", "right"])
def test_the_side_that_is_cut(direction: str, tmp_path: Path) -> None:
    folder = saved(wordpiece(), tmp_path)
    ours = T.BertTokenizer.from_pretrained(folder, truncation_side=direction)
    theirs = reference("BertTokenizer", folder, truncation_side=direction)
    for cut in ("longest_first", "only_second"):
        options: dict[str, Any] = {"truncation": cut, "max_length": 15}
        pair = ("a b", " ".join(HARD[14:]))
        same(ours(*pair, **options), theirs(*pair, **options))
