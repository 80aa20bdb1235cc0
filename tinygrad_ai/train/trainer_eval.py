"""The part of the Trainer that evaluates and predicts."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

from ..autograd.mode import no_grad
from ..errors import ArgumentError
from .evaluation import (
    EvalLoopOutput,
    EvalPrediction,
    PredictionOutput,
    batch_length,
    detached,
    joined,
    plain,
    speed,
)  # fmt: skip
from .losses import fields_of
from .trainer_base import TrainerBase


class Evaluating(TrainerBase):
    """See `Trainer`."""

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:  # fmt: skip
        """Loss and metrics on eval_dataset, under names that start with the prefix.

        A dictionary of data sets is evaluated one by one, each under its own name.
        """
        dataset = self.eval_dataset if eval_dataset is None else eval_dataset
        if isinstance(dataset, dict):
            found: dict[str, float] = {}
            for name, part in dataset.items():
                found.update(self.evaluate(part, ignore_keys, f"{metric_key_prefix}_{name}"))
            return found
        start = time.perf_counter()
        only_loss = True if self.compute_metrics is None else None
        output = self.evaluation_loop(
            self.get_eval_dataloader(dataset), "evaluation", only_loss, ignore_keys,
            metric_key_prefix,
        )  # fmt: skip
        self._add_speed(output, metric_key_prefix, start)
        self.log(output.metrics)
        self._event("on_evaluate", metrics=output.metrics)
        return output.metrics

    def predict(
        self, test_dataset: Any, ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "test",
    ) -> PredictionOutput:  # fmt: skip
        """The model's outputs (not its loss) for a data set, and metrics where it has labels."""
        start = time.perf_counter()
        loader = self.get_test_dataloader(test_dataset)
        output = self.evaluation_loop(loader, "prediction", None, ignore_keys, metric_key_prefix)
        self._add_speed(output, metric_key_prefix, start)
        self._event("on_predict", metrics=output.metrics)
        return PredictionOutput(output.predictions, output.label_ids, output.metrics)

    def _add_speed(self, output: EvalLoopOutput, prefix: str, start: float) -> None:
        seconds, count = time.perf_counter() - start, output.num_samples
        batches = math.ceil(count / self.args.eval_batch_size)
        output.metrics.update(speed(prefix, seconds, count, batches))

    def evaluation_loop(
        self, dataloader: Any, description: str, prediction_loss_only: bool | None = None,
        ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval",
    ) -> EvalLoopOutput:  # fmt: skip
        """All batches without gradients and without dropout; their results joined as arrays."""
        only_loss = prediction_loss_only
        if only_loss is None:
            only_loss = self.args.prediction_loss_only
        self.callback_handler.objects["eval_dataloader"] = dataloader
        self.model.eval()
        losses: list[tuple[float, int]] = []
        parts: dict[str, list[Any]] = {"logits": [], "labels": [], "inputs": []}
        count = 0
        for inputs in dataloader:
            size = batch_length(inputs)
            count += size
            loss, logits, labels = self.prediction_step(self.model, inputs, only_loss, ignore_keys)
            if loss is not None:
                losses.append((loss.item(), size))
            if logits is not None and self.preprocess_logits_for_metrics is not None:
                logits = self.preprocess_logits_for_metrics(logits, labels)
            self._keep(parts, logits, labels, inputs)
            self._event("on_prediction_step")
        arrays = {name: joined(values) for name, values in parts.items()}
        metrics = self._metrics(arrays, losses, metric_key_prefix)
        return EvalLoopOutput(arrays["logits"], arrays["labels"], metrics, count)

    def _keep(self, parts: dict[str, list[Any]], logits: Any, labels: Any, inputs: Any) -> None:
        main = getattr(self.model, "main_input_name", "input_ids")
        wanted = "inputs" in self.args.include_for_metrics
        for name, value in (
            ("logits", logits), ("labels", labels), ("inputs", inputs[main] if wanted else None)
        ):  # fmt: skip
            if value is not None:
                parts[name].append(detached(value))

    def _metrics(
        self, arrays: dict[str, Any], losses: list[tuple[float, int]], prefix: str
    ) -> dict[str, float]:
        measured: dict[str, Any] = {}
        if self.compute_metrics and arrays["logits"] is not None and arrays["labels"] is not None:
            each = [loss for loss, size in losses for _ in range(size)]
            kept = each if "loss" in self.args.include_for_metrics else None
            seen = EvalPrediction(arrays["logits"], arrays["labels"], arrays["inputs"], kept)
            measured = self.compute_metrics(seen)
            if not isinstance(measured, Mapping):
                came = type(measured).__name__
                raise ArgumentError(f"expected compute_metrics to return a dictionary, got {came}")
        found: dict[str, Any] = {}
        if losses:
            finite = [(loss, n) for loss, n in losses if math.isfinite(loss)]
            if not self.args.logging_nan_inf_filter or not finite:
                finite = losses
            found[f"{prefix}_loss"] = sum([v * n for v, n in finite]) / sum([n for _, n in finite])
        for name, value in plain(measured).items():
            found[name if name.startswith(f"{prefix}_") else f"{prefix}_{name}"] = value
        return found

    def prediction_step(
        self, model: Any, inputs: Any, prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[Any, Any, Any]:  # fmt: skip
        """(loss, logits, labels) of a batch; each may be None. Made to be overridden."""
        names = self.label_names
        has_labels = bool(names) and all([inputs.get(name) is not None for name in names])
        inputs = self._prepare_inputs(inputs)
        loss = labels = None
        if has_labels:
            labels = tuple([inputs[name] for name in names])
            labels = labels[0] if len(labels) == 1 else labels
        with no_grad(), self.compute_loss_context_manager():
            if has_labels:
                items = self._get_num_items_in_batch([inputs])
                loss, outputs = self.compute_loss(model, inputs, True, items)
            else:
                outputs = model(**inputs)
        if prediction_loss_only:
            return loss, None, None
        logits = self._logits(outputs, ignore_keys, has_labels)
        return loss, logits[0] if len(logits) == 1 else logits or None, labels

    def _logits(self, outputs: Any, ignore_keys: list[str] | None, has_loss: bool) -> Any:
        """A model's outputs without its loss and what is not wanted."""
        named = fields_of(outputs)
        if named is None:
            if not isinstance(outputs, (tuple, list)):
                return (outputs,)
            own_loss = has_loss and not self._smoothing
            return tuple(outputs[1:] if own_loss and self.compute_loss_func is None else outputs)
        if ignore_keys is None:
            config = getattr(self.model, "config", None)
            ignore_keys = getattr(config, "keys_to_ignore_at_inference", ["past_key_values"])
        skipped = {*ignore_keys, "loss"}
        return tuple([v for k, v in named.items() if k not in skipped and v is not None])
