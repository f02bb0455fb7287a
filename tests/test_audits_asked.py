"""What people ask of an audit: tables of any kind, wrong names, groups that are none, runs."""

import json

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

import curate
from curate.audits import add_lexicon_groups, audit, hardest_hit, load_lexicon
from curate.cli import app
from curate.errors import ConfigError
from curate.file_audit import FileAudit, audited_file
from curate.report.audit_rows import flags_said, quiet_rows
from curate.report.audit_terminal import print_audit
from curate.report.group_figures import group_figures

N = 600


def judged(**changes):
    """Half the documents of one site go, a tenth of the others'."""
    site = np.array(["a", "größe", "网站"])[np.arange(N) % 3]
    goes = np.where(site == "a", np.arange(N) % 2, np.arange(N) % 10 == 0).astype(bool)
    failed = [["s.r"] if g else [] for g in goes]
    columns = {
        "id": [f"d{i}" for i in range(N)],
        "site": site,
        "failed": pl.Series(failed, dtype=pl.List(pl.String)),
        "score": np.arange(N) / N,
        "tags": [["x"]] * N,
        "one": "all",
    }
    return pl.DataFrame(columns | changes)


@pytest.mark.parametrize(
    "convert",
    [
        lambda frame: frame,
        lambda frame: frame.lazy(),
        lambda frame: frame.to_arrow(),
        lambda frame: frame.with_columns(pl.col("site").cast(pl.Categorical)),
        lambda frame: frame.with_columns(kept=pl.col("failed").list.len() == 0),
    ],
    ids=["eager", "lazy", "arrow", "categorical", "kept beside"],
)
def test_any_table_gives_the_same_audit(convert):
    found = audit(convert(judged()), groups="site", cluster=None)

    assert found.flagged.select("step", "group").rows() == [("s", "a")]


def test_kept_alone_is_one_step():
    frame = judged().with_columns(kept=pl.col("failed").list.len() == 0).drop("failed")

    assert audit(frame, groups="site").flagged.select("step", "group").rows() == [("verdict", "a")]


@pytest.mark.parametrize(
    ("change", "call", "message"),
    [
        ({}, {"groups": "sit"}, "unknown group column 'sit'; did you mean 'site'"),
        ({}, {"groups": "tags"}, "'tags' is List"),
        ({}, {"groups": []}, "no column of groups"),
        ({}, {"groups": "id"}, "600 values in 600 documents"),
        ({}, {"groups": "site", "scores": ["scor"]}, "unknown score 'scor'; did you mean"),
        ({}, {"groups": "site", "scores": ["site"]}, "score 'site' is String"),
        ({}, {"groups": "site", "tokens": "site"}, "weight 'site' is String"),
        ({}, {"groups": "site", "cluster": "sitee"}, "unknown cluster column 'sitee'"),
        ({}, {"groups": "site", "strata": ["lenght"]}, "unknown stratum 'lenght'"),
        ({"failed": "a.b"}, {"groups": "site"}, "'failed' is String; it must hold lists"),
        ({"failed": True}, {"groups": "site"}, "'failed' is Boolean"),
    ],
)
def test_what_cannot_be_audited_is_named(change, call, message):
    with pytest.raises(ConfigError, match=message):
        audit(judged(**change), **call)


def test_kept_must_be_true_or_false():
    with pytest.raises(ConfigError, match="'kept' is String"):
        audit(judged(kept="yes").drop("failed"), groups="site")


@pytest.mark.parametrize(
    ("frame", "group", "said"),
    [
        (judged(), "one", "all documents have one value of 'one'"),
        (judged().head(12), "site", "no group of 'site' (3 groups) is large enough"),
    ],
)
def test_an_audit_that_could_not_test_says_why(frame, group, said):
    sentence = audit(frame, groups=group).sentence

    assert sentence.startswith("Nothing could be tested")
    assert said in sentence


def test_one_group_of_few_is_singular_and_none_is_not_mentioned():
    small = judged().filter((pl.col("site") != "网站") | (pl.int_range(pl.len()) < 15))

    assert "1 more has not enough documents to tell" in audit(small, groups="site").sentence
    assert "not enough" not in audit(judged(), groups="site").sentence


def thin():
    """A site that goes whole, one of two documents that stay, and many that mostly stay."""
    sites = ["junk"] * 30 + ["tiny"] * 2 + ["news"] * 800
    goes = [True] * 30 + [False] * 2 + ([True] + [False] * 79) * 10
    failed = pl.Series([["s.r"] * g for g in goes], dtype=pl.List(pl.String))
    return pl.DataFrame({"site": sites, "failed": failed})


def test_a_group_that_lost_nothing_does_not_come_before_one_that_lost_all():
    found = audit(thin(), groups="site", cluster=None)
    rows = found.table.filter(population="marginal", weight="documents", group="tiny")

    assert rows["removal_ratio"][0] > 1  # corrected: of none lost
    assert hardest_hit(found.table).select("group", "lost").rows() == [("junk", 1.0)]
    assert quiet_rows(found).select("group", "lost", "seen from").rows() == [
        ("junk", "100.0 %", "too few documents")
    ]
    two = thin().with_columns(failed=pl.when(pl.col("site") == "tiny").then(["s.r"]).otherwise([]))
    assert quiet_rows(audit(two, groups="site", cluster=None)).is_empty()  # two documents


