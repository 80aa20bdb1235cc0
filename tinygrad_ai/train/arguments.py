"""TrainingArguments: what decides a run of the Trainer, under Hugging Face's names."""

from __future__ import annotations

import functools
import json
import math
import os
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from ..errors import ArgumentError
from ..serialization import write_text
from .argument_names import is_number, translated
from .groups import OPTIMIZERS
from .precision import check_precision
from .schedules import SCHEDULES

T = TypeVar("T")
INTERVALS = ("no", "steps", "epoch")
SAMPLING = ("random", "sequential", "group_by_length")
LEAST = {  # the smallest value of each number that has one
    "per_device_train_batch_size": 1, "per_device_eval_batch_size": 1,
    "gradient_accumulation_steps": 1, "learning_rate": 0, "warmup_steps": 0, "weight_decay": 0,
    "adam_epsilon": 0, "max_grad_norm": 0, "dataloader_num_workers": 0, "eval_delay": 0,
    "num_train_epochs": 0, "save_total_limit": 0, "seed": 0, "data_seed": 0, "max_steps": -1,
}  # fmt: skip
WHOLE = (
    "per_device_train_batch_size", "per_device_eval_batch_size", "gradient_accumulation_steps",
    "max_steps", "dataloader_num_workers", "save_total_limit", "seed", "data_seed",
)  # fmt: skip


def checked(cls: type[T]) -> type[T]:
    """Translates the arguments of a dataclass before its own __init__ sees them."""
    generated: Any = cls.__init__

    @functools.wraps(generated)
    def __init__(self: Any, *args: Any, **given: Any) -> None:
        known = [f.name for f in fields(self)]
        generated(self, *args, **translated(given, known))

    cls.__init__ = __init__  # type: ignore[method-assign, assignment]
    return cls


