"""A vocabulary made larger or smaller: the table of words, and the scores for them."""

from __future__ import annotations

import math
from typing import Any

from .. import nn
from ..autograd.mode import no_grad
from ..errors import ArgumentError
from ..nn import init
from ..ops.create import zeros
from ..ops.joining import cat
from ..ops.matmul import matmul
from ..ops.random import randn
from ..ops.shape import reshape

SPREAD = 1e-9  # of the new rows: this share of the old ones' covariance, as in Hugging Face


@no_grad()
def resize(model: Any, count: int, mean_resizing: bool) -> None:
    """Gives every parameter that has a row for each word `count` rows."""
    pad = model.config.pad_token_id
    if not isinstance(count, int) or isinstance(count, bool) or count <= (pad or 0):
        least = "> 0" if pad is None else f"> pad_token_id, which is {pad}"
        raise ArgumentError(f"expected new_num_tokens to be a whole number {least}, got {count!r}")
    words, scores = model.get_input_embeddings(), model.get_output_embeddings()
    for name in _names(model, [words, scores]):
        path, _, own = name.rpartition(".")
        old = model.get_parameter(name)
        new = nn.Parameter(_resized(model, old.detach(), count, mean_resizing), old.requires_grad)
        model.get_submodule(path).register_parameter(own, new)
    words.num_embeddings = model.config.vocab_size = count
    if scores is not None:
        scores.out_features = count
    model.tie_weights()


def _names(model: Any, modules: list[Any]) -> list[str]:
    """The parameters with a row for each word; of those that are one, the one that is saved."""
    own = {id(p) for m in modules if m is not None for p in m.parameters()}
    names = {name for name, p in model.named_parameters() if id(p) in own}
    names |= {*model.tied, *model.tied.values()}
    return sorted(names - set(model.tied) if model.config.tie_word_embeddings else names)


def _resized(model: Any, old: Any, count: int, mean_resizing: bool) -> Any:
    """The first rows, or all with more: draws around their mean, or as a new model has them."""
    more = count - old.shape[0]
    if more <= 0:
        return old[:count].clone()
    new = zeros(more, *old.shape[1:], dtype=old.dtype, device=old.device)
    if mean_resizing:
        rows = reshape(old, (old.shape[0], -1))
        mean = rows.mean(0, keepdim=True)
        draws = randn(more, rows.shape[0], dtype=old.dtype, device=old.device)
        around = matmul(draws, rows - mean) * math.sqrt(SPREAD / rows.shape[0])
        new = reshape(mean + around, new.shape)
    elif old.ndim == 2:
        init.normal_(new, 0.0, model.config.initializer_range)
    return cat([old, new])
