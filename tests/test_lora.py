"""LoRA and frozen models: what is trained, what is kept, what is saved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_ai as ta
from tests.hf_help import BERT, GPT2, close, tokens
from tinygrad_ai import models, nn
from tinygrad_ai.autograd.gradcheck import gradcheck
from tinygrad_ai.errors import CheckpointError
from tinygrad_ai.models.lora import LoRALinear

IDS = ta.tensor(tokens())
LABELS = ta.tensor([2, 0, 1])


def bert() -> Any:
    ta.manual_seed(0)
    config = models.BertConfig(**BERT, initializer_range=0.3)
    return models.BertForSequenceClassification(config).double().eval()


def gpt() -> Any:
    ta.manual_seed(0)
    config = models.GPT2Config(**GPT2, initializer_range=0.3)
    return models.GPT2LMHeadModel(config).double().eval()


def trained(model: Any, steps: int = 5, **labels: Any) -> Any:
    optimizer = ta.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        model(IDS, labels=labels.get("labels", LABELS)).loss.backward()
        optimizer.step()
    return model


def state(model: Any) -> dict[str, Any]:
    return {k: v.numpy().copy() for k, v in model.state_dict().items()}


def test_only_the_additions_are_trained() -> None:
    model = bert()
    before, logits = state(model), model(IDS).logits
    models.add_lora(model, rank=4, alpha=8)
    close(model(IDS).logits, logits)  # B is zero: nothing has changed
    trained(model)
    names = [n for n, p in model.named_parameters() if p.grad is not None]
    assert names == [n for n, p in model.named_parameters() if p.requires_grad]
    assert len(names) == 2 * 2 * 2 and all(".lora_" in n for n in names)
    assert {n.split(".")[-3] for n in names} == {"query", "value"}
    after = state(model)
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value, name)
    assert float(abs(model(IDS).logits - logits).max().detach()) > 0.01


def test_the_formula_and_its_gradient() -> None:
    ta.manual_seed(0)
    base = nn.Linear(6, 4, activation="gelu").double()
    model = nn.Sequential(base)
    models.add_lora(model, rank=2, alpha=3, targets=["0"])
    a, b = model[0].lora_A.weight, model[0].lora_B.weight
    assert a.shape == (2, 6) and b.shape == (4, 2) and not b.detach().any()
    with ta.no_grad():
        b.normal_()
    x = ta.randn(5, 6, dtype=ta.float64)
    wanted = nn.functional.gelu(x @ (base.weight + 1.5 * b @ a).T + base.bias)
    close(model(x), wanted)
    assert gradcheck(
        lambda p, q: nn.functional.linear(x, base.weight.detach() + 1.5 * q @ p), (a, b)
    )
    found = ta.grad(model(x).square().sum(), [a, b])
    for mine, other in zip(found, ta.grad(wanted.square().sum(), [a, b])):
        close(mine, other)


@pytest.mark.parametrize("kind", ["bert", "gpt"])
def test_merged_is_adapted(kind: str) -> None:
    model = bert() if kind == "bert" else gpt()
    names = list(state(model))
    targets = ("query", "value", "intermediate.dense") if kind == "bert" else ("c_attn", "c_proj")
    models.add_lora(model, rank=3, targets=targets)
    trained(model, labels=LABELS if kind == "bert" else IDS)
    adapted = model(IDS).logits.detach()
    merged = models.merge_lora(model)
    assert merged is model and list(state(model)) == names
    assert not any(isinstance(m, LoRALinear) for m in model.modules())
    close(model(IDS).logits, adapted, tolerance=1e-12)
    models.merge_lora(model)  # nothing to do
    close(model(IDS).logits, adapted, tolerance=1e-12)


def test_a_merged_model_is_saved_as_any_other(tmp_path: Path) -> None:
    model = models.merge_lora(trained(models.add_lora(bert())))
    model.save_pretrained(tmp_path)
    kind = models.BertForSequenceClassification
    again, info = kind.from_pretrained(tmp_path, dtype=ta.float64, output_loading_info=True)
    assert not any(info.values())
    close(again(IDS).logits, model(IDS).logits, tolerance=1e-12)


def test_a_model_that_is_not_merged_is_not_loaded_without_its_additions(tmp_path: Path) -> None:
    model = trained(models.add_lora(bert(), 4, targets=["query"]))
    model.save_pretrained(tmp_path)
    kind = models.BertForSequenceClassification
    with pytest.raises(CheckpointError, match="query.lora_A.weight and others(.|\n)*merge_lora"):
        kind.from_pretrained(tmp_path)
    again = models.add_lora(kind(model.config).double().eval(), 4, targets=["query"])
    again.load_state_dict(ta.load(tmp_path / "model.safetensors"))  # what the error says
    close(models.merge_lora(again)(IDS).logits, model(IDS).logits)


@pytest.mark.parametrize("kind", ["bert", "gpt"])
def test_adapters_are_saved_apart(tmp_path: Path, kind: str) -> None:
    make, targets, whole = (
        (bert, ["query", "value"], ["classifier"]) if kind == "bert" else (gpt, ["c_attn"], [])
    )
    labels = LABELS if kind == "bert" else IDS
    model = models.add_lora(make(), 4, 8, targets, 0.1, modules_to_save=whole)
    trained(model.train(), labels=labels)
    model.eval()
    models.save_adapter(model, tmp_path)
    assert (tmp_path / "adapter_model.safetensors").stat().st_size < 40_000
    keys = set(ta.load(tmp_path / "adapter_model.safetensors"))
    inner = (
        "bert.encoder.layer.1.attention.self.query"
        if kind == "bert"
        else "transformer.h.1.attn.c_attn"
    )
    assert f"base_model.model.{inner}.lora_A.weight" in keys
    assert ("base_model.model.classifier.bias" in keys) == (kind == "bert")
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert config["peft_type"] == "LORA" and config["r"] == 4 and config["lora_alpha"] == 8
    assert config["target_modules"] == targets and config["fan_in_fan_out"] == (kind == "gpt")
    fresh = models.load_adapter(make(), tmp_path)
    close(fresh(IDS).logits, model(IDS).logits, tolerance=1e-12)
    assert [n for n, p in fresh.named_parameters() if p.requires_grad] == [
        n for n, p in model.named_parameters() if p.requires_grad
    ]


def test_dropout_is_before_the_additions() -> None:
    model = models.add_lora(bert(), dropout=0.5)
    assert model.bert.encoder.layer[0].attention.self.query.dropout.p == 0.5
    assert not model.bert.encoder.layer[0].attention.self.query.dropout.training
    logits = model(IDS).logits
    close(model(IDS).logits, logits)


def test_freeze() -> None:
    model = models.freeze(bert(), except_=["classifier", "bert.encoder.layer.1"])
    free = {n for n, p in model.named_parameters() if p.requires_grad}
    assert free == {
        n
        for n, _ in model.named_parameters()
        if n.startswith(("classifier.", "bert.encoder.layer.1."))
    }
    before = state(model)
    trained(model)
    for name, value in state(model).items():
        assert np.array_equal(before[name], value) == (name not in free), name
    models.freeze(model, "classifier.bias")
    assert [n for n, p in model.named_parameters() if p.requires_grad] == ["classifier.bias"]
    models.freeze(model)
    assert not any(p.requires_grad for p in model.parameters())


def test_arguments_that_are_refused(tmp_path: Path) -> None:
    model = bert()
    with pytest.raises(ValueError, match="no parameters under 'clasifier'\n.*'classifier'"):
        models.freeze(model, "clasifier")
    assert all(p.requires_grad for p in model.parameters())
    with pytest.raises(ValueError, match="no linear layer 'querry'\n.*'query'"):
        models.add_lora(model, targets=["querry"])
    with pytest.raises(ValueError, match="expected alpha to be a number, got 'x'"):
        models.add_lora(bert(), alpha="x")  # type: ignore[arg-type]
    models.add_lora(bert(), alpha=np.float32(8))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected rank to be a whole number > 0, got 0"):
        models.add_lora(model, rank=0)
    with pytest.raises(ValueError, match="expected a dropout probability"):
        models.add_lora(model, dropout=2.0)
    with pytest.raises(ValueError, match="has no LoRA layers"):
        models.save_adapter(model, tmp_path)
    assert all(p.requires_grad for p in model.parameters())
    models.add_lora(model)
    with pytest.raises(ValueError, match="LoRA layers already"):
        models.add_lora(model)


def test_a_layer_that_shares_its_weight() -> None:
    """Merged, the table of words would change with the scores, and the model be another one."""
    model = gpt()
    with pytest.raises(ValueError, match="lm_head.weight is transformer.wte.weight, too"):
        models.add_lora(model, targets=["lm_head"])
    assert all(p.requires_grad for p in model.parameters())
    config = models.GPT2Config(**GPT2, initializer_range=0.3, tie_word_embeddings=False)
    apart = models.GPT2LMHeadModel(config).double().eval()
    trained(models.add_lora(apart, targets=["lm_head"]), labels=IDS)
    adapted = apart(IDS).logits
    close(models.merge_lora(apart)(IDS).logits, adapted)


def test_adapters_that_are_refused(tmp_path: Path) -> None:
    models.save_adapter(models.add_lora(bert()), tmp_path)
    path = tmp_path / "adapter_config.json"
    config = json.loads(path.read_text())
    larger = models.BertForSequenceClassification(models.BertConfig(**{**BERT, "hidden_size": 64}))
    logits = larger.eval()(IDS).logits
    with pytest.raises(
        RuntimeError, match="does not fit BertForSequenceClassification: base_model"
    ):
        models.load_adapter(larger, tmp_path)
    assert not any(isinstance(m, LoRALinear) for m in larger.modules())
    assert all(p.requires_grad for p in larger.parameters())
    close(larger(IDS).logits, logits)
    for changes, message in (
        ({"peft_type": "IA3"}, "only plain LoRA is known, not IA3"),
        ({"use_dora": True}, "only plain LoRA is known, not LORA use_dora"),
        ({"bias": "all"}, "only plain LoRA is known"),
        ({"target_modules": "all-linear"}, "expected target_modules to be a list"),
        ({"r": 0}, "expected rank to be a whole number"),
    ):
        path.write_text(json.dumps({**config, **changes}))
        with pytest.raises((RuntimeError, ValueError), match=message):
            models.load_adapter(bert(), tmp_path)
    path.write_text(json.dumps(config))
    (tmp_path / "adapter_model.safetensors").rename(tmp_path / "adapter_model.bin")
    with pytest.raises(RuntimeError, match="pickled files can run any code(.|\n)*fix: in PyTorch"):
        models.load_adapter(bert(), tmp_path)
    path.write_text("{}")
    with pytest.raises(RuntimeError, match="no configuration of an adapter"):
        models.load_adapter(bert(), tmp_path)
    path.unlink()
    with pytest.raises(RuntimeError, match="adapter_config.json does not exist"):
        models.load_adapter(bert(), tmp_path)
    with pytest.raises(RuntimeError, match=r"hf download a/name .*, then load_adapter\(model, "):
        models.load_adapter(bert(), "a/name")
