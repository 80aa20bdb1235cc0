"""The study of pre-training, with tiny sizes on made-up reviews."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import pytest

from examples import pretrain_finetune as study
from examples.data import FetchError, Labelled, Reviews

pytest.importorskip("tokenizers", reason="the extra text is not installed")

OPTIONS = [
    "--layers", "1", "--hidden", "16", "--heads", "2", "--length", "12", "--vocab-size", "80",
    "--pretrain-epochs", "1", "--pretrain-batch", "4", "--steps", "3", "--batch", "4",
    "--labels", "4", "8", "--seeds", "2", "--task", "reviews",
]  # fmt: skip


def made_up(count: int) -> Labelled:
    words = ("a good film to see", "a bad film to forget")
    return Labelled(
        [f"{words[i % 2]} {i}" for i in range(count)], [1 - i % 2 for i in range(count)]
    )


@pytest.fixture(autouse=True)
def data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "reviews", lambda: Reviews(made_up(40), made_up(11)))


def test_what_it_leaves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert study.main([*OPTIONS, "--out", str(out)]) == 0
    results = json.loads((out / "results.json").read_text())
    ways = [study.SCRATCH, study.PRETRAINED]
    assert [(r["seed"], r["labels"], r["way"]) for r in results["runs"]] == [
        (seed, count, way) for seed in (0, 1) for count in (4, 8) for way in ways
    ]  # fmt: skip
    for line in results["summary"]:
        found = [
            r["accuracy"] for r in results["runs"]
            if (r["way"], r["labels"]) == (line["way"], line["labels"])
        ]  # fmt: skip
        assert len(found) == 2 and line["mean"] == pytest.approx(sum(found) / 2)
        assert line["deviation"] == pytest.approx(statistics.stdev(found))
    assert results["baseline"] == pytest.approx(6 / 11) and results["test_texts"] == 11
    assert len(results["pretraining_loss"]) == 2 and results["study"]["hidden"] == 16
    assert (out / "results.png").read_bytes()[:4] == b"\x89PNG"
    assert "4 labels, from scratch: " in capsys.readouterr().out


def test_from_scratch_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(study, "pretrain")
    assert study.main([*OPTIONS, "--pretrain-epochs", "0", "--out", str(tmp_path / "out")]) == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert {r["way"] for r in results["runs"]} == {study.SCRATCH}
    assert results["pretraining_loss"] == [] and len(results["runs"]) == 4


def test_weights_of_others(tmp_path: Path) -> None:
    given, out = tmp_path / "given", tmp_path / "out"
    small, _ = study.parsed([*OPTIONS, "--out", str(out)])
    tokenizer = study.text.train_wordpiece(study.text.texts(*made_up(40).text), 60)
    model = study.models.BertModel(study.config(small, tokenizer))
    model.save_pretrained(given)
    tokenizer.save_pretrained(given)
    options = ("--pretrain-epochs", "0", "--labels", "4", "--weights", str(given))
    assert study.main([*OPTIONS, *options, "--out", str(out)]) == 0
    runs = json.loads((out / "results.json").read_text())["runs"]
    assert [r["way"] for r in runs] == [study.SCRATCH, study.OTHERS] * 2
    begun = study.start(small, study.OTHERS, tokenizer, given, 0)
    wanted = model.embeddings.word_embeddings.weight
    assert bool((begun.bert.embeddings.word_embeddings.weight == wanted).all())


def test_the_ways_differ_in_their_first_weights_alone(tmp_path: Path) -> None:
    small, _ = study.parsed([*OPTIONS, "--out", str(tmp_path / "none")])
    parts = Reviews(made_up(40), made_up(11))
    tokenizer = study.text.train_wordpiece(study.text.texts(*parts.train.text), 80)
    loss = study.pretrain(small, parts, tokenizer, 0, tmp_path)
    assert 0 < loss < 10
    scratch, given = (
        study.start(small, way, tokenizer, tmp_path, 0) for way in (study.SCRATCH, study.PRETRAINED)
    )
    assert scratch.config.to_dict().keys() == given.config.to_dict().keys()
    shapes = [[(n, p.shape) for n, p in m.named_parameters()] for m in (scratch, given)]
    assert shapes[0] == shapes[1]
    same = [bool((p == q).all()) for p, q in zip(scratch.parameters(), given.parameters())]
    assert not all(same)


def test_a_folder_in_use_and_data_that_cannot_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "results.json").write_text("{}")
    with pytest.raises(SystemExit, match="2"):
        study.main(["--out", str(tmp_path)])
    assert "is not empty" in capsys.readouterr().err

    assert study.main(["--task", "reviews", "--out", str(tmp_path / "new")]) == 1
    assert "there are 40 labels, not 800" in capsys.readouterr().err

    def nothing() -> Reviews:
        raise FetchError("no network")

    monkeypatch.setattr(study, "reviews", nothing)
    assert study.main(["--task", "reviews", "--out", str(tmp_path / "new")]) == 1
    assert "no network" in capsys.readouterr().err and not (tmp_path / "new").exists()


def test_fewer_reviews() -> None:
    part = made_up(40)
    some = study.shortened(part, 10)
    assert len(some.text) == len(some.label) == 10 and some == study.shortened(part, 10)
    assert set(zip(*some)) <= set(zip(*part)) and study.shortened(part, None) is part


def test_passages_of_plays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("hamlet", "macbeth", "sonnets"):
        words = [f"{name}{i}" for i in range(400 if name == "hamlet" else 420)]
        (tmp_path / f"{name}_gut.txt").write_text("\n".join(words))
    monkeypatch.setattr(study, "shakespeare", lambda: sorted(tmp_path.glob("*.txt")))
    train, test = study.plays()
    hamlet, macbeth = study.PLAYS.index("hamlet"), study.PLAYS.index("macbeth")
    assert train.label == [hamlet] * 8 + [macbeth] * 8
    assert test.label == [hamlet] * 2 + [macbeth] * 3
    found = " ".join([*train.text, *test.text]).split()
    assert len(found) == len(set(found)) == 820 and not any(w.startswith("son") for w in found)
    assert all(len(text.split()) == 40 for text in [*train.text, *test.text][:-1])
    assert train.text[0].startswith("hamlet0 ") and test.text[0].startswith("hamlet320 ")
