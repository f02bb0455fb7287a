"""Who survives: tables of small clusters, and a slow twin on arbitrary graphs."""

from itertools import permutations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.duplicates import PAIRS_SCHEMA, clusters, resolve
from curate.errors import ConfigError, InputError


def pairs_of(*rows):
    """Rows (a, b, kind or similarity) as a table of pairs."""
    full = [(a, b, k, 1.0) if k == "exact" else (a, b, "near", k) for a, b, k in rows]
    schema = {k: v for k, v in PAIRS_SCHEMA.items() if k != "containment"}
    return pl.DataFrame(full, schema=schema, orient="row")


def documents_of(ids, **columns):
    frame = pl.DataFrame({"id": list(ids), **columns})
    if "eligible" not in columns:
        frame = frame.with_columns(eligible=pl.lit(True))
    return frame


def duplicate_of(pairs, documents, priority="earliest", **options):
    resolved = resolve(pairs, documents, priority, **options)
    assert resolved["id"].to_list() == documents["id"].to_list()
    removed = resolved.filter(pl.col("duplicate_of").is_not_null())
    return dict(removed.select("id", "duplicate_of").iter_rows())


CHAIN = pairs_of(("a", "b", 0.9), ("b", "c", 0.9))


@pytest.mark.parametrize(
    ("priority", "columns", "expected"),
    [
        ("earliest", {}, {"b": "a"}),
        ("longest", {"text_chars": [1, 9, 1]}, {"a": "b", "c": "b"}),
        ("best_quality", {"quality": [0.1, 0.2, 0.9]}, {"b": "c"}),
        ("best_quality", {"quality": [None, 0.2, 0.1]}, {"a": "b", "c": "b"}),
        ("best_quality", {"quality": [float("nan"), 0.2, 0.1]}, {"a": "b", "c": "b"}),
        ("longest", {"text_chars": [5, 5, 5]}, {"b": "a"}),
    ],
)
def test_a_chain_loses_only_documents_paired_with_one_that_stays(priority, columns, expected):
    assert duplicate_of(CHAIN, documents_of("abc", **columns), priority) == expected


def test_source_priority_follows_the_list_then_document_order():
    pairs = pairs_of(("a", "b", "exact"), ("a", "c", "exact"), ("a", "d", "exact"))
    documents = documents_of("abcd", source=["mail", "web", "books", "books"])
    assert duplicate_of(pairs, documents, "source_priority", sources=["books", "web"]) == {
        "a": "c",
        "b": "c",
        "d": "c",
    }
    unlisted = duplicate_of(pairs, documents, "source_priority", sources=["wiki"])
    assert unlisted == {"b": "a", "c": "a", "d": "a"}


def test_a_cluster_whose_longest_copy_fails_a_rule_keeps_its_passing_copy():
    pairs = pairs_of(("long", "short", 0.9), ("long", "copy", "exact"))
    documents = documents_of(["long", "short", "copy"], text_chars=[9, 5, 9])
    passing = documents.with_columns(eligible=pl.col("id") == "short")
    assert duplicate_of(pairs, passing, "longest") == {"long": "short", "copy": "short"}
    assert duplicate_of(pairs, documents, "longest") == {"short": "long", "copy": "long"}


def test_where_nobody_is_eligible_nobody_is_a_duplicate():
    documents = documents_of("abc", eligible=[False] * 3)
    resolved = resolve(CHAIN, documents, "earliest")
    assert resolved["duplicate_of"].null_count() == 3
    assert resolved["cluster_id"].to_list() == ["a"] * 3


def test_near_pairs_hold_for_all_members_of_both_classes():
    pairs = pairs_of(("a", "a2", "exact"), ("b", "b2", "exact"), ("a", "b", 0.85))
    documents = documents_of(["a", "a2", "b", "b2"], text_chars=[1, 2, 3, 4])
    resolved = resolve(pairs, documents)
    assert resolved.select("duplicate_of", "kind", "jaccard").rows() == [
        ("b2", "near", 0.85),
        ("b2", "near", 0.85),
        ("b2", "exact", 1.0),
        (None, None, None),
    ]


def test_kinds_can_be_left_out():
    pairs = pairs_of(("a", "a2", "exact"), ("a", "b", 0.85))
    documents = documents_of(["a", "a2", "b"])
    exact, near = (pairs.filter(kind=kind) for kind in ("exact", "near"))
    assert duplicate_of(pairs, documents) == {"a2": "a", "b": "a"}
    assert duplicate_of(exact, documents) == {"a2": "a"}
    assert duplicate_of(near, documents) == {"b": "a"}


