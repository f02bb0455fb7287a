"""The loop over the stages that runs what has changed.

A stage's key is a digest of its name, its own config sections, the digests of the stages that it
reads, and the source of its modules with the versions of the libraries they compute with. A
re-run does only what changed; a killed run goes on at the shard where it stopped.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from curate import asked, preflight
from curate.config import RunConfig, config_values, load_config, to_toml
from curate.corpus import InputConfig, fingerprint, keys_named, write_bytes_atomically
from curate.energy import metered
from curate.errors import GateError, check_name
from curate.executors import threads
from curate.progress import Say, at_work, facts_said, worth_a_line
from curate.run_folder import Manifest, RunFolder
from curate.shards import Context
from curate.stage_order import BY_NAME, STAGES, Stage

LIBRARIES = ("polars", "numba", "numpy", "scikit-learn", "scipy", "datasketch", "tokenizers")


def open_context(
    config: RunConfig,
    *,
    workers: int | None = None,
    say: Say | None = None,
    finished: bool = False,
) -> Context:
    """Open (or make) the run folder of a config and write its resolved `config.toml`.

    Of a `finished` run the files that it read need not be there any more.

    Raises:
        ConfigError: Something that the config names is not known; found here, before any work.
    """
    preflight.check(config, finished=finished)
    folder = RunFolder(Path(config.output.path))
    folder.make()
    stored = folder.file("config.toml")
    with folder.alone():
        earlier = stored.read_bytes() if stored.is_file() else None
        write_bytes_atomically(to_toml(config).encode(), stored)
    manifest = Manifest(folder)
    lists = manifest.header.get("flagged_words") if finished else asked.word_list_digests(config)
    manifest.header = {"versions": {name: _version(name) for name in (*LIBRARIES, "datasets")}}
    manifest.header |= {"flagged_words": lists} if lists else {}
    executor = threads(workers or os.cpu_count() or 1)
    return Context(config, folder, manifest, executor, say, earlier=earlier)


def run_stages(context: Context, *, until: str | None = None, without: str | None = None) -> None:
    """Run every stage whose key has changed, in order, up to and including `until`.

    `without` leaves one stage out; what it has made before stays only where it still holds. A run
    that fails before it has finished any stage anew leaves the folder the config that it had.
    """
    if until is not None:
        check_name("stage", until, BY_NAME)
    with context.folder.alone(), _config_of_what_stands(context):
        for stage in STAGES:
            if stage.name == without:
                _leave_out(stage, context)
                continue
            with at_work(stage.name, None if stage.name == "measure" else context.say):
                ran = run_stage(stage.name, context)
            record = context.manifest.stages[stage.name]
            if context.say is not None and worth_a_line(record.seconds, record.facts):
                context.say(describe(stage.name, context, ran=ran))
            if stage.name == until:
                return


@contextmanager
def _config_of_what_stands(context: Context) -> Iterator[None]:
    """Where nothing is finished anew before a failure, all that stands is the earlier config's.

    A gate that fails is a result: its tables stand, and the config that they were made by.
    """
    before = _finished(context.manifest)
    try:
        yield
    except GateError:
        raise
    except BaseException:
        if context.earlier is not None and _finished(context.manifest) <= before:
            write_bytes_atomically(context.earlier, context.folder.file("config.toml"))
        raise


def _finished(manifest: Manifest) -> set[tuple[str, str]]:
    return {(name, record.key) for name, record in manifest.stages.items() if record.done}


def _leave_out(stage: Stage, context: Context) -> None:
    key = stage_key(stage, context)
    if not context.manifest.is_done(stage.name, key):
        context.manifest.begin(stage.name, key=key, homes=stage.homes)


def run_stage(name: str, context: Context, *, keep: bool = False) -> bool:
    """Run one stage unless its result is there already; returns whether it ran.

    What it wrote before goes at the start; with `keep`, when it asks for room (`make_room`).

    Raises:
        ConfigError: No such stage.
    """
    check_name("stage", name, BY_NAME)
    stage, started = BY_NAME[name], time.perf_counter()
    key = stage_key(stage, context)
    if context.manifest.is_done(name, key):
        return False
    room = context.manifest.room(name, key=key, homes=stage.homes, keep=keep)
    with (
        context.folder.alone(),
        room as make_room,
        metered(energy=context.config.output.energy) as cost,
    ):
        facts = stage.work(replace(context, make_room=make_room))
    seconds = round(time.perf_counter() - started, 3)
    context.manifest.finish(name, stage.homes, seconds=seconds, facts=facts, cost=cost)
    return True


def stage_key(stage: Stage, context: Context) -> str:
    """Digest of all that a stage's result depends on."""
    values = config_values(context.config)
    depends: dict[str, Any] = {
        "name": stage.name,
        "sections": {name: values.get(name) for name in stage.sections},
        "after": {name: context.manifest.digest(name) for name in stage.after},
        "code": code_version(stage.modules),
        "inputs": [_digest(*named) for named in stage.inputs(context.config).items()],
        "state": stage.state(context.config),
    }
    return hashlib.sha256(json.dumps(depends, sort_keys=True, default=str).encode()).hexdigest()


def _digest(name: str, files: InputConfig) -> str:
    with keys_named(name):
        return fingerprint(files)


def code_version(modules: tuple[str, ...]) -> str:
    """Digest of the sources of some modules of `curate` and of the libraries' versions.

    >>> code_version(("errors",)) == code_version(("errors",))
    True
    """
    root = Path(__file__).parent
    digest = hashlib.sha256(json.dumps([_version(name) for name in LIBRARIES]).encode())
    for module in sorted(modules):
        home = root / module
        files = [home.with_suffix(".py")] if not home.is_dir() else sorted(home.rglob("*"))
        for path in files:
            if path.suffix in (".py", ".toml", ".json", ".j2", ".css"):
                digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def describe(name: str, context: Context, *, ran: bool = True) -> str:
    """What a finished stage did, as one line; `ran` is False where its result was there already."""
    record = context.manifest.stages[name]
    took = f"in {record.seconds:.1f} s" if ran else "was there already"
    return f"{name} {took}: {facts_said(record.facts) or 'nothing to do'}"


def run_config(
    config: str | Path | Mapping[str, Any] | RunConfig,
    *,
    overrides: Mapping[str, Any] | None = None,
    workers: int | None = None,
    until: str | None = None,
) -> Context:
    """Load a config and run its stages; the shared core of every way to start a run."""
    loaded = config if isinstance(config, RunConfig) else load_config(config, overrides=overrides)
    context = open_context(loaded, workers=workers)
    run_stages(context, until=until)
    return context


def _version(name: str) -> str:
    return importlib.metadata.version(name)
