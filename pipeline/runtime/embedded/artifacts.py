"""The embedded platform's files: fetched once into the user's cache, used only if their SHA-256 is the locked one.

`artifacts.lock` (beside this file) names every file by its Maven coordinate, size and SHA-256, so nothing is resolved
at run time: what was locked is what runs. Layout of the cache (`$XDG_CACHE_HOME` or `~/.cache`, folder
`execution-pipeline`):

    artifacts/<file>            verified files, put there by an atomic rename
    unpacked/<name>/            archives, unpacked aside and renamed into place
    verified.json               size and modification time of each file when it was last hashed (the stamp)
    lock                        held while fetching, so two first uses at once fetch once
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import ArtifactsMissing, DiskFull, WrongUse
from pipeline.runtime.embedded.progress import Progress

LOCK_FILE = Path(__file__).with_name("artifacts.lock")
KAFKA = "kafka"
REGISTRY = "registry"
TITLES = {KAFKA: "Apache Kafka 4.1.0", REGISTRY: "Apicurio Registry 3.3.3"}

_ATTEMPTS = 4
_PARALLEL = 4
_HTTP_TIMEOUT_S = 30
_UNPACKED_PER_PACKED = 1.2  # jars inside the archive do not shrink further


@dataclass(frozen=True, slots=True)
class LockedFile:
    """One locked file: the component it belongs to, its Maven coordinate, size in bytes and SHA-256 in hex."""

    component: str
    group: str
    name: str
    version: str
    classifier: str
    packaging: str
    size_bytes: int
    sha256: str

    @property
    def filename(self) -> str:
        """Name in the cache, as Maven names it."""
        classifier = f"-{self.classifier}" if self.classifier else ""
        return f"{self.name}-{self.version}{classifier}.{self.packaging}"


Fetch = Callable[[LockedFile, Path, Callable[[int], None]], Path]
"""(what, an empty folder of its own, callback with the number of bytes just received) → where the file now is."""


def cache_dir(env: Mapping[str, str] | None = None) -> Path:
    """The user's cache folder of this project (not necessarily existing)."""
    env = os.environ if env is None else env
    base = env.get("XDG_CACHE_HOME") or ""
    root = Path(base) if Path(base).is_absolute() else Path(env.get("HOME") or Path.home()) / ".cache"
    return root / "execution-pipeline"


def read_lock(path: Path = LOCK_FILE) -> tuple[LockedFile, ...]:
    """Read a lock file. Raises WrongUse with file and line for a malformed one."""
    files = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line or line.startswith("#"):
            continue
        try:
            component, coordinate, size, sha256 = line.split()
            group, name, version, classifier, packaging = coordinate.split(":")
            if len(sha256) != 64 or component not in TITLES:
                raise ValueError(line)
            files.append(LockedFile(component, group, name, version, classifier, packaging, int(size), sha256))
        except ValueError as error:
            raise WrongUse(f"{path}:{number}: not a line of an artifacts lock: {line!r}") from error
    return tuple(files)


