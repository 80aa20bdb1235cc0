"""BERT with a head: for texts, for tokens, for masked words. The losses are Hugging Face's."""

from __future__ import annotations

from typing import Any

from .. import nn
from ..errors import DTypeError, ShapeError
from ..nn import functional as F
from ..nn import init
from ..ops.create import zeros
from ..ops.shape import reshape
from .activations import ACTIVATIONS
from .bert import BertConfig, BertModel, BertPreTrainedModel
from .layers import check_tensor
from .outputs import MaskedLMOutput, SequenceClassifierOutput, TokenClassifierOutput


class _WithHead(BertPreTrainedModel):
    """An encoder under the name `bert`, and what computes scores from its output."""

    output: Any = None
    pooled = False

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        with init.skipped():  # post_init draws
            self.bert = BertModel(config, add_pooling_layer=self.pooled)
            self.make_head(config)
        self.post_init()

    def make_head(self, config: BertConfig) -> None:
        """For classifiers: dropout and a linear layer."""
        p = config.classifier_dropout
        self.num_labels = config.num_labels
        self.dropout = nn.Dropout(config.hidden_dropout_prob if p is None else p)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)

    def scores(self, x: Any) -> Any:
        return self.classifier(self.dropout(x))

    def loss(self, logits: Any, labels: Any) -> Any:
        return token_loss(logits, labels)

    def forward(
        self, input_ids: Any = None, attention_mask: Any = None, token_type_ids: Any = None,
        position_ids: Any = None, inputs_embeds: Any = None, labels: Any = None, *,
        output_hidden_states: bool | None = None, output_attentions: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:  # fmt: skip
        found = self.bert(
            input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds,
            output_hidden_states=output_hidden_states, output_attentions=output_attentions,
            return_dict=True,
        )  # fmt: skip
        logits = self.scores(found.pooler_output if self.pooled else found.last_hidden_state)
        out = self.output(
            loss=None if labels is None else self.loss(logits, labels), logits=logits,
            hidden_states=found.hidden_states, attentions=found.attentions,
        )  # fmt: skip
        return self.returned(out, return_dict)


def token_loss(logits: Any, labels: Any) -> Any:
    """The mean cross entropy over all places whose label is not -100."""
    check_tensor("labels", labels)
    if tuple(labels.shape) != tuple(logits.shape[:-1]):
        raise ShapeError(f"expected labels {tuple(logits.shape[:-1])}, got {tuple(labels.shape)}")
    return F.cross_entropy(reshape(logits, (-1, logits.shape[-1])), reshape(labels, (-1,)))


WHOLE = "labels.long(), if they are the numbers of classes"


class BertForSequenceClassification(_WithHead):
    """One answer for each text: a class, several classes, or numbers.

    The loss follows config.problem_type; unless that is set, one label means regression (mean
    squared error), whole labels one class (cross entropy), other labels several classes (binary
    cross entropy), and what was found is written into the configuration, as Hugging Face does.
    """

    output, pooled = SequenceClassifierOutput, True

    def loss(self, logits: Any, labels: Any) -> Any:
        check_tensor("labels", labels)
        kind = self.config.problem_type
        if kind is None:
            whole = labels.dtype.kind in "iu"
            several = "single_label_classification" if whole else "multi_label_classification"
            kind = "regression" if self.num_labels == 1 else several
        loss = self._loss_of(kind, logits, labels)
        self.config.problem_type = kind  # only now: labels that are refused decide nothing
        return loss

    def _loss_of(self, kind: str, logits: Any, labels: Any) -> Any:
        whole = labels.dtype.kind in "iu"
        if kind == "single_label_classification":
            if not whole:
                raise DTypeError(f"{kind} expects whole labels, got {labels.dtype}", WHOLE)
            return F.cross_entropy(logits, reshape(labels, (-1,)))
        if whole and kind == "multi_label_classification":
            raise DTypeError(f"{kind} expects labels of 0.0 and 1.0, got {labels.dtype}")
        if kind == "regression" and self.num_labels == 1:
            logits = reshape(logits, (-1,))
            labels = reshape(labels, (-1,))
        if tuple(labels.shape) != tuple(logits.shape):
            raise ShapeError(
                f"expected labels {tuple(logits.shape)} for {kind}, got {tuple(labels.shape)}",
                None if whole else WHOLE,
            )
        labels = labels.to(logits.dtype)
        if kind == "regression":
            return F.mse_loss(logits, labels)
        return F.binary_cross_entropy_with_logits(logits, labels)


class BertForTokenClassification(_WithHead):
    """A class for each token; labels of -100 do not count."""

    output = TokenClassifierOutput


class BertPredictionHeadTransform(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        size, activation = config.hidden_size, ACTIVATIONS[config.hidden_act]
        self.dense = nn.Linear(size, size, activation=activation)
        self.LayerNorm = nn.LayerNorm(size, eps=config.layer_norm_eps)

    def forward(self, x: Any) -> Any:
        return self.LayerNorm(self.dense(x))


class BertLMPredictionHead(nn.Module):
    """Scores for the vocabulary: tied, `decoder` has the table of words and `bias`."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.transform = BertPredictionHeadTransform(config)
        self.decoder = nn.Linear(config.hidden_size, config.vocab_size)
        self.bias = nn.Parameter(zeros(config.vocab_size))

    def forward(self, x: Any) -> Any:
        return self.decoder(self.transform(x))


class BertOnlyMLMHead(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        self.predictions = BertLMPredictionHead(config)

    def forward(self, x: Any) -> Any:
        return self.predictions(x)


class BertForMaskedLM(_WithHead):
    """A word for each place; labels of -100 do not count."""

    output = MaskedLMOutput
    word_scores = "cls.predictions.decoder"
    tied = {
        "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    }

    def make_head(self, config: BertConfig) -> None:
        self.cls = BertOnlyMLMHead(config)

    def scores(self, x: Any) -> Any:
        return self.cls(x)
