"""Where a Trainer's run is (TrainerState), and what it is asked to do next (TrainerControl)."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ..errors import CheckpointError
from ..serialization import write_text


class ExportableState:
    """A callback whose state is saved in checkpoints: `state()` gives {"args", "attributes"}."""

    def state(self) -> dict[str, Any]:
        raise NotImplementedError

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Any:
        made = cls(**state["args"])
        vars(made).update(state["attributes"])
        return made


@dataclass
class TrainerState:
    """Progress of a run, saved as trainer_state.json with Hugging Face's keys.

    `epoch` is a fraction, `global_step` counts optimizer steps, `log_history` has what was logged.
    """

    epoch: float = 0
    global_step: int = 0
    max_steps: int = 0
    logging_steps: int = 500
    eval_steps: int = 500
    save_steps: int = 500
    train_batch_size: int | None = None
    num_train_epochs: int = 0
    num_input_tokens_seen: int = 0
    total_flos: float = 0
    log_history: list[dict[str, Any]] = field(default_factory=list)
    best_metric: float | None = None
    best_global_step: int | None = None
    best_model_checkpoint: str | None = None
    is_local_process_zero: bool = True
    is_world_process_zero: bool = True
    is_hyper_param_search: bool = False
    trial_name: str | None = None
    trial_params: dict[str, Any] | None = None
    stateful_callbacks: dict[str, Any] = field(default_factory=dict)

    def compute_steps(self, args: Any, max_steps: int) -> None:
        """Intervals given as a share of all steps become numbers of steps."""
        for kind in ("logging", "eval", "save"):
            steps = getattr(args, f"{kind}_steps")
            if steps is not None:
                whole = math.ceil(max_steps * steps) if steps < 1 else steps
                setattr(self, f"{kind}_steps", int(whole))

    def save_to_json(self, json_path: Any) -> None:
        text = json.dumps(asdict(self), indent=2, sort_keys=True)
        write_text(Path(json_path), text + "\n")

    @classmethod
    def load_from_json(cls, json_path: Any) -> TrainerState:
        """Reads trainer_state.json; CheckpointError says what is wrong with it."""
        try:
            found = json.loads(Path(json_path).read_text())
            return cls(**{f.name: found[f.name] for f in fields(cls) if f.name in found})
        except FileNotFoundError:
            raise CheckpointError(f"{json_path} does not exist") from None
        except (ValueError, TypeError) as error:
            raise CheckpointError(f"{json_path} is damaged: {error!r}") from None


@dataclass
class TrainerControl(ExportableState):
    """Switches that callbacks set. The Trainer turns them off again when it has acted, but for
    should_training_stop."""

    should_training_stop: bool = False
    should_epoch_stop: bool = False
    should_save: bool = False
    should_evaluate: bool = False
    should_log: bool = False

    def state(self) -> dict[str, Any]:
        return {"args": asdict(self), "attributes": {}}
