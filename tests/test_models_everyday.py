"""What programs for transformers call every day, beside transformers."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_ai as ta
from tests.hf_help import (
    BERT,
    GPT2,
    close,
    given,
    library,
    padding,
    same_gradients,
    theirs_of,
    tokens,
    twins,
)  # fmt: skip
from tinygrad_ai import models, text
from tinygrad_ai.errors import ArgumentError, CheckpointError, ShapeError

hf = library()
torch = pytest.importorskip("torch", reason="PyTorch is the reference of this test")
KINDS = ["BertModel", "BertForMaskedLM", "BertForSequenceClassification", "GPT2LMHeadModel"]


@pytest.mark.parametrize("kind", [*KINDS, "BertForTokenClassification", "GPT2Model"])
def test_vectors_in_the_place_of_ids(tmp_path: Path, kind: str) -> None:
    """Results, and the gradients of the vectors and of every parameter."""
    ours, theirs = twins(kind, tmp_path)
    x = np.random.default_rng(0).normal(size=(3, 9, 32))
    mine, other = ta.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    mask = {"attention_mask": padding("left")}
    found = ours(inputs_embeds=mine, **given(mask, False))[0]
    wanted = theirs(inputs_embeds=other, **given(mask, True))[0]
    close(found, wanted)
    weights = np.random.default_rng(1).normal(size=wanted.shape)
    (found * ta.tensor(weights)).sum().backward()
    (wanted * torch.tensor(weights)).sum().backward()
    close(mine.grad, other.grad)
    same_gradients(ours, theirs)
    table = ours.get_input_embeddings()
    ids = ta.tensor(tokens())
    close(ours(inputs_embeds=table(ids))[0], ours(ids)[0])


def test_vectors_go_on_from_a_cache(tmp_path: Path) -> None:
    ours, _ = twins("GPT2LMHeadModel", tmp_path)
    ids = ta.tensor(tokens())
    whole = ours(ids).logits
    first = ours(ids[:, :5], use_cache=True)
    rest = ours(None, first.past_key_values, inputs_embeds=ours.get_input_embeddings()(ids[:, 5:]))
    close(rest.logits, whole[:, 5:])


def test_vectors_that_are_refused() -> None:
    config = models.BertConfig(**BERT)
    for model in (models.BertModel(config), models.GPT2Model(models.GPT2Config(**GPT2))):
        ids = ta.tensor(tokens())
        x = ta.zeros(3, 9, 32)
        with pytest.raises(ArgumentError, match="input_ids and inputs_embeds exclude each other"):
            model(ids, inputs_embeds=x)
        with pytest.raises(ArgumentError, match="expected input_ids or inputs_embeds, got neither"):
            model()
        for wrong, came in ((x[0], r"\(9, 32\)"), (x[..., :31], r"\(3, 9, 31\)"), (ids, "int64")):
            with pytest.raises(ShapeError, match=rf"inputs_embeds \(batch, length, 32\).*{came}"):
                model(inputs_embeds=wrong)


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_are_counted(tmp_path: Path, kind: str) -> None:
    ours, theirs = twins(kind, tmp_path)
    assert ours.num_parameters() == theirs.num_parameters() > 10_000
    count = ours.num_parameters(exclude_embeddings=True)
    assert count == theirs.num_parameters(exclude_embeddings=True) < ours.num_parameters()
    for model in (ours, theirs):
        model.base_model.requires_grad_(False)
    trained = ours.num_parameters(only_trainable=True)
    assert trained == theirs.num_parameters(only_trainable=True) < 10_000
    assert (ours.get_output_embeddings() is None) == (theirs.get_output_embeddings() is None)


SIZES = {"KB": "9.5KB", "small letters": "30 kb", "bytes": 25_000, "all in one": "1GB"}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_shards_are_those_of_transformers(tmp_path: Path, kind: str, size: str) -> None:
    from safetensors.torch import load_file

    ours, theirs = twins(kind, tmp_path / "start")
    ours.save_pretrained(tmp_path / "a", max_shard_size=SIZES[size])
    theirs.save_pretrained(tmp_path / "b", max_shard_size=SIZES[size])
    a, b = [{p.name for p in (tmp_path / f).glob("model*")} for f in "ab"]
    assert a == b and (len(a) > 3 or size == "all in one")
    for name in a:
        files = [tmp_path / f / name for f in "ab"]
        if name.endswith(".json"):
            assert json.loads(files[0].read_text()) == json.loads(files[1].read_text())
        else:
            mine, wanted = map(load_file, files)
            assert mine.keys() == wanted.keys()
            assert all(torch.equal(mine[k], wanted[k]) for k in mine)
    wanted = theirs(torch.tensor(tokens()))[0]
    close(getattr(hf, kind).from_pretrained(tmp_path / "a")(torch.tensor(tokens()))[0], wanted)
    for folder in "ab":
        again = getattr(models, kind).from_pretrained(tmp_path / folder, dtype=ta.float64)
        close(again(ta.tensor(tokens()))[0], wanted)


def test_a_later_save_leaves_nothing_of_an_earlier_one(tmp_path: Path) -> None:
    ta.manual_seed(0)
    model = models.BertModel(models.BertConfig(**BERT))
    for size in ("40KB", "1GB", "20KB", "40KB", "1GB"):
        with ta.no_grad():
            model.pooler.dense.bias.add_(1)
        model.save_pretrained(tmp_path, max_shard_size=size)
        files = {p.name for p in tmp_path.iterdir()}
        wanted = {"config.json", "model.safetensors"}
        if size != "1GB":
            index = tmp_path / "model.safetensors.index.json"
            shards = json.loads(index.read_text())["weight_map"].values()
            assert len(set(shards)) > 2
            wanted = {"config.json", index.name, *shards}
        assert files == wanted
        again = models.BertModel.from_pretrained(tmp_path)
        assert ta.equal(again.pooler.dense.bias, model.pooler.dense.bias)


def test_a_crash_leaves_the_old_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tinygrad_ai.models import saving

    model = models.BertModel(models.BertConfig(**BERT))
    model.save_pretrained(tmp_path, max_shard_size="40KB")
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with ta.no_grad():
        model.pooler.dense.bias.add_(1)
    calls: list[Any] = []
    whole = saving.save_large

    def full(*args: Any) -> None:
        calls.append(args)
        if len(calls) == 3:
            raise OSError("no space left")
        whole(*args)

    monkeypatch.setattr(saving, "save_large", full)
    with pytest.raises(OSError, match="no space left"):
        model.save_pretrained(tmp_path, max_shard_size="30KB")
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_files_of_two_saves_are_never_one_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash while the files of a save come to their place."""
    from tinygrad_ai.models import saving

    model = models.BertModel(models.BertConfig(**BERT))
    model.save_pretrained(tmp_path, max_shard_size="40KB")
    moved: list[Any] = []
    move = saving.replace

    def stopped(source: Any, target: Any) -> None:
        moved.append(target)
        if len(moved) == 2:
            raise KeyboardInterrupt
        move(source, target)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(saving, "replace", stopped)
        model.save_pretrained(tmp_path, max_shard_size="40KB")
    assert len(moved) == 2 and not list(tmp_path.glob(".saving*"))
    with pytest.raises(CheckpointError, match="holds neither model.safetensors nor"):
        models.BertModel.from_pretrained(tmp_path)
    model.save_pretrained(tmp_path, max_shard_size="40KB")
    models.BertModel.from_pretrained(tmp_path)


