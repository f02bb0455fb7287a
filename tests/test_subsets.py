"""Arms: the same order filtered, shares by tokens, filler on every prefix."""

import numpy as np
import pytest

from curate.errors import ConfigError
from curate.statistics import binomial_band
from curate.subsets import (
    Encoded,
    arm_tokens,
    dilute,
    draw_keys,
    draw_order,
    first_of_cluster,
    id_hashes,
    null_filters,
    prefix_tokens,
    random_filter,
    repeat_rate,
    replace_documents,
)

IDS = [f"doc-{i}" for i in range(500)]
HASHES = id_hashes(IDS)


def documents(seed=0, n=500, high=40):
    """Documents whose every token is their own number: a sequence tells its documents."""
    lengths = np.random.default_rng(seed).integers(1, high, size=n)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Encoded(flat=np.repeat(np.arange(n), lengths).astype(np.uint16), offsets=offsets)


def test_draw_order_is_a_shuffle_that_row_order_does_not_change():
    """Each replicate is another permutation, and the ids decide it, not their rows."""
    orders = [draw_order(HASHES, seed=3, replicate=r) for r in range(3)]
    shuffled = np.random.default_rng(1).permutation(len(IDS))
    again = draw_order([IDS[i] for i in shuffled], seed=3, replicate=0)

    assert [sorted(order) for order in orders] == [list(range(len(IDS)))] * 3
    assert shuffled[again].tolist() == orders[0].tolist()
    assert not (orders[0] == orders[1]).all()


def test_draw_keys_are_uniform():
    """Every bit of the keys is set in half of 4,000 ids, inside the exact 99.9 % band."""
    keys = draw_keys(id_hashes(map(str, range(4_000))), seed=1)
    low, high = binomial_band(4_000, 0.5, 1 - 0.001 / 64)

    set_bits = [int(((keys >> np.uint64(b)) & np.uint64(1)).sum()) for b in range(64)]

    assert all(low <= n <= high for n in set_bits)


def test_a_nested_arm_is_the_same_sequence_without_the_removed_documents():
    """Curated = raw's own order, filtered: the pairing that the statistics rest on."""
    encoded, order = documents(), draw_order(HASHES, seed=1, replicate=0)
    curated = np.random.default_rng(2).random(500) < 0.6
    raw = arm_tokens(order, np.ones(500, bool), encoded, budget=10**9)

    kept = arm_tokens(order, curated, encoded, budget=10**9)

    assert kept.tolist() == raw[curated[raw]].tolist()


@pytest.mark.parametrize("budget", [0, 1, 17, 5_000, 10**9])
def test_a_budget_is_a_prefix(budget):
    """Budgets of one arm are nested, and the pool's end is the end."""
    encoded, order = documents(), draw_order(HASHES, seed=1, replicate=0)
    everything = np.ones(500, bool)
    whole = arm_tokens(order, everything, encoded, budget=10**9)

    part = arm_tokens(order, everything, encoded, budget=budget)

    assert part.tolist() == whole[:budget].tolist()


def test_an_arm_without_documents_is_empty():
    """No document, no token, no error."""
    none = np.zeros(500, bool)

    assert arm_tokens(np.arange(500), none, documents(), budget=10).size == 0


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_random_filters_keep_their_share_of_tokens(share):
    """By tokens, to within one document; another replicate keeps other documents."""
    lengths = documents().lengths
    first, second = (
        random_filter(draw_order(HASHES, seed=1, replicate=r), lengths, share=share) for r in (0, 1)
    )

    assert abs(lengths[first].sum() / lengths.sum() - share) <= 40 / lengths.sum()
    assert not (first == second).all()


@pytest.mark.parametrize(("share", "each"), [(0.3, 0.3), (0.5, 0.5), (0.8, 0.5)])
def test_null_filters_are_disjoint_and_alike(share, each):
    """Two filters of one share; above a half there is no room, so they take half each."""
    lengths = documents().lengths
    a, b = null_filters(draw_order(HASHES, seed=1, replicate=0), lengths, share=share)

    assert not (a & b).any()
    assert [abs(lengths[m].sum() / lengths.sum() - each) < 0.005 for m in (a, b)] == [True, True]


