"""Audits of texts: word lists, swaps, associations, word embeddings, topics."""

import json
import re
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from curate.audits import (
    Entry,
    SwapDesign,
    Swaps,
    add_lexicon_groups,
    add_topics,
    association,
    distinctive_words,
    load_lexicon,
    load_swaps,
    log_odds_z,
    npmi,
    resampled_weat,
    swap,
    swap_test,
    weat,
)
from curate.audits import _pronouns as pronouns
from curate.audits.weat import cooccurrence_vectors
from curate.errors import ConfigError, InputError
from curate.statistics import binomial_band, equivalence_p, mean_shift, sign_test

SHARED = Path(__file__).parents[1].parent / "shared" / "corpora"
WOMEN = Entry(axis="gender", group="women", terms=("she", "her"))
NURSE = Entry(axis="work", group="nurse", terms=("nurse", "nurses"))


def shared(name):
    if not (SHARED / name).exists():
        pytest.skip(f"needs ../shared/corpora/{name}, not found: skipped")
    return SHARED / name


# ── word lists ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "column", "expected"),
    [
        ("MUSLIM families", "religion: Muslims", "named"),
        ("Caucasian", "origin: Asians", "not named"),
        ("Scunthorpe and women’s rights", "gender: women", "named"),
        ("a black  woman", "origin: Black people", "named"),
        ("a black cat", "origin: Black people", "not named"),
        ("", "gender: men", "not named"),
    ],
)
def test_terms_are_whole_words_blind_to_case(text, column, expected):
    assert add_lexicon_groups(pl.DataFrame({"text": [text]}))[column][0] == expected


def test_two_different_markers_make_a_dialect():
    texts = ["He ain't here", "He ain't ain't", "Y'all finna go", "plain words"]
    found = add_lexicon_groups(pl.DataFrame({"text": texts}), ["dialect"])
    column = found["dialect: African American English"].to_list()

    assert column == ["not named", "not named", "named", "not named"]


def test_a_users_word_list(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        'id = "mine"\nlicence = "CC0"\n[[entry]]\naxis = "team"\ngroup = "Red"\nterm = "RED"\n'
        "case = true\nboundary = false\n"
    )
    lexicon = load_lexicon(path)
    found = add_lexicon_groups(pl.DataFrame({"text": ["xREDx", "red"]}), [lexicon])

    assert found["team: Red"].to_list() == ["named", "not named"]
    assert lexicon.entries[0].licence == "CC0"
    assert len(lexicon.sha256) == 64


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('id = "x"', "at least one"),
        ('id = "x"\n[[entry]]\naxis = "a"\ngroup = "b"', "terms missing"),
        ('id = "x"\n[[entry]]\naxis = "a"\ngroup = "b"\nterms = []', "terms must be words"),
        ('id = "x"\n[[entry]]\naxis = "a"\ngrop = "b"\nterms = ["c"]', "did you mean 'group'"),
        ('id = "x"\n[[entry]]\naxis = "a"\ngroup = "b"\nterms = ["c"]\nleast = 2', "least is 2"),
        ("id = ", "not TOML"),
    ],
)
def test_wrong_word_lists_are_named(tmp_path, content, message):
    path = tmp_path / "wrong.toml"
    path.write_text(content)

    with pytest.raises(ConfigError, match=message):
        load_lexicon(path)


def test_missing_word_lists_are_named(tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'identity'"):
        load_lexicon("identty")
    with pytest.raises(InputError, match="No such file"):
        load_lexicon(tmp_path / "none.toml")


def test_topics_are_found_and_repeat():
    rng = np.random.default_rng(1)
    words = [["ship", "sail", "harbour", "wind"], ["bread", "flour", "oven", "yeast"]]
    truth = rng.integers(0, 2, 300)
    texts = [" ".join(rng.choice(words[t], 8)) for t in truth] + ["", "12 34"]
    frame = pl.DataFrame({"text": texts})
    found = add_topics(frame, topics=2)["topic"]
    pairs = pl.DataFrame({"truth": truth, "topic": found[:300]}).unique()

    assert pairs.height == 2
    assert found[300:].to_list() == ["no words", "no words"]
    assert found.equals(add_topics(frame, topics=2)["topic"])


# ── swaps ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("her book", "his book"),
        ("I saw her.", "I saw him."),
        ("I saw her and left", "I saw him and left"),
        ("the book is his.", "the book is hers."),
        ("HER BOOK, Her idea", "HIS BOOK, His idea"),
        ("called her back", "called him back"),
        ("because her back ached", "because his back ached"),
        ("gave her advice", "gave him advice"),
        ("told her mother", "told his father"),
        ("she's a girl", "he's a boy"),
        ("sheep, history, hers", "sheep, history, his"),
        ("told his teacher", "told her teacher"),
        ("let her enter", "let him enter"),
        ("Ms Smith", "Mr Smith"),
        ("ſhe", "ſhe"),
    ],
)
def test_swaps(text, expected):
    assert swap(text) == expected


