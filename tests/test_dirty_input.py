"""Dirty files that others collected, where they are at hand: the run ends, nothing is lost
silently, and what is wrong is named and counted."""

import base64
import json
import tarfile
from pathlib import Path

import polars as pl
import pytest

from curate.corpus import InputConfig, ingest
from curate.corpus.arrow import BROKEN_TABLE_ERRORS

SHARED = Path(__file__).parents[1].parent / "shared" / "corpora"


def shared(name):
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(f"needs ../shared/corpora/{name}, not found: skipped")
    return folder


def run(tmp_path, path, **kwargs):
    result = ingest(InputConfig(path=str(path), **kwargs), tmp_path / "out")
    documents = pl.read_parquet(list(result.parts))
    quarantine = pl.read_parquet(tmp_path / "out/quarantine/*")
    assert result.rows_read == result.documents + result.quarantined
    assert (result.documents, result.quarantined) == (
        documents.height,
        quarantine["row"].count(),
    )
    return result, documents, quarantine


# ── broken files ─────────────────────────────────────────────────────────────────────────────

BROKEN = {"truncated.jsonl.gz": 100, "truncated.jsonl.zst": 50, "truncated.parquet": 0}
QUARANTINED = {
    "bad_lines.jsonl": {"bad line": 10},
    "nulls_and_types.jsonl": {
        "empty text": 1,
        "invalid UTF-8": 1,
        "missing text": 1,
        "not an object": 3,
        "null text": 1,
        "repeated id": 1,
        "text not a string": 2,
    },
}


def test_every_broken_file_ends_as_its_collector_expects(tmp_path):
    folder = shared("dirty_broken_files")
    cases = json.loads((folder / "cases.json").read_text())
    assert {case["file"] for case in cases} == {
        p.name for p in folder.iterdir() if p.name not in ("cases.json", "SOURCE.md")
    }
    for case in cases:
        name, good = case["file"], case["good_docs"]
        result, documents, _ = run(tmp_path, folder / name)
        assert result.reasons == QUARANTINED.get(name, {}), name
        assert [b.path for b in result.broken_files] == [name] * (name in BROKEN), name
        if name in BROKEN:
            assert good is None
            assert result.documents >= BROKEN[name], name
        elif name == "nulls_and_types.jsonl":
            # Besides the two certain ones: blank text, a NUL inside, and a row without an id.
            assert result.documents == good + 3
        else:
            assert result.documents == good, name
        if name == "long_line.jsonl.gz":
            assert documents["text"].str.len_bytes().max() > 11_000_000


def test_what_a_broken_file_still_gives_is_the_beginning_of_the_whole(tmp_path):
    folder = shared("dirty_broken_files")
    _, whole, _ = run(tmp_path, folder / "ok.jsonl.gz")
    for name in ("truncated.jsonl.gz", "truncated.jsonl.zst", "two_members.jsonl.gz"):
        _, documents, _ = run(tmp_path, folder / name)
        assert documents["text"].equals(whole["text"].head(documents.height)), name


def test_a_folder_of_broken_files_is_read_as_one_input(tmp_path):
    folder = shared("dirty_broken_files")

    result, documents, quarantine = run(tmp_path, folder)

    assert {b.path for b in result.broken_files} == set(BROKEN)
    # The files repeat each other's ids: every later row is quarantined with its place.
    assert result.reasons["repeated id"] > 500
    assert documents["id"].n_unique() == documents.height >= 200
    assert quarantine["reason"].null_count() == 0
    assert "SOURCE.md" not in documents["source"].unique().to_list()


# ── the JSON suite ───────────────────────────────────────────────────────────────────────────


def json_cases():
    with tarfile.open(shared("dirty_json_parsing") / "test_parsing.tar.gz") as archive:
        members = [m for m in archive if m.name.endswith(".json")]
        cases = {m.name: archive.extractfile(m).read() for m in members}
    assert len(cases) == 318
    return dict(sorted(cases.items()))


def one_line(case):
    """A case as one line: JSON treats line feed and carriage return alike (white space outside
    of strings, forbidden inside), so this exchange changes no verdict."""
    return case.replace(b"\n", b"\r")


