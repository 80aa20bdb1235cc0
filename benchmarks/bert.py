"""MiniLM, a small BERT with real weights: a step of fine-tuning, answers, and peak memory.

A step is zero_grad, forward, cross entropy of two classes, backward, AdamW at 5e-5, in float32, on
16 texts of 64 tokens; answers are the scores of 1 and of 32 texts, without gradients. Dropout is on
where a step is timed. It is off in the first steps, which are compared with float64: each library
draws its own random numbers.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from examples import data as examples_data

from . import bert_job, protocol
from .bert_reference import Reference, cross_entropy
from .protocol import ROOT, Broken, Contender, Disagreement, Settings
from .results import Key, Results

NAME, PROOFS, TOLERANCE = "bert", 2, 1e-4
CONTENDERS = ("tinygrad_ai", "pytorch")
PARAMETERS = 0  # no ceilings
LENGTH, CLASSES = 64, 2
TRAINING, ANSWERS = ("fine-tuning step", 16), (("inference", 1), ("inference", 32))
MEMORY, IMPORT = "peak memory, fine-tuning", "peak memory, import only"
LIMITS = {
    "fine-tuning step, batch 16": 0.85, "inference, batch 1": 0.85, "inference, batch 32": 0.85,
    MEMORY: 0.8,
}  # fmt: skip
BATCHES = 16  # different ones

Case = tuple[str, int, str]  # what is done, the batch, the folder of the weights


class NoWeights(Exception):
    """There is nothing to measure with; the message says what to do."""


@dataclass(frozen=True)
class BertData:
    """A folder with a BertModel's weights, the head that starts, and batches."""

    training: bool
    folder: Path
    head: np.ndarray
    batches: list[dict[str, np.ndarray]]
    proofs: int = PROOFS  # runs without dropout


def folder(settings: Settings) -> Path:
    """Where the weights are; NoWeights if nowhere."""
    if settings.model is None:
        try:
            return examples_data.minilm()
        except examples_data.FetchError as error:
            raise NoWeights(f"the weights cannot be had: {error}") from error
    if not (settings.model / "model.safetensors").is_file():
        raise NoWeights(f"expected a folder with model.safetensors, got {settings.model}")
    return settings.model


def at_hand() -> bool:
    """Whether MiniLM need not be fetched."""
    package = examples_data.MINILM
    kept = examples_data.cache() / f"{package.name}-{package.version}"
    return examples_data.installed(package) is not None or kept.is_dir()


def cases(settings: Settings) -> list[Case]:
    place = str(folder(settings))
    return [(what, batch, place) for what, batch in (TRAINING, *ANSWERS)]


def label(case: Case) -> str:
    return f"{case[0]}, batch {case[1]}"


def configuration(place: Path) -> dict[str, Any]:
    return dict(json.loads((place / "config.json").read_text()))


