"""Kneser–Ney: equal to a readable reference, a true probability, and as good as it should be."""

from collections import Counter, defaultdict
from pydoc_data.topics import topics

import numpy as np
import polars as pl
import pytest

from curate.errors import ConfigError
from curate.ngram_model import NgramCounts, discounts_from, fit_discounts
from curate.tokens import encode, train_tokenizer

FOREIGN = np.array([[0.3, 0.9, 2.5], [0.9, 1.9, 0.2], [1.0, 2.0, 3.0], [0.05, 0.1, 0.2]])


def reference_counts(tokens, order):
    """Adjusted counts by their definition: raw at the top and after a boundary, else neighbours."""
    stream = [0, *tokens]
    raw, left = Counter(), defaultdict(set)
    for end in range(1, len(stream)):
        for length in range(1, order + 1):
            start = end - length + 1
            if start < 0 or 0 in stream[start + 1 : end]:
                break
            gram = tuple(stream[start : end + 1])
            begins = length > 1 and gram[0] == 0
            if length == order or begins:
                raw[gram] += 1
            else:
                left[gram].add(stream[start - 1])
    return raw | Counter({gram: len(before) for gram, before in left.items()})


def reference_probability(counts, discounts, vocabulary, context, token):
    """Interpolated modified Kneser–Ney by recursion."""
    below = (
        reference_probability(counts, discounts, vocabulary, context[1:], token)
        if context
        else 1 / vocabulary
    )
    row = [counts[(*context, other)] for other in range(5)]  # all ids that these tests use
    if sum(row) == 0:
        return below
    taken = [min(c, 3) and discounts[len(context)][min(c, 3) - 1] for c in row]
    return (row[token] - taken[token] + sum(taken) * below) / sum(row)


def reference_bits(counts, discounts, vocabulary, order, document):
    bits = []
    for end in range(len(document)):
        history = [0, *document[:end]][-(order - 1) :]
        while 0 in history[1:]:
            history = history[1:]
        share = reference_probability(counts, discounts, vocabulary, tuple(history), document[end])
        bits.append(-np.log2(share))
    return bits


def random_documents(rng, n_tokens, vocabulary):
    """Tokens with much repetition and short documents, one of them empty."""
    tokens = rng.integers(1, vocabulary, n_tokens) % rng.integers(2, vocabulary, n_tokens)
    return np.concatenate([[3, 0, 0], tokens]).astype(np.uint16)


@pytest.mark.parametrize("order", [2, 3, 4, 5, 6])
@pytest.mark.parametrize("vocabulary", [5, 60_000], ids=["exact keys", "hashed keys"])
def test_every_probability_equals_the_reference(order, vocabulary):
    """At each of three nested budgets, on documents seen, half seen and unseen."""
    rng = np.random.default_rng(order)
    tokens = random_documents(rng, 120, 5)
    documents = [*np.split(tokens[:40], [17]), np.array([4, 4, 4, 1, 0], np.uint16)]
    flat, offsets = np.concatenate(documents), np.cumsum([0, *map(len, documents)])
    discounts = np.resize(FOREIGN, (order, 3))
    counts = NgramCounts(order=order, vocabulary=vocabulary)

    for budget in (7, 60, 123):
        counts.extend(tokens, stop=budget)
        found = counts.token_bits(flat, offsets, discounts=discounts)
        truth = reference_counts(tokens[:budget].tolist(), order)
        wanted = [
            bits
            for document in documents
            for bits in reference_bits(truth, discounts, vocabulary, order, document.tolist())
        ]
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-9)
        assert counts.n_ngrams == len(truth)
        for length in range(1, order + 1):
            of = Counter(c for gram, c in truth.items() if len(gram) == length)
            assert counts.counts_of_counts[length - 1].tolist() == [of[c] for c in (1, 2, 3, 4)]


