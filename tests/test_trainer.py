"""The Trainer as its users write it: callbacks, logs, best models, orders, bad input."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_ai as ta
from tests.trainer_help import Rows, classifier, losses, same_weights, stacked, tagger, trainer
from tinygrad_ai import nn
from tinygrad_ai.errors import ArgumentError, CheckpointError, DataError
from tinygrad_ai.train import (
    EarlyStoppingCallback,
    ProgressCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)
from tinygrad_ai.train.batches import Batches, by_length, sequential


def test_the_tutorial(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class TextDataset(ta.data.Dataset):
        def __init__(self, encodings: Any, labels: Any) -> None:
            self.encodings, self.labels = encodings, labels

        def __getitem__(self, idx: int) -> dict[str, Any]:
            item = {key: ta.tensor(val[idx]) for key, val in self.encodings.items()}
            item["labels"] = ta.tensor(self.labels[idx])
            return item

        def __len__(self) -> int:
            return len(self.labels)

    draw = np.random.default_rng(0)
    ids = draw.integers(0, 11, (20, 4))
    dataset = TextDataset({"input_ids": ids.tolist(), "unused": ids.tolist()}, (ids % 3).tolist())
    args = TrainingArguments(
        output_dir=str(tmp_path / "results"), num_train_epochs=3, per_device_train_batch_size=8,
        logging_dir=str(tmp_path / "logs"), logging_steps=2, learning_rate=0.1,
    )  # fmt: skip
    run = Trainer(model=tagger(ta), args=args, train_dataset=dataset)
    output = run.train()
    assert output.global_step == 9 and losses(run)[-1] < 0.5 * losses(run)[0]
    assert "{'loss': " in capsys.readouterr().out
    assert (tmp_path / "results" / "checkpoint-9" / "model.safetensors").exists()


class Events(TrainerCallback):
    """Counts what is called."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("on_"):
            self.seen.append(name)
        return super().__getattribute__(name)


def test_callbacks_are_called_in_their_order(tmp_path: Path) -> None:
    events = Events()
    run = trainer(
        tmp_path, callbacks=[events], num_train_epochs=1, gradient_accumulation_steps=4,
        eval_strategy="epoch", eval_dataset=Rows(count=3), save_strategy="epoch",
    )  # fmt: skip
    run.train()
    step = ["on_step_begin", *["on_substep_end"] * 3, "on_pre_optimizer_step", "on_optimizer_step"]
    first = ["on_init_end", "on_train_begin", "on_epoch_begin", *step, "on_step_end", "on_log"]
    last = [
        "on_epoch_end", "on_prediction_step", "on_log", "on_evaluate", "on_save", "on_log",
        "on_train_end",
    ]  # fmt: skip
    assert events.seen[: len(first)] == first and events.seen[-len(last) :] == last
    assert Counter(events.seen)["on_step_end"] == 2
    assert run.pop_callback(Events) is events and run.pop_callback(Events) is None


