"""Saving and loading tensors: safetensors and npz, never pickle. Writes are all or nothing."""

from __future__ import annotations

import io
import json
import os
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_safetensors

from .backend import moved
from .backend.dtypes import is_bfloat16, named
from .errors import CheckpointError, TinygradError
from .tensor import Tensor, wrap

SINGLE = "tensor"  # the key of a file that holds one tensor
PICKLED = {".pt", ".pth", ".bin", ".pkl", ".pickle", ".ckpt"}


def save(obj: Any, path: Any, metadata: dict[str, str] | None = None) -> None:
    """Writes a tensor or a (nested) dictionary of tensors to PATH.safetensors or PATH.npz.

    Nested keys are joined with dots. The file appears complete or not at all: a crash leaves an
    old file whole. Tensors that share memory are saved once each.
    """
    path = Path(path)
    arrays = {
        name: np.ascontiguousarray(t.detach().cpu().numpy()).reshape(t.shape)
        for name, t in flat(obj).items()
    }
    _check_suffix(path)
    if path.suffix == ".safetensors":
        content = to_safetensors(arrays, metadata)
    elif any([is_bfloat16(a.dtype) for a in arrays.values()]):
        raise CheckpointError("NumPy's files cannot hold bfloat16", "a name ending in .safetensors")
    else:
        buffer = io.BytesIO()
        extra = {"__metadata__": np.array(json.dumps(metadata))} if metadata else {}
        np.savez(buffer, **arrays, **extra)  # type: ignore[arg-type]
        content = buffer.getvalue()
    write(path, content)


def flat(obj: Any, prefix: str = "") -> dict[str, Any]:
    """Nested dictionaries as one, its keys joined with dots."""
    if isinstance(obj, Tensor):
        return {prefix or SINGLE: obj}
    if not isinstance(obj, dict):
        raise CheckpointError(
            f"only tensors can be saved, got {type(obj).__name__} at {prefix or 'the top'}"
        )
    found: dict[str, Any] = {}
    for key, value in obj.items():
        found.update(flat(value, f"{prefix}.{key}" if prefix else str(key)))
    return found


def load(path: Any, map_location: Any = None) -> Any:
    """The dictionary of tensors in a file, or the one tensor, on the CPU or on a device named by
    `map_location`. CheckpointError says what is wrong with a file that is damaged or of another
    kind.
    """
    path = Path(path)
    arrays, _ = read(path)
    if map_location is not None:
        arrays = {name: moved(array, map_location) for name, array in arrays.items()}
    tensors = {name: wrap(array) for name, array in arrays.items()}
    return tensors[SINGLE] if list(tensors) == [SINGLE] else tensors


def load_metadata(path: Any) -> dict[str, str]:
    """The strings saved beside the tensors."""
    return read(Path(path))[1]


def read(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Arrays and metadata of a file."""
    _check_suffix(path)
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist")
    try:
        return _read_safetensors(path) if path.suffix == ".safetensors" else _read_npz(path)
    except TinygradError:
        raise
    except (
        SafetensorError,
        zipfile.BadZipFile,
        zlib.error,
        ValueError,
        KeyError,
        EOFError,
        TypeError,
    ) as error:
        raise CheckpointError(f"{path} is damaged or no {path.suffix[1:]} file: {error}") from None


def _read_safetensors(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    with safe_open(path, framework="numpy") as file:
        narrow = [n for n in list(file.keys()) if file.get_slice(n).get_dtype() == "BF16"]
        arrays = {n: file.get_tensor(n) for n in list(file.keys()) if n not in narrow}
        metadata = file.metadata() or {}
    return {**arrays, **(_bfloat16(path, narrow) if narrow else {})}, metadata


def _bfloat16(path: Path, names: list[str]) -> dict[str, Any]:
    """BF16 tensors, from the file itself: not every version of safetensors has them for NumPy."""
    found = {}
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
        for name in names:
            start, end = header[name]["data_offsets"]
            file.seek(8 + size + start)
            bits = np.fromfile(file, "<u2", (end - start) // 2).astype(np.uint16, copy=False)
            found[name] = bits.view(named("bfloat16")).reshape(header[name]["shape"])
    return found


def _read_npz(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    text = arrays.pop("__metadata__", None)
    unknown = [name for name, array in arrays.items() if array.dtype.kind not in "buifc"]
    if unknown:
        raise CheckpointError(f"{path.name}: {unknown[0]} holds no numbers of a known dtype")
    return arrays, {} if text is None else json.loads(str(text))


def _check_suffix(path: Path) -> None:
    if path.suffix in PICKLED:
        raise CheckpointError(
            f"{path.name}: pickled files can run any code when they are loaded, and are refused",
            "in PyTorch: safetensors.torch.save_file(torch.load(path), 'model.safetensors')",
        )
    if path.suffix not in (".safetensors", ".npz"):
        raise CheckpointError(
            f"expected a file name ending in .safetensors or .npz, got {path.name}"
        )


def write(path: Path, content: bytes) -> None:
    """Writes a file so that a crash at any moment leaves either the old or the new one."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    write(path, text.encode())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
