"""Rules: intervals, where their numbers come from, and what the packaged sets keep and drop."""

import ast
import math
import re
import sysconfig
import tomllib
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.defects import DEFECTS, ORIGIN_WORDS
from curate.errors import ConfigError
from curate.rules import (
    RULE_SETS,
    Bound,
    Rule,
    RulesConfig,
    failing,
    judge,
    load_rules,
    override_rules,
    required_columns,
)
from curate.signals import SIGNALS, measure_signals

PROSE = (
    "Every autumn the river below the old mill rises over its banks, and the fields stay under "
    "water for a week. Farmers have learned to move their sheep early. Last year nobody expected "
    "snow in October, which made that work much harder."
)
SHORT = {"gopher_quality.word_count": {"min": 10, "max": 1000}}


def failures(text, sets, override=None):
    rules = load_rules(RulesConfig(sets=sets, override=override or {}))
    columns = measure_signals(pl.DataFrame({"text": [text]}), required_columns(rules))
    return judge(columns, rules)["failed"].item().to_list()


BULLET = "- the item number and the text of it\n"
PLAIN = "the item number and the text of it\n"


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("The tide came in.\n" * 4, "duplicate_lines"),
        ("The tide came in.\n\n" * 4, "duplicate_paragraphs"),
        (
            "Blue door.\n\nGreen window here.\n\nThe tide came in.\n\n" + ("x" * 30 + ".\n\n") * 2,
            "duplicate_paragraph_chars",
        ),
        (
            "Blue door.\nGreen window here.\nThe tide came in.\n" + ("x" * 40 + ".\n") * 2,
            "duplicate_line_chars",
        ),
        ("we sang loud, we sang loud, we sang loud", "top_2gram"),
        ("I am Piotr, you are Lena. I am Piotr. I am Piotr you are Lena", "top_3gram"),
        ("we walk the long road " * 4 + PROSE, "top_4gram"),
        ("he is in an extraordinary " * 4 + PROSE, "duplicate_5grams"),
        (PROSE, None),
    ],
)
def test_gopher_repetition_as_datatrove_reads_it(text, first):
    """datatrove names the first failing rule in the order of its own file, which ours follows."""
    failed = failures(text, ("gopher_repetition",))

    assert (failed[0] if failed else None) == (first and f"gopher_repetition.{first}")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Far too short...", "word_count"),
        ("we go " * 20, "mean_word_length"),
        ("interconnection " * 20, "mean_word_length"),
        ("# comment " * 20, "hashes"),
        ("... comment " * 20, "ellipses"),
        (BULLET * 20, "bullet_lines"),
        (BULLET * 18 + PLAIN * 2, None),
        ((PLAIN.strip() + "...\n") * 4 + PLAIN * 6, "ellipsis_lines"),
        ("%% && == the item of && ?? " * 20, "alphabetic_words"),
        ("green river stone window garden bridge yellow morning " * 2, "stop_words"),
        ("the river the garden the window the morning yellow bridge stone", "stop_words"),
        ("The river Of the garden And window morning yellow bridge stone", "stop_words"),
    ],
)
def test_gopher_quality_as_datatrove_reads_it(text, reason):
    failed = failures(text, ("gopher_quality",), SHORT)

    if reason is None:
        assert failed == []
    else:
        assert f"gopher_quality.{reason}" in failed


