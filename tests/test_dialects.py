"""Each dialect reads the published cases of its implementation as that implementation does."""

import io
import unicodedata

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

import curate
from curate.errors import ConfigError
from curate.report import summary
from curate.rules import DIALECTS, RulesConfig, extra_signals, judge, load_rules, required_columns
from curate.signals import SIGNALS, measure_signals
from curate.text.english_tokens import english_token_counts, english_tokens, known_forms

A = "red fish blue fish\nred fish blue fish\none fish two fish\n"
B = "alpha beta gamma delta epsilon."
C = "the cat sat on the mat and the cat sat on the mat again"
E = "first line\n\nsecond line\n\nfirst line"
SETS = ("gopher_quality", "gopher_repetition")
TOP, TWICE = "top_{}gram", "duplicate_{}grams"

# What datatrove 0.10, Dolma 1.2, DCLM and RedPajama-V2 say of these texts, to six places; NeMo's
# shares of unique lines and paragraphs. None = the rule is not part of the dialect.
GOLDEN = [
    ("datatrove", A, "duplicate_lines", 0.25),
    ("datatrove", A, "duplicate_line_chars", 0.321429),
    ("datatrove", A, TOP.format(2), 0.285714),
    ("datatrove", A, TOP.format(3), 0.464286),
    ("datatrove", A, TOP.format(4), 0.642857),
    ("datatrove", B, TOP.format(2), 0.322581),
    ("datatrove", C, TWICE.format(5), 0.254545),
    ("datatrove", C, TWICE.format(6), 0.309091),
    ("datatrove", E, "duplicate_lines", 0.333333),
    ("datatrove", E, "duplicate_paragraph_chars", 0.285714),
    ("dolma", A, "duplicate_lines", 0.5),
    ("dolma", A, "duplicate_line_chars", 0.818182),
    ("dolma", A, TOP.format(2), 0.318182),
    ("dolma", A, TOP.format(3), 0.5),
    ("dolma", A, TOP.format(4), 0.681818),
    ("dolma", B, TOP.format(2), 0.333333),
    ("dolma", B, TOP.format(3), 0.518519),
    ("dolma", B, TOP.format(4), 0.703704),
    ("dolma", C, TWICE.format(5), 0.388889),
    ("dolma", C, TWICE.format(6), 0.217949),
    ("dolma", C, TWICE.format(7), 0.0),
    ("dolma", E, "duplicate_lines", 0.8),
    ("dolma", E, "duplicate_line_chars", 0.714286),
    ("dolma", E, "duplicate_paragraphs", None),
    ("dolma", "This is a test.", TOP.format(2), 0.5),
    ("dolma", "This is a test.", TOP.format(3), 0.583333),
    ("dolma", "This is a test.", TOP.format(4), 1.0),
    ("dolma", "This is a test.", "mean_word_length", 3.0),
    ("dolma", "T h i s \n    \n\n\n    isoneword !!!", "word_count", 6),
    ("dolma", "The.and.that", "stop_words", 0),
    ("dolma", "The and that", "stop_words", 2),
    ("dolma", "hello world\nhello world\n", "duplicate_line_chars", 1.0),
    ("nemo", A, "duplicate_lines", 0.666667),
    ("nemo", A, "duplicate_line_chars", 0.660377),
    ("nemo", A, TOP.format(4), 0.642857),
    ("nemo", C, TOP.format(4), 0.509091),
    ("nemo", C, TWICE.format(5), 0.4),
    ("nemo", C, TWICE.format(6), 0.4),
    ("nemo", C, TWICE.format(7), 0.0),
    ("nemo", E, "duplicate_lines", 0.666667),
    ("nemo", E, "duplicate_line_chars", 0.677419),
    ("nemo", E, "duplicate_paragraphs", 0.666667),
    ("nemo", E, "duplicate_paragraph_chars", 0.677419),
    ("nemo", "a.\na.\nvery very very short duplicate.", "duplicate_line_chars", 0.942857),
    ("nemo", "totally fine small dupe a b a b", TOP.format(2), 0.193548),
    ("nemo", "a b . a b", TOP.format(2), 0.666667),
    ("dclm", A, "duplicate_lines", 0.666667),
    ("dclm", A, "duplicate_line_chars", 0.679245),
    ("dclm", A, TOP.format(2), 0.363636),
    ("dclm", A, TOP.format(3), 0.545455),
    ("dclm", A, TOP.format(4), 0.681818),
    ("dclm", B, TOP.format(2), 0.0),
    ("dclm", C, TOP.format(3), 0.428571),
    ("dclm", C, TWICE.format(5), 0.809524),
    ("dclm", C, TWICE.format(6), 0.809524),
    ("dclm", C, TWICE.format(7), 0.0),
    ("dclm", E, "duplicate_paragraphs", 0.666667),
    ("dclm", E, "duplicate_paragraph_chars", 0.645161),
    ("redpajama", A, "duplicate_lines", None),
    ("redpajama", A, TOP.format(2), 0.318182),
    ("redpajama", A, TOP.format(4), 0.681818),
    ("redpajama", B, TOP.format(2), 0.0),
    ("redpajama", B, TOP.format(4), 0.0),
    ("redpajama", C, TWICE.format(5), 0.809524),
    ("redpajama", E, TOP.format(2), 0.642857),
    ("redpajama", E, TOP.format(3), 0.0),
]


