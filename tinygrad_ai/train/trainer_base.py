"""The part of the Trainer that puts a run together: model, data, optimizer, callbacks, losses."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..data import DataLoader
from ..errors import ArgumentError
from ..nn import Module
from ..optim import Optimizer
from ..optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from ..tensor import Tensor
from .arguments import TrainingArguments
from .batches import (
    Batches,
    UsedColumns,
    by_length,
    forward_names,
    is_stream,
    lengths_of,
    sequential,
    shuffled,
)  # fmt: skip
from .callbacks import CallbackHandler, DefaultFlowCallback
from .groups import decay_parameter_names, optimizer_class, parameter_groups
from .logs import display, reporters
from .losses import accepts_loss_kwargs, count_items, fields_of, label_smoothed, shifts_labels
from .precision import forward_context, scaler
from .randomness import set_seed
from .schedules import get_scheduler
from .state import TrainerControl, TrainerState

logger = logging.getLogger(__name__)


class TrainerBase:
    """See `Trainer`."""

    def __init__(
        self, model: Any = None, args: TrainingArguments | None = None, data_collator: Any = None,
        train_dataset: Any = None, eval_dataset: Any = None, processing_class: Any = None,
        model_init: Any = None, compute_loss_func: Any = None, compute_metrics: Any = None,
        callbacks: list[Any] | None = None, optimizers: Any = (None, None),
        optimizer_cls_and_kwargs: Any = None, preprocess_logits_for_metrics: Any = None,
        *, tokenizer: Any = None,
    ) -> None:  # fmt: skip
        if (model is None) == (model_init is None):
            raise ArgumentError("Trainer expects either a model or a model_init")
        for name, given, kind in (("model", model, Module), ("args", args, TrainingArguments)):
            if given is not None and not isinstance(given, kind):
                came = type(given).__name__
                raise ArgumentError(f"Trainer expects {name} to be a {kind.__name__}, got {came}")
        self.args = args or TrainingArguments(output_dir="tmp_trainer")
        set_seed(self.args.seed)
        self.model_init, self.compute_loss_func = model_init, compute_loss_func
        self.compute_metrics = compute_metrics
        self.preprocess_logits_for_metrics = preprocess_logits_for_metrics
        self.processing_class = processing_class if processing_class is not None else tokenizer
        self.train_dataset, self.eval_dataset = train_dataset, eval_dataset
        self.optimizer: Optimizer | None = optimizers[0]
        self.lr_scheduler: LRScheduler | None = optimizers[1]
        self.optimizer_cls_and_kwargs, self._own_scheduler = optimizer_cls_and_kwargs, False
        self.data_collator = data_collator or self._default_collator()
        self._take_model(model if model is not None else model_init())
        self._check()
        self.state, self.control = TrainerState(), TrainerControl()
        self.scaler, self.is_in_train = scaler(self.args), False
        self.callback_handler = CallbackHandler(
            [DefaultFlowCallback, *reporters(self.args), *(callbacks or []), display(self.args)],
            processing_class=self.processing_class,
        )
        self._event("on_init_end")

    def _take_model(self, model: Any) -> None:
        """A model on its device, and what its forward tells about it."""
        self.model = model.to(self.args.device)
        names = forward_names(model)
        self.label_names = self.args.label_names or [n for n in names if "label" in n]
        self._columns = [*names, "label", "label_ids", *self.label_names]
        self.model_accepts_loss_kwargs = accepts_loss_kwargs(model)
        self._shifts_labels = shifts_labels(model)
        self._smoothing = self.args.label_smoothing_factor
        kind = getattr(getattr(model, "config", None), "problem_type", None)
        if self._smoothing and kind == "multi_label_classification":
            logger.warning("no label smoothing: each of several labels is on or off")
            self._smoothing = 0.0

    def _default_collator(self) -> Any:
        from ..text.collators import DataCollatorWithPadding, default_data_collator

        if self.processing_class is not None and hasattr(self.processing_class, "pad"):
            return DataCollatorWithPadding(self.processing_class)
        return default_data_collator

    def _check(self) -> None:
        args = self.args
        if self.optimizer_cls_and_kwargs is not None and self.optimizer is not None:
            raise ArgumentError("optimizers and optimizer_cls_and_kwargs exclude each other")
        if self.model_init is not None and (self.optimizer or self.lr_scheduler):
            raise ArgumentError("model_init excludes optimizers: theirs would be another model")
        if not callable(self.data_collator):
            raise ArgumentError(f"expected a callable data_collator, got {self.data_collator!r}")
        if args.eval_strategy != "no" and self.eval_dataset is None:
            raise ArgumentError(
                f"eval_strategy is {args.eval_strategy!r}, but there is no eval_dataset",
                "Trainer(..., eval_dataset=...)",
            )
        if self._output.is_file():
            raise ArgumentError(f"expected output_dir to be a folder, {self._output} is a file")
        if args.save_strategy == "best" and args.metric_for_best_model is None:
            raise ArgumentError('save_strategy="best" needs metric_for_best_model')
        if self.train_dataset is not None and is_stream(self.train_dataset) and args.max_steps < 1:
            raise ArgumentError(
                "the train_dataset has no length: max_steps says how long to train", "max_steps=..."
            )

    # ---- callbacks and logs

    def add_callback(self, callback: Any) -> None:
        self.callback_handler.add(callback)

    def pop_callback(self, callback: Any) -> Any:
        return self.callback_handler.pop(callback)

    def remove_callback(self, callback: Any) -> None:
        self.callback_handler.pop(callback)

    def _event(self, name: str, **more: Any) -> None:
        objects = {
            "model": self.model, "optimizer": self.optimizer, "lr_scheduler": self.lr_scheduler
        }  # fmt: skip
        self.callback_handler.objects.update(objects)
        self.control = self.callback_handler.call(name, self.args, self.state, self.control, **more)

    def log(self, logs: dict[str, Any], start_time: float | None = None) -> None:
        """Adds the epoch and hands the numbers to the log history and all callbacks."""
        logs["epoch"] = self.state.epoch
        self.state.log_history.append({**logs, "step": self.state.global_step})
        self._event("on_log", logs=logs)

    # ---- data

    def _collator(self) -> Any:
        if not self.args.remove_unused_columns:
            return self.data_collator
        return UsedColumns(self.data_collator, self._columns)

    def _loader(self, dataset: Any, batch_size: int, order: Any, drop_last: bool = False) -> Any:
        args, collate = self.args, self._collator()
        options: dict[str, Any] = {
            "num_workers": args.dataloader_num_workers, "pin_memory": args.dataloader_pin_memory,
            "prefetch_factor": args.dataloader_prefetch_factor,
            "multiprocessing_context": args.dataloader_multiprocessing_context,
        }  # fmt: skip
        if is_stream(dataset):
            return DataLoader(
                dataset, batch_size, collate_fn=collate, drop_last=drop_last, **options
            )
        return Batches(dataset, batch_size, collate, order, args.order_seed, drop_last, **options)

    def _train_order(self, dataset: Any) -> Any:
        args = self.args
        if is_stream(dataset) or args.train_sampling_strategy == "sequential":
            return sequential(dataset)
        if args.train_sampling_strategy == "random":
            return shuffled(dataset)
        name = getattr(self.processing_class, "model_input_names", ["input_ids"])[0]
        lengths = lengths_of(dataset, args.length_column_name, name)
        return by_length(lengths, args.train_batch_size * args.gradient_accumulation_steps)

    def get_train_dataloader(self) -> Any:
        """The training batches: `set_epoch(n)` chooses the epoch's order."""
        if self.train_dataset is None:
            raise ArgumentError("Trainer: training needs a train_dataset")
        order = self._train_order(self.train_dataset)
        return self._loader(
            self.train_dataset, self.args.train_batch_size, order, self.args.dataloader_drop_last
        )

    def get_eval_dataloader(self, eval_dataset: Any = None) -> Any:
        """Batches in the order of the data set."""
        dataset = self.eval_dataset if eval_dataset is None else eval_dataset
        if isinstance(dataset, str):
            dataset = self.eval_dataset[dataset]
        if dataset is None:
            raise ArgumentError("Trainer: evaluation needs an eval_dataset")
        return self._loader(dataset, self.args.eval_batch_size, sequential(dataset))

    def get_test_dataloader(self, test_dataset: Any) -> Any:
        return self._loader(test_dataset, self.args.eval_batch_size, sequential(test_dataset))

    def _prepare_inputs(self, inputs: Any) -> Any:
        """A batch on the device."""
        if isinstance(inputs, Tensor):
            return inputs.to(self.args.device)  # type: ignore[attr-defined]
        if isinstance(inputs, Mapping):
            return {k: self._prepare_inputs(v) for k, v in inputs.items()}
        if isinstance(inputs, (tuple, list)):
            return type(inputs)([self._prepare_inputs(v) for v in inputs])
        return inputs

    # ---- optimizer

    def create_optimizer_and_scheduler(self, num_training_steps: int) -> None:
        self.create_optimizer()
        self.create_scheduler(num_training_steps)

    def get_decay_parameter_names(self, model: Any) -> list[str]:
        """The parameters that weight decay is for: no biases, nothing of a normalisation."""
        return decay_parameter_names(model)

    def create_optimizer(self, model: Any = None) -> Optimizer:
        """The optimizer, made if there is none yet."""
        if self.optimizer is None:
            model = model or self.model
            names = self.get_decay_parameter_names(model)
            groups = parameter_groups(model, names, self.args.weight_decay)
            kind, options = self.optimizer_cls_and_kwargs or optimizer_class(self.args)
            self.optimizer = kind(groups, **options)
        return self.optimizer  # type: ignore[return-value]

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> LRScheduler:
        """The schedule, made if there is none yet."""
        if self.lr_scheduler is None:
            self._own_scheduler = True
            self.lr_scheduler = get_scheduler(
                self.args.lr_scheduler_type, optimizer or self.create_optimizer(),
                self.args.get_warmup_steps(num_training_steps), num_training_steps,
                self.args.lr_scheduler_kwargs,
            )  # fmt: skip
        return self.lr_scheduler

    def _get_learning_rate(self) -> float:
        return float(self.create_optimizer().param_groups[0]["lr"])

    def _steps_with_metric(self) -> bool:
        return isinstance(self.lr_scheduler, ReduceLROnPlateau)

    # ---- loss

    def compute_loss_context_manager(self) -> Any:
        """What forward passes run in: autocast with fp16 or bf16."""
        return forward_context(self.args)

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The loss of a batch, and the model's outputs if asked for. Made to be overridden.

        `num_items_in_batch` counts the labels of all batches of the step, for models (and
        compute_loss_func) that divide a sum by it.
        """
        inputs, labels = dict(inputs), None
        if self._smoothing or self.compute_loss_func is not None:
            labels = inputs.pop("labels", None)
        if self.model_accepts_loss_kwargs and num_items_in_batch is not None:
            inputs["num_items_in_batch"] = num_items_in_batch
        outputs = model(**inputs)
        if self.compute_loss_func is not None:
            loss = self.compute_loss_func(outputs, labels, num_items_in_batch=num_items_in_batch)
        elif labels is not None:
            loss = label_smoothed(
                outputs, labels, self._smoothing, self._shifts_labels, num_items_in_batch
            )  # fmt: skip
        else:
            loss = self._loss_of(outputs, inputs)
        return (loss, outputs) if return_outputs else loss

    def _loss_of(self, outputs: Any, inputs: Any) -> Any:
        """The loss a model computed itself."""
        named = fields_of(outputs)
        loss = named.get("loss") if named is not None else outputs[0]
        if loss is None:
            there = ", ".join([k for k, v in (named or {}).items() if v is not None])
            raise ArgumentError(
                f"the model gave no loss, only: {there or 'nothing'}; "
                f"it was given: {', '.join(inputs)}",
                "samples with labels (numbers: strings are left out), or compute_loss_func",
            )
        return loss

    def _get_num_items_in_batch(self, batches: list[Any]) -> int | None:
        if not self.model_accepts_loss_kwargs and self.compute_loss_func is None:
            return None
        return count_items(batches, self._shifts_labels)

    def floating_point_ops(self, inputs: Any) -> float:
        """About how many a batch takes, forward and backward: 6 for each token and each parameter
        outside of the tables; 0 for a model that is none of ours. Made to be overridden."""
        tokens = inputs.get(getattr(self.model, "main_input_name", "input_ids"))
        if not isinstance(tokens, Tensor) or not hasattr(self.model, "num_parameters"):
            return 0.0
        return 6.0 * tokens.numel() * self.model.num_parameters(exclude_embeddings=True)

    # ---- places

    @property
    def _output(self) -> Path:
        return Path(self.args.folder)

    def is_local_process_zero(self) -> bool:
        return True

    is_world_process_zero = is_local_process_zero