def data(case: Case) -> BertData:
    """The same for everyone: tokens drawn at random, texts of several lengths, the first the
    longest. Every text comes twice, with labels drawn anew, so that nothing is learned by heart.
    """
    what, batch, place = case
    rng, config = np.random.default_rng(64), configuration(Path(place))
    head = 0.02 * rng.standard_normal((CLASSES, config["hidden_size"]))
    length = min(LENGTH, config["max_position_embeddings"])
    lengths = rng.integers(length // 4, length + 1, (BATCHES, batch, 1))
    lengths[:, 0] = length
    mask = (np.arange(length) < lengths).astype(np.int64)
    words = config["vocab_size"]
    ids = mask * rng.integers(words // 30 + 1, words, mask.shape)
    labels = rng.integers(0, CLASSES, (2 * BATCHES, batch))
    batches = [
        {"input_ids": i, "attention_mask": m, "labels": t}
        for i, m, t in zip([*ids, *ids], [*mask, *mask], labels)
    ]
    return BertData(what == TRAINING[0], Path(place), head.astype(np.float32), batches)


def start(given: BertData) -> Reference:
    """The float64 model with the same weights."""
    stored = load_file(given.folder / "model.safetensors")
    weights = {
        f"bert.{n.removeprefix('bert.')}": w for n, w in stored.items() if w.dtype.kind == "f"
    }
    weights |= {"classifier.weight": given.head, "classifier.bias": np.zeros(CLASSES)}
    return Reference(weights, {"pad_token_id": 0, **configuration(given.folder)})


def grouped(gradients: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A layer's gradients as one array: that of a key's bias is zero, so that what is computed for
    it is rounding, and has no scale of its own.
    """
    layers: dict[str, list[np.ndarray]] = {}
    for name, g in sorted(gradients.items()):
        layers.setdefault(name.rpartition(".")[0], []).append(g.ravel())
    return {f"the gradient of {n}": np.concatenate(gs) for n, gs in layers.items()}


def reference(given: BertData) -> dict[str, np.ndarray]:
    """What everyone must find. The second step's gradients are those of weights that AdamW changed:
    without the change they would be off by a fifth of their norm, and more.
    """
    model, found = start(given), {}
    for index, batch in zip(range(PROOFS), cycle(given.batches)):
        ids, mask, labels = batch.values()
        if given.training:
            loss = np.asarray(model.step(ids, mask, labels, bert_job.LEARNING_RATE))
            result = {"the loss": loss, **grouped(model.grads)}
        else:
            result = {"the scores": model.scores(ids, mask)[0]}
        found.update({f"{n}, run {index + 1}": a.astype(np.float32) for n, a in result.items()})
    return found


def run(
    contenders: Sequence[Contender], settings: Settings, results: Results,
    say: Callable[[str], None],
) -> None:  # fmt: skip
    """Times, then memory."""
    here = list(contenders)
    if find_spec("transformers") is None:
        here = [c for c in here if c.key != "pytorch"]
        results.left_out[f"{NAME}: pytorch"] = "transformers not installed"
    this: Any = sys.modules[__name__]
    protocol.run(this, here, settings, results, say)
    given = data((*TRAINING, str(folder(settings))))
    for contender, case, found in memory(given, here, settings, results, say):
        results.add(Key(NAME, case, contender.key), "B", found)


def memory(
    given: BertData, contenders: Sequence[Contender], settings: Settings, results: Results,
    say: Callable[[str], None],
) -> Iterator[tuple[Contender, str, float]]:  # fmt: skip
    """The peaks of processes, in turn; Disagreement if the losses without dropout are others."""
    ids, mask, labels = given.batches[0].values()
    loss, _ = cross_entropy(start(given).scores(ids, mask)[0], labels)
    with tempfile.TemporaryDirectory() as scratch:
        file = str(Path(scratch) / "batches.npz")
        arrays = {n: np.stack([b[n] for b in given.batches[:4]]) for n in given.batches[0]}
        np.savez(file, head=given.head, **arrays)  # type: ignore[arg-type]
        for index in range(settings.rounds):
            for contender in protocol.present(contenders, results):
                say(f"{NAME}, memory, round {index + 1} of {settings.rounds}")
                found = child(contender, settings, str(given.folder), file)
                if not abs(found["loss"] - loss) <= TOLERANCE * loss:
                    raise Disagreement(
                        f"{NAME}, memory: {contender.title} has the loss {found['loss']:.6f}, the "
                        f"float64 reference has {loss:.6f}"
                    )
                yield contender, MEMORY, found["peak"]
                yield contender, IMPORT, child(contender, settings)["peak"]


def child(contender: Contender, settings: Settings, *files: str) -> dict[str, float]:
    """What the program says of itself."""
    command = [sys.executable, str(Path(bert_job.__file__)), contender.key, *files]
    env = {**protocol.environment(settings, contender), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    if done.returncode:
        raise Broken(f"{contender.title} failed:\n{done.stderr[-2000:]}")
    return dict(json.loads(done.stdout))
