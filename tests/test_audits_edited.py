"""Adjusted ratios of steps that edit: against a loop over documents, known strata."""

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from curate.audits import Losses, add_losses, audit, impact
from curate.audits._adjusted import Step, documents_of
from curate.audits._edited import Weighed, edited_rows
from curate.clean import apply_edits, clean
from curate.cli import app
from curate.errors import ConfigError, InputError
from curate.file_audit import FileAudit, audited_file
from curate.statistics import ClusteredPair, compare_rates, effective_sides, exponents

ENDS = ("adjusted_removal_ratio", "adjusted_removal_ratio_low", "adjusted_removal_ratio_high")


def invented(rng, n, *, strata, clusters=None, spread=0.0):
    """Documents whose group and edits both hang on the stratum, and on each other in no way."""
    kind = rng.integers(0, strata, n)
    if strata > n:  # matched pairs
        kind = np.arange(n) // 2
    level = kind / max(kind.max(), 1)
    group = (rng.random(n) < 0.1 + 0.4 * level).astype(int)
    cluster = None if clusters is None else rng.integers(0, clusters, n)
    shift = 0.0 if clusters is None else rng.normal(0, spread, clusters)[cluster]
    touched = rng.random(n) < np.clip(0.05 + 0.45 * level + shift, 0.01, 0.95)
    share = np.where(touched, rng.beta(1, 8, n), 0.0)
    return kind, group, cluster, share


def slow_ratio(kind, group, share, weight):
    """Σ x₁ n₀ / n over Σ x₀ n₁ / n, and each document's influence on its logarithm."""
    above = below = 0.0
    for k in np.unique(kind):
        own, rest = (kind == k) & (group == 1), (kind == k) & (group == 0)
        n1, n0 = weight[own].sum(), weight[rest].sum()
        above += (weight * share)[own].sum() * n0 / (n1 + n0)
        below += (weight * share)[rest].sum() * n1 / (n1 + n0)
    return above / below


def slow_interval(kind, group, share, weight, cluster):
    """Standardised rates by a loop over documents, their clusters' influences, and the interval."""
    own, n = group == 1, share.size
    total, taken, rest, mine = (np.empty(n) for _ in range(4))
    for i in range(n):
        like = kind == kind[i]
        mine[i], rest[i] = (weight[like & side].sum() for side in (own, ~own))
        taken[i], total[i] = (weight * share)[like].sum(), weight[like].sum()
    part = np.where(own, rest, mine) / total
    whole = (weight * part)[own].sum()
    part = part / whole * weight
    rates = [(part * share)[side].sum() for side in (own, ~own)]
    ratio = rates[0] / rates[1]
    model = taken / (mine * ratio + rest) * np.where(own, ratio, 1.0)
    squares = np.array([(weight[kind == k] ** 2).sum() for k in kind])
    inflation = total**2 / (total**2 - squares)
    varied = taken / total * (1 - taken / total)
    names = np.unique(cluster)
    sums = {
        key: np.array([values[(cluster == c) & side].sum() for c in names])
        for key, values, side in (
            ("z", part * (share - model), own),
            ("y", part * (share - model), ~own),
            ("s", part, own),
            ("t", part, ~own),
        )
    }
    lost, signed = 0.0, np.where(own, part, -part)
    for k in np.unique(kind):
        parts = np.array([signed[(cluster == c) & (kind == k)].sum() for c in names])
        at = np.flatnonzero(kind == k)[0]
        lost += varied[at] * (parts**2).sum() / total[at]
    common = sum((varied * signed)[cluster == c].sum() ** 2 for c in names)
    common /= (varied * weight).sum()
    beyond = max(lost - common, 0.0) / (varied * part**2).sum()
    z, y = (sums[a] - sums[b] * sums[a].sum() for a, b in (("z", "s"), ("y", "t")))
    grown, sides = 1 / (1 - beyond), (own, ~own)
    sizes = [1 / (part[side] ** 2).sum() for side in sides]
    noise = [(part**2 * (share - model) ** 2 * inflation)[side].sum() for side in sides]
    dispersions = [
        float(v * size / (r * (1 - r))) for v, size, r in zip(noise, sizes, rates, strict=True)
    ]
    pair = ClusteredPair.of_sides(
        np.array(rates)[:, None],
        np.array(sizes)[:, None],
        spreads=[np.array([v.sum() * grown]) for v in (z**2, y**2, z * y)],
        powers={
            (i, j): np.array([(sums["s"] ** i * sums["t"] ** j).sum()]) for i, j in exponents()
        },
        dispersions=dispersions,
    )
    return compare_rates(effective_sides(pair, withhold=True))


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("clustered", [False, True])
def test_ratio_and_interval_are_those_of_a_loop_over_documents(clustered, whole):
    rng = np.random.default_rng(1)
    n = 300
    kind, group, cluster, share = invented(rng, n, strata=3, clusters=200 if clustered else None)
    share = (share > 0).astype(float) if whole else share
    weight = rng.lognormal(0, 0.5, n)
    documents = documents_of(pl.DataFrame({"kind": kind.astype(str)}), group, ["kind"], cluster)
    step = Step(documents, share > 0)
    ratio, low, high = edited_rows(Weighed(documents, weight), share, step)[1][:3]
    slow = slow_interval(kind, group, share, weight, np.arange(n) if cluster is None else cluster)

    assert ratio == pytest.approx(slow_ratio(kind, group, share, weight))
    assert (low, high) == pytest.approx((slow.low[0], slow.high[0]))