@pytest.mark.parametrize(
    ("text", "override", "reason"),
    [
        ("", {}, "terminal_punctuation"),
        (" \n\t\n ", {}, "terminal_punctuation"),
        (
            "one line\nand two\nand three",
            {"terminal_punctuation": {"min": 0.5}},
            "terminal_punctuation",
        ),
        ("hi.\nbye.\nok.\nno.\nyes.", {}, "short_lines"),
        (
            f"{'a' * 52}.\n{'a' * 52}.\nAnother line of its own, and long.",
            {},
            "duplicate_line_chars",
        ),
        (
            "\n\n\n".join(3 * c + "abcdefghijklmnopqrs" + 20 * c + "." for c in "xyz"),
            {},
            "newlines",
        ),
        ("a\n" * 50, {}, "terminal_punctuation"),
        (PROSE, {}, None),
    ],
)
def test_fineweb_as_datatrove_reads_it(text, override, reason):
    named = {f"fineweb.{name}": values for name, values in override.items()}
    failed = failures(text, ("fineweb",), named)

    assert (f"fineweb.{reason}" in failed) if reason else failed == []


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        *[(0.9, False), (1.0, True), (1.5, True), (2.0, True), (2.1, False), (None, False)],
        *[(float("nan"), False), (float("inf"), False), (float("-inf"), False)],
    ],
)
def test_bounds_are_kept_and_missing_values_fail(value, kept):
    frame = pl.DataFrame({"x": [value]}, schema={"x": pl.Float64})
    both = Rule(name="a.x", signal="x", min=1.0, max=2.0)

    assert judge(frame, [both])["kept"].to_list() == [kept]
    assert judge(frame.lazy(), [both]).collect()["kept"].to_list() == [kept]


@pytest.mark.parametrize("side", ["min", "max"])
def test_nan_fails_a_rule_with_one_bound(side):
    frame = pl.DataFrame({"x": [float("nan"), 0.0]})

    assert judge(frame, [Rule(name="a.x", signal="x", **{side: 0.0})])["kept"].to_list() == [
        False,
        True,
    ]


def test_every_failed_rule_is_listed_in_rule_order():
    frame = pl.DataFrame({"x": [0, 9], "y": [9, 1]})
    rules = [
        Rule(name="b.y", signal="y", max=5),
        Rule(name="a.x", signal="x", min=1),
        Rule(name="a.y", signal="y", max=5),
    ]
    judged = judge(frame, rules)

    assert judged["failed"].to_list() == [["b.y", "a.x", "a.y"], []]
    assert judged["kept"].to_list() == [False, True]
    assert failing(frame, rules).row(0) == (True, True, True)
    assert failing(frame, rules).columns == ["b.y", "a.x", "a.y"]


@pytest.mark.parametrize("lazy", [False, True])
def test_no_rules_keep_everything(lazy):
    frame = pl.DataFrame({"x": [1, 2, 3]})
    judged = judge(frame.lazy(), []).collect() if lazy else judge(frame, [])

    assert judged["failed"].to_list() == [[], [], []]
    assert judged.schema["failed"] == pl.List(pl.String)
    assert judged["kept"].all()


@given(st.lists(st.floats(0, 1), min_size=1), st.floats(0, 1), st.floats(0, 1))
def test_a_looser_bound_never_drops_more(values, a, b):
    frame = pl.DataFrame({"x": values})
    tight, loose = sorted((a, b))
    kept = [
        judge(frame, [Rule(name="r.x", signal="x", max=bound)])["kept"] for bound in (tight, loose)
    ]

    assert (kept[0] <= kept[1]).all()


def test_set_names_and_rules_can_be_mixed():
    columns = measure_signals(pl.DataFrame({"text": [PROSE, "No."]}))
    own = Rule(name="own.long", signal="text_chars", min=10)

    assert judge(columns, ["fineweb", own])["failed"].to_list() == [
        [],
        ["fineweb.short_lines", "own.long"],
    ]


@pytest.mark.parametrize("name", RULE_SETS)
def test_packaged_sets_name_a_source_for_every_number(name):
    for rule in load_rules(RulesConfig(sets=(name,))):
        assert rule.name.startswith(f"{name}.")
        assert rule.signal in SIGNALS
        assert len(rule.source) > 20


def test_technical_prose_asks_for_no_letters_and_no_stop_words():
    read = required_columns(load_rules(RulesConfig(sets=("technical_prose",))))

    assert not {"alphabetic_token_fraction", "distinct_stop_word_count", "letter_fraction"} & {
        *read
    }


