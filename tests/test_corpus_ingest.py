"""Input → documents and quarantine: every format, every reason, and books that balance."""

import csv
import datetime
import gzip
import itertools
import json

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

import curate.corpus.arrow
import curate.corpus.ingestion
from curate.corpus import DOCUMENT_SCHEMA, InputConfig, absent_columns, ingest, scan_corpus
from curate.corpus.batches import UnusableError
from curate.corpus.jsonl import parse_record
from curate.corpus.sorting import SeenIds
from curate.corpus.streams import numbered_lines
from curate.errors import ConfigError, CurateError, InputError, IntegrityError

TEXTS = [
    "plain",
    'quotes "inside", a comma\nand a line break',
    "東京 🙂 naïve",
    "  spaces around\t",
    "NUL \x00 inside",
    "long " * 60_000,
]
RECORDS = [{"id": f"d{i}", "text": text, "n": i} for i, text in enumerate(TEXTS)]


def json_lines(records):
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def write_parquet(path, records):
    pl.DataFrame(records).write_parquet(path)


def write_csv(path, records):
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wt", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(
            file, records[0].keys(), delimiter="\t" if ".tsv" in path.name else ","
        )
        writer.writeheader()
        writer.writerows(records)


def write_members(path, records):
    half = len(records) // 2
    parts = (json_lines(records[:half]), json_lines(records[half:]))
    path.write_bytes(b"".join(gzip.compress(part) for part in parts) + b"\0" * 9)


def write_frames(path, records):
    half = len(records) // 2
    parts = (json_lines(records[:half]), json_lines(records[half:]))
    path.write_bytes(b"".join(zstandard.compress(part) for part in parts))


WRITERS = {
    "a.parquet": write_parquet,
    "a.jsonl": lambda path, records: path.write_bytes(json_lines(records)),
    "bom.ndjson": lambda path, records: path.write_bytes(b"\xef\xbb\xbf" + json_lines(records)),
    "crlf.jsonl": lambda path, records: path.write_bytes(
        json_lines(records).replace(b"\n", b"\r\n\r\n")
    ),
    "open_end.jsonl": lambda path, records: path.write_bytes(json_lines(records)[:-1]),
    "array.json": lambda path, records: path.write_text(json.dumps(records, indent=1)),
    "lines.json": lambda path, records: path.write_bytes(json_lines(records)),
    "members.jsonl.gz": write_members,
    "frames.jsonl.zst": write_frames,
    "misnamed.jsonl": lambda path, records: path.write_bytes(gzip.compress(json_lines(records))),
    "a.csv": write_csv,
    "a.csv.gz": write_csv,
    "a.tsv": write_csv,
}


def run(tmp_path, path, **kwargs):
    result = ingest(InputConfig(path=str(path), **kwargs), tmp_path / "out")
    documents = pl.read_parquet(list(result.parts))
    assert list(documents.schema.items())[:4] == [(n, pl.String) for n in DOCUMENT_SCHEMA]
    assert documents["id"].n_unique() == documents.height
    assert not any(documents.null_count().row(0)[:3])
    quarantine = pl.read_parquet(tmp_path / "out/quarantine/*")
    rows = quarantine.filter(pl.col("row").is_not_null())
    assert rows.height == result.quarantined == sum(result.reasons.values())
    assert documents.height == result.documents
    return result, documents, quarantine


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_documents(tmp_path, name):
    WRITERS[name](tmp_path / name, RECORDS)

    result, documents, _ = run(tmp_path, tmp_path / name)

    assert (result.documents, result.rows_read, result.broken_files) == (6, 6, ())
    assert documents["text"].to_list() == TEXTS
    assert documents["id"].to_list() == [f"d{i}" for i in range(6)]
    assert documents["source"].unique().to_list() == [name]
    assert documents["control"].null_count() == 6
    assert documents["n"].cast(pl.Int64).to_list() == list(range(6))


