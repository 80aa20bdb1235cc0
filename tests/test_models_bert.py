"""BERT beside transformers: the same weights give the same numbers and the same gradients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_ai as ta
from tests.hf_help import BERT, close, given, library, padding, same_gradients, tokens, twins
from tinygrad_ai import models

hf = library()
torch = pytest.importorskip("torch", reason="PyTorch is the reference of this test")
SIDES = ("none", "right", "left", "both")


def inputs(side: str, types: bool = True) -> dict[str, Any]:
    arrays = {"input_ids": tokens()}
    if side != "none":
        arrays["attention_mask"] = padding(side)
    if types:
        arrays["token_type_ids"] = (np.arange(9) > 4) * np.ones((3, 1), dtype=np.int64)
    return arrays


def compare(ours: Any, theirs: Any, arrays: dict[str, Any]) -> None:
    """Logits, loss and gradients."""
    found, wanted = ours(**given(arrays, False)), theirs(**given(arrays, True))
    assert float(wanted.logits.detach().abs().max()) > 0.1
    close(found.logits, wanted.logits, "logits")
    close(found.loss, wanted.loss, "loss")
    found.loss.backward()
    wanted.loss.backward()
    same_gradients(ours, theirs)


@pytest.mark.parametrize("pooler", [True, False])
@pytest.mark.parametrize("side", SIDES)
def test_the_encoder(tmp_path: Path, side: str, pooler: bool) -> None:
    ours, theirs = twins("BertModel", tmp_path)
    if not pooler:
        theirs.pooler = None
        ours = models.BertModel.from_pretrained(tmp_path, add_pooling_layer=False, dtype=ta.float64)
    arrays = inputs(side, types=side != "left")
    found, wanted = ours(**given(arrays, False)), theirs(**given(arrays, True))
    close(found.last_hidden_state, wanted.last_hidden_state)
    weights = np.random.default_rng(1).normal(size=(3, 9, 32))
    loss = (found[0] * ta.tensor(weights)).sum()
    reference = (wanted[0] * torch.tensor(weights)).sum()
    if pooler:
        close(found.pooler_output, wanted.pooler_output)
        loss, reference = loss + found[1].sum(), reference + wanted[1].sum()
    else:
        assert found.pooler_output is None and len(found) == 1
    loss.backward()
    reference.backward()
    same_gradients(ours, theirs)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("kind", ["BertForMaskedLM", "BertForTokenClassification"])
def test_heads_for_every_place(tmp_path: Path, kind: str, side: str) -> None:
    ours, theirs = twins(kind, tmp_path)
    labels = tokens(seed=5, high=3)
    labels[0, 2:5] = -100
    compare(ours, theirs, {**inputs(side), "labels": labels})


PROBLEMS = {
    "single": ({}, np.array([2, 0, 1])),
    "a column": ({"problem_type": "single_label_classification"}, np.array([[2], [0], [-100]])),
    "multi": ({}, np.array([[1.0, 0, 1], [0, 0, 0], [1, 1, 1]])),
    "one number": ({"num_labels": 1}, np.array([0.5, -1.0, 2.0])),
    "numbers": ({"problem_type": "regression"}, np.arange(9.0).reshape(3, 3)),
}  # fmt: skip


@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_head_for_texts(tmp_path: Path, problem: str) -> None:
    changes, labels = PROBLEMS[problem]
    ours, theirs = twins("BertForSequenceClassification", tmp_path, **changes)
    compare(ours, theirs, {**inputs("right"), "labels": labels})
    assert ours.config.problem_type == theirs.config.problem_type


@pytest.mark.parametrize("act", ["gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu", "tanh"])
def test_activations(tmp_path: Path, act: str) -> None:
    ours, theirs = twins("BertForMaskedLM", tmp_path, hidden_act=act, tie_word_embeddings=False)
    compare(ours, theirs, {**inputs("right"), "labels": tokens(seed=2)})


def test_hidden_states_and_attentions(tmp_path: Path) -> None:
    ours, theirs = twins("BertForTokenClassification", tmp_path)
    theirs.set_attn_implementation("eager")
    options = {"output_hidden_states": True, "output_attentions": True}
    arrays = inputs("both")
    found = ours(**given(arrays, False), **options)
    wanted = theirs(**given(arrays, True), **options)
    assert list(found) == list(wanted) == ["logits", "hidden_states", "attentions"]
    assert len(found.hidden_states) == 3 and len(found.attentions) == 2
    for name in ("hidden_states", "attentions"):
        for mine, other in zip(found[name], wanted[name], strict=True):
            close(mine, other, name)
    close(found.logits, ours(**given(arrays, False)).logits, "with and without blocks")


def test_positions_and_tuples(tmp_path: Path) -> None:
    ours, theirs = twins("BertForTokenClassification", tmp_path)
    arrays = {"input_ids": tokens(), "position_ids": np.arange(9)[None, ::-1].copy()}
    found = ours(**given(arrays, False), return_dict=False)
    assert type(found) is tuple and len(found) == 1
    close(found[0], theirs(**given(arrays, True)).logits)


def test_a_text_that_is_all_padding_gets_numbers(tmp_path: Path) -> None:
    ours, theirs = twins("BertForSequenceClassification", tmp_path)
    mask = padding("right")
    mask[1] = 0
    arrays = {"input_ids": tokens(), "attention_mask": mask, "labels": np.array([0, 1, 2])}
    compare(ours, theirs, arrays)


def test_twenty_steps_stay_together(tmp_path: Path) -> None:
    ours, theirs = twins("BertForSequenceClassification", tmp_path)
    options = {"lr": 1e-3, "weight_decay": 0.01}
    mine = ta.optim.AdamW(ours.parameters(), **options)
    other = torch.optim.AdamW(theirs.parameters(), **options)
    for i in range(20):
        arrays = {
            "input_ids": tokens(seed=i), "attention_mask": padding("right"),
            "labels": tokens(1, 3, seed=i, high=3)[0],
        }  # fmt: skip
        losses = []
        for model, optimizer, is_torch in ((ours, mine, False), (theirs, other, True)):
            optimizer.zero_grad()
            loss = model(**given(arrays, is_torch)).loss
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert abs(losses[0] - losses[1]) < 1e-9, i
    wanted = dict(theirs.named_parameters())
    for name, p in ours.named_parameters():
        close(p, wanted[name], name)


def test_dropout_stands_where_it_stands_there() -> None:
    ours = models.BertForSequenceClassification(models.BertConfig(**BERT, classifier_dropout=0.4))
    theirs = hf.BertForSequenceClassification(hf.BertConfig(**BERT, classifier_dropout=0.4))
    mine = {n: m.p for n, m in ours.named_modules() if isinstance(m, ta.nn.Dropout)}
    assert mine == {n: m.p for n, m in theirs.named_modules() if isinstance(m, torch.nn.Dropout)}
    ours.train()
    a, b = [ours(ta.tensor(tokens())).logits for _ in range(2)]
    assert not ta.equal(a, b)
    ours.eval()
    assert ta.equal(ours(ta.tensor(tokens())).logits, ours(ta.tensor(tokens())).logits)


def test_dropout_keeps_the_mean() -> None:
    ta.manual_seed(0)
    config = models.BertConfig(**BERT, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.3)
    model = models.BertModel(config).double()
    attention = model.encoder.layer[0].attention.self
    x = ta.randn(2, 5, 32, dtype=ta.float64)
    mean = sum(attention(x)[0].detach() for _ in range(3000)) / 3000
    attention.eval()
    close(mean, attention(x)[0], tolerance=0.02)


def test_initial_values() -> None:
    config = models.BertConfig(**{**BERT, "vocab_size": 2000}, initializer_range=0.05)
    for kind in ("BertForMaskedLM", "BertForSequenceClassification"):
        ta.manual_seed(1)
        model = getattr(models, kind)(config)
        for name, p in model.named_parameters():
            if "LayerNorm.weight" in name:
                assert ta.equal(p.detach(), ta.ones(p.shape)), name
            elif name.endswith("bias"):
                assert not p.detach().any(), name
            else:
                assert 0.04 < float(p.detach().std()) < 0.06, name
        assert not model.bert.embeddings.word_embeddings.weight[0].detach().any()
