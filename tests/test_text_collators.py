"""Collators beside transformers': padding, labels, and the 80/10/10 of masked language models."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
import pytest

import tinygrad_ai as ta
from tests.text_help import HARD, bytelevel, reference, same, saved, transformers, wordpiece
from tinygrad_ai.data import DataLoader
from tinygrad_ai.errors import ArgumentError
from tinygrad_ai.text import (
    DataCollatorForLanguageModeling,
    DataCollatorForTokenClassification,
    DataCollatorWithPadding,
    DefaultDataCollator,
    GPT2Tokenizer,
    default_data_collator,
)


def features(**extra: Any) -> list[dict[str, Any]]:
    rows = wordpiece()(HARD[:6], verbose=False)
    return [{k: rows[k][i] for k in rows} | {k: f(i) for k, f in extra.items()} for i in range(6)]


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return reference("BertTokenizer", saved(wordpiece(), tmp_path_factory.mktemp("bert")))


@pytest.mark.parametrize("name", ["label", "label_ids", "labels"])
@pytest.mark.parametrize(
    "options", [{}, {"pad_to_multiple_of": 8}, {"padding": "max_length", "max_length": 60}]
)
def test_padding(theirs: Any, name: str, options: Any) -> None:
    collator = transformers().DataCollatorWithPadding(theirs, **options)
    for label in (lambda i: i, lambda i: i / 2):
        got = DataCollatorWithPadding(wordpiece(), **options)(features(**{name: label}))
        same(got, collator(features(**{name: label})))
        assert isinstance(got["labels"], ta.Tensor)
    tensors = [{k: ta.tensor(v) for k, v in f.items()} for f in features(**{name: lambda i: i})]
    same(DataCollatorWithPadding(wordpiece(), **options)(tensors),
         collator(features(**{name: lambda i: i})))  # fmt: skip


def test_padding_needs_like_samples() -> None:
    collate = DataCollatorWithPadding(wordpiece())
    with pytest.raises(ArgumentError, match="a batch needs at least one sample"):
        collate([])
    with pytest.raises(ArgumentError, match="title makes no tensor: it holds texts, 'a title'"):
        collate(features(title=lambda i: "a title"))
    with pytest.raises(ArgumentError, match="label makes no tensor: it holds texts(.|\n)*fix: num"):
        collate(features(label=lambda i: "good"))
    with pytest.raises(ArgumentError, match="label makes no(.|\n)*fix: DataCollatorForTokenClass"):
        collate(features(label=lambda i: [0] * (i + 1)))


def test_token_classification(theirs: Any) -> None:
    rows = features()
    for i, row in enumerate(rows):
        row["labels"] = [i] * len(row["input_ids"])
    collator = transformers().DataCollatorForTokenClassification(theirs)
    expected = collator([dict(row) for row in rows])
    same(DataCollatorForTokenClassification(wordpiece())(rows), expected)
    tensors = [{k: ta.tensor(v) for k, v in row.items()} for row in rows]
    same(DataCollatorForTokenClassification(wordpiece())(tensors), expected)
    rows[2]["labels"] = rows[2]["labels"][1:]
    with pytest.raises(ArgumentError, match=r"sample 2 has \d+ tokens and labels for \d+"):
        DataCollatorForTokenClassification(wordpiece())(rows)
    left = type(wordpiece())(wordpiece().get_vocab(), padding_side="left")
    made = DataCollatorForTokenClassification(left)(
        [{"input_ids": [1, 2], "labels": [5, 6]}, {"input_ids": [3], "labels": [7]}]
    )
    assert made["labels"].tolist() == [[5, 6], [-100, 7]]
    assert made["input_ids"].tolist() == [[1, 2], [0, 3]]


@pytest.mark.parametrize("name", ["label", "label_ids", "labels"])
def test_default(name: str) -> None:
    for label in (lambda i: i, lambda i: i + 0.5, lambda i: [i, i]):
        rows = [{"x": [i, i + 1], "y": 1.5 * i, name: label(i), "text": "t"} for i in range(3)]
        if name == "label" and isinstance(label(0), list):
            continue
        if name == "label_ids" and not isinstance(label(0), list):
            continue
        got = default_data_collator(rows)
        same(got, transformers().default_data_collator([dict(r) for r in rows]))
        assert got["x"].dtype == ta.int64 and got["y"].dtype == ta.float32
    tensors = [{"x": ta.ones(2) * i, "z": np.zeros(2, np.float32), "label": i} for i in range(3)]
    made = DefaultDataCollator()(tensors)
    assert made["x"].shape == made["z"].shape == (3, 2) and made["labels"].tolist() == [0, 1, 2]
    with pytest.raises(ArgumentError, match="sample 1 of the batch has no x"):
        default_data_collator([{"x": 1}, {"y": 2}])
    with pytest.raises(ArgumentError, match="x makes no tensor"):
        default_data_collator([{"x": [1]}, {"x": [1, 2]}])


def test_samples_that_cannot_be_stacked() -> None:
    rows = [{"input_ids": ta.zeros(n, dtype=ta.int64)} for n in (4, 6)]
    with pytest.raises(
        ArgumentError, match=r"input_ids have different shapes: \(4,\), \(6,\)\n.*pads"
    ):
        default_data_collator(rows)
    for row in ("a text", (1, 2)):
        with pytest.raises(ArgumentError, match=f"samples that are dict.*got {type(row).__name__}"):
            default_data_collator([row])


def test_causal_labels(theirs: Any) -> None:
    collator = transformers().DataCollatorForLanguageModeling(theirs, mlm=False)
    same(DataCollatorForLanguageModeling(wordpiece(), mlm=False)(features()), collator(features()))
    gpt = GPT2Tokenizer(bytelevel().get_vocab(), [])
    batch = DataCollatorForLanguageModeling(gpt, mlm=False)([[5, 6, 0], [7, 8, 9]])
    assert batch["labels"].tolist() == batch["input_ids"].tolist() == [[5, 6, 0], [7, 8, 9]]
    with pytest.raises(ArgumentError, match="no padding token"):
        DataCollatorForLanguageModeling(gpt, mlm=False)([[5, 6], [7]])


def bounds(count: int, p: float) -> tuple[float, float]:
    """Where a binomial count lies but once in 15,000 times: 4 standard deviations."""
    room = 4 * sqrt(count * p * (1 - p))
    return count * p - room, count * p + room


def between(value: int, count: int, p: float) -> bool:
    low, high = bounds(count, p)
    return low <= value <= high


@pytest.mark.parametrize("mlm", [True, False])
def test_the_class_of_a_text_is_left_out(mlm: bool) -> None:
    collate = DataCollatorForLanguageModeling(wordpiece(), mlm=mlm)
    for name in ("label", "label_ids"):
        batch = collate(features(**{name: lambda i: i}))
        assert name not in batch and batch["labels"].shape == batch["input_ids"].shape


def test_masked_shares() -> None:
    tokenizer, ta_generator = wordpiece(), ta.Generator().manual_seed(11)
    size = len(tokenizer)
    word = 50  # no special token; a random word is it once in `size` draws
    ids = [[tokenizer.cls_token_id, *[word] * 998, tokenizer.sep_token_id]] * 200
    collate = DataCollatorForLanguageModeling(tokenizer, generator=ta_generator)
    batch = collate(ids)
    seen, labels = batch["input_ids"].numpy(), batch["labels"].numpy()
    chosen, count = labels != -100, 200 * 998
    assert not chosen[:, [0, -1]].any() and (labels[chosen] == word).all()
    assert (seen[~chosen] == np.array(ids)[~chosen]).all()
    total = int(chosen.sum())
    assert between(total, count, 0.15)
    masked = int((seen[chosen] == tokenizer.mask_token_id).sum())
    kept = int((seen[chosen] == word).sum())
    other = total - masked - kept
    assert between(masked, total, 0.8 + 0.1 / size)
    assert between(kept, total, 0.1 + 0.1 / size)
    assert between(other, total, 0.1 * (1 - 2 / size))
    drawn = np.bincount(seen[chosen], minlength=size)  # every word of the vocabulary is drawn
    others = np.delete(drawn, [word, tokenizer.mask_token_id])
    assert (others > 0).all() and others.max() < bounds(total, 0.1 / size)[1] + 10


def test_masking_leaves_padding_and_special_tokens() -> None:
    collate = DataCollatorForLanguageModeling(wordpiece(), mlm_probability=1.0, seed=0)
    for given in (False, True):
        rows = wordpiece()(HARD[:6], return_special_tokens_mask=given, verbose=False)
        batch = collate([{k: rows[k][i] for k in rows} for i in range(6)])
        assert "special_tokens_mask" not in batch
        plain = wordpiece().pad({"input_ids": rows["input_ids"]})["input_ids"]
        special = {wordpiece().pad_token_id, wordpiece().cls_token_id, wordpiece().sep_token_id}
        special |= set() if given else {wordpiece().unk_token_id}  # as in transformers
        expected = [[-100 if i in special else i for i in row] for row in plain]
        assert batch["labels"].tolist() == expected


def test_masks_repeat_and_differ() -> None:
    def run(**options: Any) -> list[Any]:
        collate = DataCollatorForLanguageModeling(wordpiece(), **options)
        return [collate(features())["input_ids"].tolist() for _ in range(2)]

    first = run(seed=3)
    assert first == run(seed=3) == run(generator=ta.Generator().manual_seed(3))
    assert first[0] != first[1] and first != run(seed=4)
    ta.manual_seed(5)
    before = run()
    ta.manual_seed(5)
    assert run() == before


def test_worker_processes_draw_by_themselves() -> None:
    rows = [[2, *range(20, 50), 3]] * 8

    def run(seed: int) -> list[list[Any]]:
        collate = DataCollatorForLanguageModeling(wordpiece(), seed=seed)
        source = ta.Generator().manual_seed(1)
        loader = DataLoader(rows, 4, num_workers=2, collate_fn=collate, generator=source)  # type: ignore[arg-type]
        return [[b["labels"].tolist() for b in loader] for _ in range(2)]

    first = run(1)
    assert first == run(1) and first != run(2)
    assert first[0][0] != first[0][1] and first[0] != first[1]


def test_shares_of_masking_can_be_set() -> None:
    ids = [[2, *range(20, 60), 3]]
    options: dict[str, Any] = {"mlm_probability": 1.0, "random_replace_prob": 0.0, "seed": 1}
    all_masked = DataCollatorForLanguageModeling(wordpiece(), mask_replace_prob=1.0, **options)
    assert set(all_masked(ids)["input_ids"][0, 1:-1].tolist()) == {wordpiece().mask_token_id}
    none = DataCollatorForLanguageModeling(wordpiece(), mask_replace_prob=0.0, **options)
    assert none(ids)["input_ids"].tolist() == ids
    as_arrays = DataCollatorForLanguageModeling(wordpiece(), return_tensors="np")(ids)
    assert isinstance(as_arrays["labels"], np.ndarray)
    for wrong in ({"mlm_probability": 1.5}, {"mask_replace_prob": 0.95}):
        with pytest.raises(ArgumentError, match=r"expect numbers in \[0, 1\]"):
            DataCollatorForLanguageModeling(wordpiece(), **wrong)
    with pytest.raises(ArgumentError, match="no mask token(.|\n)*mlm=False"):
        DataCollatorForLanguageModeling(bytelevel())
