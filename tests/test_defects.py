"""Each kind of crawl noise looks like its kind, follows its seed, and names nobody."""

import re

import numpy as np
import pytest
from conftest import prose, vocabulary

from curate.defects import DEFECTS, edit_words


@pytest.fixture(scope="module")
def text():
    rng = np.random.default_rng(5)
    return prose(rng, vocabulary(rng), 200)


def made(kind, text="", seed=1):
    return DEFECTS[kind](np.random.default_rng(seed), text)


@pytest.mark.parametrize("share", [0.01, 0.02, 0.05])
def test_edits_touch_the_stated_share_of_words(share):
    text = " ".join(f"w{i}" for i in range(1000))
    edited = edit_words(np.random.default_rng(1), text, share=share)
    kept = {w for w in edited.split() if edited.split().count(w) == 1} & set(text.split())

    # An edit unmakes one word and may double another; an inserted word unmakes none.
    assert edited != text
    assert 1000 - 2 * 1000 * share <= len(kept) < 1000
    assert abs(len(edited.split()) - 1000) <= 1000 * share


def test_edits_keep_white_space():
    text = "alpha  beta\n\n\tgamma\ndelta " * 50
    edited = edit_words(np.random.default_rng(2), text, share=0.02)

    assert edited.count("\n\n\t") == 50
    assert edited != text


@pytest.mark.parametrize("kind", [k for k in DEFECTS if k != "exact_copy"])
def test_makers_are_seeded_and_differ_by_seed(kind, text):
    assert made(kind, text, seed=1) == made(kind, text, seed=1)
    assert made(kind, text, seed=1) != made(kind, text, seed=2)
    assert len(made(kind, text)) >= 200


@pytest.mark.parametrize("seed", range(5))
def test_random_letters_are_spread_evenly_over_words_of_natural_length(seed):
    text = made("random_letters", seed=seed)
    letters = re.sub(r"[^a-z]", "", text.lower())
    counts = [letters.count(c) for c in "abcdefghijklmnopqrstuvwxyz"]
    words = text.split()

    # Chi-square of 25 degrees of freedom: 99.99 % lie below 62.
    assert sum((c - len(letters) / 26) ** 2 for c in counts) / (len(letters) / 26) < 62
    assert 4 < len(letters) / len(words) < 6


def test_dumps_hold_nothing_but_code():
    for seed in range(6):
        assert re.fullmatch(r"[A-Za-z0-9+/=\n]+", made("base64_dump", seed=seed))
        assert re.fullmatch(r"[0-9a-f: \n]+", made("hex_dump", seed=seed))


def test_repetition_makes_up_most_of_the_text(text):
    lines = made("repeated_lines", text).splitlines()
    paragraphs = made("repeated_paragraphs", text).split("\n\n")

    assert max(lines.count(line) for line in lines) / len(lines) > 0.9
    assert max(paragraphs.count(p) for p in paragraphs) / len(paragraphs) > 0.8


def test_repetition_survives_a_text_of_one_line():
    assert made("repeated_lines", "one single line").count("one single line") >= 20
    assert made("repeated_paragraphs", "one paragraph").count("one paragraph") >= 5


def test_navigation_pages_differ():
    pages = [made("navigation", seed=seed) for seed in range(200)]

    assert len(set(pages)) == 200
    assert not any("{" in page for page in pages)


@pytest.mark.parametrize(
    "text", ['Plain "ASCII" text, isn\'t it? ' * 20, "Déjà vu – “naïve” " * 20]
)
def test_mojibake_is_utf8_read_wrongly(text):
    undone = 0
    for seed in range(10):
        bad = made("mojibake", text, seed=seed)
        assert bad != text
        sloppy = {c: i for i in range(256) for c in (bytes([i]).decode("cp1252", "ignore"), chr(i))}
        raw = bytes(sloppy[c] for c in bad)
        undone += any(ord(c) > 127 for c in raw.decode("utf-8"))
    assert undone == 10


ALLOWED_MAIL = {"example.com", "example.org", "example.net"}
ALLOWED_NETWORKS = {"192.0.2", "198.51.100", "203.0.113"}
TEST_CARDS = {
    *("4111111111111111", "5555555555554444", "378282246310005"),
    *("6011111111111117", "4012888888881881"),
}


def test_personal_data_comes_from_documentation_ranges_only():
    text = "\n".join(made("personal_data", seed=seed) for seed in range(50))
    mails = re.findall(r"[\w.]+@([\w.-]+\w)", text)
    addresses = re.findall(r"\b(\d+\.\d+\.\d+)\.\d+\b", text)
    phones = re.findall(r"\d{3}\)?[ -](\d{3}-\d{4})", text)
    cards = re.findall(r"card ([\d ]+\d)", text)
    ibans = re.findall(r"[A-Z]{2}\d\d(?: [A-Z0-9]{2,4})+", text)

    assert set(mails) == ALLOWED_MAIL
    assert set(addresses) == ALLOWED_NETWORKS
    assert phones
    assert all(re.fullmatch(r"555-01\d\d", phone) for phone in phones)
    assert {card.replace(" ", "") for card in cards} == TEST_CARDS
    assert ibans
    # Nothing else in the text is a long number: order numbers have five digits.
    rest = re.sub(
        r"card [\d ]+\d|[A-Z]{2}\d\d(?: [A-Z0-9]{2,4})+|555-01\d\d|\d+(\.\d+){3}", "", text
    )
    assert max(len(n) for n in re.findall(r"\d+", rest)) <= 5