def test_sizes_that_are_refused(tmp_path: Path) -> None:
    model = models.BertModel(models.BertConfig(**BERT))
    for size in ("5", "5PB", "big", 0, -1, 1.5, True, None, "0KB"):
        with pytest.raises(ArgumentError, match="expected max_shard_size to be a number of bytes"):
            model.save_pretrained(tmp_path / "a", max_shard_size=size)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(
    "kind", ["BertForMaskedLM", "BertForTokenClassification", "GPT2LMHeadModel"]
)
@pytest.mark.parametrize("count", [71, 41])
def test_a_vocabulary_of_another_size(tmp_path: Path, kind: str, tied: bool, count: int) -> None:
    changes = {} if "Bert" in kind else {"bos_token_id": 0, "eos_token_id": 0}
    ours, theirs = twins(kind, tmp_path, tie_word_embeddings=tied, **changes)
    old = {name: p.detach().numpy().copy() for name, p in ours.named_parameters()}
    assert ours.resize_token_embeddings() is ours.get_input_embeddings()
    table = ours.resize_token_embeddings(count)
    theirs.resize_token_embeddings(count)
    assert table.weight.shape == (count, 32) and ours.config.vocab_size == count
    wanted = {name: tuple(p.shape) for name, p in theirs.named_parameters()}
    found = {name: tuple(p.shape) for name, p in ours.named_parameters()}
    assert wanted.items() <= found.items()  # resizing ties their biases, even if nothing else is
    assert found.keys() == old.keys()
    for name, p in ours.named_parameters():
        rows = min(len(p), len(old[name]))
        np.testing.assert_array_equal(p.detach().numpy()[:rows], old[name][:rows])
    if count > 60:
        mean = theirs.get_input_embeddings().weight[60:].mean(0)
        close(table.weight[60:].mean(0), mean, tolerance=1e-4)
        assert len(np.unique(table.weight[60:].detach().numpy(), axis=0)) == 11
    ids = ta.tensor([[count - 1, 5]])
    assert ours(ids).logits.shape[-1] == theirs(torch.tensor([[count - 1, 5]])).logits.shape[-1]
    ours.save_pretrained(tmp_path / "new")
    _, info = getattr(hf, kind).from_pretrained(tmp_path / "new", output_loading_info=True)
    assert not any(info.values())


