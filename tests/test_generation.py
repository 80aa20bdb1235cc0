"""Generation: transformers' tokens, the same with the cache as without, and what may be drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_ai as ta
from tests.hf_help import GPT2, close, library, padding, tokens, twins
from tinygrad_ai import models
from tinygrad_ai.models.generation import filtered

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
    np.testing.assert_array_equal(ours.generate(ta.tensor(tokens())).numpy(), wanted[:, :20])


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
        ({"max_new_tokens": 32}, "the model reads 40 tokens at most, got 9 and 32 to come"),
    ):
        with pytest.raises(ValueError, match=message):
            model.generate(ids, **options)
    with pytest.raises(
        ValueError, match="padding at the end of one\n  fix: tokenizer.padding_side"
    ):
        model.generate(ids, ta.tensor(padding("right")))
    with pytest.raises(TypeError, match="num_beams"):
        model.generate(ids, num_beams=4)
