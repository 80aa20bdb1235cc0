"""`python -m tinygrad_ai pretrain` and `generate`, as a user runs them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tokenizers", reason="the extra text is not installed")

import tinygrad_ai as ta
from tests.commands_help import corpus, interrupt_at, model_of, pretrain, read
from tinygrad_ai import models, text
from tinygrad_ai.__main__ import main
from tinygrad_ai.train.pretrain import PretrainOptions, split


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bert")
    assert pretrain(folder, folder / "run", "--epochs", "6", "--lr", "0.01") == 0
    return folder / "run"


@pytest.fixture(scope="module")
def gpt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gpt")
    assert pretrain(folder, folder / "run", "--epochs", "6", "--lr", "0.01", model="gpt") == 0
    return folder / "run"


def evaluations(out: Path) -> list[float]:
    import json

    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [line["eval_loss"] for line in lines if "eval_loss" in line]


def test_a_bert_that_loads(bert: Path) -> None:
    model = models.BertForMaskedLM.from_pretrained(bert)
    tokenizer = text.AutoTokenizer.from_pretrained(bert)
    assert model.config.vocab_size == len(tokenizer) and tokenizer.model_max_length == 12
    assert (model.config.num_hidden_layers, model.config.hidden_size) == (1, 16)
    assert model.config.max_position_embeddings == 12
    found = evaluations(bert)
    assert len(found) == 10 and found[-1] < 0.8 * found[0]
    metrics = read(bert / "metrics.json")
    assert metrics["eval_loss"] == found[-1]
    assert metrics["eval_perplexity"] == pytest.approx(math.exp(found[-1]))
    assert metrics["parameters"] == sum(p.numel() for p in model.parameters())


def test_a_gpt_that_loads(gpt: Path) -> None:
    model = models.GPT2LMHeadModel.from_pretrained(gpt)
    tokenizer = text.AutoTokenizer.from_pretrained(gpt)
    assert isinstance(tokenizer, text.GPT2Tokenizer) and model.config.n_positions == 12
    assert model.config.eos_token_id == tokenizer.eos_token_id
    found = evaluations(gpt)
    assert found[-1] < found[0] - 1
    # The evaluation is the mean loss over the blocks held out, computed here once more.
    options = PretrainOptions("gpt", (str(corpus(gpt.parent)),), length=12, batch_size=4)
    held_out = split(options, tokenizer)[1]
    ids = ta.tensor([block["input_ids"] for block in held_out])
    with ta.no_grad():
        assert model(ids, labels=ids).loss.item() == pytest.approx(found[-1], rel=1e-5)


def test_the_end_of_the_corpus_is_held_out(tmp_path: Path) -> None:
    tokenizer = text.train_bpe(corpus(tmp_path), 320)
    options = PretrainOptions(
        "gpt", (str(corpus(tmp_path)),), length=12, batch_size=4, held_out=0.25
    )
    train, held_out = split(options, tokenizer)
    blocks = text.TokenBlocks(tokenizer, [corpus(tmp_path)], 12)
    assert [*train, *held_out] == [blocks[i] for i in range(len(blocks))]
    assert len(held_out) == math.ceil(len(blocks) / 4)


@pytest.mark.parametrize("kind", ["bert", "gpt"])
def test_a_stopped_run_goes_on_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    whole, half = tmp_path / "whole", tmp_path / "half"
    options = ("--steps", "12", "--every", "5", "--accumulate", "2")
    assert pretrain(tmp_path, whole, *options, model=kind) == 0
    put_back = interrupt_at(monkeypatch, 7)
    assert pretrain(tmp_path, half, *options, model=kind) == 130
    assert f"pretrain --resume {half}" in capsys.readouterr().out
    assert [p.name for p in half.glob("checkpoint-*")] == ["checkpoint-8"]
    assert not (half / "model.safetensors").exists()
    put_back()
    assert main(["pretrain", "--resume", str(half)]) == 0
    assert "going on from" in capsys.readouterr().out
    assert model_of(whole) == model_of(half)
    assert evaluations(whole) == evaluations(half)
    assert read(whole / "metrics.json") == read(half / "metrics.json")


def test_a_run_that_is_done_can_be_made_longer(tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert pretrain(tmp_path, out, "--steps", "4") == 0
    before = model_of(out)
    assert main(["pretrain", "--resume", str(out)]) == 0 and model_of(out) == before
    assert main(["pretrain", "--resume", str(out), "--steps", "6"]) == 0
    assert read(out / "metrics.json")["steps"] == 6 and model_of(out) != before


def test_a_run_killed_before_its_first_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, half = tmp_path / "whole", tmp_path / "half"
    assert pretrain(tmp_path, whole, "--steps", "3") == 0
    from tinygrad_ai.train import trainer

    def killed(*_: Any) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(trainer.Trainer, "_update", killed)
        with pytest.raises(MemoryError):
            pretrain(tmp_path, half, "--steps", "3")
    assert main(["pretrain", "--resume", str(half)]) == 0
    assert "no checkpoint yet" in capsys.readouterr().out and model_of(half) == model_of(whole)


def test_a_tokenizer_that_is_given(tmp_path: Path, bert: Path) -> None:
    assert pretrain(tmp_path, tmp_path / "run", "--steps", "2", "--tokenizer", str(bert)) == 0
    words = (tmp_path / "run" / "vocab.txt").read_text()
    assert words == (bert / "vocab.txt").read_text()


def test_the_seed_decides(tmp_path: Path) -> None:
    runs = [tmp_path / name for name in "abc"]
    for run, seed in zip(runs, "001"):
        assert pretrain(tmp_path, run, "--steps", "2", "--seed", seed) == 0
    assert model_of(runs[0]) == model_of(runs[1]) != model_of(runs[2])


# ---- generate


def generated(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    capsys.readouterr()
    assert main(["generate", *options]) == 0
    return capsys.readouterr().out


def test_generate(gpt: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = ("--model", str(gpt), "--prompt", "a good film", "--max-new-tokens", "6")
    greedy = generated(capsys, *model, "--greedy")
    network = models.GPT2LMHeadModel.from_pretrained(gpt)
    tokenizer = text.AutoTokenizer.from_pretrained(gpt)
    ids = network.generate(ta.tensor([tokenizer("a good film")["input_ids"]]), max_new_tokens=6)
    wanted = tokenizer.decode(ids[0], skip_special_tokens=True)
    assert greedy == wanted + "\n" and len(wanted) > len("a good film")
    drawn = [generated(capsys, *model, "--seed", seed, "--count", "3") for seed in "001"]
    assert drawn[0] == drawn[1] != drawn[2]
    assert [line for line in drawn[0].splitlines() if line.startswith("--- ")] == [
        "--- 1", "--- 2", "--- 3"
    ]  # fmt: skip
    assert drawn[0].count("a good film") >= 3
    assert generated(capsys, *model, "--top-k", "1") == greedy
    whole = network.generate(ta.tensor([tokenizer("a good film")["input_ids"]]), max_length=12)
    said = generated(capsys, *model[:4], "--greedy")  # as many as the model still reads
    assert said == tokenizer.decode(whole[0], skip_special_tokens=True) + "\n"
    assert generated(capsys, "--model", str(gpt), "--max-new-tokens", "4", "--top-p", "0.5")