def test_a_step_that_takes_more_of_short_texts_alone_is_explained_by_length():
    rng = np.random.default_rng(2)
    words = np.exp(rng.normal(5, 1, 40_000)).astype(int)
    source = np.where(rng.random(40_000) < 1 / (1 + np.exp(words / 50 - 3)), "short", "long")
    share = np.where(rng.random(40_000) < 0.5, np.minimum(10 / words, 0.5), 0.0)
    frame = pl.DataFrame({"source": source, "words": words, "mask": share})
    losses = Losses(columns={"mask": "mask"}, weight="words")
    call = {"steps": {}, "group": "source", "tokens": "words", "strata": ("words",)}
    table = impact(frame, losses=losses, **call)
    row = table.filter(group="short", population="marginal", weight="documents").row(0, named=True)

    assert row["removal_ratio_low"] > 2
    assert row["adjusted_for"] == "words"
    assert 0.9 <= row["adjusted_removal_ratio"] <= 1.11


def test_tokens_of_removed_documents_are_compared_within_strata():
    """A length filter by tokens: the crude ratio is off, within lengths nothing is left of it."""
    rng = np.random.default_rng(4)
    words = np.exp(rng.normal(5, 1, 60_000)).astype(int) + 1
    source = np.where(rng.random(60_000) < 1 / (1 + np.exp(words / 50 - 3)), "short", "long")
    hit = rng.random(60_000) < np.clip(30 / words, 0.02, 0.9)
    failed = [["length.words"] if h else [] for h in hit]
    frame = pl.DataFrame({"source": source, "words": words, "failed": failed})
    call = {"steps": {"length": ["length.words"]}, "group": "source", "strata": ("words",)}
    table = impact(frame, tokens="words", **call).filter(group="short", population="marginal")
    row = table.filter(weight="tokens").row(0, named=True)

    assert row["removal_ratio_low"] > 2
    assert row["adjusted_for"] == "words"
    assert 0.9 <= row["adjusted_removal_ratio"] <= 1.11
    assert row["adjusted_removal_ratio_low"] <= 1 <= row["adjusted_removal_ratio_high"]
    assert row["adjusted_odds_ratio"] is None


def test_later_edits_take_only_what_earlier_ones_left():
    """Addresses inside menus go with the menus; elsewhere masking takes them."""
    text = {"menu": "Menu of ann.smith@site.org and cart\nAnd one line of text.",
            "letter": "Write to ann.smith@site.org for one line of text."}  # fmt: skip
    documents = pl.DataFrame(
        {
            "id": [f"d{i}" for i in range(80)],
            "kind": ["menu", "letter"] * 40,
            "text": [text[kind] for kind in ["menu", "letter"] * 40],
        }
    )
    edits = clean(documents, ["keep_c4_lines", "mask_pii"])
    table = audit(documents, groups="kind", edits=edits).table.filter(step="mask_pii")
    touched = table.filter(weight="touched").select("population", "group", "removed").rows()
    bytes_left = len("And one line of text.")

    assert set(edits["step"]) == {"keep_c4_lines", "mask_pii"}
    assert sorted(touched) == [
        *(("cumulative", "letter", 40), ("cumulative", "menu", 0)),
        *(("marginal", "letter", 40), ("marginal", "menu", 40)),
    ]
    left = table.filter(weight="tokens", population="cumulative", group="menu")["n"].item()
    assert left == 40 * bytes_left


def test_edits_that_overlap_count_as_they_are_made():
    rng = np.random.default_rng(5)
    texts = ["x" * 60] * 40
    spans = [
        (f"d{d}", step, int(a), int(a + rng.integers(1, 9)), "")
        for d in range(40)
        for step in ("one", "two", "three")
        for a in (rng.integers(0, 20), rng.integers(30, 50))
    ]
    names = ("id", "step", "start", "end", "replacement")
    edits = pl.DataFrame(spans, schema=names, orient="row")
    documents = pl.DataFrame({"id": [f"d{d}" for d in range(40)], "text": texts})
    steps = ["one", "two", "three"]
    found = add_losses(documents, edits, steps)
    gone = [60 - len(text) for text in apply_edits(documents, edits)]
    then = found.select(pl.sum_horizontal(f"then taken by {s}" for s in steps) * 60).to_series()
    alone = found.select(pl.sum_horizontal(f"taken by {s}" for s in steps) * 60).to_series()

    assert then.to_list() == pytest.approx(gone)
    assert (alone > then + 0.5).any()


