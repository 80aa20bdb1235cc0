"""Callbacks: what happens beside the steps. Each event gets (args, state, control, **objects)."""

from __future__ import annotations

import logging
from typing import Any

from ..errors import ArgumentError
from .state import ExportableState, TrainerControl, TrainerState

logger = logging.getLogger(__name__)


class TrainerCallback:
    """Base class: an event that is of interest is overridden; it may return the control.

    The keyword arguments are model, processing_class, optimizer, lr_scheduler, train_dataloader,
    eval_dataloader; on_log has logs, on_evaluate and on_predict have metrics.
    """

    def on_init_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any: ...
    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any: ...
    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any: ...
    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any: ...
    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any: ...
    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any: ...
    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any: ...
    def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any: ...
    def on_substep_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any: ...
    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any: ...
    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any: ...
    def on_predict(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any: ...
    def on_prediction_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any: ...
    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any: ...
    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any: ...


TURNED_OFF = {  # the switches that an event answers
    "on_train_begin": ("should_training_stop",),
    "on_epoch_begin": ("should_epoch_stop",),
    "on_step_begin": ("should_log", "should_evaluate", "should_save"),
    "on_evaluate": ("should_evaluate",),
    "on_save": ("should_save",),
    "on_log": ("should_log",),
}


class CallbackHandler:
    """All callbacks of a Trainer, called in their order. `objects` is what each is handed."""

    def __init__(self, callbacks: list[Any], **objects: Any) -> None:
        self.callbacks: list[TrainerCallback] = []
        self.objects = {"train_dataloader": None, "eval_dataloader": None, **objects}
        for callback in callbacks:
            self.add(callback)

    def add(self, callback: Any) -> None:
        """Takes a callback or a class of one."""
        made = callback() if isinstance(callback, type) else callback
        if any(type(made) is type(c) for c in self.callbacks):
            logger.warning("there are two callbacks of %s now", type(made).__name__)
        self.callbacks.append(made)

    def pop(self, callback: Any) -> TrainerCallback | None:
        """Takes out a callback, or the first one of a class; None if there is none."""
        for own in self.callbacks:
            if own is callback or (isinstance(callback, type) and isinstance(own, callback)):
                self.callbacks.remove(own)
                return own
        return None

    def call(self, event: str, args: Any, state: Any, control: Any, **more: Any) -> TrainerControl:
        for switch in TURNED_OFF.get(event, ()):
            setattr(control, switch, False)
        for callback in self.callbacks:
            result = getattr(callback, event)(args, state, control, **self.objects, **more)
            control = control if result is None else result
        return control  # type: ignore[no-any-return]

    def exported(self) -> dict[str, Any]:
        """The states of callbacks that have one, by class; a list where there are several."""
        found: dict[str, Any] = {}
        for callback in self.callbacks:
            if isinstance(callback, ExportableState):
                found.setdefault(type(callback).__name__, []).append(callback.state())
        return {name: s[0] if len(s) == 1 else s for name, s in found.items()}

    def restore(self, saved: dict[str, Any]) -> None:
        """Gives callbacks the attributes they had; those that are new keep their own."""
        left = {name: list(s) if isinstance(s, list) else [s] for name, s in saved.items()}
        for callback in self.callbacks:
            states = left.get(type(callback).__name__)
            if isinstance(callback, ExportableState) and states:
                vars(callback).update(states.pop(0)["attributes"])


class DefaultFlowCallback(TrainerCallback):
    """When to log, evaluate, save and stop, as the arguments say."""

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        step, last = state.global_step, state.global_step >= state.max_steps
        if (step == 1 and args.logging_first_step) or (
            args.logging_strategy == "steps" and step % state.logging_steps == 0
        ):
            control.should_log = True
        if args.eval_strategy == "steps" and step >= args.eval_delay:
            control.should_evaluate |= last or step % state.eval_steps == 0
        if args.save_strategy == "steps":
            control.should_save |= last or step % state.save_steps == 0
        control.should_training_stop |= last
        return control

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        control.should_log |= args.logging_strategy == "epoch"
        control.should_evaluate |= args.eval_strategy == "epoch" and state.epoch >= args.eval_delay
        control.should_save |= args.save_strategy == "epoch"
        return control


class EarlyStoppingCallback(TrainerCallback, ExportableState):
    """Ends the training when metric_for_best_model has not improved by more than the threshold in
    `early_stopping_patience` evaluations."""

    def __init__(
        self, early_stopping_patience: int = 1, early_stopping_threshold: float | None = 0.0
    ) -> None:
        if early_stopping_patience < 1:
            raise ArgumentError(
                f"expected early_stopping_patience >= 1, got {early_stopping_patience}"
            )
        self.early_stopping_patience = early_stopping_patience
        self.early_stopping_threshold = early_stopping_threshold or 0.0
        self.early_stopping_patience_counter = 0

    def exhausted(self) -> bool:
        return self.early_stopping_patience_counter >= self.early_stopping_patience

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        if args.metric_for_best_model is None or args.eval_strategy == "no":
            raise ArgumentError(
                "EarlyStoppingCallback needs metric_for_best_model and an eval_strategy",
                'TrainingArguments(eval_strategy="epoch", metric_for_best_model="loss")',
            )
        if not args.load_best_model_at_end:
            logger.warning("EarlyStoppingCallback without load_best_model_at_end: the last weights")
        if state.global_step == 0:
            self.early_stopping_patience_counter = 0
        control.should_training_stop |= self.exhausted()  # it had stopped before it was resumed
        return control

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        name = args.metric_for_best_model.removeprefix("eval_")
        value = kwargs["metrics"].get(f"eval_{name}")
        if value is None:
            logger.warning("early stopping: an evaluation without eval_%s does not count", name)
            return control
        if self.improved(args, state, value):
            self.early_stopping_patience_counter = 0
        else:
            self.early_stopping_patience_counter += 1
        control.should_training_stop |= self.exhausted()
        return control

    def improved(self, args: Any, state: TrainerState, value: float) -> bool:
        """state.best_metric is still that of the evaluations before this one."""
        if state.best_metric is None:
            return True
        gain = value - state.best_metric if args.greater_is_better else state.best_metric - value
        return gain > 0 and gain > self.early_stopping_threshold

    def state(self) -> dict[str, Any]:
        return {
            "args": {
                "early_stopping_patience": self.early_stopping_patience,
                "early_stopping_threshold": self.early_stopping_threshold,
            },
            "attributes": {"early_stopping_patience_counter": self.early_stopping_patience_counter},
        }
