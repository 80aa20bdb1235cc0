"""TrainingArguments: transformers' names and defaults, and a clear no to everything else."""

from __future__ import annotations

import dataclasses
import json
import warnings
from pathlib import Path
from typing import Any

import pytest

from tinygrad_ai.errors import ArgumentError
from tinygrad_ai.train import TrainingArguments
from tinygrad_ai.train.argument_names import UNSUPPORTED, WITHOUT_EFFECT

pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")
OWN = {"logging_dir": None, "device": "cpu", "report_to": None}  # not as in transformers 5.23


def test_names_order_and_defaults_are_those_of_transformers() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        transformers = pytest.importorskip("transformers", reason="the reference of this test")
        theirs = {f.name: f for f in dataclasses.fields(transformers.TrainingArguments)}
    mine = {f.name: f for f in dataclasses.fields(TrainingArguments)}
    for name, field in mine.items():
        if name in OWN:
            assert field.default == OWN[name]
        elif field.default_factory is not dataclasses.MISSING:
            assert field.default_factory() == theirs[name].default_factory()
        else:
            assert field.default == theirs[name].default, name
    shared = [name for name in mine if name in theirs]
    assert shared == [name for name in theirs if name in mine]
    for name in theirs.keys() - mine.keys():
        assert name in UNSUPPORTED or name in WITHOUT_EFFECT, name
    for name, default in UNSUPPORTED.items():
        found = theirs[name].default
        assert getattr(found, "value", found) == default, name


def test_what_is_not_supported_may_be_left_at_its_default() -> None:
    args = TrainingArguments("out", **UNSUPPORTED, save_on_each_node=True, run_name="first")
    assert args == TrainingArguments("out")


def test_older_names() -> None:
    old = TrainingArguments(
        "out", evaluation_strategy="epoch", warmup_ratio=0.1, group_by_length=True, no_cuda=True
    )
    assert old.eval_strategy == "epoch" and old.do_eval and old.use_cpu
    assert old.warmup_steps == 0.1 and old.get_warmup_steps(25) == 3
    assert old.train_sampling_strategy == "group_by_length"


def test_what_follows_from_others() -> None:
    best = TrainingArguments(
        "~/out", eval_strategy="steps", eval_steps=4, save_steps=8, load_best_model_at_end=True
    )
    assert best.metric_for_best_model == "loss" and best.greater_is_better is False
    assert best.output_dir == str(Path("~/out").expanduser())
    assert TrainingArguments("o", metric_for_best_model="accuracy").greater_is_better is True
    assert TrainingArguments("o", eval_strategy="steps", logging_steps=7.0).eval_steps == 7
    assert TrainingArguments().output_dir == "trainer_output"
    assert TrainingArguments("o", warmup_steps=12).get_warmup_steps(100) == 12


def test_to_json(tmp_path: Path) -> None:
    args = TrainingArguments("out", learning_rate=0.3, label_names=["labels"])
    args.to_json(tmp_path / "args.json")
    found = json.loads((tmp_path / "args.json").read_text())
    assert found == args.to_dict() == json.loads(args.to_json_string())
    assert TrainingArguments(**found) == args
    assert dataclasses.replace(args, seed=3).learning_rate == 0.3


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"learing_rate": 1e-3}, "no argument 'learing_rate'\n  fix: learning_rate=..."),
    ({"num_epochs": 3}, "fix: num_train_epochs=..."),
    ({"batch_size": 3}, "no argument 'batch_size'"),
    ({"fsdp": "full_shard"}, "fsdp='full_shard': this argument .* is not supported"),
    ({"deepspeed": "ds.json"}, "deepspeed='ds.json': .* not supported"),
    ({"push_to_hub": True}, "push_to_hub=True: .* not supported"),
    ({"gradient_checkpointing": True}, "gradient_checkpointing=True: .* not supported"),
    ({"per_device_train_batch_size": 0}, "per_device_train_batch_size to be a whole number >= 1"),
    ({"per_device_eval_batch_size": 2.5}, "got 2.5"),
    ({"gradient_accumulation_steps": -1}, "gradient_accumulation_steps"),
    ({"learning_rate": -1e-3}, "learning_rate to be a number >= 0, got -0.001"),
    ({"learning_rate": "5e-5"}, "learning_rate to be a number >= 0, got '5e-5'"),
    ({"num_train_epochs": 0}, "no step to train"),
    ({"num_train_epochs": float("nan")}, "num_train_epochs"),
    ({"max_steps": 0}, "no step to train"),
    ({"warmup_ratio": 1.5}, "warmup_ratio in"),
    ({"warmup_ratio": 0.1, "warmup_steps": 3}, "mean the same"),
    ({"evaluation_strategy": "no", "eval_strategy": "steps"}, "mean the same"),
    ({"eval_strategy": "epochs"}, "expected eval_strategy of no, steps, epoch; got 'epochs'"),
    ({"lr_scheduler_type": "warp"}, "expected lr_scheduler_type of linear"),
    ({"optim": "adafactor"}, "expected optim of"),
    ({"logging_steps": 0}, "logging_steps"),
    ({"save_steps": 2.5}, "save_steps to be a whole number or in"),
    ({"save_steps": None}, "save_steps to be a whole number or in .*, got None"),
    ({"logging_steps": "10"}, "logging_steps to be a whole number or in .*, got '10'"),
    ({"adam_beta1": 1.0}, "adam_beta1 in"),
    ({"adam_beta2": "0.99"}, "adam_beta2 in .*, got '0.99'"),
    ({"warmup_ratio": "0.1"}, "warmup_ratio in .*, got '0.1'"),
    ({"label_smoothing_factor": -0.1}, "label_smoothing_factor in"),
    ({"load_best_model_at_end": True}, "eval_strategy is 'no' and save_strategy 'steps'"),
    (
        {"load_best_model_at_end": True, "eval_strategy": "steps", "eval_steps": 3},
        "save_steps to be a multiple of eval_steps, got 500 and 3",
    ),
    ({"fp16": True, "bf16": True}, "at most one of fp16 and bf16"),
    ({"use_cpu": True, "device": "cuda"}, "use_cpu=True contradicts"),
    ({"dataloader_prefetch_factor": 2}, "needs dataloader_num_workers > 0"),
    ({"lr_scheduler_type": "reduce_lr_on_plateau"}, "reduce_lr_on_plateau needs"),
    ({"include_for_metrics": ["losses"]}, "include_for_metrics knows"),
]


@pytest.mark.parametrize(("given", "said"), WRONG, ids=[str(g)[:50] for g, _ in WRONG])
def test_what_makes_no_sense_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        TrainingArguments("out", **given)