def test_touched_documents_need_lose_nothing():
    frame = pl.DataFrame(
        {"source": ["a", "b"] * 200, "took": 0.0, "changed": [True, False, False, False] * 100}
    )
    losses = Losses(columns={"mask": "took"}, touched={"mask": "changed"})
    table = impact(frame, steps={}, group="source", losses=losses).filter(group="a")

    assert table.filter(weight="touched", population="marginal")["removed"].item() == 100
    assert table.filter(weight="documents", population="marginal")["removed"].item() == 0


# ── from edits and texts to audits ───────────────────────────────────────────────────────────


def mails(n=600):
    """Half the texts of one source hold an address, a tenth of the other's."""
    rows = [
        f"Some words that stay, row {i}" + (" ann.smith@site.org" if hit else "")
        for source in ("a", "b")
        for i, hit in enumerate(i % (2 if source == "a" else 10) == 0 for i in range(n))
    ]
    return pl.DataFrame(
        {
            "id": [f"d{i}" for i in range(2 * n)],
            "text": rows,
            "source": ["a"] * n + ["b"] * n,
            "site": pl.Series([f"s{i % 40}" for i in range(2 * n)]),
        }
    )


def test_edits_and_text_pairs_say_the_same():
    documents = mails()
    edits = clean(documents, ["mask_pii"])
    pair = documents.with_columns(clean_text=apply_edits(documents, edits))
    by_edits = audit(documents, groups="source", cluster=None, edits=edits)
    by_text = audit(pair.lazy(), groups="source", cluster=None, cleaned="clean_text")

    assert by_edits.edits.drop("step").equals(by_text.edits.drop("step"))
    assert by_edits.edits["step"].unique().to_list() == ["mask_pii"]
    assert by_edits.edits.row(0, named=True)["touched"] == 0.5
    assert by_edits.edits.row(0, named=True)["touched_ratio"] == pytest.approx(5)
    assert by_edits.flagged["group"].to_list() == ["a"]


def test_edits_stand_beside_removals_in_one_family():
    documents = mails().with_columns(
        failed=pl.when(pl.int_range(pl.len()) % 7 == 0)
        .then(pl.lit(["short.words"]))
        .otherwise(pl.lit([], dtype=pl.List(pl.String)))
    )
    found = audit(documents, groups="source", edits=clean(documents, ["mask_pii"]), cluster=None)

    assert found.table["step"].unique(maintain_order=True).to_list() == ["mask_pii", "short"]
    assert found.table["q"].drop_nulls().len() == 4
    assert {"touched removal_ratio", "tokens removal_ratio"} <= set(found.tidy["metric"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"edits": pl.DataFrame({"id": ["a"]})}, "no column 'step' in the edits"),
        ({"cleaned": "text2"}, "no column 'text2' in the judged documents"),
        ({"cleaned": "text", "edits": pl.DataFrame()}, "give one"),
        ({"cleaned": "text"}, "no document failed a rule or was edited"),
        ({}, "no column 'failed'"),
    ],
)
def test_what_no_audit_can_be_made_of_is_said(change, message):
    with pytest.raises(ConfigError, match=message):
        audit(mails(5), **change)


def test_the_command_audits_cleaning_and_writes_the_tidy_table(tmp_path):
    mails().write_parquet(tmp_path / "a.parquet")
    call = [
        "audit",
        str(tmp_path / "a.parquet"),
        "--clean",
        "mask_pii",
        "--rules",
        "gopher_quality",
    ]
    done = CliRunner().invoke(app, [*call, "--table", str(tmp_path / "t.csv")])
    table = pl.read_csv(tmp_path / "t.csv")

    assert done.exit_code == 0, done.output
    assert "mask_pii" in done.stdout
    assert "What steps that edit do" in done.stdout
    assert table.columns == [
        *("step", "group_axis", "group", "metric", "value"),
        *("low", "high", "n", "q", "flag", "state"),
    ]
    assert set(table["step"]) >= {"mask_pii"}


def test_a_file_is_judged_by_what_cleaning_leaves(tmp_path):
    text = "the words of a text and of that which have to be with it here " * 6
    menu = "Home | Shop | Login | Cart | Help\n" * 60
    pl.DataFrame(
        {"id": ["a", "b"], "text": [menu + text, text + "one"], "source": ["m", "n"]}
    ).write_parquet(tmp_path / "a.parquet")
    config = FileAudit(clean=("drop_boilerplate_lines",), rules=("gopher_quality",), cluster=None)
    found = audited_file(tmp_path / "a.parquet", config).found

    assert found.edits.filter(group="m")["taken"].item() > 0.5


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.csv", b"", "no document in it"),
        ("head.csv", b"id,text,source\n", "no document in it"),
        ("empty.parquet", b"", "no Parquet file that can be read"),
    ],
)
def test_files_without_documents_are_named(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)

    with pytest.raises(InputError, match=f"{name}: {message}"):
        audited_file(tmp_path / name)


def test_verdicts_without_texts_cannot_be_cleaned(tmp_path):
    pl.DataFrame({"source": ["a"], "kept": [True]}).write_parquet(tmp_path / "v.parquet")

    with pytest.raises(ConfigError, match="cleaning needs a column 'id'"):
        audited_file(tmp_path / "v.parquet", FileAudit(clean=("mask_pii",)))