@pytest.mark.parametrize("order", [2, 3, 5])
def test_probabilities_sum_to_one_in_every_context(order):
    """Seen, half seen, unseen and opening contexts, with discounts from another text."""
    vocabulary = 12
    rng = np.random.default_rng(7)
    tokens = random_documents(rng, 3000, vocabulary - 2)  # the last ids are never seen
    counts = NgramCounts(order=order, vocabulary=vocabulary)
    counts.extend(tokens, stop=2500)
    contexts = [[], [1], [1, 1, 1, 1], [11, 11], [2, 11, 1], [11, 2, 1, 1]]
    contexts += [tokens[i : i + order - 1].tolist() for i in range(50, 80)]

    for context in contexts:
        documents = [[*context, token] for token in range(vocabulary)]
        offsets = np.arange(vocabulary + 1) * (len(context) + 1)
        flat = np.array(documents, np.uint16).ravel()
        bits = counts.token_bits(flat, offsets, discounts=np.resize(FOREIGN, (order, 3)))

        assert (2.0 ** -bits[offsets[1:] - 1]).sum() == pytest.approx(1, abs=1e-12)


def test_a_prefix_counts_like_the_whole():
    """A ladder's model at a budget is the model of that prefix alone."""
    rng = np.random.default_rng(3)
    tokens = rng.integers(0, 200, 60_000).astype(np.uint16)
    discounts = np.resize(FOREIGN, (3, 3))
    ladder, offsets = NgramCounts(order=3, vocabulary=200), np.array([0, 500])
    for stop in (1000, 20_000, 60_000):
        ladder.extend(tokens, stop=stop)
        alone = NgramCounts(order=3, vocabulary=200)
        alone.extend(tokens, stop=stop)

        np.testing.assert_array_equal(
            ladder.token_bits(tokens[:500], offsets, discounts=discounts),
            alone.token_bits(tokens[:500], offsets, discounts=discounts),
        )
        assert ladder.n_ngrams == alone.n_ngrams


def test_tables_grow_without_loss():
    """More n-grams than the first tables hold: the number of distinct ones is still exact."""
    tokens = np.random.default_rng(5).integers(1, 1000, 90_000).astype(np.uint16)
    stream = [0, *tokens.tolist()]
    wanted = [len(set(zip(*(stream[i:] for i in range(k)), strict=False))) for k in (1, 2, 3)]
    counts = NgramCounts(order=3, vocabulary=1000)
    counts.extend(tokens, stop=len(tokens))

    assert counts.n_ngrams == sum(wanted) - 1  # the opening boundary is never predicted


@pytest.fixture(scope="module")
def reference_pages():
    """The language reference that every Python carries, encoded; every fifth page held out."""
    pages = pl.Series([page for _, page in sorted(topics.items())])
    tokenizer = train_tokenizer(pages, vocabulary=1024)
    held = pl.Series(range(len(pages))) % 5 == 0
    return (encode(tokenizer, pages.filter(~held))[0], *encode(tokenizer, pages.filter(held)))


def bits_per_token(train, tokens, offsets, order, discounts=None):
    counts = NgramCounts(order=order, vocabulary=1024)
    counts.extend(train, stop=len(train))
    if discounts is None:
        discounts = discounts_from(counts.counts_of_counts)
    return counts.token_bits(tokens, offsets, discounts=discounts).mean()


