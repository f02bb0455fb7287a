"""The draw order: every prefix has the corpus's shares, every document an equal chance."""

from dataclasses import replace

import numpy as np
import pytest

from curate.experiment.arms import make_draws
from curate.experiment.example import example_inputs
from curate.experiment.order import even_order, find_levels, spread_order
from curate.experiment.pieces import in_pieces
from curate.statistics import binomial_band
from curate.subsets import Encoded, draw_keys, id_hashes

N = 600
RNG = np.random.default_rng(4)
LENGTHS = np.where(RNG.random(N) < 0.02, 400, RNG.integers(5, 40, N))
KEPT = RNG.random(N) < 0.6
SOURCES = RNG.choice(5, N, p=[0.5, 0.3, 0.1, 0.07, 0.03])
HASHES = id_hashes(map(str, range(N)))
LEVELS = (SOURCES * 2 + KEPT, KEPT.astype(np.int64))


def drawn(replicate, levels=LEVELS):
    """An order of the documents above."""
    return even_order(draw_keys(HASHES, seed=1, replicate=replicate), LENGTHS, levels)


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5, 0.9])
def test_every_prefix_has_the_shares_of_what_is_kept_and_of_the_sources(share):
    """Kept against removed to within a long document, each source to within two."""
    for replicate in range(20):
        order = drawn(replicate)
        ends = np.cumsum(LENGTHS[order])
        prefix = order[ends <= share * LENGTHS.sum()]
        read = LENGTHS[prefix].sum()

        kept = LENGTHS[prefix][KEPT[prefix]].sum()
        assert abs(kept - read * LENGTHS[KEPT].sum() / LENGTHS.sum()) <= 400
        for source in range(5):
            found = LENGTHS[prefix][SOURCES[prefix] == source].sum()
            wanted = read * LENGTHS[source == SOURCES].sum() / LENGTHS.sum()
            assert abs(found - wanted) <= 3 * 400


def test_it_is_a_shuffle_that_row_order_does_not_change():
    """A permutation; other replicates are others; the ids decide, not their rows."""
    turned = np.random.default_rng(1).permutation(N)
    levels = [level[turned] for level in LEVELS]
    again = even_order(draw_keys(HASHES[turned], seed=1), LENGTHS[turned], levels)

    assert sorted(drawn(0)) == list(range(N))
    assert turned[again].tolist() == drawn(0).tolist()
    assert (drawn(0) != drawn(1)).mean() > 0.9
    assert even_order(draw_keys(HASHES, seed=1), LENGTHS, ()).tolist() == list(
        np.argsort(draw_keys(HASHES, seed=1), kind="stable")
    )


def test_every_token_has_the_same_chance_to_be_in_a_prefix():
    """The first fifth of the tokens over 2,000 draws: short, long, and the only one of its group.

    Judged by the exact band of 99.9 %, shared among the three; tokens of one document come
    together, so each draw counts the document once, by the middle of its tokens.
    """
    repetitions, share = 2_000, 0.2
    alone = np.concatenate([LEVELS[0][:-1], [99]])
    levels = (alone, LEVELS[1])
    watched = {"short": int(LENGTHS.argmin()), "long": int(LENGTHS.argmax()), "alone": N - 1}
    counts = dict.fromkeys(watched, 0)
    for replicate in range(repetitions):
        order = drawn(replicate, levels)
        middle = np.cumsum(LENGTHS[order]) - LENGTHS[order] / 2
        early = set(order[middle < share * LENGTHS.sum()])
        for name, row in watched.items():
            counts[name] += row in early

    low, high = binomial_band(repetitions, share, 1 - 0.001 / 3)
    assert all(low <= count <= high for count in counts.values()), counts


def test_within_a_group_the_order_stays_on_its_circle():
    """Spreading turns groups; it does not move documents of one group against each other."""
    order, points = np.argsort(draw_keys(HASHES, seed=2)), np.full(N, 0.3)
    spread = spread_order(order, LENGTHS, SOURCES, points=points)

    for source in range(5):
        before, after = (rows[SOURCES[rows] == source].tolist() for rows in (order, spread))
        at = before.index(after[0])
        assert after == before[at:] + before[:at]


def test_arms_do_not_change_the_order():
    """Masks of further arms, as long as what was removed and why stays the same."""
    inputs = example_inputs()
    more = replace(inputs, masks=inputs.masks | {"without_x": np.arange(400) % 2 == 0})
    orders = [make_draws(each, share=0.5, seed=1).order(0) for each in (inputs, more)]

    assert orders[0].tolist() == orders[1].tolist()
    assert len(np.unique(find_levels(replace(inputs, reasons=np.arange(400) % 3))[0])) == 6


def test_both_null_arms_have_the_shares_of_what_is_kept():
    """Two halves of one order, disjoint, each with as much filler as raw, to within a document."""
    inputs = example_inputs(1_500)
    draws = make_draws(inputs, share=0.5, seed=1)
    shares = []
    for arm in ("null_a", "null_b"):
        tokens = draws.tokens(arm, 0, 20_000)
        shares.append((tokens > 900).mean())

    assert not (draws.mask("null_a", 0) & draws.mask("null_b", 0)).any()
    assert shares == pytest.approx([shares[0]] * 2, abs=100 / 20_000)


def test_a_long_document_is_drawn_in_pieces_that_arms_keep_or_leave_together():
    """All text is still there, once; copies stay copies piece by piece; short documents stay."""
    inputs = example_inputs(40)
    curated = inputs.masks["curated"]
    raw = inputs.texts["raw"]
    shorter = Encoded(flat=raw.flat[: -raw.lengths[-1] // 2], offsets=raw.offsets.copy())
    shorter.offsets[-1] = shorter.flat.size
    clusters = np.where(np.arange(40) < 2, 0, -1)
    whole = replace(inputs, texts={"raw": raw, "curated": shorter}, clusters=clusters)
    pieces = in_pieces(whole, tokens=40)

    assert len(set(pieces.ids)) == len(pieces.ids) > 60
    assert pieces.texts["raw"].lengths.max() <= 40
    for name, text in whole.texts.items():
        found = pieces.texts[name]
        assert found.lengths.sum() == text.lengths.sum()
        assert found.lengths[pieces.masks["curated"]].sum() == text.lengths[curated].sum()
    counts = -(-raw.lengths[:2] // 40)
    assert np.unique(pieces.clusters[pieces.clusters >= 0]).size == counts.max()
    assert in_pieces(whole, tokens=1_000) is whole
