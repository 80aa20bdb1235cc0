"""GPT-2 beside transformers: the same weights give the same numbers, gradients and texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_ai as ta
from tests.hf_help import GPT2, close, given, library, padding, same_gradients, tokens, twins
from tinygrad_ai import models

hf = library()
torch = pytest.importorskip("torch", reason="PyTorch is the reference of this test")
SIDES = ("none", "right", "left", "both")


def inputs(side: str) -> dict[str, Any]:
    mask = {} if side == "none" else {"attention_mask": padding(side)}
    return {"input_ids": tokens(), **mask}


def reference_loss(logits: Any, labels: Any) -> Any:
    """What transformers computes, which it does in float32 whatever the logits are."""
    rows = logits[:, :-1].reshape(-1, logits.shape[-1])
    return torch.nn.functional.cross_entropy(rows, torch.tensor(labels[:, 1:]).reshape(-1))


@pytest.mark.parametrize("side", SIDES)
def test_the_decoder(tmp_path: Path, side: str) -> None:
    ours, theirs = twins("GPT2LMHeadModel", tmp_path)
    labels = tokens(seed=4)
    labels[1, 3:6] = -100
    arrays = inputs(side)
    found = ours(**given(arrays, False), labels=ta.tensor(labels))
    wanted = theirs(**given(arrays, True), labels=torch.tensor(labels))
    close(found.logits, wanted.logits, "logits")
    assert abs(found.loss.item() - wanted.loss.item()) < 1e-5
    loss = reference_loss(wanted.logits, labels)
    close(found.loss, loss, "loss")
    found.loss.backward()
    loss.backward()
    same_gradients(ours, theirs)


@pytest.mark.parametrize(
    "changes",
    [
        {"activation_function": "gelu"},
        {"activation_function": "relu", "n_inner": 40},
        {"scale_attn_weights": False},
        {"scale_attn_by_inverse_layer_idx": True, "tie_word_embeddings": False},
    ],
    ids=lambda c: "-".join(c),
)
def test_configurations(tmp_path: Path, changes: dict[str, Any]) -> None:
    ours, theirs = twins("GPT2LMHeadModel", tmp_path, **changes)
    found = ours(ta.tensor(tokens()), labels=ta.tensor(tokens()))
    wanted = theirs(torch.tensor(tokens()))
    close(found.logits, wanted.logits, "logits")
    found.loss.backward()
    reference_loss(wanted.logits, tokens()).backward()
    same_gradients(ours, theirs)


def test_gradients_lie_as_their_parameters_do(tmp_path: Path) -> None:
    """Conv1D works on a transposed view; an optimizer wants its gradient in the weight's order."""
    ours, _ = twins("GPT2LMHeadModel", tmp_path)
    ours(ta.tensor(tokens()), labels=ta.tensor(tokens())).loss.backward()
    for name, p in ours.named_parameters():
        assert p.grad.array.flags.c_contiguous, name


def test_a_sum_divided_by_a_count(tmp_path: Path) -> None:
    ours, _ = twins("GPT2LMHeadModel", tmp_path)
    ids = ta.tensor(tokens())
    whole, part = ours(ids, labels=ids).loss, ours(ids, labels=ids, num_items_in_batch=48).loss
    close(part * 2, whole)  # 3 rows of 8 labels


@pytest.mark.parametrize("side", ["none", "right"])
def test_hidden_states_and_attentions(tmp_path: Path, side: str) -> None:
    ours, theirs = twins("GPT2Model", tmp_path)
    theirs.set_attn_implementation("eager")
    options = {"output_hidden_states": True, "output_attentions": True}
    found = ours(**given(inputs(side), False), **options)
    wanted = theirs(**given(inputs(side), True), **options)
    assert list(found) == [name for name in wanted if name != "cross_attentions"]
    for name in ("hidden_states", "attentions"):
        for mine, other in zip(found[name], wanted[name], strict=True):
            close(mine, other, name)
    close(found[0], ours(**given(inputs(side), False))[0], "with and without blocks")
    assert found.hidden_states[-1] is found.last_hidden_state


def test_a_place_that_sees_nothing_is_no_nan(tmp_path: Path) -> None:
    ours, theirs = twins("GPT2Model", tmp_path)
    arrays = inputs("left")
    found = ours(**given(arrays, False), output_attentions=True)
    assert ta.isfinite(found[0]).all()
    assert not found.attentions[0][1, :, 0].detach().any()
    close(found[0], theirs(**given(arrays, True))[0])


