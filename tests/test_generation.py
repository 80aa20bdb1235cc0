"""Generation: transformers' tokens, the same with the cache as without, and what may be drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_ai as ta
from tests.hf_help import GPT2, close, library, padding, tokens, twins
from tinygrad_ai import models
from tinygrad_ai.models.generation import filtered, penalised

hf = library()
torch = pytest.importorskip("torch", reason="PyTorch is the reference of this test")


def both(ours: Any, theirs: Any, ids: Any, mask: Any = None, **options: Any) -> tuple[Any, Any]:
    found = ours.generate(ta.tensor(ids), None if mask is None else ta.tensor(mask), **options)
    mask = None if mask is None else torch.tensor(mask)
    wanted = theirs.generate(torch.tensor(ids), attention_mask=mask, do_sample=False, **options)
    return found.numpy(), wanted.numpy()


@pytest.mark.parametrize("use_cache", [True, False])
def test_the_likeliest_tokens(tmp_path: Path, use_cache: bool) -> None:
    ours, theirs = twins("GPT2LMHeadModel", tmp_path)
    found, wanted = both(ours, theirs, tokens(), max_new_tokens=25, use_cache=use_cache)
    np.testing.assert_array_equal(found, wanted)
    assert len(np.unique(found[:, 9:])) > 4  # not one token for ever


@pytest.mark.parametrize("use_cache", [True, False])
def test_texts_of_different_lengths(tmp_path: Path, use_cache: bool) -> None:
    ours, theirs = twins("GPT2LMHeadModel", tmp_path)
    options = {"max_length": 30, "pad_token_id": 0, "use_cache": use_cache}
    ids, mask = tokens(), padding("left")
    ids[mask == 0] = 0
    found, wanted = both(ours, theirs, ids, mask, **options)
    np.testing.assert_array_equal(found, wanted)
    alone = ours.generate(ta.tensor(ids[2:, 2:]), max_new_tokens=21, pad_token_id=0).numpy()
    np.testing.assert_array_equal(found[2, 2:], alone[0])
    guessed = ours.generate(ta.tensor(ids), **options).numpy()  # the mask follows from the padding
    np.testing.assert_array_equal(found, guessed)


LENGTHS: dict[str, dict[str, Any]] = {
    "nothing said": {}, "more": {"max_new_tokens": 7}, "in all": {"max_length": 14},
    "both": {"max_new_tokens": 3, "max_length": 30},
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Using the model-agnostic default")
@pytest.mark.parametrize("said", LENGTHS)
@pytest.mark.parametrize("length", [3, 12, 35])
def test_how_many_tokens_come(tmp_path: Path, said: str, length: int) -> None:
    ours, theirs = twins("GPT2LMHeadModel", tmp_path)
    ids = tokens(length=length)
    if (said, length) in (("more", 35), ("in all", 35)):
        with pytest.raises(ValueError, match="tokens"):
            ours.generate(ta.tensor(ids), **LENGTHS[said])
        return
    found, wanted = both(ours, theirs, ids, **LENGTHS[said])
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("penalty", [1.3, 5.0, 0.4])
@pytest.mark.parametrize("side", ["none", "left"])
def test_tokens_that_were_there_before(tmp_path: Path, penalty: float, side: str) -> None:
    ours, theirs = twins("GPT2LMHeadModel", tmp_path)
    ids, mask = tokens(), padding(side)
    ids[mask == 0] = 0
    options = {"max_new_tokens": 20, "pad_token_id": 0}
    found, wanted = both(ours, theirs, ids, mask, repetition_penalty=penalty, **options)
    np.testing.assert_array_equal(found, wanted)
    plain = ours.generate(ta.tensor(ids), ta.tensor(mask), **options).numpy()
    assert not np.array_equal(found, plain)


def test_padding_is_no_repetition() -> None:
    scores = ta.tensor([[1.0, 2.0, -3.0, 4.0]])
    ids, mask = ta.tensor([[0, 0, 2, 3]]), ta.tensor([[0, 0, 1, 1]])
    assert penalised(scores, ids, mask, 2.0).tolist() == [[1.0, 2.0, -6.0, 2.0]]
    assert penalised(scores, ids, None, 2.0).tolist() == [[0.5, 2.0, -6.0, 2.0]]


def test_texts_do_not_end_too_early(tmp_path: Path) -> None:
    ours, theirs = twins("GPT2LMHeadModel", tmp_path)
    free = ours.generate(ta.tensor(tokens()), max_new_tokens=20).numpy()
    options = {"max_new_tokens": 20, "eos_token_id": int(free[0, 10]), "pad_token_id": 7}
    early, _ = both(ours, theirs, tokens(), **options)
    found, wanted = both(ours, theirs, tokens(), min_new_tokens=6, **options)
    np.testing.assert_array_equal(found, wanted)
    assert (early[0, 11:] == 7).all() and free[0, 10] not in found[0, 9:15]


def test_several_texts_each(tmp_path: Path) -> None:
    ours, _ = twins("GPT2LMHeadModel", tmp_path)
    ids, mask = tokens(), padding("left")
    ids[mask == 0] = 0
    options = {"max_new_tokens": 8, "do_sample": True, "temperature": 3.0, "pad_token_id": 0}

    def drawn(ids: Any, mask: Any, **more: Any) -> Any:
        generator = ta.Generator().manual_seed(3)
        return ours.generate(
            ta.tensor(ids), ta.tensor(mask), generator=generator, **options, **more
        ).numpy()

    found = drawn(ids, mask, num_return_sequences=4)
    np.testing.assert_array_equal(found, drawn(ids.repeat(4, 0), mask.repeat(4, 0)))
    np.testing.assert_array_equal(found[:, :9], ids.repeat(4, 0))
    assert len(np.unique(found, axis=0)) == 12
    one = drawn(ids, mask, top_k=1, num_return_sequences=4)
    assert len(np.unique(one, axis=0)) == 3


def test_texts_end(tmp_path: Path) -> None:
    ours, theirs = twins("GPT2LMHeadModel", tmp_path)
    free = ours.generate(ta.tensor(tokens()), max_new_tokens=20).numpy()
    ends = [int(free[0, 12]), int(free[1, 15])]
    options = {"max_new_tokens": 20, "eos_token_id": ends, "pad_token_id": 7}
    found, wanted = both(ours, theirs, tokens(), **options)
    np.testing.assert_array_equal(found, wanted)
    assert (found[0, 13:] == 7).all() and 13 < found.shape[1] < 29
    one, wanted = both(ours, theirs, tokens()[:1], max_new_tokens=20, eos_token_id=ends[0])
    np.testing.assert_array_equal(one, wanted)
    assert one.shape[1] <= 13 and one[0, -1] == ends[0]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("top_k", [0, 1, 5, 100])
@pytest.mark.parametrize("top_p", [1e-6, 0.3, 0.9, 1.0])
def test_what_may_be_drawn(temperature: float, top_k: int, top_p: float) -> None:
    from transformers.generation import logits_process as process

    scores = np.random.default_rng(3).normal(size=(4, 60)) * 2
    wanted = process.TemperatureLogitsWarper(temperature)(None, torch.tensor(scores))
    if top_k:
        wanted = process.TopKLogitsWarper(top_k)(None, wanted)
    wanted = process.TopPLogitsWarper(top_p)(None, wanted)
    found = filtered(ta.tensor(scores), temperature, top_k, top_p)
    close(found, wanted)
    close(ta.nn.functional.softmax(found, -1), torch.softmax(wanted, -1))


def test_frequencies_follow_the_probabilities(tmp_path: Path) -> None:
    ours, _ = twins("GPT2LMHeadModel", tmp_path)
    ids = ta.tensor(np.repeat(tokens(1, 5), 4000, 0))
    with ta.no_grad():
        scores = ours(ids[:1], logits_to_keep=1).logits[:, 0]
    chance = ta.nn.functional.softmax(filtered(scores, 2.0, 10, 0.9), -1)[0].numpy()
    drawn = ours.generate(
        ids, max_new_tokens=1, do_sample=True, temperature=2.0, top_k=10, top_p=0.9,
        generator=ta.Generator().manual_seed(0),
    )[:, -1].numpy()  # fmt: skip
    found = np.bincount(drawn, minlength=60) / len(drawn)
    assert 3 < (chance > 0).sum() <= 10 and not found[chance == 0].any()
    assert (abs(found - chance) < 5 * np.sqrt(chance / len(drawn)) + 1e-12).all()


def test_drawing_repeats_with_a_generator(tmp_path: Path) -> None:
    ours, _ = twins("GPT2LMHeadModel", tmp_path)
    ids, options = (
        ta.tensor(tokens()),
        {"max_new_tokens": 12, "do_sample": True, "temperature": 3.0},
    )

    def drawn(seed: int, **more: Any) -> Any:
        generator = ta.Generator().manual_seed(seed)
        return ours.generate(ids, generator=generator, **options, **more).tolist()

    assert drawn(0) == drawn(0) == drawn(0, use_cache=False) != drawn(1)
    ta.manual_seed(5)
    first = ours.generate(ids, **options).tolist()
    ta.manual_seed(5)
    assert ours.generate(ids, **options).tolist() == first
    likeliest = ours.generate(ids, max_new_tokens=12).tolist()
    assert drawn(0, top_k=1) == likeliest


def test_arguments_that_are_refused() -> None:
    model = models.GPT2LMHeadModel(models.GPT2Config(**GPT2)).eval()
    ids = ta.tensor(tokens())
    for options, message in (
        ({"temperature": 0.0}, "expected temperature to be a number > 0, got 0.0"),
        ({"top_p": 1.5}, r"expected top_p in \(0, 1\], got 1.5"),
        ({"top_k": -1}, "expected top_k to be a whole number >= 0, got -1"),
        ({"max_length": 9}, "expected room for new tokens, got 9 tokens of at most 9"),
        ({"repetition_penalty": 0.0}, "expected repetition_penalty to be a number > 0, got 0.0"),
        ({"num_return_sequences": 0}, "num_return_sequences to be a whole number > 0, got 0"),
        ({"num_return_sequences": 2}, "the likeliest text is one, got num_return_sequences=2"),
        ({"min_new_tokens": 21}, "expected min_new_tokens from 0 to 20, got 21"),
        ({"max_new_tokens": 2.5}, "expected a whole number of tokens, got 2.5"),
        ({"max_new_tokens": 32}, "the model reads 40 tokens at most, got 9 and 32 to come"),
    ):
        with pytest.raises(ValueError, match=message):
            model.generate(ids, **options)
    with pytest.raises(
        ValueError, match="padding at the end of one\n  fix: tokenizer.padding_side"
    ):
        model.generate(ids, ta.tensor(padding("right")))
    with pytest.raises(ValueError, match="the model reads 40 tokens at most, got 40"):
        model.generate(ta.ones(1, 40, dtype=ta.int64))
    with pytest.raises(TypeError, match="num_beams"):
        model.generate(ids, num_beams=4)
