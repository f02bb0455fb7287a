"""Every signal: unit in its name, bounds, and the values of small texts."""

import re
import sys
import tomllib
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import ConfigError, InputError
from curate.signals import SIGNALS, measure_signals, signals_page
from curate.text import language
from curate.text.boilerplate import (
    _FRAME,
    _NOTICES_ACROSS,
    _NOTICES_WITHIN,
    frame_line_fraction,
    frame_lines,
)
from curate.text.flagged_words import WordLists
from curate.text.language import languages
from curate.text.mojibake import repairs
from curate.text.personal_data import find_personal_data

PHRASES = Path(__file__).parents[1] / "curate" / "presets" / "boilerplate.toml"
UNIT = re.compile(
    r".*_(chars|bytes|count|fraction|per_\w+|ratio|bits|score)$|mean_.*|words|tokens|lines|paragraphs"
    "|language"
)
NASTY = [
    "",
    " \n\t\n",
    "\x00\x01\x02",
    "a a a a a a a a a a a a",
    "a-a-a-a-a-a-a-a-a-a",
    "\n" * 500,
    "中文字符。" * 20,
    "👩‍👩‍👧" * 30,
    "Ã©" * 50,
    "Login\n" * 30,
    "x" * 10_000,
    "1" * 500,
    "{" * 40,
    "#" * 40,
]


def installed(name):
    """Skip what needs an extra that is not there."""
    if SIGNALS[name].source == "language":
        pytest.importorskip("py3langid", reason="needs the extra `language`: skipped")
    return name


@pytest.fixture(scope="module")
def lists():
    return WordLists(words={"": ("login", "a")}, sha256={})


def value(signal, text):
    return measure_signals(pl.DataFrame({"text": [text]}), [signal])[signal].item()


@pytest.mark.parametrize("name", SIGNALS)
def test_names_carry_their_unit(name):
    assert UNIT.fullmatch(name)
    assert SIGNALS[name].meaning


@pytest.mark.parametrize("name", SIGNALS)
def test_values_have_their_type_and_are_never_null(name, lists):
    measured = measure_signals(pl.DataFrame({"text": NASTY}), [installed(name)], flagged=lists)
    values = measured[name]

    assert values.dtype == SIGNALS[name].dtype
    assert values.null_count() == 0
    if values.dtype == pl.String:
        return
    assert values.cast(pl.Float64).is_finite().all()
    assert (values >= 0).all()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(st.sampled_from("ab .-\n#Ã©1é中@|"), max_size=80), min_size=1, max_size=10))
def test_fractions_lie_between_0_and_1(lists, texts):
    names = [name for name in SIGNALS if name.endswith("_fraction")]
    table = measure_signals(pl.DataFrame({"text": texts}), names, flagged=lists).select(names)

    for column in table:
        assert column.is_between(0, 1).all(), column.name