def test_a_folder_of_text_files_is_one_document_a_file(tmp_path):
    home = tmp_path / "texts"
    (home / "sub").mkdir(parents=True)
    (home / "b.md").write_text("# b\n\nbody")
    (home / "sub/a.txt").write_bytes(b"\xef\xbb\xbfline\r\n")
    (home / "sub/latin.txt").write_bytes(b"caf\xe9")
    (home / "sub/empty.rst").write_text("")
    (home / "sub/z.txt.gz").write_bytes(gzip.compress(b"packed"))

    result, documents, quarantine = run(tmp_path, home)

    assert documents.select("id", "text", "source").rows() == [
        ("b.md:1", "# b\n\nbody", "unknown"),
        ("sub/a.txt:1", "line\r\n", "sub"),
        ("sub/z.txt.gz:1", "packed", "sub"),
    ]
    assert result.reasons == {"empty text": 1, "invalid UTF-8": 1}
    assert quarantine.select("path", "row", "raw").rows() == [
        ("sub/empty.rst", 1, ""),
        ("sub/latin.txt", 1, "caf�"),
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"text": null}', "null text"),
        (b'{"other": 1}', "missing text"),
        (b'{"text": 12}', "text not a string"),
        (b'{"text": ["x"]}', "text not a string"),
        (b'{"text": true}', "text not a string"),
        (b'{"text": ""}', "empty text"),
        (b'{"text": "caf\xe9"}', "invalid UTF-8"),
        (b'{"text": "half a pair \\ud800"}', "invalid UTF-8"),
        (b'{"text": "a", "more": {"k\\uDFFF": 1}}', "invalid UTF-8"),
        (b'\xff\xfe{\x00"\x00', "invalid UTF-8"),
        (b'{"text": "a"', "bad line"),
        (b'{"text": "a"} {"text": "b"}', "bad line"),
        (b'{"text": "a", "n": NaN}', "bad line"),
        (b'{"text": "a", "n": -Infinity}', "bad line"),
        (b"{'text': 'a'}", "bad line"),
        (b'{"text": "a\tb"}', "bad line"),
        (b"[" * 100_000, "bad line"),
        (b"1" * 5_000, "bad line"),
        (b'["text"]', "not an object"),
        (b"null", "not an object"),
        (b'"text"', "not an object"),
    ],
)
def test_a_bad_line_costs_only_itself(tmp_path, line, reason):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "before"}\n' + line + b'\n\n \n{"text": "after"}\n')

    result, documents, quarantine = run(tmp_path, path)

    assert documents.select("id", "text").rows() == [
        ("a.jsonl:1", "before"),
        ("a.jsonl:5", "after"),
    ]
    assert result.reasons == {reason: 1}
    assert quarantine.select("path", "row", "reason").rows() == [("a.jsonl", 2, reason)]
    assert len(quarantine["raw"].item()) <= 200


def test_surrogate_pairs_and_escaped_backslashes_are_good_text():
    assert parse_record(b'{"text": "\\ud83d\\ude42 \\\\ud800"}') == {"text": "🙂 \\ud800"}
    with pytest.raises(UnusableError):
        parse_record(b'{"text": "\\ude42\\ud83d"}')


def bad_strings(values):
    """An Arrow string array that lies: its bytes are no UTF-8."""
    raw = pa.array(values, pa.binary())
    return pa.Array.from_buffers(pa.string(), len(values), raw.buffers(), raw.null_count)


@pytest.mark.parametrize(
    ("column", "reasons"),
    [
        (pa.array(["a", None, ""]), {"empty text": 1, "null text": 1}),
        (pa.array(["a", None, ""]).dictionary_encode(), {"empty text": 1, "null text": 1}),
        (pa.array(["a", None, ""], pa.string_view()), {"empty text": 1, "null text": 1}),
        (pa.array([1, None, 3]), {"null text": 1, "text not a string": 2}),
        (pa.array([["a"], None, []]), {"null text": 1, "text not a string": 2}),
        (pa.nulls(3), {"null text": 3}),
        (pa.array([b"a", b"\xff", None]), {"invalid UTF-8": 1, "null text": 1}),
        (bad_strings([b"a", b"caf\xe9", None]), {"invalid UTF-8": 1, "null text": 1}),
    ],
    ids=["string", "dictionary", "view", "int", "list", "null", "bytes", "lying string"],
)
def test_text_columns_of_parquet(tmp_path, column, reasons):
    pq.write_table(pa.table({"text": column}), tmp_path / "a.parquet")

    result, documents, _ = run(tmp_path, tmp_path / "a.parquet")

    assert result.reasons == reasons
    assert documents["text"].to_list() == ["a"] * (3 - sum(reasons.values()))


