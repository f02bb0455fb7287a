"""The curated folder: what is in it, what is not, and that `datasets` opens it."""

import itertools
import json
import os
import subprocess
import sys

import polars as pl
import pytest

from curate.corpus import folder_digest, write_atomically, write_curated
from curate.errors import IntegrityError

DOCUMENTS = pl.DataFrame(
    {
        "id": ["a", "b", "c", "x", "d", "e"],
        "text": ["one\x00", "two", "three", "planted", "four", "five"],
        "source": ["s", "s", "t", "t", "t", "u"],
        "control": [None, None, None, "exact_copy", None, None],
        "url": ["u1", None, "u3", None, "u5", "u6"],
        "tags": [["k"], [], None, None, ["l", "m"], []],
    }
)
VERDICTS = pl.DataFrame(
    {
        "id": DOCUMENTS["id"],
        "source": DOCUMENTS["source"],
        "control": DOCUMENTS["control"],
        "failed": [[], ["g.short", "f.x"], ["g.short"], [], ["duplicates.near"], []],
        "kept": [True, False, False, True, False, True],
        "duplicate_of": [None, None, None, None, "a", None],
    }
)

LOAD = """
import sys, json, datasets
found = []
for folder in sys.argv[1:]:
    names = datasets.get_dataset_config_names(folder)
    configs = {name: datasets.load_dataset(folder, name) for name in names}
    found.append({n: {s: d.to_list() for s, d in c.items()} for n, c in configs.items()})
print(json.dumps(found))
"""


def parts_of(frame, folder, cuts=(2, 5)):
    edges = [0, *cuts, frame.height]
    paths = []
    for number, (start, end) in enumerate(itertools.pairwise(edges)):
        paths.append(folder / f"part-{number:05d}.parquet")
        write_atomically(frame[start:end], paths[-1])
    return paths


def written(tmp_path, documents=DOCUMENTS, verdicts=VERDICTS, **kwargs):
    home = tmp_path / "curated"
    docs = parts_of(documents, tmp_path / "documents")
    judged = parts_of(verdicts, tmp_path / "verdicts")
    return write_curated(docs, judged, home, card={}, **kwargs), home


def load(folders, cache):
    """What `datasets` finds in each folder: config → split → rows."""
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(cache),
        "HF_DATASETS_CACHE": str(cache / "datasets"),
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    }
    command = [sys.executable, "-c", LOAD, *map(str, folders)]
    done = subprocess.run(command, check=True, env=environment, capture_output=True)
    return json.loads(done.stdout)


def all_alike(kept):
    failed = pl.Series([[] if kept else ["g.x"]] * 6, dtype=pl.List(pl.String))
    return VERDICTS.with_columns(kept=pl.lit(kept), failed=failed)


def test_datasets_loads_every_config_that_has_a_row(tmp_path):
    result, home = written(tmp_path / "both")
    _, all_kept = written(tmp_path / "kept", verdicts=all_alike(True))
    _, all_removed = written(tmp_path / "removed", verdicts=all_alike(False))

    both, only_kept, only_removed = load([home, all_kept, all_removed], tmp_path / "cache")

    kept, removed = both["default"]["train"], both["removed"]["removed"]
    assert [(row["id"], row["text"], row["tags"]) for row in kept] == [
        ("a", "one\x00", ["k"]),
        ("e", "five", []),
    ]
    assert [(row["id"], row["failed"], row["duplicate_of"]) for row in removed] == [
        ("b", ["g.short", "f.x"], None),
        ("c", ["g.short"], None),
        ("d", ["duplicates.near"], "a"),
    ]
    assert set(kept[0]) == {"id", "text", "source", "url", "tags"}
    assert (result.kept, result.removed) == (2, 3)
    assert result.reasons == {"g.short": 2, "f.x": 1, "duplicates.near": 1}
    assert (result.kept_bytes, result.removed_bytes) == (8, 12)
    # `datasets` opens no config without a row, so such a config is not announced.
    assert {n: {s: len(r) for s, r in c.items()} for n, c in only_kept.items()} == {
        "default": {"train": 5}
    }
    assert {n: {s: len(r) for s, r in c.items()} for n, c in only_removed.items()} == {
        "removed": {"removed": 5}
    }


def test_published_text_is_cleaned_and_removed_text_is_original(tmp_path):
    def shout(part):
        return pl.read_parquet(part).with_columns(pl.col("text").str.to_uppercase())

    _, home = written(tmp_path, cleaned=shout)

    kept = pl.read_parquet(sorted((home / "data").iterdir()))
    removed = pl.read_parquet(sorted((home / "removed").iterdir()))
    assert kept["text"].to_list() == ["ONE\x00", "FIVE"]
    assert removed["text"].to_list() == ["two", "three", "four"]


def test_no_control_is_published_whatever_its_verdict(tmp_path):
    for kept in (True, False):
        _, home = written(tmp_path, verdicts=VERDICTS.with_columns(kept=pl.lit(kept)))
        assert b"planted" not in b"".join(p.read_bytes() for p in home.rglob("*.parquet"))


def test_the_same_tables_give_the_same_folder_and_nothing_older_stays(tmp_path):
    _, first = written(tmp_path / "one")
    before = folder_digest(first)
    docs = parts_of(DOCUMENTS, tmp_path / "finer", cuts=(1, 2, 3, 4))
    judged = parts_of(VERDICTS, tmp_path / "finer_verdicts", cuts=(1, 2, 3, 4))
    write_curated(docs, judged, tmp_path / "two/curated", card={})

    _, second = written(tmp_path / "two")

    assert folder_digest(second) == before


def test_the_card_states_counts_reasons_and_how_and_stays_valid(tmp_path):
    docs = parts_of(DOCUMENTS, tmp_path / "documents")
    judged = parts_of(VERDICTS, tmp_path / "verdicts")
    card = {
        "title": "Corpus of\n# evil <script>",
        "Rules": [{"rule": "g.short", "min": 3}, {"rule": "f|x", "source": "paper"}],
        "Made with": {"seed": 17},
        "Steps": ["one", "two"],
        "Note": "Free text.",
    }

    write_curated(docs, judged, tmp_path / "out", card=card)

    text = (tmp_path / "out/README.md").read_text()
    for line in (
        "# Corpus of # evil &lt;script>",
        "| kept | 2 | 40.0% | 8 |",
        "| removed | 3 | 60.0% | 12 |",
        "| `g.short` | 2 | 66.7% |",
        "| g.short | 3 |  |",
        "| f\\|x |  | paper |",
        "| seed | 17 |",
        "- two",
        "Free text.",
    ):
        assert line in text.splitlines()

    import yaml

    _, header, _ = text.split("---\n", 2)
    configs = yaml.safe_load(header)["configs"]
    assert [c["config_name"] for c in configs] == ["default", "removed"]


@pytest.mark.parametrize(
    "verdicts", [VERDICTS.reverse(), VERDICTS.head(5)], ids=["other order", "a row less"]
)
def test_verdicts_of_other_documents_are_refused(tmp_path, verdicts):
    with pytest.raises(IntegrityError, match="does not have the ids of"):
        written(tmp_path, verdicts=verdicts)