def test_the_most_similar_of_several_that_stay_is_named_and_ties_go_to_the_best():
    pairs = pairs_of(("a", "m", 0.8), ("b", "m", 0.95), ("c", "m", 0.95))
    assert duplicate_of(pairs, documents_of("abcm")) == {"m": "b"}


def test_natives_win_over_controls_and_are_never_removed_for_one():
    pairs = pairs_of(("copy", "page", "exact"), ("copy", "other", 0.9))
    documents = documents_of(
        ["copy", "page", "other"], control=["exact_copy", None, None], text_chars=[9, 5, 5]
    )
    assert duplicate_of(pairs, documents, "longest") == {"copy": "page", "other": "page"}
    failing = documents.with_columns(eligible=pl.Series([True, False, False]))
    assert duplicate_of(pairs, failing, "longest") == {}


def test_documents_that_only_the_pairs_name_hold_classes_together_but_cannot_survive():
    pairs = pairs_of(("gone", "x", "exact"), ("gone", "y", "exact"))
    resolved = resolve(pairs, documents_of("xy"), "earliest")
    assert resolved.select("cluster_id", "cluster_size", "duplicate_of").rows() == [
        ("gone", 3, None),
        ("gone", 3, "x"),
    ]


def test_clusters_are_components_named_by_their_smallest_id():
    pairs = pairs_of(("z", "m", 0.9), ("m", "b", 0.9), ("q", "r", "exact"))
    rows = clusters(pairs, pl.Series(["z", "m", "lone", "b", "q", "r"])).rows()
    assert rows == [
        ("z", "b", 3),
        ("m", "b", 3),
        ("lone", None, None),
        ("b", "b", 3),
        ("q", "q", 2),
        ("r", "q", 2),
    ]


def test_no_pairs_and_no_documents():
    none = pairs_of()
    assert resolve(none, documents_of("ab"), "earliest")["cluster_id"].null_count() == 2
    assert resolve(none, documents_of("ab").head(0), "earliest").schema == {
        "id": pl.String,
        "cluster_id": pl.String,
        "cluster_size": pl.Int64,
        "duplicate_of": pl.String,
        "kind": pl.String,
        "jaccard": pl.Float64,
    }


@pytest.mark.parametrize(
    ("documents", "priority", "error", "message"),
    [
        (documents_of("ab"), "longst", ConfigError, "did you mean 'longest'"),
        (documents_of("ab"), "longest", ConfigError, "reads column 'text_chars'; there are: id"),
        (documents_of("aa"), "earliest", InputError, "id 'a' occurs more than once"),
    ],
)
def test_misuse_is_named(documents, priority, error, message):
    with pytest.raises(error, match=message):
        resolve(CHAIN, documents, priority)


def slow_classes(pairs, count):
    class_of = list(range(count))
    for a, b, kind in pairs:
        if kind == "exact":
            low, high = sorted((class_of[a], class_of[b]))
            class_of = [low if c == high else c for c in class_of]
    return class_of


def slow_links(pairs, count):
    """Similarity and kind of every pair of documents that the table of pairs implies."""
    class_of = slow_classes(pairs, count)
    near = [({class_of[a], class_of[b]}, k) for a, b, k in pairs if k != "exact"]
    links = {}
    for x, y in permutations(range(count), 2):
        if class_of[x] == class_of[y]:
            links[x, y] = (1.0, "exact")
        for ends, similarity in near:
            if ends == {class_of[x], class_of[y]}:
                links[x, y] = max(links.get((x, y), (0.0, "")), (similarity, "near"))
    return links


def slow_resolve(pairs, documents):
    """The definition, document by document, without classes."""
    count = len(documents)
    links = slow_links(pairs, count)
    order = sorted(
        (d for d in range(count) if documents[d][0]),
        key=lambda d: (documents[d][1], -documents[d][2], d),
    )
    rank = {d: i for i, d in enumerate(order)}
    kept = []
    for d in order:
        if not any((d, k) in links for k in kept):
            kept.append(d)
    result = {}
    for d in set(range(count)) - set(kept):
        usable = [k for k in kept if (d, k) in links and documents[k][1] <= documents[d][1]]
        if usable:
            best = min(usable, key=lambda k: (-links[d, k][0], rank[k]))
            result[d] = (best, links[d, best][1], links[d, best][0])
    return result