@pytest.mark.parametrize(
    ("signal", "text", "expected"),
    [
        ("words", "One two, three.", 3),
        ("tokens", "One two, three.", 5),
        ("text_bytes", "é", 2),
        ("text_chars", "é", 1),
        ("paragraphs", "a\n\nb\nc\n\n\nd", 3),
        ("mean_word_chars", "ab abcd", 3),
        ("mean_line_chars", "abc\nabcd", 4),
        ("letter_fraction", "ab12", 0.5),
        ("upper_fraction", "Ab1", 0.5),
        ("digit_fraction", "a1", 0.5),
        ("space_fraction", "a b\u00a0", 0.5),
        ("non_ascii_fraction", "aé", 0.5),
        ("punctuation_fraction", "a+", 0.5),
        ("letter_entropy_bits", "Abab ab", 1),
        ("vowel_fraction", "abcd", 0.25),
        ("consonant_run_fraction", "bcdfg aeiou", 0.5),
        ("consonant_run_fraction", "bcdf bcdf", 0),
        ("alphabetic_token_fraction", "a 1 b .", 0.5),
        ("distinct_token_fraction", "a a b b", 0.5),
        ("distinct_stop_word_count", "the the The and", 2),
        ("hashes_per_token", "## a", 1),
        ("ellipses_per_token", "a... b…", 0.5),
        ("newlines_per_token", "a\nb", 0.5),
        ("bullet_line_fraction", " - a\n• b\nc\n\n", 0.5),
        ("ellipsis_line_fraction", "a...  \nb", 0.5),
        ("terminal_line_fraction", "a.\n\nb", 0.5),
        ("short_line_fraction", "short\n" + "x" * 31, 0.5),
        ("curly_bracket_count", "{}{", 3),
        ("url_count", "see http://a.b/c, www.site.org and HTTPS://x.y", 3),
        ("mojibake_fraction", "Ã©ab", 0.5),
        ("median_word_chars", "a bbb ccccc ddddddd", 4),
        ("sentence_count", "Mr. X. came. Did he? 3.14! No", 3),
        ("long_word_fraction", "sevenly letter", 0.5),
        # 10 words, 1 sentence, 2 long words; 8 words, 2 sentences, 10 syllables
        ("lix_score", "a a a a a a a a sentence lengthy.", 10 + 20),
        (
            "flesch_score",
            "The cat made noise. My brother came home.",
            206.835 - 4.06 - 84.6 * 9 / 8,
        ),
        ("code_line_fraction", "int f() {\n  return 1; \n}\nA line; of prose.", 3 / 4),
        ("lorem_ipsum_count", "Lorem ipsum dolor, LOREM  IPSUM", 2),
        ("whitespace_word_count", "It's a test, is n't it?", 6),
        ("median_whitespace_word_chars", "This is a test.", 3),
        ("whitespace_top_2gram_bare_chars_fraction", "This is a test.", 6 / 12),
        ("mark_whitespace_word_fraction", "mixed bag ... #", 0.5),
        ("whitespace_later_5gram_chars_fraction", "a b c d e a b c d e", 9 / 19),
        ("shingle_word_count", "It's a test_1", 4),
        ("boilerplate_line_fraction", "Log in\nA line of text.", 0.5),
        ("pii_email_count", "a@site.org, b@site.org", 2),
        ("pii_ip_count", "8.8.8.8 and 10.0.0.1", 1),
    ],
)
def test_values(signal, text, expected):
    assert value(signal, text) == pytest.approx(expected)


def test_the_language_is_told_from_the_text():
    pytest.importorskip("py3langid", reason="needs the extra `language`: skipped")
    found = languages(pl.Series(["The house stands on the hill.", "Das Haus steht auf dem Berg."]))

    assert found["language"].to_list() == ["en", "de"]
    assert found["language_score"].is_between(0.5, 1).all()


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "py3langid.langid", None)
    language._identifier.cache_clear()

    with pytest.raises(ConfigError, match=r"pip install 'curate-corpus\[language\]'"):
        measure_signals(pl.DataFrame({"text": ["a"]}), ["language_score"])


def test_overlapping_ngrams_do_not_pass_one():
    """Three 2-grams of three characters in seven characters would be 9/7."""
    assert value("top_2gram_chars_fraction", "a a a a") == 1


def test_repetition_compresses_and_noise_does_not():
    assert value("compression_ratio", "the same line\n" * 200) < 0.05
    assert value("compression_ratio", "") == 0


def test_lazy_and_eager_agree():
    documents = pl.DataFrame({"id": ["a", "b"], "text": ["One line.", "Another\nline."]})
    lazy = measure_signals(documents.lazy())

    assert isinstance(lazy, pl.LazyFrame)
    assert lazy.collect_schema() == measure_signals(documents).schema
    assert lazy.collect().equals(measure_signals(documents))


def test_only_the_asked_signals_are_added_in_their_order():
    measured = measure_signals(pl.DataFrame({"text": ["a"]}), ["words", "text_chars"])

    assert measured.columns == ["text", "words", "text_chars"]


