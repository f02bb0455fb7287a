import re
from collections import Counter
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from datasketch import MinHash, MinHashLSH
from numba import njit

from curate.errors import ConfigError
from curate.text import (
    permutations_of,
    shingle_sets,
    similarities,
    sketch,
    text_similarity,
    to_datasketch,
    word_ngrams,
)
from curate.text.minhash import minima

TEXTS = [
    " ".join(f"w{(i * i + 7 * d) % (40 + 60 * d)}" for i in range(3 + 97 * d)) for d in range(12)
]


def mixed_pair(rng, length, changed):
    """Two texts of random words of which the second has some replaced."""
    words = rng.integers(0, 1 << 40, length).astype(str)
    other = words.copy()
    other[rng.choice(length, changed, replace=False)] = "changed"
    return " ".join(words), " ".join(other)


@pytest.mark.parametrize("seed", [1, 7, 4_000_000_000])
@pytest.mark.parametrize("permutations", [1, 16, 112])
def test_signatures_are_those_of_datasketch(permutations, seed):
    found = sketch(pl.Series(TEXTS), permutations=permutations, seed=seed)
    flat, offsets = word_ngrams(pl.Series(TEXTS), n=5)
    for d in range(len(TEXTS)):
        shingles = flat[offsets[d] : offsets[d + 1]]
        theirs = MinHash(num_perm=permutations, seed=seed, hashfunc=int, scheme="affine32")
        theirs.update_batch([int(h) & 0xFFFFFFFF for h in shingles])
        assert np.array_equal(theirs.hashvalues, found.signature[d])
        assert found.n_shingles[d] == len(shingles)


def test_seeds_choose_other_permutations():
    """Not the same order under another name: which shingle is the least must change."""
    a, b = permutations_of(64, seed=1)
    c, d = permutations_of(64, seed=2)
    hashes = np.random.default_rng(0).integers(0, 1 << 32, 500, dtype=np.uint32)
    least = {int(np.argmin(hashes * x + y)) for x, y in zip(a, b, strict=True)}
    assert len(least) > 40
    assert not (a == c).any()
    assert not (b == d).any()
    one = sketch(pl.Series(TEXTS), permutations=64, seed=1).signature
    two = sketch(pl.Series(TEXTS), permutations=64, seed=2).signature
    assert not (one == two).any()


def test_the_estimate_is_unbiased_within_its_standard_error():
    """Mean error of 200 pairs against exact similarity, 5 standard errors allowed."""
    rng = np.random.default_rng(5)
    pairs = [mixed_pair(rng, 300, int(rng.integers(1, 40))) for _ in range(200)]
    both = pl.Series([a for a, _ in pairs] + [b for _, b in pairs])
    found = sketch(both, permutations=128).signature
    exact = text_similarity(both[:200], both[200:])["jaccard"].to_numpy()
    errors = (found[:200] == found[200:]).mean(axis=1) - exact
    standard = np.sqrt((exact * (1 - exact) / 128).sum()) / 200
    assert abs(errors.mean()) < 5 * standard
    assert 0.2 < exact.min() < exact.max() < 1


def test_documents_without_words():
    found = sketch(pl.Series(["", "…", "\x00"]), permutations=8)
    assert (found.signature == 0xFFFFFFFF).all()
    assert found.n_shingles.tolist() == [0, 0, 0]


def test_the_minima_loop_multiplies_in_32_bits():
    """One lost uint32 cast makes the products 64 bits wide, and the loop five times slower."""
    code = njit(minima.py_func)
    vector = np.ones(4, np.uint32)
    code(vector, vector, vector, vector.copy())
    products = Counter(re.findall(r" mul <\d+ x (i\d+)>", next(iter(code.inspect_llvm().values()))))
    assert products["i32"] > 0
    assert products["i64"] == 0


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        ("Hello,  World!", "hello world", True),
        ("hello world", "world hello", False),
        ("a b", "ab", False),
        ("a a", "a", False),
        ("…", "...", False),
        ("", "", True),
        ("", "\x00", False),
        ("\x00", "\x00\x00", False),
        ("中文", "中 文", True),
        ("co\u00adop", "coop", True),
    ],
)
def test_word_sequence_hashes(left, right, equal):
    a, b = sketch(pl.Series([left, right]), permutations=0).words_hash
    assert (a == b).all() == equal
    assert (a == b).any() == equal


