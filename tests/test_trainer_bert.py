"""The Trainer on BERT: transformers' run on the same weights, and masked text that is resumed."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_ai as ta
from tests.trainer_help import losses, same_weights
from tinygrad_ai import models, text
from tinygrad_ai.train import Trainer, TrainingArguments

torch = pytest.importorskip("torch", reason="PyTorch is the reference of these tests")
pytest.importorskip("accelerate", reason="the Trainer of transformers needs accelerate")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    transformers = pytest.importorskip("transformers", reason="the reference of these tests")

pytestmark = pytest.mark.filterwarnings("ignore")  # those of the reference
SIZES = {
    "vocab_size": 65, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
    "intermediate_size": 64, "max_position_embeddings": 32,
}  # fmt: skip


@pytest.fixture
def tokenizer(tmp_path: Path) -> Any:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *[f"w{i}" for i in range(60)]]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    return text.BertTokenizer.from_pretrained(str(tmp_path))


def sentences(count: int = 24) -> list[str]:
    draw = np.random.default_rng(0)
    lengths = draw.integers(3, 12, count)
    return [" ".join(f"w{i}" for i in draw.integers(0, 60, n)) for n in lengths]


class Encoded:
    """Padded texts with labels, as the tutorial makes them."""

    def __init__(self, tokenizer: Any, T: Any) -> None:
        self.rows, self.T = tokenizer(sentences(), truncation=True, padding=True), T

    def __len__(self) -> int:
        return 24

    def __getitem__(self, i: int) -> dict[str, Any]:
        sample = {name: self.T.tensor(values[i]) for name, values in self.rows.items()}
        return {**sample, "labels": self.T.tensor(i % 2)}


def test_fine_tuning_is_that_of_transformers(tmp_path: Path, tokenizer: Any) -> None:
    options: dict[str, Any] = {
        "num_train_epochs": 3, "per_device_train_batch_size": 5, "logging_steps": 1,
        "learning_rate": 1e-3, "warmup_steps": 3, "weight_decay": 0.1, "save_strategy": "no",
        "train_sampling_strategy": "sequential",
    }  # fmt: skip
    torch.manual_seed(0)
    config = transformers.BertConfig(
        **SIZES, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
    )
    theirs = transformers.BertForSequenceClassification(config)
    theirs.save_pretrained(tmp_path / "model")
    mine = models.BertForSequenceClassification.from_pretrained(tmp_path / "model")
    args = transformers.TrainingArguments(
        str(tmp_path / "a"), use_cpu=True, disable_tqdm=True, **options
    )
    reference = transformers.Trainer(theirs, args, train_dataset=Encoded(tokenizer, torch))
    reference.train()
    ours = Trainer(
        mine, TrainingArguments(str(tmp_path / "b"), **options),
        train_dataset=Encoded(tokenizer, ta),
    )  # fmt: skip
    ours.train()
    expected = [line["loss"] for line in reference.state.log_history if "loss" in line]
    np.testing.assert_allclose(losses(ours), expected, rtol=1e-5)
    for name, value in theirs.state_dict().items():
        np.testing.assert_allclose(mine.state_dict()[name].numpy(), value, rtol=0, atol=1e-5)
    assert ours.state.total_flos == reference.state.total_flos > 1e6
    assert ours.state.log_history[-1]["total_flos"] == ours.state.total_flos


@pytest.mark.parametrize("workers", [0, 2])
def test_masked_text_is_resumed(tmp_path: Path, tokenizer: Any, workers: int) -> None:
    rows = [{"input_ids": tokenizer(s)["input_ids"]} for s in sentences()]

    def fresh() -> Trainer:
        args = TrainingArguments(
            str(tmp_path / "run"), per_device_train_batch_size=4, gradient_accumulation_steps=2,
            save_steps=1, logging_steps=1, dataloader_num_workers=workers, group_by_length=True,
        )  # fmt: skip
        ta.manual_seed(1)
        model = models.BertForMaskedLM(models.BertConfig(**SIZES))
        collator = text.DataCollatorForLanguageModeling(tokenizer, seed=3)
        return Trainer(model, args, collator, rows, processing_class=tokenizer)

    whole = fresh()
    whole.train()
    for cut in (1, 3, 5, 8):
        again = fresh()
        again.train(resume_from_checkpoint=str(tmp_path / "run" / f"checkpoint-{cut}"))
        assert same_weights(whole.model, again.model) and losses(whole) == losses(again)
        assert again.state.total_flos == whole.state.total_flos > 0


@pytest.mark.parametrize("steps", [1, 3])
def test_the_loss_of_gpt2_is_the_mean_over_what_is_predicted(tmp_path: Path, steps: int) -> None:
    """In the batch of an evaluation, and in all batches of a step, however long their texts are.
    The first token of a text and padding are predicted by nobody."""
    draw = np.random.default_rng(0)
    rows = [{"input_ids": draw.integers(1, 60, n).tolist()} for n in (9, 4, 7, 2, 8, 3)]
    rows = [
        {**row, "labels": row["input_ids"] + [-100] * (9 - len(row["input_ids"]))} for row in rows
    ]
    for row in rows:
        row["input_ids"] = row["input_ids"] + [0] * (9 - len(row["input_ids"]))
    ta.manual_seed(0)
    config = models.GPT2Config(
        vocab_size=60, n_embd=16, n_layer=1, n_head=2, n_positions=9, initializer_range=0.5,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    model = models.GPT2LMHeadModel(config).double().eval()
    ids, labels = [np.array([row[name] for row in rows]) for name in ("input_ids", "labels")]
    logits = torch.tensor(model(ta.tensor(ids)).logits.detach().numpy())
    each = torch.nn.functional.cross_entropy(
        logits[:, :-1].transpose(1, 2), torch.tensor(labels[:, 1:]), reduction="none"
    )  # fmt: skip
    mean = float(each.sum() / (labels[:, 1:] != -100).sum())
    args = TrainingArguments(
        str(tmp_path), per_device_train_batch_size=2, gradient_accumulation_steps=steps,
        logging_steps=1, max_steps=1, per_device_eval_batch_size=6, save_strategy="no",
        train_sampling_strategy="sequential",
    )  # fmt: skip
    trainer = Trainer(model, args, train_dataset=rows, eval_dataset=rows)
    assert trainer.evaluate()["eval_loss"] == pytest.approx(mean, rel=1e-9)
    trainer.train()
    first = float(each[: 2 * steps].sum() / (labels[: 2 * steps, 1:] != -100).sum())
    assert losses(trainer) == [pytest.approx(first, rel=1e-9)]