def own_set(tmp_path, body):
    path = tmp_path / "mine.toml"
    path.write_text(body, encoding="utf-8")
    return RulesConfig(sets=(str(path),))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("[rules.a]\nsignal = 'wrds'\nmin = 1", "mine.toml: rules.a: unknown signal 'wrds'"),
        ("[rules.a]\nsignal = 'words'\nmn = 1", "rules.a: unknown key 'mn'; did you mean 'min'"),
        ("[rules.a]\nsignal = 'words'", "'mine.a' has neither min nor max"),
        ("[rules.a]\nsignal = 'words'\nmin = 3\nmax = 2", "'mine.a' keeps nothing"),
        ("[rules.a]\nsignal = 'words'\nmin = '3'", "min is '3'; allowed: a number"),
        ("[rules.a]\nsignal = 'words'\nmin = {quantile = 0.1, sigma = 3}", "one of fence, quant"),
        ("[rules.a]\nsignal = 'words'\nmin = {between = [1, 2]}", "needs one of fence"),
        ("[rules.a]\nsignal = 'words'\nmin = {quantile = 2, between = [1, 2]}", "quantile is 2"),
        ("[rules.a]\nsignal = 'words'\nmax={fence=1, scale='l', between=[1, 2]}", "scale 'l'"),
        ("[rules.a]\nsignal = 'words'\nmax = {fense = 3, between = [1, 2]}", "key 'fense'"),
        ("[rule.a]", "mine.toml: unknown key 'rule'; did you mean 'rules'"),
        ("dialect = 'datatrov'", "unknown dialect 'datatrov'"),
        ("[rules", "is no TOML file"),
    ],
)  # fmt: skip
def test_a_faulty_set_is_named(tmp_path, body, message):
    with pytest.raises(ConfigError) as error:
        load_rules(own_set(tmp_path, body))

    assert message in str(error.value)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"sets": ("gopher",)}, "unknown rule set 'gopher'; did you mean 'gopher_"),
        ({"sets": ("no/such.toml",)}, "no rule set file"),
        ({"dialect": "datatrov"}, "unknown rules.dialect 'datatrov'; did you mean 'datatrove'"),
        ({"override": {"fineweb.newline": {"max": 1}}}, "did you mean 'fineweb.newlines'"),
        ({"override": {"fineweb.newlines": {"mx": 1}}}, "'fineweb.newlines': unknown key 'mx'"),
        ({"override": {"fineweb.newlines": 1}}, "allowed: a table of min, max, among, enabled"),
        ({"add": {"a": {"signal": "word", "min": 1}}}, "rules.add.a: unknown signal 'word'"),
        ({"add": {"a": 3}}, "rules.add.a is 3; allowed: a table"),
    ],
)
def test_a_faulty_config_is_named(config, message):
    with pytest.raises(ConfigError) as error:
        load_rules(RulesConfig(**({"sets": ("fineweb",)} | config)))

    assert message in str(error.value)


def test_a_rule_on_a_missing_column_is_an_error():
    with pytest.raises(ConfigError, match=r"'own\.x' reads an unknown column 'word'"):
        judge(pl.DataFrame({"words": [1]}), [Rule(name="own.x", signal="word", min=1)])


def test_a_frame_without_signals_and_texts_is_told_how_to_get_them():
    with pytest.raises(ConfigError, match="a column 'text' is needed to measure it"):
        judge(pl.DataFrame({"body": ["some words"]}), ["gopher_quality"])


def test_own_rules_come_last_and_may_read_carried_columns():
    config = RulesConfig(
        sets=("fineweb",), add={"stars": {"signal": "stars", "min": 3, "source": "our taste"}}
    )
    rules = load_rules(config, pl.DataFrame({"stars": [1]}))

    assert rules[-1] == Rule(name="own.stars", signal="stars", min=3, source="our taste")


