"""Hugging Face's tutorial with BERT: only its import lines are changed."""

from __future__ import annotations

import difflib
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

import tinygrad_ai as ta
from tests.large import large
from tests.trainer_help import losses
from tinygrad_ai import models, text

pytest.importorskip("tokenizers", reason="the extra text is not installed")

IMPORTS = {
    "import torch\n": "import tinygrad_ai as torch\n",
    "from torch.utils.data import Dataset\n": "from tinygrad_ai.utils.data import Dataset\n",
    "from transformers import (\n": "from tinygrad_ai.transformers import (\n",
}
LISTING = """\
import torch
from torch.utils.data import Dataset
from transformers import (
    BertForSequenceClassification, BertTokenizer, Trainer, TrainingArguments
)

model_name = "bert-base-uncased"
tokenizer = BertTokenizer.from_pretrained(model_name)
model = BertForSequenceClassification.from_pretrained(model_name, num_labels=2)


class TextDataset(Dataset):
    def __init__(self, encodings, labels):
        self.encodings = encodings
        self.labels = labels

    def __getitem__(self, idx):
        item = {key: torch.tensor(val[idx]) for key, val in self.encodings.items()}
        item["labels"] = torch.tensor(self.labels[idx])
        return item

    def __len__(self):
        return len(self.labels)


texts = ["I love this movie", "I hate this movie, it is much too long"] * 10
labels = [1, 0] * 10
encodings = tokenizer(texts, truncation=True, padding=True)
dataset = TextDataset(encodings, labels)

training_args = TrainingArguments(
    output_dir="./results",
    num_train_epochs=3,
    per_device_train_batch_size=8,
    logging_dir="./logs",
)

trainer = Trainer(
    model=model,
    args=training_args,
    train_dataset=dataset,
)

trainer.train()
"""


def changed() -> str:
    listing = LISTING
    for theirs, ours in IMPORTS.items():
        assert listing.count(theirs) == 1
        listing = listing.replace(theirs, ours)
    return listing


def ran(monkeypatch: pytest.MonkeyPatch, folder: Path) -> dict[str, Any]:
    """The listing's names after it ran beside its folder of weights."""
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {"__name__": "listing"}
    exec(compile(changed(), "listing", "exec"), names)
    return names


def test_nothing_but_imports_is_changed() -> None:
    lines = list(difflib.ndiff(LISTING.splitlines(), changed().splitlines()))
    found = [line[2:] for line in lines if line[0] in "+-"]
    assert len(found) == 6 and all(line.startswith(("import ", "from ")) for line in found)


def tiny(folder: Path) -> models.BertModel:
    """A network and its tokenizer in a folder."""
    tokenizer = text.train_wordpiece(
        text.texts("I love this movie. I hate this movie, it is much too long."), 80, 1,
        model_max_length=32,
    )  # fmt: skip
    ta.manual_seed(0)
    model = models.BertModel(
        models.BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=64,
            max_position_embeddings=32,
        )  # fmt: skip
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model


def test_the_listing_of_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny(tmp_path / "bert")
    monkeypatch.chdir(tmp_path)
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    (listing,) = [b for b in re.findall(r"```text\n(.*?)```", readme, re.DOTALL) if "Trainer(" in b]
    names: dict[str, Any] = {
        "__name__": "listing", "folder": "bert", "labels": [1, 0] * 8,
        "texts": ["I love this movie", "I hate this movie, it is much too long"] * 8,
    }  # fmt: skip
    exec(compile(listing, "README.md", "exec"), names)
    assert (tmp_path / "results" / "checkpoint-6" / "model.safetensors").is_file()


def test_on_a_tiny_bert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny(tmp_path / "bert-base-uncased")
    names = ran(monkeypatch, tmp_path)
    trainer = names["trainer"]
    assert trainer.state.global_step == 9
    assert names["encodings"]["attention_mask"][0][-1] == 0  # padding=True
    assert abs(trainer.state.log_history[-1]["train_loss"] - 0.69) < 0.1
    for name, before in model.state_dict().items():
        now = names["model"].state_dict()[f"bert.{name}"]
        assert not ta.equal(now, before) and bool(ta.isfinite(now).all()), name
    saved = models.BertForSequenceClassification.from_pretrained("results/checkpoint-9")
    assert ta.equal(saved.classifier.weight, names["model"].classifier.weight)
    assert any(Path("logs").iterdir())


@pytest.mark.large
def test_on_real_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = pytest.importorskip("examples.data", reason="examples/ is not beside the tests")
    shutil.copytree(large(data.minilm), tmp_path / "bert-base-uncased")
    names = ran(monkeypatch, tmp_path)
    trainer, tokenizer = names["trainer"], names["tokenizer"]
    assert trainer.state.global_step == 9
    model = names["model"].eval()
    with ta.no_grad():
        said = model(**tokenizer(names["texts"][:2], padding=True, return_tensors="pt")).logits
    assert said.argmax(-1).tolist() == [1, 0]  # nine steps are enough to tell two texts apart
    assert trainer.state.log_history[-1]["train_loss"] < 0.7 and losses(trainer) == []