@pytest.mark.parametrize("share", [0.0, -1.0, 1.5])
def test_impossible_shares_are_refused(share):
    """A share outside (0, 1] names itself."""
    with pytest.raises(ConfigError, match=str(share)):
        random_filter(np.arange(500), documents().lengths, share=share)


def test_filler_is_half_of_every_prefix():
    """Within two documents' lengths, however the filler's own lengths run."""
    encoded, filler = documents(), documents(seed=9, n=20, high=90)
    order = draw_order(HASHES, seed=1, replicate=0)
    keys = draw_keys(id_hashes(map(str, range(20))), seed=1)

    found = dilute(order, encoded, filler, keys=keys, budget=15_000)

    assert len(found.tokens) == 15_000
    assert np.abs(found.clean - found.total / 2).max() <= 90


def test_the_clean_part_of_a_diluted_sequence_is_the_clean_sequence():
    """Nothing is lost or reordered by dilution: the counts say where each token stands."""
    encoded = documents()
    filler = Encoded(flat=np.full(90, 999, np.uint16), offsets=np.array([0, 30, 60, 90]))
    order = draw_order(HASHES, seed=1, replicate=0)

    found = dilute(order, encoded, filler, keys=np.arange(3, dtype=np.uint64), budget=8_000)
    clean = found.tokens[found.tokens != 999]
    wanted = arm_tokens(order, np.ones(500, bool), encoded, budget=len(clean))

    assert clean.tolist() == wanted.tolist()
    assert int(np.interp(8_000, found.total, found.clean)) == len(clean)


def test_prefix_tokens_count_the_other_version_of_the_text():
    """B's tokens are counted as B writes the documents: shorter where a step has cut them."""
    longer = documents()
    shorter = Encoded(
        flat=longer.flat[::2],
        offsets=np.append(
            longer.offsets[:-1] // 2 + longer.offsets[:-1] % 2, (longer.offsets[-1] + 1) // 2
        ),
    )
    order = draw_order(HASHES, seed=1, replicate=0)
    everything, some = np.ones(500, bool), np.arange(500) % 3 > 0

    total, kept = prefix_tokens(order, (everything, longer), (some, shorter))

    assert total[-1] == longer.flat.size
    assert kept[-1] == shorter.lengths[some].sum()
    assert (np.diff(kept)[~some[order]] == 0).all()


def test_repeats_are_counted_inside_the_prefix_only():
    """A copy repeats only once its original was drawn before it."""
    encoded = Encoded(flat=np.zeros(8, np.uint16), offsets=np.array([0, 2, 4, 6, 8]))
    clusters, order = np.array([5, -1, 5, 5]), np.array([0, 1, 2, 3])
    fresh = first_of_cluster(order, clusters)

    rates = [
        repeat_rate(order, np.ones(4, bool), encoded, fresh=fresh, budget=b) for b in (4, 6, 8, 99)
    ]

    assert fresh.tolist() == [True, True, False, False]
    assert rates == pytest.approx([0, 1 / 3, 1 / 2, 1 / 2])


def test_replaced_documents_change_alone():
    """Every other document keeps its tokens."""
    encoded, rows = documents(), np.array([0, 7, 499])
    edited = Encoded(flat=np.array([1, 2, 3], np.uint16), offsets=np.array([0, 1, 1, 3]))

    found = replace_documents(encoded, rows, edited)
    pieces = [found.flat[found.offsets[i] : found.offsets[i + 1]].tolist() for i in range(500)]

    assert [pieces[0], pieces[7], pieces[499]] == [[1], [], [2, 3]]
    assert all(set(pieces[i]) == {i} for i in range(500) if i not in (0, 7, 499))
