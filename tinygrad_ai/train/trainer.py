"""Trainer: Hugging Face's training loop on our engine. A step is one update of the weights, made
of `gradient_accumulation_steps` batches."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

from ..errors import ArgumentError
from ..nn.utils import clip_grad_norm_, get_total_norm
from . import trainer_checkpoint as disk
from .batches import starting
from .evaluation import TrainOutput, speed
from .randomness import get_states, set_seed, set_states
from .state import TrainerState
from .trainer_save import Progress, Saving


class Plan(NamedTuple):
    """How long a run is: batches and steps of an epoch, epochs, steps and samples in all."""

    batches: int
    updates: int
    epochs: int
    max_steps: int
    samples: float


class Trainer(Saving):
    """Trains and evaluates a model whose forward takes a batch by name and gives a loss.

    `Trainer(model=, args=, train_dataset=).train()`: names, order and defaults of transformers
    5.23. The model is any nn.Module; what forward returns is a ModelOutput, a dictionary with
    "loss", or a tuple that begins with it. A data set has __len__ and __getitem__ (dictionaries),
    or is an IterableDataset.

    `train(resume_from_checkpoint=True)` ends in the same weights, bit for bit, as a run that was
    never interrupted. CheckpointError if the checkpoint is damaged or of another run.
    """

    def train(
        self, resume_from_checkpoint: Any = None, ignore_keys_for_eval: list[str] | None = None
    ) -> TrainOutput:
        """Trains to the end. `resume_from_checkpoint`: a folder, or True for the last one."""
        if self.model_init is not None:
            set_seed(self.args.seed)
            self._take_model(self.model_init())
            self.optimizer = self.lr_scheduler = None
        if self._own_scheduler:
            self.lr_scheduler = None
        loader = self.get_train_dataloader()
        plan = self._plan(loader)
        streams = self._begin(plan, resume_from_checkpoint)
        self.callback_handler.objects["train_dataloader"] = loader
        self._ignored, self.is_in_train = ignore_keys_for_eval, True
        self._started = time.perf_counter(), self.state.global_step
        try:
            self._run(loader, plan, streams)
            return self._finish(plan)
        except KeyboardInterrupt:
            print(self._how_to_resume())
            raise
        finally:
            self.is_in_train = False
            for callback in self.callback_handler.callbacks:
                getattr(callback, "close", bool)()  # bars and files that an error left open

    def _plan(self, loader: Any) -> Plan:
        args, every = self.args, self.args.gradient_accumulation_steps
        steps = args.max_steps
        samples: float = steps * every * args.train_batch_size
        try:
            batches = len(loader)
        except TypeError:
            return Plan(steps * every, steps, sys.maxsize, steps, samples)
        if batches == 0:
            raise ArgumentError("the training data give no batch")
        updates = math.ceil(batches / every)
        if steps > 0:
            return Plan(batches, updates, math.ceil(steps / updates), steps, samples)
        epochs, steps = args.num_train_epochs, math.ceil(args.num_train_epochs * updates)
        samples = epochs * len(self.train_dataset)
        return Plan(batches, updates, math.ceil(epochs), steps, samples)

    def _begin(self, plan: Plan, wanted: Any) -> dict[str, Any] | None:
        """A fresh run, or one restored: then the states of the random streams."""
        self.create_optimizer_and_scheduler(plan.max_steps)
        folder = self._resume_folder(wanted)
        self.progress, self._identity = Progress(), self._fingerprint()
        if folder is None:
            self.state = TrainerState(train_batch_size=self.args.train_batch_size)
            streams = None
        else:
            streams = self._restore(folder)
        self.state.compute_steps(self.args, plan.max_steps)
        self.state.max_steps, self.state.num_train_epochs = plan.max_steps, plan.epochs
        self._output.mkdir(parents=True, exist_ok=True)
        disk.recover(self._output)
        return streams

    # ---- the loop

    def _run(self, loader: Any, plan: Plan, streams: dict[str, Any] | None) -> None:
        self.model.zero_grad()
        self._event("on_train_begin")
        self.control.should_training_stop |= self.state.global_step >= plan.max_steps
        if self.args.eval_on_start and streams is None:
            self._evaluate(schedule=False)
        while self.progress.epoch < plan.epochs:
            if self.control.should_training_stop and not self.progress.batch:
                break
            if streams is not None:
                set_states(streams)
            self._event("on_epoch_begin")
            batches = self._batches(loader, streams)
            streams = None
            if self._run_epoch(batches, plan):
                self.progress.epoch, self.progress.batch = self.progress.epoch + 1, 0
            self._event("on_epoch_end")
            self._maybe_log_save_evaluate()
            if self.control.should_training_stop:
                break

    def _batches(self, loader: Any, streams: dict[str, Any] | None) -> Iterator[Any]:
        """The epoch's batches from the next one on, with the streams where they belong."""
        progress = self.progress
        if hasattr(loader, "set_epoch"):
            loader.set_epoch(progress.epoch)
        if streams is None or not progress.batch:
            progress.epoch_streams = get_states()
            return starting(loader, 0)
        set_states(progress.epoch_streams)  # a loader of the user's may have drawn its order
        batches = starting(loader, progress.batch)
        set_states(streams)
        return batches

    def _run_epoch(self, batches: Iterator[Any], plan: Plan) -> bool:
        """Steps until the batches are used up (True), or until a callback says to stop."""
        first = self.progress.batch
        while not (self.control.should_training_stop or self.control.should_epoch_stop):
            group = list(islice(batches, self.args.gradient_accumulation_steps))
            if not group:
                if self.progress.batch == first == 0:
                    raise ArgumentError("the training data gave no batch in this epoch")
                return True
            self._update(group, plan)
        return self.control.should_epoch_stop or self.progress.batch >= plan.batches

    def _update(self, group: list[Any], plan: Plan) -> None:
        """One step: the gradients of a group of batches, added up, then the optimizer."""
        self.current_gradient_accumulation_steps = len(group)
        items = self._get_num_items_in_batch(group)
        self._event("on_step_begin")
        for number, inputs in enumerate(group, 1):
            self._add_loss(self.training_step(self.model, inputs, items).item())
            self.state.total_flos += self.floating_point_ops(inputs)
            self.progress.batch += 1
            if number < len(group):
                self._event("on_substep_end")
        self.progress.norm, self.progress.rate = self._optimize()
        self.state.global_step += 1
        self.state.epoch = self.progress.epoch + self.progress.batch / plan.batches
        self._event("on_step_end")
        self._maybe_log_save_evaluate()

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Any:
        """Adds the gradients of one batch; returns its part of the step's loss. Made to be
        overridden."""
        model.train()
        inputs = self._prepare_inputs(inputs)
        with self.compute_loss_context_manager():
            loss = self.compute_loss(model, inputs, num_items_in_batch=num_items_in_batch)
        divided = self.compute_loss_func is not None or (
            self.model_accepts_loss_kwargs and num_items_in_batch is not None
        )
        if not divided:
            loss = loss / self.current_gradient_accumulation_steps
        self.scaler.scale(loss).backward()
        return loss.detach()

    def _add_loss(self, loss: float) -> None:
        progress = self.progress
        if self.args.logging_nan_inf_filter and not math.isfinite(loss):
            loss = progress.loss / (1 + self.state.global_step - progress.last_logged)
        progress.loss += loss

    def _optimize(self) -> tuple[float, float]:
        """Clips, steps, and moves the schedule on; the norm of the gradients and the rate used."""
        optimizer, limit = self.create_optimizer(), self.args.max_grad_norm
        self.scaler.unscale_(optimizer)
        if limit > 0:
            norm = clip_grad_norm_(self.model.parameters(), limit)
        else:
            norm = get_total_norm([p.grad for p in self.model.parameters() if p.grad is not None])
        self._event("on_pre_optimizer_step")
        scale = self.scaler.get_scale()
        self.scaler.step(optimizer)
        self.scaler.update()
        self._event("on_optimizer_step")
        rate = self._get_learning_rate()
        overflowed = self.scaler.get_scale() < scale
        if self.lr_scheduler is not None and not overflowed and not self._steps_with_metric():
            self.lr_scheduler.step()
        self.model.zero_grad()
        return float(norm.item() if hasattr(norm, "item") else norm), rate

    # ---- between steps

    def _maybe_log_save_evaluate(self) -> None:
        """What the callbacks asked for."""
        if self.control.should_log and self.state.global_step > self.progress.last_logged:
            self._log_loss()
        if self.control.should_evaluate:
            improved = self._note_best(self._evaluate())
            if self.args.save_strategy == "best":
                self.control.should_save = improved
        if self.control.should_save:
            self._save_checkpoint()
            self._event("on_save")

    def _log_loss(self) -> None:
        """The mean loss of the steps since the last log; norm and rate of the last one."""
        progress = self.progress
        logs: dict[str, Any] = {
            "loss": progress.loss / (self.state.global_step - progress.last_logged)
        }
        if progress.norm is not None:
            logs["grad_norm"] = progress.norm
        rate = progress.rate
        logs["learning_rate"] = self._get_learning_rate() if rate is None else rate
        progress.total_loss += progress.loss
        progress.loss, progress.last_logged = 0.0, self.state.global_step
        self.log(logs)

    def _evaluate(self, schedule: bool = True) -> dict[str, float]:
        metrics = self.evaluate(ignore_keys=self._ignored)
        if schedule and self._steps_with_metric():
            self.lr_scheduler.step(self._watched(metrics))  # type: ignore[union-attr, call-arg]
        return metrics

    def _watched(self, metrics: dict[str, float]) -> float:
        """The metric that decides which model is best."""
        name = f"eval_{(self.args.metric_for_best_model or 'loss').removeprefix('eval_')}"
        if name not in metrics:
            raise ArgumentError(
                f"metric_for_best_model is {name!r}, but the evaluation gave {', '.join(metrics)}"
            )
        return metrics[name]

    def _note_best(self, metrics: dict[str, float]) -> bool:
        """Whether these metrics are better than all before."""
        if self.args.metric_for_best_model is None:
            return False
        value, best = self._watched(metrics), self.state.best_metric
        sign = 1 if self.args.greater_is_better else -1
        if best is not None and not sign * value > sign * best:
            return False
        self.state.best_metric = value
        if self.args.save_strategy != "no":
            self.state.best_global_step = self.state.global_step
        return True

    def _finish(self, plan: Plan) -> TrainOutput:
        progress, (start, first) = self.progress, self._started
        loss = (progress.total_loss + progress.loss) / max(self.state.global_step, 1)
        steps = self.state.global_step - first
        samples = plan.samples * steps / plan.max_steps
        metrics = speed("train", time.perf_counter() - start, samples, steps)
        metrics["total_flos"], metrics["train_loss"] = self.state.total_flos, loss
        self.log(metrics)
        self._load_best_model()
        self._event("on_train_end")
        return TrainOutput(self.state.global_step, loss, metrics)

    def _how_to_resume(self) -> str:
        """What to say after Ctrl-C."""
        last = disk.get_last_checkpoint(self._output)
        said = f"stopped after step {self.state.global_step}; "
        if last is None:
            return said + "no checkpoint was saved (save_steps=... saves some)"
        return said + f"train(resume_from_checkpoint=True) goes on from {last}"
