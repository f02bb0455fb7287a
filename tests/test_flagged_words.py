"""Words of a list: where they count, which list a text is searched with, what a run keeps."""

import hashlib
import json
import re

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import curate
from curate.errors import ConfigError, InputError
from curate.signals import SignalsConfig, measure_signals
from curate.text.flagged_words import WordLists, flagged_words, load_word_lists


def count(text, *words):
    lists = word_lists(words)
    return flagged_words(pl.Series([text]), lists).item()


def word_lists(words):
    order = sorted({word.lower() for word in words}, key=lambda word: (-len(word), word))
    return WordLists(words={"": tuple(order)}, sha256={})


@pytest.mark.parametrize(
    ("text", "words", "expected"),
    [
        ("Darn! DARN, darned", ["darn"], 2),
        ("a darn-hole and darn_it", ["darn"], 1),
        ("darn darn darn", ["darn"], 3),
        ("darn", ["darn"], 1),
        ("hot dog, hot\ndog, hotdog", ["hot dog"], 2),
        ("hot dog", ["hot dog", "hot", "dog"], 1),
        ("cafe\u0301 cafe", ["cafe"], 1),
        ("Große GROSSE große", ["große"], 2),
        ("ΟΔΟΣ οδος", ["οδος"], 2),
        ("他妈的话", ["妈的"], 1),
        ("f*ck f*ck", ["f*ck"], 2),
        ("c++ (c++)", ["c++"], 2),
        ("", ["darn"], 0),
    ],
)
def test_places_that_count(text, words, expected):
    assert count(text, *words) == expected


WORDS = ["a", "ab", "a b", "b-a", "é", "b c a"]


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("abcAB é\u0301-_.\n1"), max_size=40))
def test_equals_a_scan_that_looks_around(text):
    word = r"[^\W]|[\u0300-\u036f]"
    either = "|".join(re.escape(w).replace(r"\ ", r"\s+") for w in sorted(WORDS, key=len)[::-1])
    edges = re.compile(rf"(?<!{word[:5]})(?<![\u0300-\u036f])(?:{either})(?!{word})")

    assert count(text, *WORDS) == len(edges.findall(text.lower()))


def test_lists_by_language_search_texts_of_that_language(tmp_path):
    pytest.importorskip("py3langid", reason="needs the extra `language`: skipped")
    (tmp_path / "en.txt").write_text("house\nthe\n")
    (tmp_path / "de.txt").write_text("haus\n")
    texts = [
        "The house stands on the hill.",
        "Das Haus steht auf dem Berg, the house.",
        "La maison est sur la colline.",
    ]
    lists = {name: str(tmp_path / f"{name}.txt") for name in ("en", "de")}

    table = measure_signals(
        pl.DataFrame({"text": texts}),
        ["flagged_word_count", "flagged_word_fraction"],
        flagged=lists,
    )

    assert table["flagged_word_count"].to_list() == [3, 1, 0]
    assert table["flagged_word_fraction"].to_list() == pytest.approx([3 / 6, 1 / 8, 0])


@pytest.mark.parametrize(
    ("content", "error", "said"),
    [
        (b"", ConfigError, "holds no word"),
        (b"# only a remark\n\n", ConfigError, "holds no word"),
        (b"\xff\xfe\n", InputError, "no UTF-8"),
    ],
)
def test_a_list_that_is_none_is_named(tmp_path, content, error, said):
    path = tmp_path / "list.txt"
    path.write_bytes(content)

    with pytest.raises(error, match=said):
        load_word_lists(str(path))


def test_the_config_takes_a_path_or_a_table_of_paths():
    assert SignalsConfig(flagged_words={"en": "en.txt"}).by_language
    for wrong in ({}, {"en": 1}):
        with pytest.raises(ConfigError, match=r"signals\.flagged_words"):
            SignalsConfig(flagged_words=wrong)


def test_without_a_list_the_signal_says_what_it_needs():
    with pytest.raises(ConfigError, match=r"set signals\.flagged_words"):
        measure_signals(pl.DataFrame({"text": ["a"]}), ["flagged_word_count"])


@pytest.fixture
def values(tmp_path):
    rows = [{"text": f"document number {k} is {'darn ' * (k % 3)}good"} for k in range(30)]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "bad.txt").write_text("DARN\n")
    return {
        "input": {"path": str(tmp_path / "in.jsonl")},
        "output": {"path": str(tmp_path / "run")},
        "controls": {"share": 0.0},
        "signals": {"flagged_words": str(tmp_path / "bad.txt")},
        "rules": {"add": {"bad_words": {"signal": "flagged_word_count", "max": 1}}},
        "duplicates": {"exact": False, "near": False},
    }


def test_a_run_bounds_them_and_remembers_the_list(values, tmp_path):
    run = curate.run(values)

    failed = run.verdicts["failed"].list.len().to_list()
    assert failed == [int(k % 3 == 2) for k in range(30)]
    digest = hashlib.sha256((tmp_path / "bad.txt").read_bytes()).hexdigest()
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["header"]["flagged_words"] == {"any": digest}

    (tmp_path / "bad.txt").write_text("number\n")
    assert curate.run(values).verdicts["kept"].all()


def test_a_missing_list_is_said_before_any_work(values, tmp_path):
    values["signals"]["flagged_words"] = str(tmp_path / "nowhere.txt")

    with pytest.raises(InputError, match=r"nowhere\.txt.*No such file"):
        curate.run(values)
    assert not (tmp_path / "run").exists()