def test_a_row_with_invalid_utf8_in_another_column_is_rejected_too(tmp_path):
    table = pa.table({"text": ["a", "b"], "url": bad_strings([b"\xff", b"u"])})
    pq.write_table(table, tmp_path / "a.parquet")

    _, documents, quarantine = run(tmp_path, tmp_path / "a.parquet")

    assert documents.select("id", "text", "url").rows() == [("a.parquet:2", "b", "u")]
    assert quarantine.select("row", "detail").rows() == [
        (1, "column 'url' holds bytes that are no UTF-8")
    ]


def test_csv_records_that_do_not_fit(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(
        b'id,text\n1,good\n2\n3,too,many\n4,"wrong"quote\n\n5,caf\xe9\n6,\n7,"last'
        + b" one\nnever closed"
    )

    result, documents, quarantine = run(tmp_path, path)

    assert documents.select("id", "text").rows() == [("1", "good")]
    assert quarantine.select("row", "reason").rows() == [
        (2, "bad line"),
        (3, "bad line"),
        (4, "bad line"),
        (5, "invalid UTF-8"),
        (6, "empty text"),
        (7, "bad line"),
    ]
    assert result.broken_files == ()


def test_a_csv_header_that_repeats_a_name_is_a_broken_file(tmp_path):
    (tmp_path / "a.csv").write_text("text,text\na,b\n")

    result, _, _ = run(tmp_path, tmp_path / "a.csv")

    assert [(b.path, "repeats text" in b.detail) for b in result.broken_files] == [("a.csv", True)]


def test_a_repeated_id_loses_the_later_row_of_the_whole_input(tmp_path):
    home = tmp_path / "in"
    home.mkdir()
    (home / "b.jsonl").write_bytes(
        json_lines([{"id": 1, "text": "late"}, {"id": "x", "text": "own"}])
    )
    (home / "a.jsonl").write_bytes(
        json_lines(
            [
                {"id": "x", "text": None},  # quarantined: does not use up its id
                {"id": "1", "text": "first"},
                {"id": 1, "text": "again"},
            ]
        )
    )

    result, documents, quarantine = run(tmp_path, home)

    assert documents.select("id", "text").rows() == [("1", "first"), ("x", "own")]
    assert quarantine.filter(reason="repeated id").select("path", "row", "detail").rows() == [
        ("a.jsonl", 3, "id 1"),
        ("b.jsonl", 1, "id 1"),
    ]
    assert result.reasons == {"null text": 1, "repeated id": 2}


def test_rows_without_an_id_get_one_unless_the_column_is_named(tmp_path):
    path = tmp_path / "a.jsonl"
    rows = [{"id": "x", "text": "1"}, {"id": None, "text": "2"}, {"id": "", "text": "3"}]
    path.write_bytes(json_lines([*rows, {"text": "4"}]))

    _, documents, _ = run(tmp_path, path)
    assert documents["id"].to_list() == ["x", "a.jsonl:2", "a.jsonl:3", "a.jsonl:4"]

    result, documents, _ = run(tmp_path, path, id="id")
    assert documents["id"].to_list() == ["x"]
    assert result.reasons == {"null id": 3}


def test_only_rows_without_an_id_are_called_by_file_and_row(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(json_lines([{"id": "x", "text": "1"}, {"text": "2"}]))

    result = ingest(InputConfig(path=str(path)), tmp_path / "out")

    assert pl.read_parquet(list(result.parts))["id"].to_list() == ["x", "a.jsonl:2"]


def test_named_columns_and_the_source(tmp_path):
    path = tmp_path / "a.jsonl"
    rows = [
        {"body": "1", "key": "k1", "site": "s", "text": "not this", "id": 7},
        {"body": "2", "key": "k2", "site": None, "text": "nor this", "id": 8},
    ]
    path.write_bytes(json_lines(rows))

    _, documents, _ = run(tmp_path, path, text="body", id="key", source="site")

    assert documents.columns == ["id", "text", "source", "control", "input_text", "input_id"]
    assert documents.select("id", "text", "source", "input_id").rows() == [
        ("k1", "1", "s", 7),
        ("k2", "2", "unknown", 8),
    ]


def test_columns_that_belong_to_curate_are_carried_under_another_name(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(json_lines([{"text": "a", "control": "mine", "kept": True, "url": "u"}]))

    _, documents, _ = run(tmp_path, path)

    assert documents.select("control", "input_control", "input_kept", "url").rows() == [
        (None, "mine", True, "u")
    ]
    path.write_bytes(json_lines([{"text": "a", "kept": 1, "input_kept": 2}]))
    with pytest.raises(ConfigError, match="'kept' belongs to Curate's own tables"):
        run(tmp_path, path)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([1], [2], [1, 2]),
        ([1], [2.5], [1.0, 2.5]),
        ([1], ["b"], ["1", "b"]),
        ([True], ["b"], ["true", "b"]),
        ([None], [3], [None, 3]),
        ([None], [None], [None, None]),
        ([{"a": [1]}], [["ü"]], ['{"a": [1]}', '["ü"]']),
        ([1, "b"], [None], ["1", "b", None]),
        ([2**70], [1], [str(2**70), "1"]),
        ([1, 2.5], [None], [1.0, 2.5, None]),
    ],
)
def test_carried_columns_of_several_files_meet_in_one_type(tmp_path, first, second, expected):
    home = tmp_path / "in"
    home.mkdir()
    for name, values in (("a", first), ("b", second)):
        rows = [{"text": "t", "x": value} for value in values]
        (home / f"{name}.jsonl").write_bytes(json_lines(rows))
    (home / "c.jsonl").write_bytes(json_lines([{"text": "without"}]))

    for part_bytes in (1, 1000):  # parts of their own, and one part for all
        _, documents, _ = run(tmp_path, home, part_bytes=part_bytes)
        assert documents["x"].to_list() == [*expected, None]


def test_parquet_types_are_carried_untouched(tmp_path):
    frame = pl.DataFrame(
        {
            "text": ["a"],
            "when": [datetime.datetime(2024, 1, 1)],
            "tags": [["x", "y"]],
            "meta": [{"k": 1}],
            "raw": [b"\xff"],
            "small": pl.Series([1], dtype=pl.Int8),
        }
    )
    frame.write_parquet(tmp_path / "a.parquet")

    _, documents, _ = run(tmp_path, tmp_path / "a.parquet")

    assert documents.select(frame.columns).equals(frame)
    assert documents.select(frame.columns).schema == frame.schema


def test_a_type_that_polars_does_not_have_is_carried_as_text(tmp_path):
    import decimal

    wide = pa.array([decimal.Decimal("1.50"), None], pa.decimal256(40, 2))
    pq.write_table(pa.table({"text": ["a", "b"], "price": wide}), tmp_path / "a.parquet")

    _, documents, _ = run(tmp_path, tmp_path / "a.parquet")

    assert documents["price"].to_list() == ['"1.50"', None]


@pytest.mark.parametrize("part_bytes", [1, 7, 10, 25, 1000])
def test_parts_are_cut_by_text_bytes_and_only_there(tmp_path, part_bytes):
    path = tmp_path / "a.jsonl"
    texts = ["é" * n for n in (1, 2, 3, 12, 1, 1, 4, 5)]
    path.write_bytes(json_lines([{"text": text} for text in texts]))

    result, documents, _ = run(tmp_path, path, part_bytes=part_bytes)

    assert documents["text"].to_list() == texts
    sizes = [pl.read_parquet(p)["text"].str.len_bytes() for p in result.parts]
    assert all(size.sum() <= part_bytes or len(size) == 1 for size in sizes)
    joined = itertools.pairwise(sizes)
    assert all(size.sum() + following[0] > part_bytes for size, following in joined)


def test_the_same_input_gives_the_same_bytes_and_no_part_of_a_longer_run_stays(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(json_lines([*RECORDS, {"text": None}]))
    config = InputConfig(path=str(path), part_bytes=20)

    first = {p.name: p.read_bytes() for p in ingest(config, tmp_path / "one").parts}
    ingest(InputConfig(path=str(path), part_bytes=1), tmp_path / "two")
    second = {p.name: p.read_bytes() for p in ingest(config, tmp_path / "two").parts}

    assert first == second
    there = {p.name for p in (tmp_path / "two/documents").iterdir()}
    assert there == set(second)


def test_batches_never_show_in_the_result(tmp_path, monkeypatch):
    path = tmp_path / "a.jsonl"
    bad = [{"text": None}, {"text": "x", "id": "d0"}]
    path.write_bytes(json_lines([*RECORDS, *bad, *({"text": str(i)} for i in range(50))]))
    whole, _, _ = run(tmp_path, path)
    before = [p.read_bytes() for p in whole.parts]

    monkeypatch.setattr("curate.corpus.jsonl.BATCH_BYTES", 1)
    again, _, _ = run(tmp_path, path)

    assert [p.read_bytes() for p in again.parts] == before
    assert again.reasons == whole.reasons


def test_an_empty_input_gives_an_empty_table(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b"")

    result, documents, quarantine = run(tmp_path, tmp_path / "a.jsonl")

    assert (result.rows_read, documents.height, quarantine.height) == (0, 0, 0)
    assert documents.columns == ["id", "text", "source", "control"]


def test_a_text_column_that_no_file_has_is_an_error_that_names_the_others(tmp_path):
    home = tmp_path / "in"
    home.mkdir()
    (home / "a.jsonl").write_bytes(json_lines([{"body": "x", "url": "u"}]))
    write_csv(home / "b.csv", [{"content": "y"}])

    with pytest.raises(InputError) as caught:
        run(tmp_path, home)
    assert str(caught.value) == (
        "no row of the input has the column 'text' that input.text names;"
        " columns there: body, url, content"
    )
    result, _, quarantine = run(tmp_path, home, text="content")
    assert result.reasons == {"missing text": 1}
    assert quarantine.select("path", "row").rows() == [("a.jsonl", 1)]


@pytest.mark.parametrize("role", ["id", "source"])
def test_a_named_column_that_does_not_exist_is_an_error(tmp_path, role):
    (tmp_path / "a.jsonl").write_bytes(json_lines([{"text": "x"}]))

    with pytest.raises(InputError, match=f"the column 'nope' that input.{role} names"):
        run(tmp_path, tmp_path / "a.jsonl", **{role: "nope"})


def cut(data):
    return data[: len(data) * 2 // 3]


def flip_near_the_end(data):
    return data[:-6] + bytes([data[-6] ^ 0xFF]) + data[-5:]


MANY = [{"id": f"m{i}", "text": f"document {i} " + "pad " * (i % 7)} for i in range(20_000)]


@pytest.mark.parametrize(
    ("name", "damage", "least"),
    [
        ("a.jsonl.gz", lambda: cut(gzip.compress(json_lines(MANY))), 8_000),
        ("a.jsonl.gz", lambda: flip_near_the_end(gzip.compress(json_lines(MANY))), 18_000),
        ("a.jsonl.gz", lambda: gzip.compress(json_lines(MANY[:9])) + b"garbage", 9),
        ("a.jsonl.zst", lambda: cut(zstandard.compress(json_lines(MANY))), 1_000),
        ("a.jsonl.zst", lambda: zstandard.compress(json_lines(MANY[:9])) + b"garbage", 9),
        ("a.parquet", lambda: b"PAR1 no more", 0),
        ("a.csv.gz", lambda: cut(gzip.compress(b"text\n" + b"some words here\n" * 50_000)), 9_000),
    ],
    ids=["gz cut", "gz checksum", "gz tail", "zst cut", "zst tail", "parquet", "csv cut"],
)
def test_a_broken_file_is_named_and_costs_only_what_is_broken(tmp_path, name, damage, least):
    home = tmp_path / "in"
    home.mkdir()
    (home / name).write_bytes(damage())
    (home / "z.jsonl").write_bytes(json_lines([{"id": "good", "text": "good"}]))

    result, documents, quarantine = run(tmp_path, home)

    assert [broken.path for broken in result.broken_files] == [name]
    assert result.broken_files[0].detail
    assert documents["id"][-1] == "good"
    assert documents.height - 1 >= least
    if name.startswith("a.jsonl"):
        expected = MANY[: documents.height - 1]
        assert documents["text"][:-1].to_list() == [row["text"] for row in expected]
    assert quarantine.select("path", "row", "reason").rows() == [(name, None, "broken file")]
    assert result.quarantined == 0


def test_a_broken_row_group_keeps_the_others(tmp_path):
    path = tmp_path / "a.parquet"
    rows = pa.table({"text": [f"text {i}" for i in range(300)]})
    pq.write_table(rows, path, row_group_size=100, compression="NONE", use_dictionary=False)
    offset = pq.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    data = bytearray(path.read_bytes())
    data[offset : offset + 30] = b"\xff" * 30
    path.write_bytes(data)

    result, documents, _ = run(tmp_path, path)

    assert documents["id"].to_list() == [
        f"a.parquet:{i}" for i in (*range(1, 101), *range(201, 301))
    ]
    assert "row group 2 of 3, rows 101 to 200 lost" in result.broken_files[0].detail


def test_an_unreadable_file_is_broken_but_an_interrupt_is_not(tmp_path, monkeypatch):
    home = tmp_path / "in"
    home.mkdir()
    pl.DataFrame({"text": ["a"], "n": [1]}).write_parquet(home / "a.parquet")
    write_csv(home / "b.csv", [{"text": "b"}])

    def stop(error):
        def raise_it(*_):
            raise error

        return raise_it

    # What Polars raises when its Rust code panics is no `Exception`.
    panic = pl.exceptions.PanicException("index out of bounds")
    assert not isinstance(panic, Exception)
    monkeypatch.setattr(curate.corpus.arrow, "_carried", stop(panic))
    result, documents, _ = run(tmp_path, home)
    assert documents["text"].to_list() == ["b"]
    assert "PanicException: index out of bounds" in result.broken_files[0].detail

    monkeypatch.setattr(curate.corpus.arrow, "_carried", stop(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, home)


def test_counts_that_do_not_add_up_stop_the_run(tmp_path, monkeypatch):
    path = tmp_path / "a.jsonl"
    path.write_bytes(json_lines(RECORDS))
    sort_batch = curate.corpus.ingestion.sort_batch

    def lose_one(*args, **kwargs):
        documents, rejects = sort_batch(*args, **kwargs)
        return documents.head(-1), rejects

    monkeypatch.setattr(curate.corpus.ingestion, "sort_batch", lose_one)
    with pytest.raises(IntegrityError, match="6 rows were read, but 5 documents"):
        ingest(InputConfig(path=str(path)), tmp_path / "out")


ROWS = st.one_of(
    st.fixed_dictionaries(
        {"text": st.one_of(st.text(), st.none(), st.integers())},
        optional={
            "id": st.one_of(st.integers(0, 5), st.sampled_from(["a", "b", ""]), st.none()),
            "x": st.one_of(st.integers(), st.text(max_size=3), st.booleans(), st.floats(-1, 1)),
        },
    ).map(lambda row: json.dumps(row).encode()),
    st.binary(max_size=8).map(lambda raw: raw.replace(b"\n", b"")),
)


@settings(max_examples=60, deadline=None)
@given(lines=st.lists(ROWS, max_size=12))
def test_every_line_becomes_a_document_or_is_quarantined(tmp_path_factory, lines):
    home = tmp_path_factory.mktemp("ingest")
    path = home / "a.jsonl"
    path.write_bytes(b'{"text": "anchor", "id": "anchor"}\n' + b"\n".join(lines) + b"\n")

    result, documents, quarantine = run(home, path)

    good = {}
    for line in lines:
        try:
            record = parse_record(line)
        except UnusableError:
            continue
        text = record.get("text")
        if isinstance(text, str) and text:
            key = record.get("id")
            good.setdefault(object() if key in (None, "") else str(key), text)
    assert documents["text"].to_list() == ["anchor", *good.values()]
    # The first line may begin with the byte-order mark; all others are read as they are.
    filled = sum(1 for line in lines if line and not line.isspace())
    assert result.rows_read == filled + 1
    assert quarantine["path"].unique().to_list() in ([], ["a.jsonl"])


@given(
    data=st.lists(st.sampled_from([b"a", b"\n", b"\r", b"long"]), max_size=30).map(b"".join),
    cuts=st.lists(st.integers(0, 60), max_size=6),
)
def test_lines_do_not_depend_on_how_the_bytes_arrive(data, cuts):
    edges = [0, *sorted(min(c, len(data)) for c in cuts), len(data)]
    chunks = [data[a:b] for a, b in itertools.pairwise(edges)]

    lines = [line for _, line in numbered_lines(chunks)]

    assert lines == (data.removesuffix(b"\n").split(b"\n") if data else [])


@given(batches=st.lists(st.lists(st.integers(0, 40)), max_size=12))
def test_seen_ids_agree_with_a_set(batches):
    seen, known = SeenIds(), set()
    for batch in batches:
        expected = []
        for number in batch:
            expected.append(number in known)
            known.add(number)
        ids = pl.Series([f"id-{n}" for n in batch], dtype=pl.String)
        assert seen.repeated(ids).to_list() == expected


def test_scan_corpus_parses_once_and_again_only_when_the_input_changed(tmp_path, monkeypatch):
    path = tmp_path / "a.jsonl"
    path.write_bytes(json_lines(RECORDS))
    cache = tmp_path / "cache"
    calls = []
    monkeypatch.setattr(
        "curate.corpus.scan.ingest", lambda *args: calls.append(args) or ingest(*args)
    )

    for _ in range(2):
        assert scan_corpus(path, cache=cache).collect()["text"].to_list() == TEXTS
    assert len(calls) == 1
    path.write_bytes(json_lines(RECORDS[:2]))
    assert scan_corpus([str(path)], cache=cache).collect().height == 2
    assert len(calls) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"text": "body"}, "no row of the input has the column 'body' that text= names"),
        ({"id": "key"}, "the column 'key' that id= names"),
        ({"text": "id", "id": "id"}, "text= is 'id', and so is id= or source="),
        ({"path": "absent.jsonl"}, "path= '.*absent.jsonl': no such file"),
    ],
    ids=["text", "id", "both", "path"],
)
def test_scan_corpus_speaks_of_its_own_arguments(tmp_path, arguments, message):
    (tmp_path / "a.jsonl").write_text('{"text": "one", "n": 1}\n')
    path = tmp_path / arguments.pop("path", "a.jsonl")

    with pytest.raises(CurateError, match=message) as error:
        scan_corpus(path, cache=tmp_path / "cache", **arguments)
    assert "input." not in str(error.value)