def test_real_text_rewards_context(reference_pages):
    """On held-out pages order 3 beats 2 by a wide margin, and more text helps."""
    train, tokens, offsets = reference_pages
    by_order = {k: bits_per_token(train, tokens, offsets, k) for k in (2, 3)}

    assert by_order[3] < 0.95 * by_order[2]
    assert by_order[3] < bits_per_token(train[: len(train) // 4], tokens, offsets, 3) - 0.2


def test_a_known_source_is_learned_to_its_entropy():
    """A first-order Markov chain of 20 tokens: order 2 comes within 1 % of the entropy rate."""
    rng = np.random.default_rng(11)
    moves = rng.dirichlet(np.full(20, 0.3), 20)
    edges = np.minimum(np.cumsum(moves, axis=1), 1.0)
    draws, state, chain = rng.random(400_000), 0, []
    for draw in draws.tolist():
        state = min(int(np.searchsorted(edges[state], draw)), 19)
        chain.append(state + 1)
    tokens = np.array(chain, np.uint16)
    train, test = tokens[:300_000], tokens[300_000:]
    paid = -np.log2(moves[test[:-1] - 1, test[1:] - 1]).mean()
    offsets = np.array([0, len(test)])

    found = {k: bits_per_token(train, test, offsets, k) for k in (2, 3)}

    assert paid <= found[2] < 1.01 * paid
    assert found[2] < found[3] < 1.05 * paid  # a longer context adds only noise here


def test_discounts_fitted_on_repeats_spoil_the_model(reference_pages):
    """Why arms share discounts: on text written out four times they say that whatever was seen
    often is all there is, and the same counts then score held-out text far worse."""
    train, tokens, offsets = reference_pages
    once, fresh = train[:60_000], train[60_000:65_000]
    repeated = np.concatenate([*[once] * 4, fresh])
    shared = fit_discounts(train, 3, [len(train)])[0]
    own = fit_discounts(repeated, 3, [len(repeated)])[0]

    assert own[2, 2] < 0.1 * shared[2, 2]
    assert bits_per_token(repeated, tokens, offsets, 3, own) > 1.0 + bits_per_token(
        repeated, tokens, offsets, 3, shared
    )


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([100, 40, 20, 12], [1 - 2 / 1.8 * 0.4, 2 - 3 / 1.8 * 0.5, 3 - 4 / 1.8 * 0.6]),
        ([0, 0, 0, 0], [0.5, 1.0, 1.5]),
        ([10, 5, 0, 3], [0.5, 1.0, 1.5]),
        ([10, 5, 3, 0], [0.5, 1.0, 1.5]),
        ([1, 100, 1000, 1], [0.01, 2 - 3 / 201 * 10, 3 - 4 / 201 / 1000]),
        ([9, 6, 5, 8], [9 / 21, 2 - 3 * 9 / 21 * 5 / 6, 3 - 4 * 9 / 21 * 8 / 5]),
        ([9, 6, 5, 80], [9 / 21, 2 - 3 * 9 / 21 * 5 / 6, 0.03]),
    ],
)
def test_discounts_by_formula_and_guard(counts, expected):
    """Chen & Goodman's formula; the fallback where a count of counts is zero; never below 1 %."""
    found = discounts_from(np.array([counts]))[0]

    np.testing.assert_allclose(found, expected)


def test_discounts_of_budgets_are_those_of_prefixes():
    """A budget beyond the pool takes all of it."""
    tokens = np.random.default_rng(1).zipf(1.4, 20_000).clip(1, 99).astype(np.uint16)

    found = fit_discounts(tokens, 3, [5000, 20_000, 90_000], vocabulary=100)

    np.testing.assert_array_equal(
        found[0], fit_discounts(tokens[:5000], 3, [5000], vocabulary=100)[0]
    )
    np.testing.assert_array_equal(found[1], found[2])


def test_arrays_that_may_not_be_written_are_read():
    """Memory-mapped tokens, a strided slice and plain ones give the same bits."""
    counts = NgramCounts(order=2, vocabulary=4)
    tokens = np.array([1, 2, 0, 3, 0], np.uint16)
    mapped = tokens.copy()
    mapped.flags.writeable = False
    strided = np.repeat(tokens, 2)[::2]
    counts.extend(mapped, stop=5)

    found = [
        counts.token_bits(each, np.array([0, 3, 5]), discounts=FOREIGN[:2]).tolist()
        for each in (tokens, mapped, strided)
    ]

    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: NgramCounts(order=7, vocabulary=4), "order must be 2 to 6, got 7"),
        (lambda c: NgramCounts(order=2, vocabulary=0), "vocabulary must be"),
        (lambda c: c.extend(np.zeros(3, np.uint16), stop=4), "cannot count to 4"),
        (lambda c: c.extend(np.full(3, 4, np.uint16), stop=3), "token id 4 is not below 4"),
        (
            lambda c: c.token_bits(np.zeros(1, np.uint16), np.array([0, 1]), discounts=FOREIGN),
            r"shape \(2, 3\)",
        ),
        (
            lambda c: c.token_bits(
                np.zeros(1, np.uint16), np.array([0, 1]), discounts=np.zeros((2, 3))
            ),
            "discounts must lie in",
        ),
    ],
)
def test_what_cannot_be_is_refused(call, message):
    with pytest.raises(ConfigError, match=message):
        call(NgramCounts(order=2, vocabulary=4))
