"""`bench bert` on a tiny BERT with random weights: proofs, refusals, figures, targets."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_ai as ta
from benchmarks import bert, bert_reference, command, protocol, targets
from benchmarks.contenders import CONTENDERS, hugging, ours
from benchmarks.protocol import Broken, Contender, Disagreement, Settings
from benchmarks.results import OURS, REFERENCE, Key, Results
from examples.data import FetchError
from tinygrad_ai import models

SIZES: dict[str, Any] = {
    "vocab_size": 90, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
    "intermediate_size": 48, "max_position_embeddings": 24, "initializer_range": 0.2,
}  # fmt: skip
STEP = "fine-tuning step, batch 16"
GOOD = Contender("good", "a good one", "benchmarks.contenders.ours")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    ta.manual_seed(0)
    place = tmp_path_factory.mktemp("bert")
    models.BertModel(models.BertConfig(**SIZES)).save_pretrained(place)
    return place


@pytest.fixture
def settings(folder: Path) -> Settings:
    return Settings(threads=1, rounds=2, seconds=0.001, model=folder)


def parsed(*argv: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(argv)


def silent(text: str) -> None:
    pass


# ---- what is computed


@pytest.mark.parametrize("key", bert.CONTENDERS)
def test_the_contenders_agree_with_numpy(key: str, settings: Settings) -> None:
    if key == "pytorch":
        pytest.importorskip("torch", reason="it is the contender")
        pytest.importorskip("transformers", reason="it is the contender")
    with protocol.Worker(CONTENDERS[key], settings) as process:
        for case in bert.cases(settings):
            expected = bert.reference(bert.data(case))
            kind: Any = bert
            assert protocol.prove(process, kind, case, expected) is None, bert.label(case)


def test_the_reference_has_the_gradients_of_its_loss(settings: Settings) -> None:
    """Along a random direction of every parameter, by central differences."""
    given = bert.data(bert.cases(settings)[0])
    ids, mask, labels = given.batches[0].values()
    model = bert.start(given)
    model.step(ids, mask, labels, 0.0)
    grads, rng = model.grads, np.random.default_rng(0)
    assert set(grads) == set(model.p)

    def loss() -> float:
        return bert_reference.cross_entropy(model.scores(ids, mask)[0], labels)[0]

    for name, p in model.p.items():
        direction = rng.standard_normal(p.shape)
        if "word_embeddings" in name:
            direction[0] = 0  # padding has no gradient
        p += 1e-6 * direction
        above = loss()
        p -= 2e-6 * direction
        slope = (above - loss()) / 2e-6
        p += 1e-6 * direction
        assert (grads[name] * direction).sum() == pytest.approx(slope, rel=1e-5, abs=1e-8), name


@pytest.mark.parametrize("variant", ["does not learn", "learns faster", "sees the padding"])
def test_who_computes_something_else_is_refused(settings: Settings, variant: str) -> None:
    wrong = Contender("bad", "a bad one", "tests.contender_bert", variant)
    job: Any = bert
    with pytest.raises(Disagreement) as error:
        protocol.run(job, [GOOD, wrong], settings, Results(), silent)
    text = f"bert, {STEP}: a bad one disagrees with the float64 reference, so nothing was timed"
    assert text in str(error.value)
    assert ("run 1 is" in str(error.value)) == (variant == "sees the padding")


def test_everyone_has_the_same_data(settings: Settings) -> None:
    what, batch, place = bert.cases(settings)[0]
    first, again = bert.data((what, batch, place)), bert.data((what, batch, place))
    for a, b in zip(first.batches, again.batches, strict=True):
        assert all(np.array_equal(a[n], b[n]) for n in a)
    one, twice = first.batches[0], first.batches[bert.BATCHES]
    assert np.array_equal(one["input_ids"], twice["input_ids"])
    assert not np.array_equal(one["labels"], twice["labels"])
    assert one["input_ids"].shape == (16, 24) and one["input_ids"].max() < 90
    padding = one["attention_mask"] == 0
    assert padding.any() and not padding[0].any() and not one["input_ids"][padding].any()
    assert one["input_ids"][~padding].min() > 0


def test_dropout_is_on_where_steps_are_timed(settings: Settings, monkeypatch: Any) -> None:
    monkeypatch.setattr(hugging, "LEARNING_RATE", 0.0)
    given = bert.data(bert.cases(settings)[0])
    ta.manual_seed(0)
    task = ours.bert(replace(given, batches=given.batches[:1], proofs=2), "")
    losses = [task.run().item() for _ in range(4)]
    assert losses[0] == losses[1] and len(set(losses)) == 3


# ---- what is measured


def test_a_run(settings: Settings, tmp_path: Path, capsys: Any) -> None:
    only = ["--only", OURS, "--json", str(tmp_path / "a.json"), "--threads", "1"]
    assert command.run(parsed("bert", "--quick", "--model", str(settings.model), *only)) == 0
    assert "inference, batch 32: tinygrad_ai" in capsys.readouterr().out
    results = Results.load(tmp_path / "a.json")
    assert results.cases("bert") == [*list(bert.LIMITS)[:3], bert.MEMORY, bert.IMPORT]
    for case in results.cases("bert"):
        figure = results.get("bert", case)
        assert figure and len(figure.rounds) == 2 and min(figure.rounds) > 0
    peak, alone = (results.get("bert", case) for case in (bert.MEMORY, bert.IMPORT))
    assert peak and alone and peak.unit == "B" and peak.median > alone.median > 1e7
    assert results.settings["model"] == str(settings.model) and not results.targets


def test_the_loss_of_the_memory_program_is_compared(settings: Settings, monkeypatch: Any) -> None:
    given = bert.data(bert.cases(settings)[0])
    monkeypatch.setattr(bert, "child", lambda *args: {"loss": 0.5, "peak": 1.0})
    with pytest.raises(Disagreement, match="bert, memory: a good one has the loss 0.500000, the"):
        list(bert.memory(given, [GOOD], settings, Results(), silent))


def test_a_crash_of_the_memory_program_is_told(settings: Settings, tmp_path: Path) -> None:
    ours = replace(GOOD, key=OURS)
    with pytest.raises(Broken, match="(?s)a good one failed:.*no_such.npz"):
        bert.child(ours, settings, str(settings.model), str(tmp_path / "no_such.npz"))


def test_without_transformers_we_are_measured_alone(settings: Settings, monkeypatch: Any) -> None:
    taking_part: list[str] = []
    monkeypatch.setattr(bert, "find_spec", lambda name: None)
    monkeypatch.setattr(protocol, "run", lambda job, who, *rest: taking_part.extend(who))
    monkeypatch.setattr(bert, "memory", lambda given, who, *rest: iter(()))
    results = Results()
    bert.run([CONTENDERS[OURS], CONTENDERS[REFERENCE]], settings, results, silent)
    assert taking_part == [CONTENDERS[OURS]]
    assert results.left_out == {"bert: pytorch": "transformers not installed"}


def test_targets() -> None:
    results = Results(settings={"model": None})
    for case, mine in zip(bert.LIMITS, (0.8, 0.9, 0.85, 0.81)):
        results.add(Key("bert", case, OURS), "s", 2 * mine)
        results.add(Key("bert", case, REFERENCE), "s", 2.0)
    found = targets.targets(results)
    assert [t.text for t in found] == [f"bert {case}: ours / PyTorch" for case in bert.LIMITS]
    assert [t.limit for t in found] == [0.85, 0.85, 0.85, 0.8]
    assert [t.passed for t in found] == [True, False, True, False]
    results.settings["model"] = "another"
    assert targets.targets(results) == []


# ---- weights


def test_a_folder_without_weights_is_refused(tmp_path: Path, capsys: Any) -> None:
    assert command.run(parsed("bert", "--model", str(tmp_path))) == 2
    said = capsys.readouterr().err
    assert said == f"bench: expected a folder with model.safetensors, got {tmp_path}\n"


def test_without_network_it_is_said_what_to_do(monkeypatch: Any, capsys: Any) -> None:
    def offline() -> Path:
        raise FetchError("MiniLM cannot be downloaded\n  fix: copy the cache")

    monkeypatch.setattr(bert.examples_data, "minilm", offline)
    assert command.run(parsed("bert")) == 2
    said = capsys.readouterr().err
    assert "bench: the weights cannot be had: MiniLM cannot be downloaded\n  fix: copy the" in said


def test_all_does_not_fetch(monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setenv("TINYGRAD_AI_DATA", str(tmp_path))
    monkeypatch.setattr(bert.examples_data, "installed", lambda package: None)
    jobs, reason = command.jobs_of("all", Settings())
    assert bert not in jobs and len(jobs) == len(command.JOBS) - 1
    assert reason == "its weights are not here; `bench bert` fetches them"
    package = bert.examples_data.MINILM
    (tmp_path / f"{package.name}-{package.version}").mkdir()
    assert command.jobs_of("all", Settings()) == (list(command.JOBS.values()), None)
    assert command.jobs_of("bert", Settings()) == ([bert], None)