NESTED = [
    {"doc": {"body": {"raw": "first"}, "lang": "en"}, "n": 1},
    {"doc": {"body": {"raw": None}, "lang": "de"}, "n": 2},
    {"doc": {"lang": "de"}, "n": 3},
    {"doc": None, "n": 4},
    {"doc": {"body": {"raw": "five"}, "lang": "ja"}, "n": 5},
]


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_a_dotted_name_reads_a_field_of_a_nested_column(tmp_path, suffix):
    """The other fields become columns, and no text is carried twice."""
    path = tmp_path / f"a.{suffix}"
    if suffix == "jsonl":
        path.write_text("\n".join(map(json.dumps, NESTED)))
    else:
        pq.write_table(pa.Table.from_pylist(NESTED), path)
    config = InputConfig(path=str(path), text="doc.body.raw", source="doc.lang")

    result = ingest(config, tmp_path / "run")

    documents = pl.read_parquet(result.parts)
    assert documents.select("text", "source").rows() == [("first", "en"), ("five", "ja")]
    assert (result.documents, result.quarantined) == (2, 3)
    assert "first" not in "".join(map(str, documents.drop("text").row(0)))
    assert set(documents.columns) == {"id", "text", "source", "control", "n"}


def test_a_column_whose_own_name_has_a_dot_comes_first(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"doc.content": "flat", "doc": {"content": "deep"}}))

    result = ingest(InputConfig(path=str(path), text="doc.content"), tmp_path / "run")

    assert pl.read_parquet(result.parts)["text"].to_list() == ["flat"]


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        ('id;text\n1;"Preis: 3,50"\n', ["Preis: 3,50"]),
        ("id\ttext\n1\tone; two, three\n", ["one; two, three"]),
        ("\ntext,id\none;two,1\n", ["one;two"]),
        ("text\none; two\n", ["one; two"]),
    ],
    ids=["semicolons", "tabs", "commas", "one column"],
)
def test_a_csv_is_split_where_its_header_is(tmp_path, content, texts):
    """Spreadsheets write semicolons wherever the comma stands in numbers."""
    path = tmp_path / "a.csv"
    path.write_text(content)

    result = ingest(InputConfig(path=str(path)), tmp_path / "run")

    assert pl.read_parquet(result.parts)["text"].to_list() == texts
    assert absent_columns(InputConfig(path=str(path)), ["text", "nope"])[0] == ["nope"]
