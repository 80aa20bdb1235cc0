"""Adapters between PEFT and us: the same file on the same weights gives the same numbers."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest

import tinygrad_ai as ta
from tests.hf_help import close, library, theirs_of, tokens, twins
from tinygrad_ai import models
from tinygrad_ai.errors import CheckpointError

hf = library()
torch = pytest.importorskip("torch", reason="PyTorch is the reference of this test")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    peft = pytest.importorskip("peft", reason="PEFT is the reference of this test")

pytestmark = pytest.mark.filterwarnings("ignore")  # those of the reference
CASES: dict[str, tuple[str, list[str], list[str]]] = {
    "texts": ("BertForSequenceClassification", ["query", "value"], ["classifier"]),
    "pooler": ("BertForSequenceClassification", ["key"], ["classifier", "bert.pooler"]),
    "tokens": ("BertForTokenClassification", ["attention.output.dense", "query"], ["classifier"]),
    "masked": ("BertForMaskedLM", ["intermediate.dense"], []),
    "causal": ("GPT2LMHeadModel", ["c_attn", "mlp.c_proj"], []),
}
TASKS = {
    "BertForSequenceClassification": "SEQ_CLS", "BertForTokenClassification": "TOKEN_CLS",
    "GPT2LMHeadModel": "CAUSAL_LM", "BertForMaskedLM": None,
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_peft_loads_ours(tmp_path: Path, case: str) -> None:
    kind, targets, whole = CASES[case]
    ours, theirs = twins(kind, tmp_path / "model")
    plain = ours(ta.tensor(tokens())).logits
    models.add_lora(ours, 4, 6, targets, 0.2, modules_to_save=whole)
    ta.manual_seed(0)
    with ta.no_grad():
        for p in ours.parameters():
            if p.requires_grad:
                p.normal_(0, 0.3)
    models.save_adapter(ours, tmp_path / "adapter")
    adapted = peft.PeftModel.from_pretrained(theirs, str(tmp_path / "adapter")).eval()
    found, wanted = ours(ta.tensor(tokens())).logits, adapted(torch.tensor(tokens())).logits
    close(found, wanted)
    assert float((found - plain).abs().max().detach()) > 0.1
    close(models.merge_lora(ours)(ta.tensor(tokens())).logits, wanted)


@pytest.mark.parametrize("task", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_we_load_those_of_peft(tmp_path: Path, case: str, task: bool) -> None:
    """With a task type PEFT names heads of other models, too, which are not here."""
    kind, targets, whole = CASES[case]
    theirs = theirs_of(kind)
    theirs.save_pretrained(tmp_path / "model")
    config = peft.LoraConfig(
        r=3, lora_alpha=5, lora_dropout=0.1, target_modules=targets, modules_to_save=whole or None,
        task_type=TASKS[kind] if task else None, fan_in_fan_out=kind.startswith("GPT2"),
    )  # fmt: skip
    adapted = peft.get_peft_model(theirs, config).double().eval()
    torch.manual_seed(0)
    with torch.no_grad():
        for p in adapted.parameters():
            if p.requires_grad:
                p.normal_(0, 0.3)
    adapted.save_pretrained(str(tmp_path / "adapter"))
    ours = getattr(models, kind).from_pretrained(tmp_path / "model", dtype=ta.float64)
    before = ours(ta.tensor(tokens())).logits
    models.load_adapter(ours, tmp_path / "adapter")
    found = ours(ta.tensor(tokens())).logits
    close(found, adapted(torch.tensor(tokens())).logits)
    assert float((found - before).abs().max().detach()) > 0.1
    trained = {n for n, p in adapted.named_parameters() if p.requires_grad}
    assert sum(p.requires_grad for p in ours.parameters()) == len(trained)


OTHER: dict[str, dict[str, Any]] = {
    "use_dora": {"use_dora": True},
    "use_rslora": {"use_rslora": True},
    "rank_pattern": {"rank_pattern": {"value": 2}},
    "alpha_pattern": {"alpha_pattern": {"value": 2}},
    "layers_to_transform": {"layers_to_transform": [1]},
    "exclude_modules": {"exclude_modules": ["layer.0.attention.self.value"]},
    "lora_bias": {"lora_bias": True},
    "trainable_token_indices": {"trainable_token_indices": [3]},
}


@pytest.mark.parametrize("setting", OTHER)
def test_other_kinds_are_refused(tmp_path: Path, setting: str) -> None:
    theirs = theirs_of("BertForSequenceClassification")
    theirs.save_pretrained(tmp_path / "model")
    config = peft.LoraConfig(target_modules=["query", "value"], **OTHER[setting])
    peft.get_peft_model(theirs, config).save_pretrained(str(tmp_path / "adapter"))
    saved = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert saved[setting]
    ours = models.BertForSequenceClassification.from_pretrained(tmp_path / "model")
    names = list(ours.state_dict())
    with pytest.raises(CheckpointError, match=f"only plain LoRA is known, not LORA {setting}"):
        models.load_adapter(ours, tmp_path / "adapter")
    assert list(ours.state_dict()) == names and all(p.requires_grad for p in ours.parameters())