def test_a_callback_controls_the_run(tmp_path: Path) -> None:
    class Controls(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
            assert kwargs["model"] is run.model and kwargs["optimizer"] is run.optimizer
            control.should_epoch_stop = state.global_step == 2
            control.should_save = state.global_step == 5
            control.should_training_stop = state.global_step == 7
            return control

    run = trainer(tmp_path, callbacks=[Controls()])
    assert run.train().global_step == 7
    assert run.state.epoch == pytest.approx(1 + 5 / 6)  # the first epoch ended after two steps
    assert [p.name for p in tmp_path.glob("checkpoint-*")] == ["checkpoint-5"]


def accuracy(seen: Any) -> dict[str, Any]:
    return {"accuracy": float((seen.predictions.argmax(-1) == seen.label_ids).mean())}


def test_the_best_model_is_kept_and_loaded(tmp_path: Path) -> None:
    class Spoil(TrainerCallback):
        """In the last epoch the weights are ruined."""

        def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
            if state.global_step > 18:
                with ta.no_grad():
                    kwargs["model"].outer.weight.mul_(-3.0)

    run = trainer(
        tmp_path, callbacks=[Spoil()], compute_metrics=accuracy, eval_dataset=Rows(seed=4),
        eval_strategy="epoch", save_strategy="epoch", load_best_model_at_end=True,
        metric_for_best_model="accuracy", save_total_limit=1, num_train_epochs=4,
    )  # fmt: skip
    run.train()
    found = [m["eval_accuracy"] for m in run.state.log_history if "eval_accuracy" in m]
    assert len(found) == 4 and max(found) > found[-1]
    assert run.state.best_metric == max(found)
    assert run.evaluate()["eval_accuracy"] == max(found)
    best = f"checkpoint-{6 * (found.index(max(found)) + 1)}"
    assert [p.name for p in tmp_path.glob("checkpoint-*")] == [best]
    assert run.state.best_model_checkpoint == str(tmp_path / best)


def test_save_strategy_best_saves_what_is_better(tmp_path: Path) -> None:
    run = trainer(
        tmp_path, eval_dataset=Rows(), eval_strategy="epoch", save_strategy="best",
        metric_for_best_model="loss",
    )  # fmt: skip
    run.train()
    found = [m["eval_loss"] for m in run.state.log_history if "eval_loss" in m]
    better = [i for i, loss in enumerate(found) if loss < min([*found[:i], float("inf")])]
    names = {f"checkpoint-{6 * (i + 1)}" for i in better}
    assert names == {p.name for p in tmp_path.glob("checkpoint-*")}


@pytest.mark.parametrize("several", [False, True])
def test_early_stopping(tmp_path: Path, several: bool, caplog: pytest.LogCaptureFixture) -> None:
    run = trainer(
        tmp_path, callbacks=[EarlyStoppingCallback(2, 10.0)],
        eval_dataset={"a": Rows(), "b": Rows()} if several else Rows(),
        eval_strategy="steps", eval_steps=2, metric_for_best_model="a_loss" if several else "loss",
    )  # fmt: skip
    assert run.train().global_step == 6  # the first counts as better, then two do not
    assert ("an evaluation without eval_a_loss does not count" in caplog.text) == several
    run = trainer(tmp_path, callbacks=[EarlyStoppingCallback()])
    with pytest.raises(ArgumentError, match="needs metric_for_best_model and an eval_strategy"):
        run.train()


def test_the_oldest_checkpoints_go(tmp_path: Path) -> None:
    run = trainer(tmp_path, save_strategy="steps", save_steps=4, save_total_limit=2)
    run.train()
    assert {p.name for p in tmp_path.glob("checkpoint-*")} == {"checkpoint-16", "checkpoint-18"}


def test_logs(tmp_path: Path) -> None:
    tensorboard = pytest.importorskip("tensorboardX", reason="it writes TensorBoard's files")
    run = trainer(
        tmp_path / "run", logging_dir=str(tmp_path / "logs"), eval_dataset=Rows(),
        eval_strategy="epoch", logging_steps=5, logging_first_step=True,
    )  # fmt: skip
    run.train()
    lines = [json.loads(x) for x in (tmp_path / "logs" / "log.jsonl").read_text().splitlines()]
    assert lines == run.state.log_history
    assert [x["step"] for x in lines if "loss" in x] == [1, 5, 10, 15]
    assert set(lines[0]) == {"loss", "grad_norm", "learning_rate", "epoch", "step"}
    (events,) = (tmp_path / "logs").glob("events.out.tfevents.*")
    content = events.read_bytes()
    assert tensorboard and b"train/loss" in content and b"eval/loss" in content
    assert not list((tmp_path / "run").glob("**/events*"))


@pytest.mark.parametrize("report_to", ["none", []])
def test_no_tensorboard_where_it_is_not_wanted(tmp_path: Path, report_to: Any) -> None:
    trainer(tmp_path, report_to=report_to, logging_dir=str(tmp_path / "logs"), max_steps=1).train()
    assert [p.name for p in (tmp_path / "logs").iterdir()] == ["log.jsonl"]
    with pytest.raises(ArgumentError, match="report_to knows .* got 'wandb'"):
        trainer(tmp_path, report_to="wandb")


def test_a_bar_on_a_terminal(tmp_path: Path) -> None:
    import io

    from rich.console import Console

    text = io.StringIO()
    run = trainer(tmp_path, eval_dataset=Rows(), eval_strategy="epoch")
    run.pop_callback(type(run.callback_handler.callbacks[-1]))
    run.add_callback(ProgressCallback(Console(file=text, force_terminal=True, width=100)))
    run.train()
    assert "training" in text.getvalue() and "18/18" in text.getvalue()
    assert "{'loss':" in text.getvalue() and "'eval_loss':" in text.getvalue()


def test_a_nan_is_left_out_of_the_logs(tmp_path: Path) -> None:
    class Breaks(Trainer):
        def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
            loss = super().compute_loss(*args, **kwargs)
            return loss * float("nan") if self.state.global_step == 3 else loss

    for kept in (True, False):
        run = trainer(tmp_path, max_steps=4, logging_steps=2, logging_nan_inf_filter=kept)
        run.__class__ = Breaks
        run.train()
        assert np.isfinite(losses(run)).tolist() == [True, kept]


def test_predictions_of_several_lengths_are_filled_up(tmp_path: Path) -> None:
    class Ragged:
        def __len__(self) -> int:
            return 5

        def __getitem__(self, i: int) -> dict[str, Any]:
            return {"input_ids": ta.arange(2 + i // 2), "labels": ta.arange(2 + i // 2) % 3}

    class Inputs:
        def __call__(self, seen: Any) -> dict[str, float]:
            assert seen.inputs.shape == seen.label_ids.shape == (5, 4) and len(seen.losses) == 5
            return {"kept": float((seen.label_ids != -100).mean())}

    run = trainer(
        tmp_path, tagger(ta), per_device_eval_batch_size=2, compute_metrics=Inputs(),
        include_for_metrics=["inputs", "loss"],
    )  # fmt: skip
    output = run.predict(Ragged())
    assert output.predictions.shape == (5, 4, 3)
    assert (output.predictions[0, 2:] == -100).all() and (output.predictions[4] != -100).all()
    assert output.metrics["test_kept"] == 14 / 20


def test_several_data_sets_are_evaluated_each_under_its_name(tmp_path: Path) -> None:
    run = trainer(tmp_path, eval_dataset={"near": Rows(), "far": Rows(seed=8)})
    found = run.evaluate()
    assert found["eval_near_loss"] != found["eval_far_loss"]
    assert run.evaluate(Rows(seed=8))["eval_loss"] == found["eval_far_loss"]


def test_evaluating_leaves_the_training_alone(tmp_path: Path) -> None:
    models = []
    for strategy in ("no", "epoch"):
        run = trainer(tmp_path, dropout=0.3, eval_strategy=strategy, eval_dataset=Rows())
        run.train()
        models.append(run.model)
    assert same_weights(*models)


# ---- the order of samples


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    def ids(seed: int, epoch: int, **options: Any) -> list[int]:
        rows = [{"i": i} for i in range(23)]

        def collate(batch: Any) -> Any:
            return [row["i"] for row in batch]

        from tinygrad_ai.train.batches import shuffled

        loader = Batches(rows, 4, collate, shuffled(rows), seed, **options)
        loader.set_epoch(epoch)
        assert len(list(loader)) == len(loader)
        return [i for batch in loader for i in batch]

    assert sorted(ids(1, 0)) == list(range(23)) and len(ids(1, 0, drop_last=True)) == 20
    assert ids(1, 0) == ids(1, 0, num_workers=2) != ids(1, 1) != ids(2, 1)


def test_samples_of_like_length_come_together() -> None:
    lengths = [int(n) for n in np.random.default_rng(0).integers(1, 100, 203)]
    order = by_length(lengths, 8)(ta.Generator().manual_seed(3))
    assert sorted(order) == list(range(203)) and lengths[order[0]] == max(lengths)
    spread = [np.ptp([lengths[k] for k in order[i : i + 8]]) for i in range(0, 200, 8)]
    assert np.mean(spread) < 25 < np.ptp(lengths)


def test_a_collator_with_a_generator_repeats(tmp_path: Path) -> None:
    class Drawing:
        def __init__(self) -> None:
            self.generator: Any = ta.Generator().manual_seed(5)

        def __call__(self, features: Any) -> Any:
            batch = stacked()(features)
            noise = ta.randn(batch["x"].shape, generator=self.generator, dtype=ta.float64)
            return {**batch, "x": batch["x"] + noise}

    runs = [trainer(tmp_path, data_collator=Drawing(), dataloader_num_workers=n) for n in (0, 0, 2)]
    for run in runs:
        run.train()
    assert losses(runs[0]) == losses(runs[1]) == losses(runs[2])
    assert runs[0].data_collator.generator.initial_seed() == 5


# ---- saving


def test_save_model(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    run.save_model()
    run.save_model(tmp_path / "there")
    found = ta.load(tmp_path / "there" / "model.safetensors")
    assert ta.equal(found["inner.weight"], run.model.inner.weight)
    args = json.loads((tmp_path / "training_args.json").read_text())
    assert args["learning_rate"] == 1e-2


def test_metrics_are_printed_and_saved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = trainer(tmp_path / "new")
    run.log_metrics("eval", {"eval_loss": 0.123456, "eval_n": 3})
    assert capsys.readouterr().out.splitlines() == [
        "***** eval metrics *****", "  eval_loss = 0.1235", "  eval_n    = 3"
    ]  # fmt: skip
    run.save_metrics("eval", {"eval_loss": np.float64(0.123456)})
    run.save_metrics("train", {"train_loss": 0.5})
    run.save_metrics("test", {"test_loss": 0.25}, combined=False)
    found = {p.name: json.loads(p.read_text()) for p in (tmp_path / "new").iterdir()}
    both = {"eval_loss": 0.123456, "train_loss": 0.5}
    assert found.pop("all_results.json") == both
    assert found == {
        "eval_results.json": {"eval_loss": 0.123456}, "train_results.json": {"train_loss": 0.5},
        "test_results.json": {"test_loss": 0.25},
    }  # fmt: skip
    (tmp_path / "new" / "all_results.json").write_text("{")
    with pytest.raises(CheckpointError, match="all_results.json is damaged"):
        run.save_metrics("eval", {"eval_loss": 1.0})
    assert json.loads((tmp_path / "new" / "eval_results.json").read_text()) != {"eval_loss": 1.0}


def test_model_init_starts_anew_each_time(tmp_path: Path) -> None:
    args = TrainingArguments(str(tmp_path), max_steps=3, save_strategy="no", learning_rate=0.1)
    run = Trainer(
        args=args, model_init=lambda: classifier(ta).double(), data_collator=stacked(),
        train_dataset=Rows(),
    )  # fmt: skip
    weights = [run.train() and run.model.inner.weight.clone() for _ in range(2)]
    assert ta.equal(weights[0], weights[1])


def test_a_run_on_a_gpu(gpu: Any, tmp_path: Path) -> None:
    """The CPU's losses, weights on the GPU, and checkpoints that resume there."""
    options = {"save_strategy": "steps", "save_steps": 4, "eval_strategy": "epoch"}
    options |= {"compute_metrics": accuracy, "eval_dataset": Rows(seed=2), "max_steps": 11}
    cpu, cuda = (
        trainer(tmp_path / "a", **options),
        trainer(tmp_path / "b", device="cuda", **options),
    )
    cpu.train()
    cuda.train()
    assert cuda.model.outer.weight.device.type == "cuda"
    np.testing.assert_allclose(losses(cuda), losses(cpu), rtol=1e-9)
    assert isinstance(cuda.predict(Rows()).predictions, np.ndarray)
    runs = []
    for wanted in (None, str(tmp_path / "c" / "checkpoint-4")):
        run = trainer(tmp_path / "c", device="cuda", dropout=0.3, **options)
        run.train(wanted)
        runs.append(run.model)
    assert same_weights(*runs)


# ---- bad input


def test_what_cannot_be_trained_is_refused(tmp_path: Path) -> None:
    model = classifier(ta).double()
    with pytest.raises(ArgumentError, match="either a model or a model_init"):
        Trainer(args=TrainingArguments(str(tmp_path)))
    with pytest.raises(ArgumentError, match="there is no eval_dataset"):
        trainer(tmp_path, eval_strategy="epoch")
    with pytest.raises(ArgumentError, match="needs a train_dataset"):
        trainer(tmp_path, train_dataset=None).train()
    with pytest.raises(DataError, match="the data set is empty"):
        trainer(tmp_path, train_dataset=Rows(count=0)).train()
    with pytest.raises(DataError, match="3 samples fill no batch of 4"):
        trainer(tmp_path, train_dataset=Rows(count=3), dataloader_drop_last=True).train()
    with pytest.raises(ArgumentError, match="no parameter of the model requires a gradient"):
        trainer(tmp_path, model.requires_grad_(False)).train()
    with pytest.raises(ArgumentError, match="max_steps says how long"):
        trainer(tmp_path, train_dataset=ta.data.IterableDataset())
    numbers = [{**row, "labels": row["labels"].double()} for row in [Rows()[i] for i in range(4)]]
    with pytest.raises(ArgumentError, match="class numbers, got labels of float64"):
        trainer(tmp_path, train_dataset=numbers, label_smoothing_factor=0.1).train()
    for wrong, came in ((lambda seen: None, "NoneType"), (lambda seen: 3.0, "float")):
        with pytest.raises(ArgumentError, match=f"compute_metrics to return a dict.*{came}"):
            trainer(tmp_path, eval_dataset=Rows(), compute_metrics=wrong).evaluate()
    with pytest.raises(ArgumentError, match="Trainer expects model to be a Module, got str"):
        Trainer("bert", TrainingArguments(str(tmp_path)))
    with pytest.raises(ArgumentError, match="args to be a TrainingArguments, got dict"):
        Trainer(model, {"output_dir": str(tmp_path)})  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="expected output_dir to be a folder, .* is a file"):
        (tmp_path / "file").write_text("mine")
        trainer(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"
    with pytest.raises(ArgumentError, match="metric_for_best_model is 'eval_f1', but the eval"):
        trainer(
            tmp_path, eval_dataset=Rows(), eval_strategy="epoch", metric_for_best_model="f1"
        ).train()


def test_a_model_without_a_loss_is_named(tmp_path: Path) -> None:
    class Silent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.outer = nn.Linear(6, 3, dtype=ta.float64)

        def forward(self, x: Any = None, labels: Any = None) -> Any:
            return {"logits": self.outer(x)}

    with pytest.raises(ArgumentError, match="gave no loss, only: logits; it was given: x, labels"):
        trainer(tmp_path, Silent()).train()


def test_columns_that_nobody_takes(tmp_path: Path) -> None:
    rows = [{"text": ta.zeros(2)}] * 4
    with pytest.raises(ArgumentError, match=r"no column of the data set \(text\) but labels"):
        trainer(tmp_path, train_dataset=rows).train()
    told = [{"text": "a", "label": 1}] * 4
    with pytest.raises(ArgumentError, match=r"\(text, label\) but labels .*\n.*tokenizer\(texts\)"):
        trainer(tmp_path, train_dataset=told).train()
    with pytest.raises(ArgumentError, match="sample 0 has neither"):
        trainer(tmp_path, train_sampling_strategy="group_by_length").train()
    assert sequential(rows)(ta.Generator()) == [0, 1, 2, 3]
