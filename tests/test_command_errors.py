"""The user's mistakes in pretrain, finetune and generate: exit code 2, and nothing is written."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

pytest.importorskip("tokenizers", reason="the extra text is not installed")

from tests.commands_help import SIZES, corpus, examples, model_of, pretrain, read
from tinygrad_ai.__main__ import main


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a corpus, examples, a BERT and a GPT-2."""
    folder = tmp_path_factory.mktemp("made")
    examples(folder)
    for kind in ("bert", "gpt"):
        assert pretrain(folder, folder / kind, "--steps", "2", model=kind) == 0
    (folder / "empty.txt").write_text("")
    (folder / "bytes.txt").write_bytes(b"\xff\xfe\xff" * 9)
    (folder / "one.csv").write_text("text,label\n" + "a film,good\n" * 9)
    (folder / "holes.csv").write_text("text,label\na film,good\nhalf a row\n")
    (folder / "other.csv").write_text("text,label\na film,strange\n")
    return folder


def refused(capsys: pytest.CaptureFixture[str], *options: object) -> str:
    capsys.readouterr()
    assert main([str(option) for option in options]) == 2
    return capsys.readouterr().err


PRETRAIN = [  # options beside a corpus that is good, and a part of the message
    ((), "pretrain needs --model"),
    (("--model", "bert", "--steps", 0), "expected --steps >= 1, got 0"),
    (("--model", "bert", "--layers", 0), "expected --layers >= 1"),
    (("--model", "bert", "--held-out", 1), r"expected --held-out in \(0, 1\)"),
    (("--model", "bert", "--every", 0), "expected --every > 0"),
    (("--model", "bert", "--warmup", 1), r"expected --warmup in \[0, 1\)"),
    (("--model", "bert", "--lr", -1), "learning_rate to be a number >= 0"),
    (("--model", "bert", "--heads", 3), "16 does not divide into 3 heads"),
    (("--model", "bert", "--vocab-size", 2), "vocab_size=2 is smaller than"),
    (("--model", "bert", "--dropout", 2), "number in"),
    (("--model", "bert", "--batch-size", 9999), r"fewer than a batch of 9999(.|\n)*fix: more text"),
    (("--model", "bert", "--length", 2), "block_size=2 must be more than 2"),
    (("--model", "bert", "--tokenizer", "{}/gpt"), "needs a tokenizer with a mask_token"),
    (("--model", "gpt", "--tokenizer", "{}/bert"), "needs a tokenizer with a eos_token"),
    (("--model", "bert", "--tokenizer", "{}/bert", "--length", 99), "fix: --length 12"),
    (("--model", "bert", "--tokenizer", "{}/bert", "--vocab-size", 9), "or --vocab-size"),
    (("--model", "bert", "--tokenizer", "{}/nothing"), "is no folder on this machine"),
    (("--model", "bert", "--device", "toaster"), "toaster"),
]


@pytest.mark.parametrize(("options", "message"), PRETRAIN)
def test_pretrain(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...],
    message: str,
) -> None:  # fmt: skip
    given = [str(option).format(made) for option in options]
    text = made / "corpus.txt"
    error = refused(capsys, "pretrain", "--corpus", text, "--out", tmp_path / "run", *SIZES, *given)
    assert re.search(message, error), error
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [("none.txt", "is no file"), ("empty.txt", "too few for one block"), ("bytes.txt", "UTF-8")],
)
def test_a_corpus_that_is_none(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, message: str
) -> None:
    options = ("--model", "gpt", "--corpus", made / name, "--out", tmp_path / "run", *SIZES)
    assert message in refused(capsys, "pretrain", *options)
    assert not (tmp_path / "run").exists()


FINETUNE = [  # model, data, options, and a part of the message
    ("gpt", "reviews.csv", (), "expected model_type 'bert'"),
    ("nothing", "reviews.csv", (), "is no folder on this machine"),
    ("bert", "nothing.csv", (), "nothing.csv is no file"),
    ("bert", "corpus.txt", (), "expected a file ending in .csv or .jsonl"),
    ("bert", "one.csv", (), "expected examples of two classes"),
    ("bert", "holes.csv", (), "holes.csv, line 3: 1 values for the 2 columns"),
    ("bert", "reviews.csv", ("--label-column", "stars"), "no 'stars'; the columns are text, label"),
    ("bert", "reviews.csv", ("--test", "{}/other.csv"), "'strange' is none of ['bad', 'good']"),
    ("bert", "reviews.csv", ("--test-fraction", "2"), "expected --test-fraction in (0, 1)"),
    ("bert", "reviews.csv", ("--test-fraction", "0.001"), "too small to test with"),
    ("bert", "reviews.csv", ("--test", "x.csv", "--test-fraction", ".1"), "or --test-fraction"),
    ("bert", "reviews.csv", ("--max-length", "40"), "fix: --max-length 12"),
    ("bert", "reviews.csv", ("--max-length", "1"), "expected --max-length >= 3"),
    ("bert", "reviews.csv", ("--freeze", "--lora", "2"), "exclude each other"),
    ("bert", "reviews.csv", ("--lora", "0"), "rank to be a whole number > 0"),
    ("bert", "reviews.csv", ("--epochs", "0"), "no step to train"),
]


@pytest.mark.parametrize(("model", "data", "options", "message"), FINETUNE)
def test_finetune(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], model: str, data: str,
    options: tuple[str, ...], message: str,
) -> None:  # fmt: skip
    given = [option.format(made) for option in options]
    error = refused(
        capsys, "finetune", "--model", made / model, "--data", made / data,
        "--out", tmp_path / "run", *given,
    )  # fmt: skip
    assert message in error and not (tmp_path / "run").exists()
    assert "the columns are" not in error or "--text-column" in error