def test_a_group_that_lost_all_and_was_not_judged_is_named():
    found = audit(thin(), groups="site", cluster=None)
    said = "Not judged (too few documents to tell chance from harm), but lost most: site = junk,"

    assert found.unjudged == f"{said} 30 of 30 by s (others 1.2 %)."
    assert found.unjudged in repr(found)
    assert audit(judged(), groups="site").unjudged == ""


def test_rows_that_were_not_tested_are_no_passed_tests():
    rows = audit(thin(), groups="site", cluster=None).tidy
    both = audit(judged(), groups="site").tidy

    assert rows.filter(group="junk").select("flag", "state").unique().rows() == [
        (None, "not enough documents")
    ]
    assert set(both.select("flag", "state").unique().rows()) == {
        (True, "flag"),
        (False, "no flag"),
    }


def test_the_page_counts_tests_and_shows_no_ratio_against_what_was_seen():
    table = audit(thin(), groups="site", cluster=None).table
    (figure,) = group_figures(table.with_columns(adjusted_removal_ratio=pl.lit(float("inf"))))
    shown = figure.table.filter(group="tiny")

    assert flags_said(table) == "no flags in 0 tests; 3 pairs not judged"
    assert shown["removal_ratio"].to_list() == [None]
    assert figure.table["adjusted_removal_ratio"].null_count() == figure.table.height
    assert figure.table.filter(group="junk")["fails_four_fifths_rule"].item()


def test_a_group_within_one_source_lacks_sources_not_documents():
    sites = ["one"] * 200 + ["rest"] * 400
    frame = pl.DataFrame(
        {
            "site": sites,
            "host": ["one.org" if s == "one" else f"h{i % 40}" for i, s in enumerate(sites)],
            "failed": pl.Series([["s.r"] * (s == "one") for s in sites]),
        }
    )
    found = audit(frame, groups="site", cluster="host")

    assert found.unjudged.startswith("Not judged (too few sources to tell")
    assert set(found.tidy["state"]) == {"not enough sources"}
    assert "not enough sources" not in audit(frame, groups="site", cluster=None).sentence


def test_groups_of_word_lists_are_named_by_their_terms():
    texts = [("the women wrote " if i % 2 else "they wrote ") + "it" for i in range(N)]
    goes = [["s.r"] if i % 4 == 1 else [] for i in range(N)]
    frame = judged(text=texts, failed=pl.Series(goes, dtype=pl.List(pl.String)))
    found = audit(add_lexicon_groups(frame), groups=["gender: women", "gender: men"])
    rows = hardest_hit(found.table)

    assert "documents with a term of 'gender: women'" in found.sentence
    assert rows.select("step", "group_column", "groups", "group").rows() == [
        ("s", "gender", 1, "women")
    ]


def test_a_notebook_shows_who_is_hit_hardest_without_any_flag():
    quiet = judged().with_columns(site=pl.when(pl.int_range(pl.len()) % 4 < 2).then(1).otherwise(2))
    shown = audit(quiet, groups="site")._repr_html_()

    assert "Flags" not in shown
    assert "the group that loses most" in shown


# ── files ────────────────────────────────────────────────────────────────────────────────────


def asked(*arguments):
    done = CliRunner().invoke(app, ["audit", *map(str, arguments)])
    return done.stdout if done.exit_code == 0 else done.exception


def test_verdicts_of_a_file_are_audited_in_every_format(tmp_path):
    frame = judged().with_columns(kept=pl.col("failed").list.len() == 0).drop("failed", "tags")
    frame.write_parquet(tmp_path / "v.parquet")
    frame.write_csv(tmp_path / "v.csv")
    frame.write_ndjson(tmp_path / "v.jsonl")
    python = frame.with_columns(pl.col("kept").replace_strict({True: "True", False: "False"}))
    python.write_csv(tmp_path / "w.csv")
    tables = [
        audited_file(tmp_path / name, FileAudit(groups=("site",))).found.table
        for name in ("v.parquet", "v.csv", "v.jsonl", "w.csv")
    ]

    assert all(table.equals(tables[0]) for table in tables[1:])
    assert tables[0].filter(state="flag")["group"].to_list() == ["a"]


