"""The Trainer's checkpoints: folders checkpoint-N that are there whole or not at all."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import CheckpointError
from ..nn import Module
from ..serialization import SafetensorsFile, load, load_metadata, save, write_text
from ..tensor import Tensor

NAME = re.compile(r"checkpoint-(\d+)")
MODEL, INDEX, REST = "model.safetensors", "model.safetensors.index.json", "rest.safetensors"
OPTIMIZER, RUN, STATE = "optimizer.safetensors", "run.json", "trainer_state.json"
CONTENTS = "contents.json"  # the names and sizes of all files; written last


def write_folder(folder: Path, fill: Callable[[Path], None]) -> None:
    """Makes a folder that `fill` writes: complete, or as it was before. A crash at any moment
    leaves an older folder of that name whole, here or where `recover` finds it."""
    part, old = _beside(folder, "part"), _beside(folder, "old")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        fill(part)
        files = sorted(f for f in part.rglob("*") if f.is_file())
        for file in files:
            _sync(file)
        sizes = {f.relative_to(part).as_posix(): f.stat().st_size for f in files}
        write_text(part / CONTENTS, json.dumps(sizes, indent=2) + "\n")
        _sync(part)
        if folder.exists():
            shutil.rmtree(old, ignore_errors=True)
            folder.rename(old)
        part.rename(folder)
        _sync(folder.parent)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        recover(folder.parent)
        raise
    shutil.rmtree(old, ignore_errors=True)


def recover(output: Path) -> None:
    """Clears away what a crash left in an output folder, and puts back what it moved aside."""
    for left in output.glob(".checkpoint-*.part"):
        shutil.rmtree(left, ignore_errors=True)
    for old in output.glob(".checkpoint-*.old"):
        folder = old.with_name(old.name[1:].removesuffix(".old"))
        if folder.exists():
            shutil.rmtree(old, ignore_errors=True)
        else:
            old.rename(folder)


def _beside(folder: Path, ending: str) -> Path:
    return folder.with_name(f".{folder.name}.{ending}")


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def check_whole(folder: Path) -> None:
    """CheckpointError if a folder is no checkpoint, or not all of one."""
    if not folder.is_dir():
        raise CheckpointError(f"there is no checkpoint folder {folder}")
    sizes = read_json(folder / CONTENTS)
    for name, size in sizes.items():
        file = folder / name
        if not file.is_file():
            raise CheckpointError(f"{folder} is not whole: it has no {name}")
        if file.stat().st_size != size:
            raise CheckpointError(
                f"{folder} is not whole: {name} has {file.stat().st_size} bytes, not {size}"
            )
    if RUN not in sizes:
        raise CheckpointError(
            f"{folder} has the model alone (save_only_model): nothing can be resumed from it"
        )


def read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        last = max(checkpoints(path.parent), key=_step, default=None)
        raise CheckpointError(
            f"{path.parent} is no whole checkpoint: no {path.name}",
            None if last is None else f"{str(last)!r}",
        ) from None
    except ValueError as error:
        raise CheckpointError(f"{path} is damaged: {error}") from None


def checkpoints(output: Path) -> list[Path]:
    """The checkpoint folders in an output folder, the oldest first."""
    found = [(d, NAME.fullmatch(d.name)) for d in output.glob("checkpoint-*") if d.is_dir()]
    whole = [(d, int(m[1])) for d, m in found if m and (d / CONTENTS).is_file()]
    whole.sort(key=lambda pair: ((pair[0] / CONTENTS).stat().st_mtime_ns, pair[1]))
    return [d for d, _ in whole]


def get_last_checkpoint(folder: Any) -> str | None:
    """The checkpoint with the most steps in an output folder; None if it has none."""
    recover(Path(folder))
    last = max(checkpoints(Path(folder)), key=_step, default=None)
    return None if last is None else str(last)


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.split("-")[1])


def rotate(output: Path, limit: int | None, best: str | None) -> None:
    """Deletes the oldest beyond the limit, but never the newest, nor the best."""
    if not limit:
        return
    found = checkpoints(output)
    kept = {found[-1]} | ({Path(best)} if best else set())
    spare = len(found) - max(limit, len(kept))
    for folder in [d for d in found if d not in kept][: max(spare, 0)]:
        shutil.rmtree(folder, ignore_errors=True)


# ---- weights


def save_weights(model: Module, folder: Path) -> None:
    """The model as it saves itself, or its state in model.safetensors."""
    folder.mkdir(parents=True, exist_ok=True)
    if hasattr(model, "save_pretrained"):
        model.save_pretrained(folder)
    else:
        save(model.state_dict(), folder / MODEL)


def save_rest(model: Module, folder: Path) -> None:
    """What of the state the model's own files leave out (an adapter has no base, for one)."""
    there = {name for f in weight_files(folder) for name in SafetensorsFile(f).names()}
    shared = _memory(model, there)
    rest = {
        name: value
        for name, value in model.state_dict().items()
        if name not in there and id(value.array) not in shared
    }
    if rest:
        save(rest, folder / REST)


def _memory(model: Module, names: set[str]) -> set[int]:
    """The arrays behind the named parts of a state; tied parts share them."""
    return {id(value.array) for name, value in model.state_dict().items() if name in names}


def weight_files(folder: Path) -> list[Path]:
    if (folder / INDEX).is_file():
        shards = set(read_json(folder / INDEX)["weight_map"].values())
        return [folder / shard for shard in sorted(shards)]
    return [folder / MODEL] if (folder / MODEL).is_file() else []


def load_weights(model: Module, folder: Path) -> None:
    """Puts a checkpoint's weights into a model; CheckpointError, and nothing changed, if they do
    not fit."""
    rest = [folder / REST] if (folder / REST).is_file() else []
    found: dict[str, Tensor] = {}
    for file in [*weight_files(folder), *rest]:
        found.update(load(file))
    own = model.state_dict()
    found = {name: value for name, value in found.items() if name in own}
    shared = _memory(model, set(found))
    missing = [n for n, v in own.items() if n not in found and id(v.array) not in shared]
    if missing:
        raise CheckpointError(f"{folder} has no weights for {', '.join(missing[:5])}")
    model.load_state_dict(found, strict=False)


# ---- optimizer


def save_optimizer(optimizer: Any, path: Path) -> None:
    """Tensors of the state by parameter and name; numbers and groups as metadata."""
    state = optimizer.state_dict()
    tensors: dict[str, Tensor] = {}
    numbers: dict[str, Any] = {}
    for index, slots in state["state"].items():
        for name, value in slots.items():
            (tensors if isinstance(value, Tensor) else numbers)[f"{index}.{name}"] = value
    text = {"numbers": numbers, "param_groups": state["param_groups"]}
    save(tensors, path, metadata={"optimizer": json.dumps(text)})


def read_optimizer(path: Path) -> dict[str, Any]:
    """A state that load_state_dict takes; CheckpointError if the file is none."""
    tensors = load(path)
    try:
        text = json.loads(load_metadata(path)["optimizer"])
        state: dict[int, dict[str, Any]] = {}
        for key, value in [*tensors.items(), *text["numbers"].items()]:
            index, _, name = key.partition(".")
            state.setdefault(int(index), {})[name] = value
        return {"state": state, "param_groups": text["param_groups"]}
    except (KeyError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{path} has no optimizer's state: {error!r}") from None