def test_new_words_as_a_new_model_has_them() -> None:
    config = models.GPT2Config(**GPT2, initializer_range=0.5)
    model = models.GPT2LMHeadModel(config)
    model.transformer.wte.requires_grad_(False)
    new = model.resize_token_embeddings(160, mean_resizing=False).weight
    assert 0.45 < float(new[60:].std()) < 0.55 and model.lm_head.weight is new
    assert not new.requires_grad and model.lm_head.out_features == 160


def test_vocabularies_that_are_refused() -> None:
    model = models.BertForMaskedLM(models.BertConfig(**BERT, pad_token_id=3))
    before = model.state_dict()
    for count in (3, 0, -5, 4.5, True):
        with pytest.raises(ArgumentError, match="a whole number > pad_token_id, which is 3, got"):
            model.resize_token_embeddings(count)
    after = model.state_dict()
    assert all(after[name] is not None and ta.equal(after[name], t) for name, t in before.items())
    gpt = models.GPT2Model(models.GPT2Config(**GPT2))
    with pytest.raises(ArgumentError, match="expected new_num_tokens to be a whole number > 0"):
        gpt.resize_token_embeddings(0)


AUTO = {
    "AutoModel": ("BertModel", "GPT2Model"),
    "AutoModelForSequenceClassification": ("BertForSequenceClassification",),
    "AutoModelForTokenClassification": ("BertForTokenClassification",),
    "AutoModelForMaskedLM": ("BertForMaskedLM",),
    "AutoModelForCausalLM": ("GPT2LMHeadModel",),
}  # fmt: skip


