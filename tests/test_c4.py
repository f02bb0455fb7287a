"""The C4 rules: published cases of datatrove, and lines as edits."""

import polars as pl
import pytest
from c4_twin import judged
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.clean import apply_edits, clean
from curate.rules import RulesConfig, judge, load_rules, required_columns
from curate.signals import measure_signals
from curate.text.c4 import c4_lines

RULES = load_rules(RulesConfig(sets=("c4",)))
COUNTS = [
    *("c4_sentence_count", "c4_kept_line_count"),
    *("c4_curly_line_count", "c4_lorem_ipsum_line_count"),
]
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


PIECES = (
    *("Mr.", "e.g.", "i.e. ", "Prof. X.", "U.S. ", "Co.", "xCo. ", "_Mr. ", "word", "the", "a"),
    *("use of cookies", "Use Cookies", "uses cookies", "PRIVACY POLICY", "cookie policy"),
    *("terms of use", "Terms of Use\0", "terms\0of use", "JavaScript", "javaſcript", "lorem ipsum"),
    *(
        "Lorem Ipſum",
        "lorem ip",
        "{",
        "}",
        "[1]",
        "[٣]",
        "[edit]",
        "[citation needed]",
        "[cit",
        "]",
    ),
    *("[[3]]", "java[1]script", " ", "  ", "\t", "\r", "\xa0", "\u3000", "\u2028", "\x1c", "\x85"),
    *("\n", "\n\n", ".", " . ", "...", "..", "!", "?!", "”", "’", ")", "'", '"', "”)", "é", "中文"),
    *("😀", "\0", "x" * 1001, "é" * 1000, "y" * 70),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=40), st.sampled_from(["", " "]))
def test_the_kernel_says_what_the_patterns_say(pieces, between):
    text = between.join(pieces)
    found = c4_lines(pl.Series(["", text]))[1:]
    rows = found.select("kept", "lorem_ipsum", "curly_bracket", "sentences").rows()
    assert rows == [judged(line) for line in text.split("\n")]
    spans = found.select("start", "end").rows()
    assert [text.encode()[a:b].decode() for a, b in spans] == text.split("\n")
    counts = measure_signals(pl.DataFrame({"text": [text]}), COUNTS).select(COUNTS).row(0)
    assert counts == tuple(sum(row[i] for row in rows) for i in (3, 0, 2, 1))
