"""GPT-2: a decoder that reads from left to right and says what comes next (Radford et al., 2019).

Parameters have Hugging Face's names and layout, so that its checkpoints load.
"""

from __future__ import annotations

import math
from typing import Any

from .. import nn
from ..errors import ShapeError
from ..nn import functional as F
from ..nn import init
from ..ops.create import full
from ..ops.joining import cat, split
from ..ops.shape import reshape
from .activations import ACTIVATIONS
from .cache import KeyValueCache
from .config import PretrainedConfig
from .generation import GenerationMixin
from .layers import (
    Conv1D,
    attend,
    causal_bias,
    check_inputs,
    check_length,
    check_mask,
    check_places,
    check_tensor,
    heads,
    joined,
)  # fmt: skip
from .outputs import BaseModelOutputWithPast, CausalLMOutput
from .pretrained import PreTrainedModel


class GPT2Config(PretrainedConfig):
    """What a GPT-2 is made of; the defaults are those of the smallest one that was published."""

    model_type = "gpt2"
    defaults = {
        "vocab_size": 50257, "n_positions": 1024, "n_embd": 768, "n_layer": 12, "n_head": 12,
        "n_inner": None, "activation_function": "gelu_new", "resid_pdrop": 0.1, "embd_pdrop": 0.1,
        "attn_pdrop": 0.1, "layer_norm_epsilon": 1e-5, "initializer_range": 0.02,
        "scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False, "use_cache": True,
        "bos_token_id": 50256, "eos_token_id": 50256, "pad_token_id": None,
    }  # fmt: skip
    aliases = {
        "hidden_size": "n_embd", "max_position_embeddings": "n_positions",
        "num_attention_heads": "n_head", "num_hidden_layers": "n_layer",
    }  # fmt: skip
    needed = ("vocab_size", "n_embd", "n_layer", "n_head")
    sizes = (*needed, "n_positions")
    numbers = ("initializer_range", "layer_norm_epsilon")
    chances = ("resid_pdrop", "embd_pdrop", "attn_pdrop")
    activation = "activation_function"


class GPT2PreTrainedModel(PreTrainedModel):
    """What all models around a GPT-2 share."""

    config_class = GPT2Config
    base_model_prefix = "transformer"
    word_table = "wte"
    ignored_keys = (r"(^|\.)attn\.(bias|masked_bias)$",)

    def initial_std(self, full: str) -> float:
        """Layers that end at the residual path start smaller, the more of them there are."""
        std = super().initial_std(full)
        return std / math.sqrt(2 * self.config.n_layer) if ".c_proj." in full else std


