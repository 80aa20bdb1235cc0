"""Corpora: blocks of tokens, labelled rows; tokenizers learnt from text files."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from tests.text_help import HARD, bytelevel, reference, same, saved, wordpiece
from tinygrad_ai import text as T
from tinygrad_ai.errors import ArgumentError, DataError

ROOT = Path(__file__).parent.parent
PROSE = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]


def test_files_are_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = "\ufeffein Satz\r\nné\n" + "x" * 30 + "\n\nlast"
    (tmp_path / "a.txt").write_bytes(content.encode())
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(content.encode()))
    monkeypatch.setattr("tinygrad_ai.text.corpus.PIECE", 8)
    for name in ("a.txt", "a.txt.gz"):
        pieces = list(T.read_text(tmp_path / name))
        assert "".join(pieces) == content[1:] and len(pieces) > 3
        assert pieces[0] == "ein Satz" or pieces[0].endswith("\n")
    assert list(T.read_text(T.texts("one")[0])) == ["one"]


@pytest.mark.parametrize("name", ["none.txt", "latin.txt", "half.txt.gz"])
def test_files_that_cannot_be_read(name: str, tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes("né".encode("latin1"))
    (tmp_path / "half.txt.gz").write_bytes(gzip.compress(b"a" * 9999)[:-12])
    with pytest.raises(DataError, match=name):
        list(T.read_text(tmp_path / name))


def test_blocks_for_masked_models() -> None:
    tokenizer = wordpiece()
    blocks = T.TokenBlocks(tokenizer, T.texts("a b c d e", "a b"), 6)
    plain = tokenizer("a b c d e", add_special_tokens=False)["input_ids"]
    plain += [3, *tokenizer("a b", add_special_tokens=False)["input_ids"], 3]
    assert len(blocks) == len(plain) // 4
    for i in range(len(blocks)):
        assert blocks[i] == {"input_ids": [2, *plain[4 * i : 4 * i + 4], 3]}
    assert blocks[-1] == blocks[len(blocks) - 1]
    with pytest.raises(IndexError, match="block"):
        blocks[len(blocks)]


def test_blocks_for_causal_models() -> None:
    tokenizer = bytelevel()
    text = PROSE[0].read_text()
    blocks = T.TokenBlocks(tokenizer, PROSE[0], 32)
    ids = tokenizer(text, verbose=False)["input_ids"]
    assert [i for block in blocks for i in block["input_ids"]] == ids[: len(ids) // 32 * 32]  # type: ignore[attr-defined]
    begun = T.GPT2Tokenizer(bytelevel().get_vocab(), [], add_bos_token=True)
    assert T.TokenBlocks(begun, T.texts("abcdefgh"), 4)[1]["input_ids"][0] == begun.bos_token_id
    batch = T.DataCollatorForLanguageModeling(tokenizer, mlm=False)([blocks[0], blocks[1]])
    assert batch["input_ids"].shape == (2, 32)


def test_blocks_that_cannot_be_made() -> None:
    with pytest.raises(DataError, match="too few for one block of 64"):
        T.TokenBlocks(wordpiece(), T.texts("a b"), 64)
    with pytest.raises(ArgumentError, match="more than 2, at most 64, the model's limit"):
        T.TokenBlocks(wordpiece(), T.texts("a b"), 65)
    with pytest.raises(ArgumentError, match="block_size=2 must be more than 2"):
        T.TokenBlocks(wordpiece(), T.texts("a b"), 2)


def rows(path: Path, content: str) -> Path:
    path.write_text(content, newline="")
    return path


def test_labelled_rows(tmp_path: Path) -> None:
    made = rows(tmp_path / "a.csv", 'text,label\n"good, really",pos\n"two\nlines",neg\n')
    assert T.read_labelled(made) == (["good, really", "two\nlines"], [1, 0], ["neg", "pos"])
    lines = '{"text": "x", "label": 2}\n\n{"label": 0, "text": "", "more": 1}\n'
    expected = (["x", ""], [2, 0], ["0", "1", "2"])
    assert T.read_labelled(rows(tmp_path / "a.jsonl", lines)) == expected
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    assert T.read_labelled(tmp_path / "b.jsonl.gz") == expected
    other = rows(tmp_path / "c.csv", "body,stars\nfine,pos\n")
    found = T.read_labelled(other, "body", "stars", names=["pos", "neg"])
    assert found == (["fine"], [0], ["pos", "neg"])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "text,score\na,1\n", "line 2: no 'label'; the columns are text, score"),
        ("a.csv", "text,label\na\n", "line 2: 1 values for the 2 columns text, label"),
        ("a.csv", "text,label\ngood, really,1\n", "line 2: 3 values for the 2(.|\n)*fix: quotes"),
        ("a.csv", "label,text\n1,a\n\n0,bad, bad\n", "line 4: 3 values for the 2 columns"),
        ("a.csv", "text,label\na,1\nb,\n", "line 3: the label is empty"),
        ("a.jsonl", '{"text": "a", "label": " "}\n', "line 1: the label is empty"),
        ("a.jsonl", '{"text": null, "label": 0}\n', "line 1: 'text' is null"),
        ("a.csv", "text,label\n", "has no rows"),
        ("a.csv", 'text,label\n"a" b,1\n', "a.csv, line 2: "),
        ("a.csv", "text,label\na,123456\n", "labels are the numbers of classes"),
        ("a.jsonl", '{"text": "a", "label"\n', "a.jsonl, line 1: "),
        ("a.jsonl", "[1, 2]\n", r"line 1: expected an object, got \[1, 2\]"),
        ("a.jsonl", '{"text": "a", "label": 0.5}\n', "a whole number or a word, got 0.5"),
        ("a.txt", "a", "expected a file ending in .csv or .jsonl"),
    ],
)
def test_rows_that_cannot_be_used(name: str, content: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        T.read_labelled(rows(tmp_path / name, content))
    with pytest.raises(DataError, match=r"row 1: the label 'x' is none of \['a'\]"):
        T.read_labelled(rows(tmp_path / "l.csv", "text,label\nt,x\n"), names=["a"])


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_training_a_tokenizer(kind: str, tmp_path: Path) -> None:
    train: Any = T.train_wordpiece if kind == "bert" else T.train_bpe
    tokenizer, again = (train(PROSE, 500, model_max_length=128) for _ in range(2))
    assert tokenizer.get_vocab() == again.get_vocab() and len(tokenizer) <= 500
    texts = [*HARD, *PROSE[0].read_text().split("\n\n")]
    ids = tokenizer(texts, verbose=False)["input_ids"]
    assert ids == again(texts, verbose=False)["input_ids"]
    assert tokenizer.model_max_length == 128
    if kind == "bert":
        assert tokenizer.convert_ids_to_tokens([0, 1, 2, 3, 4]) == list(
            ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
        )
    else:
        assert tokenizer.convert_ids_to_tokens(0) == "<|endoftext|>"
        assert tokenizer.batch_decode(ids) == texts
    prose = PROSE[0].read_text()
    assert len(tokenizer(prose, verbose=False)["input_ids"]) < len(prose) / 1.7
    theirs = reference("BertTokenizer" if kind == "bert" else "GPT2Tokenizer",
                       saved(tokenizer, tmp_path))  # fmt: skip
    same(tokenizer(texts, verbose=False), theirs(texts, verbose=False))


def test_training_errors() -> None:
    with pytest.raises(ArgumentError, match="vocab_size=100 is smaller than(.|\n)*257"):
        T.train_bpe(PROSE, 100)
    with pytest.raises(DataError, match="nowhere.txt is no file"):
        T.train_wordpiece("nowhere.txt", 100)
    with pytest.raises(ArgumentError, match="no setting model_length"):
        T.train_wordpiece(PROSE, 100, model_length=3)