@checked
@dataclass
class TrainingArguments:
    """Names, order and defaults of transformers 5.23, for what is supported.

    `evaluation_strategy`, `warmup_ratio`, `group_by_length` and `no_cuda`, as older versions call
    them, are taken, too. `logging_dir` is where TensorBoard files go, if tensorboardX is installed
    or `report_to="tensorboard"`. `device` is "cpu" or "cuda". ArgumentError for a name that is
    unknown (with the nearest one), not supported, or a value that makes no sense.
    """

    output_dir: str | None = None
    per_device_train_batch_size: int = 8
    num_train_epochs: float = 3.0
    max_steps: int = -1
    learning_rate: float = 5e-5
    lr_scheduler_type: str = "linear"
    lr_scheduler_kwargs: dict[str, Any] | None = None
    warmup_steps: float = 0
    optim: str = "adamw_torch_fused"
    weight_decay: float = 0.0
    adam_beta1: float = 0.9
    adam_beta2: float = 0.999
    adam_epsilon: float = 1e-8
    gradient_accumulation_steps: int = 1
    max_grad_norm: float = 1.0
    label_smoothing_factor: float = 0.0
    bf16: bool = False
    fp16: bool = False
    logging_strategy: str = "steps"
    logging_steps: float = 500
    logging_first_step: bool = False
    logging_nan_inf_filter: bool = True
    disable_tqdm: bool | None = None
    report_to: None | str | list[str] = None
    eval_strategy: str = "no"
    eval_steps: float | None = None
    eval_delay: float = 0
    per_device_eval_batch_size: int = 8
    prediction_loss_only: bool = False
    eval_on_start: bool = False
    include_for_metrics: list[str] = field(default_factory=list)
    save_only_model: bool = False
    save_strategy: str = "steps"
    save_steps: float = 500
    save_total_limit: int | None = None
    load_best_model_at_end: bool = False
    metric_for_best_model: str | None = None
    greater_is_better: bool | None = None
    seed: int = 42
    data_seed: int | None = None
    use_cpu: bool = False
    dataloader_drop_last: bool = False
    dataloader_num_workers: int = 0
    dataloader_pin_memory: bool = True
    dataloader_prefetch_factor: int | None = None
    dataloader_multiprocessing_context: str | None = None
    remove_unused_columns: bool = True
    label_names: list[str] | None = None
    train_sampling_strategy: str = "random"
    length_column_name: str = "length"
    do_train: bool = False
    do_eval: bool = False
    do_predict: bool = False
    resume_from_checkpoint: str | None = None
    logging_dir: str | None = None
    device: str = "cpu"

    def __post_init__(self) -> None:
        self.output_dir = os.path.expanduser(str(self.output_dir or "trainer_output"))
        if self.logging_dir is not None:
            self.logging_dir = os.path.expanduser(str(self.logging_dir))
        self.include_for_metrics = list(self.include_for_metrics or ())
        for name in ("eval_strategy", "logging_strategy", "save_strategy", "lr_scheduler_type"):
            value = getattr(self, name)
            setattr(self, name, getattr(value, "value", value))
        if self.eval_strategy == "steps" and not self.eval_steps:
            self.eval_steps = self.logging_steps
        self.do_eval = self.do_eval or self.eval_strategy != "no"
        watched = self.load_best_model_at_end or self.lr_scheduler_type == "reduce_lr_on_plateau"
        if watched and self.metric_for_best_model is None:
            self.metric_for_best_model = "loss"
        if self.greater_is_better is None and self.metric_for_best_model is not None:
            self.greater_is_better = not self.metric_for_best_model.endswith("loss")
        self._check_numbers()
        self._check_choices()
        self._check_intervals()
        self._check_best()

    def _check_numbers(self) -> None:
        for name, least in LEAST.items():
            value = getattr(self, name)
            if value is None and name in ("data_seed", "save_total_limit"):
                continue
            whole = name in WHOLE
            if not is_number(value) or not value >= least or (whole and value != int(value)):
                kind = "a whole number" if whole else "a number"
                raise ArgumentError(f"expected {name} to be {kind} >= {least}, got {value!r}")
        for name in ("adam_beta1", "adam_beta2", "label_smoothing_factor"):
            if not is_number(getattr(self, name)) or not 0 <= getattr(self, name) < 1:
                raise ArgumentError(f"expected {name} in [0, 1), got {getattr(self, name)!r}")
        if self.max_steps == 0 or (self.max_steps < 0 and self.num_train_epochs == 0):
            raise ArgumentError("no step to train: max_steps or num_train_epochs is 0")

    def _check_choices(self) -> None:
        choices: dict[str, Any] = {
            "logging_strategy": INTERVALS, "eval_strategy": INTERVALS,
            "save_strategy": (*INTERVALS, "best"), "train_sampling_strategy": SAMPLING,
            "lr_scheduler_type": SCHEDULES, "optim": OPTIMIZERS,
        }  # fmt: skip
        for name, known in choices.items():
            if getattr(self, name) not in known:
                words = ", ".join(known)
                raise ArgumentError(f"expected {name} of {words}; got {getattr(self, name)!r}")
        check_precision(self)
        if self.use_cpu and str(self.device) != "cpu":
            raise ArgumentError(f"use_cpu=True contradicts device={self.device!r}")
        if self.dataloader_prefetch_factor is not None and not self.dataloader_num_workers:
            raise ArgumentError("dataloader_prefetch_factor needs dataloader_num_workers > 0")
        unknown = set(self.include_for_metrics) - {"inputs", "loss"}
        if unknown:
            raise ArgumentError(f"include_for_metrics knows 'inputs' and 'loss', got {unknown}")

    def _check_intervals(self) -> None:
        for kind in ("logging", "eval", "save"):
            steps = getattr(self, f"{kind}_steps")
            if getattr(self, f"{kind}_strategy") != "steps":
                continue
            if not is_number(steps) or not steps > 0 or (steps > 1 and steps != int(steps)):
                raise ArgumentError(
                    f"expected {kind}_steps to be a whole number or in (0, 1), got {steps!r}"
                )
            if steps > 1:
                setattr(self, f"{kind}_steps", int(steps))
        if self.lr_scheduler_type == "reduce_lr_on_plateau" and self.eval_strategy == "no":
            raise ArgumentError("reduce_lr_on_plateau needs an eval_strategy")

    def _check_best(self) -> None:
        if not self.load_best_model_at_end or self.save_strategy == "best":
            return
        if self.eval_strategy != self.save_strategy or self.eval_strategy == "no":
            raise ArgumentError(
                "load_best_model_at_end needs the model saved when it is evaluated, but "
                f"eval_strategy is {self.eval_strategy!r} and save_strategy {self.save_strategy!r}",
                'eval_strategy="epoch", save_strategy="epoch"',
            )
        if self.eval_strategy != "steps":
            return
        every, saved = self.eval_steps or 0, self.save_steps
        if (every < 1) != (saved < 1) or round(saved * 1_000_000) % round(every * 1_000_000):
            raise ArgumentError(
                "load_best_model_at_end needs save_steps to be a multiple of eval_steps, "
                f"got {saved} and {every}"
            )

    # ---- what follows from them

    @property
    def train_batch_size(self) -> int:
        return self.per_device_train_batch_size

    @property
    def eval_batch_size(self) -> int:
        return self.per_device_eval_batch_size

    @property
    def folder(self) -> str:
        """output_dir, which __post_init__ has filled in."""
        return self.output_dir or "trainer_output"

    @property
    def order_seed(self) -> int:
        """The seed of the order of samples, and of what is drawn while batches are made."""
        return self.seed if self.data_seed is None else self.data_seed

    def get_warmup_steps(self, num_training_steps: int) -> int:
        """warmup_steps, or that share of all steps."""
        if self.warmup_steps >= 1:
            return int(self.warmup_steps)
        return math.ceil(num_training_steps * self.warmup_steps)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def to_json_string(self) -> str:
        return json.dumps(self.to_dict(), indent=2)

    def to_json(self, path: Any) -> None:
        """Writes the arguments to a file, whole or not at all."""
        write_text(Path(path), self.to_json_string() + "\n")
