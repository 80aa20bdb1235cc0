"""`python -m tinygrad_ai finetune`, as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tokenizers", reason="the extra text is not installed")

import tinygrad_ai as ta
from examples.data import minilm, reviews
from tests.commands_help import examples, interrupt_at, model_of, pretrain, read
from tests.large import large
from tinygrad_ai import models, text
from tinygrad_ai.__main__ import main
from tinygrad_ai.train.finetune import divided
from tinygrad_ai.train.scores import Scores


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bert")
    assert pretrain(folder, folder / "run", "--steps", "4", model="bert") == 0
    return folder / "run"


def finetune(model: Path, data: Path, out: Path, *options: str) -> int:
    return main(
        ["finetune", "--model", str(model), "--data", str(data), "--out", str(out),
         "--batch-size", "4", *options]
    )  # fmt: skip


def said(folder: Path, texts: list[str]) -> list[str]:
    """What the model in a folder says about texts, by the names of its classes."""
    model = models.BertForSequenceClassification.from_pretrained(folder)
    tokenizer = text.AutoTokenizer.from_pretrained(folder)
    with ta.no_grad():
        logits = model(**tokenizer(texts, padding=True, return_tensors="ta")).logits
    return [model.config.id2label[i] for i in logits.argmax(-1).tolist()]


@pytest.mark.parametrize("name", ["reviews.csv", "reviews.jsonl"])
def test_a_classifier_that_loads(
    tmp_path: Path, bert: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    out = tmp_path / "run"
    assert finetune(bert, examples(tmp_path, name), out, "--epochs", "12", "--lr", "0.005") == 0
    assert said(out, ["a good film", "a weak film", "a lovely film"]) == ["good", "bad", "good"]
    metrics = read(out / "metrics.json")
    assert metrics["accuracy"] == 1 and metrics["confusion"] == [[4, 0], [0, 4]]
    assert metrics["classes"]["bad"] == {"precision": 1, "recall": 1, "f1": 1, "examples": 4}
    assert metrics["baseline"] == 0.5 and metrics["steps"] == 96
    shown = capsys.readouterr().out
    assert "32 examples to train with, 8 to test with, classes bad, good" in shown
    assert "precision" in shown and "accuracy 100.00% on 8 examples" in shown.replace("\n", " ")
    assert read(out / "config.json")["id2label"] == {"0": "bad", "1": "good"}


def test_a_file_to_test_with_and_columns(tmp_path: Path, bert: Path) -> None:
    data, test = tmp_path / "a.csv", tmp_path / "b.csv"
    data.write_text("said,kind\n" + "a good film,2\na bad film,0\nit is,1\n" * 4)
    test.write_text("said,kind\na good film,2\na good film,2\nit is,1\n")
    columns = ("--text-column", "said", "--label-column", "kind")
    out = tmp_path / "run"
    assert finetune(bert, data, out, "--test", str(test), *columns, "--epochs", "1") == 0
    metrics = read(out / "metrics.json")
    assert [c["examples"] for c in metrics["classes"].values()] == [0, 1, 2]
    assert metrics["baseline"] == pytest.approx(2 / 3) and list(metrics["classes"]) == list("012")


@pytest.mark.parametrize("way", [(), ("--freeze",), ("--lora", "2")])
def test_a_stopped_run_goes_on_bit_for_bit(
    tmp_path: Path, bert: Path, monkeypatch: pytest.MonkeyPatch, way: tuple[str, ...],
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    data, whole, half = examples(tmp_path), tmp_path / "whole", tmp_path / "half"
    assert finetune(bert, data, whole, "--epochs", "2", *way) == 0
    put_back = interrupt_at(monkeypatch, 10)
    assert finetune(bert, data, half, "--epochs", "2", *way) == 130
    assert f"finetune --resume {half}" in capsys.readouterr().out
    put_back()
    assert main(["finetune", "--resume", str(half)]) == 0
    assert model_of(whole) == model_of(half)
    assert read(whole / "metrics.json") == read(half / "metrics.json")


def body(folder: Path) -> dict[str, ta.Tensor]:
    """The weights of the encoder's layers."""
    model = models.BertModel.from_pretrained(folder)
    return {n: t for n, t in model.state_dict().items() if not n.startswith("pooler")}