def test_an_override_equals_a_set_that_says_so():
    columns = measure_signals(pl.DataFrame({"text": [PROSE, PROSE[:90], "No."]}))
    override = {
        "gopher_quality.word_count": {"min": 10},
        "gopher_quality.hashes": {"enabled": False},
    }
    fresh = load_rules(RulesConfig(sets=("gopher_quality",), override=override))
    changed = override_rules(load_rules(RulesConfig(sets=("gopher_quality",))), override)

    assert judge(columns, fresh)["failed"].equals(judge(columns, changed)["failed"])
    assert [r.name for r in fresh] == [r.name for r in changed]
    assert "gopher_quality.hashes" not in {r.name for r in fresh}
    assert fresh[0].source.endswith("changed by the config")


@pytest.mark.parametrize(
    ("bound", "upper", "expected"),
    [
        ({"fence": 3.0}, True, 75 + 3 * 50),
        ({"fence": 1.5}, False, 25 - 1.5 * 50),
        ({"quantile": 0.9}, True, 90),
        ({"fence": 1.0, "scale": "log"}, True, 75 * 3),
        ({"fence": 3.0, "between": (0, 80)}, True, 80),
        ({"fence": 3.0, "between": (300, 400)}, True, 300),
    ],
)
def test_bounds_from_the_corpus(bound, upper, expected):
    bound = Bound(**{"between": (-1e9, 1e9)} | bound)

    assert bound.resolve(pl.Series(range(101)), upper=upper) == pytest.approx(expected)


@pytest.mark.parametrize(("upper", "expected"), [(True, 50.5 + 2 * 29.0115), (False, -7.523)])
def test_standard_deviations_from_the_mean(upper, expected):
    found = Bound(sigma=2.0).resolve(pl.Series(range(1, 101)), upper=upper)

    assert found == pytest.approx(expected, abs=1e-3)


def test_deviations_on_the_log_scale_multiply():
    """ln of the values has mean 0 and standard deviation 1 (but for n - 1)."""
    values = pl.Series([math.exp(-1), math.exp(1)] * 500)
    found = Bound(sigma=3.0, scale="log").resolve(values, upper=True)

    assert math.log(found) == pytest.approx(3.0, rel=1e-3)


def test_a_quantile_alone_is_enough_and_removes_that_share(tmp_path):
    path = own_set(tmp_path, "[rules.a]\nsignal = 'words'\nmin = {quantile = 0.01}").sets[0]
    columns = pl.DataFrame({"words": range(1000)})
    rules = load_rules(RulesConfig(sets=(path,)), columns)

    assert (~judge(columns, rules)["kept"]).sum() == 10
    assert load_rules(RulesConfig(sets=(path,)), columns.head(99))[0].min == -math.inf


def test_a_logit_fence_stays_inside_the_unit_interval():
    shares = pl.Series(np.linspace(0.05, 0.6, 200))
    bound = Bound(fence=3.0, scale="logit", between=(0.0, 1.0))

    assert 0.6 < bound.resolve(shares, upper=True) < 1
    assert 0 < bound.resolve(shares, upper=False) < 0.05


def test_few_documents_give_the_loosest_bound_and_controls_do_not_count(tmp_path):
    config = own_set(
        tmp_path,
        "[rules.a]\nsignal = 'words'\nmax = {quantile = 1.0, between = [10, 500]}\n"
        "min = {quantile = 0.0, between = [1, 5]}",
    )
    native = pl.DataFrame(
        {"words": range(3, 203), "control": [None] * 200}, schema_overrides={"control": pl.String}
    )
    controls = pl.DataFrame({"words": [400] * 100, "control": ["x"] * 100})

    def bounds(columns):
        (rule,) = load_rules(config, columns)
        return rule.min, rule.max

    assert bounds(None) == (1, 500)
    assert bounds(native.head(99)) == (1, 500)
    assert bounds(pl.concat([native, controls])) == bounds(native) == (3, 202)


@cache
def documentation():
    """Docstrings of 200 characters or more of the standard library's top-level modules."""
    found = {}
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_bytes())):
            kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
            if isinstance(node, kinds) and len(ast.get_docstring(node) or "") >= 200:
                found[ast.get_docstring(node)] = None
    return list(found)