def test_an_unknown_signal_names_the_nearest():
    with pytest.raises(ConfigError, match="unknown signal 'word'; did you mean 'words'"):
        measure_signals(pl.DataFrame({"text": ["a"]}), ["word"])


@pytest.mark.parametrize("frame", [{"txt": ["a"]}, {"text": ["a", None]}])
def test_text_must_be_there(frame):
    with pytest.raises(InputError, match="'text'"):
        measure_signals(pl.DataFrame(frame), ["words"])


def test_the_page_is_current():
    page = Path(__file__).parents[1] / "docs" / "signals.md"

    assert page.read_text(encoding="utf-8") == signals_page()


def masked(text):
    raw = text.encode()
    for _, kind, start, end in reversed(find_personal_data(pl.Series([text])).rows()):
        raw = raw[:start] + kind.upper().encode() + raw[end:]
    return raw.decode()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.b@site.org", "EMAIL"),
        ("first+tag@site.org", "EMAIL"),
        ("x@sub.site.co.jp", "EMAIL"),
        ("x@123.123.123.123", "EMAIL"),
        ("x@[123.123.123.123]", "EMAIL"),
        ("NAME@SITE.ORG", "EMAIL"),
        ('"q"@site.org', '"q"@site.org'),
        ("@site.org", "@site.org"),
        ("a.@site.org", "a.@site.org"),
        ("a@site", "a@site"),
        ("a@-site.org", "a@-site.org"),
        ("a@site..org", "a@site..org"),
        ("ää@site.org", "ää@site.org"),
        ("Ann Lee <a@site.org>", "Ann Lee <EMAIL>"),
        ("a@b@site.org", "a@EMAIL"),
        ("a..b@site.org", "a..EMAIL"),
        ("'a@site.org' x=b@site.org", "'EMAIL' EMAIL"),
        ("mailto:a_b@site.org.", "mailto:EMAIL."),
        ("a" * 64 + "@site.org", "EMAIL"),
        ("a" * 65 + "@site.org", None),
        ("163.36.107.25", "IP"),
        ("8.8.8.8", "IP"),
        ("172.32.0.1", "IP"),
        ("192.0.2.17 and 203.0.113.9", "IP and IP"),
        ("10.0.0.1", "10.0.0.1"),
        ("172.16.0.9", "172.16.0.9"),
        ("192.168.1.2", "192.168.1.2"),
        ("127.0.0.2", "127.0.0.2"),
        ("169.254.1.1", "169.254.1.1"),
        ("100.64.0.1", "100.64.0.1"),
        ("0.1.2.3", "0.1.2.3"),
        ("108.0.0.01", "108.0.0.01"),
        ("255.255.255.255", "255.255.255.255"),
        ("999.1.1.1 .3.3.3.0 224.0.0.1", "999.1.1.1 .3.3.3.0 224.0.0.1"),
        ("version 8.8.8.8, section 8.8.8.8, x==8.8.8.8", None),
        ("1.2.3.4.5 v1.2.3.4 1.2.3.4-5", None),
        ("card 4111 1111 1111 1111.", "card CARD."),
        ("4111-1111-1111-1111 and 378282246310005", "CARD and CARD"),
        ("4111 1111 1111 1112", None),
        ("0.4111111111111111 4111111111111111.5", None),
        ("GB82 WEST 1234 5698 7654 32 IS OURS", "IBAN IS OURS"),
        ("DE89370400440532013000", "IBAN"),
        ("DE89370400440532013001", None),
        ("call (212) 555-0143 or +1 212 555 0143.", "call PHONE or PHONE."),
        ("212-555-0143", "PHONE"),
        ("+44 20 7946 0958", "PHONE"),
        ("2026-11-22 10:30:00, 12345-67890, 3.14159, +12", None),
    ],
)
def test_personal_data(text, expected):
    assert masked(text) == (text if expected is None else expected)