def test_the_json_suite_one_case_a_line(tmp_path):
    """Each case follows a good line; a blank case is no row, all others are named by line."""
    cases = json_cases()
    good = b'{"text": "good"}\n'
    path = tmp_path / "suite.jsonl"
    path.write_bytes(b"".join(good + one_line(case) + b"\n" for case in cases.values()))

    result, documents, quarantine = run(tmp_path, path)

    assert documents["text"].to_list() == ["good"] * len(cases)
    reasons = dict(quarantine.select("row", "reason").rows())
    blank = []
    for number, name in enumerate(cases):
        reason = reasons.get(2 * number + 2)
        if reason is None:
            blank.append(name)
        elif name.startswith("y_"):
            assert reason in ("not an object", "missing text"), name  # it was parsed
        elif name.startswith("n_"):
            assert reason in ("bad line", "invalid UTF-8"), name
    assert blank == ["n_single_space.json", "n_structure_no_data.json"]
    assert result.quarantined == len(cases) - len(blank)
    assert result.broken_files == ()


def test_the_json_suite_inside_records(tmp_path):
    """As a value of a record: what is JSON becomes a document, what is not is a bad line."""
    cases = json_cases()
    path = tmp_path / "suite.jsonl"
    lines = [
        b'{"id": "%s", "text": "good", "value": %s}\n' % (name.encode(), one_line(case))
        for name, case in cases.items()
    ]
    path.write_bytes(b"".join(lines))

    result, documents, _ = run(tmp_path, path)

    read = set(documents["id"])
    assert {name for name in cases if name.startswith("y_")} <= read
    assert not {name for name in read if name.startswith("n_")}
    assert result.rows_read == len(cases)
    assert set(result.reasons) == {"bad line", "invalid UTF-8"}


def test_the_json_suite_as_files(tmp_path):
    """Each case as a `.jsonl` file of its own, in one folder: no file stops the run."""
    home = tmp_path / "cases"
    home.mkdir()
    for name, case in json_cases().items():
        (home / f"{name}l").write_bytes(case)
    (home / "z.jsonl").write_text('{"text": "good"}\n')

    result, documents, quarantine = run(tmp_path, home)

    assert documents["text"].to_list() == ["good"]
    assert result.broken_files == ()
    assert quarantine["path"].n_unique() >= 300


# ── Parquet that crashed readers ─────────────────────────────────────────────────────────────

# A column of each file, so that each is decoded as text would be.
COLUMNS = {
    "ARROW-GH-41317.parquet": "string",
    "ARROW-GH-41321.parquet": "string",
    "ARROW-GH-45185.parquet": "x",
    "ARROW-GH-47662.parquet": "flba_field",
    "ARROW-RS-GH-6229-DICTHEADER.parquet": "comment_col",
    "ARROW-RS-GH-6229-LEVELS.parquet": "outer",
    "PARQUET-1481.parquet": "text",
}
# Reads without error, whatever is wrong inside: its numbers are no text.
READABLE = "ARROW-GH-43605.parquet"


def test_bad_parquet_loses_only_itself(tmp_path):
    folder = shared("dirty_parquet_bad")
    good = tmp_path / "z.parquet"
    pl.DataFrame({"text": ["good"]}).write_parquet(good)

    paths = (str(folder), str(good))
    result = ingest(InputConfig(path=paths), tmp_path / "out")

    assert pl.read_parquet(list(result.parts))["text"].to_list() == ["good"]
    assert {Path(b.path).name for b in result.broken_files} == set(COLUMNS)
    assert all(b.detail for b in result.broken_files)
    assert result.rows_read == result.documents + result.quarantined
    # What was decoded before the break has no text column: counted, like the readable file.
    assert list(result.reasons) == ["missing text"]
    assert result.reasons["missing text"] >= 21_186


@pytest.mark.parametrize("name", COLUMNS)
def test_each_bad_parquet_file_is_named(tmp_path, name):
    folder = shared("dirty_parquet_bad")

    result, _, quarantine = run(tmp_path, folder / name, text=COLUMNS[name])

    assert [b.path for b in result.broken_files] == [name]
    assert quarantine.filter(pl.col("row").is_null())["reason"].to_list() == ["broken file"]