GENERATE = [
    ("bert", (), "expected model_type 'gpt2'"),
    ("nothing", (), "nothing"),
    ("gpt", ("--count", "0"), "expected --count >= 1"),
    ("gpt", ("--max-new-tokens", "0"), "expected --max-new-tokens >= 1"),
    ("gpt", ("--max-new-tokens", "30"), "the model reads 12 tokens at most"),
    ("gpt", ("--greedy", "--count", "2"), "the same text each time"),
    ("gpt", ("--temperature", "0"), "expected temperature to be a number > 0"),
    ("gpt", ("--top-p", "1.5"), "expected top_p in (0, 1]"),
    ("gpt", ("--top-k", "-1"), "expected top_k to be a whole number >= 0"),
]


def test_predict_is_for_pictures(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    error = refused(capsys, "predict", made / "bert", "a good film")
    assert "holds a model of texts" in error and "fix: BertForMaskedLM.from_pretrained(" in error


@pytest.mark.parametrize(("model", "options", "message"), GENERATE)
def test_generate(
    made: Path, capsys: pytest.CaptureFixture[str], model: str, options: tuple[str, ...],
    message: str,
) -> None:  # fmt: skip
    given = ("--max-new-tokens", "5", *options)
    assert message in refused(capsys, "generate", "--model", made / model, *given)


# ---- folders


def test_a_run_is_replaced_only_when_asked(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert pretrain(tmp_path, out, "--steps", "2") == 0
    before = model_of(out)
    again = ("pretrain", "--model", "gpt", "--corpus", corpus(tmp_path), "--out", out, *SIZES)
    error = refused(capsys, *again, "--steps", "1")
    assert "holds a run already" in error and f"--resume {out}" in error and "--overwrite" in error
    # What is wrong is found before anything goes.
    assert "fewer than a batch" in refused(capsys, *again, "--batch-size", "9999", "--overwrite")
    assert model_of(out) == before
    assert pretrain(tmp_path, out, "--steps", "1", "--overwrite", model="gpt") == 0
    assert "held a run, which is replaced" in capsys.readouterr().out.replace("\n", " ")
    assert model_of(out) != before and not (out / "vocab.txt").exists()
    assert [p.name for p in out.glob("checkpoint-*")] == ["checkpoint-1"]


def test_what_is_no_run_is_never_touched(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("dear")
    options = ("--model", made / "bert", "--data", made / "reviews.csv", "--overwrite")
    error = refused(capsys, "finetune", *options, "--out", tmp_path / "letters")
    assert "what it holds is no run: dear.txt" in error
    assert [p.name for p in (tmp_path / "letters").iterdir()] == ["dear.txt"]
    error = refused(capsys, "finetune", *options, "--out", tmp_path / "letters" / "dear.txt")
    assert "is a file" in error and (tmp_path / "letters" / "dear.txt").read_text() == "dear"


def test_the_model_is_never_overwritten(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = model_of(made / "bert")
    same = made / "bert" / ".." / "bert"
    error = refused(
        capsys, "finetune", "--model", made / "bert", "--data", made / "reviews.csv",
        "--out", same, "--overwrite",
    )  # fmt: skip
    assert "--out and --model are the same folder" in error and model_of(made / "bert") == before
    (inside,) = (made / "bert").glob("checkpoint-*")
    error = refused(
        capsys, "finetune", "--model", inside, "--data", made / "reviews.csv",
        "--out", made / "bert", "--overwrite",
    )  # fmt: skip
    assert "--model lies in --out" in error and model_of(inside) == before


def test_resume(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, run = corpus(tmp_path), tmp_path / "run"
    assert pretrain(tmp_path, run, "--steps", "2") == 0
    before = model_of(run)
    error = refused(capsys, "pretrain", "--resume", run, "--lr", 1)
    assert "--lr cannot change, only --epochs and --steps" in error
    assert "without --out" in refused(capsys, "pretrain", "--resume", run, "--out", tmp_path / "x")
    assert "is a run of pretrain" in refused(capsys, "finetune", "--resume", run)
    assert "holds no run" in refused(capsys, "pretrain", "--resume", tmp_path / "none")
    text.write_text(text.read_text() + " more")
    assert "is not what it was when the run" in refused(capsys, "pretrain", "--resume", run)
    text.unlink()
    assert "cannot be read" in refused(capsys, "pretrain", "--resume", run)
    (run / "command.json").write_text('{"command": "pretrain"}')
    assert "command.json is damaged" in refused(capsys, "pretrain", "--resume", run)
    assert model_of(run) == before


def test_a_resumed_run_whose_configuration_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus(tmp_path)
    run = tmp_path / "run"
    assert pretrain(tmp_path, run, "--steps", "2") == 0
    before, record = model_of(run), (run / "command.json").read_text()
    (run / "command.json").write_text(record.replace('"hidden": 16', '"hidden": 32'))
    assert read(run / "command.json")["options"]["hidden"] == 32
    assert "hidden_size: 16 there, 32 here" in refused(capsys, "pretrain", "--resume", run)
    assert model_of(run) == before


def test_without_the_library(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    options = ("--model", "bert", "--corpus", made / "corpus.txt", "--out", tmp_path / "run")
    assert "pip install 'tinygrad-ai[text]'" in refused(capsys, "pretrain", *options)
