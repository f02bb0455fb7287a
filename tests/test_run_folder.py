"""The manifest: what counts as finished, and what an interrupted run may keep."""

import subprocess
import sys

import polars as pl
import pytest

from curate.corpus import write_atomically
from curate.errors import ConfigError, InputError
from curate.run_folder import Manifest, RunFolder


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path)


def write(folder, name, value=1):
    write_atomically(pl.DataFrame({"a": [value]}), folder.file(name))
    return folder.file(name)


def finished(folder, key="k"):
    manifest = Manifest(folder)
    manifest.begin("s", key=key, homes=["home"])
    write(folder, "home/part-00000.parquet")
    manifest.finish("s", ["home"], seconds=0.0, facts={})
    return Manifest(folder)


def test_stage_is_done_only_under_its_key_and_with_intact_files(folder):
    manifest = finished(folder)

    assert manifest.is_done("s", "k")
    assert not manifest.is_done("s", "other")

    write(folder, "home/part-00000.parquet", value=2)

    assert not manifest.is_done("s", "k")


def test_lost_file_makes_a_stage_run_again(folder):
    manifest = finished(folder)
    folder.file("home/part-00000.parquet").unlink()

    assert not manifest.is_done("s", "k")


def test_interrupted_stage_keeps_finished_shards_and_drops_half_written_ones(folder):
    manifest = Manifest(folder)
    manifest.begin("s", key="k", homes=["home"])
    manifest.add_output("s", write(folder, "home/part-00000.parquet"))
    half = write(folder, "home/part-00001.parquet")

    resumed = Manifest(folder)
    resumed.begin("s", key="k", homes=["home"])

    assert resumed.has_output("s", folder.file("home/part-00000.parquet"))
    assert not half.exists()


def test_other_key_drops_everything_of_the_stage(folder):
    manifest = Manifest(folder)
    manifest.begin("s", key="k", homes=["home"])
    manifest.add_output("s", write(folder, "home/part-00000.parquet"))

    Manifest(folder).begin("s", key="other", homes=["home"])

    assert not folder.file("home").exists()


def test_missing_table_is_named(folder):
    with pytest.raises(InputError, match="no table 'verdicts'"):
        folder.table("verdicts")


HOLD = """
import sys, time
from pathlib import Path
from curate.run_folder import RunFolder
with RunFolder(Path(sys.argv[1])).alone():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_two_processes_do_not_write_into_one_folder(tmp_path):
    """A nightly run and one by hand mixed their tables, or ended in a traceback."""
    folder = RunFolder(tmp_path)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], **pipes) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(ConfigError, match="another process is writing into"), folder.alone():
            pass
        other.kill()
    with folder.alone(), folder.alone():  # a killed one holds nothing, and we are one process
        pass
    with folder.alone():
        pass
