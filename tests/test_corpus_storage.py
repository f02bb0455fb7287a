"""Files are written whole or not at all, equal tables as equal bytes."""

import os
import subprocess
import sys

import polars as pl
import pytest

from curate.corpus import (
    InputConfig,
    file_digest,
    folder_digest,
    ingest,
    write_atomically,
    write_bytes_atomically,
)


def table(n=1000):
    return pl.DataFrame({"id": [f"d{i}" for i in range(n)], "text": ["some text " * 9] * n})


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "a.parquet"
    write_atomically(table(3), path)

    def full(self, target, **_):
        target.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(pl.DataFrame, "write_parquet", full)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(table(5), path)
    monkeypatch.undo()

    assert pl.read_parquet(path).height == 3
    assert [p.name for p in tmp_path.iterdir()] == ["a.parquet"]


def test_what_a_killed_writer_left_is_cleared_by_the_next_write(tmp_path):
    (tmp_path / ".a.json.12345.tmp").write_bytes(b"half")
    (tmp_path / ".b.json.12345.tmp").write_bytes(b"another writer's")

    write_bytes_atomically(b"new", tmp_path / "a.json")

    assert sorted(p.name for p in tmp_path.iterdir()) == [".b.json.12345.tmp", "a.json"]


def test_a_killed_ingest_started_again_ends_with_the_same_bytes(tmp_path):
    source = tmp_path / "a.csv"
    source.write_text("text\n" + "".join(f"document {i}\n" for i in range(60_000)))
    code = (
        "import os, sys; from pathlib import Path; import curate.corpus.storage as storage\n"
        "from curate.corpus import InputConfig, ingest\n"
        "replace, done = Path.replace, []\n"
        "def kill_before_third(self, target):\n"
        "    done.append(target)\n"
        "    if len(done) == 3: os.kill(os.getpid(), 9)\n"
        "    return replace(self, target)\n"
        "Path.replace = kill_before_third\n"
        "ingest(InputConfig(path=sys.argv[1], part_bytes=200_000), Path(sys.argv[2]))\n"
    )
    config = InputConfig(path=str(source), part_bytes=200_000)
    ingest(config, tmp_path / "whole")

    done = subprocess.run([sys.executable, "-c", code, str(source), str(tmp_path / "killed")])
    assert done.returncode == -9
    assert len(list((tmp_path / "killed/documents").glob("part-*"))) == 2
    ingest(config, tmp_path / "killed")

    def contents(folder):
        return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}

    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


def test_nobody_ever_sees_half_a_file(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    write_bytes_atomically(b"old", path)
    seen = []
    sync = os.fsync

    def look(handle):
        seen.append(path.read_bytes())
        sync(handle)

    monkeypatch.setattr(os, "fsync", look)
    write_bytes_atomically(b"new", path)

    assert seen == [b"old", b"new"]  # the bytes are on disk before the name; then the folder


def test_bytes_do_not_depend_on_how_a_table_was_put_together(tmp_path):
    whole = table()
    pieces = pl.concat([whole[:7], whole[7:500], whole[500:]], rechunk=False)
    write_atomically(whole, tmp_path / "whole.parquet", row_group_bytes=10_000)
    write_atomically(pieces, tmp_path / "pieces.parquet", row_group_bytes=10_000)

    assert file_digest(tmp_path / "whole.parquet") == file_digest(tmp_path / "pieces.parquet")
    import pyarrow.parquet as pq

    facts = pq.ParquetFile(tmp_path / "whole.parquet").metadata
    assert facts.num_row_groups > 5
    assert facts.row_group(0).column(0).compression == "ZSTD"


def test_bytes_do_not_depend_on_the_number_of_threads(tmp_path):
    code = (
        "import sys, polars as pl; from pathlib import Path\n"
        "from curate.corpus import write_atomically\n"
        "frame = pl.DataFrame({'id': [f'd{i}' for i in range(50_000)]})\n"
        "frame = frame.with_columns(text=pl.lit('words ') + pl.col('id'))\n"
        "write_atomically(frame, Path(sys.argv[1]), row_group_bytes=300_000)\n"
    )
    digests = set()
    for threads in ("1", "5"):
        path = tmp_path / f"{threads}.parquet"
        environment = {**os.environ, "POLARS_MAX_THREADS": threads}
        subprocess.run([sys.executable, "-c", code, str(path)], check=True, env=environment)
        digests.add(file_digest(path))
    assert len(digests) == 1


def test_a_folder_digest_knows_names_and_contents_and_no_unfinished_files(tmp_path):
    def digest(**files):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        for name, content in files.items():
            write_bytes_atomically(content, folder / name.replace("__", "/"))
        return folder_digest(folder)

    assert digest(a=b"1", b=b"2") == digest(b=b"2", a=b"1")
    different = {digest(a=b"1"), digest(a=b"2"), digest(b=b"1"), digest(a__a=b"1"), digest()}
    assert len(different) == 5
    assert digest(a=b"1", **{".a.7.tmp": b"x"}) == digest(a=b"1")
