"""Which tensor of a checkpoint's files goes into which parameter of a model."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from ..errors import CheckpointError
from ..serialization import SafetensorsFile, pickle_error

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
FLOATS = {"F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64"}
OLD_NAMES = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
CONVERT = (
    "in PyTorch: Model.from_pretrained(folder).save_pretrained(folder) of transformers, or "
    "safetensors.torch.save_file(torch.load(path, weights_only=True), 'model.safetensors')"
)


def weight_files(folder: Path) -> list[SafetensorsFile]:
    """The files of a folder's weights: one, or those that an index lists."""
    if (folder / SINGLE).is_file():
        return [SafetensorsFile(folder / SINGLE)]
    if (folder / INDEX).is_file():
        return _shards(folder)
    pickled = sorted([p.name for p in folder.iterdir() if p.suffix in (".bin", ".pt", ".pth")])
    if pickled:
        raise pickle_error(f"{folder} holds {pickled[0]}", CONVERT)
    raise CheckpointError(
        f"{folder} holds neither {SINGLE} nor {INDEX}",
        "hf download NAME --local-dir FOLDER gets a folder with all files",
    )


def _shards(folder: Path) -> list[SafetensorsFile]:
    try:
        where = dict(json.loads((folder / INDEX).read_text("utf-8"))["weight_map"])
        names = sorted({str(name) for name in where.values()})
    except (ValueError, KeyError, TypeError):
        raise CheckpointError(f"{folder / INDEX} is no JSON with a weight_map") from None
    for name in names:
        if Path(name).name != name:
            raise CheckpointError(f"{folder / INDEX}: expected file names, got {name!r}")
    files = {name: SafetensorsFile(folder / name) for name in names}
    for key, name in where.items():
        if key not in files[name].entries:
            raise CheckpointError(f"{INDEX} says that {name} holds {key}, which it does not")
    return list(files.values())


def dtype_of(files: list[SafetensorsFile], asked: Any) -> Any:
    """The dtype asked for; for "auto" that of the first tensor that has one of FLOATS."""
    if not isinstance(asked, str) or asked != "auto":
        return asked
    kinds = [entry["dtype"] for file in files for entry in file.entries.values()]
    return next((FLOATS[kind] for kind in kinds if kind in FLOATS), None)


class Plan:
    """What is read, drawn and left over, all known before the first number is written."""

    def __init__(self, model: Any, files: list[SafetensorsFile], ignore_mismatched: bool) -> None:
        self.state = model.state_dict(keep_vars=True)
        self.prefix = model.base_model_prefix + "."
        self.sources: dict[str, tuple[SafetensorsFile, str]] = {}
        self.unexpected: list[str] = []
        for file in files:
            for key in file.names():
                name = self.own_name(key)
                if name is None and not model.is_ignored(key):
                    self.unexpected.append(key)
                elif name is not None:
                    self.sources[name] = file, key
        self._join_tied(model)
        _check_merged(self.unexpected)
        self.mismatched = [
            (name, file.shape(key), tuple(self.state[name].shape))
            for name, (file, key) in self.sources.items()
            if file.shape(key) != tuple(self.state[name].shape)
        ]
        if self.mismatched and not ignore_mismatched:
            raise _wrong_sizes(type(model).__name__, self.mismatched)
        for name, _, _ in self.mismatched:
            del self.sources[name]
        drawn = {name for name, _, _ in self.mismatched}
        self.missing = [k for k in self.state if k not in self.sources and k not in drawn]
        self.to_draw = drawn | set(self.missing)

    def own_name(self, key: str) -> str | None:
        """The model's name for a key of the file: as it is, or with or without the prefix."""
        for old, new in OLD_NAMES.items():
            key = key[: -len(old)] + new if key.endswith(old) else key
        names = (key, self.prefix + key, key.removeprefix(self.prefix))
        return next((n for n in names if n in self.state), None)

    def _is_inside(self, key: str) -> bool:
        """Whether an unexpected key lies where the model has others: no head, but a layer more."""
        stems = [".".join(k.split(".")[:2]) + "." for k in (key, self.prefix + key)]
        return any(name.startswith(stem) for name in self.state for stem in stems)

    def _join_tied(self, model: Any) -> None:
        """A tied parameter is read once, under whichever of its names the file has."""
        for name, source in model.tied.items() if model.config.tie_word_embeddings else ():
            found = self.sources.pop(name, None)
            if found is not None:
                self.sources.setdefault(source, found)
            self.state.pop(name, None)

    def read(self) -> None:
        for name, (file, key) in self.sources.items():
            file.read_into(key, self.state[name])

    def info(self) -> dict[str, list[Any]]:
        """Under the names of Hugging Face's loading info."""
        return {
            "missing_keys": self.missing, "unexpected_keys": self.unexpected,
            "mismatched_keys": self.mismatched, "error_msgs": [],
        }  # fmt: skip

    def report(self, kind: str, folder: Path) -> tuple[int, str]:
        """A level and a line for the log."""
        parts = [f"{kind} from {folder}: {len(self.sources)} tensors read"]
        drawn = [*self.missing, *[name for name, _, _ in self.mismatched]]
        if drawn:
            parts.append(f"newly initialised, to be trained: {', '.join(drawn)}")
        if self.unexpected:
            parts.append(f"not used: {', '.join(self.unexpected)}")
        told = drawn or any(map(self._is_inside, self.unexpected))
        return logging.WARNING if told else logging.INFO, "; ".join(parts)


def _check_merged(unexpected: list[str]) -> None:
    """CheckpointError for additions that were trained and would be lost."""
    found = [key for key in unexpected if ".lora_" in key]
    if found:
        raise CheckpointError(
            f"the weights have LoRA's additions beside them, {found[0]} and others: without them "
            "the model is not what was trained",
            "merge_lora(model) before save_pretrained; now: the model that they were saved from, "
            "add_lora(model, ...), model.load_state_dict(ta.load(file)), merge_lora(model)",
        )


def _wrong_sizes(kind: str, mismatched: list[tuple[str, Any, Any]]) -> CheckpointError:
    lines = [f"  {name}: the file has {came}, the model {own}" for name, came, own in mismatched]
    return CheckpointError(
        "\n".join([f"the weights do not fit {kind}:", *lines]),
        "another config.json, or ignore_mismatched_sizes=True to draw these anew",
    )