@st.composite
def graphs(draw):
    count = draw(st.integers(2, 9))
    documents = draw(
        st.lists(
            st.tuples(st.booleans(), st.booleans(), st.integers(0, 3)),  # eligible, control, length
            min_size=count,
            max_size=count,
        )
    )
    node = st.integers(0, count - 1)
    kind = st.sampled_from(["exact", 0.8, 0.85, 0.9, 1.0])
    edges = draw(st.lists(st.tuples(node, node, kind), max_size=12))
    exact = [(a, b, k) for a, b, k in edges if k == "exact" and a < b]
    # Stars, as they are stored: the first member with each other member.
    first = slow_classes(exact, count)
    stars = [(first[d], d, "exact") for d in range(count) if first[d] != d]
    near = {(first[a], first[b]): k for a, b, k in edges if k != "exact" and first[a] < first[b]}
    return documents, stars + [(a, b, k) for (a, b), k in near.items()]


@settings(deadline=None, max_examples=300)
@given(graphs(), st.randoms())
def test_resolve_equals_its_definition(graph, random):
    documents, pairs = graph
    frame = documents_of(
        [f"d{i}" for i in range(len(documents))],
        eligible=[e for e, _, _ in documents],
        control=pl.Series(["copy" if c else None for _, c, _ in documents], dtype=pl.String),
        text_chars=[n for _, _, n in documents],
    )
    random.shuffle(pairs)  # the order of the pairs says nothing
    table = pairs_of(*((f"d{a}", f"d{b}", k) for a, b, k in pairs))
    resolved = resolve(table, frame).filter(pl.col("duplicate_of").is_not_null())
    found = {
        int(row["id"][1:]): (int(row["duplicate_of"][1:]), row["kind"], row["jaccard"])
        for row in resolved.iter_rows(named=True)
    }
    assert found == slow_resolve(pairs, documents)


@settings(deadline=None, max_examples=100)
@given(graphs())
def test_controls_change_no_native_verdict(graph):
    documents, pairs = graph
    ids = [f"d{i}" for i in range(len(documents))]
    control = pl.Series(["copy" if c else None for _, c, _ in documents], dtype=pl.String)
    frame = documents_of(ids, control=control, text_chars=1, eligible=[e for e, _, _ in documents])
    table = pairs_of(*((f"d{a}", f"d{b}", k) for a, b, k in pairs))
    with_controls = resolve(table, frame).filter(control.is_null())
    native_only = frame.with_columns(eligible=pl.col("eligible") & pl.col("control").is_null())
    without = resolve(table, native_only).filter(control.is_null())
    assert with_controls.equals(without)


def test_large_clusters_take_no_quadratic_time():
    """A star, a chain and one exact class of 100,000 documents each: 10^10 steps if squared."""
    count = 100_000
    ids = pl.Series([f"{kind}{i:06}" for kind in "scx" for i in range(count)])
    star, chain, same = ids[:count], ids[count : 2 * count], ids[2 * count :]
    rest = count - 1
    pairs = pl.DataFrame(
        {
            "id_a": pl.concat([star.gather([0] * rest), chain[:-1], same.gather([0] * rest)]),
            "id_b": pl.concat([star[1:], chain[1:], same[1:]]),
            "kind": ["near"] * (2 * rest) + ["exact"] * rest,
            "jaccard": [0.9] * (2 * rest) + [1.0] * rest,
        }
    )
    resolved = resolve(pairs, documents_of(ids), "earliest")
    stays = resolved.filter(pl.col("duplicate_of").is_null())["id"].str.head(1).value_counts()
    assert dict(stays.iter_rows()) == {"s": 1, "c": count // 2, "x": 1}
    assert resolved["cluster_size"].unique().to_list() == [count]


def test_controls_neither_join_nor_name_clusters_of_native_documents():
    pairs = pl.DataFrame(
        {
            "id_a": ["m", "m", "x"],
            "id_b": ["a-control", "n", "a-control"],
            "kind": ["near"] * 3,
            "jaccard": [0.9] * 3,
        }
    )
    eligible = pl.DataFrame(
        {
            "id": ["m", "n", "x", "a-control"],
            "text_chars": [9, 8, 7, 6],
            "control": [None, None, None, "near_copy_1"],
            "eligible": [True] * 4,
        }
    )
    found = resolve(pairs, eligible)

    assert found["cluster_id"].to_list() == ["m", "m", None, "a-control"]
    assert found["cluster_size"].to_list() == [2, 2, None, 4]
