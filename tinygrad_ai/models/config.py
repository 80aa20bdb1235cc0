"""Configurations: what a model's config.json says, under Hugging Face's keys."""

from __future__ import annotations

import json
from copy import deepcopy
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ..errors import ArgumentError, CheckpointError
from ..serialization import FETCHING, existing_folder, write_text
from .activations import check_activation

CONFIG_NAME = "config.json"
PROBLEMS = ("regression", "single_label_classification", "multi_label_classification")
COMMON: dict[str, Any] = {
    "architectures": None, "dtype": None, "output_attentions": False,
    "output_hidden_states": False, "problem_type": None, "return_dict": True,
    "tie_word_embeddings": True,
}  # fmt: skip


class PretrainedConfig:
    """Values by name, as attributes. A file's keys that nobody here knows are kept and saved."""

    model_type = ""
    defaults: dict[str, Any] = {}
    aliases: dict[str, str] = {}  # other names of a key, which all models understand
    needed: tuple[str, ...] = ()  # keys without which a file does not say what the model is
    sizes: tuple[str, ...] = ()
    chances: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ("initializer_range",)
    activation = "hidden_act"
    id2label: dict[int, str]

    def __init__(self, **values: Any) -> None:
        known = self.known()
        for name in values.keys() - known:
            near = get_close_matches(name, known, 1, 0.9)
            if near:
                raise ArgumentError(
                    f"{type(self).__name__} has no {name!r}", f"did you mean {near[0]!r}?"
                )
        self._set(values)

    @classmethod
    def known(cls) -> set[str]:
        """The keys that mean something to this model."""
        return {*COMMON, *cls.defaults, *cls.aliases, "num_labels", "id2label", "label2id"}

    def _set(self, values: dict[str, Any]) -> None:
        given = {self.aliases.get(k, k): v for k, v in values.items() if k != "model_type"}
        count, names = given.pop("num_labels", None), given.pop("label2id", None)
        labels = given.pop("id2label", None)
        for key, value in (("id2label", labels), ("label2id", names)):
            if value is not None and not isinstance(value, dict):
                raise ArgumentError(f"expected {key} to be a dictionary, got {value!r}")
        labels = labels or {v: k for k, v in (names or {}).items()}
        for name, value in deepcopy({**COMMON, **self.defaults, **given}).items():
            setattr(self, name, value)
        self.id2label = {int(k): v for k, v in labels.items()} or {0: "LABEL_0", 1: "LABEL_1"}
        if count is not None and count != self.num_labels:
            self.num_labels = count
        self.check()

    def __getattr__(self, name: str) -> Any:
        if name in type(self).aliases:
            return getattr(self, type(self).aliases[name])
        raise AttributeError(f"{type(self).__name__} has no {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, self.aliases.get(name, name), value)

    @property
    def num_labels(self) -> int:
        """How many labels the head of a classifier has."""
        return len(self.id2label)

    @num_labels.setter
    def num_labels(self, count: int) -> None:
        if not isinstance(count, int) or count < 1:
            raise ArgumentError(f"expected num_labels to be a whole number > 0, got {count!r}")
        self.id2label = {i: f"LABEL_{i}" for i in range(count)}

    @property
    def label2id(self) -> dict[str, int]:
        return {label: i for i, label in self.id2label.items()}

    @label2id.setter
    def label2id(self, numbers: dict[str, int]) -> None:
        if not isinstance(numbers, dict):
            raise ArgumentError(f"expected label2id to be a dictionary, got {numbers!r}")
        self.id2label = {i: label for label, i in numbers.items()}

    def check(self) -> None:
        """ArgumentError for a value that no model can be made of."""
        for name in self.sizes:
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ArgumentError(f"expected {name} to be a whole number > 0, got {value!r}")
        for name in self.chances:
            value = getattr(self, name)
            if value is not None and not (isinstance(value, (int, float)) and 0 <= value <= 1):
                raise ArgumentError(f"expected {name} to be a number in [0, 1], got {value!r}")
        for name in self.numbers:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
                raise ArgumentError(f"expected {name} to be a number >= 0, got {value!r}")
        if self.hidden_size % self.num_attention_heads:
            raise ArgumentError(
                f"hidden size {self.hidden_size} does not divide into "
                f"{self.num_attention_heads} heads"
            )
        pad = self.pad_token_id
        if pad is not None and not (isinstance(pad, int) and 0 <= pad < self.vocab_size):
            raise ArgumentError(
                f"expected pad_token_id to be in the vocabulary of {self.vocab_size}, got {pad!r}"
            )
        if self.problem_type not in (None, *PROBLEMS):
            raise ArgumentError(
                f"expected problem_type to be one of {', '.join(PROBLEMS)}, "
                f"got {self.problem_type!r}"
            )
        check_activation(getattr(self, self.activation), self.activation)
        if getattr(self, "add_cross_attention", False) or getattr(self, "is_decoder", False):
            raise ArgumentError("decoders with cross attention are not supported")

    # ---- files

    def to_dict(self) -> dict[str, Any]:
        """All values, as they stand in config.json."""
        found = {k: deepcopy(v) for k, v in vars(self).items()}
        found["id2label"] = {str(k): v for k, v in self.id2label.items()}
        return {**found, "label2id": self.label2id, "model_type": self.model_type}

    def to_json_string(self) -> str:
        return json.dumps(self.to_dict(), indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_dict(cls, values: dict[str, Any], **changes: Any) -> Any:
        """A configuration from a dictionary; what it knows nothing of is kept."""
        config = cls.__new__(cls)
        config._set({**values, **changes})
        return config

    def save_pretrained(self, save_directory: Any) -> None:
        folder = Path(save_directory)
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / CONFIG_NAME, self.to_json_string())

    @classmethod
    def from_pretrained(cls, folder: Any, **changes: Any) -> Any:
        """The configuration of a folder, or of a file; CheckpointError if it is no such one."""
        path = Path(folder)
        if path.is_dir() or not (path.is_file() or path.suffix == ".json"):
            path = existing_folder(folder, "a configuration") / CONFIG_NAME
        values = read_config(path, cls)
        changes = {k: v for k, v in changes.items() if k not in FETCHING}
        try:
            config = cls.from_dict(values)
        except (ValueError, TypeError, AttributeError) as error:
            raise CheckpointError(f"{path}: {error}") from None
        return cls.from_dict(values, **changes) if changes else config

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self.to_json_string().rstrip()}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PretrainedConfig) and self.to_dict() == other.to_dict()


def read_config(path: Path, kind: type[PretrainedConfig] | None = None) -> dict[str, Any]:
    """A config.json as a dictionary, checked for what a kind of configuration needs."""
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist")
    try:
        values = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{path} is no JSON: {error}") from None
    if not isinstance(values, dict):
        raise CheckpointError(f"{path}: expected a JSON object, got {type(values).__name__}")
    if kind is None:
        return values
    came = values.get("model_type", kind.model_type)
    if came != kind.model_type:
        raise CheckpointError(
            f"{path}: expected model_type {kind.model_type!r} for {kind.__name__}, got {came!r}"
        )
    other = {v: k for k, v in kind.aliases.items()}
    missing = [k for k in kind.needed if k not in values and other.get(k) not in values]
    if missing:
        raise CheckpointError(f"{path} lacks {', '.join(missing)}")
    return values
