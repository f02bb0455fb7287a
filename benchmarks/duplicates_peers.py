"""One measured run of one tool on one Parquet file; prints a line of JSON.

Runs inside the virtual environment of the tool: `python duplicates_peers.py TOOL FILE FOLDER`.
Stages are timed in CPU seconds of all threads; reading and writing counts only where the tool
does it itself ("end_to_end").
"""

from __future__ import annotations

import importlib
import json
import re
import resource
import shutil
import struct
import sys
from pathlib import Path
from time import process_time

BANDS, ROWS, PRESET = 14, 8, "fineweb"
_WORD = re.compile(r"\w+")


def shingles(text: str) -> list[str]:
    words = _WORD.findall(text.lower())
    if len(words) < 5:
        return [" ".join(words)]
    grams = zip(words, words[1:], words[2:], words[3:], words[4:], strict=False)
    return [" ".join(gram) for gram in grams]


def load(file: str) -> tuple[list[str], list[str]]:
    polars = importlib.import_module("polars")
    frame = polars.read_parquet(file, columns=["id", "text"])
    return [str(i) for i in frame["id"].to_list()], frame["text"].to_list()


def rensa(file: str, _folder: Path) -> dict[str, object]:
    tool = importlib.import_module("rensa")
    ids, texts = load(file)
    start = process_time()
    sets = [shingles(text) for text in texts]
    sketches = tool.RMinHash.from_token_sets(sets, num_perm=BANDS * ROWS, seed=42)
    signed = process_time()
    index = tool.RMinHashLSH(threshold=0.75, num_perm=BANDS * ROWS, num_bands=BANDS)
    index.insert_many(sketches)
    found, close = set(), set()
    for i, others in enumerate(index.query_all(sketches)):
        for j in others:
            if j != i:
                found |= {ids[i], ids[j]}
                if sketches[i].jaccard(sketches[j]) >= 0.75:
                    close |= {ids[i], ids[j]}
    ended = process_time()
    seconds = {"signature": signed - start, "pairs": ended - start}
    return {"seconds": seconds, "clustered": sorted(found), "close": sorted(close)}


def datasketch(file: str, _folder: Path) -> dict[str, object]:
    tool, xxhash = importlib.import_module("datasketch"), importlib.import_module("xxhash")
    ids, texts = load(file)
    start = process_time()
    sets = [[s.encode() for s in shingles(text)] for text in texts]
    sketches = tool.MinHash.bulk(sets, num_perm=BANDS * ROWS, hashfunc=xxhash.xxh32_intdigest)
    signed = process_time()
    index = tool.MinHashLSH(num_perm=BANDS * ROWS, params=(BANDS, ROWS))
    with index.insertion_session() as session:
        for i, one in enumerate(sketches):
            session.insert(i, one)
    found, close = set(), set()
    for i, one in enumerate(sketches):
        for j in index.query(one):
            if j != i:
                found |= {ids[i], ids[j]}
                if one.jaccard(sketches[j]) >= 0.75:
                    close |= {ids[i], ids[j]}
    ended = process_time()
    seconds = {"signature": signed - start, "pairs": ended - start}
    return {"seconds": seconds, "clustered": sorted(found), "close": sorted(close)}


