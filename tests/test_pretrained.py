"""Checkpoints: folders of transformers load here, ours load there, and little memory is used."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_ai as ta
from tests.hf_help import BERT, GPT2, close, library, theirs_of, tokens
from tinygrad_ai import models, serialization
from tinygrad_ai.nn import init

hf = library()
torch = pytest.importorskip("torch", reason="PyTorch is the reference of this test")
from safetensors.torch import load_file, save_file  # noqa: E402

KINDS = [
    "BertModel", "BertForSequenceClassification", "BertForMaskedLM", "BertForTokenClassification",
    "GPT2Model", "GPT2LMHeadModel",
]  # fmt: skip


def result(model: Any) -> Any:
    ids = ta.tensor(tokens()) if isinstance(model, ta.nn.Module) else torch.tensor(tokens())
    return model(ids)[0]


@pytest.mark.parametrize("kind", KINDS)
def test_there_and_back(tmp_path: Path, kind: str) -> None:
    theirs = theirs_of(kind)
    theirs.save_pretrained(tmp_path / "a")
    ours, info = getattr(models, kind).from_pretrained(
        tmp_path / "a", dtype=ta.float64, output_loading_info=True
    )
    assert not any(info.values()) and not ours.training
    close(result(ours), result(theirs))
    ours.save_pretrained(tmp_path / "b")
    a, b = [load_file(tmp_path / f / "model.safetensors") for f in "ab"]
    assert a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)
    back, info = getattr(hf, kind).from_pretrained(tmp_path / "b", output_loading_info=True)
    assert not any(info.values())
    assert back.dtype == torch.float64
    close(result(back), result(theirs))
    saved = json.loads((tmp_path / "b" / "config.json").read_text())
    assert saved["architectures"] == [kind] and saved["model_type"] == ours.config.model_type


def test_shards(tmp_path: Path) -> None:
    theirs = theirs_of("BertForMaskedLM")
    theirs.save_pretrained(tmp_path, max_shard_size="40KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 2
    ours = models.BertForMaskedLM.from_pretrained(tmp_path, dtype=ta.float64)
    close(result(ours), result(theirs))
    index = tmp_path / "model.safetensors.index.json"
    where = json.loads(index.read_text())
    for name, message in (
        ("model-9.safetensors", "model-9.safetensors does not exist"),
        ("../x.safetensors", "expected file names, got '../x.safetensors'"),
    ):
        key = next(iter(where["weight_map"]))
        changed = {**where, "weight_map": {**where["weight_map"], key: name}}
        index.write_text(json.dumps(changed))
        with pytest.raises(RuntimeError, match=message):
            models.BertForMaskedLM.from_pretrained(tmp_path)
    other = sorted(set(where["weight_map"].values()))[-1]
    index.write_text(json.dumps({"weight_map": {**where["weight_map"], "bert.x": other}}))
    with pytest.raises(RuntimeError, match="holds bert.x, which it does not"):
        models.BertForMaskedLM.from_pretrained(tmp_path)
    index.write_text("[]")
    with pytest.raises(RuntimeError, match="no JSON with a weight_map"):
        models.BertForMaskedLM.from_pretrained(tmp_path)


def test_with_and_without_the_prefix(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A bare model's file for a model with a head, and the other way round."""
    theirs_of("BertModel").save_pretrained(tmp_path / "bare")
    with caplog.at_level(logging.INFO, "tinygrad_ai.models"):
        ours, info = models.BertForSequenceClassification.from_pretrained(
            tmp_path / "bare", num_labels=5, output_loading_info=True
        )
    assert info["missing_keys"] == ["classifier.weight", "classifier.bias"]
    (line,) = caplog.messages
    assert "newly initialised, to be trained: classifier.weight, classifier.bias" in line
    assert ours.classifier.weight.shape == (5, 32) and ours.config.num_labels == 5
    assert 0.01 < float(ours.classifier.weight.detach().std()) < 0.03
    assert not ours.classifier.bias.detach().any()
    theirs = theirs_of("BertForMaskedLM")
    theirs.save_pretrained(tmp_path / "head")
    bare, info = models.BertModel.from_pretrained(
        tmp_path / "head", add_pooling_layer=False, dtype=ta.float64, output_loading_info=True
    )
    assert info["missing_keys"] == [] and len(info["unexpected_keys"]) == 5
    close(bare(ta.tensor(tokens()))[0], theirs.bert(torch.tensor(tokens()))[0])


