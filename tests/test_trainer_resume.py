"""Checkpoints of the Trainer: whole or not there, and a resumed run ends as if never stopped."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_ai as ta
from tests.trainer_help import Rows, classifier, losses, same_weights, stacked, trainer
from tinygrad_ai.errors import CheckpointError
from tinygrad_ai.train import EarlyStoppingCallback, TrainerCallback, get_last_checkpoint
from tinygrad_ai.train.trainer_checkpoint import write_folder

EVERY = {"save_strategy": "steps", "save_steps": 1}


class Noisy(Rows):
    """Samples that draw from all streams of random numbers when they are asked for."""

    def __getitem__(self, i: int) -> dict[str, Any]:
        sample = super().__getitem__(i)
        noise = ta.randn(6, dtype=ta.float64) + random.random() + np.random.random()
        return {**sample, "x": sample["x"] + 0.1 * noise}


def large(outputs: Any, labels: Any, num_items_in_batch: Any = None) -> Any:
    """A loss whose gradients overflow in float16 until it is scaled less."""
    return 1e4 * ta.nn.functional.cross_entropy(outputs["logits"], labels)


def masking(features: list[dict[str, Any]]) -> dict[str, Any]:
    """A collator that draws: hides a part of each batch."""
    batch: dict[str, Any] = stacked()(features)
    return {**batch, "x": batch["x"] * ta.bernoulli(ta.full(batch["x"].shape, 0.85)).double()}


def files(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


CASES: dict[str, dict[str, Any]] = {
    "dropout": {"dropout": 0.3},
    "a log each epoch": {"logging_strategy": "epoch", "dropout": 0.3},
    "accumulation": {"gradient_accumulation_steps": 4, "dropout": 0.2, "logging_steps": 2},
    "drawn data": {"train_dataset": Noisy(), "data_collator": masking, "dropout": 0.3},
    "workers": {"train_dataset": Noisy(), "data_collator": masking, "dataloader_num_workers": 2},
    "by evaluation": {
        "eval_strategy": "epoch", "eval_dataset": Noisy(seed=3), "lr_scheduler_type":
        "reduce_lr_on_plateau", "lr_scheduler_kwargs": {"patience": 0, "threshold": 0.5},
        "train_dataset": Noisy(),
    },
    "sgd by length": {
        "optim": "sgd", "train_sampling_strategy": "group_by_length", "length_column_name":
        "labels", "max_steps": 9, "logging_steps": 4,
    },
    "fp16": {
        "fp16": True, "train_dataset": Rows(dtype=np.float32), "compute_loss_func": large,
    },
    "by epochs": {"save_strategy": "epoch", "logging_strategy": "epoch", "dropout": 0.3},
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_resumed_run_ends_in_the_same_weights(tmp_path: Path, case: str) -> None:
    def fresh() -> Any:
        options = dict(CASES[case])
        ta.manual_seed(7)
        model = classifier(ta, dropout=options.pop("dropout", 0.0))
        model = model if "fp16" in options else model.double()
        return trainer(tmp_path / "run", model, **{**EVERY, **options})

    whole = fresh()
    whole.train()
    last = whole.state.global_step
    saved = {int(d.name.split("-")[1]) for d in (tmp_path / "run").glob("checkpoint-*")}
    for cut in sorted(saved & {1, last // 2, last // 3, 6 if last > 6 else 2, last - 1, last}):
        again = fresh()
        ta.rand(5), random.random(), np.random.random()  # other states than the run had
        again.train(resume_from_checkpoint=str(tmp_path / "run" / f"checkpoint-{cut}"))
        assert again.state.global_step == last
        assert same_weights(whole.model, again.model), cut
        assert losses(whole) == losses(again), cut
        assert whole.progress == again.progress


def test_a_loader_of_the_users_own_draws_the_same_order_again(tmp_path: Path) -> None:
    def fresh() -> Any:
        run = trainer(tmp_path / "run", dropout=0.2, **EVERY)
        run.get_train_dataloader = lambda: ta.data.DataLoader(  # type: ignore[method-assign]
            Noisy(), 4, shuffle=True, collate_fn=masking
        )
        return run

    whole, again = fresh(), fresh()
    whole.train()
    again.train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-9"))
    assert same_weights(whole.model, again.model) and losses(whole) == losses(again)


def test_a_stream_is_resumed(tmp_path: Path) -> None:
    class Stream(ta.data.IterableDataset):
        def __iter__(self) -> Any:
            yield from Rows()  # type: ignore[misc]

    def fresh() -> Any:
        run = trainer(tmp_path / "r", train_dataset=Stream(), max_steps=15, dropout=0.2, **EVERY)
        return run

    whole = fresh()
    whole.train()
    assert whole.state.global_step == 15
    for cut in (4, 6, 13):
        again = fresh()
        again.train(resume_from_checkpoint=str(tmp_path / "r" / f"checkpoint-{cut}"))
        assert same_weights(whole.model, again.model)


class Stop(TrainerCallback):
    """Ctrl-C after a number of steps."""

    def __init__(self, after: int) -> None:
        self.after = after

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        if state.global_step == self.after:
            raise KeyboardInterrupt


def test_ctrl_c_says_how_to_resume(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = trainer(tmp_path / "run", callbacks=[Stop(5)], save_strategy="steps", save_steps=2)
    with pytest.raises(KeyboardInterrupt):
        run.train()
    said = capsys.readouterr().out
    assert "stopped after step 5" in said and "resume_from_checkpoint=True" in said
    assert "checkpoint-4" in said
    whole, again = [trainer(tmp_path / p, save_strategy="no") for p in ("whole", "run")]
    whole.train()
    again.train(resume_from_checkpoint=True)
    assert same_weights(whole.model, again.model)
    lines = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    steps = [json.loads(line)["step"] for line in lines if "grad_norm" in line]
    assert steps == list(range(1, 19))


def test_ctrl_c_without_a_checkpoint_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        trainer(tmp_path / "run", callbacks=[Stop(2)]).train()
    assert "no checkpoint was saved" in capsys.readouterr().out


def test_early_stopping_counts_on(tmp_path: Path) -> None:
    def fresh() -> Any:
        return trainer(
            tmp_path / "run", callbacks=[EarlyStoppingCallback(3, 0.05)], eval_dataset=Rows(seed=9),
            eval_strategy="steps", eval_steps=1, load_best_model_at_end=True, **EVERY,
        )  # fmt: skip

    whole = fresh()
    whole.train()
    stopped = whole.state.global_step
    assert 3 < stopped < 18
    for cut in (stopped - 1, stopped):
        again = fresh()
        again.train(resume_from_checkpoint=str(tmp_path / "run" / f"checkpoint-{cut}"))
        assert again.state.global_step == stopped
        assert same_weights(whole.model, again.model)


def test_more_epochs_go_on_from_the_end(tmp_path: Path) -> None:
    options = {"lr_scheduler_type": "constant", **EVERY}
    trainer(tmp_path / "run", num_train_epochs=1, **options).train()
    more, whole = trainer(tmp_path / "run", **options), trainer(tmp_path / "b", **options)
    more.train(resume_from_checkpoint=True)
    whole.train()
    assert more.state.global_step == 18 and same_weights(more.model, whole.model)


# ---- what is refused


def wider() -> Any:
    model = classifier(ta).double()
    model.inner = ta.nn.Linear(6, 17, dtype=ta.float64)
    return model


CHANGES: list[tuple[dict[str, Any], str]] = [
    ({"seed": 1}, "seed: 42 there, 1 here"),
    ({"per_device_train_batch_size": 5}, "per_device_train_batch_size: 4 there, 5 here"),
    ({"learning_rate": 1.0}, "learning_rate: 0.01 there, 1.0 here"),
    ({"weight_decay": 0.5}, "group 0: {'weight_decay': 0.0} there, {'weight_decay': 0.5} here"),
    ({"optim": "sgd"}, "optimizer class: AdamW there, SGD here"),
    ({"train_dataset": Rows(count=23)}, "samples: 22 there, 23 here"),
    ({"model": wider()}, "Linear(in_features=6, out_features=16"),
    ({"dropout": 0.5}, "Dropout(p=0.0"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "said"), CHANGES, ids=[said for _, said in CHANGES])
def test_another_run_is_not_taken_for_this_one(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    trainer(tmp_path / "run", num_train_epochs=1, **EVERY).train()
    before = files(tmp_path)
    other = trainer(tmp_path / "run", num_train_epochs=1, **{**EVERY, **change})
    weights = {k: v.clone() for k, v in other.model.state_dict().items()}
    with pytest.raises(CheckpointError, match="of another run") as error:
        other.train(resume_from_checkpoint=True)
    assert said in str(error.value)
    assert files(tmp_path) == before
    assert all(ta.equal(v, weights[k]) for k, v in other.model.state_dict().items())


def test_a_configuration_that_changed_is_named(tmp_path: Path) -> None:
    def model(act: str) -> Any:
        made = classifier(ta).double()
        made.config = type("Config", (), {})()
        made.config.hidden_act, made.config.use_cache = act, act == "gelu"
        made.config.problem_type = None if act == "relu" else "regression"
        return made

    trainer(tmp_path / "run", model("relu"), max_steps=2, **EVERY).train()
    with pytest.raises(CheckpointError, match="model hidden_act: relu there, gelu here") as error:
        trainer(tmp_path / "run", model("gelu"), max_steps=2, **EVERY).train(True)
    assert "use_cache" not in str(error.value) and "problem_type" not in str(error.value)


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "run.json"])
@pytest.mark.parametrize("harm", ["gone", "cut"])
def test_half_a_checkpoint_is_refused(tmp_path: Path, name: str, harm: str) -> None:
    trainer(tmp_path / "run", max_steps=2, **EVERY).train()
    file = tmp_path / "run" / "checkpoint-2" / name
    if harm == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-9])
    before = files(tmp_path)
    with pytest.raises(CheckpointError, match=f"is not whole: .*{name}"):
        trainer(tmp_path / "run", max_steps=2, **EVERY).train(resume_from_checkpoint=True)
    assert files(tmp_path) == before


def test_nothing_to_resume(tmp_path: Path) -> None:
    run = trainer(tmp_path / "run", max_steps=2, save_only_model=True, **EVERY)
    with pytest.raises(CheckpointError, match="no checkpoint to resume from"):
        run.train(resume_from_checkpoint=True)
    with pytest.raises(CheckpointError, match="no checkpoint folder"):
        run.train(resume_from_checkpoint=str(tmp_path / "nowhere"))
    run.train()
    with pytest.raises(CheckpointError, match="save_only_model"):
        run.train(resume_from_checkpoint=True)
    with pytest.raises(CheckpointError, match="no contents.json\n  fix: .*checkpoint-2'"):
        run.train(resume_from_checkpoint=str(tmp_path / "run"))


def test_an_unfinished_folder_is_never_resumed_from(tmp_path: Path) -> None:
    trainer(tmp_path / "run", max_steps=2, **EVERY).train()
    (tmp_path / "run" / "checkpoint-9").mkdir()  # made by somebody else
    (tmp_path / "run" / ".checkpoint-8.part").mkdir()  # what a crash leaves
    assert get_last_checkpoint(tmp_path / "run") == str(tmp_path / "run" / "checkpoint-2")
    assert not (tmp_path / "run" / ".checkpoint-8.part").exists()


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint-1"
    write_folder(folder, lambda d: (d / "a").write_text("old") and None)
    before = files(tmp_path)

    def fails(part: Path) -> None:
        (part / "a").write_text("half")
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        write_folder(folder, fails)
    assert files(tmp_path) == before
    write_folder(folder, lambda d: (d / "a").write_text("new") and None)
    assert (folder / "a").read_text() == "new" and len(list(tmp_path.iterdir())) == 1


KILLED = """
import os, sys
from pathlib import Path
from tinygrad_ai.train import trainer_checkpoint as disk