def test_a_file_that_only_looks_bad_is_read(tmp_path):
    folder = shared("dirty_parquet_bad")

    result, _, _ = run(tmp_path, folder / READABLE, text="min_fl")

    assert (result.broken_files, result.reasons) == ((), {"text not a string": 21_186})


def test_panics_of_polars_are_among_the_errors_that_cost_one_file():
    """Some of these files make Polars' own reader panic with what is no `Exception`."""
    folder = shared("dirty_parquet_bad")
    panics = 0
    for path in sorted(folder.glob("ARROW-GH-4*.parquet")):
        try:
            pl.read_parquet(path)
        except BROKEN_TABLE_ERRORS as error:
            panics += not isinstance(error, Exception)
    assert panics >= 1


# ── naughty strings, legacy encodings ────────────────────────────────────────────────────────


@pytest.mark.parametrize("format", ["jsonl", "csv", "parquet"])
def test_naughty_strings_go_through_unchanged(tmp_path, format):
    strings = json.loads((shared("dirty_blns") / "blns.json").read_text("utf-8"))
    frame = pl.DataFrame({"text": strings})
    path = tmp_path / f"blns.{format}"
    if format == "jsonl":
        path.write_text("".join(json.dumps({"text": s}) + "\n" for s in strings))
    elif format == "csv":
        frame.write_csv(path, quote_style="always")
    else:
        frame.write_parquet(path)

    result, documents, _ = run(tmp_path, path)

    assert result.rows_read == len(strings) == 515
    assert result.reasons == {"empty text": strings.count("")}
    assert documents["text"].to_list() == [s for s in strings if s]


def test_naughty_strings_as_the_files_they_are(tmp_path):
    folder = shared("dirty_blns")

    _, documents, _ = run(tmp_path, folder, format="text")
    whole = dict(documents.select("id", "text").rows())
    assert whole["blns.txt:1"] == (folder / "blns.txt").read_bytes().decode()

    with pytest.raises(Exception, match="no row of the input has the column 'text'"):
        run(tmp_path, folder / "blns.json")  # an array of strings: rows, but no objects

    lines = (folder / "blns.base64.txt").read_text().splitlines()
    path = tmp_path / "decoded.jsonl"
    decoded = [base64.b64decode(line) for line in lines if line and not line.startswith("#")]
    path.write_bytes(b"".join(b'{"text": "%s"}\n' % text for text in decoded))
    result, _, _ = run(tmp_path, path)  # raw bytes in quotes: whatever it is, a line is a row
    assert result.rows_read == len(b"".join(path.read_bytes().splitlines(True)).split(b"\n")) - 1


def test_text_in_legacy_encodings_is_told_from_utf8(tmp_path):
    folder = shared("dirty_chardet_a")
    frame = pl.read_parquet(folder / "files.parquet")

    def is_utf8(raw):
        try:
            return bool(raw.decode())
        except UnicodeDecodeError:
            return False

    good = [is_utf8(raw) for raw in frame["raw"]]
    assert 0 < sum(good) < frame.height

    result, documents, quarantine = run(tmp_path, folder / "files.parquet", text="raw")

    assert documents["id"].to_list() == frame.filter(pl.Series(good))["id"].to_list()
    assert result.reasons == {"invalid UTF-8": frame.height - sum(good)}
    assert quarantine["raw"].str.len_chars().max() <= 200

    home = tmp_path / "files"
    home.mkdir()
    for key, raw in enumerate(frame["raw"]):
        (home / f"{key:03d}.txt").write_bytes(raw)
    result, documents, _ = run(tmp_path, home)
    assert result.reasons == {"invalid UTF-8": frame.height - sum(good)}


@pytest.mark.parametrize("column", ["text_true", "text_mojibake"])
def test_repaired_and_broken_encodings_are_both_text(tmp_path, column):
    folder = shared("dirty_chardet_a")
    frame = pl.read_parquet(folder / "files.parquet")

    result, documents, _ = run(tmp_path, folder / "files.parquet", text=column)

    assert result.reasons == (
        {"null text": missing} if (missing := frame[column].null_count()) else {}
    )
    assert documents["text"].equals(frame[column].drop_nulls().alias("text"))