NOISE = [
    "random_letters",
    "base64_dump",
    "hex_dump",
    "navigation",
    "repeated_lines",
    "repeated_paragraphs",
    "mojibake",
]


@cache
def measured_noise(each=100):
    clean = documentation()
    long = [text for text in clean if len(text.split()) >= max(ORIGIN_WORDS.values())]
    rows = [("documentation", text) for text in clean]
    for kind in NOISE:
        rng = np.random.default_rng(len(kind))
        rows += [(kind, DEFECTS[kind](rng, long[i % len(long)])) for i in range(each)]
    frame = pl.DataFrame(rows, schema=["kind", "text"], orient="row")
    return measure_signals(
        frame, required_columns(load_rules(RulesConfig(sets=("technical_prose",))))
    )


@pytest.mark.parametrize("contamination", [0.0, 0.1, 0.25])
def test_technical_prose_separates_noise_from_documentation(contamination):
    """Thresholds are drawn from a corpus of which that share is noise of all kinds."""
    frame = measured_noise()
    clean, noise = (
        frame.filter(kind="documentation"),
        frame.filter(pl.col("kind") != "documentation"),
    )
    n_noise = int(contamination / (1 - contamination) * clean.height)
    assert n_noise <= noise.height
    corpus = pl.concat([clean, noise.sample(n_noise, seed=1)])
    rules = load_rules(RulesConfig(sets=("technical_prose",)), corpus)
    removed = dict(judge(frame, rules).group_by("kind").agg(1 - pl.col("kept").mean()).iter_rows())

    assert clean.height > 800
    assert removed.pop("documentation") <= 0.02
    assert min(removed.values()) >= 0.95, removed


@pytest.mark.parametrize("kind", NOISE)
def test_technical_prose_withstands_a_quarter_of_one_kind_of_noise(kind):
    frame = measured_noise()
    clean, noise = frame.filter(kind="documentation"), frame.filter(kind=kind)
    corpus = pl.concat([clean.head(3 * noise.height), noise])
    rules = load_rules(RulesConfig(sets=("technical_prose",)), corpus)

    assert judge(noise, rules)["kept"].mean() <= 0.05
    assert judge(clean, rules)["kept"].mean() >= 0.98


def test_the_page_about_rules_is_true(tmp_path, monkeypatch):
    """Its config and its set of one's own can be read, and every packaged set is in its table."""
    page = (Path(__file__).parents[1] / "docs/rules.md").read_text("utf-8")
    config, own = re.findall(r"```toml\n(.*?)```", page, flags=re.DOTALL)
    (tmp_path / "house.toml").write_text(own)
    monkeypatch.chdir(tmp_path)
    values = tomllib.loads(config)["rules"]

    frame = pl.DataFrame({"words": range(200)})
    rules = {rule.name: rule for rule in load_rules(RulesConfig(**values), frame)}

    assert rules["own.shortest"].min == pytest.approx(9.95)
    assert rules["web_safety.letters"].min == 0.3
    assert "web_safety.words" not in rules
    assert "house.sentences" in rules
    families = {name.split("_")[0] if "fineweb2" in name else name for name in RULE_SETS}
    assert [name for name in families if f"`{name}" not in page] == []


@pytest.mark.parametrize("convert", [lambda f: f, lambda f: f.lazy(), lambda f: f.to_arrow()])
def test_texts_are_judged_without_measuring_them_first(convert):
    """In a notebook a frame of texts is all that there is; bounds from the corpus see it too."""
    texts = pl.DataFrame({"text": [PROSE * (k % 4) + PROSE[:k] for k in range(150)]})
    rules = ["gopher_quality", "technical_prose"]

    found = judge(convert(texts), rules).lazy().collect()

    expected = judge(measure_signals(texts), rules)
    assert found["failed"].to_list() == expected["failed"].to_list()
    assert expected["failed"].n_unique() > 3
