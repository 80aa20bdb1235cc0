"""Texts continued token by token: the likeliest, or one drawn from the likelier ones."""

from __future__ import annotations

import math
from typing import Any

from ..autograd.mode import no_grad
from ..errors import ArgumentError, ShapeError
from ..nn import functional as F
from ..ops.create import arange, full, zeros_like
from ..ops.cumulative import cumsum
from ..ops.gather import gather
from ..ops.joining import cat
from ..ops.random import multinomial
from ..ops.scatter import masked_fill, scatter
from ..ops.select import where
from ..ops.shape import repeat_interleave
from ..ops.sorting import sort, topk
from .cache import KeyValueCache
from .layers import check_ids, check_mask


class GenerationMixin:
    """`generate` for a model whose forward gives `logits` and takes `past_key_values`."""

    config: Any

    @no_grad()
    def generate(
        self, input_ids: Any, attention_mask: Any = None, *, max_new_tokens: int | None = None,
        max_length: int | None = None, min_new_tokens: int | None = None, do_sample: bool = False,
        temperature: float | None = None, top_k: int | None = None, top_p: float | None = None,
        repetition_penalty: float | None = None, num_return_sequences: int = 1,
        eos_token_id: Any = None, pad_token_id: int | None = None, use_cache: bool = True,
        generator: Any = None,
    ) -> Any:  # fmt: skip
        """Tokens (N, L) continued by `max_new_tokens`, or to `max_length` in all; else by 20.

        Without `do_sample` the likeliest token follows each time. With it one is drawn (from
        `generator`, if given) after the scores were divided by `temperature`, all but the `top_k`
        highest put aside (50; 0: none), and of those all but the likeliest whose probabilities sum
        to `top_p`. Scores of tokens that were there before are first made smaller by
        `repetition_penalty`. A text ends at `eos_token_id` (one or several; the configuration's,
        unless given), after `min_new_tokens` at the earliest, and is filled up with `pad_token_id`.
        Of each text `num_return_sequences` come, one below the other. Texts of different lengths
        are padded on the left, and attention_mask is 0 there. `use_cache=False` computes every
        place again at every step.
        """
        check_ids(input_ids)
        if not input_ids.shape[1]:
            raise ShapeError(
                "expected a token to go on from, got texts of none",
                "the token of the beginning: ta.tensor([[model.config.bos_token_id]])",
            )
        choose = Choice(do_sample, temperature, top_k, top_p, repetition_penalty, generator)
        ends = self.config.eos_token_id if eos_token_id is None else eos_token_id
        ends = [] if ends is None else list(ends) if isinstance(ends, (list, tuple)) else [ends]
        pad = self.config.pad_token_id if pad_token_id is None else pad_token_id
        mask = _mask_of(input_ids, attention_mask, pad, ends)
        pad = ends[0] if pad is None and ends else pad
        steps = self._steps(input_ids.shape[1], max_new_tokens, max_length, min_new_tokens)
        ids, mask = _repeated(input_ids, mask, num_return_sequences, do_sample)
        going = full((ids.shape[0],), True, dtype=bool, device=ids.device)
        cache = KeyValueCache() if use_cache else None
        for step in range(steps):
            barred = ends if step < (min_new_tokens or 0) else []
            new = choose(self._next_scores(ids, mask, cache), ids, mask, barred)
            new = where(going, new, pad) if ends else new
            ids = cat([ids, new[:, None].to(ids.dtype)], 1)
            mask = None if mask is None else cat([mask, mask[:, -1:] * 0 + 1], 1)
            for end in ends:
                going = going & (new != end)
            if not going.any():
                break
        return ids

    def _steps(self, length: int, more: int | None, total: int | None, least: int | None) -> int:
        """How many tokens to add at most."""
        for count in (more, total, least):
            if count is not None and not hasattr(count, "__index__"):
                raise ArgumentError(f"expected a whole number of tokens, got {count!r}")
        most = self.config.max_position_embeddings
        free = min(length + 20, most) if total is None else total
        steps = free - length if more is None else more
        if steps < 1 and more is None and total is None:
            raise ArgumentError(f"the model reads {most} tokens at most, got {length}")
        if steps < 1:
            raise ArgumentError(
                f"expected room for new tokens, got {length} tokens of at most {length + steps}",
                "max_new_tokens=20",
            )
        if length + steps > most:
            raise ArgumentError(
                f"the model reads {most} tokens at most, got {length} and {steps} to come",
                f"max_new_tokens={max(most - length, 0)}, or a shorter text",
            )
        if least is not None and not 0 <= least <= steps:
            raise ArgumentError(f"expected min_new_tokens from 0 to {steps}, got {least}")
        return steps

    def _next_scores(self, ids: Any, mask: Any, cache: Any) -> Any:
        """Scores (N, vocabulary) for the token after the last; the cache knows those before it."""
        past = cache.get_seq_length() if cache else 0
        places = None
        if mask is not None:  # padding takes no place
            places = (cumsum(mask, -1) - 1).clamp(min=0)[:, past:]
        out = self(  # type: ignore[operator]
            ids[:, past:], cache, mask, position_ids=places, use_cache=cache is not None,
            logits_to_keep=1,
        )  # fmt: skip
        return out.logits[:, -1]