WORDS = [
    *("she", "he", "her", "him", "his", "hers", "Her", "HIS", "mother", "Father", "the", "book"),
    *("saw", "gave", "told", "back", "home", "quickly", "early", "and", ".", ",", "because", "let"),
    *("enter", "made", "angry", "himself", "king", "it's", "she's", "hIs", "\n", "stories"),
]


@given(st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join))
def test_swapping_twice_gives_the_text_back(text):
    assert swap(swap(text)) == text


def test_swapping_twice_on_ten_thousand_sentences():
    rng, swaps = np.random.default_rng(2), load_swaps()
    texts = [" ".join(rng.choice(WORDS, 9)) for _ in range(10_000)]

    assert [swap(swap(text, swaps), swaps) for text in texts] == texts


def test_no_list_tells_partners_apart():
    swaps = load_swaps()

    assert all(pronouns.judged_alike(a, b) for a, b in swaps.pairs)


def test_names_are_the_users():
    swaps = load_swaps(names=[("Emily", "Greg")])

    assert swap("Emily lost her pen. GREG!", swaps) == "Greg lost his pen. EMILY!"
    with pytest.raises(ConfigError, match="'may' tells what a pronoun"):
        load_swaps(names=[("May", "Greg")])
    with pytest.raises(ConfigError, match="'she' stands twice"):
        load_swaps(names=[("she", "x")])


def sentences():
    folder = shared("bias_winobias")
    lines = [line for f in sorted(folder.glob("*_type*")) for line in f.read_text().splitlines()]
    return [re.sub(r"[\[\]]", "", line.split(" ", 1)[1]).strip() for line in lines]


def test_winobias_is_given_back():
    swaps = load_swaps()

    assert [x for x in sentences() if swap(swap(x, swaps), swaps) != x] == []


def test_her_is_resolved_as_in_winobias():
    """Sentences that differ in a pronoun only are each other's swap."""
    only = Swaps(id="pronouns", sha256="", first="women", second="men", pairs=(("she", "he"),))
    alike: dict[tuple[str, ...], set[str]] = {}
    for text in set(sentences()):
        words = re.findall("[A-Za-z]+", text.lower())
        key = tuple("#" if w in {"her", "him", "his", "hers"} else w for w in words)
        alike.setdefault(key, set()).add(text)
    tried = [(x, xs - {x}) for key, xs in alike.items() if "#" in key for x in xs if len(xs) > 1]
    right = sum(swap(x, only) in others for x, others in tried)

    assert len(tried) > 1600
    assert right / len(tried) >= 0.99


# ── swap tests of scorers ────────────────────────────────────────────────────────────────────


def test_a_penalty_is_found_with_its_sign():
    texts = ["She reads her book."] * 30 + ["He reads."] * 30 + ["No one."] * 10
    penalty = lambda batch: [0.6 - 0.2 * bool(re.search(r"\b[Ss]he\b", t)) for t in batch]  # noqa: E731
    found = swap_test(penalty, texts, SwapDesign(threshold=0.5, margin=0.05))

    assert found.documents == 60
    assert found.shift.estimate == pytest.approx(-0.2)
    assert found.shift.high < 0
    assert (found.flips, found.kept_only_as_first, found.kept_only_as_second) == (1.0, 0, 60)
    assert found.equivalent_p == 1.0
    assert "depends on the group" in found.sentence


def test_a_blind_scorer_is_equivalent():
    texts = [f"She has {'x' * i}" for i in range(40)]
    rng = np.random.default_rng(3)
    found = swap_test(lambda batch: rng.normal(0, 0.01, len(batch)), texts, SwapDesign(margin=0.05))

    assert found.equivalent_p < 1e-6
    assert np.isnan(found.flips)
    assert found.swaps.startswith("curate-gender-swaps-en-1 ")


def test_equivalence_tells_a_blind_scorer_from_a_biased_one():
    texts = ["She wrote it.", "He wrote it."] * 30
    rng = np.random.default_rng(13)
    noise = dict(zip(texts * 2, rng.normal(scale=0.01, size=120), strict=True))
    scorers = {
        "blind": lambda found: [0.5 + noise[t] for t in found],
        "biased": lambda found: [0.4 if t.startswith("She") else 0.6 for t in found],
    }
    design = SwapDesign(threshold=0.5, margin=0.05)
    blind, biased = (swap_test(score, texts, design) for score in scorers.values())

    assert blind.equivalent_p < 0.05
    assert biased.equivalent_p > 0.5
    assert (biased.shift.estimate, biased.flips) == (pytest.approx(-0.2), 1.0)