def test_the_command_names_groups_and_word_lists_and_offers_columns(tmp_path):
    path = tmp_path / "v.parquet"
    judged(text="the women wrote").write_parquet(path)
    both = asked(path, "--groups", "site,one", "--groups", "site", "--lexicons", "identity")
    lists = asked(path, "--groups", "one", "--lexicons", "identity,dialect")
    nothing = asked(path, "--groups", "one")

    assert "600 documents, judged by the file's own column 'failed'" in both
    assert f"sha256 {load_lexicon('identity').sha256}" in both
    assert both.count("a (50.0 %)") == 1  # who keeps least
    assert all(load_lexicon(name).sha256 in lists for name in ("identity", "dialect"))
    assert "Name other columns with --groups; there are: id, site" in nothing


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--groups", "sit"], "did you mean 'site'"),
        (["--groups", "site", "--lexicons", "identty"], "did you mean 'identity'"),
        (["--groups", "site", "--topics", "1"], "topics = 1"),
        (["--groups", "site", "--table", "t.txt"], "written as .csv or .parquet"),
        (["--groups", "site", "--clean", "mask"], "did you mean 'mask_pii'"),
    ],
)
def test_wrong_arguments_are_named_before_any_work(tmp_path, arguments, message):
    path = tmp_path / "v.parquet"
    judged(text="x").write_parquet(path)

    assert message in str(asked(path, *arguments))


def test_a_table_that_holds_no_edits_is_refused(tmp_path):
    judged(text="x").drop("failed").write_parquet(tmp_path / "a.parquet")
    found = asked(tmp_path / "a.parquet", "--groups", "site", "--edits", tmp_path / "a.parquet")

    assert "no column 'step'; a table of edits has id, step" in str(found)


# ── runs ─────────────────────────────────────────────────────────────────────────────────────


def test_a_run_is_audited_without_its_planted_documents_and_by_other_columns(tmp_path):
    rng = np.random.default_rng(1)
    topic = rng.choice(["x", "y"], 400)
    short = rng.random(400) < np.where(topic == "x", 0.5, 0.1)
    text = [f"{'few' if s else 'many words stand here and more of them'} {i}" for i, s in
            enumerate(short)]  # fmt: skip
    path = tmp_path / "a.parquet"
    pl.DataFrame({"text": text, "source": "s", "topic_column": topic}).write_parquet(path)
    config = {
        "input": {"path": str(path)},
        "rules": {"add": {"short": {"signal": "words", "min": 4}}},
        "duplicates": {"near": False, "exact": False},
        "output": {"path": str(tmp_path / "run")},
    }
    curate.run(config, until="audit")
    stored, other = asked(tmp_path / "run"), asked(tmp_path / "run", "--groups", "topic_column")

    assert "400 documents, judged by this run" in stored
    assert "all documents have one value of 'source'" in stored
    assert "'control'" not in stored
    assert "own takes" in other
    assert "topic_column = 'x'" in other
    assert "unknown group column 'topic'" in str(asked(tmp_path / "run", "--groups", "topic"))
    both = asked(tmp_path / "run", "--groups", "source,topic_column", "--scores", "words")
    assert "topic_column = 'x'" in both
    assert "--rules belongs to a file" in str(asked(tmp_path / "run", "--rules", "c4"))


def test_a_group_may_be_a_field_of_a_nested_column(tmp_path):
    rows = [
        {"text": "hello there you", "meta": {"site": "ab"[k % 2]}, "kept": k % 2 == 0}
        for k in range(200)
    ]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))

    found = audited_file(path, FileAudit(groups=("meta.site",), rules=("gopher_quality",)))

    assert set(found.found.table["group_column"]) == {"meta.site"}
    with pytest.raises(ConfigError, match=r"unknown group column 'meta\.sit'"):
        audited_file(path, FileAudit(groups=("meta.sit",), rules=("gopher_quality",)))


def test_rows_that_cannot_be_used_are_told_every_time(tmp_path, caplog, monkeypatch):
    """The second call reads the cache, and must not look cleaner than the first."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "good words"}\n{oops\n')

    for _ in range(2):
        curate.scan_corpus(path)

    assert [r.getMessage()[:24] for r in caplog.records] == ["not usable: 1 × bad line"] * 2


def test_no_figure_of_a_table_is_cut_off(capsys):
    """In a pipe or on a narrow terminal the last column was lost."""
    long = "a_set_with_a_very_long_name_indeed"
    frame = judged().with_columns(
        failed=pl.col("failed").list.eval(pl.lit(f"{long}.r")),
        site=pl.col("site") + " is a name that is rather long",
        words=pl.arange(0, N) % 7,
    )
    found = audit(frame, groups="site", cluster=None, strata=["words"])

    print_audit(found)

    shown = capsys.readouterr().out
    assert "…" not in shown.split("Flags")[1]
    line = next(line for line in shown.splitlines() if line.startswith("step"))
    assert line.split()[-1] == "q"
    assert any(line.rstrip().endswith("< 0.0001") for line in shown.splitlines())


@pytest.mark.parametrize(
    ("name", "said"), [("no/such/a.csv", "there is no folder"), ("a.xlsx", ".csv or .parquet")]
)
def test_where_a_table_goes_is_checked_before_the_work(tmp_path, name, said):
    path = tmp_path / "a.parquet"
    judged().write_parquet(path)

    asked = ["audit", str(path), "--groups", "site", "--table", str(tmp_path / name)]
    done = CliRunner().invoke(app, asked)

    assert said in str(done.exception)
    assert done.stdout == ""