class Artifacts:
    """The files of the embedded platform in one cache folder.

    `kafka_classpath()` and `registry_home()` return verified paths, fetching first where needed. Safe to be used by
    several processes and threads at once.
    """

    def __init__(
        self,
        cache: Path | None = None,
        *,
        locked: Sequence[LockedFile] | None = None,
        fetch: Fetch | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.cache = cache_dir() if cache is None else cache
        self._locked = read_lock() if locked is None else tuple(locked)
        self._fetch = fetch_from_maven if fetch is None else fetch
        self._progress = Progress() if progress is None else progress

    def kafka_classpath(self) -> tuple[Path, ...]:
        """The broker's jars, in the lock's order."""
        return self.ensure(KAFKA)

    def registry_home(self) -> Path:
        """The folder of the unpacked registry, with `quarkus-run.jar` in it."""
        (archive,) = self._of(REGISTRY)
        home = self.cache / "unpacked" / f"{archive.name}-{archive.version}-{archive.sha256[:12]}"
        if not _unpacked_whole(home):
            (packed,) = self.ensure(REGISTRY)
            with self._locked_cache():
                if not _unpacked_whole(home):
                    self._unpack(packed, home)
        return home

    def ensure(self, component: str) -> tuple[Path, ...]:
        """Paths of all files of a component, each verified; fetches what is missing or damaged.

        Raises ArtifactsMissing (offline, or the source's bytes are not the locked ones) or DiskFull.
        """
        files = self._of(component)
        if self._damaged(files):
            with self._locked_cache():
                damaged = self._damaged(files)  # another process may have fetched while we waited
                if damaged:
                    self._fetch_all(TITLES[component], damaged)
        return tuple(self._path(file) for file in files)

    def _of(self, component: str) -> tuple[LockedFile, ...]:
        return tuple(file for file in self._locked if file.component == component)

    def _path(self, file: LockedFile) -> Path:
        return self.cache / "artifacts" / file.filename

    # ------------------------------------------------------------------ verification

    def _damaged(self, files: Sequence[LockedFile]) -> list[LockedFile]:
        """Those of `files` that are missing or not the locked bytes. Hashes only what changed since it was hashed."""
        stamps = _read_json(self.cache / "verified.json")
        fresh: dict[str, list[int | str]] = {}
        damaged = []
        for file in files:
            path = self._path(file)
            try:
                stat = path.stat()
            except FileNotFoundError:
                damaged.append(file)
                continue
            stamp: list[int | str] = [stat.st_size, stat.st_mtime_ns, file.sha256]
            if stat.st_size != file.size_bytes:
                damaged.append(file)
            elif stamps.get(file.filename) != stamp:
                if _sha256(path) == file.sha256:
                    fresh[file.filename] = stamp
                else:
                    damaged.append(file)
        if fresh:
            # Lost updates between two processes only cost another hashing.
            _write_atomically(self.cache / "verified.json", json.dumps({**stamps, **fresh}, indent=0, sort_keys=True))
        return damaged

    # ------------------------------------------------------------------ fetching

    def _fetch_all(self, title: str, files: Sequence[LockedFile]) -> None:
        total = sum(file.size_bytes for file in files)
        _require_space(f"the files of {title}", self.cache, int(total * (1 + _UNPACKED_PER_PACKED)))
        self._sweep_staging()
        with (
            self._progress.task(f"fetching {title} into {self.cache} ({len(files)} files)", total) as advance,
            ThreadPoolExecutor(_PARALLEL) as pool,
        ):
            jobs = [pool.submit(self._fetch_one, file, advance) for file in files]
            try:
                for job in jobs:
                    job.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _fetch_one(self, file: LockedFile, advance: Callable[[int], None]) -> None:
        problem = ""
        for attempt in range(_ATTEMPTS):
            if attempt:
                time.sleep(0.5 * 2**attempt)
            staging = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=self._staging()))
            received = 0

            def count(size: int) -> None:
                nonlocal received
                received += size
                advance(size)

            try:
                fetched = self._fetch(file, staging, count)
                found = _sha256(fetched)
                if found == file.sha256:
                    target = self._path(file)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    os.replace(fetched, target)
                    return
                problem = f"its SHA-256 is {found}, the locked one is {file.sha256} ({fetched.stat().st_size} bytes)"
            except OSError as error:  # requests' errors are OSErrors too
                if error.errno == errno.ENOSPC:
                    raise DiskFull(file.filename, self.cache) from error
                problem = _first_line(error)
            except RuntimeError as error:
                problem = _first_line(error)
            finally:
                shutil.rmtree(staging, ignore_errors=True)
            advance(-received)
        raise ArtifactsMissing(f"Could not fetch {file.filename} ({_ATTEMPTS} attempts): {problem}.", self.cache)

    def _unpack(self, packed: Path, home: Path) -> None:
        _require_space("the unpacked registry", self.cache, int(packed.stat().st_size * _UNPACKED_PER_PACKED))
        home.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=self._staging()))
        try:
            with tarfile.open(packed) as archive:
                # The bytes are the locked ones: this filter is a second safeguard. Python before 3.11.4 has none.
                if hasattr(tarfile, "data_filter"):
                    archive.extractall(aside, filter="data")
                else:
                    archive.extractall(aside)
            # The list is written last inside, so a folder with it is whole; sizes catch later truncation.
            listing = {str(p.relative_to(aside)): p.stat().st_size for p in sorted(aside.rglob("*")) if p.is_file()}
            (aside / "unpacked.json").write_text(json.dumps(listing), encoding="utf-8")
            shutil.rmtree(home, ignore_errors=True)
            os.replace(aside, home)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise DiskFull("the unpacked registry", self.cache) from error
            raise
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def _staging(self) -> Path:
        staging = self.cache / "staging"
        staging.mkdir(parents=True, exist_ok=True)
        return staging

    def _sweep_staging(self) -> None:
        # Called with the cache locked: no other process is fetching, so what is there was left by a killed one.
        for left in self._staging().iterdir():
            shutil.rmtree(left, ignore_errors=True)

    @contextmanager
    def _locked_cache(self) -> Iterator[None]:
        try:
            self.cache.mkdir(parents=True, exist_ok=True)
            handle = open(self.cache / "lock", "w", encoding="utf-8")  # noqa: SIM115 - closed below, held while locked
        except OSError as error:
            raise ArtifactsMissing(f"The cache folder cannot be written: {error}.", self.cache) from error
        with handle, _exclusive(handle.fileno(), self._progress):
            yield


def fetch_from_maven(file: LockedFile, folder: Path, advance: Callable[[int], None]) -> Path:
    """Fetch one file by its exact coordinate with jgo (pure Python, no Maven needed), into `folder`."""
    from jgo.maven import MavenContext, PythonResolver

    def report(_filename: str, _total: int) -> AbstractContextManager[Callable[[int], None]]:
        @contextmanager
        def bar() -> Iterator[Callable[[int], None]]:
            yield advance

        return bar()

    mirror = os.environ.get("PIPELINE_ARTIFACTS_MIRROR")
    context = MavenContext(
        resolver=PythonResolver(progress_callback=report),
        repo_cache=folder,
        local_repos=[],
        remote_repos={"mirror": mirror} if mirror else None,
        timeout=_HTTP_TIMEOUT_S,
    )
    component = context.project(file.group, file.name).at_version(file.version)
    return component.artifact(file.classifier, file.packaging).resolve()


@contextmanager
def _exclusive(descriptor: int, progress: Progress) -> Iterator[None]:
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        progress.say("another process is fetching the embedded platform; waiting for it")
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def _unpacked_whole(home: Path) -> bool:
    listing = _read_json(home / "unpacked.json")
    try:
        return bool(listing) and all((home / name).stat().st_size == size for name, size in listing.items())
    except OSError:
        return False


def _require_space(what: str, path: Path, needed_bytes: int) -> None:
    path.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(path).free
    if free < needed_bytes:
        raise DiskFull(what, path, needed_bytes, free)


def _sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _read_json(path: Path) -> dict[str, object]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _write_atomically(path: Path, text: str) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
        handle.write(text)
    os.replace(name, path)


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0] if text else ''}"
