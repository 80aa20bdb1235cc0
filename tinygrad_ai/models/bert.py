"""BERT: an encoder that reads in both directions (Devlin et al., 2018).

Parameters have Hugging Face's names, so that its checkpoints load.
"""

from __future__ import annotations

from typing import Any

from .. import nn
from ..errors import ArgumentError
from ..nn import init
from .activations import ACTIVATIONS
from .config import PretrainedConfig
from .layers import (
    attend,
    check_inputs,
    check_length,
    check_mask,
    check_places,
    heads,
    joined,
    padding_bias,
)  # fmt: skip
from .outputs import BaseModelOutputWithPooling
from .pretrained import PreTrainedModel


class BertConfig(PretrainedConfig):
    """What a BERT is made of; the defaults are those of BERT base."""

    model_type = "bert"
    defaults = {
        "vocab_size": 30522, "hidden_size": 768, "num_hidden_layers": 12,
        "num_attention_heads": 12, "intermediate_size": 3072, "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1,
        "max_position_embeddings": 512, "type_vocab_size": 2, "initializer_range": 0.02,
        "layer_norm_eps": 1e-12, "pad_token_id": 0, "position_embedding_type": "absolute",
        "use_cache": True, "classifier_dropout": None, "bos_token_id": None, "eos_token_id": None,
    }  # fmt: skip
    needed = (
        "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads",
        "intermediate_size",
    )  # fmt: skip
    sizes = (*needed, "max_position_embeddings", "type_vocab_size")
    numbers = ("initializer_range", "layer_norm_eps")
    chances = ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout")

    def check(self) -> None:
        super().check()
        if self.position_embedding_type != "absolute":
            kind = self.position_embedding_type
            raise ArgumentError(f"expected position_embedding_type 'absolute', got {kind!r}")


class BertPreTrainedModel(PreTrainedModel):
    """What all models around a BERT share."""

    config_class = BertConfig
    base_model_prefix = "bert"
    word_table = "embeddings.word_embeddings"
    ignored_keys = (r"(^|\.)embeddings\.(position_ids|token_type_ids)$",)


class BertEmbeddings(nn.Module):
    """Words, places and segments, each a row of a table, added and normalised."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        size = config.hidden_size
        self.word_embeddings = nn.Embedding(config.vocab_size, size, config.pad_token_id)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, size)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, size)
        self.LayerNorm = nn.LayerNorm(size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(
        self, input_ids: Any = None, token_type_ids: Any = None, position_ids: Any = None,
        inputs_embeds: Any = None,
    ) -> Any:  # fmt: skip
        x = self.word_embeddings(input_ids) if inputs_embeds is None else inputs_embeds
        length = x.shape[1]
        check_length(length, self.position_embeddings.num_embeddings, "max_position_embeddings")
        check_places(length, position_ids=position_ids, token_type_ids=token_type_ids)
        if position_ids is None:
            places = self.position_embeddings.weight[:length]
        else:
            places = self.position_embeddings(position_ids)
        if token_type_ids is None or not token_type_ids.any():  # one segment: one row for all
            rest = places + self.token_type_embeddings.weight[0]
        else:
            rest = self.token_type_embeddings(token_type_ids) + places
        return self.dropout(self.LayerNorm(x + rest))


class BertSelfAttention(nn.Module):
    """Attention of all places to all places, in several subspaces."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        size = config.hidden_size
        self.heads = config.num_attention_heads
        self.query, self.key, self.value = [nn.Linear(size, size) for _ in range(3)]
        self.dropout = nn.Dropout(config.attention_probs_dropout_prob)

    def forward(self, x: Any, bias: Any = None, probabilities: bool = False) -> tuple[Any, Any]:
        q, k, v = [heads(layer(x), self.heads) for layer in (self.query, self.key, self.value)]
        p = self.dropout.p if self.training else 0.0
        y, weights = attend(q, k, v, bias, p, probabilities=probabilities)
        return joined(y), weights


