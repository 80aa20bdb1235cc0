"""Checkpoints and configurations that are refused, with what is wrong and what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import tinygrad_ai as ta
from tests.hf_help import BERT, GPT2
from tinygrad_ai import models
from tinygrad_ai.errors import CheckpointError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    models.BertForSequenceClassification(models.BertConfig(**BERT)).save_pretrained(tmp_path)
    return tmp_path


def refused(folder: Any, message: str, kind: Any = models.BertModel, **options: Any) -> str:
    with pytest.raises(CheckpointError, match=message) as caught:
        kind.from_pretrained(folder, **options)
    return str(caught.value)


def test_a_name_that_is_no_folder() -> None:
    for kind in (models.BertModel, models.BertConfig):
        text = refused("google-bert/bert-base-uncased", "is no folder on this machine", kind)
        assert "fix: hf download google-bert/bert-base-uncased --local-dir" in text
    for path in ("/models/bert", "./bert", "../models/bert", "a/b/bert"):
        assert "fix: hf download NAME --local-dir" in refused(path, "is no folder on this machine")


def test_what_is_no_folder(folder: Path) -> None:
    text = refused(folder / "model.safetensors", "is a file, expected the folder with a model")
    assert str(folder) in text
    for load in (models.BertModel.from_pretrained, models.AutoModel.from_pretrained):
        with pytest.raises(ValueError, match="expected a folder with a model, got NoneType"):
            load(None)


def test_pickles(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    text = refused(folder, "pytorch_model.bin: pickled files can run any code")
    assert "fix: in PyTorch:" in text and "save_pretrained(folder)" in text
    (folder / "pytorch_model.bin").unlink()
    text = refused(folder, "holds neither model.safetensors nor model.safetensors.index.json")
    assert "fix: hf download" in text


def test_damaged_files(folder: Path) -> None:
    path = folder / "model.safetensors"
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    for part, message in (
        (content[:-10], "model.safetensors is damaged.*it is cut off"),
        (content[: 8 + length // 2], "its header would end at byte"),
        (content[:4], "its header would end at byte"),
        (b"", "its header would end at byte"),
        (b"version https://git-lfs.github.com/spec/v1\n", "no weights(.|\n)*fix: git lfs pull"),
        (b"<!DOCTYPE html><html>", "its header would end at byte"),
        (content[:8] + b"x" * (len(content) - 8), "its header is no JSON object"),
    ):
        path.write_bytes(part)
        refused(folder, message)
    for change, message in (
        ({"shape": [2, 2]}, r"classifier.bias \(2, 2\) of F32 has 12 bytes"),
        ({"dtype": "F8_E5M2"}, "classifier.bias is of dtype F8_E5M2, which is not known"),
        ({"data_offsets": [12, 0]}, "has -12 bytes"),
        ({"data_offsets": None}, "classifier.bias has no dtype, shape and data_offsets"),
    ):
        entry = {**header["classifier.bias"], **change}
        text = json.dumps({**header, "classifier.bias": entry}).encode()
        path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])
        refused(folder, message)


def test_sizes_that_do_not_fit(folder: Path) -> None:
    kind = models.BertForSequenceClassification
    text = refused(folder, "the weights do not fit BertForSequence", kind, num_labels=4)
    assert "classifier.weight: the file has (3, 32), the model (4, 32)" in text
    assert "bert" not in text.split("Classification:")[1].split("fix:")[0]
    model, info = kind.from_pretrained(
        folder, num_labels=4, ignore_mismatched_sizes=True, output_loading_info=True
    )
    assert model.classifier.weight.shape == (4, 32)
    bias, weight = sorted(info["mismatched_keys"])
    assert bias == ("classifier.bias", (3,), (4,))
    assert weight == ("classifier.weight", (3, 32), (4, 32))
    assert model.classifier.weight.detach().any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "llama"}, "expected model_type 'bert' for BertConfig, got 'llama'"),
        ({"hidden_size": None}, "config.json lacks hidden_size"),
        ({"hidden_size": 30}, "hidden size 30 does not divide into 4 heads"),
        ({"num_attention_heads": 0}, "expected num_attention_heads to be a whole number > 0"),
        ({"vocab_size": "60"}, "expected vocab_size to be a whole number > 0, got '60'"),
        ({"hidden_dropout_prob": 1.5}, r"hidden_dropout_prob to be a number in \[0, 1\], got 1.5"),
        ({"layer_norm_eps": "1e-12"}, "expected layer_norm_eps to be a number >= 0, got '1e-12'"),
        ({"initializer_range": -1}, "expected initializer_range to be a number >= 0, got -1"),
        ({"id2label": ["A", "B"]}, r"expected id2label to be a dictionary, got \['A', 'B'\]"),
        ({"hidden_act": "gelus"}, "expected hidden_act to be one of gelu, .*, got 'gelus'"),
        ({"problem_type": "ranking"}, "expected problem_type to be one of regression"),
        ({"position_embedding_type": "relative_key"}, "expected position_embedding_type 'abs"),
        ({"is_decoder": True}, "decoders with cross attention are not supported"),
        ({"pad_token_id": 99}, "expected pad_token_id to be in the vocabulary of 60, got 99"),
        ({"id2label": {"x": "A"}}, "config.json: .*'x'"),
    ],
    ids=lambda v: next(iter(v)) if isinstance(v, dict) else "",
)
def test_configurations(folder: Path, changes: dict[str, Any], message: str) -> None:
    path = folder / "config.json"
    values = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({k: v for k, v in values.items() if v is not None}))
    assert str(path) in refused(folder, message)


def test_a_configuration_that_is_none(folder: Path) -> None:
    (folder / "config.json").write_text("{")
    refused(folder, "config.json is no JSON")
    (folder / "config.json").write_text("[]")
    refused(folder, "expected a JSON object, got list")
    (folder / "config.json").unlink()
    refused(folder, "config.json does not exist")


def test_misspelt_keywords(folder: Path) -> None:
    with pytest.raises(ValueError, match="did you mean 'num_hidden_layers'"):
        models.BertConfig(num_hidden_layer=3)
    with pytest.raises(ValueError, match="no 'num_label'.*\n.*did you mean 'num_labels'"):
        models.BertForSequenceClassification.from_pretrained(folder, num_label=4)
    with pytest.raises(ValueError, match="expected use_safetensors to be one of"):
        models.BertModel.from_pretrained(folder, use_safetensors=False)
    config = models.BertConfig.from_pretrained(folder)
    for kind in (models.BertForSequenceClassification, models.AutoModelForSequenceClassification):
        with pytest.raises(ValueError, match="num_labels and config= exclude(.|\n)*_labels = 3"):
            kind.from_pretrained(folder, config=config, num_labels=3)
    with pytest.raises(ValueError, match="expected num_labels to be a whole number > 0, got 0"):
        models.BertModel.from_pretrained(folder, num_labels=0)
    with pytest.raises(ValueError, match="expected a BertConfig, got GPT2Config"):
        models.BertModel(models.GPT2Config(**GPT2))
    with pytest.raises(TypeError, match="save_pretrained takes no push_to_hub"):
        models.BertModel.from_pretrained(folder).save_pretrained(folder, push_to_hub=True)


def test_inputs_that_are_refused(folder: Path) -> None:
    model = models.BertForSequenceClassification.from_pretrained(folder)
    ids = ta.ones(2, 5, dtype=ta.int64)
    with pytest.raises(
        RuntimeError, match=r"at most 24 tokens \(max_position_embeddings\), got 25"
    ):
        model(ta.ones(1, 25, dtype=ta.int64))
    with pytest.raises(IndexError, match="expected labels from 0 to 2, got 3 at position 1"):
        model(ids, labels=ta.tensor([0, 3]))
    with pytest.raises(IndexError, match="60"):
        model(ids * 60)
    with pytest.raises(ValueError, match="expected attention_mask to be a tensor, got list"):
        model(ids, attention_mask=[[1] * 5] * 2)
    for kind in (models.BertForSequenceClassification, models.BertForTokenClassification):
        with pytest.raises(ValueError, match="expected labels to be a tensor, got list"):
            kind.from_pretrained(folder)(ids, labels=[0, 1])
    gpt = models.GPT2LMHeadModel(models.GPT2Config(**GPT2))
    with pytest.raises(ValueError, match="expected labels to be a tensor, got list"):
        gpt(ids, labels=[[1] * 5] * 2)
    with pytest.raises(RuntimeError, match=r"expected attention_mask \(2, 5\), got \(5, 2\)"):
        model(ids, attention_mask=ids.T)
    with pytest.raises(RuntimeError, match=r"expected input_ids \(batch, length\) of integers"):
        model(ids[0])
    for given, named in (([[1, 2]], "list"), (ids.numpy(), "numpy.ndarray")):
        with pytest.raises(RuntimeError, match=f'got {named}(.|\n)*return_tensors="ta"'):
            model(given)
    for name in ("token_type_ids", "position_ids"):
        for network in (model, gpt):
            with pytest.raises(ValueError, match=f"expected {name} to be a tensor, got list"):
                network(ids, **{name: [[0] * 5] * 2})
            with pytest.raises(RuntimeError, match=rf"expected {name} \(batch, 5\), got \(2, 4\)"):
                network(ids, **{name: ta.zeros(2, 4, dtype=ta.int64)})
    with pytest.raises(RuntimeError, match="expected a token to go on from(.|\n)*bos_token_id"):
        gpt.generate(ids[:, :0])
    with pytest.raises(RuntimeError, match=r"labels \(2, 3\) for multi(.|\n)*fix: labels.long"):
        model(ids, labels=ta.tensor([0.0, 1.0]))
    model(ids, labels=ta.tensor([0, 1]))  # as the error said: it has decided nothing
    assert model.config.problem_type == "single_label_classification"
    with pytest.raises(TypeError, match="expects whole labels, got float32(.|\n)*labels.long()"):
        model(ids, labels=ta.tensor([0.0, 1.0]))
    model.config.problem_type = "multi_label_classification"
    with pytest.raises(TypeError, match="expects labels of 0.0 and 1.0, got int64"):
        model(ids, labels=ta.ones(2, 3, dtype=ta.int64))
    with pytest.raises(
        RuntimeError, match=r"expected labels \(2, 3\) for multi_label_.*, got \(2,\)"
    ):
        model(ids, labels=ta.ones(2))


def test_nothing_is_overwritten(folder: Path) -> None:
    """A folder that cannot be loaded leaves no trace in it; a file is no folder to save to."""
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    refused(folder, "do not fit", models.BertModel, vocab_size=61)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    model = models.BertModel.from_pretrained(folder)
    with pytest.raises(CheckpointError, match="expected a folder to save to"):
        model.save_pretrained(folder / "config.json")
