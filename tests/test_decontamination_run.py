"""Overlaps with evaluation sets in a whole run: counted by set and document, or taken out."""

import numpy as np
import polars as pl
import pytest

import curate
from curate.config import load_config
from curate.errors import ConfigError
from curate.measure import _pool
from curate.pipeline import open_context, run_stages

PHRASE = "all rights reserved no part of this page may be copied without permission of its makers"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """60 documents that end with one phrase; three quote `manual`, two of them also `forum`."""
    folder = tmp_path_factory.mktemp("files")
    rng = np.random.default_rng(7)

    def words(count):
        return " ".join(f"v{i}" for i in rng.integers(0, 10**6, count))

    sets = {"manual": words(40), "forum": words(30)}
    for name, text in sets.items():
        rows = pl.DataFrame({"id": ["e"], "text": [f"{text} {PHRASE}"]})
        rows.write_parquet(folder / f"{name}.parquet")
    quotes = {3: ("manual",), 10: ("manual", "forum"), 44: ("forum", "manual")}
    texts = [
        " ".join([words(60), *(sets[name] for name in quotes.get(i, ())), words(20), PHRASE])
        for i in range(60)
    ]
    ids = [f"d{i:02}" for i in range(60)]
    pl.DataFrame({"id": ids, "text": texts, "source": "web"}).write_parquet(folder / "raw.parquet")
    return folder


def run_with(files, tmp_path, **options):
    sets = {"evaluation": [str(files / "manual.parquet"), str(files / "forum.parquet")]}
    return curate.run(
        {
            "input": {"path": str(files / "raw.parquet")},
            "controls": {"share": 0.05},
            "decontamination": sets | options,
            "output": {"path": str(tmp_path / "run")},
        }
    )


def test_flags_count_by_set_and_document_and_spare_common_phrases(files, tmp_path):
    run = run_with(files, tmp_path, most_documents=30)
    found = run.folder.read("contamination/documents.parquet")
    native = run.verdicts.filter(pl.col("control").is_null())
    flagged = dict(
        native.filter(pl.col("evaluation_ngrams") > 0).select("id", "evaluation_ngrams").rows()
    )

    assert found.rows() == [
        ("d03", "manual", 28),
        ("d10", "manual", 28),
        ("d10", "forum", 18),
        ("d44", "manual", 28),
        ("d44", "forum", 18),
    ]
    assert flagged == {"d03": 28, "d10": 28, "d44": 28}
    assert native["kept"].all()
    sets = run.folder.read("contamination/sets.parquet").select("set", "documents").rows()
    assert sets == [("manual", 3), ("forum", 2)]
    assert "evaluation texts" in run.report.read_text("utf-8")


@pytest.mark.parametrize(
    ("options", "gone"),
    [
        ({"most_documents": 30}, {"d03", "d10", "d44"}),
        ({"n": 41, "most_documents": 30}, set()),
        ({"n": 14}, {f"d{i:02}" for i in range(60)}),
    ],
    ids=["filtered", "longer", "phrase counts"],
)
def test_removal_is_a_step_like_any_other(files, tmp_path, options, gone):
    output = {"path": str(tmp_path / "run"), "min_yield": 0.0}
    sets = {"evaluation": [str(files / "manual.parquet")], "action": "remove"}
    run = curate.run(
        {
            "input": {"path": str(files / "raw.parquet")},
            "controls": {"share": 0.05},
            "decontamination": sets | options,
            "output": output,
        }
    )
    native = run.verdicts.filter(pl.col("control").is_null())
    left = native.filter(pl.col("failed").list.contains("decontamination.evaluation_ngrams"))

    assert set(left["id"]) == gone == set(native.filter(~pl.col("kept"))["id"])
    steps = run.folder.read("funnel.parquet")
    removed = steps.filter(pl.col("step") == "decontamination")["documents_removed_only_here"]
    assert removed.to_list() == [len(gone)]


def test_no_arm_of_an_experiment_holds_an_overlap(files, tmp_path):
    """Both arms are cleared, of the experiment's own sets and of further ones."""
    values = {
        "input": {"path": str(files / "raw.parquet")},
        "controls": {"share": 0.0},
        "measure": {"evaluation": [str(files / "forum.parquet")]},
        "output": {"path": str(tmp_path / "run")},
    }
    further = {"evaluation": [str(files / "manual.parquet")], "most_documents": 30}
    gone = []
    for options in ({"most_documents": 30}, further):
        context = open_context(load_config(values | {"decontamination": options}))
        run_stages(context, until="passages")
        pool, facts = _pool(context, context.config.measure)
        gone.append({f"d{i:02}" for i in range(60)} - set(pool["id"]))
        assert facts["contaminated_documents"] == len(gone[-1])

    assert gone == [{"d10", "d44"}, {"d03", "d10", "d44"}]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"action": "drop"}, "unknown action 'drop'"),
        ({"n": 0}, "n = 0; allowed"),
        ({"most_documents": 0}, "most_documents = 0"),
        ({"words": 8}, r"unknown key 'decontamination\.words'"),
    ],
)
def test_misuse_is_named(options, message):
    with pytest.raises(ConfigError, match=message):
        load_config({"input": {"path": "a"}, "output": {"path": "b"}, "decontamination": options})