def test_what_freeze_and_lora_train(tmp_path: Path, bert: Path) -> None:
    data, before = examples(tmp_path), body(bert)
    assert finetune(bert, data, tmp_path / "head", "--freeze", "--epochs", "1") == 0
    assert all(ta.equal(t, before[n]) for n, t in body(tmp_path / "head").items())
    assert finetune(bert, data, tmp_path / "lora", "--lora", "2", "--epochs", "1") == 0
    changed = {n for n, t in body(tmp_path / "lora").items() if not ta.equal(t, before[n])}
    layer = "encoder.layer.0.attention.self"
    assert changed == {f"{layer}.query.weight", f"{layer}.value.weight"}
    # The adapter on the body gives what was merged into the weights.
    plain = models.BertForSequenceClassification.from_pretrained(bert)
    models.load_adapter(plain, tmp_path / "lora" / "adapter")
    merged = models.BertForSequenceClassification.from_pretrained(tmp_path / "lora")
    ids = ta.tensor([[2, 7, 9, 3]])
    with ta.no_grad():
        assert ta.allclose(plain.eval()(ids).logits, merged(ids).logits, atol=1e-6)


def test_texts_that_are_cut_are_counted(
    tmp_path: Path, bert: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "a.csv"
    data.write_text("text,label\n" + "a good film is a good film,x\na film,y\n" * 5)
    options = ("--epochs", "1", "--max-length")
    assert finetune(bert, data, tmp_path / "cut", *options, "6") == 0
    assert "5 texts are cut at 6 tokens (--max-length)" in capsys.readouterr().out
    assert finetune(bert, data, tmp_path / "whole", *options, "12") == 0
    assert "are cut" not in capsys.readouterr().out


def test_another_task_draws_a_new_head(tmp_path: Path, bert: Path) -> None:
    assert finetune(bert, examples(tmp_path), tmp_path / "two", "--epochs", "1") == 0
    data = tmp_path / "three.csv"
    data.write_text("text,label\n" + "a good film,x\na bad film,y\nit is,z\n" * 5)
    assert finetune(tmp_path / "two", data, tmp_path / "three", "--epochs", "1") == 0
    model = models.BertForSequenceClassification.from_pretrained(tmp_path / "three")
    assert model.config.id2label == {0: "x", 1: "y", 2: "z"} and model.classifier.out_features == 3


@pytest.mark.large
def test_real_weights_and_reviews(tmp_path: Path) -> None:
    """MiniLM's head on 96 reviews; the accuracy is that of the folder it leaves."""
    train, test = large(reviews)
    files = []
    for part, count in ((train, 96), (test, 24)):
        files.append(tmp_path / f"{count}.jsonl")
        rows = zip(part.text[::40][:count], part.label[::40][:count], strict=True)
        lines = [json.dumps({"text": t, "label": ("rotten", "fresh")[y]}) + "\n" for t, y in rows]
        files[-1].write_text("".join(lines))
    out = tmp_path / "run"
    options = ("--test", str(files[1]), "--freeze", "--epochs", "2", "--max-length", "48")
    assert finetune(large(minilm), files[0], out, *options) == 0
    metrics = read(out / "metrics.json")
    found = text.read_labelled(files[1])
    answers = [found.names.index(name) for name in said(out, found.texts)]
    right = sum(a == b for a, b in zip(answers, found.labels, strict=True))
    assert metrics["accuracy"] == pytest.approx(right / 24) and metrics["steps"] == 48
    assert list(metrics["classes"]) == ["fresh", "rotten"]


def test_the_split_takes_a_share_of_each_class() -> None:
    labels = [0] * 30 + [1] * 10
    whole = text.LabelledTexts([str(i) for i in range(40)], labels, ["a", "b"])
    train, test = divided(whole, 0.2, seed=3)
    assert (test.labels.count(0), test.labels.count(1)) == (6, 2)
    assert sorted([*train.texts, *test.texts]) == sorted(whole.texts)
    assert all(labels[int(t)] == n for t, n in zip(test.texts, test.labels, strict=True))
    assert divided(whole, 0.2, seed=3) == (train, test) != divided(whole, 0.2, seed=4)


def test_scores() -> None:
    """Counted by NumPy, with a class that is never right and one that is never said."""
    draw = np.random.default_rng(0)
    right, guess = draw.integers(0, 3, 50), draw.integers(1, 4, 50)
    found = Scores(right.tolist(), guess.tolist(), list("abcd")).to_dict()
    for i, name in enumerate("abcd"):
        own = found["classes"][name]
        hits = int(((right == i) & (guess == i)).sum())
        assert own["examples"] == (right == i).sum()
        assert own["recall"] == (hits / (right == i).sum() if (right == i).any() else 0)
        assert own["precision"] == (hits / (guess == i).sum() if (guess == i).any() else 0)
        both = (right == i).sum() + (guess == i).sum()
        assert own["f1"] == pytest.approx(2 * hits / both)
    assert found["accuracy"] == (right == guess).mean()
    assert found["baseline"] == np.bincount(right).max() / 50
    assert found["macro_f1"] == pytest.approx(np.mean([found["classes"][n]["f1"] for n in "abc"]))
