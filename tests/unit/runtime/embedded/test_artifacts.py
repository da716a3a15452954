"""The embedded platform's files: never used unless their bytes are the locked ones."""

from __future__ import annotations

import hashlib
import io
import os
import re
import tarfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import ArtifactsMissing, DiskFull, WrongUse
from pipeline.runtime.embedded.artifacts import (
    KAFKA,
    LOCK_FILE,
    REGISTRY,
    Artifacts,
    LockedFile,
    cache_dir,
    read_lock,
)
from pipeline.runtime.embedded.progress import Progress

GOOD = b"the bytes that were locked"


def locked(name: str, content: bytes, component: str = KAFKA, packaging: str = "jar") -> LockedFile:
    return LockedFile(component, "org.example", name, "1.0", "", packaging, len(content),
                      hashlib.sha256(content).hexdigest())  # fmt: skip


class Source:
    """A source of files that counts, and serves the given contents in turn, the last one for ever."""

    def __init__(self, *contents: bytes | Exception) -> None:
        self.contents = list(contents)
        self.calls = 0

    def __call__(self, file: LockedFile, folder: Path, advance: Callable[[int], None]) -> Path:
        content = self.contents[min(self.calls, len(self.contents) - 1)]
        self.calls += 1
        if isinstance(content, Exception):
            raise content
        path = folder / file.filename
        path.write_bytes(content)
        advance(len(content))
        return path


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)


def store(cache: Path, source: Source, *files: LockedFile) -> Artifacts:
    return Artifacts(cache, locked=files or (locked("a", GOOD),), fetch=source, progress=Progress(io.StringIO()))


def test_a_file_is_fetched_once(tmp_path: Path) -> None:
    source = Source(GOOD)
    (path,) = store(tmp_path, source).kafka_classpath()
    assert path.read_bytes() == GOOD
    assert store(tmp_path, source).kafka_classpath() == (path,)
    assert source.calls == 1


@pytest.mark.parametrize(
    "damage",
    [GOOD[:-3], b"", b"X" * len(GOOD), GOOD + b"x"],
    ids=["truncated", "empty", "same size, other bytes", "longer"],
)
def test_a_damaged_file_in_the_cache_is_fetched_again(tmp_path: Path, damage: bytes) -> None:
    source = Source(GOOD)
    (path,) = store(tmp_path, source).kafka_classpath()
    os.utime(path, ns=(1, 1))
    path.write_bytes(damage)
    (path,) = store(tmp_path, source).kafka_classpath()
    assert path.read_bytes() == GOOD
    assert source.calls == 2


def test_a_damaged_download_is_fetched_again_and_never_kept(tmp_path: Path) -> None:
    source = Source(GOOD[:5], OSError("connection reset"), GOOD)
    (path,) = store(tmp_path, source).kafka_classpath()
    assert path.read_bytes() == GOOD
    assert source.calls == 3
    assert list((tmp_path / "staging").iterdir()) == []


def test_bytes_that_stay_wrong_are_refused_with_both_checksums(tmp_path: Path) -> None:
    with pytest.raises(ArtifactsMissing, match=locked("a", GOOD).sha256) as caught:
        store(tmp_path, Source(b"evil")).kafka_classpath()
    assert hashlib.sha256(b"evil").hexdigest() in str(caught.value)
    assert not (tmp_path / "artifacts" / "a-1.0.jar").exists()


def test_offline_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ArtifactsMissing, match="KAFKA_BOOTSTRAP_SERVERS") as caught:
        store(tmp_path, Source(OSError("Temporary failure in name resolution"))).kafka_classpath()
    assert "name resolution" in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert caught.value.exit_code == 3


def test_a_full_disk_is_named_and_not_tried_again(tmp_path: Path) -> None:
    source = Source(OSError(28, "No space left on device"))
    with pytest.raises(DiskFull, match=re.escape(str(tmp_path))):
        store(tmp_path, source).kafka_classpath()
    assert source.calls == 1


def test_two_first_uses_at_once_fetch_once(tmp_path: Path) -> None:
    source = Source(GOOD)
    barrier = threading.Barrier(2)
    found: list[tuple[Path, ...]] = []

    def use() -> None:
        barrier.wait()
        found.append(store(tmp_path, source).kafka_classpath())

    threads = [threading.Thread(target=use) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2
    assert source.calls == 1


def archive(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as packed:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            packed.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def test_an_unpacked_archive_that_lost_a_file_is_unpacked_again(tmp_path: Path) -> None:
    content = archive(run=b"jar", lib=b"more")
    source = Source(content)
    files = (locked("registry", content, REGISTRY, "tar.gz"),)
    home = store(tmp_path, source, *files).registry_home()
    (home / "lib").write_bytes(b"")
    again = store(tmp_path, source, *files).registry_home()
    assert again == home
    assert (home / "lib").read_bytes() == b"more"
    assert source.calls == 1


def test_the_committed_lock_names_the_pinned_versions_and_no_address() -> None:
    files = read_lock()
    coordinates = [f"{file.group}:{file.name}:{file.version}" for file in files]
    assert "org.apache.kafka:kafka_2.13:4.1.0" in coordinates
    assert [file.filename for file in files if file.component == REGISTRY] == ["apicurio-registry-app-3.3.3-all.tar.gz"]
    assert len(files) == len({file.filename for file in files})
    assert "://" not in LOCK_FILE.read_text()


@pytest.mark.parametrize("line", ["kafka a:b 1 ff", "other g:n:1::jar 1 " + "0" * 64, "kafka g:n:1::jar x " + "0" * 64])
def test_a_malformed_lock_is_refused_with_its_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "artifacts.lock"
    path.write_text(f"# comment\n{line}\n")
    with pytest.raises(WrongUse, match=r"artifacts\.lock:2"):
        read_lock(path)


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"HOME": "/home/ann"}, "/home/ann/.cache/execution-pipeline"),
        ({"HOME": "/home/ann", "XDG_CACHE_HOME": "/big"}, "/big/execution-pipeline"),
        ({"HOME": "/home/ann", "XDG_CACHE_HOME": "relative"}, "/home/ann/.cache/execution-pipeline"),  # XDG: ignore it
    ],
)
def test_the_cache_is_where_the_user_wants_it(env: dict[str, str], expected: str) -> None:
    assert cache_dir(env) == Path(expected)