class GPT2Attention(nn.Module):
    """Attention of each place to itself and those before it; one product gives q, k and v."""

    def __init__(self, config: Any, layer: int) -> None:
        super().__init__()
        size = config.n_embd
        self.heads, self.layer = config.n_head, layer
        self.scale = (size // config.n_head) ** -0.5 if config.scale_attn_weights else 1.0
        if config.scale_attn_by_inverse_layer_idx:
            self.scale /= layer + 1
        self.c_attn, self.c_proj = Conv1D(3 * size, size), Conv1D(size, size)
        self.attn_dropout = nn.Dropout(config.attn_pdrop)
        self.resid_dropout = nn.Dropout(config.resid_pdrop)

    def forward(
        self, x: Any, cache: Any = None, bias: Any = None, probabilities: bool = False
    ) -> tuple[Any, Any]:
        parts = split(self.c_attn(x), x.shape[2], 2)
        q, k, v = [heads(part, self.heads) for part in parts]
        if cache is not None:
            k, v = cache.update(k, v, self.layer)
        p = self.attn_dropout.p if self.training else 0.0
        causal = bias is None and q.shape[2] > 1
        y, weights = attend(q, k, v, bias, p, self.scale, causal, probabilities)
        return self.resid_dropout(self.c_proj(joined(y))), weights


class GPT2MLP(nn.Module):
    """Two linear layers; the activation is part of the first."""

    def __init__(self, inner: int, config: Any) -> None:
        super().__init__()
        self.c_fc = Conv1D(inner, config.n_embd, ACTIVATIONS[config.activation_function])
        self.c_proj = Conv1D(config.n_embd, inner)
        self.dropout = nn.Dropout(config.resid_pdrop)

    def forward(self, x: Any) -> Any:
        return self.dropout(self.c_proj(self.c_fc(x)))


class GPT2Block(nn.Module):
    """Attention and feed-forward network, each of the normalised input and added to it."""

    def __init__(self, config: Any, layer: int) -> None:
        super().__init__()
        size, eps = config.n_embd, config.layer_norm_epsilon
        self.ln_1 = nn.LayerNorm(size, eps=eps)
        self.attn = GPT2Attention(config, layer)
        self.ln_2 = nn.LayerNorm(size, eps=eps)
        self.mlp = GPT2MLP(config.n_inner or 4 * size, config)

    def forward(self, x: Any, cache: Any, bias: Any, probabilities: bool) -> tuple[Any, Any]:
        y, weights = self.attn(self.ln_1(x), cache, bias, probabilities)
        x = y + x
        return x + self.mlp(self.ln_2(x)), weights


class GPT2Model(GPT2PreTrainedModel):
    """The decoder: input_ids (N, L) to last_hidden_state (N, L, E).

    attention_mask (N, S) is 0 for padding, S the places before included. `past_key_values` holds
    what was read before; with `use_cache` it is returned with this input added. inputs_embeds
    (N, L, E) stand in the place of the ids' vectors.
    """

    def __init__(self, config: GPT2Config) -> None:
        super().__init__(config)
        with init.skipped():  # post_init draws
            self.wte = nn.Embedding(config.vocab_size, config.n_embd)
            self.wpe = nn.Embedding(config.n_positions, config.n_embd)
            self.drop = nn.Dropout(config.embd_pdrop)
            self.h = nn.ModuleList([GPT2Block(config, i) for i in range(config.n_layer)])
            self.ln_f = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.post_init()

    def forward(
        self, input_ids: Any = None, past_key_values: KeyValueCache | None = None,
        attention_mask: Any = None, token_type_ids: Any = None, position_ids: Any = None,
        inputs_embeds: Any = None, *, use_cache: bool | None = None,
        output_hidden_states: bool | None = None, output_attentions: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:  # fmt: skip
        check_inputs(input_ids, inputs_embeds, self.config.n_embd)
        states = self.option("output_hidden_states", output_hidden_states)
        probabilities = self.option("output_attentions", output_attentions)
        cache = past_key_values
        if use_cache is None:  # in training nobody goes on from here
            use_cache = self.config.use_cache and not self.training
        if use_cache and cache is None:
            cache = KeyValueCache()
        past = cache.get_seq_length() if cache else 0
        words = self.wte(input_ids) if inputs_embeds is None else inputs_embeds
        x = self.embedded(words, token_type_ids, position_ids, past)
        bias = self.bias_of(attention_mask, x, past, probabilities)
        seen, attentions = [], []
        for block in self.h:
            seen.append(x)
            x, weights = block(x, cache, bias, probabilities)
            attentions.append(weights)
        x = self.ln_f(x)
        out = BaseModelOutputWithPast(
            last_hidden_state=x, past_key_values=cache if use_cache else None,
            hidden_states=(*seen, x) if states else None,
            attentions=tuple(attentions) if probabilities else None,
        )  # fmt: skip
        return self.returned(out, return_dict)

    def embedded(self, words: Any, token_type_ids: Any, position_ids: Any, past: int) -> Any:
        """Words and places (and, seldom, segments, which are words too), added."""
        end = past + words.shape[1]
        check_length(end, self.config.n_positions, "n_positions")
        check_places(words.shape[1], position_ids=position_ids, token_type_ids=token_type_ids)
        places = self.wpe.weight[past:end] if position_ids is None else self.wpe(position_ids)
        x = words + places
        return self.drop(x if token_type_ids is None else x + self.wte(token_type_ids))

    def bias_of(self, mask: Any, x: Any, past: int, probabilities: bool) -> Any:
        """What is added to the scores; None if that no place sees a later one says it all."""
        rows = x.shape[1]
        keys = past + rows
        if mask is not None:
            check_mask(mask, x.shape[0], keys)
            mask = mask if (mask == 0).any() else None
        simple = rows == 1 or not (past or probabilities)
        if mask is None and simple:
            return None
        return causal_bias(mask, rows, keys, x.dtype, x.device)


class GPT2LMHeadModel(GenerationMixin, GPT2PreTrainedModel):
    """The decoder, and scores for every word of the vocabulary as the next one."""

    tied = {"lm_head.weight": "transformer.wte.weight"}
    word_scores = "lm_head"

    def __init__(self, config: GPT2Config) -> None:
        super().__init__(config)
        with init.skipped():  # post_init draws
            self.transformer = GPT2Model(config)
            self.lm_head = nn.Linear(config.n_embd, config.vocab_size, bias=False)
        self.post_init()

    def forward(
        self, input_ids: Any = None, past_key_values: KeyValueCache | None = None,
        attention_mask: Any = None, token_type_ids: Any = None, position_ids: Any = None,
        inputs_embeds: Any = None, *, labels: Any = None, use_cache: bool | None = None,
        logits_to_keep: int = 0, num_items_in_batch: Any = None,
        output_hidden_states: bool | None = None, output_attentions: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:  # fmt: skip
        found = self.transformer(
            input_ids, past_key_values, attention_mask, token_type_ids, position_ids, inputs_embeds,
            use_cache=use_cache, output_hidden_states=output_hidden_states,
            output_attentions=output_attentions, return_dict=True,
        )  # fmt: skip
        x = found.last_hidden_state
        logits = self.lm_head(x[:, -logits_to_keep:] if logits_to_keep else x)
        out = CausalLMOutput(
            loss=None if labels is None else next_loss(logits, labels, num_items_in_batch),
            logits=logits, past_key_values=found.past_key_values,
            hidden_states=found.hidden_states, attentions=found.attentions,
        )  # fmt: skip
        return self.returned(out, return_dict)


def next_loss(logits: Any, labels: Any, count: Any = None) -> Any:
    """The mean cross entropy of each place's scores with the label after it; labels of -100 do not
    count. With `count`, the sum over all places divided by it (parts of a larger batch)."""
    check_tensor("labels", labels)
    if tuple(labels.shape) != tuple(logits.shape[:-1]):
        raise ShapeError(f"expected labels {tuple(logits.shape[:-1])}, got {tuple(labels.shape)}")
    last = full((labels.shape[0], 1), -100, dtype=labels.dtype, device=labels.device)
    target = reshape(cat([labels[:, 1:], last], 1), (-1,))
    rows = reshape(logits, (-1, logits.shape[-1]))
    if count is None:
        return F.cross_entropy(rows, target)
    return F.cross_entropy(rows, target, reduction="sum") / count