def test_texts_without_the_groups_are_no_evidence():
    found = swap_test(lambda batch: np.ones(len(batch)), ["nothing here"])

    assert found.documents == 0
    assert np.isnan(found.shift.estimate)
    assert found.signs.p == 1.0


def test_scorers_that_lose_texts_are_refused():
    with pytest.raises(ConfigError, match="1 scores for 2 texts"):
        swap_test(lambda batch: [0.5], ["she"])


@pytest.mark.parametrize("n", [1, 6, 25])
def test_sign_test_is_the_exact_one(n):
    for k in range(n + 1):
        found = sign_test([1.0] * k + [-1.0] * (n - k) + [0.0] * 3)
        assert found.p == pytest.approx(stats.binomtest(k, n).pvalue)


def test_sizes_of_the_paired_tests():
    """Sign test at most 5.5 %; equivalence at its margin 4-6 %: 10,000 repetitions."""
    rng, n = np.random.default_rng(4), 10_000
    values = rng.normal(0, 1, (n, 40))
    signs = sum(sign_test(row).p < 0.05 for row in values)
    found = [mean_shift(row + 0.5) for row in values]
    same = sum(equivalence_p(estimate, 0.5) < 0.05 for estimate in found)
    cover = sum(estimate.low <= 0.5 <= estimate.high for estimate in found)

    assert signs <= binomial_band(n, 0.05)[1]
    assert binomial_band(n, 0.05)[0] <= same <= binomial_band(n, 0.05)[1]
    assert binomial_band(n, 0.95)[0] <= cover <= binomial_band(n, 0.95)[1]


# ── associations ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("both", "first", "second", "n", "expected"),
    [(7, 7, 7, 50, 1), (4, 20, 10, 50, 0), (0, 9, 9, 50, -1), (50, 50, 50, 50, 1)],
)
def test_npmi_invariants(both, first, second, n, expected):
    assert npmi(both, first, second, n) == pytest.approx(expected)


def test_association_tracks_the_truth():
    rng = np.random.default_rng(5)
    woman, truth = rng.random(20_000) < 0.4, 0.8
    nurse = rng.random(woman.size) < 1 / (1 + np.exp(-(-2 + truth * woman)))
    texts = [
        f"{'she' if w else 'he'} is {'a nurse' if k else 'here'}"
        for w, k in zip(woman, nurse, strict=True)
    ]
    row = association(pl.DataFrame({"text": texts}), [WOMEN], [NURSE]).row(0, named=True)

    assert row["low"] <= truth <= row["high"]
    assert row["q"] < 1e-6
    assert row["n_both"] == (woman & nurse).sum()


@pytest.mark.parametrize("clustered", [False, True])
def test_association_rejects_nulls_at_its_level(clustered):
    rng, repetitions = np.random.default_rng(6), 150
    source, rejected = np.repeat(np.arange(40), 25), 0
    texts = np.array([[f"{g} {w}" for w in ("nurse", "clerk")] for g in ("she", "he")])
    for _ in range(repetitions):
        chance = rng.beta(1.8, 7.2, 40)[source] if clustered else np.full(source.size, 0.2)
        woman = (source % 2 == 0) if clustered else rng.random(source.size) < 0.5
        rows = texts[np.where(woman, 0, 1), np.where(rng.random(source.size) < chance, 0, 1)]
        frame = pl.DataFrame({"text": rows, "source": source})
        table = association(frame, [WOMEN], [NURSE], cluster="source" if clustered else None)
        rejected += table["p"][0] < 0.05

    assert rejected <= binomial_band(repetitions, 0.05)[1]


def fighting_words(first, second, prior):
    """The reference implementation's loop over words."""
    n1, n2, a0 = sum(first), sum(second), prior * len(first)
    for y1, y2 in zip(first, second, strict=True):
        one = np.log((y1 + prior) / (n1 + a0 - y1 - prior))
        two = np.log((y2 + prior) / (n2 + a0 - y2 - prior))
        yield (one - two) / np.sqrt(1 / (y1 + prior) + 1 / (y2 + prior))


def test_log_odds_equal_the_reference_loop():
    rng = np.random.default_rng(7)
    first, second = rng.poisson(3, 439), rng.poisson(4, 439)

    found = log_odds_z(first, second, 0.01)[1]

    assert found == pytest.approx(list(fighting_words(first, second, 0.01)), rel=1e-12)