def test_layers_that_the_model_lacks_are_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A configuration with too few layers; a head that is not there is none."""
    for kind, bare in (("BertForMaskedLM", "BertModel"), ("GPT2LMHeadModel", "GPT2Model")):
        theirs_of(kind).save_pretrained(tmp_path / kind)
        with caplog.at_level(logging.INFO, "tinygrad_ai.models"):
            options = {"add_pooling_layer": False} if bare == "BertModel" else {}
            getattr(models, bare).from_pretrained(tmp_path / kind, **options)
            getattr(models, kind).from_pretrained(tmp_path / kind, num_hidden_layers=1)
        head, layer = caplog.records[-2:]
        assert head.levelno == logging.INFO and layer.levelno == logging.WARNING
        assert "1.attn" in layer.message or "layer.1.attention" in layer.message


def test_old_files(tmp_path: Path) -> None:
    """Norms called gamma and beta, buffers among the weights, a tied weight twice."""
    for kind, buffers in (
        ("BertForMaskedLM", {"bert.embeddings.position_ids": torch.arange(24)[None]}),
        ("GPT2LMHeadModel", {
            "transformer.h.0.attn.bias": torch.ones(1, 1, 40, 40),
            "transformer.h.0.attn.masked_bias": torch.tensor(-1e4),
        }),
    ):  # fmt: skip
        theirs = theirs_of(kind)
        folder = tmp_path / kind
        theirs.save_pretrained(folder)
        old = {k: v.clone() for k, v in theirs.state_dict().items()}
        old = {
            k.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
                "LayerNorm.bias", "LayerNorm.beta"
            ): v
            for k, v in old.items()
        }
        save_file({**old, **buffers}, folder / "model.safetensors")
        ours, info = getattr(models, kind).from_pretrained(
            folder, dtype=ta.float64, output_loading_info=True
        )
        assert not any(info.values())
        close(result(ours), result(theirs))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_smaller_dtypes(tmp_path: Path, dtype: str) -> None:
    theirs = theirs_of("BertModel").to(getattr(torch, dtype))
    theirs.save_pretrained(tmp_path)
    ours = models.BertModel.from_pretrained(tmp_path)
    wanted = dict(theirs.named_parameters())
    for name, p in ours.named_parameters():
        assert p.dtype == ta.float32
        np.testing.assert_array_equal(p.detach().numpy(), wanted[name].detach().float().numpy())
    wide = models.BertModel.from_pretrained(tmp_path, dtype=ta.float64)
    assert wide.dtype == ta.float64 and ta.get_default_dtype() == ta.float32


@pytest.mark.parametrize("key", ["dtype", "torch_dtype"])
def test_what_was_trained_in_float32_is_loaded_as_that(tmp_path: Path, key: str) -> None:
    theirs_of("BertModel").to(torch.float16).save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    read = json.loads(path.read_text())
    path.write_text(json.dumps({**{k: v for k, v in read.items() if k != "dtype"}, key: "float16"}))
    ours = models.BertModel.from_pretrained(tmp_path)
    ours.pooler.dense.weight.detach().add_(1e-5)  # lost in float16
    ours.save_pretrained(tmp_path)
    saved = json.loads(path.read_text())
    assert saved["dtype"] == "float32" and "torch_dtype" not in saved
    back = hf.BertModel.from_pretrained(tmp_path)
    assert back.dtype == torch.float32
    a, b = back.pooler.dense.weight, ours.pooler.dense.weight
    np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())


def test_tied_weights_stay_one() -> None:
    for kind, a, b in (
        ("BertForMaskedLM", "bert.embeddings.word_embeddings", "cls.predictions.decoder"),
        ("GPT2LMHeadModel", "transformer.wte", "lm_head"),
    ):
        config = models.BertConfig(**BERT) if "Bert" in kind else models.GPT2Config(**GPT2)
        model = getattr(models, kind)(config)
        assert model.get_parameter(f"{a}.weight") is model.get_parameter(f"{b}.weight")
        config.tie_word_embeddings = False
        model = getattr(models, kind)(config)
        assert model.get_parameter(f"{a}.weight") is not model.get_parameter(f"{b}.weight")


def test_nothing_is_drawn_before_loading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs_of("BertForMaskedLM").save_pretrained(tmp_path)
    ta.manual_seed(0)
    before = ta.get_rng_state()
    models.BertForMaskedLM.from_pretrained(tmp_path)
    assert ta.equal(ta.get_rng_state(), before)
    drawn: list[tuple[int, ...]] = []
    monkeypatch.setattr(
        init, "normal_", lambda p, *how: init.skipping() or drawn.append(tuple(p.shape))
    )
    models.BertForSequenceClassification.from_pretrained(tmp_path)
    assert drawn == [(32, 32), (3, 32)]  # the pooler and the head, which the file lacks


MEASURE = """
import resource, sys
import tinygrad_ai as ta
from tinygrad_ai import models, serialization
def peak():
    return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) * 1024
