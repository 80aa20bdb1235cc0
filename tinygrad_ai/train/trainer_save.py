"""The part of the Trainer that saves runs and takes them up again."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..errors import CheckpointError
from ..serialization import write_text
from . import trainer_checkpoint as disk
from .batches import is_stream
from .evaluation import plain
from .fingerprint import compare, fingerprint
from .logs import shown
from .randomness import get_states
from .state import TrainerState
from .trainer_eval import Evaluating


@dataclass
class Progress:
    """Where a run is beyond its TrainerState: the next batch, and losses not logged yet."""

    epoch: int = 0
    batch: int = 0
    loss: float = 0.0
    total_loss: float = 0.0
    last_logged: int = 0
    norm: float | None = None  # of the gradients of the last step
    rate: float | None = None  # that the last step used
    epoch_streams: dict[str, Any] = field(default_factory=dict)  # as the epoch began


class Saving(Evaluating):
    """See `Trainer`."""

    progress: Progress
    _identity: dict[str, Any]  # the fingerprint, taken before the first step

    def save_model(self, output_dir: Any = None) -> None:
        """The model (by its save_pretrained, or as model.safetensors), the arguments, and the
        processing class, if it can be saved."""
        folder = Path(output_dir or self.args.folder)
        disk.save_weights(self.model, folder)
        if hasattr(self.processing_class, "save_pretrained"):
            self.processing_class.save_pretrained(folder)
        self.args.to_json(folder / "training_args.json")

    def save_state(self) -> None:
        """trainer_state.json in output_dir."""
        self._output.mkdir(parents=True, exist_ok=True)
        self.state.save_to_json(self._output / disk.STATE)

    def log_metrics(self, split: str, metrics: dict[str, Any]) -> None:
        """Prints metrics, a line each, under the name of their part of the data ("eval")."""
        print(f"***** {split} metrics *****")
        width = max(map(len, metrics), default=0)
        for name, value in sorted(shown(metrics).items()):
            print(f"  {name:{width}} = {value}")

    def save_metrics(self, split: str, metrics: dict[str, Any], combined: bool = True) -> None:
        """Writes output_dir/SPLIT_results.json, and adds them to all_results.json."""
        self._output.mkdir(parents=True, exist_ok=True)
        whole = self._output / "all_results.json"
        before = disk.read_json(whole) if combined and whole.exists() else {}
        _write_metrics(self._output / f"{split}_results.json", metrics)
        if combined:
            _write_metrics(whole, {**before, **metrics})

    def _save_checkpoint(self) -> None:
        """output_dir/checkpoint-N, whole or not at all; then the oldest beyond the limit go."""
        folder = self._output / f"checkpoint-{self.state.global_step}"
        best = self.state.best_global_step
        if best is not None:
            at = self._output / f"checkpoint-{best}"
            if at == folder or at.is_dir():
                self.state.best_model_checkpoint = str(at)
        disk.write_folder(folder, self._fill)
        disk.rotate(self._output, self.args.save_total_limit, self.state.best_model_checkpoint)

    def _fill(self, folder: Path) -> None:
        self.save_model(folder)
        disk.save_rest(self.model, folder)
        self.state.stateful_callbacks = {
            **self.callback_handler.exported(), "TrainerControl": self.control.state()
        }  # fmt: skip
        self.state.save_to_json(folder / disk.STATE)
        if self.args.save_only_model:
            return
        disk.save_optimizer(self.optimizer, folder / disk.OPTIMIZER)
        run = {
            "progress": asdict(self.progress), "streams": get_states(),
            "scheduler": scheduler_state(self.lr_scheduler), "scaler": self.scaler.state_dict(),
            "of": self._identity,
        }  # fmt: skip
        write_text(folder / disk.RUN, json.dumps(run) + "\n")

    def _fingerprint(self) -> dict[str, Any]:
        data = self.train_dataset
        samples = None if data is None or is_stream(data) else len(data)
        return fingerprint(self.args, self.model, self.optimizer, samples)

    # ---- taking up

    def _resume_folder(self, wanted: Any) -> Path | None:
        """The checkpoint to go on from; None to start anew."""
        if wanted is None or wanted is False:
            return None
        if wanted is not True:
            disk.recover(Path(wanted).parent)
            return Path(wanted)
        last = disk.get_last_checkpoint(self._output)
        if last is None:
            raise CheckpointError(
                f"there is no checkpoint to resume from in {self._output}", "train()"
            )
        return Path(last)

    def _restore(self, folder: Path) -> dict[str, Any]:
        """Puts the run where a checkpoint was taken and returns the random streams' states.
        Everything is read and compared before anything is changed."""
        disk.check_whole(folder)
        run = disk.read_json(folder / disk.RUN)
        state = TrainerState.load_from_json(folder / disk.STATE)
        optimizer = disk.read_optimizer(folder / disk.OPTIMIZER)
        try:
            compare(run["of"], self._identity, folder)
            progress = Progress(**run["progress"])
            disk.load_weights(self.model, folder)
            self.create_optimizer().load_state_dict(optimizer)
            self.scaler.load_state_dict(run["scaler"])
            if self.lr_scheduler is not None:
                self.lr_scheduler.load_state_dict(run["scheduler"])
            self.callback_handler.restore(state.stateful_callbacks)
            streams = run["streams"]
        except (KeyError, TypeError) as error:
            raise CheckpointError(f"{folder} is no checkpoint of a Trainer: {error!r}") from None
        best = state.best_model_checkpoint
        if best is not None and not Path(best).is_dir():
            state.best_model_checkpoint = None
        self.state, self.progress = state, progress
        return streams  # type: ignore[no-any-return]

    def _load_best_model(self) -> None:
        """The weights of the best checkpoint; deletes the others where one only is kept."""
        best = self.state.best_model_checkpoint
        if best is None:
            return
        if self.args.load_best_model_at_end:
            disk.load_weights(self.model, Path(best))
        if self.args.save_total_limit == 1:
            for folder in disk.checkpoints(self._output):
                if folder != Path(best):
                    shutil.rmtree(folder, ignore_errors=True)


def _write_metrics(path: Path, metrics: dict[str, Any]) -> None:
    write_text(path, json.dumps(plain(metrics), indent=4, sort_keys=True))


def scheduler_state(scheduler: Any) -> dict[str, Any]:
    """A schedule's numbers. Dictionaries are its configuration, which its maker gives again."""
    found = {k: v for k, v in scheduler.state_dict().items() if not isinstance(v, dict)}
    try:
        json.dumps(found)
    except TypeError:
        raise CheckpointError(
            f"the state of {type(scheduler).__name__} cannot be saved in a checkpoint",
            'save_strategy="no", or a schedule whose state is numbers',
        ) from None
    return found
