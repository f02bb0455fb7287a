"""The demo's raw input, its truth, its evaluation sets and its reference, all on disk.

The text is split **by source before anything is curated**: the language reference and three
seeded distributions become neutral evaluation sets and leave the raw input whole. Licences and
vendored copies are in the raw input but in no evaluation set. The raw input is the rest plus
crawl noise in the shares of `NOISE`, shuffled; ids and sources of noise look like any other's,
and only `truth.parquet` tells them apart.

The reference for the quality model is the documentation of the standard library. It is also part
of the raw input, as a team's own reference often is; the quality model scores documents that it
was fitted on out of fold.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.random import Generator
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from curate.controls import plant_defects
from curate.corpus import write_atomically, write_bytes_atomically
from curate.demo.documentation import (
    STANDARD_LIBRARY,
    Environment,
    collect_documentation,
    language_reference,
)
from curate.errors import InputError

__all__ = ["NOISE", "DemoCorpus", "Noise", "build_demo_corpus", "demo_config"]

DOCUMENTATION_BYTES = 30_000_000
"""Cap of the documentation; the largest distributions are thinned out to one common size."""

NOISE_SHARE = 1 / 3
"""Noise as a share of the raw input's tokens."""

EVALUATION_SETS = 3
"""Held-out distributions; each has `EVALUATION_RANGE` of the documentation's bytes."""

EVALUATION_RANGE = (0.02, 0.08)

DOCUMENTATION_BYTES_PER_TOKEN = 2.34
"""Measured as those of `NOISE` were."""


class Noise(NamedTuple):
    """One kind of noise: its share of the noise's tokens, and UTF-8 bytes a token.

    Bytes a token were measured with a byte-level BPE of 1,024 entries trained on the raw input.
    """

    share: float
    bytes_per_token: float


