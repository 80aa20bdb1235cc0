"""Texts continued token by token: the likeliest, or one drawn from the likelier ones."""

from __future__ import annotations

import math
from typing import Any

from ..autograd.mode import no_grad
from ..errors import ArgumentError
from ..nn import functional as F
from ..ops.create import full, zeros_like
from ..ops.cumulative import cumsum
from ..ops.joining import cat
from ..ops.random import multinomial
from ..ops.scatter import masked_fill, scatter
from ..ops.select import where
from ..ops.sorting import sort, topk
from .cache import KeyValueCache
from .layers import check_ids, check_mask


class GenerationMixin:
    """`generate` for a model whose forward gives `logits` and takes `past_key_values`."""

    config: Any

    @no_grad()
    def generate(
        self, input_ids: Any, attention_mask: Any = None, *, max_new_tokens: int | None = None,
        max_length: int | None = None, do_sample: bool = False, temperature: float = 1.0,
        top_k: int = 50, top_p: float = 1.0, eos_token_id: Any = None,
        pad_token_id: int | None = None, use_cache: bool = True, generator: Any = None,
    ) -> Any:  # fmt: skip
        """Tokens (N, L) continued to (N, at most max_length), 20 unless something else is said.

        Without `do_sample` the likeliest token follows each time. With it one is drawn (from
        `generator`, if given) after the scores were divided by `temperature`, all but the `top_k`
        highest put aside (0: none), and of those all but the likeliest whose probabilities sum to
        `top_p`. A text ends at `eos_token_id` (one or several; the configuration's, unless given)
        and is filled up with `pad_token_id`. Texts of different lengths are padded on the left, and
        attention_mask is 0 there. `use_cache=False` computes every place again at every step.
        """
        check_ids(input_ids)
        _check_sampling(temperature, top_k, top_p)
        ends = self.config.eos_token_id if eos_token_id is None else eos_token_id
        ends = [] if ends is None else list(ends) if isinstance(ends, (list, tuple)) else [ends]
        pad = self.config.pad_token_id if pad_token_id is None else pad_token_id
        mask = _mask_of(input_ids, attention_mask, pad, ends)
        pad = ends[0] if pad is None and ends else pad
        steps = self._steps(input_ids.shape[1], max_new_tokens, max_length)
        going = full((input_ids.shape[0],), True, dtype=bool, device=input_ids.device)
        cache = KeyValueCache() if use_cache else None
        ids = input_ids
        for _ in range(steps):
            scores = self._next_scores(ids, mask, cache)
            if do_sample:
                chance = F.softmax(filtered(scores, temperature, top_k, top_p), -1)
                new = multinomial(chance, 1, generator=generator)[:, 0]
            else:
                new = scores.argmax(-1)
            new = where(going, new, pad) if ends else new
            ids = cat([ids, new[:, None].to(ids.dtype)], 1)
            mask = None if mask is None else cat([mask, mask[:, -1:] * 0 + 1], 1)
            for end in ends:
                going = going & (new != end)
            if not going.any():
                break
        return ids

    def _steps(self, length: int, more: int | None, total: int | None) -> int:
        """How many tokens to add at most."""
        steps = more if more is not None else (20 if total is None else total) - length
        if steps < 1:
            raise ArgumentError(
                f"expected room for new tokens, got {length} tokens of at most {length + steps}",
                "max_new_tokens=20",
            )
        most = self.config.max_position_embeddings
        if length + steps > most:
            raise ArgumentError(
                f"the model reads {most} tokens at most, got {length} and {steps} to come",
                f"max_new_tokens={max(most - length, 0)}, or a shorter text",
            )
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


def _check_sampling(temperature: float, top_k: int, top_p: float) -> None:
    if not temperature > 0 or not math.isfinite(temperature):
        raise ArgumentError(
            f"expected temperature to be a number > 0, got {temperature}", "do_sample=False"
        )
    if not isinstance(top_k, int) or top_k < 0:
        raise ArgumentError(f"expected top_k to be a whole number >= 0, got {top_k!r}")
    if not 0 < top_p <= 1:
        raise ArgumentError(f"expected top_p in (0, 1], got {top_p}")