def rules_of(dialect, sets=SETS):
    return load_rules(RulesConfig(sets=sets, dialect=dialect))


@pytest.mark.parametrize(("dialect", "text", "rule", "expected"), GOLDEN)
def test_published_values(dialect, text, rule, expected):
    found = [r for r in rules_of(dialect) if r.name.endswith(f".{rule}")]
    if expected is None:
        assert found == []
        return
    signal = found[0].signal
    value = measure_signals(pl.DataFrame({"text": [text]}), [signal])[signal].item()

    assert round(value, 6) == expected


# NeMo Curator's own tests: text, rule, whether it is kept.
NEMO = [
    ("totally unique", "gopher_repetition.duplicate_lines", True),
    ("half.\nhalf.", "gopher_repetition.duplicate_lines", False),
    ("half.\n\nhalf.", "gopher_repetition.duplicate_paragraphs", False),
    ("a.\na.\nvery very very short duplicate.", "gopher_repetition.duplicate_line_chars", True),
    ("half.\nhalf.", "gopher_repetition.duplicate_line_chars", False),
    ("totally fine small dupe a b a b", "gopher_repetition.top_2gram", True),
    ("a b . a b", "gopher_repetition.top_2gram", False),
    ("a a a a a a", "gopher_repetition.top_2gram", False),
    ("⁌ point\n" * 9 + "no point", "gopher_quality.bullet_lines", True),
    ("50 \n ⦾ 50", "gopher_quality.bullet_lines", True),
    ("• not good", "gopher_quality.bullet_lines", False),
    ("barely ok 3 4 5 6 7 8 9 #", "gopher_quality.hashes", True),
    ("mixed bag ... #", "gopher_quality.hashes", False),
    ("... # ... # #", "gopher_quality.hashes", False),
    ("the and", "gopher_quality.stop_words", True),
    ("uncommon", "gopher_quality.stop_words", False),
    ("evenly balanced", "gopher_quality.mean_word_length", True),
    ("a", "gopher_quality.mean_word_length", False),
    ("aa", "gopher_quality.mean_word_length", False),
    ("superlongwordsuperlongword", "gopher_quality.mean_word_length", False),
    ("Nothing here twice, and nine words in all", "gopher_repetition.ngram_words", False),
]


@pytest.mark.parametrize(("text", "rule", "kept"), NEMO)
def test_nemo_keeps_and_drops(text, rule, kept):
    rules = [r for r in rules_of("nemo") if r.name == rule]
    frame = measure_signals(pl.DataFrame({"text": [text]}), required_columns(rules))

    assert judge(frame, rules)["kept"].item() is kept


@pytest.mark.parametrize(
    ("dialect", "text", "fraction"),
    [
        ("dolma", "* a\n- b\n• c\n * d", 0.5),
        ("dclm", "* a\n- b\n• c\n * d\n\n", 1.0),
        ("nemo", "* a\n- b\n• c\n ‣ d\n\n", 0.5),
        ("redpajama", "* a\n- b\n• c\n – d\n", 0.5),
        ("datatrove", "* a\n- b\n• c\n - d", 0.75),
    ],
)
def test_bullets_differ(dialect, text, fraction):
    signal = next(r.signal for r in rules_of(dialect) if r.name == "gopher_quality.bullet_lines")

    assert measure_signals(pl.DataFrame({"text": [text]}), [signal])[signal].item() == fraction


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_dialect_reads_columns_that_are_made_and_says_why(dialect):
    rules = rules_of(dialect)
    unlike = [r for r in rules if r not in rules_of("datatrove")]

    assert all(rule.signal in SIGNALS and rule.source for rule in rules)
    assert bool(unlike) == (dialect != "datatrove")
    assert set(extra_signals(RulesConfig(sets=SETS, dialect=dialect))) <= set(SIGNALS)