def test_distinctive_words_of_a_null_are_few():
    rng = np.random.default_rng(8)
    vocabulary = np.array([f"w{chr(97 + i % 26)}{chr(97 + i // 26)}" for i in range(300)])
    texts = [" ".join(rng.choice(vocabulary, 30)) for _ in range(400)]
    frame = pl.DataFrame({"text": texts, "half": rng.random(400) < 0.5})
    found = distinctive_words(frame, pl.col("half"), top=150)

    assert (found["q"] < 0.05).sum() == 0
    # Absent words count as evidence too, so z is a little narrow: 5 % or less.
    assert (found["z"].abs() > 1.96).sum() <= binomial_band(found.height, 0.05)[1]


# ── word embeddings ──────────────────────────────────────────────────────────────────────────


def test_exact_weat_is_the_permutation_test():
    rng = np.random.default_rng(9)
    one, two, a, b = (rng.normal(size=(4, 6)) for _ in range(4))
    found = weat(one, two, (a, b))
    unit = [m / np.linalg.norm(m, axis=1, keepdims=True) for m in (one, two, a, b)]
    own, other = ((m @ unit[2].T).mean(1) - (m @ unit[3].T).mean(1) for m in unit[:2])
    peer = stats.permutation_test(
        (own, other), lambda x, y: x.mean() - y.mean(), alternative="greater", n_resamples=1e4
    )

    assert (found.partitions, found.exact) == (70, True)
    assert found.p == pytest.approx(peer.pvalue)
    assert found.effect == pytest.approx(
        (own.mean() - other.mean()) / np.std(np.r_[own, other], ddof=1)
    )


VALUES = [
    (("flowers", "insects", "pleasant_5", "unpleasant_5a"), 1.539, None),
    (("instruments", "weapons", "pleasant_5", "unpleasant_5a"), 1.628, None),
    (("male_names", "female_names", "career", "family"), 1.890, 7.77e-5),
    (("math", "arts", "male_terms", "female_terms"), 0.966, 0.0227),
    (("science", "arts_2", "male_terms_2", "female_terms_2"), 1.244, 0.0040),
    (("mental_disease", "physical_disease", "temporary", "permanent"), 1.297, 0.0076),
    (("young_people_names", "old_people_names", "pleasant_9", "unpleasant_9"), -0.198, 0.650),
]


@pytest.mark.parametrize(
    ("sets", "effect", "p"), VALUES, ids=lambda v: v[0] if isinstance(v, tuple) else ""
)
def test_weat_on_word2vec(sets, effect, p):
    folder = shared("bias_weat_embeddings")
    lines = (folder / "weat_w2v____old.txt").read_text().splitlines()[1:]
    vectors = {w: np.array(v, dtype=float) for w, *v in (line.split() for line in lines)}
    words = json.loads((folder / "WEAT.json").read_text())
    one, two, a, b = (np.array([vectors[w] for w in words[k] if w in vectors]) for k in sets)
    weat(one[:2], two[:2], (a, b))
    start = time.process_time()
    found = weat(one, two, (a, b))

    assert found.effect == pytest.approx(effect, abs=5e-4)
    if p is None:
        assert found.p <= 2e-5
    else:
        assert found.exact
        assert found.p == pytest.approx(p, rel=0.02)
        assert time.process_time() - start < 0.1


def invented(rng, n, bias):
    sets = [[f"{k}{i}" for i in range(3)] for k in "mfch"]
    texts = []
    for _ in range(n):
        side = rng.integers(0, 2)
        one = sets[side][rng.integers(3)]
        attribute = sets[2 + int(rng.random() < 0.5 + (bias if side else -bias))][rng.integers(3)]
        noise = [f"n{i}" for i in rng.integers(0, 30, 4)]
        texts.append(" ".join([one, attribute, *noise]))
    return texts, tuple(sets)


def test_resampled_weat_finds_a_planted_association():
    texts, words = invented(np.random.default_rng(10), 600, 0.2)

    assert resampled_weat(cooccurrence_vectors, texts, words, repetitions=19)[1] == 0.05


@pytest.mark.study
def test_resampled_weat_holds_its_level_where_word_permutation_does_not():
    rng, repetitions, documents, permuted = np.random.default_rng(11), 400, 0, 0
    for _ in range(repetitions):
        texts, words = invented(rng, 300, 0.0)
        documents += resampled_weat(cooccurrence_vectors, texts, words, repetitions=39)[1] <= 0.05
        vectors = cooccurrence_vectors(texts)
        sets = [vectors(w) for w in words]
        permuted += weat(sets[0], sets[1], (sets[2], sets[3])).p_two_sided <= 0.1
    print("weat null: documents", documents / repetitions, "words at 10 %", permuted / repetitions)

    assert documents <= binomial_band(repetitions, 0.05)[1]


def test_words_that_all_associate_alike_have_no_effect():
    one = np.ones((3, 4))
    found = weat(one, one, (one, one))

    assert np.isnan(found.effect)
    assert (found.p, found.partitions) == (1.0, 20)
