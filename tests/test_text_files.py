"""Folders of tokenizers: every kind of file, saving for transformers, and what is damaged."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from examples import data
from tests.large import large
from tests.text_help import HARD, bytelevel, reference, same, saved, transformers, wordpiece
from tinygrad_ai.errors import ArgumentError, CheckpointError
from tinygrad_ai.text import (
    AutoTokenizer,
    BertTokenizer,
    BertTokenizerFast,
    GPT2Tokenizer,
    PreTrainedTokenizerFast,
)


def only(folder: Path, *names: str) -> Path:
    """The folder with no other files than these."""
    for path in folder.iterdir():
        if path.name not in names:
            path.unlink()
    return folder


def agree(ours: Any, theirs: Any) -> None:
    same(ours(HARD, HARD[::-1], verbose=False), theirs(HARD, HARD[::-1], verbose=False))
    rows = ours(HARD, verbose=False)["input_ids"]
    assert ours.batch_decode(rows) == theirs.batch_decode(rows)


@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize(
    "names", [("vocab.txt",), ("tokenizer.json",), ("tokenizer.json", "vocab.txt")]
)
def test_bert_from_each_kind_of_file(names: Any, lower: bool, tmp_path: Path) -> None:
    folder = saved(wordpiece(lower), tmp_path)
    only(tmp_path, *names, "tokenizer_config.json")
    agree(BertTokenizer.from_pretrained(folder), reference("BertTokenizer", folder))
    auto = AutoTokenizer.from_pretrained(folder)
    assert type(auto) is BertTokenizer is BertTokenizerFast and auto.do_lower_case is lower
    only(tmp_path, *names)  # transformers makes letters small where nothing says otherwise
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        agree(BertTokenizer.from_pretrained(folder), reference("BertTokenizer", folder))
    options = {"do_lower_case": False, "strip_accents": True, "tokenize_chinese_chars": False}
    agree(BertTokenizer.from_pretrained(folder, **options),
          reference("BertTokenizer", folder, **options))  # fmt: skip


def test_capitals_that_get_lost_are_said(tmp_path: Path) -> None:
    folder = saved(wordpiece(False), tmp_path)
    only(tmp_path, "tokenizer.json")
    with pytest.warns(UserWarning, match="keeps capitals(.|\n)*do_lower_case=False"):
        BertTokenizer.from_pretrained(folder)
    whole = AutoTokenizer.from_pretrained(folder)  # takes the file as it is
    assert type(whole) is PreTrainedTokenizerFast
    assert whole("ALL CAPS")["input_ids"] == wordpiece(False)("ALL CAPS")["input_ids"]


@pytest.mark.parametrize(
    "names", [("vocab.json", "merges.txt"), ("tokenizer.json",), ("encoder.json", "vocab.bpe")]
)
def test_gpt2_from_each_kind_of_file(names: Any, tmp_path: Path) -> None:
    folder = saved(bytelevel(), tmp_path)
    theirs = reference("GPT2Tokenizer", folder)
    shutil.copy(tmp_path / "vocab.json", tmp_path / "encoder.json")
    shutil.copy(tmp_path / "merges.txt", tmp_path / "vocab.bpe")
    only(tmp_path, *names)
    agree(GPT2Tokenizer.from_pretrained(folder), theirs)
    if names[0] != "tokenizer.json":
        assert type(AutoTokenizer.from_pretrained(folder)) is GPT2Tokenizer
        paths = [str(tmp_path / name) for name in names]
        agree(GPT2Tokenizer(*paths), theirs)


@pytest.mark.parametrize("option", ["add_prefix_space", "add_bos_token"])
def test_gpt2_settings_last(option: str, tmp_path: Path) -> None:
    folder = saved(bytelevel(), tmp_path / "plain")
    ours = GPT2Tokenizer.from_pretrained(folder, **{option: True})
    agree(ours, reference("GPT2Tokenizer", folder, **{option: True}))
    again = saved(ours, tmp_path / "again")
    agree(GPT2Tokenizer.from_pretrained(again), reference("GPT2Tokenizer", again))
    assert ours("a")["input_ids"] == GPT2Tokenizer.from_pretrained(again)("a")["input_ids"]
    assert ours("a")["input_ids"] != bytelevel()("a")["input_ids"]


def test_the_whole_file_says_whether_a_text_has_a_beginning(tmp_path: Path) -> None:
    folder = saved(bytelevel(), tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"add_bos_token": true}')
    agree(GPT2Tokenizer.from_pretrained(folder), reference("GPT2Tokenizer", folder))
    assert GPT2Tokenizer.from_pretrained(folder)("a") == bytelevel()("a")
    only(tmp_path, "vocab.json", "merges.txt", "tokenizer_config.json")
    ours = GPT2Tokenizer.from_pretrained(folder)
    agree(ours, reference("GPT2Tokenizer", folder))
    assert ours("a")["input_ids"][0] == ours.bos_token_id


@pytest.mark.parametrize("kind", ["BertTokenizer", "GPT2Tokenizer", "AutoTokenizer"])
def test_what_we_save_transformers_loads(kind: str, tmp_path: Path) -> None:
    own: Any = bytelevel() if kind == "GPT2Tokenizer" else wordpiece()
    ours = type(own).from_pretrained(saved(own, tmp_path / "a"), padding_side="left")
    ours.add_special_tokens({"pad_token": "<pad>", "extra_special_tokens": ["<x>", "<y>"]})
    ours.add_tokens(["addedword"])
    ours(HARD, padding=True, truncation=True, max_length=7)  # is no part of what is saved
    folder = saved(ours, tmp_path / "b")
    whole = json.loads((tmp_path / "b" / "tokenizer.json").read_text())
    assert whole["padding"] is whole["truncation"] is None
    theirs, again = reference(kind, folder), type(ours).from_pretrained(folder)
    for one in (again, theirs):
        same(one("<x> addedword <y>", verbose=False), ours("<x> addedword <y>", verbose=False))
        assert (one.pad_token, one.padding_side) == ("<pad>", "left")
        assert len(one) == len(ours) and one.extra_special_tokens == ["<x>", "<y>"]
        assert one.model_max_length == ours.model_max_length
    agree(again, theirs)
    theirs.save_pretrained(tmp_path / "c")
    agree(type(ours).from_pretrained(tmp_path / "c"), theirs)


def test_files_of_older_releases(tmp_path: Path) -> None:
    """Tokens as dictionaries, special_tokens_map.json, added_tokens.json, added_tokens_decoder."""
    folder = saved(wordpiece(), tmp_path)
    only(tmp_path, "vocab.txt")
    size = len(wordpiece())
    token = {"content": "[MASK]", "lstrip": True, "rstrip": False, "normalized": False,
             "single_word": False}  # fmt: skip
    (tmp_path / "special_tokens_map.json").write_text(
        json.dumps({"mask_token": token, "additional_special_tokens": ["<new>"]})
    )
    (tmp_path / "added_tokens.json").write_text(json.dumps({"<new>": size, "plainword": size + 1}))
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps({"do_lower_case": True, "model_max_length": 99, "never_split": None})
    )
    for _ in range(2):
        ours, theirs = BertTokenizer.from_pretrained(folder), reference("BertTokenizer", folder)
        text = "a <new> [MASK] plainword [MASK]b"
        same(ours(text), theirs(text))
        assert ours.model_max_length == 99 and len(ours) == len(theirs) == size + 2
        config = {"added_tokens_decoder": {
            str(size): {**token, "content": "<new>", "special": True},
            str(size + 1): {**token, "content": "plainword", "special": False},
        }, "model_max_length": 99}  # fmt: skip
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))


def test_lengths_in_the_file_are_not_kept(tmp_path: Path) -> None:
    backend = wordpiece().backend_tokenizer
    folder = saved(wordpiece(), tmp_path)
    backend.enable_truncation(5)
    backend.enable_padding(length=9, direction="left", pad_token="[PAD]")
    backend.save(str(tmp_path / "tokenizer.json"))
    only(tmp_path, "tokenizer.json")
    agree(BertTokenizer.from_pretrained(folder), reference("BertTokenizer", folder))
    ours = PreTrainedTokenizerFast(tokenizer_file=tmp_path / "tokenizer.json")
    same(ours("a b c d e f"), reference("PreTrainedTokenizerFast", folder)("a b c d e f"))


def damaged(folder: Path, name: str, content: bytes) -> Path:
    (folder / name).write_bytes(content)
    return folder


def test_folders_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="bert-base-uncased. is no folder(.|\n)*hf download"):
        BertTokenizer.from_pretrained("bert-base-uncased")
    with pytest.raises(CheckpointError, match="has no tokenizer: neither(.|\n)*it has nothing"):
        AutoTokenizer.from_pretrained(tmp_path)
    folder = Path(saved(wordpiece(), tmp_path / "w"))
    with pytest.raises(CheckpointError, match="holds a WordPiece model, GPT2Tokenizer needs BPE"):
        GPT2Tokenizer.from_pretrained(folder)
    half = (folder / "tokenizer.json").read_bytes()[:500]
    with pytest.raises(CheckpointError, match="tokenizer.json is damaged or no JSON file"):
        BertTokenizer.from_pretrained(damaged(folder, "tokenizer.json", half))
    with pytest.raises(CheckpointError, match="holds a list, expected an object"):
        BertTokenizer.from_pretrained(damaged(folder, "tokenizer.json", b"[]"))
    with pytest.raises(CheckpointError, match="has no model with a vocabulary"):
        BertTokenizer.from_pretrained(damaged(folder, "tokenizer.json", b'{"model": 3}'))
    with pytest.raises(CheckpointError, match="tokenizer.json is damaged"):
        PreTrainedTokenizerFast.from_pretrained(folder)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match=r"has no \[UNK\], the token for words"):
        BertTokenizer.from_pretrained(damaged(folder, "vocab.txt", b"a\nb\n"))
    with pytest.raises(CheckpointError, match="vocab.txt is damaged"):
        BertTokenizer.from_pretrained(damaged(folder, "vocab.txt", b"\xff\xfe\x00a\n"))
    with pytest.raises(CheckpointError, match="has no tokenizer.json"):
        PreTrainedTokenizerFast.from_pretrained(folder)
    with pytest.raises(CheckpointError, match="neither tokenizer.json nor vocab.json and merges"):
        GPT2Tokenizer.from_pretrained(folder)
    with pytest.raises(CheckpointError, match="is a file, expected a folder"):
        wordpiece().save_pretrained(folder / "vocab.txt")


def test_damaged_merges(tmp_path: Path) -> None:
    folder = Path(saved(bytelevel(), tmp_path))
    only(folder, "vocab.json", "merges.txt")
    with pytest.raises(CheckpointError, match="merges.txt is damaged"):
        GPT2Tokenizer.from_pretrained(damaged(folder, "merges.txt", b"#version\nonlyone\n"))
    with pytest.raises(CheckpointError, match="merges"):
        GPT2Tokenizer.from_pretrained(damaged(folder, "merges.txt", b"#version\nzzz qqq\n"))
    with pytest.raises(CheckpointError, match="neither tokenizer.json nor vocab.txt"):
        BertTokenizer.from_pretrained(folder)


def test_settings_that_do_not_exist(tmp_path: Path) -> None:
    folder = saved(wordpiece(), tmp_path)
    with pytest.raises(ArgumentError, match="no setting padding_sid(.|\n)*nearest is padding_side"):
        BertTokenizer.from_pretrained(folder, padding_sid="left")
    with pytest.raises(ArgumentError, match="padding_side expects 'left' or 'right', got 'top'"):
        BertTokenizer.from_pretrained(folder, padding_side="top")
    with pytest.raises(ArgumentError, match="truncation_side is 'left' or 'right'"):
        BertTokenizer.from_pretrained(folder, truncation_side="top")
    with pytest.raises(ArgumentError, match="vocab and merges are two paths"):
        GPT2Tokenizer({"a": 0}, "merges.txt")
    with pytest.raises(ArgumentError, match="no UTF-8"):
        GPT2Tokenizer(errors="strict")
    with pytest.raises(ArgumentError, match="from_pretrained"):
        AutoTokenizer()
    with pytest.raises(ArgumentError, match="one of them"):
        PreTrainedTokenizerFast()


PROGRAM = """
import sys
sys.modules["tokenizers"] = None
import tinygrad_ai.text as T
try:
    T.BertTokenizer()