@pytest.mark.parametrize("auto", AUTO)
def test_the_class_of_a_folder(tmp_path: Path, auto: str) -> None:
    for kind in AUTO[auto]:
        theirs = theirs_of(kind)
        theirs.save_pretrained(tmp_path / kind)
        made = getattr(models, auto).from_pretrained(tmp_path / kind, dtype=ta.float64)
        assert type(made) is getattr(models, kind) and not made.training
        close(made(ta.tensor(tokens()))[0], theirs(torch.tensor(tokens()))[0])
        assert type(getattr(hf, auto).from_config(theirs.config)).__name__ == kind
        config = models.AutoConfig.from_pretrained(tmp_path / kind, num_labels=4)
        assert type(config) is type(made.config) and config.num_labels == 4
        assert type(getattr(models, auto).from_config(config)) is getattr(models, kind)
    if auto != "AutoModel":
        config = models.GPT2Config(**GPT2) if "Bert" in AUTO[auto][0] else models.BertConfig(**BERT)
        with pytest.raises(ArgumentError, match=f"{auto} has no model for '{config.model_type}'"):
            getattr(models, auto).from_config(config)
    with pytest.raises(ArgumentError, match=f"fix: {auto}.from_pretrained"):
        getattr(models, auto)()


def test_what_is_said_about_downloading_is_ignored(tmp_path: Path) -> None:
    theirs_of("BertForSequenceClassification").save_pretrained(tmp_path)
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n")
    said: dict[str, Any] = {
        "cache_dir": "somewhere", "revision": "main", "token": None, "local_files_only": True,
        "trust_remote_code": False, "force_download": True,
    }  # fmt: skip
    config = models.AutoConfig.from_pretrained(tmp_path, **said)
    assert config == models.BertConfig.from_pretrained(tmp_path)
    named = tmp_path / "a.json"  # a folder
    config.save_pretrained(named)
    assert config == models.BertConfig.from_pretrained(named)
    for kind in (models.AutoModelForSequenceClassification, models.BertForSequenceClassification):
        assert kind.from_pretrained(tmp_path, device_map="cpu", **said).config == config
    if importlib.util.find_spec("tokenizers"):
        tokenizer = text.AutoTokenizer.from_pretrained(tmp_path, use_fast=True, **said)
        assert tokenizer("a")["input_ids"] == [2, 5, 3]
    with pytest.raises(ArgumentError, match="expected device_map to be one of"):
        models.AutoModel.from_pretrained(tmp_path, device_map="auto")


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float64"])
def test_the_dtype_of_the_file(tmp_path: Path, kind: str) -> None:
    if kind == "bfloat16":
        pytest.importorskip("ml_dtypes", reason="the extra bfloat16 is not installed")
    theirs = theirs_of("GPT2Model").to(getattr(torch, kind))
    theirs.save_pretrained(tmp_path)
    for options in ({"dtype": "auto"}, {"torch_dtype": "auto"}, {"torch_dtype": getattr(ta, kind)}):
        ours = models.GPT2Model.from_pretrained(tmp_path, **options)
        assert {str(p.dtype) for p in ours.parameters()} == {kind}
    wide = models.GPT2Model.from_pretrained(tmp_path, dtype=ta.float64, torch_dtype=ta.float32)
    assert wide.dtype == ta.float64
    close(wide.wte.weight, theirs.wte.weight.double())


def test_folders_of_no_class(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="config.json does not exist"):
        models.AutoModel.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    with pytest.raises(CheckpointError, match="expected model_type bert or gpt2, got 'llama'"):
        models.AutoModelForCausalLM.from_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="hf download"):
        models.AutoConfig.from_pretrained("google-bert/bert-base-uncased")


def test_the_labels_of_a_configuration(tmp_path: Path) -> None:
    """Either dictionary names the classes."""
    config = models.BertConfig(**BERT)
    config.label2id = {"bad": 0, "good": 1, "so so": 2}
    assert config.id2label == {0: "bad", 1: "good", 2: "so so"} and config.num_labels == 3
    config.id2label = {0: "down", 1: "up"}
    assert config.label2id == {"down": 0, "up": 1} and config.num_labels == 2
    with pytest.raises(ValueError, match=r"expected label2id to be a dictionary, got \['bad'\]"):
        config.label2id = ["bad"]
    config.save_pretrained(tmp_path)
    assert models.BertConfig.from_pretrained(tmp_path).id2label == {0: "down", 1: "up"}
