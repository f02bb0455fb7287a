"""A run folder: where each table lies, and the manifest that says what is finished.

`manifest.json` is the truth for resuming and the only place for timings. A stage counts as done
when its key (own config, digests of what it reads, code version) is the recorded one and every
file it wrote still has the recorded digest. A sharded stage also records each finished shard, so
that a killed run goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from curate.corpus import file_digest, write_bytes_atomically
from curate.energy import Cost
from curate.errors import ConfigError, InputError

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]


_HELD: set[Path] = set()  # folders that this process writes into


def _lock(descriptor: int, folder: Path) -> None:
    assert fcntl is not None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ConfigError(
            f"another process is writing into {str(folder)!r}: wait for it, or give another "
            "output.path"
        ) from None
    except OSError:
        return  # a file system without locks


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Paths of one run; every table has one home.

    >>> RunFolder(Path("runs/a")).parts("verdicts")
    []
    """

    root: Path

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes from writing here; where a system has no such locks, nothing.

        Raises:
            ConfigError: Another process writes into this folder now.
        """
        place = self.root.resolve()
        if fcntl is None or place in _HELD:
            yield  # this process writes here already
            return
        held = os.open(place, os.O_RDONLY)
        try:
            _lock(held, self.root)
            _HELD.add(place)
            yield
        finally:
            _HELD.discard(place)
            os.close(held)  # which gives the lock back, as the end of a killed process does

    def make(self) -> None:
        """Make the folder where it is not there.

        Raises:
            ConfigError: It cannot be made or written.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"output.path {str(self.root)!r} is no folder that can be written: {error.strerror}"
            ) from error

    def is_foreign(self) -> bool:
        """Whether files lie here, and no run has written them; hidden ones do not count.

        >>> [RunFolder(p).is_foreign() for p in (Path("no/such/run"), Path(__file__).parent)]
        [False, True]
        """
        if not self.root.is_dir() or self.file("manifest.json").is_file():
            return False
        # A run that was stopped at once has left its config alone.
        return any(p.name[0] != "." and p.name != "config.toml" for p in self.root.iterdir())

    def parts(self, table: str) -> list[Path]:
        """The shards of a sharded table (`documents`, `edits`, …) in document order."""
        return sorted((self.root / table).glob("part-*.parquet"))

    def table(self, table: str) -> pl.DataFrame:
        """A whole sharded table in document order; only for tables without texts.

        Raises:
            InputError: The run has no such table.
        """
        parts = self.parts(table)
        if not parts:
            raise InputError(f"no table {table!r} in the run folder {str(self.root)!r}")
        return pl.concat([pl.read_parquet(p) for p in parts], how="vertical")

    def file(self, name: str) -> Path:
        """Path of a single file, e.g. `"audit/impact.parquet"`."""
        return self.root / name

    def read(self, name: str) -> pl.DataFrame:
        """A single-file table; InputError where the run has none."""
        path = self.root / name
        if not path.exists():
            raise InputError(f"no table {name!r} in the run folder {str(self.root)!r}")
        return pl.read_parquet(path)

    def write_json(self, name: str, value: object) -> Path:
        """Write JSON with sorted keys, atomically; the bytes depend on the value alone."""
        text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        path = self.root / name
        write_bytes_atomically(text.encode(), path)
        return path

    def read_json(self, name: str) -> Any:  # noqa: ANN401 - JSON is any
        """Read a JSON file of the run; None where it is absent."""
        path = self.root / name
        return json.loads(path.read_text("utf-8")) if path.exists() else None


@dataclass(slots=True)
class StageRecord:
    """What the manifest knows of one stage.

    Attributes:
        key: Digest of all that the stage's result depends on.
        done: Whether the stage has finished; otherwise only `outputs` so far are.
        outputs: Relative path → sha256 of every file written.
        seconds: Wall time of the run that finished it.
        cpu_seconds: Its CPU time, all threads.
        watt_hours: Its energy; `None` = not measured.
        facts: Counts for people: rows in and out, bytes.
    """

    key: str
    done: bool = False
    outputs: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    watt_hours: float | None = None
    facts: dict[str, Any] = field(default_factory=dict)


