"""benchmarks/finetune.py on a tiny BERT: both libraries take the same steps, and are compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_ai as ta
from benchmarks import finetune
from examples import data
from tinygrad_ai import models

pytestmark = pytest.mark.filterwarnings("ignore")  # those of the reference
WORDS = ["good", "bad", "film", "plot", "a", "the", "is", "was", "not", "very"]


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: Any) -> Path:
    """A model without dropout and made-up reviews in the place of the real ones."""
    ta.manual_seed(0)
    folder = tmp_path / "model"
    models.BertModel(
        models.BertConfig(
            vocab_size=5 + len(WORDS), hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
            intermediate_size=48, max_position_embeddings=64, hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0, initializer_range=0.2,
        )
    ).save_pretrained(folder)  # fmt: skip
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(WORDS, rng.integers(2, 90))) for _ in range(70)]
    found = data.Labelled(texts, [int("good" in t.split()[:5]) for t in texts])
    parts = [data.Labelled(list(t), list(la)) for t, la in zip(*[_cut(x) for x in found])]
    monkeypatch.setattr(data, "minilm", lambda: folder)
    monkeypatch.setattr(data, "reviews", lambda: data.Reviews(*parts))
    return tmp_path


def _cut(x: list[Any]) -> tuple[list[Any], list[Any]]:
    return x[:50], x[50:]


def test_both_libraries_take_the_same_steps(tiny: Path) -> None:
    pytest.importorskip("transformers", reason="it is the reference")
    runs = {}
    for library in ("ours", "pytorch"):
        file = tiny / f"{library}.json"
        assert finetune.main(["--library", library, "--seed", "3", "--out", str(file)]) == 0
        runs[library] = json.loads(file.read_text())
    ours, theirs = runs["ours"], runs["pytorch"]
    assert ours["steps"] == theirs["steps"] == 4 and ours["tests"] == theirs["tests"] == 20
    np.testing.assert_allclose(ours["losses"], theirs["losses"], rtol=1e-5)
    assert len(set(ours["losses"])) == 4 and ours["accuracy"] == theirs["accuracy"]
    assert ours["versions"] == theirs["versions"] and "numpy" in ours["versions"]
    assert finetune.main(["compare", *[str(f) for f in sorted(tiny.glob("*.json"))]]) == 0


def test_seeds_give_other_orders_and_heads(tiny: Path) -> None:
    losses = [finetune.measured("ours", seed, 2, 4)["losses"] for seed in (0, 1, 0)]
    assert losses[0] == losses[2] and losses[0][0] != losses[1][0]


@pytest.mark.parametrize(("ours", "code"), [(0.80, 1), (0.812, 0), (0.9, 0)])
def test_a_point_below_fails(tmp_path: Path, capsys: Any, ours: float, code: int) -> None:
    files = []
    for library, mean in (("ours", ours), ("pytorch", 0.82)):
        for seed, off in enumerate((-0.01, 0.0, 0.01)):
            files.append(tmp_path / f"{library}-{seed}.json")
            run = {"library": library, "seed": seed, "accuracy": mean + off}
            files[-1].write_text(json.dumps(run))
    assert finetune.compare([str(f) for f in files]) == code
    said = capsys.readouterr().out
    assert f"ours     {ours:.2%}: {ours - 0.01:.2%} (seed 0), " in said
    assert f"ours is {100 * (ours - 0.82):+.2f} points from PyTorch" in said


def test_one_library_alone_is_not_compared(tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"library": "ours", "seed": 0, "accuracy": 0.8}))
    assert finetune.compare([str(tmp_path / "a.json")]) == 2
    assert "there is no run of pytorch" in capsys.readouterr().err
