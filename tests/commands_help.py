"""Tiny corpora, models and runs for the tests of the commands pretrain, finetune and generate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tinygrad_ai.__main__ import main

SIZES = ["--layers", "1", "--hidden", "16", "--heads", "2", "--length", "12", "--batch-size", "4"]
PRAISE = ["good", "fine", "lovely", "great"]
BLAME = ["bad", "poor", "awful", "weak"]


def corpus(folder: Path) -> Path:
    """About a thousand words."""
    path = folder / "corpus.txt"
    lines = [
        f"a {PRAISE[i % 4]} film is {PRAISE[i // 4 % 4]}, a {BLAME[i % 4]} one is not {i % 7}"
        for i in range(80)
    ]
    path.write_text("\n".join(lines))
    return path


def examples(folder: Path, name: str = "reviews.csv", count: int = 40) -> Path:
    """Labelled texts, a .csv or a .jsonl."""
    path = folder / name
    rows = [
        {"text": f"a {(PRAISE, BLAME)[i % 2][i // 2 % 4]} film", "label": ("good", "bad")[i % 2]}
        for i in range(count)
    ]
    if path.suffix == ".jsonl":
        path.write_text("".join([json.dumps(row) + "\n" for row in rows]))
    else:
        path.write_text("text,label\n" + "".join([f"{r['text']},{r['label']}\n" for r in rows]))
    return path


def pretrain(folder: Path, out: Path, *options: str, model: str = "bert") -> int:
    """The command on the corpus, with a vocabulary of 320."""
    tokens = [] if "--tokenizer" in options else ["--vocab-size", "320"]
    return main(
        ["pretrain", "--model", model, "--corpus", str(corpus(folder)), "--out", str(out), *SIZES,
         *tokens, *options]
    )  # fmt: skip


def model_of(out: Path) -> bytes:
    return (out / "model.safetensors").read_bytes()


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def interrupt_at(monkeypatch: Any, step: int) -> Any:
    """Ctrl-C while a step is running; returns what takes it away again."""
    import signal

    from tinygrad_ai.train import jobs

    plain = jobs.Stop

    class Interrupted(plain):  # type: ignore[valid-type, misc]
        def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
            if state.global_step == step:
                signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(jobs, "Stop", Interrupted)
    return lambda: monkeypatch.setattr(jobs, "Stop", plain)