def test_no_text_takes_quadratic_time():
    """Each of these costs minutes if a pattern looks at every start again."""
    texts = ["a+" * 200_000 + " @", "1 " * 200_000 + "@", "+1" * 100_000, "@a." * 100_000]

    assert find_personal_data(pl.Series(texts))["kind"].to_list() == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cafÃ© â€“ donâ€™t", "café – don’t"),
        ("ÃƒÂ©", "é"),
        ("Ð¿Ñ€Ð¸Ð²ÐµÑ‚", "привет"),
        ("ðŸ˜€", "😀"),
        ("café – naïve", "café – naïve"),
        ("É» À «", "É» À «"),
        ("the sign Ã© is é, à, ü or ö", "the sign Ã© is é, à, ü or ö"),
    ],
)
def test_mojibake_is_undone_and_sound_text_is_not(text, expected):
    raw = text.encode()
    for start, end, new in reversed(repairs(raw)):
        raw = raw[:start] + new.encode() + raw[end:]

    assert raw.decode() == expected


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1"])
@given(text=st.text(st.sampled_from("aé’–ßñ 中😀"), min_size=1).filter(lambda t: not t.isascii()))
def test_spoilt_text_comes_back(encoding, text):
    """Read as Windows-1252 where that has a character, else as Latin-1."""
    spoilt = "".join(
        bytes([b]).decode(encoding if b not in (0x81, 0x8D, 0x8F, 0x90, 0x9D) else "latin-1")
        for b in text.encode()
    )
    raw = spoilt.encode()
    for start, end, new in reversed(repairs(raw)):
        raw = raw[:start] + new.encode() + raw[end:]

    assert raw.decode() == text


@pytest.mark.parametrize(
    ("line", "frame", "removable"),
    [
        ("Home | About us | Contact", True, True),
        ("Home › Shop", True, False),
        ("  * Contact", True, False),
        ("We and our partners use cookies to improve your experience.", True, True),
        ("Subscribe to our newsletter!", True, True),
        ("Copyright (c) 2020 The Authors. All rights reserved.", False, None),
        ("subject to the terms and conditions of this License", False, None),
        ("The cookies module parses the header of a response.", False, None),
        ("Return the next item from the iterator.", False, None),
        ("Log in to the server with `login(user, password)`.", False, None),
        ("x" * 300 + " use cookies", False, None),
    ],
)
def test_lines_of_a_page_frame(line, frame, removable):
    found = frame_lines(pl.Series([line]))

    assert found["removable"].to_list() == ([removable] if frame else [])


def test_line_starts_are_byte_offsets_of_the_text():
    text = "é one\n\n  Log in\r\nLogin"
    lines = frame_lines(pl.Series(["x", text]))

    assert lines.select("document", "start", "line").rows() == [
        (1, 8, "  Log in\r"),
        (1, 18, "Login"),
    ]
    assert frame_line_fraction(pl.Series(["", "Login"])).to_list() == [0.0, 1.0]


def test_the_sieve_lets_every_frame_line_through():
    """Slow path: the patterns over every line of the phrases that sites carry."""
    phrases = tomllib.loads(PHRASES.read_text(encoding="utf-8"))["styles"].values()
    lines = [line for style in phrases for line in [*style["lines"], *style["menu"]]]
    lines += [f"{a} | {b}" for a, b in pairwise(lines)]
    column = pl.Series(lines)
    patterns = (_NOTICES_ACROSS, _NOTICES_WITHIN, _FRAME)
    across, within, frame = (column.str.contains(pattern) for pattern in patterns)
    slow = column.filter(across | within | frame)

    assert len(slow) > 50
    assert frame_lines(column)["line"].to_list() == slow.to_list()


@pytest.mark.parametrize("documents", [{"text": ["a"]}, ["a"], "a"], ids=["dict", "list", "text"])
def test_what_is_no_frame_is_named(documents):
    with pytest.raises(ConfigError, match="is no table; give a Polars DataFrame"):
        measure_signals(documents)