moment, folder = sys.argv[1], Path(sys.argv[2]) / "checkpoint-1"
disk.write_folder(folder, lambda d: (d / "a").write_text("old") and None)
rename = Path.rename
moves = []

def dying(self, target):
    moves.append(target)
    if moment == f"before move {len(moves)}":
        os._exit(9)
    return rename(self, target)

def fill(part):
    (part / "a").write_text("new")
    if moment == "filling":
        os._exit(9)

Path.rename = dying
disk.write_folder(folder, fill)
"""


@pytest.mark.parametrize("moment", ["filling", "before move 1", "before move 2"])
def test_a_crash_leaves_the_old_checkpoint_whole(tmp_path: Path, moment: str) -> None:
    root = Path(__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", KILLED, moment, str(tmp_path)], cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)}, check=False,
    )  # fmt: skip
    assert done.returncode == 9
    assert get_last_checkpoint(tmp_path) == str(tmp_path / "checkpoint-1")
    assert (tmp_path / "checkpoint-1" / "a").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint-1"]


def test_what_a_model_does_not_save_itself_is_saved_beside_it(tmp_path: Path) -> None:
    class Adapted(ta.nn.Module):
        """Saves one part of itself, as models with an adapter do; two parts are tied."""

        def __init__(self) -> None:
            super().__init__()
            self.inner = classifier(ta).double()
            self.outer = ta.nn.Linear(3, 3, dtype=ta.float64)
            self.tied = self.outer

        def forward(self, x: Any = None, labels: Any = None) -> Any:
            logits = self.tied(self.inner(x)["logits"])
            return ta.nn.functional.cross_entropy(logits, labels), logits

        def save_pretrained(self, folder: Any) -> None:
            ta.save(self.outer.state_dict(), Path(folder) / "adapter_model.safetensors")

    whole, again = [trainer(tmp_path / "run", Adapted(), **EVERY) for _ in range(2)]
    whole.train()
    again.train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-7"))
    assert same_weights(whole.model, again.model)
    folder = tmp_path / "run" / "checkpoint-7"
    assert (folder / "adapter_model.safetensors").exists()
    assert "inner.inner.weight" in ta.load(folder / "rest.safetensors")