class Manifest:
    """The stage records of a run folder, saved atomically after every change.

    >>> import tempfile
    >>> folder = RunFolder(Path(tempfile.mkdtemp()))
    >>> manifest = Manifest(folder)
    >>> manifest.begin("annotate", key="k1", homes=["annotations"]).done
    False
    >>> manifest.finish("annotate", ["annotations"], seconds=1.5, facts={"documents": 3})
    >>> Manifest(folder).is_done("annotate", "k1"), Manifest(folder).is_done("annotate", "k2")
    (True, False)
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        stored = folder.read_json("manifest.json") or {"stages": {}}
        self.header: dict[str, Any] = stored.get("header", {})
        self.stages = {name: StageRecord(**record) for name, record in stored["stages"].items()}

    def is_done(self, stage: str, key: str) -> bool:
        """Whether the stage finished under this key and its files are as it left them."""
        record = self.stages.get(stage)
        if record is None or not record.done or record.key != key:
            return False
        return all(self._intact(name, digest) for name, digest in record.outputs.items())

    def begin(self, stage: str, *, key: str, homes: Iterable[str]) -> StageRecord:
        """Start a stage: keep the shards that an interrupted run finished, drop all else."""
        record = self.stages.get(stage)
        kept: dict[str, str] = {}
        if record is not None and record.key == key and not record.done:
            kept = {n: d for n, d in record.outputs.items() if self._intact(n, d)}
        for home in homes:
            _remove_except(self._folder.root, home, kept)
        fresh = StageRecord(key=key, outputs=kept)
        self.stages[stage] = fresh
        self.save()
        return fresh

    @contextmanager
    def room(
        self, stage: str, *, key: str, homes: Sequence[str], keep: bool = False
    ) -> Iterator[Callable[[], None]]:
        """While a stage works; what it wrote before goes at the start, or with `keep` when it asks.

        So a stage that ends before it asks leaves the folder as it was, and one that ends while
        it writes leaves nothing.

        >>> import tempfile
        >>> manifest = Manifest(RunFolder(Path(tempfile.mkdtemp())))
        >>> with manifest.room("measure", key="k", homes=["scaling"], keep=True) as make_room:
        ...     before = list(manifest.stages)
        ...     make_room()
        >>> before, list(manifest.stages)
        ([], ['measure'])
        """
        made = False

        def make_room() -> None:
            nonlocal made
            made = True
            self.begin(stage, key=key, homes=homes)

        if not keep:
            make_room()
        try:
            yield make_room if keep else _nothing
        except BaseException:
            if keep and made:
                make_room()
            raise

    def add_output(self, stage: str, path: Path) -> None:
        """Record a finished shard of a stage that is still running."""
        name = path.relative_to(self._folder.root).as_posix()
        self.stages[stage].outputs[name] = file_digest(path)
        self.save()

    def has_output(self, stage: str, path: Path) -> bool:
        """Whether an interrupted run already finished this shard."""
        return path.relative_to(self._folder.root).as_posix() in self.stages[stage].outputs

    def finish(
        self,
        stage: str,
        homes: Iterable[str],
        *,
        seconds: float,
        facts: Mapping[str, Any],
        cost: Cost | None = None,
    ) -> None:
        """Record all files of a finished stage with their digests, and what it cost."""
        record = self.stages[stage]
        files = [p for home in homes for p in _files(self._folder.root / home)]
        record.outputs = {
            p.relative_to(self._folder.root).as_posix(): file_digest(p) for p in sorted(files)
        }
        record.done, record.seconds, record.facts = True, seconds, dict(facts)
        if cost is not None:
            record.cpu_seconds, record.watt_hours = cost.cpu_seconds, cost.watt_hours
        self.save()

    def digest(self, stage: str) -> str:
        """One digest of all that a finished stage wrote."""
        outputs = sorted(self.stages[stage].outputs.items())
        return hashlib.sha256(json.dumps(outputs).encode()).hexdigest()

    def save(self) -> None:
        """Write `manifest.json`."""
        stages = {
            name: {slot: getattr(record, slot) for slot in StageRecord.__slots__}
            for name, record in self.stages.items()
        }
        self._folder.write_json("manifest.json", {"header": self.header, "stages": stages})

    def _intact(self, name: str, digest: str) -> bool:
        path = self._folder.root / name
        return path.is_file() and file_digest(path) == digest


def _nothing() -> None:
    return None


def _files(home: Path) -> list[Path]:
    if home.is_file():
        return [home]
    return [p for p in home.rglob("*") if p.is_file()]


def _remove_except(root: Path, home: str, kept: Mapping[str, str]) -> None:
    target = root / home
    if target.is_dir() and not any(name.startswith(f"{home}/") for name in kept):
        shutil.rmtree(target)
        return
    for path in _files(target):
        if path.relative_to(root).as_posix() not in kept:
            path.unlink()
