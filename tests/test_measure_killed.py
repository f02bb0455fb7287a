"""A measurement whose process is killed, with SIGKILL, and started again: the same bytes."""

import hashlib
import shutil
import signal
import subprocess
import sys
import time

import pytest
from test_measure_arms import TORCH, config_for, write_inputs

import curate
from curate.remeasure import measure_run

FAMILIES = ["kneser_ney", *(["gpt"] if TORCH else [])]
MEASURED = {"measure.budgets": [4_096, 8_192], "measure.families": FAMILIES}
AGAIN = """
import sys
from functools import partial
from curate.remeasure import measure_run
say = partial(print, flush=True)
measure_run(sys.argv[1], overrides={MEASURED}, workers=1, say=say)
"""


def tables(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for room in ("proxies", "scaling")
        for path in sorted((folder / room).rglob("*"))
        if path.is_file()
    }


def killed_at(folder, sign):
    """Measure in a process that dies as soon as `sign` finds what it waits for."""
    code = AGAIN.replace("{MEASURED}", repr(MEASURED))
    command = [sys.executable, "-c", code, str(folder)]
    said = folder.parent / "said.txt"
    with said.open("w") as out, subprocess.Popen(command, stdout=out) as process:
        while not sign(folder):
            assert process.poll() is None, "it ended before it was killed"
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL


@pytest.mark.slow
def test_a_measurement_killed_in_each_family_ends_with_the_same_bytes(tmp_path, corpus):
    """Once while Kneser–Ney counts, once between two ladders of the transformers."""
    write_inputs(tmp_path, corpus)
    config = config_for(
        tmp_path,
        arms=["raw", "curated"],
        sizes=["order2", "width32"],
        shapley=False,
        memorisation=False,
        label=False,
    )
    curate.run(config)
    whole, killed = tmp_path / "run", tmp_path / "killed"
    shutil.copytree(whole, killed)
    measure_run(whole, overrides=MEASURED, workers=1)

    before = tables(killed)  # of the first measurement, with other budgets
    killed_at(killed, lambda folder: "Plan: " in (folder.parent / "said.txt").read_text())
    assert tables(killed) == before
    if TORCH:
        killed_at(killed, lambda folder: len(list(folder.glob("checkpoints/*.npz"))) >= 3)
        assert tables(killed) == before
    measure_run(killed, overrides=MEASURED, workers=1)

    assert tables(killed) == tables(whole) != before
    assert not (killed / "checkpoints").exists()
