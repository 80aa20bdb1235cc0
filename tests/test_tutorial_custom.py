"""Hugging Face's tutorial "Fine-tuning with custom datasets": only imports are changed. Texts of a
folder as IMDb has them, by the Trainer and by a loop; then tags of words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import tinygrad_ai as ta
from tests.hf_help import BERT
from tests.trainer_help import losses
from tinygrad_ai import models, text

pytest.importorskip("tokenizers", reason="the extra text is not installed")

IMPORTS = {
    "import torch\n": "import tinygrad_ai as torch\n",
    "from torch.utils.data import DataLoader\n": (
        "from tinygrad_ai.utils.data import DataLoader\n"
    ),
    "from torch.optim import AdamW\n": "from tinygrad_ai.optim import AdamW\n",
    "from transformers import (\n": "from tinygrad_ai.transformers import (\n",
}
TEXTS = """\
from pathlib import Path

import torch
from torch.optim import AdamW
from torch.utils.data import DataLoader
from transformers import (
    AutoModelForTokenClassification, BertForSequenceClassification, BertTokenizerFast, Trainer,
    TrainingArguments,
)


def read_imdb_split(split_dir):
    split_dir = Path(split_dir)
    texts = []
    labels = []
    for label_dir in ["pos", "neg"]:
        for text_file in (split_dir/label_dir).iterdir():
            texts.append(text_file.read_text())
            labels.append(0 if label_dir == "neg" else 1)
    return texts, labels


train_texts, train_labels = read_imdb_split("aclImdb/train")
test_texts, test_labels = read_imdb_split("aclImdb/test")
tokenizer = BertTokenizerFast.from_pretrained("bert")
train_encodings = tokenizer(train_texts, truncation=True, padding=True)
test_encodings = tokenizer(test_texts, truncation=True, padding=True)


class IMDbDataset(torch.utils.data.Dataset):
    def __init__(self, encodings, labels):
        self.encodings = encodings
        self.labels = labels

    def __getitem__(self, idx):
        item = {key: torch.tensor(val[idx]) for key, val in self.encodings.items()}
        item["labels"] = torch.tensor(self.labels[idx])
        return item

    def __len__(self):
        return len(self.labels)


train_dataset = IMDbDataset(train_encodings, train_labels)
test_dataset = IMDbDataset(test_encodings, test_labels)
training_args = TrainingArguments(
    output_dir="./results",
    num_train_epochs=8,
    per_device_train_batch_size=16,
    per_device_eval_batch_size=64,
    warmup_steps=2,
    weight_decay=0.01,
    learning_rate=5e-3,
    logging_dir="./logs",
    logging_steps=2,
)
model = BertForSequenceClassification.from_pretrained("bert")
trainer = Trainer(
    model=model,
    args=training_args,
    train_dataset=train_dataset,
    eval_dataset=test_dataset,
)
trainer.train()
metrics = trainer.evaluate()

device = torch.device("cuda") if torch.cuda.is_available() else torch.device("cpu")
model = BertForSequenceClassification.from_pretrained("bert")
model.to(device)
model.train()
train_loader = DataLoader(train_dataset, batch_size=16, shuffle=True)
optim = AdamW(model.parameters(), lr=5e-3)
for epoch in range(8):
    for batch in train_loader:
        optim.zero_grad()
        input_ids = batch["input_ids"].to(device)
        attention_mask = batch["attention_mask"].to(device)
        labels = batch["labels"].to(device)
        outputs = model(input_ids, attention_mask=attention_mask, labels=labels)
        loss = outputs[0]
        loss.backward()
        optim.step()
model.eval()
"""
TAGS = """\
import numpy as np

words = [["good", "Wolfgang", "lives"], ["nobody", "lives", "in", "Antananarivo"]] * 8
tags = [["O", "person", "O"], ["O", "O", "O", "place"]] * 8
unique_tags = sorted(set(tag for doc in tags for tag in doc))
tag2id = {tag: id for id, tag in enumerate(unique_tags)}
id2tag = {id: tag for tag, id in tag2id.items()}
encodings = tokenizer(
    words, is_split_into_words=True, return_offsets_mapping=True, padding=True, truncation=True
)


def encode_tags(tags, encodings):
    labels = [[tag2id[tag] for tag in doc] for doc in tags]
    encoded_labels = []
    for doc_labels, doc_offset in zip(labels, encodings.offset_mapping):
        # create an empty array of -100
        doc_enc_labels = np.ones(len(doc_offset), dtype=int) * -100
        arr_offset = np.array(doc_offset)

        # set labels whose first offset position is 0 and the second is not 0
        doc_enc_labels[(arr_offset[:, 0] == 0) & (arr_offset[:, 1] != 0)] = doc_labels
        encoded_labels.append(doc_enc_labels.tolist())
    return encoded_labels


labels = encode_tags(tags, encodings)
encodings.pop("offset_mapping")
tagged = IMDbDataset(encodings, labels)
tagger = AutoModelForTokenClassification.from_pretrained(
    "bert", num_labels=len(unique_tags), id2label=id2tag, label2id=tag2id
)
tag_trainer = Trainer(model=tagger, args=training_args, train_dataset=tagged)
tag_trainer.train()
inputs = tokenizer(words[0], is_split_into_words=True, return_tensors="pt")
with torch.no_grad():
    logits = tagger(**inputs).logits
found = [tagger.config.id2label[t.item()] for t in logits.argmax(-1)[0]]
"""


def changed() -> str:
    listing = TEXTS + TAGS
    for theirs, ours in IMPORTS.items():
        assert listing.count(theirs) == 1
        listing = listing.replace(theirs, ours)
    return listing


def prepared(folder: Path) -> None:
    """A tiny BERT, and films that are praised or not."""
    for split in ("train", "test"):
        for label, word in (("pos", "good"), ("neg", "bad")):
            (folder / "aclImdb" / split / label).mkdir(parents=True)
            for i in range(24):
                line = f"{'a very ' * (i % 3)}{word} film"
                (folder / "aclImdb" / split / label / f"{i}_9.txt").write_text(line)
    corpus = text.texts("a very good bad film. Wolfgang lives. Nobody in Antananarivo.")
    tokenizer = text.train_wordpiece(corpus, 70, 1, model_max_length=24)
    tokenizer.save_pretrained(folder / "bert")
    ta.manual_seed(0)
    config = models.BertConfig(
        **{**BERT, "vocab_size": len(tokenizer), "num_labels": 2, "initializer_range": 0.2}
    )
    models.BertForMaskedLM(config).save_pretrained(folder / "bert")


def test_the_tutorial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared(tmp_path)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "listing"}
    ta.manual_seed(1)
    exec(compile(changed(), "listing", "exec"), names)
    trainer = names["trainer"]
    assert trainer.state.global_step == 24
    assert losses(trainer)[-1] < 0.3 and names["metrics"]["eval_loss"] < 0.2
    seen = trainer.predict(names["test_dataset"])
    assert (seen.predictions.argmax(-1) == seen.label_ids).all()
    assert names["loss"].item() < 0.3 and not names["model"].training
    assert [label for label in names["labels"][0] if label != -100] == [0, 1, 0]
    words = names["encodings"].word_ids(0)
    first = [i for i, w in enumerate(words) if w is not None and w != words[i - 1]]
    assert [names["found"][i] for i in first] == ["O", "person", "O"]