except ImportError as error:
    print(error)
"""


def test_without_the_library(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert "tokenizers is not installed" in done.stdout, done.stderr
    assert "pip install 'tinygrad-ai[text]'" in done.stdout


@pytest.mark.large
@pytest.mark.parametrize("kind", ["BertTokenizer", "AutoTokenizer"])
def test_minilm(kind: str) -> None:
    folder = large(data.minilm)
    ours = getattr(sys.modules[__name__], kind).from_pretrained(folder)
    agree(ours, reference(kind, str(folder)))
    texts = large(data.reviews).test.text[:300]
    same(ours(texts, truncation=True, padding=True, max_length=64, return_tensors="pt"),
         reference(kind, str(folder))(
             texts, truncation=True, padding=True, max_length=64, return_tensors="np"
         ))  # fmt: skip


@pytest.mark.large
def test_gpt2(tmp_path: Path) -> None:
    folder = large(data.gpt2_tokenizer)
    ours = GPT2Tokenizer.from_pretrained(folder)
    paths = str(folder / "encoder.json"), str(folder / "vocab.bpe")
    theirs = transformers().GPT2Tokenizer(*paths)
    agree(ours, theirs)
    agree(ours, reference("GPT2Tokenizer", saved(ours, tmp_path)))
    assert ours("Hello world")["input_ids"] == [15496, 995]  # as OpenAI's own code gives them
    work = large(data.shakespeare)[0].read_text()
    ids = ours(work, verbose=False)["input_ids"]
    assert ids == theirs(work, verbose=False)["input_ids"] and ours.decode(ids) == work