def test_a_set_without_the_dialect_keeps_its_own_reading():
    assert rules_of("dolma", ("fineweb",)) == rules_of("datatrove", ("fineweb",))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("[dialects.dolmaa.b]\nsignal = 'words'", "unknown dialect 'dolmaa'; did you mean"),
        ("[dialects.dolma.b]\nmax = 1", "unknown signal 'None'"),
        ("[dialects.dolma.a]\nsignal = 'wrods'", "unknown signal 'wrods'; did you mean 'words'"),
        ("[dialects.dolma.a]\nsignals = 'words'", "unknown key 'signals'"),
    ],
)
def test_a_faulty_dialect_is_named(tmp_path, body, message):
    path = tmp_path / "own.toml"
    path.write_text(f"[rules.a]\nsignal = 'words'\nmin = 1\n{body}\n")

    with pytest.raises(ConfigError, match=message):
        load_rules(RulesConfig(sets=(str(path),), dialect="dolma"))


def test_a_dialect_may_change_column_bounds_and_presence(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(
        "[rules.a]\nsignal = 'words'\nmin = 1\nmax = 9\n[rules.b]\nsignal = 'lines'\nmin = 1\n"
        "[dialects.dolma.a]\nsignal = 'tokens'\nmax = 5\n[dialects.dolma.b]\nenabled = false\n"
    )
    (rule,) = load_rules(RulesConfig(sets=(str(path),), dialect="dolma"))

    assert (rule.signal, rule.min, rule.max) == ("tokens", None, 5.0)
    assert len(load_rules(RulesConfig(sets=(str(path),)))) == 2


def test_a_run_measures_what_its_dialect_reads_and_names_rules_that_never_fire(tmp_path):
    rows = [
        (str(i), f"Note {i}: the cat and the dog of number {i * i} have met.") for i in range(80)
    ]
    frame = pl.DataFrame(rows * 126, schema=["id", "text"], orient="row")
    frame = frame.with_columns(id=pl.int_range(pl.len()).cast(pl.String))
    frame.write_parquet(tmp_path / "raw.parquet")
    values = {
        "input": {"path": str(tmp_path / "raw.parquet")},
        "rules": {"sets": ["gopher_quality"], "dialect": "dolma"},
        "duplicates": {"near": False, "exact": False},
        "controls": {"share": 0.0},
        "output": {"path": str(tmp_path / "run"), "min_yield": 0.0},
    }
    run = curate.run(values)
    rules = run.folder.read("rules.parquet")
    printed = io.StringIO()
    Console(file=printed, width=300).print(summary(run.folder.root))

    assert "dolma_bullet_line_fraction" in run.verdicts.columns
    assert dict(rules.select("name", "idle").rows())["gopher_quality.word_count"] is False
    assert rules.filter("idle").height == rules.height - 1
    assert "Warning: no document failed gopher_quality.mean_word_length" in printed.getvalue()


GERMAN = "Der Hund und die Katze liefen in den Garten, als das Kind mit dem Ball kam."
FRENCH = "L'eau de la rivière est froide ; d'ailleurs les enfants et le chien n'y vont pas."


@pytest.mark.parametrize(
    ("language", "text", "least", "most"),
    [
        ("deu", GERMAN, 8, 10),
        ("deu", FRENCH, 0, 2),
        ("fra", FRENCH, 6, 8),
        ("fra", GERMAN, 0, 0),
        ("fra", "l'eau", 1, 1),
        ("fra", "animal' la-bas", 1, 1),
        ("rus", "Он был в школе, а не на реке.", 5, 5),
        ("rus", "внук", 0, 0),
    ],
)
def test_stop_words_of_a_language(language, text, least, most):
    signal = f"distinct_{language}_stop_word_count"

    assert least <= measure_signals(pl.DataFrame({"text": [text]}), [signal])[signal][0] <= most


@pytest.mark.parametrize(
    ("line", "goes"),
    [
        ("WE SHOUT ALL DAY", True),
        ("We shout now AND THEN", False),
        ("2 024", True),
        ("12 likes", True),
        ("1.2K followers", True),
        ("(3 comments)", True),
        ("He likes 3 dogs", False),
        ("Home", True),
        ("Two words", False),
    ],
)
def test_line_corrections_of_refinedweb(line, goes):
    signal = "line_correction_word_fraction"
    words = len(line.split())
    text = f"{line}\n\nThis line of prose stays."
    found = measure_signals(pl.DataFrame({"text": [text]}), [signal])[signal][0]

    assert found == pytest.approx(words / (words + 5) if goes else 0.0)


def test_refinedweb_is_massivetext_with_line_corrections():
    reads = [
        [(r.signal, r.min, r.max) for r in rules_of("datatrove", (name,))]
        for name in ("massivetext", "refinedweb")
    ]

    assert reads[1][: len(reads[0])] == reads[0]
    assert reads[1][len(reads[0]) :] == [("line_correction_word_fraction", None, 0.05)]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        (
            "the cat's end-of-line e.g. 3.14 don't @you #tag --- ... ok",
            "the|cat|'s|end|-|of|-|line|e.g.|3.14|do|n't|@you|#|tag|---|...|ok",
        ),
        ("see https://a.site.org/x?y=1, now", "see|https://a.site.org/x?y=1|,|now"),
        ('said--"It is', 'said--"It|is'),
        ("word--word", "word|--|word"),
        ("covid-19 2020-07", "covid-19|2020|-|07"),
        ("Mr. Ames (of the U.S.) left...", "Mr.|Ames|(|of|the|U.S.|)|left|..."),
        ("and/or either/or", "and/or|either|/|or"),
        ("I'd've said she can't; cannot", "I|'d|'ve|said|she|ca|n't|;|can|not"),
        ("$3.50 10km 6pm !!!", "$|3.50|10|km|6|pm|!|!|!"),
        ("one.Two a,b", "one|.|Two|a|,|b"),
    ],
)
def test_english_tokens_as_datatrove_counts_them(text, tokens):
    assert english_tokens(text) == tokens.split("|")


