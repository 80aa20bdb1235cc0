"""The Trainer beside that of transformers: the same losses, rates, norms and weights."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_ai as ta
from tests.trainer_help import Rows, Tags, arguments, classifier, stacked, tagger
from tinygrad_ai.train import EvalPrediction, Trainer, get_scheduler

torch = pytest.importorskip("torch", reason="PyTorch is the reference of these tests")
pytest.importorskip("accelerate", reason="the Trainer of transformers needs accelerate")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    transformers = pytest.importorskip("transformers", reason="the reference of these tests")
    from transformers.optimization import get_scheduler as reference_scheduler

pytestmark = pytest.mark.filterwarnings("ignore")  # those of the reference

RUNS: dict[str, dict[str, Any]] = {
    "plain": {},
    "accumulation": {"gradient_accumulation_steps": 4},
    "warm-up and decay": {"warmup_steps": 3, "weight_decay": 0.3},
    "a share of warm-up": {"warmup_steps": 0.2, "lr_scheduler_type": "cosine"},
    "constant": {"lr_scheduler_type": "constant_with_warmup", "warmup_steps": 2},
    "clipping": {"max_grad_norm": 0.05},
    "no clipping": {"max_grad_norm": 0.0, "optim": "sgd"},
    "smoothing": {"label_smoothing_factor": 0.2, "gradient_accumulation_steps": 2},
    "max_steps": {"max_steps": 8, "logging_steps": 3, "logging_first_step": True},
    "a part of an epoch": {"num_train_epochs": 1.4, "dataloader_drop_last": True},
    "a log each epoch": {"logging_strategy": "epoch", "lr_scheduler_type": "cosine"},
    "betas": {"adam_beta1": 0.7, "adam_beta2": 0.9, "adam_epsilon": 1e-3},
    "all": {
        "gradient_accumulation_steps": 4, "warmup_steps": 1, "weight_decay": 0.1,
        "max_grad_norm": 0.1, "label_smoothing_factor": 0.1, "logging_steps": 2,
        "lr_scheduler_type": "polynomial", "lr_scheduler_kwargs": {"lr_end": 1e-4, "power": 2.0},
    },
}  # fmt: skip


def both(make: Any, data: Any, folder: Path, **options: Any) -> tuple[Any, Any]:
    """The Trainer of transformers and ours, with the same weights and samples, both trained."""
    extra = {k: options.pop(k) for k in ("compute_loss_func", "compute_metrics") if k in options}
    options = {"train_sampling_strategy": "sequential", "report_to": "none", **options}
    torch.manual_seed(0)
    theirs, mine = make(torch).double(), make(ta).double()
    theirs.config = type("Config", (), {})()
    mine.load_state_dict({k: ta.tensor(v.numpy()) for k, v in theirs.state_dict().items()})
    args = arguments(folder / "mine", **options)
    names = ("num_train_epochs", "per_device_train_batch_size", "learning_rate", "save_strategy")
    plain = {name: getattr(args, name) for name in (*names, "logging_steps")}
    evaluated = {"eval_dataset": data(torch)} if "eval_strategy" in options else {}
    reference = transformers.Trainer(
        model=theirs, train_dataset=data(torch), data_collator=stacked(torch), **extra, **evaluated,
        args=transformers.TrainingArguments(
            str(folder / "theirs"), use_cpu=True, disable_tqdm=True, **{**plain, **options}
        ),
    )  # fmt: skip
    evaluated = {name: data(ta) for name in evaluated}
    ours = Trainer(mine, args, stacked(), data(ta), **extra, **evaluated)
    assert reference.train().global_step == ours.train().global_step
    return reference, ours


def assert_same(reference: Any, ours: Any) -> None:
    """Every logged number but the speeds, then the weights."""
    lines = list(zip(reference.state.log_history, ours.state.log_history, strict=True))
    assert len(lines) > 2
    for theirs, mine in lines:
        known = [k for k in theirs if "second" not in k and "time" not in k]
        assert known == [k for k in mine if "second" not in k and "time" not in k]
        for name in known:  # transformers adds losses up in float32
            np.testing.assert_allclose(mine[name], theirs[name], rtol=1e-6, atol=1e-12)
    moved = ours.model.state_dict()
    for name, value in reference.model.state_dict().items():
        np.testing.assert_allclose(moved[name].numpy(), value.numpy(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("run", RUNS)
def test_a_run_is_that_of_transformers(tmp_path: Path, run: str) -> None:
    assert_same(*both(classifier, Rows, tmp_path, **RUNS[run]))


@pytest.mark.parametrize("steps", [1, 3])
def test_a_tuple_is_as_good_as_a_dictionary(tmp_path: Path, steps: int) -> None:
    def make(T: Any) -> Any:
        return classifier(T, "tuple")

    assert_same(*both(make, Rows, tmp_path, gradient_accumulation_steps=steps))


@pytest.mark.parametrize("options", [
    {"gradient_accumulation_steps": 2},
    {"gradient_accumulation_steps": 4, "label_smoothing_factor": 0.1},
    {"gradient_accumulation_steps": 3, "eval_strategy": "epoch"},
])  # fmt: skip
def test_losses_of_words_weigh_by_the_labels_of_the_step(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    assert_same(*both(tagger, Tags, tmp_path, **options))


def test_a_loss_of_the_users_own(tmp_path: Path) -> None:
    def loss(outputs: Any, labels: Any, num_items_in_batch: Any = None) -> Any:
        chosen = outputs["logits"].log_softmax(-1).gather(-1, labels.unsqueeze(-1))
        return -(chosen * 2).sum() / num_items_in_batch

    assert_same(
        *both(classifier, Rows, tmp_path, compute_loss_func=loss, gradient_accumulation_steps=4)
    )


def accuracy(seen: EvalPrediction) -> dict[str, Any]:
    assert isinstance(seen.predictions, np.ndarray)
    return {"accuracy": (seen.predictions.argmax(-1) == seen.label_ids).mean()}


@pytest.mark.parametrize("options", [
    {"eval_strategy": "epoch"},
    {"eval_strategy": "steps", "eval_steps": 4, "per_device_eval_batch_size": 5},
    {"eval_strategy": "steps", "eval_delay": 7, "logging_steps": 4, "label_smoothing_factor": 0.1},
    {"eval_strategy": "epoch", "eval_delay": 2, "lr_scheduler_type": "reduce_lr_on_plateau",
     "lr_scheduler_kwargs": {"patience": 0, "threshold": 0.5}},
])  # fmt: skip
def test_evaluations_are_those_of_transformers(tmp_path: Path, options: dict[str, Any]) -> None:
    reference, ours = both(classifier, Rows, tmp_path, compute_metrics=accuracy, **options)
    assert any("eval_accuracy" in line for line in ours.state.log_history)
    assert_same(reference, ours)
    theirs, mine = reference.predict(Rows(torch, 7, 5)), ours.predict(Rows(ta, 7, 5))
    np.testing.assert_allclose(mine.predictions, theirs.predictions, atol=1e-6)
    np.testing.assert_array_equal(mine.label_ids, theirs.label_ids)
    for name in ("test_loss", "test_accuracy"):
        assert mine.metrics[name] == pytest.approx(theirs.metrics[name], abs=1e-6)


def test_float32_stays_close(tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs, mine = classifier(torch), classifier(ta)
    theirs.config = type("Config", (), {})()
    mine.load_state_dict({k: ta.tensor(v.numpy()) for k, v in theirs.state_dict().items()})
    options = {"train_sampling_strategy": "sequential", "weight_decay": 0.1, "warmup_steps": 2}
    args = arguments(tmp_path / "a", **options)
    reference = transformers.Trainer(
        model=theirs, train_dataset=Rows(torch, dtype=np.float32), data_collator=stacked(torch),
        args=transformers.TrainingArguments(
            str(tmp_path / "b"), use_cpu=True, disable_tqdm=True, num_train_epochs=3,
            per_device_train_batch_size=4, learning_rate=1e-2, save_strategy="no", **options,
        ),
    )  # fmt: skip
    reference.train()
    ours = Trainer(mine, args, stacked(), Rows(ta, dtype=np.float32))
    ours.train()
    for name, value in theirs.state_dict().items():
        assert mine.state_dict()[name].dtype == ta.float32
        np.testing.assert_allclose(mine.state_dict()[name].numpy(), value, rtol=0, atol=1e-4)


def test_weight_decay_spares_what_transformers_spares(tmp_path: Path) -> None:
    def make(T: Any) -> Any:
        class Inner(T.nn.Module):  # type: ignore[name-defined, misc]
            def __init__(self) -> None:
                super().__init__()
                self.ln_1, self.norm, self.q_norm = [T.nn.LayerNorm(4) for _ in range(3)]
                self.normal, self.rmsnorm = T.nn.Linear(4, 4), T.nn.Linear(4, 4)
                self.scale = T.nn.Parameter(T.ones(4))
                self.bias = T.nn.Parameter(T.ones(4))

        class Outer(T.nn.Module):  # type: ignore[name-defined, misc]
            def __init__(self) -> None:
                super().__init__()
                self.layers = T.nn.ModuleList([Inner(), Inner()])
                self.head = T.nn.Linear(4, 4, bias=True)

            def forward(self, x: Any) -> Any:
                return x

        return Outer()

    args = transformers.TrainingArguments(str(tmp_path / "b"), use_cpu=True)
    reference = transformers.Trainer(model=make(torch), args=args)
    mine = Trainer(make(ta), arguments(tmp_path / "a"), stacked())
    names = mine.get_decay_parameter_names(mine.model)
    assert 0 < len(names) < len(list(mine.model.parameters()))
    assert sorted(names) == sorted(reference.get_decay_parameter_names(reference.model))


SHAPES: dict[str, dict[str, Any]] = {
    "linear": {}, "cosine": {"num_cycles": 1.5}, "cosine_with_restarts": {"num_cycles": 3},
    "polynomial": {"lr_end": 1e-3, "power": 3.0}, "constant": {}, "constant_with_warmup": {},
    "inverse_sqrt": {"timescale": 7},
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("warmup", [0, 4])
def test_schedules_are_those_of_transformers(name: str, warmup: int) -> None:
    rates = []
    for T, make in ((torch, reference_scheduler), (ta, get_scheduler)):
        optimizer = T.optim.SGD([T.zeros(1, requires_grad=True)], lr=0.5)
        schedule = make(name, optimizer, warmup, 20, SHAPES[name])
        rates.append([])
        for _ in range(22):
            rates[-1].append(schedule.get_last_lr()[0])
            optimizer.step()
            schedule.step()
    assert len(set(rates[1])) > 5 or name.startswith("constant")
    np.testing.assert_allclose(rates[1], rates[0], rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("name", SHAPES)
def test_a_run_that_is_all_warm_up(name: str) -> None:
    """The rate that the last step leaves is a number, too."""
    optimizer = ta.optim.SGD([ta.zeros(1, requires_grad=True)], lr=0.5)
    schedule: Any = get_scheduler(name, optimizer, 4, 4)
    for _ in range(4):
        optimizer.step()
        schedule.step()
    assert 0 <= optimizer.param_groups[0]["lr"] <= 0.5