class Choice:
    """How the next token is chosen from scores (N, vocabulary)."""

    def __init__(
        self, do_sample: bool, temperature: float | None, top_k: int | None, top_p: float | None,
        penalty: float | None, generator: Any,
    ) -> None:  # fmt: skip
        self.temperature = 1.0 if temperature is None else temperature
        self.top_k = 50 if top_k is None else top_k
        self.top_p = 1.0 if top_p is None else top_p
        self.penalty = 1.0 if penalty is None else penalty
        self.do_sample, self.generator = do_sample, generator
        _check_sampling(self.temperature, self.top_k, self.top_p, self.penalty)

    def __call__(self, scores: Any, ids: Any, mask: Any, barred: list[int]) -> Any:
        """A token for each text (N,) after `ids` (N, L), none of those that are barred."""
        if self.penalty != 1:
            scores = penalised(scores, ids, mask, self.penalty)
        for token in barred:
            scores[:, token] = -math.inf
        if not self.do_sample:
            return scores.argmax(-1)
        chance = F.softmax(filtered(scores, self.temperature, self.top_k, self.top_p), -1)
        return multinomial(chance, 1, generator=self.generator)[:, 0]


def penalised(scores: Any, ids: Any, mask: Any, penalty: float) -> Any:
    """Scores of tokens that a text has divided by the penalty, negative ones multiplied (Keskar et
    al., 2019, as Hugging Face has it). Padding is no part of a text."""
    seen = ids if mask is None else where(mask != 0, ids, ids[:, -1:])
    found = gather(scores, 1, seen)
    return scatter(scores, 1, seen, where(found < 0, found * penalty, found / penalty))


def filtered(scores: Any, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0) -> Any:
    """Scores (N, vocabulary) over the temperature, -inf where a token may not be drawn.

    top_k: Fan et al., 2018; top_p: Holtzman et al., 2019.
    """
    scores = scores / temperature if temperature != 1 else scores
    if top_k:
        least = topk(scores, min(top_k, scores.shape[-1]), -1)[0][:, -1:]
        scores = masked_fill(scores, scores < least, -math.inf)
    if top_p < 1:
        ordered, order = sort(scores, -1)
        outside = cumsum(F.softmax(ordered, -1), -1) <= 1 - top_p
        outside[:, -1] = False  # the likeliest is never put aside
        scores = masked_fill(scores, scatter(zeros_like(outside), 1, order, outside), -math.inf)
    return scores


def _mask_of(ids: Any, mask: Any, pad: int | None, ends: list[int]) -> Any:
    """The mask given, or one that hides what is surely padding; None where nothing is padded."""
    if mask is None and pad is not None and pad not in ends:
        mask = (ids != pad).to(ids.dtype)
    if mask is None:
        return None
    check_mask(mask, *ids.shape)
    mask = (mask != 0).to(ids.dtype)
    if (mask[:, -1] == 0).any():
        raise ArgumentError(
            "a text that goes on is padded on its left, got padding at the end of one",
            "tokenizer.padding_side = 'left'",
        )
    return mask if (mask == 0).any() else None


def _repeated(ids: Any, mask: Any, times: int, do_sample: bool) -> tuple[Any, Any]:
    """Every text several times, one below the other."""
    if not isinstance(times, int) or times < 1:
        raise ArgumentError(f"expected num_return_sequences to be a whole number > 0, got {times}")
    if times == 1:
        return ids, mask
    if not do_sample:
        raise ArgumentError(
            f"the likeliest text is one, got num_return_sequences={times}", "do_sample=True"
        )
    rows = repeat_interleave(arange(ids.shape[0], device=ids.device), times)
    return ids[rows], None if mask is None else mask[rows]


def _check_sampling(temperature: float, top_k: int, top_p: float, penalty: float) -> None:
    if not temperature > 0 or not math.isfinite(temperature):
        raise ArgumentError(
            f"expected temperature to be a number > 0, got {temperature}", "do_sample=False"
        )
    if not isinstance(top_k, int) or top_k < 0:
        raise ArgumentError(f"expected top_k to be a whole number >= 0, got {top_k!r}")
    if not 0 < top_p <= 1:
        raise ArgumentError(f"expected top_p in (0, 1], got {top_p}")
    if not penalty > 0 or not math.isfinite(penalty):
        raise ArgumentError(f"expected repetition_penalty to be a number > 0, got {penalty}")
