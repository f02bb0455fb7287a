"""The C4 rules: published cases of datatrove, and lines as edits."""

import polars as pl
import pytest

from curate.clean import apply_edits, clean
from curate.rules import RulesConfig, judge, load_rules, required_columns
from curate.signals import measure_signals
from curate.text.c4 import c4_lines

RULES = load_rules(RulesConfig(sets=("c4",)))
FIVE = "\n".join(f"This is sentence number {i} of the page." for i in range(5))


def failed(text):
    frame = measure_signals(pl.DataFrame({"text": [text]}), required_columns(RULES))
    return judge(frame, RULES)["failed"][0].to_list()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (FIVE, []),
        ("\n".join(FIVE.split("\n")[:4]), ["c4.sentences"]),
        (FIVE.replace("page.", "page?"), []),
        (FIVE + "\nA line with Lorem Ipsum in it.", ["c4.lorem_ipsum"]),
        (FIVE + "\nA line with lorem ipsum and no end", []),
        (FIVE + "\nA line with a { in it.", ["c4.curly_brackets"]),
        (FIVE + "\nfunction() {", []),
        ("One. Two. Three. Four. Five times it said so.", []),
        ("", ["c4.sentences"]),
    ],
)
def test_documents(text, expected):
    assert failed(text) == expected


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("A line that ends well.", True),
        ("  'A line in quotes is one too'  ", True),
        ("A line that goes on...", False),
        ("A line without an end", False),
        ("Two words.", False),
        ("Please enable JavaScript to read this.", False),
        ("We make use of Cookies on this site.", False),
        ("Read our privacy policy before you go.", False),
        (f"A word {'x' * 1000} is long.", True),
        (f"A word {'x' * 1001} is longer.", False),
        ("Water boils early up there.[12]", True),
        ("", False),
    ],
)
def test_lines(line, kept):
    assert c4_lines(pl.Series([line]))["kept"].to_list() == [kept]


def test_lines_and_marks_go_as_edits():
    water = "Water boils early up there.[12] See[edit] the note."
    text = f"Menü | Home\n{water}\n\nShare\nIt is so, he said."
    documents = pl.DataFrame({"id": ["a"], "text": [text]})
    edits = clean(documents, ["keep_c4_lines", "strip_citations"])

    expected = "Water boils early up there. See the note.\nIt is so, he said."
    assert apply_edits(documents, edits).to_list() == [expected]
    without = edits.filter(pl.col("step") != "strip_citations")
    assert apply_edits(documents, without)[0].startswith("Water boils early up there.[12]")
