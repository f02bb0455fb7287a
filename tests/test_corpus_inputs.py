"""Which files an input stands for, in which order, under which names."""

import polars as pl
import pytest

from curate.config import load_config
from curate.corpus import InputConfig, find_files, fingerprint, ingest_beside
from curate.errors import ConfigError, InputError
from curate.executors import threads
from curate.run_folder import Manifest, RunFolder
from curate.shards import Context
from curate.stages import read_evaluation


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('{"text": "x"}\n')


def names_of(path, **kwargs):
    return [f.name for f in find_files(InputConfig(path=path, **kwargs))]


@pytest.mark.parametrize(
    ("there", "pattern", "expected"),
    [
        (["a.jsonl"], "a.jsonl", ["a.jsonl"]),
        (["b.csv", "a.parquet", "sub/c.jsonl.gz"], "", ["a.parquet", "b.csv", "sub/c.jsonl.gz"]),
        (["a.jsonl", "README.md", "cover.png"], "", ["a.jsonl"]),
        (["b.md", "sub/a.txt", "cover.png"], "", ["b.md", "sub/a.txt"]),
        (["a.jsonl", ".hidden.jsonl", ".git/b.jsonl"], "", ["a.jsonl"]),
        (["a.jsonl", "b.jsonl.zst", "c.csv"], "*.jsonl*", ["a.jsonl", "b.jsonl.zst"]),
        (["x/a.jsonl", "x/y/b.jsonl"], "x/**/*.jsonl", ["a.jsonl", "y/b.jsonl"]),
        (["x/a.jsonl", "x/y/b.jsonl"], "x/**", ["a.jsonl", "y/b.jsonl"]),
        (["[a].jsonl"], "[a].jsonl", ["[a].jsonl"]),
        (["A.JSONL.GZ"], "A.JSONL.GZ", ["A.JSONL.GZ"]),
        (["a.jsonl", "a.parquet.gz"], "", ["a.jsonl"]),
    ],
)
def test_files_of_a_path(tmp_path, there, pattern, expected):
    touch(tmp_path, *there)

    assert names_of(str(tmp_path / pattern)) == expected


def test_several_paths_keep_their_order_share_a_root_and_name_each_file_once(tmp_path):
    touch(tmp_path, "two/a.jsonl", "one/a.jsonl", "one/b.csv")
    paths = (str(tmp_path / "two"), str(tmp_path / "one/*"), str(tmp_path / "one/a.jsonl"))

    assert names_of(paths) == ["two/a.jsonl", "one/a.jsonl", "one/b.csv"]


def test_a_format_reads_other_suffixes_and_chooses_among_a_folders_files(tmp_path):
    touch(tmp_path, "a.jsonl", "README.md", "dump.log")

    assert names_of(str(tmp_path), format="text") == ["README.md"]
    found = find_files(InputConfig(path=str(tmp_path / "dump.log"), format="jsonl"))
    assert [f.format for f in found] == ["jsonl"]


@pytest.mark.parametrize(
    ("there", "pattern", "error", "message"),
    [
        ([], "none.jsonl", InputError, "no such file or folder"),
        ([], "*.jsonl", InputError, "matches no file"),
        ([], "", InputError, "matches no file"),
        (["a.png"], "", InputError, "none of its 1 files is readable; allowed: .parquet"),
        (["a.png"], "a.png", ConfigError, "no known suffix; allowed: .parquet .pq .jsonl"),
        (["a.parquet.gz"], "a.parquet.gz", ConfigError, "all but Parquet also with .gz"),
    ],
)
def test_what_cannot_be_found_is_said(tmp_path, there, pattern, error, message):
    touch(tmp_path, *there)

    with pytest.raises(error) as caught:
        names_of(str(tmp_path / pattern))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "exactly one of input.path and input.dataset"),
        ({"path": "a", "dataset": "b"}, "exactly one of input.path and input.dataset"),
        ({"path": "a", "subset": "b"}, "belong to input.dataset"),
        ({"path": "a", "format": "jsonlines"}, "did you mean 'jsonl'?"),
        ({"path": "a", "text": "x", "id": "x"}, "input.text is 'x', and so is"),
        ({"path": "a", "part_bytes": 0}, "input.part_bytes is 0"),
    ],
)
def test_a_config_that_cannot_be_meant_is_refused(values, message):
    with pytest.raises(ConfigError) as caught:
        InputConfig(**values)
    assert message in str(caught.value)


def test_a_fingerprint_knows_names_contents_and_order_but_not_the_place(tmp_path):
    touch(tmp_path, "here/a.jsonl", "there/deep/a.jsonl", "other/b.jsonl")
    (tmp_path / "changed").mkdir()
    (tmp_path / "changed/a.jsonl").write_text('{"text": "y"}\n')

    def print_of(*folders):
        return fingerprint(InputConfig(path=tuple(str(tmp_path / f) for f in folders)))

    assert print_of("here") == print_of("there/deep")
    prints = {
        print_of("here"),
        print_of("changed"),
        print_of("other"),
        print_of("here", "other"),
        print_of("other", "here"),
    }
    assert len(prints) == 5


def test_a_fingerprint_does_not_depend_on_columns_or_part_sizes(tmp_path):
    touch(tmp_path, "a.jsonl")
    path = str(tmp_path / "a.jsonl")

    assert fingerprint(InputConfig(path=path)) == fingerprint(
        InputConfig(path=path, text="body", part_bytes=7)
    )


@pytest.mark.parametrize(
    ("columns", "read"),
    [
        ({"content": "mine", "other": "no"}, "mine"),
        ({"text": "usual", "other": "no"}, "usual"),
        ({"text": "title", "content": "mine"}, "mine"),
    ],
)
def test_texts_beside_a_corpus_are_read_by_its_column_or_the_usual_one(tmp_path, columns, read):
    pl.DataFrame(columns).write_parquet(tmp_path / "eval.parquet")
    config = InputConfig(path=str(tmp_path / "eval.parquet"))

    result = ingest_beside(config, tmp_path / "read", text="content")
    assert pl.read_parquet(result.parts[0])["text"].to_list() == [read]


def test_texts_beside_a_corpus_without_either_column_are_refused_by_its_name(tmp_path):
    pl.DataFrame({"body": ["x"]}).write_parquet(tmp_path / "eval.parquet")
    config = InputConfig(path=str(tmp_path / "eval.parquet"))

    with pytest.raises(InputError, match=r"no row .* 'content' .* columns there: body"):
        ingest_beside(config, tmp_path / "read", text="content")


@pytest.mark.parametrize("name", ["nosuch", "meta.origin.site"])
@pytest.mark.parametrize("text", ["text", "doc.body"])
def test_a_wrong_column_of_evaluation_sets_is_what_the_message_is_about(tmp_path, name, text):
    """Not the corpus's own text column, which evaluation files need not have."""
    pl.DataFrame({"text": ["x"], "kind": ["a"]}).write_parquet(tmp_path / "eval.parquet")
    values = {
        "input": {"path": "a", "text": text},
        "measure": {"evaluation": [str(tmp_path / "eval.parquet")], "evaluation_column": name},
        "output": {"path": str(tmp_path / "run")},
    }
    folder = RunFolder(tmp_path / "run")
    context = Context(load_config(values), folder, Manifest(folder), threads(1))

    with pytest.raises(InputError) as raised:
        read_evaluation(context)
    assert str(raised.value) == (
        f"evaluation file '{tmp_path}/eval.parquet' has no column '{name}' "
        "(measure.evaluation_column); columns there: text, kind"
    )
