"""BatchEncoding: keys as attributes, where tokens stand, tensors, and a batch's bad input."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import numpy as np
import pytest

import tinygrad_ai as ta
from tests.text_help import HARD, bytelevel, wordpiece
from tinygrad_ai.errors import ArgumentError
from tinygrad_ai.text import BatchEncoding


def test_it_is_a_dictionary_with_attributes() -> None:
    encoding = wordpiece()(["a b", "c"], padding=True, return_tensors="pt")
    assert isinstance(encoding, dict) and encoding.input_ids is encoding["input_ids"]
    assert encoding.input_ids.dtype == ta.int64 and encoding.input_ids.shape == (2, 4)
    assert (lambda **names: sorted(names))(**encoding) == sorted(encoding.keys())
    assert encoding.to("cpu") is encoding and encoding[0:1]["input_ids"].shape == (1, 4)
    with pytest.raises(AttributeError, match="BatchEncoding has no labels; it has input_ids"):
        _ = encoding.labels
    copy = pickle.loads(pickle.dumps(wordpiece()("a b")))
    assert copy["input_ids"] == wordpiece()("a b")["input_ids"] and copy.tokens()[0] == "[CLS]"


def test_places_of_tokens() -> None:
    text = "crème brûlée"
    encoding = wordpiece()(["x", text], ["b", "ab"])
    ids = encoding.word_ids(1)
    assert ids[0] is None and sorted({i for i in ids if i is not None}) == [0, 1]
    first = encoding.char_to_token(1, 0)
    start, end = encoding.token_to_chars(1, first)
    assert first == 1 and text[start:end] and encoding.token_to_chars(1, 0) is None
    assert encoding.word_to_chars(1, 1) == (6, 12) and encoding.char_to_word(1, 7) == 1
    tokens = encoding.word_to_tokens(1, 1)
    assert encoding.token_to_word(1, tokens.start) == 1 and tokens.end == tokens[1]
    assert encoding.token_to_sequence(1, len(ids) - 2) == 1 and encoding.n_sequences == 2
    alone = wordpiece()(text)
    assert alone.char_to_token(0) == alone.char_to_token(0, 0) == 1 and alone.is_fast
    with pytest.raises(ArgumentError, match="knows no words"):
        BatchEncoding({"input_ids": [1]}).word_ids()
    with pytest.raises(ArgumentError, match="no text 2 in a batch of 2"):
        encoding.word_ids(2)


def test_tensors_need_rows_of_one_length() -> None:
    with pytest.raises(ArgumentError, match="input_ids makes no tensor(.|\n)*padding=True"):
        wordpiece()(["a", "a b c"], return_tensors="pt")
    with pytest.raises(ArgumentError, match="return_tensors expects 'pt', 'ta', 'np' or None"):
        wordpiece()("a", return_tensors="tf")
    empty = wordpiece()([], return_tensors="ta")
    assert empty["input_ids"].shape == (0,) and empty["input_ids"].dtype == ta.int64
    assert wordpiece()([])["input_ids"] == []
    assert isinstance(wordpiece()("a", return_tensors="np")["input_ids"], np.ndarray)


BAD: list[tuple[Any, dict[str, Any], str]] = [
    ((3,), {}, "expected a text or a list of texts, got int"),
    ((None,), {}, "expected a text or a list of texts, got NoneType"),
    ((np.array(["a"]),), {}, "got ndarray(.|\n)*list\\(texts\\)"),
    ((["a", 3],), {}, "text 1 is int 3, expected a string"),
    ((["a", None],), {}, "text 1 is None, expected a string"),
    (([["a", "b", "c"]],), {}, "text 0 is list"),
    (("a", 5), {}, "the text is tuple|the text is int 5"),
    ((["a", "b"], ["c"]), {}, "2 texts need a list of as many second texts, got 1"),
    ((["a"], "c"), {}, "1 texts need a list of as many second texts, got str"),
    (("a", None), {"is_split_into_words": True}, "expected a text or a list of texts, got str"),
    ((["a", "\ud800b"],), {}, "text 1 has half a character at position 0"),
    (("a",), {"padding": "longer"}, "padding expects True, False, longest, max_length"),
    (("a",), {"truncation": "both"}, "truncation expects True, False, longest_first"),
    (("a",), {"max_length": -1, "truncation": True}, "max_length expects an integer >= 0, got -1"),
    (("a",), {"max_length": 2.5}, "max_length expects an integer >= 0, got 2.5"),
    (("a",), {"padding": True, "pad_to_multiple_of": 0}, "pad_to_multiple_of expects an integer"),
    (("a",), {"max_length": 1, "truncation": True}, "leaves -1 tokens beside 2 special ones"),
    (("a b c d",), {"max_length": 5, "truncation": True, "stride": 3}, "stride=3 must be smaller"),
    (("a",), {"padding": True, "padding_side": "middle"}, "padding_side expects 'left' or 'right'"),
    (
        ("a",),
        {"padding": True, "truncation": True, "max_length": 10, "pad_to_multiple_of": 8},
        "max_length=10 and padding to a multiple of 8",
    ),
    (("a", "b c d e"), {"truncation": "only_first", "max_length": 5}, "too short"),
]


@pytest.mark.parametrize(("args", "options", "message"), BAD, ids=[b[2][:30] for b in BAD])
def test_bad_input(args: Any, options: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        wordpiece()(*args, **options)


def test_bad_ids_and_batches() -> None:
    tokenizer = wordpiece()
    with pytest.raises(ArgumentError, match="a token's id cannot be -100(.|\n)*labels"):
        tokenizer.decode([5, -100])
    for features, message in (
        ([], "a list of at least one"),
        ([1, 2], "pad expects an encoding"),
        ([{"labels": 1}], "pad needs input_ids"),
        ([{"input_ids": [1], "labels": 1}, {"input_ids": [1]}], r"sample 1 .* \['labels'\]"),
    ):
        with pytest.raises(ArgumentError, match=message):
            tokenizer.pad(features)
    with pytest.raises(ArgumentError, match="no padding token(.|\n)*pad_token = tokenizer.eos"):
        bytelevel()(["a", "b c"], padding=True)
    with pytest.raises(ArgumentError, match="takes one list of ids"):
        tokenizer.get_special_tokens_mask([1, 2])


def test_a_text_over_the_limit_warns_once() -> None:
    tokenizer = type(wordpiece())(wordpiece().get_vocab(), model_max_length=8)
    long = HARD[0] * 3
    with pytest.warns(UserWarning, match="the model takes 8(.|\n)*truncation=True"):
        assert len(tokenizer(long)["input_ids"]) > 8
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tokenizer(long)
        assert len(tokenizer(long, truncation=True)["input_ids"]) == 8
        assert len(tokenizer("a", padding="max_length")["input_ids"]) == 8


def test_pad_gives_tensors_for_tensors() -> None:
    features = [{"input_ids": ta.tensor([1, 2, 3])}, {"input_ids": ta.tensor([4])}]
    batch = wordpiece().pad(features)
    assert batch.input_ids.tolist() == [[1, 2, 3], [4, 0, 0]]
    assert isinstance(batch.attention_mask, ta.Tensor)
    arrays = [{"input_ids": f["input_ids"].numpy()} for f in features]
    assert isinstance(wordpiece().pad(arrays)["input_ids"], np.ndarray)


def test_roles_of_tokens() -> None:
    tokenizer = type(bytelevel())(bytelevel().get_vocab(), [])
    tokenizer.pad_token = tokenizer.eos_token
    assert tokenizer.pad_token_id == tokenizer.eos_token_id == 0
    with pytest.raises(ArgumentError, match=r"no '\[PAD\]'(.|\n)*add_special_tokens"):
        tokenizer.pad_token = "[PAD]"
    size = len(tokenizer)
    assert tokenizer.add_special_tokens({"pad_token": "[PAD]"}) == 1
    assert tokenizer.pad_token_id == size and len(tokenizer) == size + 1
    assert tokenizer.decode(tokenizer("a[PAD]")["input_ids"], skip_special_tokens=True) == "a"
    tokenizer.mask_token_id = 5
    assert tokenizer.mask_token == tokenizer.convert_ids_to_tokens(5)
    assert tokenizer.add_tokens(["newword", "a"]) >= 1
    with pytest.raises(ArgumentError, match="padding_token is no role"):
        tokenizer.add_special_tokens({"padding_token": "x"})
    with pytest.raises(ArgumentError, match="must be a string, got int"):
        tokenizer.pad_token = 3
    with pytest.raises(ArgumentError, match="the vocabulary has no id 99999"):
        tokenizer.pad_token_id = 99999