def datatrove(file: str, folder: Path) -> dict[str, object]:
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "in").mkdir(parents=True)
    shutil.copy(file, folder / "in/a.parquet")
    executor = importlib.import_module("datatrove.executor").LocalPipelineExecutor
    dedup = importlib.import_module("datatrove.pipeline.dedup.minhash")
    reader = importlib.import_module("datatrove.pipeline.readers").ParquetReader
    writer = importlib.import_module("datatrove.pipeline.writers").JsonlWriter
    hashing = importlib.import_module("datatrove.utils.hashing").HashConfig(precision=64)
    config = dedup.MinhashConfig(
        hash_config=hashing, num_buckets=BANDS, hashes_per_bucket=ROWS, n_grams=5
    )

    def read() -> object:
        return reader(f"{folder}/in", id_key="id", text_key="text")

    signer = dedup.MinhashDedupSignature(output_folder=f"{folder}/sig", config=config)
    buckets = dedup.MinhashDedupBuckets(f"{folder}/sig", f"{folder}/buckets", config=config)
    cluster = dedup.MinhashDedupCluster(
        f"{folder}/buckets", f"{folder}/rm", config=config, save_cluster_id=True
    )
    drop = dedup.MinhashDedupFilter(f"{folder}/rm")
    stages = [
        ([read(), signer], 1),
        ([buckets], BANDS),
        ([cluster], 1),
        ([read(), drop, writer(f"{folder}/out", compression=None)], 1),
    ]
    start, signed = process_time(), 0.0
    for number, (pipeline, tasks) in enumerate(stages):
        log = f"{folder}/log{number}"
        executor(pipeline=pipeline, tasks=tasks, workers=1, logging_dir=log).run()
        signed = signed or process_time()
    ended = process_time()
    rows: set[int] = set()
    for path in (folder / "rm").glob("*.clusters"):
        raw = path.read_bytes()
        rows |= {struct.unpack_from("<I", raw, at)[0] for at in range(0, len(raw), 8)}
    seconds = {"signature": signed - start, "end_to_end": ended - start}
    return {"seconds": seconds, "rows": sorted(rows)}


def curate(file: str, folder: Path) -> dict[str, object]:
    import polars as pl

    from curate.duplicates import DuplicatesConfig, NearDuplicates, find_pairs
    from curate.text import sketch

    frame = pl.read_parquet(file, columns=["id", "text"]).cast({"id": pl.String})
    near = NearDuplicates(preset=PRESET)
    config = DuplicatesConfig(near=near)
    copies = [
        frame.head(9).with_columns(id=mark + pl.col("id"), text=pl.col("text") + tail)
        for mark, tail in (("x", ""), ("y", " and one more"), ("z", " or two"))
    ]
    small = pl.concat([frame.head(40), *copies])  # loads all of the compiled code
    folder.mkdir(parents=True, exist_ok=True)
    small.write_parquet(folder / "small.parquet")
    whole_job(str(folder / "small.parquet"), folder, config)
    start = process_time()
    sketch(frame["text"], permutations=near.permutations)
    signed = process_time()
    pairs = find_pairs(lambda: [frame], config)
    paired = process_time()
    begun = process_time()
    whole_job(file, folder, config)
    seconds = {
        "signature": signed - start,
        "pairs": paired - signed,
        "end_to_end": process_time() - begun,
    }
    clustered = sorted({*pairs["id_a"].to_list(), *pairs["id_b"].to_list()})
    return {"seconds": seconds, "clustered": clustered, "close": clustered}


def whole_job(file: str, folder: Path, config: object) -> None:
    """Parquet in, verified, deduplicated Parquet out; the file is read once, into memory."""
    import polars as pl

    from curate.duplicates import find_pairs, resolve

    frame = pl.read_parquet(file, columns=["id", "text"]).cast({"id": pl.String})
    pairs = find_pairs(lambda: [frame], config)
    size = pl.col("text").str.len_chars()
    columns = frame.select("id", text_chars=size, eligible=pl.lit(True))
    kept = resolve(pairs, columns, "longest")["duplicate_of"].is_null()
    folder.mkdir(parents=True, exist_ok=True)
    out = folder / "curated.parquet"
    frame.filter(kept).write_parquet(out, compression="zstd", compression_level=1)


TOOLS = {"curate": curate, "rensa": rensa, "datasketch": datasketch, "datatrove": datatrove}


if __name__ == "__main__":
    result = TOOLS[sys.argv[1]](sys.argv[2], Path(sys.argv[3]))
    result["rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(result))