def test_word_sequence_hashes_of_close_texts_all_differ():
    texts = [f"the {i % 300} of {i // 300}" for i in range(60_000)]
    hashes = sketch(pl.Series(texts), permutations=0).words_hash
    assert len(np.unique(hashes[:, 0])) == len(np.unique(hashes[:, 1])) == 60_000


def python_shingles(text):
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[i : i + 5]) for i in range(max(1, len(words) - 4))} if words else set()


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (TEXTS[4], TEXTS[5]),
        (TEXTS[6], TEXTS[6] + " tail"),
        ("one two", "One, TWO"),
        ("one two", "two one"),
        ("a b c d", "a b c d e"),
        ("a b c d e " * 9, "a b c d e"),
        ("", "word"),
        ("", ""),
        (TEXTS[7], TEXTS[7][1000:2000]),
    ],
)
def test_exact_similarity_is_that_of_python_sets(left, right):
    a, b = python_shingles(left), python_shingles(right)
    row = text_similarity(pl.Series([left]), pl.Series([right])).row(0, named=True)
    assert row["jaccard"] == len(a & b) / max(len(a | b), 1)
    assert row["containment"] == len(a & b) / max(min(len(a), len(b)), 1)


def test_sets_are_sorted_and_unique():
    flat, offsets = shingle_sets(pl.Series([*TEXTS, "", "x y x y x y x y x y"]))
    for a, b in pairwise(offsets):
        assert (np.diff(flat[a:b].astype(object)) > 0).all()
    assert np.diff(offsets)[-2:].tolist() == [0, 2]
    everything = np.arange(len(offsets) - 1)
    jaccard, _ = similarities(flat, offsets, everything, everything)
    assert jaccard.tolist() == [1.0] * len(TEXTS) + [0.0, 1.0]


def test_misuse_is_named():
    with pytest.raises(ConfigError, match="2 and 1 rows"):
        text_similarity(pl.Series(["a", "b"]), pl.Series(["a"]))
    with pytest.raises(ConfigError, match="-1 permutations"):
        permutations_of(-1, seed=1)


def test_handed_to_datasketch_a_signature_gives_the_same_estimate():
    found = sketch(pl.Series(TEXTS[1:3]), permutations=64, seed=3).signature
    one, two = (to_datasketch(row, seed=3) for row in found)
    index = MinHashLSH(num_perm=64, params=(16, 4))
    index.insert("one", one)
    assert one.jaccard(two) == np.mean(found[0] == found[1])
    assert index.query(one) == ["one"]


def test_one_permutation_signatures_estimate_without_bias():
    """Mean error of 200 pairs; even short documents fill all entries."""
    rng = np.random.default_rng(6)
    pairs = [mixed_pair(rng, 300, int(rng.integers(1, 40))) for _ in range(200)]
    both = pl.Series([a for a, _ in pairs] + [b for _, b in pairs])
    found = sketch(both, permutations=128, scheme="one_permutation").signature
    exact = text_similarity(both[:200], both[200:])["jaccard"].to_numpy()
    errors = (found[:200] == found[200:]).mean(axis=1) - exact
    assert abs(errors.mean()) < 5 * np.sqrt((exact * (1 - exact) / 128).sum()) / 200
    short = sketch(pl.Series(["a b c d e f"]), permutations=112, scheme="one_permutation").signature
    assert set(short[0].tolist()) <= set(short[0][short[0] < 0xFFFFFFFF].tolist())
    other = sketch(both[:1], permutations=128, scheme="one_permutation", seed=2).signature
    assert not (other[0] == found[0]).any()
    with pytest.raises(ConfigError, match="unknown scheme 'affine64'; did you mean 'affine32'"):
        sketch(both, permutations=8, scheme="affine64")