config = models.BertConfig(num_hidden_layers=1, vocab_size=4000, hidden_size=64,
    num_attention_heads=2, intermediate_size=64)
models.BertModel(config)(ta.ones(1, 4, dtype=ta.int64))
before = peak()
if sys.argv[1] == "load":
    model = models.BertModel.from_pretrained(sys.argv[2])
else:
    model = models.BertModel(models.BertConfig.from_pretrained(sys.argv[2]))
    before = peak()
    model.save_pretrained(sys.argv[3])
print(peak() - before)
"""


def grown(*args: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *args], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from /proc")
def test_memory_of_loading_and_saving(tmp_path: Path) -> None:
    """Loading: a little besides the model. Saving: no copy of a tensor, be it half of the file."""
    config = models.BertConfig(
        num_hidden_layers=4, vocab_size=30000, hidden_size=512, num_attention_heads=8,
        intermediate_size=2048,
    )  # fmt: skip
    models.BertModel(config).save_pretrained(tmp_path / "a")
    size = (tmp_path / "a" / "model.safetensors").stat().st_size
    assert size > 100e6
    assert 0.9 * size < grown("load", str(tmp_path / "a")) < 1.15 * size
    assert grown("save", str(tmp_path / "a"), str(tmp_path / "b")) < 0.2 * size


@pytest.mark.parametrize("piece", [1, 3, 2**20])
def test_pieces_and_layouts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int) -> None:
    """However a tensor is cut, and wherever it goes: transposed memory, a GPU, another dtype."""
    monkeypatch.setattr(serialization, "PIECE", piece)
    wanted = torch.arange(20.0).reshape(4, 5) / 8
    tensors = {"a": wanted, "b": wanted.bfloat16(), "c": wanted.half(), "d": torch.tensor(2.5)}
    save_file({**tensors, "e": torch.zeros(0, 3)}, tmp_path / "x.safetensors")
    file = serialization.SafetensorsFile(tmp_path / "x.safetensors")
    for name in "abc":
        for target in (ta.zeros(4, 5), ta.zeros(5, 4).T, ta.zeros(4, 5, dtype=ta.float64)):
            before = target._version
            file.read_into(name, target)
            close(target, wanted)
            assert target._version > before
    scalar, empty = ta.zeros(()), ta.zeros(0, 3)
    file.read_into("d", scalar)
    file.read_into("e", empty)
    assert scalar.item() == 2.5


def test_onto_a_gpu(tmp_path: Path, cupy: Any) -> None:
    theirs = theirs_of("BertModel")
    theirs.save_pretrained(tmp_path)
    target = ta.zeros(60, 32, device="cuda")
    file = serialization.SafetensorsFile(tmp_path / "model.safetensors")
    file.read_into("embeddings.word_embeddings.weight", target)
    close(target.cpu(), theirs.embeddings.word_embeddings.weight.detach().float())
