"""Saving and loading tensors: safetensors and npz, never pickle. Writes are all or nothing."""

from __future__ import annotations

import io
import json
import math
import mmap
import os
import re
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_safetensors

from .backend import moved, near
from .backend.dtypes import is_bfloat16, named
from .backend.storage import wrote
from .errors import ArgumentError, CheckpointError, TinygradError
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


def pickle_error(what: str, fix: str) -> CheckpointError:
    return CheckpointError(
        f"{what}: pickled files can run any code when they are loaded, and are refused", fix
    )


def _check_suffix(path: Path) -> None:
    if path.suffix in PICKLED:
        raise pickle_error(
            path.name,
            "in PyTorch: safetensors.torch.save_file(torch.load(path), 'model.safetensors')",
        )
    if path.suffix not in (".safetensors", ".npz"):
        raise CheckpointError(
            f"expected a file name ending in .safetensors or .npz, got {path.name}"
        )


def write(path: Path, *content: Any) -> None:
    """Writes a file so that a crash at any moment leaves either the old or the new one. It is
    given as bytes, or as functions that make them when their turn comes."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            for part in content:
                file.write(part() if callable(part) else part)
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


# What Hugging Face's from_pretrained is told about downloading: a folder is there.
FETCHING = {
    "cache_dir", "code_revision", "force_download", "local_files_only", "proxies",
    "resume_download", "revision", "token", "trust_remote_code", "use_auth_token",
}  # fmt: skip
REPOSITORY = re.compile(r"\w[\w.-]*(/[\w.-]+)?")  # a model's name on the hub: owner/name


def existing_folder(path: Any, content: str, load: str = "from_pretrained('FOLDER')") -> Path:
    """The folder with a model or a tokenizer, or an error that says how to come by one."""
    if not isinstance(path, (str, os.PathLike)):
        raise ArgumentError(f"expected a folder with {content}, got {type(path).__name__}")
    folder = Path(path)
    if folder.is_file():
        raise CheckpointError(
            f"{folder} is a file, expected the folder with {content}", f"{str(folder.parent)!r}"
        )
    if not folder.is_dir():
        name = path if REPOSITORY.fullmatch(str(path)) else "NAME"
        raise CheckpointError(
            f"{str(path)!r} is no folder on this machine, and nothing is downloaded here",
            f"hf download {name} --local-dir FOLDER, then {load}",
        )
    return folder


# ---- large files, one tensor at a time

# The names of dtypes in a safetensors file. NumPy has no bfloat16: its bits are read as integers.
DTYPES = {
    "BOOL": "?", "U8": "<u1", "I8": "<i1", "I16": "<i2", "I32": "<i4", "I64": "<i8",
    "F16": "<f2", "F32": "<f4", "F64": "<f8", "BF16": "<u2",
}  # fmt: skip
PIECE = 2**20  # how many numbers are read at once
MOST_HEADER = 100_000_000  # the format's own limit
POINTER = b"version https://git-lfs"  # how a file begins that Git LFS has not fetched


class SafetensorsFile:
    """A .safetensors file in mapped memory: what is not read costs nothing, and what was read is
    given back at once. CheckpointError if the file is cut off or of another kind."""

    def __init__(self, path: Any) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise CheckpointError(f"{self.path} does not exist")
        with open(self.path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if file.read(len(POINTER)) == POINTER:
                raise CheckpointError(
                    f"{self.path} holds no weights, but where Git LFS finds them", "git lfs pull"
                )
            file.seek(0)
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > min(size - 8, MOST_HEADER):
                raise self.damaged(f"its header would end at byte {8 + length} of {size}")
            try:
                self.entries = json.loads(file.read(length))
                self.metadata = self.entries.pop("__metadata__", {})
            except (ValueError, AttributeError) as error:
                raise self.damaged(f"its header is no JSON object: {error}") from None
            self.map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.start = 8 + length
        self._check(size - self.start)

    def damaged(self, why: str) -> CheckpointError:
        return CheckpointError(f"{self.path} is damaged or no safetensors file: {why}")

    def _check(self, room: int) -> None:
        """Every tensor's place must be as large as its shape and dtype say, and in the file."""
        for name, entry in self.entries.items():
            try:
                kind, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
                count = math.prod(int(n) for n in shape)
            except (KeyError, TypeError, ValueError):
                raise self.damaged(f"{name} has no dtype, shape and data_offsets") from None
            if kind not in DTYPES:
                raise CheckpointError(f"{self.path}: {name} is of dtype {kind}, which is not known")
            if not 0 <= begin <= end or end - begin != count * np.dtype(DTYPES[kind]).itemsize:
                raise self.damaged(f"{name} {tuple(shape)} of {kind} has {end - begin} bytes")
            if end > room:
                raise self.damaged(f"{name} ends at byte {end}, the data at {room}: it is cut off")

    def names(self) -> list[str]:
        return list(self.entries)

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self.entries[name]["shape"])

    def read_into(self, name: str, target: Tensor) -> None:
        """Writes a tensor of the file into a tensor of its shape, in the target's dtype."""
        kind, (begin, _) = self.entries[name]["dtype"], self.entries[name]["data_offsets"]
        shape, array = self.shape(name), target.array
        count, dtype = math.prod(shape), np.dtype(DTYPES[kind])
        flat = isinstance(array, np.ndarray) and array.flags.c_contiguous
        step = PIECE if flat else max(count, 1)
        for at in range(0, count, step):
            found: Any = np.frombuffer(
                self.map, dtype, min(step, count - at), self.start + begin + at * dtype.itemsize
            )
            if kind == "BF16":  # the upper half of a float32
                found = np.left_shift(found, 16, dtype=np.uint32).view(np.float32)
            if flat:
                array.reshape(-1)[at : at + step] = found
            else:
                near(array).write(array, moved(found.reshape(shape), target.device))
            del found
            if hasattr(mmap, "MADV_DONTNEED"):  # pages of the file, which would count as ours
                self.map.madvise(mmap.MADV_DONTNEED)
        wrote(array)


def save_large(path: Any, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Writes PATH.safetensors as `save` does, with one tensor at a time in memory besides."""
    names = {np.dtype(v): k for k, v in DTYPES.items() if k != "BF16"}
    header: dict[str, Any] = {"__metadata__": metadata}
    ordered = sorted(tensors.items(), key=lambda item: (-item[1].itemsize, item[0]))
    at = 0
    for name, t in ordered:
        end = at + t.nbytes
        kind = "BF16" if is_bfloat16(t.dtype) else names[t.dtype]
        header[name] = {"dtype": kind, "shape": list(t.shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # so that the numbers lie as a processor likes them
    parts = [_bytes_of(t) for _, t in ordered]
    write(Path(path), len(text).to_bytes(8, "little"), text, *parts)


def _bytes_of(t: Tensor) -> Any:
    """A function that gives a tensor's memory when it is to be written."""

    def make() -> Any:
        array = np.ascontiguousarray(t.detach().cpu().numpy())
        return array.reshape(-1).view(np.uint8).data

    return make