def test_twenty_steps_stay_together(tmp_path: Path) -> None:
    ours, theirs = twins("GPT2LMHeadModel", tmp_path)
    mine = ta.optim.AdamW(ours.parameters(), lr=1e-3)
    other = torch.optim.AdamW(theirs.parameters(), lr=1e-3)
    for i in range(20):
        ids = tokens(seed=i)
        mine.zero_grad()
        ours(ta.tensor(ids), labels=ta.tensor(ids)).loss.backward()
        mine.step()
        other.zero_grad()
        reference_loss(theirs(torch.tensor(ids)).logits, ids).backward()
        other.step()
    wanted = dict(theirs.named_parameters())
    for name, p in ours.named_parameters():
        close(p, wanted[name], name)


def test_the_cache_changes_no_number(tmp_path: Path) -> None:
    ours, theirs = twins("GPT2LMHeadModel", tmp_path)
    ids, mask = tokens(length=12), padding("left", length=12)
    whole = ours(ta.tensor(ids), attention_mask=ta.tensor(mask)).logits
    pieces, cache, wanted = [], None, None
    for begin, end in ((0, 3), (3, 4), (4, 9), (9, 12)):
        now = {"input_ids": ids[:, begin:end], "attention_mask": mask[:, :end]}
        with ta.no_grad():
            out = ours(**given(now, False), past_key_values=cache)
        cache = out.past_key_values
        wanted = theirs(**given(now, True), past_key_values=wanted and wanted.past_key_values)
        close(out.logits, wanted.logits)
        pieces.append(out.logits)
    assert cache is not None and cache.get_seq_length() == 12
    close(ta.cat(pieces, 1), whole)


def test_gradients_go_through_the_cache(tmp_path: Path) -> None:
    ours, _ = twins("GPT2LMHeadModel", tmp_path)
    ids = ta.tensor(tokens())
    ours(ids, use_cache=False).logits.square().sum().backward()
    whole = {n: p.grad.clone() for n, p in ours.named_parameters()}
    ours.zero_grad()
    first = ours(ids[:, :4], use_cache=True)
    second = ours(ids[:, 4:], first.past_key_values)
    (first.logits.square().sum() + second.logits.square().sum()).backward()
    for name, p in ours.named_parameters():
        close(p.grad, whole[name], name)


def test_initial_values_and_dropout() -> None:
    config = models.GPT2Config(**{**GPT2, "vocab_size": 3000, "n_embd": 64, "n_layer": 8})
    model = models.GPT2LMHeadModel(config)
    for name, p in model.named_parameters():
        if ".ln_" in name and name.endswith("weight"):
            assert ta.equal(p.detach(), ta.ones(p.shape)), name
        elif name.endswith("bias"):
            assert not p.detach().any(), name
        else:
            wanted = 0.02 / 4 if "c_proj" in name else 0.02
            assert abs(float(p.detach().std()) - wanted) < 0.1 * wanted, name
    theirs = hf.GPT2LMHeadModel(hf.GPT2Config(**GPT2))
    ours = models.GPT2LMHeadModel(models.GPT2Config(**GPT2))
    mine = {n: m.p for n, m in ours.named_modules() if isinstance(m, ta.nn.Dropout)}
    assert mine == {n: m.p for n, m in theirs.named_modules() if isinstance(m, torch.nn.Dropout)}
    assert ours.train()(ta.tensor(tokens())).past_key_values is None
    assert ours.eval()(ta.tensor(tokens())).past_key_values.get_seq_length() == 9


def test_inputs_that_are_refused() -> None:
    model = models.GPT2LMHeadModel(models.GPT2Config(**GPT2))
    ids = ta.tensor(tokens())
    with pytest.raises(RuntimeError, match=r"expected at most 40 tokens \(n_positions\), got 41"):
        model(ta.ones(1, 41, dtype=ta.int64))
    with pytest.raises(RuntimeError, match=r"expected attention_mask \(3, 9\), got \(3, 8\)"):
        model(ids, attention_mask=ta.ones(3, 8))
    with pytest.raises(RuntimeError, match=r"expected labels \(3, 9\), got \(3, 8\)"):
        model(ids, labels=ids[:, :8])
    with pytest.raises(IndexError, match="60"):
        model(ta.tensor([[60]]))
    with pytest.raises(RuntimeError, match=r"expected input_ids \(batch, length\) of integers"):
        model(ta.ones(1, 4))
    ids_of_one = np.arange(3)
    with pytest.raises(RuntimeError, match=r"got \(3,\) of int64"):
        model(ta.tensor(ids_of_one))