NOISE: Mapping[str, Noise] = {
    "exact_copy": Noise(0.16, 2.34),
    "near_copy_1": Noise(0.06, 2.34),
    "near_copy_2": Noise(0.06, 2.34),
    "near_copy_5": Noise(0.06, 2.34),
    "random_letters": Noise(0.10, 1.33),
    "base64_dump": Noise(0.08, 1.03),
    "hex_dump": Noise(0.06, 1.31),
    "navigation": Noise(0.22, 2.23),
    "repeated_lines": Noise(0.06, 2.42),
    "repeated_paragraphs": Noise(0.06, 2.42),
    "mojibake": Noise(0.04, 2.07),
    "personal_data": Noise(0.04, 1.76),
}
"""The crawl noise of the demo: kinds of `curate.defects.DEFECTS`; shares add up to 1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoCorpus:
    """Where the demo's files lie, and what they hold.

    Attributes:
        raw: Parquet: `id`, `text`, `source`.
        truth: Parquet, same rows: `id`, `kind` (null = documentation), `origin` (id in raw),
            `similarity` (exact Jaccard of copies to their origin).
        evaluation: One Parquet file (`id`, `text`, `source`) a neutral evaluation set.
        reference: Parquet (`id`, `text`, `source`): documentation of the standard library.
        facts: The content of `manifest.json`: counts, bytes per source, sets, noise shares.
    """

    raw: Path
    truth: Path
    evaluation: tuple[Path, ...]
    reference: Path
    facts: Mapping[str, Any]


def build_demo_corpus(
    folder: Path,
    *,
    seed: int = 17,
    packages: Sequence[str] | None = None,
    environment: Environment | None = None,
) -> DemoCorpus:
    """Write the demo's corpus into a folder; nothing is imported, executed or fetched.

    The same environment and seed give the same bytes, wherever the installation lies.

    Args:
        folder: Gets `raw.parquet`, `truth.parquet`, `reference.parquet`, `manifest.json` and
            `evaluation/<set>.parquet`.
        seed: Seed of the held-out distributions, of the noise and of the order of rows.
        packages: Distribution names to take text from beside the standard library; `None` =
            all that are installed.
        environment: Where to look; `None` = the running environment.

    Raises:
        InputError: Fewer than three distributions hold 2–8 % of the documentation each, or the
            language reference is missing.

    >>> sorted(NOISE)[:3]  # an example of a whole build takes too long for a docstring
    ['base64_dump', 'exact_copy', 'hex_dump']
    """
    environment = environment or Environment.running()
    pool = collect_documentation(environment, packages=packages)
    pool = cap_sources(pool, max_bytes=DOCUMENTATION_BYTES, seed=seed)
    held_out = choose_held_out(pool, seed=seed)
    sets = {"language_reference": language_reference(environment)} | {
        name: _evaluation_set(pool, name) for name in held_out
    }
    documents = pool.filter(~pl.col("source").is_in(held_out))
    raw = add_noise(documents.select("id", "text", "source"), seed=seed)
    return _write(folder, raw, sets, documents)


def demo_config(output: Path, *, seed: int = 17) -> dict[str, Any]:
    """The packaged preset as nested values, its corpus built beside the run folder.

    Args:
        output: The run folder; the corpus goes to `<output>-corpus`.
        seed: Seed of the corpus.

    >>> preset = Path(__file__).parents[1] / "presets" / "demo.toml"  # the paths are set here
    >>> tomllib.loads(preset.read_text(encoding="utf-8"))["rules"]["sets"]
    ['technical_prose']
    """
    preset = Path(__file__).parents[1] / "presets" / "demo.toml"
    values = tomllib.loads(preset.read_text(encoding="utf-8"))
    corpus = build_demo_corpus(
        output.with_name(f"{output.name}-corpus"), seed=seed, packages=own_requirements()
    )
    values.setdefault("input", {})["path"] = str(corpus.raw)
    values.setdefault("quality", {})["reference"] = str(corpus.reference)
    values.setdefault("measure", {})["evaluation"] = [str(path) for path in corpus.evaluation]
    values.setdefault("output", {})["path"] = str(output)
    return values | {"truth": str(corpus.truth)}


def own_requirements() -> list[str] | None:
    """The distributions that Curate needs, and all that they need; None where it is not installed.

    The demo reads these alone, so that tools installed beside them do not change its corpus.

    >>> names = own_requirements()
    >>> names is None or "polars" in names
    True
    """
    found: dict[str, None] = {}
    todo = ["curate-corpus"]
    while todo:
        name = canonicalize_name(todo.pop())
        try:
            lines = requires(name) or []
        except PackageNotFoundError:
            continue
        found[name] = None
        needs = [Requirement(line) for line in lines]
        wanted = [r.name for r in needs if r.marker is None or r.marker.evaluate({"extra": ""})]
        todo += [r for r in wanted if canonicalize_name(r) not in found]
    return sorted(found) or None


def cap_sources(pool: pl.DataFrame, *, max_bytes: int, seed: int) -> pl.DataFrame:
    """Thin out the largest sources to one common size, so that all fit into `max_bytes`.

    Documents leave by the hash of their id and the seed; smaller sources stay whole.

    >>> pool = pl.DataFrame({"id": list("abcd"), "text": ["x" * 10] * 4, "source": list("pppq")})
    >>> cap_sources(pool, max_bytes=30, seed=1)["source"].to_list()
    ['p', 'p', 'q']
    """
    sized = pool.with_columns(
        pl.col("text").str.len_bytes().cast(pl.Int64).alias("_bytes"),
        pl.Series("_key", [_key(seed, id) for id in pool["id"]], pl.String),
    ).with_row_index("_row")
    sizes = sized.group_by("source").agg(pl.col("_bytes").sum())["_bytes"].sort().to_list()
    limit = _water_level(sizes, max_bytes)
    by_key = sized.sort("_key").with_columns(pl.col("_bytes").cum_sum().over("source"))
    return by_key.filter(pl.col("_bytes") <= limit).sort("_row").select(pool.columns)


def choose_held_out(pool: pl.DataFrame, *, seed: int) -> list[str]:
    """Names of the distributions that become evaluation sets, drawn by the seed.

    Eligible is a distribution whose own documentation (no licences, no vendored copies) has
    2–8 % of the pool's bytes; the standard library never is.

    Raises:
        InputError: Fewer than three are eligible; the message names the largest shares.

    >>> sizes = [("python", 80), ("a", 5), ("b", 5), ("c", 5), ("d", 5)]
    >>> pool = pl.DataFrame([{"id": s, "text": "x" * n, "source": s, "kind": "readme",
    ...     "vendored": False} for s, n in sizes])
    >>> len(choose_held_out(pool, seed=1))
    3
    """
    total = pool["text"].str.len_bytes().sum()
    own = pool.filter(_is_own_documentation() & (pl.col("source") != STANDARD_LIBRARY))
    shares = own.group_by("source").agg(
        (pl.col("text").str.len_bytes().sum() / total).alias("share")
    )
    eligible = shares.filter(pl.col("share").is_between(*EVALUATION_RANGE))["source"].sort()
    if len(eligible) < EVALUATION_SETS:
        largest = shares.sort("share", "source", descending=True).head(5)
        shown = ", ".join(f"{name} {share:.1%}" for name, share in largest.iter_rows())
        raise InputError(
            f"{len(eligible)} distributions hold 2–8 % of the documentation, {EVALUATION_SETS} are "
            f"needed for the evaluation sets; largest shares: {shown or 'none'}"
        )
    chosen = np.random.default_rng([seed, 300]).permutation(len(eligible))[:EVALUATION_SETS]
    return eligible[np.sort(chosen)].to_list()


def add_noise(documents: pl.DataFrame, *, seed: int) -> pl.DataFrame:
    """Documentation plus crawl noise in a seeded order.

    Args:
        documents: `id`, `text`, `source`; all of it stays, unchanged.
        seed: Seed of the noise and of the order of rows.

    Returns:
        `id`, `text`, `source`, and the truth: `kind` (null = documentation), `origin`,
        `similarity`. Ids and sources of noise are drawn from the documentation's.

    >>> documents = pl.DataFrame({"id": ["p/a.py:f"], "text": ["a word " * 400], "source": ["p"]})
    >>> raw = add_noise(documents, seed=1)
    >>> raw.filter(pl.col("kind").is_null())["id"].to_list()
    ['p/a.py:f']
    """
    rng = np.random.default_rng([seed, 301])
    total = int(documents["text"].str.len_bytes().sum()) / DOCUMENTATION_BYTES_PER_TOKEN
    tokens = total * NOISE_SHARE / (1 - NOISE_SHARE)
    amounts = {kind: round(tokens * n.share * n.bytes_per_token) for kind, n in NOISE.items()}
    noise = plant_defects(documents, amounts, unit="bytes", seed=seed)
    names = _borrowed_names(rng, documents, noise.height)
    noise = noise.with_columns(names).select("id", "text", "source", "kind", "origin", "similarity")
    raw = pl.concat([documents, noise], how="diagonal")
    return raw[rng.permutation(raw.height)]


def _is_own_documentation() -> pl.Expr:
    return (pl.col("kind") != "licence") & ~pl.col("vendored")


def _evaluation_set(pool: pl.DataFrame, name: str) -> pl.DataFrame:
    chosen = pool.filter((pl.col("source") == name) & _is_own_documentation())
    return chosen.select("id", "text", "source")


def _water_level(sizes: Sequence[int], total: int) -> float:
    """The largest cap at which capped sizes (given in rising order) add up to at most `total`."""
    left = float(total)
    for done, size in enumerate(sizes):
        level = left / (len(sizes) - done)
        if size > level:
            return level
        left -= size
    return float("inf")


def _key(seed: int, name: str) -> str:
    return hashlib.blake2b(f"{seed}:{name}".encode(), digest_size=8).hexdigest()


def _borrowed_names(rng: Generator, documents: pl.DataFrame, n: int) -> pl.DataFrame:
    """New ids and sources like those of the documents: a file of one, a name of another."""
    ids, sources = documents["id"].to_list(), documents["source"].to_list()
    mates: dict[str, list[str]] = {}
    for id, source in zip(ids, sources, strict=True):
        mates.setdefault(source, []).append(id)
    named, taken = list(zip(ids, sources, strict=True)), set(ids)
    rows = []
    for _ in range(n):
        name, source = _new_name(rng, named, mates, taken)
        taken.add(name)
        rows.append((name, source))
    return pl.DataFrame(rows, schema={"id": pl.String, "source": pl.String}, orient="row")


def _new_name(
    rng: Generator,
    named: Sequence[tuple[str, str]],
    mates: Mapping[str, list[str]],
    taken: Set[str],
) -> tuple[str, str]:
    """A free id; a number is added to a taken one only where twenty draws find none."""
    for _ in range(20):
        first, source = named[int(rng.integers(len(named)))]
        same_source = mates[source]
        second = same_source[int(rng.integers(len(same_source)))]
        file, inner = _split_id(first)[0], _split_id(second)[1]
        name = f"{file}:{inner}" if inner else file
        if name not in taken:
            return name, source
    repeat = 2
    while f"{name}#{repeat}" in taken:
        repeat += 1
    return f"{name}#{repeat}", source


def _split_id(id: str) -> tuple[str, str]:
    file, _, inner = id.partition("#")[0].partition(":")
    return file, inner


def _write(
    folder: Path, raw: pl.DataFrame, sets: Mapping[str, pl.DataFrame], documents: pl.DataFrame
) -> DemoCorpus:
    reference = documents.filter((pl.col("source") == STANDARD_LIBRARY) & _is_own_documentation())
    facts = _facts(raw, sets, reference)
    corpus = DemoCorpus(
        raw=folder / "raw.parquet",
        truth=folder / "truth.parquet",
        evaluation=tuple(folder / "evaluation" / f"{name}.parquet" for name in sets),
        reference=folder / "reference.parquet",
        facts=facts,
    )
    write_atomically(raw.select("id", "text", "source"), corpus.raw)
    write_atomically(raw.select("id", "kind", "origin", "similarity"), corpus.truth)
    write_atomically(reference.select("id", "text", "source"), corpus.reference)
    for path, frame in zip(corpus.evaluation, sets.values(), strict=True):
        write_atomically(frame, path)
    for path in set((folder / "evaluation").glob("*.parquet")) - set(corpus.evaluation):
        path.unlink()  # of an earlier corpus: its text may now be in the raw input
    text = json.dumps(facts, indent=2, ensure_ascii=False) + "\n"
    write_bytes_atomically(text.encode(), folder / "manifest.json")
    return corpus


def _facts(
    raw: pl.DataFrame, sets: Mapping[str, pl.DataFrame], reference: pl.DataFrame
) -> dict[str, Any]:
    documentation = raw.filter(pl.col("kind").is_null())
    noise = raw.filter(pl.col("kind").is_not_null())
    return {
        "raw": _size(raw),
        "documentation": _size(documentation),
        "noise": _size(noise),
        "noise_kinds": {
            kind: _size(noise.filter(pl.col("kind") == kind)) | NOISE[kind]._asdict()
            for kind in NOISE
        },
        "noise_share_of_tokens": NOISE_SHARE,
        "reference": _size(reference),
        "evaluation": {name: _size(frame) for name, frame in sets.items()},
        "documentation_bytes_per_source": _bytes_per_source(documentation),
    }


def _size(frame: pl.DataFrame) -> dict[str, int]:
    return {"documents": frame.height, "bytes": int(frame["text"].str.len_bytes().sum())}


def _bytes_per_source(frame: pl.DataFrame) -> dict[str, int]:
    sizes = frame.group_by("source").agg(pl.col("text").str.len_bytes().sum().cast(pl.Int64))
    return dict(sizes.sort("text", "source", descending=[True, False]).iter_rows())