class BertSelfOutput(nn.Module):
    """A linear layer, added to what went in, normalised."""

    def __init__(self, config: Any, inputs: int | None = None) -> None:
        super().__init__()
        self.dense = nn.Linear(inputs or config.hidden_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, x: Any, before: Any) -> Any:
        return self.LayerNorm(self.dropout(self.dense(x)) + before)


class BertOutput(BertSelfOutput):
    """The second half of the feed-forward network."""

    def __init__(self, config: Any) -> None:
        super().__init__(config, config.intermediate_size)


class BertAttention(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        self.self = BertSelfAttention(config)
        self.output = BertSelfOutput(config)

    def forward(self, x: Any, bias: Any, probabilities: bool) -> tuple[Any, Any]:
        y, weights = self.self(x, bias, probabilities)
        return self.output(y, x), weights


class BertIntermediate(nn.Module):
    """The first half of the feed-forward network: the activation is part of the linear layer."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        activation = ACTIVATIONS[config.hidden_act]
        self.dense = nn.Linear(config.hidden_size, config.intermediate_size, activation=activation)

    def forward(self, x: Any) -> Any:
        return self.dense(x)


class BertLayer(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        self.attention = BertAttention(config)
        self.intermediate = BertIntermediate(config)
        self.output = BertOutput(config)

    def forward(self, x: Any, bias: Any, probabilities: bool) -> tuple[Any, Any]:
        y, weights = self.attention(x, bias, probabilities)
        return self.output(self.intermediate(y), y), weights


class BertEncoder(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        self.layer = nn.ModuleList([BertLayer(config) for _ in range(config.num_hidden_layers)])

    def forward(self, x: Any, bias: Any, states: bool, probabilities: bool) -> tuple[Any, ...]:
        seen, attentions = [x], []
        for layer in self.layer:
            x, weights = layer(x, bias, probabilities)
            attentions.append(weights)
            if states:
                seen.append(x)
        return x, tuple(seen) if states else None, tuple(attentions) if probabilities else None


class BertPooler(nn.Module):
    """The first place through a linear layer and tanh."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size, activation="tanh")

    def forward(self, x: Any) -> Any:
        return self.dense(x[:, 0])


class BertModel(BertPreTrainedModel):
    """The encoder: input_ids (N, L) to last_hidden_state (N, L, E) and pooler_output (N, E).

    attention_mask (N, L) is 0 for padding, token_type_ids (N, L) says the segment. inputs_embeds
    (N, L, E) stand in the place of the ids' vectors.
    """

    def __init__(self, config: BertConfig, add_pooling_layer: bool = True) -> None:
        super().__init__(config)
        with init.skipped():  # post_init draws
            self.embeddings = BertEmbeddings(config)
            self.encoder = BertEncoder(config)
            self.pooler = BertPooler(config) if add_pooling_layer else None
        self.post_init()

    def forward(
        self, input_ids: Any = None, attention_mask: Any = None, token_type_ids: Any = None,
        position_ids: Any = None, inputs_embeds: Any = None, *,
        output_hidden_states: bool | None = None, output_attentions: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:  # fmt: skip
        shape = check_inputs(input_ids, inputs_embeds, self.config.hidden_size)
        x = self.embeddings(input_ids, token_type_ids, position_ids, inputs_embeds)
        bias = None
        if attention_mask is not None:
            check_mask(attention_mask, *shape)
            bias = padding_bias(attention_mask, x.dtype)
        states = self.option("output_hidden_states", output_hidden_states)
        probabilities = self.option("output_attentions", output_attentions)
        x, seen, attentions = self.encoder(x, bias, states, probabilities)
        out = BaseModelOutputWithPooling(
            last_hidden_state=x, pooler_output=self.pooler and self.pooler(x),
            hidden_states=seen, attentions=attentions,
        )  # fmt: skip
        return self.returned(out, return_dict)