# Forms, marks and characters at which the rules turn; the last ones but the blanks fold to ASCII.
SNIPPETS = (
    "Mr. co. e.g. o'clock :( 8) don't I'd've CAN’T wont Gonna 6pm 12a.m. km/h ² °C US$ A$ $ € % + "
    "http:// a.com @ 1.2.3.4 :80 /x? -- --- —— ... .. 's ’S _ x.Y a,b 9 Z é я 中 ٣ Ⅷ 🙂 ( ) \" ' , "
    ". ! ? - / : = & * # < > cat dog e\u0301 \u200d \u017f \u212a \u0130"
)
BLANKS = (" ", "\n", "\x85", "\xa0", "\u2003", "\x00")
PIECES = st.sampled_from([*SNIPPETS.split(), *BLANKS, "x" * 70, "é" * 40])
TEXTS = st.one_of(st.text(max_size=40), st.lists(PIECES, max_size=25).map("".join))


@settings(max_examples=400, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=10))
def test_compiled_english_counts_are_those_of_the_tokens(texts):
    assert english_token_counts(pl.Series(texts)).rows() == [_counted(text) for text in texts]


def test_each_english_form_is_counted_as_it_is_cut():
    """In either case, with either apostrophe, alone and between marks."""
    forms = [cased for form in known_forms() for cased in (form, form.upper(), form.title())]
    forms += [form.replace("'", "’") for form in forms]
    texts = [f"{front}{form}{back}" for form in forms for front in ("", "(") for back in ("", ".,")]

    counted = english_token_counts(pl.Series(texts)).rows()

    assert counted == [_counted(text) for text in texts]


def _counted(text):
    tokens = english_tokens(text)
    words = [t for t in tokens if not all(unicodedata.category(c)[0] in "PSC" for c in t)]
    letters = sum(any(map(str.isalpha, token)) for token in tokens)
    return len(tokens), letters, len(words), sum(map(len, words))


@settings(max_examples=150, deadline=None)
@given(TEXTS)
def test_english_tokens_lose_no_character(text):
    assert "".join(english_tokens(text)) == "".join(text.split())
